//! What cards say of how callers prove who they are, and of what they need for each skill: the gateway's own security schemes
//! (A2A 1.0 §4.5), where it lets nobody in without. What agents want of the gateway is not for callers to meet.

use std::sync::Arc;

use moongate_core::Scope;
use moongate_core::scope::{Demand, Plane};
use serde_json::{Map, Value, json};

use super::Address;

/// What proves who a caller is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LetsIn {
    /// An access token.
    pub token: bool,
    /// The scopes that the gateway's own authorization server gives at most, if there is one.
    pub oauth: Option<Arc<[Arc<str>]>>,
    /// A client certificate.
    pub certificate: bool,
}

const OAUTH: &str = "oauth";
const TOKEN: &str = "token";
const CERTIFICATE: &str = "certificate";

/// The card with the gateway's schemes, each an alternative, if its listener wants proof.
pub(super) fn guarded(mut document: Value, address: &Address) -> Value {
    let Some(members) = document.as_object_mut().filter(|_| address.guarded) else { return document };
    let token = json!({"httpAuthSecurityScheme": {"scheme": "Bearer", "bearerFormat": "JWT",
        "description": "An access token (RFC 9068) of an issuer that this gateway accepts."}});
    let certificate = json!({"mtlsSecurityScheme": {
        "description": "A client certificate of a domain or device that this gateway knows."}});
    let known = [
        (OAUTH, address.lets_in.oauth.as_deref().map(|scopes| own_server(address, scopes))),
        (TOKEN, address.lets_in.token.then_some(token)),
        (CERTIFICATE, address.lets_in.certificate.then_some(certificate)),
    ];
    let (mut schemes, mut requirements) = (Map::new(), Vec::new());
    for (name, scheme) in known.into_iter().filter_map(|(name, scheme)| Some((name, scheme?))) {
        requirements.push(way(name, &[]));
        schemes.insert(name.to_owned(), scheme);
    }
    members.insert("securitySchemes".into(), Value::Object(schemes));
    members.insert("securityRequirements".into(), Value::Array(requirements));
    document
}

/// The gateway's own authorization server. A scheme has one flow: that of programs, which cards of 0.3 can say, too; the others
/// stand in the server's metadata (RFC 8414).
fn own_server(address: &Address, scopes: &[Arc<str>]) -> Value {
    let (origin, path) = address.url.split_once("://").map_or(("", ""), |(scheme, rest)| {
        let host = rest.find('/').unwrap_or(rest.len());
        address.url.split_at(scheme.len() + 3 + host)
    });
    let most = scopes.iter().map(|scope| (scope.to_string(), json!("A token gives this at most, or a part of it.")));
    json!({"oauth2SecurityScheme": {
        "description": "An access token of this gateway's own authorization server.",
        "flows": {"clientCredentials": {
            "tokenUrl": format!("{}/oauth/token", address.url), "scopes": Value::Object(most.collect()),
        }},
        "oauth2MetadataUrl": format!("{origin}/.well-known/oauth-authorization-server{path}"),
    }})
}

/// The ways to be let in for a message to a skill: a token with these scopes, or those, or a certificate, whose rights no card
/// says. Nothing where tokens do not count.
pub(super) fn needed(address: &Address, skill: &str, demand: &Demand) -> Option<Value> {
    if !(address.guarded && address.lets_in.token) {
        return None;
    }
    let send = Scope::of(Plane::A2a, &[skill, "send"]).to_string();
    // An id that is too long for a scope of its own is reached by that of all skills.
    let send = if Scope::parse(&send).is_some() { send } else { "a2a:*:send".to_owned() };
    let mut sets: Vec<Vec<&str>> =
        demand.alternatives().map(|words| [&[send.as_str()], words.as_slice()].concat()).collect();
    if sets.is_empty() {
        sets.push(vec![&send]);
    }
    let schemes = address.lets_in.oauth.as_ref().map(|_| OAUTH).into_iter().chain([TOKEN]);
    let mut ways: Vec<Value> = schemes.flat_map(|scheme| sets.iter().map(move |set| way(scheme, set))).collect();
    if address.lets_in.certificate {
        ways.push(way(CERTIFICATE, &[]));
    }
    Some(Value::Array(ways))
}

