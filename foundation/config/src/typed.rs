//! From the file's tables to the typed [`Config`]. Agents, the largest part, are read in `typed::agents`.

mod agents;
mod approvals;
mod audit;
mod auth;
mod issuers;
mod notify;
mod oauth;
mod peers;
mod signature;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use moongate_core::Code;
use moongate_core::approval::Class;

use crate::keys::BALANCE;
use crate::prefix::Prefix;
use crate::problems::Mistake;
use crate::read::Table;
use crate::schema::{
    Asks, Balance, BalancePolicy, Config, Dns, Durability, Egress, HashKey, Limits, Listen, Log, LogFormat,
    PauseDeadline, Policy, Route, RouteTarget, Routing, StoreConfig, TaskTimeouts, Tasks, Telemetry, Tls, Verdict,
};
use crate::url::Url;

/// Words of the file and what they mean.
pub(crate) type Words<T> = &'static [(&'static str, T)];

const DNS_HINT: &str =
    "write \"system\", or a DNS server's address and port, as \"192.168.1.2:53\" or \"[fd00::2]:53\"";
const DURABILITIES: Words<Durability> = &[("full", Durability::Full), ("relaxed", Durability::Relaxed)];
const PAUSES: Words<PauseDeadline> = &[("freeze", PauseDeadline::Freeze), ("run", PauseDeadline::Run)];
const FORMATS: Words<LogFormat> = &[("human", LogFormat::Human), ("json", LogFormat::Json)];
const POLICIES: Words<BalancePolicy> = &[
    ("p2c_ewma", BalancePolicy::P2cEwma),
    ("round_robin", BalancePolicy::RoundRobin),
    ("least_connections", BalancePolicy::LeastConnections),
    ("consistent_hash", BalancePolicy::ConsistentHash),
];
const HASH_KEYS: Words<HashKey> =
    &[("context", HashKey::Context), ("task", HashKey::Task), ("principal", HashKey::Principal)];
const CLASSES: Words<Class> = &[("sensitive", Class::Sensitive), ("critical", Class::Critical)];
const VERDICTS: Words<Verdict> = &[("deny", Verdict::Deny), ("confirm", Verdict::Confirm), ("allow", Verdict::Allow)];

/// Reads the whole file.
pub(crate) fn config(root: &Table<'_>) -> Config {
    let data_dir = root.path("data_dir").unwrap_or_else(|| root.notes.base.to_owned());
    let balance = root.table_or_defaults("balance", &BALANCE);
    let balance = self::balance(&balance, &UNTOLD);
    let tls = match root.table("tls") {
        Some(table) => tls(&table, &data_dir),
        None => Tls { cert: None, key: None, ca_dir: data_dir.join("ca") },
    };
    Config {
        domain: domain(root),
        public_url: url(root, "public_url").map(|url| url.trim_end_matches('/').to_owned()),
        listen: listen(&inner(root, "listen")),
        tls,
        audit: audit::audit(&inner(root, "audit")),
        store: store(&inner(root, "store")),
        egress: egress(&inner(root, "egress")),
        limits: limits(&inner(root, "limits")),
        tasks: tasks(&inner(root, "tasks")),
        log: log(&inner(root, "log")),
        telemetry: telemetry(&inner(root, "telemetry")),
        routing: routing(&inner(root, "routing")),
        agents: root.tables("agents").iter().map(|table| agents::agent(table, &balance)).collect(),
        routes: root.tables("routes").iter().map(route).collect(),
        policy: root.tables("policy").iter().enumerate().map(|(index, table)| policy(index, table)).collect(),
        approvals: approvals::approvals(&inner(root, "approvals")),
        notify: root.tables("notify").iter().map(notify::notify).collect(),
        issuers: root.tables("issuers").iter().map(issuers::issuer).collect(),
        peers: root.tables("peers").iter().map(peers::peer).collect(),
        devices: root.tables("devices").iter().map(peers::device).collect(),
        oauth: root.table("oauth").map(|table| oauth::oauth(&table)),
        balance,
        data_dir,
    }
}

/// What `[balance]` is read over; every key of it has a default of its own, so none of this shows.
const UNTOLD: Balance = Balance {
    policy: BalancePolicy::P2cEwma,
    key: HashKey::Context,
    slow_start_seconds: std::time::Duration::ZERO,
    consecutive_failures: 0,
    success_rate_percent: 0,
    success_rate_requests: 0,
    base_ejection_seconds: std::time::Duration::ZERO,
    max_ejected_percent: 0,
    retry_budget_percent: 0,
    attempts: 0,
};

