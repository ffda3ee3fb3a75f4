//! What operators see: numbers, traces and log lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;
use tokio::sync::{Mutex, mpsc};

use crate::support::*;

/// The value of a series that carries all these labels.
fn value(metrics: &str, name: &str, labels: &[(&str, &str)]) -> u64 {
    let fits = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
            && labels.iter().all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
    };
    let values = metrics.lines().filter(fits).filter_map(|line| line.rsplit(' ').next());
    values.map(|value| value.parse::<f64>().unwrap() as u64).sum()
}

#[tokio::test]
async fn requests_are_counted_by_agent_operation_and_result() {
    let a = Agent::start("a", &[json!("a.do")]).await;
    let b = Agent::start("b", &[json!("b.do")]).await;
    let gateway = Gateway::start(MOONGATE, &format!("{}{}", a.entry(), b.entry())).await;
    let plain = gateway.plain();
    for _ in 0..3 {
        send(&plain, "/agents/a", &message("hello")).await;
    }
    send(&plain, "/agents/b", &message("hello")).await;
    b.set_manner(Manner::Unavailable);
    send(&plain, "/agents/b", &message("hello")).await;
    call(&plain, "/a2a", "ListTasks", &json!({})).await;
    call(&plain, "/a2a", "GetTask", &json!({"id": "unknown"})).await;
    let answer = get(&gateway.admin(), "/metrics").await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    let metrics = answer.text();
    let count = |labels: &[(&str, &str)]| value(&metrics, "moongate_requests_total", labels);
    assert_eq!(count(&[("operation", "send"), ("agent", "a"), ("result", "done")]), 3, "{metrics}");
    assert_eq!(count(&[("operation", "send"), ("agent", "b"), ("result", "done")]), 1);
    assert_eq!(count(&[("operation", "send"), ("agent", "b"), ("result", "failed"), ("code", "MG-0501")]), 1);
    assert_eq!(count(&[("operation", "list"), ("agent", "-"), ("result", "done")]), 1);
    assert_eq!(count(&[("operation", "get"), ("agent", "-"), ("result", "failed"), ("code", "MG-0601")]), 1);
    assert_eq!(value(&metrics, "moongate_request_seconds_count", &[("operation", "send"), ("agent", "a")]), 3);
    assert_eq!(value(&metrics, "moongate_upstream_attempts_total", &[("agent", "a")]), 3);
    assert_eq!(value(&metrics, "moongate_in_flight", &[("agent", "a")]), 0);
    assert!(metrics.trim_end().ends_with("# EOF"));
    eventually("the gauges are set", || async {
        value(&get(&gateway.admin(), "/metrics").await.text(), "moongate_agents", &[("health", "up")]) == 2
    })
    .await;
}

/// A collector of traces that keeps what it gets.
struct Collector {
    url: String,
    got: Mutex<mpsc::Receiver<(String, Span)>>,
}

impl Collector {
    async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, got) = mpsc::channel(1024);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| collect(sender.clone(), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Arc::new(Self { url, got: Mutex::new(got) })
    }

    /// The next span, with the name of the service that sent it.
    async fn next(&self) -> (String, Span) {
        soon("a span", async { self.got.lock().await.recv().await.unwrap() }).await
    }
}

