//! From a card's interfaces to addresses that the gateway calls.
//!
//! A card may lie: it could name any host inside. So an interface is taken only if it lies on the host that the operator
//! or registrant named, and never if it is the gateway itself. Plain `http` stays on loopback, or on a private address if
//! the entry says `insecure`.

use std::net::{IpAddr, SocketAddr};

use moongate_core::{Code, Problem};
use moongate_transport::{Origin, Pool};
use moongate_wire::a2a::card::Card;
use moongate_wire::a2a::{Binding, Dialect};

use crate::routing::credential::Shows;
use crate::routing::directory::Upstream;

/// What judges a card's addresses.
pub struct Judge<'a> {
    /// The host that was named when the agent was registered; `None` if the card itself was given.
    pub host: Option<&'a str>,
    /// Whether plain `http` off loopback is meant.
    pub insecure: bool,
    /// The gateway's own listeners.
    pub own: &'a [SocketAddr],
    /// What the agent is shown.
    pub shows: Option<&'a Shows>,
}

/// The host of a URL, without brackets and port.
pub fn host_of(url: &str) -> Option<String> {
    Origin::parse(url, false).ok().map(|origin| origin.host)
}

/// Whether a host is this machine.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether an address lies in a private network (RFC 1918, RFC 4193); link-local ones, where clouds keep their metadata,
/// do not count.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

/// All usable addresses of a card.
///
/// # Errors
/// `CardInvalid` if none is usable; says why for each interface.
pub fn upstreams(card: &Card, pool: &Pool, judge: &Judge<'_>) -> Result<Vec<Upstream>, Problem> {
    let mut usable = Vec::new();
    let mut problem = Problem::new(Code::CardInvalid, "the card names no interface that this gateway can use");
    for (n, interface) in card.interfaces.iter().enumerate() {
        let field = format!("supportedInterfaces[{n}].url");
        let Some(binding) = interface.binding else {
            problem = problem.field(format!("supportedInterfaces[{n}].protocolBinding"), "is not spoken here");
            continue;
        };
        let dialect = Dialect { binding, version: interface.version };
        match upstream(dialect, &interface.url, interface.tenant.clone(), pool, judge) {
            Ok(upstream) => usable.push(upstream),
            Err(why) => problem = problem.field(field, why),
        }
    }
    if usable.is_empty() { Err(problem) } else { Ok(usable) }
}

fn upstream(
    dialect: Dialect,
    url: &str,
    tenant: Option<String>,
    pool: &Pool,
    judge: &Judge<'_>,
) -> Result<Upstream, String> {
    let grpc = dialect.binding == Binding::Grpc;
    let full = with_scheme(url, grpc);
    let mut origin = Origin::parse(&full, grpc).map_err(|error| error.to_string())?;
    // Agents that listen everywhere often say so in their card; what they mean is where they were found.
    if origin.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
        match judge.host {
            Some(host) => host.clone_into(&mut origin.host),
            None => return Err("is an unspecified address".into()),
        }
    }
    let named = judge
        .host
        .is_none_or(|host| host.eq_ignore_ascii_case(&origin.host) || (is_loopback(host) && is_loopback(&origin.host)));
    let loopback = is_loopback(&origin.host);
    if !named {
        return Err(format!("lies on another host than the one that was named ({})", judge.host.unwrap_or_default()));
    }
    if loopback && judge.own.iter().any(|own| own.port() == origin.port) {
        return Err("is the gateway itself".into());
    }
    if !origin.secure && !loopback {
        if !judge.insecure {
            return Err("is plain http to another machine; use https, or set insecure = true on the entry".into());
        }
        if origin.host.parse::<IpAddr>().is_ok_and(|address| !is_private(address)) {
            return Err("is plain http to an address that is not private".into());
        }
    }
    let path = full.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..))).unwrap_or("");
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = match dialect.binding {
        Binding::JsonRpc if path.is_empty() => "/".to_owned(),
        Binding::JsonRpc => path.to_owned(),
        Binding::Http => path.trim_end_matches('/').to_owned(),
        Binding::Grpc => String::new(),
    };
    let authority = origin.authority();
    let host = http::HeaderValue::from_str(&authority).map_err(|error| error.to_string())?;
    let uri = if path.is_empty() { "/" } else { path.as_str() }.parse().map_err(|error| format!("{error}"))?;
    Ok(Upstream {
        dialect,
        authority,
        host,
        uri,
        scheme: if origin.secure { "https" } else { "http" },
        origin: pool.origin(&origin),
        path,
        shows: judge.shows.cloned(),
        tenant: tenant.filter(|tenant| !tenant.is_empty()),
    })
}

/// A gRPC interface is `host:port`, and says nothing of TLS: on this machine it is plain.
fn with_scheme(url: &str, grpc: bool) -> String {
    if !grpc {
        return url.to_owned();
    }
    if let Some(rest) = url.strip_prefix("grpc://") {
        return format!("http://{rest}");
    }
    if let Some(rest) = url.strip_prefix("grpcs://") {
        return format!("https://{rest}");
    }
    if url.contains("://") {
        return url.to_owned();
    }
    let host = host_of(&format!("http://{url}")).unwrap_or_default();
    let unspecified = host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified() || address.is_loopback());
    let plain = unspecified || is_loopback(&host) || url.ends_with(":80");
    format!("{}://{url}", if plain { "http" } else { "https" })
}
