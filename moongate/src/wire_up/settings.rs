//! Settings of the rooms, from the configuration.

use std::sync::Arc;

use moongate_a2a::Settings;
use moongate_a2a::gateway::{HashBy, TaskSettings};
use moongate_a2a::routing::balance::{self, Policy};
use moongate_a2a::routing::registry::RegistrySettings;
use moongate_a2a::routing::registry::health::Lease;
use moongate_config::{Config, schema};
use moongate_core::Problem;
use moongate_core::task::Timeouts;
use moongate_wire::json::Limits;

use super::rules;

/// What requests read.
pub(crate) fn gateway(config: &Config) -> Settings {
    Settings {
        domain: Arc::from(config.domain.as_str()),
        body_bytes: config.limits.body_bytes,
        answer_bytes: config.limits.answer_bytes,
        json: Limits { depth: config.limits.json_depth, parts: config.limits.parts },
        request_timeout: config.limits.request_seconds,
        streams: config.limits.streams,
        attempts: config.balance.attempts,
        hash_by: hash_by(config.balance.key),
        wants_text: rules::wants_text(config),
        sample_per_million: (config.telemetry.sample.clamp(0.0, 1.0) * 1_000_000.0) as u32,
        traces: config.telemetry.otlp.is_some(),
        tasks: TaskSettings {
            relaxed: config.store.durability == schema::Durability::Relaxed,
            timeouts: timeouts(&config.tasks.timeouts),
            attempts: config.tasks.attempts,
            pause_freezes: config.tasks.pause_deadline == schema::PauseDeadline::Freeze,
            retain: config.tasks.retain_seconds,
            keep: config.limits.tasks as u64,
            waiting: config.limits.waiting as u64,
        },
        policy: rules::version(config),
        approval_hold: config.approvals.hold_seconds,
    }
}

/// Tells the desk what a configuration says of questions for people.
///
/// # Errors
/// The store fails.
pub(crate) async fn desk(desk: &moongate_approval::Desk, config: &Config) -> Result<(), Problem> {
    desk.remember_at_most(config.approvals.remember_seconds);
    desk.limit(config.approvals.open_questions, config.approvals.questions_an_hour);
    desk.rules(&rules::version(config)).await.map(drop)
}

/// The timeouts of tasks.
pub(crate) fn timeouts(timeouts: &schema::TaskTimeouts) -> Timeouts {
    Timeouts {
        schedule_to_start: timeouts.schedule_to_start_seconds,
        start_to_close: timeouts.start_to_close_seconds,
        schedule_to_close: timeouts.schedule_to_close_seconds,
        heartbeat: timeouts.heartbeat_seconds,
    }
}

/// What consistent hashing hashes.
pub(crate) fn hash_by(key: schema::HashKey) -> HashBy {
    match key {
        schema::HashKey::Context => HashBy::Context,
        schema::HashKey::Task => HashBy::Task,
        schema::HashKey::Principal => HashBy::Principal,
    }
}

/// How instances are balanced.
pub(crate) fn balance(balance: &schema::Balance) -> balance::Settings {
    balance::Settings {
        policy: match balance.policy {
            schema::BalancePolicy::P2cEwma => Policy::P2cEwma,
            schema::BalancePolicy::RoundRobin => Policy::RoundRobin,
            schema::BalancePolicy::LeastConnections => Policy::LeastConnections,
            schema::BalancePolicy::ConsistentHash => Policy::ConsistentHash,
        },
        slow_start: balance.slow_start_seconds,
        consecutive_failures: balance.consecutive_failures,
        success_rate_percent: u32::from(balance.success_rate_percent),
        success_samples: balance.success_rate_requests,
        base_ejection: balance.base_ejection_seconds,
        max_ejected_percent: u32::from(balance.max_ejected_percent),
        retry_budget_percent: u32::from(balance.retry_budget_percent),
        ..balance::Settings::default()
    }
}

/// What the registry reads.
pub(crate) fn registry(config: &Config) -> Result<RegistrySettings, Problem> {
    let routing = &config.routing;
    Ok(RegistrySettings {
        lease: Lease { interval: routing.heartbeat_seconds, ttl: routing.heartbeat_ttl_seconds },
        probe: routing.probe_seconds,
        limit: config.limits.agents,
        request_timeout: config.limits.request_seconds,
        balance: balance(&config.balance),
        routes: Arc::new(rules::routes(config)?),
        default_agent: routing.default_agent.as_deref().map(Into::into),
        intent: routing.intent,
        threshold: routing.threshold as f32,
    })
}