fn way(scheme: &str, scopes: &[&str]) -> Value {
    json!({"schemes": {scheme: {"list": scopes}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(guarded: bool, token: bool, certificate: bool) -> Address {
        let (url, authority) = ("https://gw.test".to_owned(), "gw.test:443".to_owned());
        Address { url, authority, guarded, lets_in: LetsIn { token, oauth: None, certificate } }
    }

    #[test]
    fn cards_want_what_their_listener_accepts_and_nothing_else() {
        let shown = |listener: (bool, bool, bool)| {
            let document = guarded(json!({}), &address(listener.0, listener.1, listener.2));
            let schemes = document.get("securitySchemes").and_then(Value::as_object).map(Map::len).unwrap_or_default();
            (schemes, document.get("securityRequirements").cloned().unwrap_or_default())
        };
        let (token, certificate) = (way("token", &[]), way("certificate", &[]));
        assert_eq!(shown((true, true, false)), (1, json!([token])));
        assert_eq!(shown((true, false, true)), (1, json!([certificate])));
        assert_eq!(shown((true, true, true)), (2, json!([token, certificate])), "either will do");
        assert_eq!(shown((false, true, true)), (0, Value::Null));
    }

    #[test]
    fn the_gateways_own_server_is_a_scheme_of_its_own() {
        let scopes: Arc<[Arc<str>]> = ["a2a:*:send", "locks:write"].map(Arc::from).into();
        let mut address = address(true, true, false);
        address.lets_in.oauth = Some(scopes);
        for (url, metadata) in [
            ("https://gw.test", "https://gw.test/.well-known/oauth-authorization-server"),
            ("https://gw.test:8443/home/a", "https://gw.test:8443/.well-known/oauth-authorization-server/home/a"),
        ] {
            address.url = url.to_owned();
            let document = guarded(json!({}), &address);
            let scheme = document.pointer("/securitySchemes/oauth/oauth2SecurityScheme").cloned().unwrap_or_default();
            assert_eq!(scheme.get("oauth2MetadataUrl"), Some(&json!(metadata)));
            let token = scheme.pointer("/flows/clientCredentials/tokenUrl").and_then(Value::as_str);
            assert_eq!(token, Some(format!("{url}/oauth/token").as_str()));
            let most = scheme.pointer("/flows/clientCredentials/scopes").and_then(Value::as_object);
            assert_eq!(
                most.map(|most| most.keys().cloned().collect::<Vec<_>>()).unwrap_or_default(),
                ["a2a:*:send", "locks:write"]
            );
            assert_eq!(document.get("securityRequirements"), Some(&json!([way("oauth", &[]), way("token", &[])])));
        }
        let demand = Demand::read([vec!["locks:write"]]);
        let scopes = ["a2a:door.open:send", "locks:write"];
        let both = json!([way("oauth", &scopes), way("token", &scopes)]);
        assert_eq!(needed(&address, "door.open", &demand), Some(both));
    }

    #[test]
    fn a_skill_says_which_scopes_a_token_needs() {
        let demand = Demand::read([vec!["locks:write", "locks:read"], vec!["owner"]]);
        let ways = |words: &[&[&str]]| words.iter().map(|words| way("token", words)).collect::<Vec<_>>();
        let both = ways(&[&["a2a:door.open:send", "locks:read", "locks:write"], &["a2a:door.open:send", "owner"]]);
        assert_eq!(needed(&address(true, true, false), "door.open", &demand), Some(json!(both)));
        let nothing = Demand::default();
        let plain = ways(&[&["a2a:h%C3%A9%20llo:send"]]);
        assert_eq!(needed(&address(true, true, false), "h\u{e9} llo", &nothing), Some(json!(plain)));
        let either = [ways(&[&["a2a:x:send"]]), vec![way("certificate", &[])]].concat();
        assert_eq!(needed(&address(true, true, true), "x", &nothing), Some(json!(either)));
        let long = ways(&[&["a2a:*:send"]]);
        assert_eq!(needed(&address(true, true, false), &"x".repeat(65), &nothing), Some(json!(long)));
        for listener in [address(false, true, true), address(true, false, true)] {
            assert_eq!(needed(&listener, "door.open", &demand), None);
        }
    }
}
