//! What only the whole file shows: names that are defined twice or not at all, listeners that would serve strangers,
//! rules that do not compile.

mod notify;
mod policy;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use moongate_core::Code;
use toml::de::DeTable;

use crate::keys::nearest;
use crate::load::{CheckRule, RuleKind};
use crate::problems::Mistake;
use crate::read::Notes;
use crate::schema::{Auth, Config, ExchangeSubject, Verdict};
use crate::url::{Reach, Url};

/// Where things stand, for messages.
pub(crate) struct Places<'p> {
    pub(crate) text: &'p str,
    pub(crate) root: &'p DeTable<'p>,
}

impl Places<'_> {
    /// The place of the value at a path, as `routes[0].to[1].agent`.
    fn value(&self, path: &str) -> Range<usize> {
        let mut table = self.root;
        let mut place = 0..0;
        let mut steps = path.split('.').peekable();
        while let Some(step) = steps.next() {
            let (key, index) = match step.split_once('[') {
                Some((key, index)) => (key, index.trim_end_matches(']').parse::<usize>().ok()),
                None => (step, None),
            };
            let Some(mut value) = table.get(key) else { return place };
            if let Some(inner) = index.and_then(|index| value.get_ref().get(index)) {
                value = inner;
            }
            place = value.span();
            match value.get_ref().as_table() {
                Some(inner) if steps.peek().is_some() => table = inner,
                _ => return place,
            }
        }
        place
    }

    /// The place of one byte within a text value, if the text stands there as it is; else that of the value.
    fn within(&self, path: &str, text: &str, offset: Option<usize>) -> Range<usize> {
        let place = self.value(path);
        let Some(offset) = offset else { return place };
        let raw = self.text.get(place.clone()).unwrap_or_default();
        let Some(start) = raw.find(text) else { return place };
        let at = place.start + start + offset.min(text.len());
        let width = self.text.get(at..place.end).map_or(0, |rest| {
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            word.max(rest.chars().next().map_or(0, char::len_utf8))
        });
        at..(at + width).min(place.end)
    }
}

/// Checks a whole configuration.
pub(crate) fn all(config: &Config, places: &Places<'_>, notes: &Notes<'_>, check_rule: CheckRule<'_>) {
    listeners(config, places, notes);
    duplicates(config, places, notes);
    oauth(config, places, notes);
    exchanges(config, places, notes);
    references(config, places, notes);
    notify::notify(config, places, notes);
    policy::policy(config, places, notes);
    rules(config, places, notes, check_rule);
}

fn listeners(config: &Config, places: &Places<'_>, notes: &Notes<'_>) {
    let open: Vec<(&str, SocketAddr)> =
        [("main", config.listen.main), ("plain", config.listen.plain), ("admin", config.listen.admin)]
            .into_iter()
            .filter_map(|(name, address)| address.map(|address| (name, address)))
            .collect();
    for (index, (name, address)) in open.iter().enumerate() {
        let place = places.value(&format!("listen.{name}"));
        let known = *name == "main"
            && !(config.issuers.is_empty()
                && config.oauth.is_none()
                && config.peers.is_empty()
                && config.devices.is_empty());
        if !address.ip().to_canonical().is_loopback() && !known {
            let (why, hint) = match *name {
                "plain" => (
                    "clear text would leave this machine",
                    "use the main listener for other machines; `plain` takes 127.0.0.1 or [::1] only",
                ),
                "admin" => ("strangers could administer the gateway", "use 127.0.0.1 or [::1]"),
                _ => (
                    "strangers could use every agent",
                    "say by [[issuers]] whose tokens its callers must have, give them by [oauth], or say by [[peers]] or [[devices]] whose certificates; or use 127.0.0.1 or [::1]",
                ),
            };
            let message = format!("`listen.{name}` is {address}, which is not loopback: {why}");
            notes.mistake(
                Mistake::new(Code::ConfigUnsafeListener, message).at(place.clone(), "not loopback").hint(hint),
            );
        }
        if known && address.ip().is_unspecified() && config.public_url.is_none() {
            let message = format!("cards would name `listen.main`, and {} is no address to call", address.ip());
            let hint =
                "say by `public_url` how callers reach it, as `public_url = \"https://agents.home.example:7443\"`";
            notes.mistake(Mistake::new(Code::ConfigWrongValue, message).at(place.clone(), "every address").hint(hint));
        }
        let clash = open
            .iter()
            .take(index)
            .find(|(_, other)| address.port() != 0 && other.port() == address.port() && same_host(*address, *other));
        if let Some((other, _)) = clash {
            let message = format!("`listen.{other}` and `listen.{name}` are both {address}");
            let mistake = Mistake::new(Code::ConfigDuplicate, message).at(place, "and this");
            notes.mistake(
                mistake.at(places.value(&format!("listen.{other}")), "this").hint("give one of them another port"),
            );
        }
    }
    if open.is_empty() {
        let mistake = Mistake::new(Code::ConfigWrongValue, "every listener is off").at(places.value("listen"), "");
        notes.mistake(mistake.hint("leave out `main` to listen on 127.0.0.1:7443"));
    }
}

