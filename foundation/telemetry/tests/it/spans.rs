//! What a collector of traces gets: its own published types read our bytes; time is simulated.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moongate_core::seam::{Dialer, Fetch, Fetched, Later, Recorder, TraceContext};
use moongate_core::{Code, Operation, Problem};
use moongate_telemetry::{Exporter, ExporterConfig, Metrics, Telemetry, trace};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use crate::entry;

/// A collector that answers as it was told, then with 200, and lets each answer out when it has a permit.
struct Collector {
    answers: Mutex<VecDeque<Result<Fetched, Problem>>>,
    got: mpsc::Sender<(Instant, Fetch)>,
    permits: Semaphore,
}

impl Dialer for Collector {
    fn fetch(&self, request: Fetch) -> Later<'_, Result<Fetched, Problem>> {
        Box::pin(async move {
            self.permits.acquire().await.unwrap().forget();
            self.got.send((Instant::now(), request)).await.unwrap();
            self.answers.lock().pop_front().unwrap_or_else(|| Ok(answer(200)))
        })
    }
}

fn answer(status: u16) -> Fetched {
    Fetched { status, headers: Vec::new(), body: Bytes::new() }
}

struct Bed {
    telemetry: Telemetry,
    metrics: Arc<Metrics>,
    collector: Arc<Collector>,
    got: mpsc::Receiver<(Instant, Fetch)>,
}

fn bed(permits: usize, answers: impl IntoIterator<Item = Result<Fetched, Problem>>) -> Bed {
    let (sender, got) = mpsc::channel(64);
    let answers = Mutex::new(answers.into_iter().collect());
    let collector = Arc::new(Collector { answers, got: sender, permits: Semaphore::new(permits) });
    let metrics = Arc::new(Metrics::new());
    let config = ExporterConfig { endpoint: "http://127.0.0.1:4318/".into(), service_name: "hub".into() };
    let exporter = Exporter::start(&config, collector.clone(), &metrics);
    Bed { telemetry: Telemetry::new(metrics.clone(), Some(exporter), false), metrics, collector, got }
}

impl Bed {
    async fn next(&mut self) -> (Instant, Fetch) {
        timeout(Duration::from_secs(120), self.got.recv()).await.expect("nothing was exported").unwrap()
    }

    fn count(&self, result: &str) -> f64 {
        let series = format!("moongate_spans_total{{result=\"{result}\"}} ");
        self.metrics.encode().lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
    }

    fn record(&self, times: usize) {
        for _ in 0..times {
            self.telemetry.record(entry("lights", Operation::Send, "done", None), Some(&sampled()));
        }
    }
}

fn sampled() -> TraceContext {
    trace::start(None, 1_000_000)
}

fn spans(body: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let [resource] = <[_; 1]>::try_from(request.resource_spans).unwrap();
    let [scope] = <[_; 1]>::try_from(resource.scope_spans).unwrap();
    scope.spans
}

