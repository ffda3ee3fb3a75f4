//! Where entries go: to the numbers, spans and lines of telemetry, and to the log that nobody can change quietly, if one is
//! kept.

mod readings;
mod refusals;

use std::hash::Hash;
use std::sync::Arc;

use moongate_audit::{Files, Key, Log, Place, VerifyingKey};
use moongate_config::Config;
use moongate_core::entry::{Deed, Intent, Line, REFUSED};
use moongate_core::seam::{Clock, Later, Recorder, TraceContext};
use moongate_core::{Code, Entry, Problem};
use moongate_identity::revocation::{Event, Hook, logged};
use moongate_telemetry::Telemetry;

use readings::Readings;
use refusals::Refusals;

/// The source of a line where nobody is known.
pub(crate) const NOBODY: &str = "-";

/// Both.
pub(crate) struct Records {
    pub(crate) telemetry: Arc<Telemetry>,
    log: Option<Log>,
    place: Place,
    pub(crate) clock: Arc<dyn Clock>,
    domain: Arc<str>,
    refusals: Refusals,
    readings: Readings,
}

impl Records {
    /// Opens the log if the configuration wants one.
    pub(crate) fn open(config: &Config, telemetry: Arc<Telemetry>, clock: Arc<dyn Clock>) -> Result<Self, Problem> {
        let place = place(config);
        let log = if is_on(config) { Some(Log::open(&place, clock.clone())?) } else { None };
        let (refusals, readings) = (Refusals::default(), Readings::default());
        Ok(Self { telemetry, log, place, clock, domain: config.domain.as_str().into(), refusals, readings })
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
        self.note(self.deed(operation, target, problem, detail));
    }

    /// A line about the gateway itself.
    pub(crate) fn deed(
        &self,
        operation: &'static str,
        target: &str,
        problem: Option<&Problem>,
        detail: Option<&str>,
    ) -> Deed {
        Deed {
            operation: operation.into(),
            source: "gateway".into(),
            domain: self.domain.clone(),
            address: None,
            target: target.into(),
            result: if problem.is_none() { "done" } else { "failed" },
            code: problem.map(|problem| problem.code),
            detail: detail.map(Into::into),
            about: None,
            intent: None,
            at: self.clock.now(),
        }
    }

    /// Whether a line shall say that somebody reads.
    pub(crate) fn tells_reading(&self, what: impl Hash) -> bool {
        self.readings.admits(what, self.clock.now())
    }

    /// The gateway's own domain.
    pub(crate) fn domain(&self) -> &Arc<str> {
        &self.domain
    }

    /// Says how many requests of strangers were refused that have no line of their own.
    pub(crate) fn tell_refusals(&self) {
        let more = self.refusals.rest();
        if more > 0 {
            self.did(REFUSED, "-", None, Some(&format!("{more} more were refused")));
        }
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
        self.tell_refusals();
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
        if is_strangers(&deed) && !self.refusals.admits(deed.at) {
            return;
        }
        self.telemetry.feed().deed(&deed);
        if let Some(log) = &self.log {
            log.record(Line::Deed(deed));
        }
    }

    fn keep(&self, deed: Deed) -> Option<Later<'_, Result<(), Problem>>> {
        self.telemetry.feed().deed(&deed);
        self.log.as_ref().map(|log| log.keep(Line::Deed(deed)))
    }

    fn room(&self) -> Option<Later<'_, Result<(), Problem>>> {
        self.log.as_ref()?.room()
    }

    fn intend(&self, line: Line) -> Option<Later<'_, Result<Intent, Problem>>> {
        self.log.as_ref().map(|log| log.intend(line))
    }
}

/// Whether a line is one that anybody can bring about, and so without end. A token that was given is not.
fn is_strangers(deed: &Deed) -> bool {
    &*deed.source == NOBODY && !(deed.operation == "oauth.token" && deed.result == "done")
}

/// Whether a configuration wants a log.
pub(crate) fn is_on(config: &Config) -> bool {
    // A gateway whose store forgets everything keeps no log either, unless it is told to.
    config.audit.on.unwrap_or(config.store.url != "memory:")
}

/// Where a configuration's log lies. Each domain has its own: a gateway that is renamed begins a new one.
pub(crate) fn place(config: &Config) -> Place {
    let (data, domain) = (&config.data_dir, &config.domain);
    Place {
        folder: config.audit.dir.clone().unwrap_or_else(|| data.join("audit")).join(domain),
        key: data.join("audit.key"),
        mark: data.join(format!("audit.{domain}.mark")),
        domain: domain.clone(),
        keep_months: config.audit.keep_months,
    }
}

/// The public key of a log, under the name of one of its shards.
///
/// # Errors
/// There is no key, or it cannot be read.
pub(crate) fn verifying(place: &Place, shard: &str) -> Result<VerifyingKey, Problem> {
    let key = Key::load(&place.key)?;
    Ok(key.ok_or_else(|| no_key(place))?.verifying(&format!("{}/audit/{shard}", place.domain)))
}

/// What a log without its key is, and what none at all is.
fn no_key(place: &Place) -> Problem {
    let (key, folder) = (place.key.display(), place.folder.display());
    if place.mark.exists() || Files::shards(&place.folder).is_ok() {
        let what =
            format!("{key} is not there, and there is a log in {folder}; put the key back, or name the public one");
        return Problem::new(Code::AuditKeyUnusable, what);
    }
    Problem::new(Code::AuditOff, format!("there is no audit log in {folder}, and no key {key}"))
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
