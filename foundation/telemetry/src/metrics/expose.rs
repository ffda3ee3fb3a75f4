//! The numbers as they read at `/metrics`: names, help, units and labels.

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::series::AgentSeries;
use super::{HERE, OTHER, Shared};

/// Writes everything that [`Shared`] holds, agents in the order of their names.
#[derive(Debug)]
pub(super) struct Exposition(pub(super) Arc<Shared>);

type Named<'a> = Vec<(&'a str, &'a AgentSeries)>;

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let agents = self.0.agents.load();
        let mut named: Named<'_> = agents.iter().map(|(name, series)| (&**name, &**series)).collect();
        named.extend([(HERE, &*self.0.here), (OTHER, &*self.0.other)]);
        named.sort_unstable_by_key(|(name, _)| *name);
        requests(&mut encoder, &named)?;
        upstream(&mut encoder, &named)?;
        self.gauges(&mut encoder)?;
        self.0.lists.encode(&mut encoder)?;
        self.0.notifications.encode(&mut encoder)?;
        self.dispatches(&mut encoder)?;
        self.0.witnesses.encode(&mut encoder)?;
        self.own(&mut encoder)
    }
}

impl Exposition {
    fn gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let shared = &self.0;
        let mut metric = encoder.encode_descriptor("connections", "Open connections", None, MetricType::Gauge)?;
        for (listener, gauge) in &shared.connections {
            metric.encode_family(&[("listener", listener.as_str())])?.encode_gauge(&gauge.value())?;
        }
        let mut metric = encoder.encode_descriptor("streams", "Open streams of events", None, MetricType::Gauge)?;
        metric.encode_gauge(&shared.streams.value())?;
        let mut metric = encoder.encode_descriptor("tasks", "Tasks that are known", None, MetricType::Gauge)?;
        metric.encode_gauge(&shared.tasks.value())?;
        let mut metric = encoder.encode_descriptor("agents", "Instances of agents", None, MetricType::Gauge)?;
        for (health, count) in shared.health.lock().iter() {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            metric.encode_family(&[("health", *health)])?.encode_gauge(&count)?;
        }
        Ok(())
    }

    fn dispatches(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "Time from people's yes until the request goes out";
        let mut metric =
            encoder.encode_descriptor("approval_dispatch", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        let (sum, buckets) = self.0.dispatches.read();
        let count = buckets.iter().map(|(_, count)| count).sum();
        metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn own(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let shared = &self.0;
        let help = "Reloads of the configuration";
        let mut metric = encoder.encode_descriptor("config_reloads", help, None, MetricType::Counter)?;
        for (result, counter) in [("applied", &shared.reloads_applied), ("refused", &shared.reloads_refused)] {
            count(&mut metric, &[("result", result)], counter.value())?;
        }
        let help = "Spans for the collector of traces";
        let mut metric = encoder.encode_descriptor("spans", help, None, MetricType::Counter)?;
        for (result, counter) in [("exported", &shared.spans_exported), ("dropped", &shared.spans_dropped)] {
            count(&mut metric, &[("result", result)], counter.value())?;
        }
        let mut metric = encoder.encode_descriptor("build", "The program itself", None, MetricType::Info)?;
        metric.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
    }
}

fn requests(encoder: &mut DescriptorEncoder<'_>, agents: &Named<'_>) -> Result<(), Error> {
    let help = "Requests that have ended";
    let mut metric = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
    for (agent, series) in agents {
        for (operation, of) in series.operations() {
            for (result, code, times) in of.outcomes() {
                let code = code.map(|code| code.to_string()).unwrap_or_default();
                let labels =
                    [("operation", operation.as_str()), ("agent", *agent), ("result", result), ("code", code.as_str())];
                count(&mut metric, &labels, times)?;
            }
        }
    }
    let help = "Time until the answer or the stream's first event was ready";
    let mut metric = encoder.encode_descriptor("request", help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for (agent, series) in agents {
        for (operation, of) in series.operations() {
            let (sum, buckets) = of.took.read();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let labels = [("operation", operation.as_str()), ("agent", *agent)];
            metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
    }
    Ok(())
}

type Read = fn(&AgentSeries) -> u64;

fn upstream(encoder: &mut DescriptorEncoder<'_>, agents: &Named<'_>) -> Result<(), Error> {
    let help = "Requests sent to the agent and not answered yet";
    let mut metric = encoder.encode_descriptor("in_flight", help, None, MetricType::Gauge)?;
    for (agent, series) in agents.iter().filter(|(agent, _)| *agent != HERE) {
        metric.encode_family(&[("agent", *agent)])?.encode_gauge(&series.in_flight.value())?;
    }
    let counters: [(&str, &str, Read); 3] = [
        ("upstream_attempts", "Requests sent to the agent, retries included", |series| series.attempts.value()),
        ("upstream_retries", "Requests sent again to another instance", |series| series.retries.value()),
        ("upstream_ejections", "Instances taken out of balancing", |series| series.ejections.value()),
    ];
    for (name, help, read) in counters {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (agent, series) in agents.iter().filter(|(agent, _)| *agent != HERE) {
            count(&mut metric, &[("agent", *agent)], read(series))?;
        }
    }
    Ok(())
}

pub(super) fn count(metric: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: u64) -> Result<(), Error> {
    metric.encode_family(labels)?.encode_counter::<NoLabelSet, u64, f64>(&value, None)
}