fn inner<'t>(root: &Table<'t>, key: &'static str) -> Table<'t> {
    let section = match root.section.key(key).map(|row| row.kind) {
        Some(crate::keys::Kind::Table(section)) => section,
        _ => root.section,
    };
    root.table_or_defaults(key, section)
}

fn domain(root: &Table<'_>) -> String {
    let domain = root.text("domain").unwrap_or_default();
    is_domain(root, &domain);
    if ["device", "spiffe"].contains(&domain.as_str()) {
        let hint = "callers of certain kinds are called so; choose another name, as \"home.example\"";
        root.wrong("domain", format!("`domain` cannot be {domain:?}"), hint);
    }
    domain
}

/// Notes what is no trust domain in the key `domain`.
fn is_domain(table: &Table<'_>, domain: &str) {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if domain.is_empty() || domain.len() > 253 || !domain.split('.').all(is_label) {
        table.wrong(
            "domain",
            format!("`{}` cannot be {domain:?}", table.path_of("domain")),
            "it takes a DNS name in lower case, as \"home.example\"",
        );
    }
}

/// The text of a URL, judged as far as its form goes.
pub(crate) fn url(table: &Table<'_>, key: &str) -> Option<String> {
    let text = table.text(key)?;
    if let Err(why) = Url::parse(&text) {
        let example = table.section.key(key).map_or("", |row| row.example);
        table.wrong(key, format!("`{}` is not a URL: {why}", table.path_of(key)), format!("write it as {example}"));
    }
    Some(text)
}

fn listen(table: &Table<'_>) -> Listen {
    Listen { main: address(table, "main"), plain: address(table, "plain"), admin: address(table, "admin") }
}

fn address(table: &Table<'_>, key: &str) -> Option<SocketAddr> {
    let text = table.text(key)?;
    if text == "off" {
        return None;
    }
    let parsed = text.parse().ok();
    if parsed.is_none() {
        let port = text.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok());
        let hint = match (port, text.parse::<std::net::IpAddr>()) {
            (_, Ok(std::net::IpAddr::V4(address))) => format!("add a port: \"{address}:7443\""),
            (_, Ok(std::net::IpAddr::V6(address))) => format!("add brackets and a port: \"[{address}]:7443\""),
            (Some(port), _) => format!("names are not looked up; write \"127.0.0.1:{port}\""),
            (None, _) => "write \"127.0.0.1:7443\", \"[::1]:7443\" or \"off\"".to_owned(),
        };
        table.wrong(key, format!("`{}` cannot be {text:?}: it is not an address and a port", table.path_of(key)), hint);
    }
    parsed
}

fn tls(table: &Table<'_>, data_dir: &std::path::Path) -> Tls {
    for path in ["cert", "key"].into_iter().filter_map(|key| table.path(key)) {
        table.notes.files.borrow_mut().push(path);
    }
    let tls = Tls {
        cert: table.path("cert"),
        key: table.path("key"),
        ca_dir: table.path("ca_dir").unwrap_or_else(|| data_dir.join("ca")),
    };
    for (there, missing) in [("cert", "key"), ("key", "cert")] {
        if table.has(there) && !table.has(missing) {
            let message = format!("[tls] has `{there}` but no `{missing}`");
            table.wrong(
                there,
                message,
                format!("add `{missing} = \"…\"`, or remove `{there}` to use a certificate of the gateway's own"),
            );
        }
    }
    tls
}

fn store(table: &Table<'_>) -> StoreConfig {
    let url = table.text("url").unwrap_or_default();
    let known = url == "memory:" || url.strip_prefix("sqlite:").is_some_and(|path| !path.is_empty());
    if !known {
        let hint = match url.split(':').next() {
            Some("postgres" | "postgresql") => "PostgreSQL is not supported yet; use \"sqlite:moongate.db\"",
            _ => "write \"sqlite:moongate.db\", another path after `sqlite:`, or \"memory:\"",
        };
        table.wrong("url", format!("`store.url` cannot be {url:?}"), hint);
    }
    StoreConfig { url, durability: table.word("durability", DURABILITIES).unwrap_or(Durability::Full) }
}

fn egress(table: &Table<'_>) -> Egress {
    let mut allow = Vec::new();
    for (text, place) in table.texts("allow") {
        match text.parse::<Prefix>() {
            Ok(prefix) => allow.push(prefix),
            Err(why) => {
                let mistake = Mistake::new(Code::ConfigWrongValue, format!("`egress.allow`: {why}"));
                table.notes.mistake(
                    mistake
                        .at(place, "")
                        .hint("write the first address of the range, a slash and the number of leading bits"),
                );
            }
        }
    }
    Egress { allow, dns: dns(table).unwrap_or(Dns::System) }
}