fn same_host(one: SocketAddr, other: SocketAddr) -> bool {
    one.ip() == other.ip()
        || (one.is_ipv4() == other.is_ipv4() && (one.ip().is_unspecified() || other.ip().is_unspecified()))
}

fn duplicates(config: &Config, places: &Places<'_>, notes: &Notes<'_>) {
    let agents =
        config.agents.iter().enumerate().map(|(index, agent)| (agent.name.as_str(), format!("agents[{index}].name")));
    twice("agent", agents, places, notes);
    let policies =
        config.policy.iter().enumerate().map(|(index, policy)| (policy.name.as_str(), format!("policy[{index}].name")));
    twice("policy", policies, places, notes);
    let issuers = config.issuers.iter().enumerate();
    twice("issuer", issuers.clone().map(|(at, one)| (one.name.as_str(), format!("issuers[{at}].name"))), places, notes);
    twice("issuer", issuers.map(|(at, one)| (one.issuer.as_str(), format!("issuers[{at}].issuer"))), places, notes);
    let witnesses = config.audit.witnesses.iter().enumerate();
    let witnesses = witnesses.map(|(at, one)| (one.name.as_str(), format!("audit.witnesses[{at}].name")));
    twice("witness", witnesses, places, notes);
    let logs = config.audit.cosigns.iter().enumerate();
    twice("log", logs.map(|(at, one)| (one.origin.as_str(), format!("audit.cosigns[{at}].origin"))), places, notes);
    let peers = config.peers.iter().enumerate();
    for (index, peer) in peers.clone() {
        let agents = peer.agents.iter().enumerate();
        let agents = agents.map(|(at, one)| (one.spiffe.as_str(), format!("peers[{index}].agents[{at}].spiffe")));
        twice("agent of the peer", agents, places, notes);
    }
    twice("peer", peers.map(|(at, one)| (one.domain.as_str(), format!("peers[{at}].domain"))), places, notes);
    let devices = config.devices.iter().enumerate();
    twice("device", devices.clone().map(|(at, one)| (one.name.as_str(), format!("devices[{at}].name"))), places, notes);
    let pins: Vec<_> = devices
        .filter(|(_, one)| one.pin != UNREAD)
        .map(|(at, one)| (format!("sha256:{}", STANDARD.encode(one.pin)), format!("devices[{at}].pin")))
        .collect();
    let pins = pins.iter().map(|(pin, path)| (pin.as_str(), path.clone()));
    twice("device with the pin", pins, places, notes);
    for (index, agent) in config.agents.iter().enumerate() {
        let labels = agent.instances.iter().enumerate();
        let labels =
            labels.map(|(at, instance)| (instance.label.as_str(), format!("agents[{index}].instances[{at}].label")));
        twice("instance", labels, places, notes);
    }
}

/// What the authorization server wants of the rest of the file.
fn oauth(config: &Config, places: &Places<'_>, notes: &Notes<'_>) {
    if config.oauth.is_none() {
        return;
    }
    let clear = config.public_url.as_deref().and_then(|url| Url::parse(url).ok());
    if clear.is_some_and(|url| !url.secure && url.reach() != Reach::Loopback) {
        let mistake =
            Mistake::new(Code::ConfigWrongValue, "passwords and tokens of [oauth] would travel in clear text");
        notes.mistake(
            mistake.at(places.value("public_url"), "not https").hint("use https, or an address of this machine"),
        );
    }
    let own = config.issuers.iter().position(|issuer| issuer.name == config.domain);
    if let Some(at) = own {
        let place = places.value(&format!("issuers[{at}].name"));
        let message = format!("callers of this issuer would be called as those of [oauth]: {}", config.domain);
        notes.mistake(
            Mistake::new(Code::ConfigDuplicate, message).at(place, "the domain's own name").hint("call it otherwise"),
        );
    }
}

/// What the gateway's word for its callers wants of the rest of the file.
fn exchanges(config: &Config, places: &Places<'_>, notes: &Notes<'_>) {
    if config.public_url.is_some() {
        return;
    }
    for (at, agent) in config.agents.iter().enumerate() {
        if let Some(Auth::Exchange { subject: ExchangeSubject::Assertion, .. }) = &agent.auth {
            let place = places.value(&format!("agents[{at}].auth.exchange.subject"));
            let message = "nobody could tell whose word this is, as there is no `public_url`";
            let mistake = Mistake::new(Code::ConfigWrongValue, message).at(place, "signed by the gateway");
            notes.mistake(mistake.hint("set `public_url`, or let callers come with tokens (`subject = \"token\"`)"));
        }
    }
}

