//! Joins metrics, traces, the access log and the feed behind the one seam that the pipeline knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use moongate_core::Entry;
use moongate_core::entry::Deed;
use moongate_core::seam::{Recorder, TraceContext};

use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::otlp::Exporter;

/// Where entries go: always into the metrics, as a span if the trace is sampled and a collector is configured, and as
/// a log line if the access log is on, and to whoever watches the feed.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Arc<Metrics>,
    exporter: Option<Exporter>,
    access: AtomicBool,
    feed: Arc<Feed>,
}

impl Telemetry {
    /// Joins what there is.
    pub fn new(metrics: Arc<Metrics>, exporter: Option<Exporter>, access: bool) -> Self {
        Self { metrics, exporter, access: AtomicBool::new(access), feed: Arc::default() }
    }

    /// The numbers.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What happens, for whoever watches.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Turns the access log on or off.
    pub fn set_access(&self, on: bool) {
        self.access.store(on, Relaxed);
    }

    /// Sends the spans that still wait, for at most `within`; none are taken afterwards.
    pub async fn close(&self, within: Duration) {
        if let Some(exporter) = &self.exporter {
            exporter.close(within).await;
        }
    }
}

impl Recorder for Telemetry {
    fn record(&self, entry: Entry, trace: Option<&TraceContext>) {
        self.metrics.record(&entry);
        self.feed.request(&entry, trace);
        if self.access.load(Relaxed) {
            access_line(&entry);
        }
        if let (Some(exporter), Some(trace)) = (&self.exporter, trace.filter(|trace| trace.sampled)) {
            exporter.offer(entry, *trace);
        }
    }

    fn note(&self, deed: Deed) {
        self.feed.deed(&deed);
    }
}

fn access_line(entry: &Entry) {
    tracing::info!(
        target: "moongate::access",
        request = %entry.request,
        source = &*entry.source,
        domain = &*entry.domain,
        agent = &*entry.target,
        instance = &*entry.instance,
        operation = entry.operation.as_str(),
        listener = entry.listener.as_str(),
        result = entry.result,
        code = entry.code.map(tracing::field::display),
        rule = &*entry.rule,
        took_us = u64::try_from(entry.took.as_micros()).unwrap_or(u64::MAX),
    );
}

#[cfg(test)]
mod tests {
    use moongate_core::{Code, Listener, Operation, Time};

    use super::*;
    use crate::log::tests::logged;

    #[test]
    fn the_access_log_has_a_line_for_each_request_while_it_is_on() {
        let telemetry = Telemetry::new(Arc::default(), None, false);
        let entry = |request: &str, code: Option<Code>| Entry {
            request: request.into(),
            source: "local".into(),
            domain: "home.example".into(),
            address: [127, 0, 0, 1].into(),
            target: "lights".into(),
            instance: "lights@2".into(),
            skill: None,
            task: None,
            operation: Operation::Send,
            listener: Listener::Plain,
            result: if code.is_none() { "done" } else { "failed" },
            code,
            rule: "routes[2]".into(),
            cleared_by: "-".into(),
            intent: None,
            at: Time(0),
            took: Duration::from_micros(1234),
        };
        let text = logged(true, |_| {
            telemetry.record(entry("first", None), None);
            telemetry.set_access(true);
            telemetry.record(entry("second", None), None);
            telemetry.record(entry("third", Some(Code::AgentTimeout)), None);
        });
        let [done, failed] = <[&str; 2]>::try_from(text.lines().collect::<Vec<_>>()).unwrap();
        for member in [
            r#""request":"second""#,
            r#""source":"local""#,
            r#""agent":"lights""#,
            r#""instance":"lights@2""#,
            r#""operation":"send""#,
            r#""listener":"plain""#,
            r#""result":"done""#,
            r#""rule":"routes[2]""#,
            r#""took_us":1234"#,
        ] {
            assert!(done.contains(member), "{member} in {done}");
        }
        assert!(!done.contains(r#""code""#), "{done}");
        assert!(failed.contains(r#""code":"MG-0502""#), "{failed}");
        let text = telemetry.metrics().encode();
        assert!(text.contains(r#"moongate_request_seconds_count{operation="send",agent="lights"} 3"#), "{text}");
    }
}
