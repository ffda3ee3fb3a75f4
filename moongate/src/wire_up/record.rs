//! Where entries go: to the numbers, spans and lines of telemetry, and to the log that nobody can change quietly, if one is
//! kept.

use std::sync::Arc;

use moongate_audit::{Key, Log, Place, VerifyingKey};
use moongate_config::Config;
use moongate_core::entry::{Deed, Intent, Line};
use moongate_core::seam::{Clock, Later, Recorder, TraceContext};
use moongate_core::{Code, Entry, Problem};
use moongate_identity::revocation::{Event, Hook, logged};
use moongate_telemetry::Telemetry;

/// Both.
pub(crate) struct Records {
    pub(crate) telemetry: Arc<Telemetry>,
    log: Option<Log>,
    place: Place,
    pub(crate) clock: Arc<dyn Clock>,
    domain: Arc<str>,
}

impl Records {
    /// Opens the log if the configuration wants one.
    pub(crate) fn open(config: &Config, telemetry: Arc<Telemetry>, clock: Arc<dyn Clock>) -> Result<Self, Problem> {
        // A gateway whose store forgets everything keeps no log either, unless it is told to.
        let on = config.audit.on.unwrap_or(config.store.url != "memory:");
        let place = place(config);
        let log = if on { Some(Log::open(&place, clock.clone())?) } else { None };
        Ok(Self { telemetry, log, place, clock, domain: config.domain.as_str().into() })
    }

    /// The log, if one is kept.
    pub(crate) fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// Where the log lies, if one is kept.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.log.as_ref().map(|_| &self.place)
    }

    /// Whether lines can be written at present.
    pub(crate) fn health(&self) -> Result<(), Problem> {
        self.log.as_ref().map_or(Ok(()), Log::health)
    }

    /// Writes down what the gateway did by itself.
    pub(crate) fn did(&self, operation: &'static str, target: &str, problem: Option<&Problem>, detail: Option<&str>) {
        self.note(Deed {
            operation: operation.into(),
            source: "gateway".into(),
            domain: self.domain.clone(),
            address: None,
            target: target.into(),
            result: if problem.is_none() { "done" } else { "failed" },
            code: problem.map(|problem| problem.code),
            detail: detail.map(Into::into),
            intent: None,
            at: self.clock.now(),
        });
    }

    /// Writes down that nobody is asked about locks and doors, where that is so, or that it is so no more.
    pub(crate) fn asks_by_default(&self, config: &Config) {
        let on = config.approvals.sensitive_by_default;
        if !on {
            tracing::warn!(
                "locks, doors and the like open without a person's yes: approvals.sensitive_by_default is off"
            );
        }
        self.did("approval.default", "configuration", None, Some(if on { "on" } else { "off" }));
    }

    /// Writes what waits, and ends the log.
    pub(crate) fn close(&self) {
        if let Some(log) = &self.log {
            log.close();
        }
    }
}

impl Recorder for Records {
    fn record(&self, entry: Entry, trace: Option<&TraceContext>) {
        if let Some(log) = &self.log {
            log.record(Line::Request(entry.clone(), trace.map(|trace| trace.trace_id)));
        }
        self.telemetry.record(entry, trace);
    }

    fn note(&self, deed: Deed) {
        self.telemetry.feed().deed(&deed);
        if let Some(log) = &self.log {
            log.record(Line::Deed(deed));
        }
    }

    fn room(&self) -> Option<Later<'_, Result<(), Problem>>> {
        self.log.as_ref()?.room()
    }

    fn intend(&self, line: Line) -> Option<Later<'_, Result<Intent, Problem>>> {
        self.log.as_ref().map(|log| log.intend(line))
    }
}

/// Where a configuration's log lies. Each domain has its own: a gateway that is renamed begins a new one.
pub(crate) fn place(config: &Config) -> Place {
    let (data, domain) = (&config.data_dir, &config.domain);
    Place {
        folder: config.audit.dir.clone().unwrap_or_else(|| data.join("audit")).join(domain),
        key: data.join("audit.key"),
        mark: data.join(format!("audit.{domain}.mark")),
        domain: domain.clone(),
    }
}

/// The public key of a log, under the name of one of its shards.
///
/// # Errors
/// There is no key, or it cannot be read.
pub(crate) fn verifying(place: &Place, shard: &str) -> Result<VerifyingKey, Problem> {
    let key = Key::load(&place.key)?;
    let none = || super::failed(format!("there is no key {}; is there a log?", place.key.display()));
    Ok(key.ok_or_else(none)?.verifying(&format!("{}/audit/{shard}", place.domain)))
}

/// Enters what happens to lists of revoked certificates in the record, beside the log for people.
pub(crate) fn lists(records: Arc<Records>) -> Hook {
    let log = logged();
    Arc::new(move |event| {
        log(event);
        let (operation, domain, result, detail) = match event {
            Event::Accepted { domain, authority, number, .. } => {
                let number = number.as_deref().unwrap_or("-");
                ("trust.list", domain, Ok(()), format!("number {number} of {authority}"))
            }
            Event::Refused { domain, source, reason } => {
                let problem = Problem::new(Code::CrlRefused, "a revocation list was refused");
                ("trust.list", domain, Err(problem), format!("{source}: {reason}"))
            }
            Event::Grace { domain, authority, .. } => {
                ("trust.grace", domain, Ok(()), format!("expired list of {authority}"))
            }
            Event::Unsaved { domain, problem } => ("trust.list", domain, Err(problem.clone()), "not kept".to_owned()),
            // Nothing has changed, or what did was said before.
            Event::Unreachable { .. } | Event::Turned { .. } => return,
        };
        records.did(operation, domain, result.as_ref().err(), Some(&detail));
    })
}
