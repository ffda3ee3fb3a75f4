//! What changed between two configurations, and what of it a running gateway can take up.

use std::collections::BTreeSet;

use crate::keys::{self, Effect};
use crate::schema::{Config, Oauth};

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its path: `limits.body_bytes`, `agents.lights`, `routes`.
    pub section: String,
    /// Whether it takes effect at once.
    pub effect: Effect,
}

macro_rules! compare {
    ($old:ident, $new:ident, $($section:ident).+) => {
        (stringify!($($section).+), $old.$($section).+ != $new.$($section).+)
    };
}

/// A key, and whether it differs.
type Row = (&'static str, bool);

/// Every scalar key, in the order of the schema.
fn compared(old: &Config, new: &Config) -> Vec<Row> {
    [foundations(old, new), limits(old, new), work(old, new), rules(old, new)].concat()
}

fn foundations(old: &Config, new: &Config) -> Vec<Row> {
    vec![
        compare!(old, new, domain),
        compare!(old, new, public_url),
        compare!(old, new, data_dir),
        compare!(old, new, listen.main),
        compare!(old, new, listen.plain),
        compare!(old, new, listen.admin),
        compare!(old, new, tls.cert),
        compare!(old, new, tls.key),
        compare!(old, new, tls.ca_dir),
        compare!(old, new, store.url),
        compare!(old, new, store.durability),
        compare!(old, new, audit.on),
        compare!(old, new, audit.dir),
        compare!(old, new, audit.keep_months),
        compare!(old, new, audit.witness_seconds),
        compare!(old, new, audit.witnesses),
        compare!(old, new, audit.cosigns),
        compare!(old, new, egress.allow),
        compare!(old, new, egress.dns),
    ]
}

fn limits(old: &Config, new: &Config) -> Vec<Row> {
    vec![
        compare!(old, new, limits.body_bytes),
        compare!(old, new, limits.answer_bytes),
        compare!(old, new, limits.json_depth),
        compare!(old, new, limits.parts),
        compare!(old, new, limits.header_bytes),
        compare!(old, new, limits.request_seconds),
        compare!(old, new, limits.streams),
        compare!(old, new, limits.connections),
        compare!(old, new, limits.connections_per_address),
        compare!(old, new, limits.agents),
        compare!(old, new, limits.tasks),
        compare!(old, new, limits.waiting),
        compare!(old, new, limits.caller_requests_per_second),
        compare!(old, new, limits.domain_requests_per_second),
        compare!(old, new, limits.address_requests_per_second),
        compare!(old, new, limits.burst_seconds),
        compare!(old, new, limits.drain_seconds),
    ]
}

fn work(old: &Config, new: &Config) -> Vec<Row> {
    let (was, is) = (&old.tasks.timeouts, &new.tasks.timeouts);
    vec![
        ("tasks.schedule_to_start_seconds", was.schedule_to_start_seconds != is.schedule_to_start_seconds),
        ("tasks.start_to_close_seconds", was.start_to_close_seconds != is.start_to_close_seconds),
        ("tasks.schedule_to_close_seconds", was.schedule_to_close_seconds != is.schedule_to_close_seconds),
        ("tasks.heartbeat_seconds", was.heartbeat_seconds != is.heartbeat_seconds),
        compare!(old, new, tasks.attempts),
        compare!(old, new, tasks.pause_deadline),
        compare!(old, new, tasks.retain_seconds),
        compare!(old, new, tasks.push_seconds),
        compare!(old, new, log.level),
        compare!(old, new, log.format),
        compare!(old, new, log.access),
        compare!(old, new, telemetry.otlp),
        compare!(old, new, telemetry.sample),
        compare!(old, new, telemetry.service_name),
        compare!(old, new, routing.default_agent),
        compare!(old, new, routing.intent),
        compare!(old, new, routing.threshold),
        compare!(old, new, routing.heartbeat_seconds),
        compare!(old, new, routing.heartbeat_ttl_seconds),
        compare!(old, new, routing.probe_seconds),
        compare!(old, new, balance.policy),
        compare!(old, new, balance.key),
        compare!(old, new, balance.slow_start_seconds),
        compare!(old, new, balance.consecutive_failures),
        compare!(old, new, balance.success_rate_percent),
        compare!(old, new, balance.success_rate_requests),
        compare!(old, new, balance.base_ejection_seconds),
        compare!(old, new, balance.max_ejected_percent),
        compare!(old, new, balance.retry_budget_percent),
        compare!(old, new, balance.attempts),
    ]
}

fn rules(old: &Config, new: &Config) -> Vec<Row> {
    let oauth = Oauth::differs(old.oauth.as_ref(), new.oauth.as_ref());
    vec![
        compare!(old, new, routes),
        compare!(old, new, policy),
        compare!(old, new, approvals.sensitive_by_default),
        compare!(old, new, approvals.hold_seconds),
        compare!(old, new, approvals.remember_seconds),
        compare!(old, new, approvals.open_questions),
        compare!(old, new, approvals.questions_an_hour),
        compare!(old, new, notify),
        compare!(old, new, issuers),
        compare!(old, new, peers),
        compare!(old, new, devices),
        ("oauth.token_seconds", oauth.token_seconds),
        ("oauth.refresh_seconds", oauth.refresh_seconds),
        ("oauth.device_seconds", oauth.device_seconds),
        ("oauth.scopes", oauth.scopes),
    ]
}

/// What changed from `old` to `new`, in the order of the schema; agents by name.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let change = |section: &str| Change { section: section.to_owned(), effect: keys::effect(section) };
    let rows = compared(old, new);
    let mut changes: Vec<Change> =
        rows.iter().filter(|(_, differs)| *differs).map(|(section, _)| change(section)).collect();
    let names: BTreeSet<&str> = old.agents.iter().chain(&new.agents).map(|agent| agent.name.as_str()).collect();
    for name in names {
        let find = |config: &'_ Config| config.agents.iter().find(|agent| agent.name == name).cloned();
        if find(old) != find(new) {
            changes.push(change(&format!("agents.{name}")));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Kind, ROOT};

    #[test]
    fn every_key_of_the_schema_is_compared() {
        let config =
            crate::load::parse("", std::path::Path::new("moongate.toml"), &|_| None, &|_, _| Ok(())).unwrap().config;
        let compared: Vec<&str> = compared(&config, &config).iter().map(|(path, _)| *path).collect();
        let mut expected = Vec::new();
        for key in ROOT.keys {
            match key.kind {
                Kind::Table(section) => {
                    expected.extend(section.keys.iter().map(|inner| format!("{}.{}", key.name, inner.name)))
                }
                _ if key.name == "agents" => {}
                _ => expected.push(key.name.to_owned()),
            }
        }
        assert_eq!(compared, expected);
    }
}