fn twice<'n>(what: &str, names: impl Iterator<Item = (&'n str, String)>, places: &Places<'_>, notes: &Notes<'_>) {
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for (name, path) in names.filter(|(name, _)| !name.is_empty()) {
        match seen.get(name) {
            Some(first) => {
                let mistake = Mistake::new(Code::ConfigDuplicate, format!("the {what} {name:?} is defined twice"));
                notes.mistake(mistake.at(places.value(&path), "again here").at(places.value(first), "first here"));
            }
            None => {
                seen.insert(name, path);
            }
        }
    }
}

fn references(config: &Config, places: &Places<'_>, notes: &Notes<'_>) {
    if let Some(name) = &config.routing.default_agent {
        reference(config, name, "routing.default_agent", places, notes);
    }
    for (index, issuer) in config.issuers.iter().enumerate() {
        if let Some(domain) = issuer.domain.as_ref().filter(|domain| **domain != config.domain) {
            peer(config, ("issuer", &issuer.name), domain, &format!("issuers[{index}].domain"), places, notes);
        }
    }
    for (index, agent) in config.agents.iter().enumerate() {
        let Some(id) = &agent.spiffe else { continue };
        let domain = id.trim_start_matches("spiffe://").split('/').next().unwrap_or_default();
        peer(config, ("agent", &agent.name), domain, &format!("agents[{index}].spiffe"), places, notes);
        for key in ["card_url", "address"] {
            let path = format!("agents[{index}].{key}");
            let place = places.value(&path);
            if places.text.get(place.clone()).is_some_and(|text| text.trim_matches(['"', '\'']).starts_with("http://"))
            {
                let message = format!("`{path}` is plain http, and shows no certificate of {domain:?}");
                notes.mistake(Mistake::new(Code::ConfigWrongValue, message).at(place, "").hint("use https"));
            }
        }
    }
    for (index, route) in config.routes.iter().enumerate() {
        for (at, target) in route.to.iter().enumerate() {
            reference(config, &target.agent, &format!("routes[{index}].to[{at}].agent"), places, notes);
        }
    }
}

/// A pin that could not be read, and was complained of.
const UNREAD: [u8; 32] = [0; 32];

/// Checks the name of a trust domain that somebody belongs to.
fn peer(config: &Config, (what, name): (&str, &str), domain: &str, path: &str, places: &Places<'_>, notes: &Notes<'_>) {
    if !config.peers.iter().any(|peer| peer.domain == domain) {
        let message = format!("the {what} {name:?} is of the domain {domain:?}, which is not among [[peers]]");
        let mistake = Mistake::new(Code::ConfigDanglingName, message).at(places.value(path), "");
        notes.mistake(mistake.hint("add [[peers]] for it: only its authorities can say who belongs to it"));
    }
}

/// Checks `name` or `name@label`.
fn reference(config: &Config, text: &str, path: &str, places: &Places<'_>, notes: &Notes<'_>) {
    let (name, label) = text.split_once('@').map_or((text, None), |(name, label)| (name, Some(label)));
    if name.is_empty() {
        return;
    }
    let dangling = |message: String, hint: String| {
        notes.mistake(Mistake::new(Code::ConfigDanglingName, message).at(places.value(path), "").hint(hint));
    };
    let Some(agent) = config.agents.iter().find(|agent| agent.name == name) else {
        let names: Vec<&str> =
            config.agents.iter().map(|agent| agent.name.as_str()).filter(|name| !name.is_empty()).collect();
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if names.is_empty() => "add it as [[agents]]; this file defines none".to_owned(),
            None => format!("add it as [[agents]]; this file defines {}", names.join(", ")),
        };
        return dangling(format!("`{path}` names the agent {name:?}, which is not defined"), hint);
    };
    let Some(label) = label else { return };
    if !agent.instances.iter().any(|instance| instance.label == label) {
        let labels: Vec<&str> = agent.instances.iter().map(|instance| instance.label.as_str()).collect();
        let hint = match labels.as_slice() {
            [] => format!("`{name}` has one instance only: write \"{name}\""),
            labels => format!("its instances are {}", labels.join(", ")),
        };
        dangling(format!("`{path}` names the instance {label:?} of {name:?}, which is not defined"), hint);
    }
}

fn rules(config: &Config, places: &Places<'_>, notes: &Notes<'_>, check_rule: CheckRule<'_>) {
    let check = |text: &str, kind: RuleKind, path: String| {
        if text.is_empty() {
            return;
        }
        if let Err((why, offset)) = check_rule(text, kind) {
            let mistake = Mistake::new(Code::ConfigRule, format!("`{path}`: {why}"));
            notes.mistake(mistake.at(places.within(&path, text, offset), ""));
        }
    };
    for (index, route) in config.routes.iter().enumerate() {
        check(&route.r#match, RuleKind::Match, format!("routes[{index}].match"));
    }
    for (index, policy) in config.policy.iter().enumerate() {
        let key = match policy.verdict {
            Verdict::Deny => "deny",
            Verdict::Confirm => "confirm",
            Verdict::Allow => "allow",
        };
        check(&policy.rule, RuleKind::Policy, format!("policy[{index}].{key}"));
    }
}
