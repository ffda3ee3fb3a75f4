//! Taking over a changed configuration while running: on SIGHUP, and when the file or a secret's file changes.
//!
//! A bad file changes nothing: the old configuration stays, the log and `/api/v1/status` say what is wrong. A good one
//! takes effect for requests that come after it; what needs a restart is named.

use std::sync::Arc;
use std::time::Duration;

use moongate_a2a::routing::discovery::Address;
use moongate_config::{Config, Effect, Loaded, Watch, diff};
use moongate_core::{Code, Listener, Problem};

use super::{Running, listeners, rules, settings, specs};

const LOOK: Duration = Duration::from_millis(500);
/// A certificate of our own is made anew this often: long before the one before runs out, for a gateway that never stops.
const RENEW: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Watches the file for as long as the gateway runs.
pub(crate) async fn watch(running: Arc<Running>, loaded: Loaded) {
    let mut current = loaded;
    let mut watch = Watch::new(&current);
    let mut interval = tokio::time::interval(LOOK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut hangup = hangups();
    let mut renewal = tokio::time::interval_at(tokio::time::Instant::now() + RENEW, RENEW);
    loop {
        let forced = tokio::select! {
            _ = interval.tick() => false,
            () = hangup.next() => true,
            _ = renewal.tick() => {
                renew(&running, &current);
                continue;
            }
        };
        if !watch.changed() && !forced {
            continue;
        }
        match moongate_config::load(&current.path, &rules::check) {
            Ok(fresh) => {
                let changes = diff(&current.config, &fresh.config);
                match apply(&running, &fresh).await {
                    Ok(()) => {
                        for change in &changes {
                            match change.effect {
                                Effect::Applied => tracing::info!(section = change.section, "configuration changed"),
                                Effect::NeedsRestart => {
                                    tracing::warn!(
                                        section = change.section,
                                        "configuration changed; it needs a restart to take effect"
                                    );
                                }
                            }
                        }
                        let sections: Vec<&str> = changes.iter().map(|change| change.section.as_str()).collect();
                        running.records.did("config.reload", "configuration", None, Some(&sections.join(" ")));
                        if sections.contains(&"approvals.sensitive_by_default") {
                            running.records.asks_by_default(&fresh.config);
                        }
                        let named = changes.into_iter().map(|c| (c.section, c.effect == Effect::Applied)).collect();
                        running.surface.standing.replace(&fresh, running.gateway.clock.now());
                        running.status.reloaded(named);
                        running.telemetry.metrics().config_reloaded(true);
                        watch = Watch::new(&fresh);
                        current = fresh;
                    }
                    Err(problem) => refused(&running, problem.to_string()),
                }
            }
            Err(problems) => refused(&running, problems.brief()),
        }
    }
}

/// Shows a certificate that was made, or read, just now.
fn renew(running: &Running, current: &Loaded) {
    match running.tls(&current.config) {
        Ok(Some(renewed)) => renewed.show(),
        Ok(None) => {}
        Err(problem) => tracing::error!(%problem, "the main listener's certificate cannot be renewed"),
    }
}

/// Told without the file's own words: the line that is wrong may be the one with a secret.
fn refused(running: &Running, why: String) {
    tracing::error!("the changed configuration is not taken over; the old one stays in force\n{why}");
    let problem = Problem::new(Code::ConfigWrongValue, "the configuration was refused");
    running.records.did("config.reload", "configuration", Some(&problem), None);
    running.telemetry.metrics().config_reloaded(false);
    running.status.refused(why);
}

/// Everything that can fail is made before anything is replaced.
async fn apply(running: &Arc<Running>, loaded: &Loaded) -> Result<(), Problem> {
    let config = &loaded.config;
    let policy = rules::policy(config)?;
    let gateway = settings::gateway(config);
    let registry = settings::registry(config)?;
    let specs = specs::specs(config, &running.outbound)?;
    let names = running.outbound.names.prepare(config)?;
    let prepared = running.boundary.prepare(config, &running.seams).await?;
    let tls = running.tls(config)?;
    running.authorities.apply(config).await?;
    running.level.set(&config.log.level)?;
    running.flow.policy.store(Arc::new(policy));
    running.flow.meter.rates.store(Arc::new(super::rates(config)));
    running.boundary.trust(prepared).await;
    if let Some(renewed) = tls {
        renewed.show();
    }
    running.verifier.trust(config, running.authorities.own.load_full(), &running.dialer);
    // Whether traces are exported is decided at start.
    let traces = running.gateway.settings.load().traces;
    let domain = running.gateway.settings.load().domain.clone();
    running.gateway.settings.store(Arc::new(moongate_a2a::Settings { traces, domain, ..gateway }));
    // Nothing is left half taken over: a question under former rules that stays open here is void when its yes is used.
    if let Err(problem) = settings::desk(&running.gateway.desk, config).await {
        tracing::error!(%problem, "questions that were asked under the former rules cannot be ended");
    }
    running.gateway.budget.set_percent(u32::from(config.balance.retry_budget_percent));
    running.egress.replace(config);
    running.outbound.names.replace(names);
    *running.drain_limit.lock() = config.limits.drain_seconds;
    running.notifications.apply(config, &running.listening);
    rename(running, config);
    running.registry.configure(registry, specs).await;
    Ok(())
}

/// Takes over the address that cards name: the public one, or else the main listener's own.
fn rename(running: &Running, config: &Config) {
    let public_url = config.public_url.as_deref();
    running.public_host.store(public_url.and_then(listeners::host).map(Arc::new));
    let own = running.address(Listener::Main).map(|address| listeners::own_address(address, true));
    if let Some(address) = public_url.and_then(listeners::public_address).or(own) {
        running.gateway.rename_main(&Address { lets_in: listeners::lets_in(config), ..address });
    }
}

/// SIGHUP, where there is such a thing.
struct Hangups {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

fn hangups() -> Hangups {
    Hangups {
        #[cfg(unix)]
        signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
    }
}

impl Hangups {
    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