fn attributes(of: &[KeyValue]) -> BTreeMap<&str, &str> {
    of.iter()
        .map(|pair| match pair.value.as_ref().unwrap().value.as_ref().unwrap() {
            Value::StringValue(text) => (pair.key.as_str(), text.as_str()),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_collector_reads_the_span_of_a_request() {
    let mut bed = bed(8, []);
    let context = trace::start(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), 0);
    bed.telemetry.record(entry("lights", Operation::Send, "failed", Some(Code::AgentTimeout)), Some(&context));
    bed.telemetry.record(entry("-", Operation::Get, "failed", Some(Code::TaskNotFound)), Some(&sampled()));
    let (_, fetch) = bed.next().await;
    assert_eq!((fetch.method, fetch.url.as_str()), ("POST", "http://127.0.0.1:4318/v1/traces"));
    assert_eq!(fetch.headers, [("content-type".to_owned(), "application/x-protobuf".to_owned())]);

    let request = ExportTraceServiceRequest::decode(&fetch.body[..]).unwrap();
    assert_eq!(request.encode_to_vec(), fetch.body, "no member was lost on either side");
    let resource = request.resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(attributes(&resource.attributes)["service.name"], "hub");

    let [ours, callers] = <[Span; 2]>::try_from(spans(&fetch.body)).unwrap();
    assert_eq!((&ours.trace_id[..], &ours.span_id[..]), (&context.trace_id[..], &context.span[..]));
    assert_eq!(ours.parent_span_id, context.parent.unwrap());
    assert_eq!((ours.name.as_str(), ours.kind(), ours.flags), ("send", SpanKind::Server, 0x301));
    assert_eq!(ours.start_time_unix_nano, 1_700_000_000_000_000_000);
    assert_eq!(ours.end_time_unix_nano - ours.start_time_unix_nano, 1_500_000);
    assert_eq!(ours.status.as_ref().unwrap().code(), StatusCode::Error);
    let named = attributes(&ours.attributes);
    for (key, value) in [
        ("moongate.request_id", "r-1"),
        ("moongate.source", "local"),
        ("moongate.agent", "lights"),
        ("moongate.instance", "lights"),
        ("moongate.operation", "send"),
        ("moongate.rule", "skill"),
        ("moongate.result", "failed"),
        ("moongate.code", "MG-0502"),
        ("error.type", "MG-0502"),
    ] {
        assert_eq!(named.get(key), Some(&value), "{key}");
    }
    assert!(callers.parent_span_id.is_empty());
    assert_eq!((callers.status.is_none(), callers.flags), (true, 1), "the caller's error is none of the span");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_sampled_is_counted_but_not_exported() {
    let mut bed = bed(8, []);
    let unsampled = trace::start(None, 0);
    bed.telemetry.record(entry("lights", Operation::Send, "done", None), Some(&unsampled));
    bed.telemetry.record(entry("lights", Operation::Send, "done", None), None);
    bed.record(1);
    assert_eq!(spans(&bed.next().await.1.body).len(), 1);
    assert!(bed.metrics.encode().contains("moongate_request_seconds_count{operation=\"send\",agent=\"lights\"} 3\n"));
}

#[tokio::test(start_paused = true)]
async fn spans_leave_in_batches_of_512_or_after_a_second() {
    let mut bed = bed(8, []);
    let begin = Instant::now();
    bed.record(513);
    let (at, fetch) = bed.next().await;
    assert_eq!((at - begin, spans(&fetch.body).len()), (Duration::ZERO, 512));
    let (at, fetch) = bed.next().await;
    assert_eq!(spans(&fetch.body).len(), 1);
    assert!((1000..1100).contains(&(at - begin).as_millis()), "{:?}", at - begin);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_away_gets_the_same_batch_again_with_growing_pauses() {
    let away = || Err(Problem::new(Code::AgentUnreachable, "away"));
    let mut patient = answer(503);
    patient.headers.push(("retry-after".into(), "7".into()));
    let mut bed = bed(8, [away(), away(), Ok(patient)]);
    bed.record(3);
    let tries = [bed.next().await, bed.next().await, bed.next().await, bed.next().await];
    let pauses: Vec<_> = tries.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 7]);
    assert!(tries.iter().all(|(_, fetch)| fetch.body == tries[0].1.body));
    bed.telemetry.close(Duration::from_secs(5)).await;
    assert_eq!((bed.count("exported"), bed.count("dropped")), (3.0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn batches_that_nobody_takes_and_rejected_spans_are_counted_as_dropped() {
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too long".into() };
    let mut partly = answer(200);
    partly.body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec().into();
    let lasting = std::iter::repeat_with(|| Ok(answer(503))).take(4);
    let mut bed = bed(16, [Ok(answer(400)), Ok(partly)].into_iter().chain(lasting));
    bed.record(5);
    assert_eq!(spans(&bed.next().await.1.body).len(), 5);
    bed.record(6);
    assert_eq!(spans(&bed.next().await.1.body).len(), 6);
    bed.record(7);
    for _ in 0..4 {
        assert_eq!(spans(&bed.next().await.1.body).len(), 7);
    }
    bed.telemetry.close(Duration::from_secs(5)).await;
    assert_eq!((bed.count("exported"), bed.count("dropped")), (4.0, 5.0 + 2.0 + 7.0));
}

#[tokio::test(start_paused = true)]
async fn a_slow_collector_costs_spans_and_never_a_wait() {
    let bed = bed(0, []);
    let begin = Instant::now();
    bed.record(10_000);
    assert_eq!(begin.elapsed(), Duration::ZERO);
    let dropped = bed.count("dropped");
    assert!((4000.0..10_000.0).contains(&dropped), "{dropped}");
    bed.collector.permits.add_permits(100);
    let Bed { telemetry, metrics, collector, mut got } = bed;
    let reader = tokio::spawn(async move { while got.recv().await.is_some() {} });
    telemetry.close(Duration::from_secs(5)).await;
    let text = metrics.encode();
    assert!(text.contains(&format!("moongate_spans_total{{result=\"exported\"}} {}\n", 10_000.0 - dropped)), "{text}");
    drop((telemetry, collector));
    timeout(Duration::from_secs(5), reader).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_sends_what_waits_and_takes_nothing_more() {
    let mut bed = bed(8, []);
    bed.record(3);
    bed.telemetry.close(Duration::from_secs(5)).await;
    assert_eq!(spans(&bed.next().await.1.body).len(), 3);
    bed.record(2);
    assert_eq!((bed.count("exported"), bed.count("dropped")), (3.0, 2.0));
}

#[tokio::test(start_paused = true)]
async fn closing_waits_no_longer_than_it_was_told() {
    let bed = bed(0, []);
    bed.record(3);
    let begin = Instant::now();
    bed.telemetry.close(Duration::from_secs(5)).await;
    assert_eq!(begin.elapsed(), Duration::from_secs(5));
}