fn dns(table: &Table<'_>) -> Option<Dns> {
    const PORT: u16 = 53;
    let text = table.text("dns")?;
    if text == "system" {
        return Some(Dns::System);
    }
    let server = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, PORT)));
    match server {
        Ok(server) if server.port() != 0 && !server.ip().is_unspecified() => return Some(Dns::Server(server)),
        Ok(_) => table.wrong("dns", format!("`egress.dns` cannot be {text:?}: no server is there"), DNS_HINT),
        Err(_) => table.wrong("dns", format!("`egress.dns` cannot be {text:?}: it is not an address"), DNS_HINT),
    }
    None
}

fn limits(table: &Table<'_>) -> Limits {
    Limits {
        body_bytes: table.integer("body_bytes").unwrap_or_default(),
        answer_bytes: table.integer("answer_bytes").unwrap_or_default(),
        json_depth: table.integer("json_depth").unwrap_or_default(),
        parts: table.integer("parts").unwrap_or_default(),
        header_bytes: table.integer("header_bytes").unwrap_or_default(),
        request_seconds: table.seconds("request_seconds").unwrap_or_default(),
        streams: table.integer("streams").unwrap_or_default(),
        connections: table.integer("connections").unwrap_or_default(),
        connections_per_address: table.integer("connections_per_address").unwrap_or_default(),
        agents: table.integer("agents").unwrap_or_default(),
        tasks: table.integer("tasks").unwrap_or_default(),
        waiting: table.integer("waiting").unwrap_or_default(),
        caller_requests_per_second: table.integer("caller_requests_per_second"),
        domain_requests_per_second: table.integer("domain_requests_per_second"),
        address_requests_per_second: table.integer("address_requests_per_second"),
        burst_seconds: table.seconds("burst_seconds").unwrap_or_default(),
        drain_seconds: table.seconds("drain_seconds").unwrap_or_default(),
    }
}

fn tasks(table: &Table<'_>) -> Tasks {
    Tasks {
        timeouts: timeouts(table),
        attempts: table.integer("attempts").unwrap_or_default(),
        pause_deadline: table.word("pause_deadline", PAUSES).unwrap_or(PauseDeadline::Freeze),
        retain_seconds: table.seconds("retain_seconds").unwrap_or_default(),
        push_seconds: table.seconds("push_seconds").unwrap_or_default(),
    }
}

fn timeouts(table: &Table<'_>) -> TaskTimeouts {
    TaskTimeouts {
        schedule_to_start_seconds: table.seconds("schedule_to_start_seconds"),
        start_to_close_seconds: table.seconds("start_to_close_seconds"),
        schedule_to_close_seconds: table.seconds("schedule_to_close_seconds"),
        heartbeat_seconds: table.seconds("heartbeat_seconds"),
    }
}

fn log(table: &Table<'_>) -> Log {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let level = table.text("level").unwrap_or_default();
    for directive in level.split(',') {
        let word = directive.rsplit('=').next().unwrap_or(directive).trim();
        let is_level = LEVELS.contains(&word.to_ascii_lowercase().as_str());
        let is_target = !directive.contains('=') && word.contains("::");
        if !is_level && !is_target {
            let hint = match crate::keys::nearest(word, LEVELS) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!(
                    "the levels are {}; a part of the program has its own as `info,moongate_a2a=debug`",
                    LEVELS.join(", ")
                ),
            };
            table.wrong("level", format!("`log.level` has the level {word:?}, which does not exist"), hint);
        }
    }
    Log {
        level,
        format: table.word("format", FORMATS).unwrap_or(LogFormat::Human),
        access: table.flag("access").unwrap_or_default(),
    }
}

fn telemetry(table: &Table<'_>) -> Telemetry {
    Telemetry {
        otlp: url(table, "otlp").map(|url| url.trim_end_matches('/').to_owned()),
        sample: table.share("sample").unwrap_or_default(),
        service_name: table.text("service_name").unwrap_or_default(),
    }
}

fn routing(table: &Table<'_>) -> Routing {
    let routing = Routing {
        default_agent: table.text("default_agent"),
        intent: table.flag("intent").unwrap_or_default(),
        threshold: table.share("threshold").unwrap_or_default(),
        heartbeat_seconds: table.seconds("heartbeat_seconds").unwrap_or_default(),
        heartbeat_ttl_seconds: table.seconds("heartbeat_ttl_seconds").unwrap_or_default(),
        probe_seconds: table.seconds("probe_seconds").unwrap_or_default(),
    };
    if routing.heartbeat_ttl_seconds <= routing.heartbeat_seconds {
        let key = if table.has("heartbeat_ttl_seconds") { "heartbeat_ttl_seconds" } else { "heartbeat_seconds" };
        let (beat, ttl) = (routing.heartbeat_seconds.as_secs_f64(), routing.heartbeat_ttl_seconds.as_secs_f64());
        let message = format!("agents would beat every {beat} s but count as down after {ttl} s");
        table.wrong(key, message, "make `heartbeat_ttl_seconds` about three times `heartbeat_seconds`");
    }
    routing
}

