//! `/metrics` as a scraper reads it.

use std::collections::HashSet;
use std::sync::Arc;

use moongate_core::{Code, Listener, Operation};
use moongate_telemetry::Metrics;
use moongate_telemetry::metrics::{ListState, RevocationList};

use crate::entry;

/// The value of the one series that a line begins with.
fn value(text: &str, series: &str) -> Option<f64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = lines.next().map(|value| value.parse().unwrap());
    assert_eq!(lines.next(), None, "{series} appears twice");
    value
}

#[test]
fn a_request_is_counted_by_operation_agent_result_and_code() {
    let metrics = Metrics::new();
    for _ in 0..3 {
        metrics.record(&entry("lights", Operation::Send, "done", None));
    }
    metrics.record(&entry("lights", Operation::Send, "failed", Some(Code::AgentTimeout)));
    metrics.record(&entry("-", Operation::Get, "failed", Some(Code::TaskNotFound)));
    let text = metrics.encode();
    let requests = |labels: &str| value(&text, &format!("moongate_requests_total{{{labels}}}"));
    assert_eq!(requests(r#"operation="send",agent="lights",result="done",code="""#), Some(3.0), "{text}");
    assert_eq!(requests(r#"operation="send",agent="lights",result="failed",code="MG-0502""#), Some(1.0));
    assert_eq!(requests(r#"operation="get",agent="-",result="failed",code="MG-0601""#), Some(1.0));
    let times = |suffix: &str, labels: &str| value(&text, &format!("moongate_request_seconds_{suffix}{{{labels}}}"));
    let lights = r#"operation="send",agent="lights""#;
    assert_eq!(times("count", lights), Some(4.0));
    assert_eq!(times("sum", lights), Some(0.006));
    assert_eq!(times("bucket", &format!(r#"le="0.001",{lights}"#)), Some(0.0));
    assert_eq!(times("bucket", &format!(r#"le="0.0025",{lights}"#)), Some(4.0));
    assert_eq!(times("bucket", &format!(r#"le="60.0",{lights}"#)), Some(4.0));
    assert_eq!(times("bucket", &format!(r#"le="+Inf",{lights}"#)), Some(4.0));
}

#[test]
fn the_text_is_well_formed_openmetrics() {
    let metrics = Metrics::new();
    metrics.record(&entry("other", Operation::Stream, "stream", None));
    metrics.record(&entry("a\"\\\nb", Operation::Cancel, "done", None));
    metrics.set_agents(&[("up", 2), ("down", 1)]);
    let list = |authority: &str, state| RevocationList {
        domain: "car.example".to_owned(),
        authority: authority.to_owned(),
        state,
        next_update: Some(1.5),
    };
    let twins = [ListState::Grace, ListState::Fresh].map(|state| list("CN=\"Car\"", state));
    metrics.set_revocation_lists([twins.to_vec(), vec![list("CN=B", ListState::Missing)]].concat());
    let text = metrics.encode();
    assert!(text.ends_with("\n# EOF\n"));
    let mut seen = HashSet::new();
    let mut described = HashSet::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert!(described.insert(rest.split(' ').next().unwrap()), "{line} described twice");
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, number) = line.rsplit_once(' ').unwrap();
        assert!(number.parse::<f64>().is_ok(), "{line}");
        assert!(seen.insert(series), "{line} appears twice");
        let name = series.split('{').next().unwrap();
        assert!(described.iter().any(|family| name.starts_with(family)), "{line} belongs to no family");
    }
    assert!(text.contains(r#"agent="a\"\\\nb""#), "labels are escaped: {text}");
    assert!(text.contains("# UNIT moongate_request_seconds seconds\n"));
}

#[test]
fn gauges_and_counters_of_other_rooms_appear() {
    let metrics = Metrics::new();
    let _open = [metrics.connections(Listener::Plain).hold(), metrics.connections(Listener::Plain).hold()];
    let _stream = metrics.streams().hold();
    metrics.tasks().set(7);
    metrics.set_agents(&[("up", 9), ("suspect", 9)]);
    metrics.set_agents(&[("up", 3), ("down", 1)]);
    let list = |state, next_update| RevocationList {
        domain: "car.example".to_owned(),
        authority: "CN=Car".to_owned(),
        state,
        next_update,
    };
    metrics.set_revocation_lists(vec![list(ListState::Missing, None)]);
    metrics
        .set_revocation_lists(vec![list(ListState::Grace, Some(1_800_000_000.0)), list(ListState::Fresh, Some(7.0))]);
    metrics.config_reloaded(true);
    metrics.config_reloaded(false);
    metrics.config_reloaded(false);
    let lights = metrics.agent("lights");
    let _sent = lights.in_flight.hold();
    lights.attempts.add(5);
    lights.retries.inc();
    lights.ejections.inc();
    let text = metrics.encode();
    for (series, expected) in [
        ("moongate_connections{listener=\"plain\"}", Some(2.0)),
        ("moongate_connections{listener=\"main\"}", Some(0.0)),
        ("moongate_streams", Some(1.0)),
        ("moongate_tasks", Some(7.0)),
        ("moongate_agents{health=\"up\"}", Some(3.0)),
        ("moongate_agents{health=\"suspect\"}", None),
        ("moongate_agents{health=\"down\"}", Some(1.0)),
        ("moongate_config_reloads_total{result=\"applied\"}", Some(1.0)),
        ("moongate_config_reloads_total{result=\"refused\"}", Some(2.0)),
        ("moongate_revocation_list_state{domain=\"car.example\",authority=\"CN=Car\",state=\"grace\"}", Some(1.0)),
        ("moongate_revocation_list_state{domain=\"car.example\",authority=\"CN=Car\",state=\"fresh\"}", Some(0.0)),
        ("moongate_revocation_list_state{domain=\"car.example\",authority=\"CN=Car\",state=\"missing\"}", Some(0.0)),
        (
            "moongate_revocation_list_next_update_timestamp_seconds{domain=\"car.example\",authority=\"CN=Car\"}",
            Some(1_800_000_000.0),
        ),
        ("moongate_in_flight{agent=\"lights\"}", Some(1.0)),
        ("moongate_upstream_attempts_total{agent=\"lights\"}", Some(5.0)),
        ("moongate_upstream_retries_total{agent=\"lights\"}", Some(1.0)),
        ("moongate_upstream_ejections_total{agent=\"lights\"}", Some(1.0)),
    ] {
        assert_eq!(value(&text, series), expected, "{series} in {text}");
    }
}

#[test]
fn agents_beyond_the_cap_count_as_other_until_one_is_forgotten() {
    let metrics = Metrics::with_cap(2);
    let count = |metrics: &Metrics, agent: &str| {
        let labels = format!(r#"operation="send",agent="{agent}",result="done",code="""#);
        value(&metrics.encode(), &format!("moongate_requests_total{{{labels}}}"))
    };
    for agent in ["one", "two", "three", "four", "-", "one", "other"] {
        metrics.record(&entry(agent, Operation::Send, "done", None));
    }
    let counts = ["one", "two", "three", "four", "other", "-"].map(|agent| count(&metrics, agent));
    assert_eq!(counts, [Some(2.0), Some(1.0), None, None, Some(3.0), Some(1.0)]);
    metrics.forget("one");
    metrics.record(&entry("three", Operation::Send, "done", None));
    assert_eq!([count(&metrics, "one"), count(&metrics, "three")], [None, Some(1.0)]);
}

#[test]
fn no_count_is_lost_between_threads() {
    let metrics = Arc::new(Metrics::new());
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let metrics = metrics.clone();
            std::thread::spawn(move || {
                for round in 0..2000 {
                    let agent = format!("agent-{}", (round + thread) % 7);
                    let code = (round % 3 == 0).then_some(Code::AgentUnreachable);
                    metrics.record(&entry(
                        &agent,
                        Operation::Send,
                        if code.is_some() { "failed" } else { "done" },
                        code,
                    ));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let text = metrics.encode();
    let sum = |name: &str| -> f64 {
        text.lines()
            .filter(|line| line.starts_with(name))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    };
    assert_eq!(sum("moongate_requests_total{"), 8000.0);
    assert_eq!(sum("moongate_request_seconds_count{"), 8000.0);
}