async fn collect(
    sender: mpsc::Sender<(String, Span)>,
    request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<Full<Bytes>>, std::io::Error> {
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
    assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    let export = ExportTraceServiceRequest::decode(body).unwrap();
    for resource in export.resource_spans {
        let attributes = resource.resource.unwrap().attributes;
        let service = attributes.iter().find(|pair| pair.key == "service.name").unwrap();
        let Some(AnyValue::StringValue(service)) = service.value.clone().unwrap().value else { panic!("no text") };
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            sender.send((service.clone(), span)).await.unwrap();
        }
    }
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    Ok(http::Response::builder()
        .header("content-type", "application/x-protobuf")
        .body(Full::new(answer.into()))
        .unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(span: &Span) -> BTreeMap<String, String> {
    let text = |value: &AnyValue| match value {
        AnyValue::StringValue(text) => text.clone(),
        other => format!("{other:?}"),
    };
    span.attributes
        .iter()
        .map(|pair| (pair.key.clone(), text(pair.value.as_ref().unwrap().value.as_ref().unwrap())))
        .collect()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

#[tokio::test]
async fn a_trace_leads_from_the_client_through_the_gateway_to_the_agent() {
    let collector = Collector::start().await;
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let toml =
        format!("[telemetry]\notlp = \"{}\"\nservice_name = \"hub\"\nsample = 0\n{}", collector.url, agent.entry());
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let header = format!("00-{TRACE}-{CALLER}-01");
    let request = rpc("SendMessage", &routed("hello", &json!({"skillId": "a.do"})));
    let answer = http("POST", &gateway.plain(), "/a2a", &[V1, ("traceparent", &header)], Some(&request)).await;
    assert_eq!(answer.agent(), "a");
    let (service, span) = collector.next().await;
    assert_eq!(service, "hub");
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), CALLER.to_owned()));
    let told = agent.seen()[0].headers["traceparent"].to_str().unwrap().to_owned();
    assert_eq!(told, format!("00-{TRACE}-{}-01", hex(&span.span_id)), "the agent continues the gateway's span");
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0);
    let attributes = attributes(&span);
    assert!(
        attributes.values().any(|value| value == "a") && attributes.values().any(|value| value == "skill"),
        "{attributes:?}"
    );

    // Who does not sample is not sampled, and the agent hears so.
    let header = format!("00-{TRACE}-{CALLER}-00");
    http("POST", &gateway.plain(), "/a2a", &[V1, ("traceparent", &header)], Some(&request)).await;
    let told = agent.seen()[1].headers["traceparent"].to_str().unwrap().to_owned();
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"), "{told}");
    // Nobody asked and the share is nil: the next span that comes is of the request after these.
    send(&gateway.plain(), "/a2a", &routed("hello", &json!({"skillId": "a.do"}))).await;
    let other = "0af7651916cd43dd8448eb211c80319c";
    let header = format!("00-{other}-{CALLER}-01");
    let failing = rpc("SendMessage", &routed("hello", &json!({"skillId": "no.such"})));
    http("POST", &gateway.plain(), "/a2a", &[V1, ("traceparent", &header)], Some(&failing)).await;
    let (_, span) = collector.next().await;
    assert_eq!(hex(&span.trace_id), other);
    assert!(self::attributes(&span).values().any(|value| value == "MG-0302"), "{:?}", span.attributes);
}

#[tokio::test]
async fn the_share_of_traced_requests_changes_at_once() {
    let collector = Collector::start().await;
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let toml =
        |sample: &str| format!("[telemetry]\notlp = \"{}\"\nsample = {sample}\n{}", collector.url, agent.entry());
    let gateway = Gateway::start(MOONGATE, &toml("0")).await;
    let load = Load::start(gateway.plain(), "/agents/a");
    load.goes_on(10).await;
    assert_eq!(reload(&gateway, &toml("1")).await["telemetry.sample"], "applied");
    let (service, span) = collector.next().await;
    assert_eq!(service, "moongate");
    assert!(span.parent_span_id.is_empty(), "the gateway began this trace itself");
    load.stop().await;
    let exported = || async {
        value(&get(&gateway.admin(), "/metrics").await.text(), "moongate_spans_total", &[("result", "exported")])
    };
    eventually("exports are counted", || async { exported().await > 0 }).await;
}

#[tokio::test]
async fn traces_pass_through_where_nobody_collects_them() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let gateway = Gateway::start(MOONGATE, &agent.entry()).await;
    let header = format!("00-{TRACE}-{CALLER}-01");
    let request = rpc("SendMessage", &message("hello"));
    let headers = [V1, ("traceparent", header.as_str()), ("tracestate", "vendor=1")];
    http("POST", &gateway.plain(), "/a2a", &headers, Some(&request)).await;
    let told = agent.seen()[0].headers.clone();
    assert!(told["traceparent"].to_str().unwrap().starts_with(&format!("00-{TRACE}-")), "{told:?}");
}

#[tokio::test]
async fn log_lines_are_json_and_name_the_request() {
    let agent = Agent::start("a", &[json!("a.do")]).await;
    let toml = format!("[log]\nformat = \"json\"\naccess = true\n{}", agent.entry());
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let from = gateway.log_lines().len();
    send(&gateway.plain(), "/agents/a", &message("words that are nobody's business")).await;
    let line = gateway.logged(from, |line| line["target"] == "moongate::access").await;
    for (member, value) in [
        ("agent", "a"),
        ("operation", "send"),
        ("result", "done"),
        ("rule", "path"),
        ("listener", "plain"),
        ("level", "INFO"),
    ] {
        assert_eq!(line[member], value, "{line}");
    }
    assert!(line["request"].is_string() && line["took_us"].is_u64() && line["timestamp"].is_string(), "{line}");
    agent.set_manner(Manner::Unavailable);
    send(&gateway.plain(), "/agents/a", &message("words that are nobody's business")).await;
    let line = gateway.logged(from, |line| line["target"] == "moongate::access" && line["result"] == "failed").await;
    assert_eq!(line["code"], "MG-0501", "{line}");
    assert!(gateway.log_lines().iter().all(serde_json::Value::is_object), "every line is JSON");
    assert!(!gateway.log_text().contains("nobody's business"), "what people say is not logged");
}