/// Reads `[balance]`, or an agent's own over the general one.
fn balance(table: &Table<'_>, general: &Balance) -> Balance {
    Balance {
        policy: table.word("policy", POLICIES).unwrap_or(general.policy),
        key: table.word("key", HASH_KEYS).unwrap_or(general.key),
        slow_start_seconds: table.seconds("slow_start_seconds").unwrap_or(general.slow_start_seconds),
        consecutive_failures: table.integer("consecutive_failures").unwrap_or(general.consecutive_failures),
        success_rate_percent: table.integer("success_rate_percent").unwrap_or(general.success_rate_percent),
        success_rate_requests: table.integer("success_rate_requests").unwrap_or(general.success_rate_requests),
        base_ejection_seconds: table.seconds("base_ejection_seconds").unwrap_or(general.base_ejection_seconds),
        max_ejected_percent: table.integer("max_ejected_percent").unwrap_or(general.max_ejected_percent),
        retry_budget_percent: table.integer("retry_budget_percent").unwrap_or(general.retry_budget_percent),
        attempts: table.integer("attempts").unwrap_or(general.attempts),
    }
}

fn route(table: &Table<'_>) -> Route {
    let r#match = table.required("match");
    let targets = table.tables("to");
    if targets.is_empty() && !matches!(table.get("to").map(|value| value.get_ref()), Some(value) if !value.is_array()) {
        let mistake = Mistake::new(Code::ConfigWrongValue, format!("`{}` names no agent in `to`", table.path));
        let mistake =
            mistake.at(if table.has("to") { table.value_place("to") } else { table.place.clone() }, "in this route");
        table.notes.mistake(mistake.hint("add `to = [{ agent = \"…\" }]`"));
    }
    let to: Vec<RouteTarget> = targets
        .iter()
        .map(|target| RouteTarget { agent: target.required("agent"), weight: target.integer("weight").unwrap_or(1) })
        .collect();
    if !to.is_empty() && to.iter().all(|target| target.weight == 0) {
        table.wrong(
            "to",
            format!("`{}.to` gives every agent the weight 0", table.path),
            "give at least one of them a weight of 1 or more",
        );
    }
    Route { r#match, to }
}

fn policy(index: usize, table: &Table<'_>) -> Policy {
    let given: Vec<_> = VERDICTS.iter().filter(|(key, _)| table.has(key)).collect();
    let (key, verdict) = match given.as_slice() {
        [(key, verdict)] => (*key, *verdict),
        [] => {
            let mistake = Mistake::new(
                Code::ConfigWrongValue,
                format!("`{}` says neither `deny` nor `confirm` nor `allow`", table.path),
            );
            table
                .notes
                .mistake(mistake.at(table.place.clone(), "in this table").hint("add one of them, as `deny = '…'`"));
            ("deny", Verdict::Deny)
        }
        [(first, verdict), others @ ..] => {
            let mut mistake =
                Mistake::new(Code::ConfigWrongValue, format!("`{}` says more than one thing", table.path));
            mistake = mistake.at(table.place_of(first), "this");
            for (other, _) in others {
                mistake = mistake.at(table.place_of(other), "and this");
            }
            table.notes.mistake(mistake.hint("give each a [[policy]] of its own"));
            (*first, *verdict)
        }
    };
    let rule = if table.has(key) { table.required(key) } else { String::new() };
    let name = table.text("name").unwrap_or_else(|| format!("policy[{index}]"));
    Policy { name, verdict, rule, asks: asks(table, verdict) }
}

/// How people are asked; only a `confirm` asks anyone.
fn asks(table: &Table<'_>, verdict: Verdict) -> Asks {
    for key in ["class", "people", "wait_seconds"].into_iter().filter(|key| table.has(key)) {
        if verdict != Verdict::Confirm {
            let what = format!("`{}.{key}` is about a question, and this rule asks nobody", table.path);
            table.wrong(key, what, "remove it, or write `confirm = '…'` instead");
        }
    }
    let class = table.word("class", CLASSES).unwrap_or(Class::Sensitive);
    let wait = match class {
        Class::Sensitive => Duration::from_secs(15 * 60),
        Class::Critical => Duration::from_secs(2 * 60),
    };
    Asks { class, people: table.integer("people").unwrap_or(1), wait: table.seconds("wait_seconds").unwrap_or(wait) }
}
