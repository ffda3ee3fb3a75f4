//! What happened between two looks at `/metrics`: how many requests, how many of them failed, how long they took.
//!
//! Counters only grow; a gateway that was started anew begins at none, and then the second look alone counts.

use std::collections::BTreeMap;
use std::time::Duration;

/// What was counted for one agent up to a look, over all operations.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts {
    /// Requests that have ended.
    pub(super) requests: u64,
    /// Those of them that failed.
    pub(super) errors: u64,
    /// Upper bounds in seconds, and how many took no longer.
    buckets: Vec<(f64, u64)>,
    /// Requests that the agent has not answered yet.
    pub(super) in_flight: i64,
}

/// One look.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Look {
    /// By agent; the gateway itself is `-`.
    pub(super) agents: BTreeMap<String, Counts>,
    /// Open streams of events.
    pub(super) streams: i64,
    /// Open connections.
    pub(super) connections: i64,
}

/// What happened between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pace {
    /// Requests a second.
    pub(super) requests: f64,
    /// Failures a second.
    pub(super) errors: f64,
    /// Half of the requests took no longer; none without requests.
    pub(super) p50_ms: Option<f64>,
    /// All but one in a hundred took no longer.
    pub(super) p99_ms: Option<f64>,
}

impl Look {
    /// Reads OpenMetrics text; what is not known here is left out.
    pub(super) fn read(text: &str) -> Self {
        let mut look = Self::default();
        for (name, labels, value) in text.lines().filter_map(sample) {
            let label = |wanted: &str| labels.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str());
            let agent = label("agent").unwrap_or_default();
            match name {
                "moongate_streams" => look.streams = value as i64,
                "moongate_connections" => look.connections += value as i64,
                "moongate_in_flight" => look.of(agent).in_flight = value as i64,
                "moongate_requests_total" => {
                    let counts = look.of(agent);
                    counts.requests += value as u64;
                    if label("result") == Some("failed") {
                        counts.errors += value as u64;
                    }
                }
                "moongate_request_seconds_bucket" => {
                    let bound = match label("le") {
                        Some("+Inf") => f64::INFINITY,
                        bound => bound.and_then(|bound| bound.parse().ok()).unwrap_or(f64::INFINITY),
                    };
                    look.of(agent).took(bound, value as u64);
                }
                _ => {}
            }
        }
        look
    }

    fn of(&mut self, agent: &str) -> &mut Counts {
        self.agents.entry(agent.to_owned()).or_default()
    }

    /// All agents together.
    pub(super) fn all(&self) -> Counts {
        let mut all = Counts::default();
        for counts in self.agents.values() {
            all.requests += counts.requests;
            all.errors += counts.errors;
            all.in_flight += counts.in_flight;
            counts.buckets.iter().for_each(|(bound, count)| all.took(*bound, *count));
        }
        all
    }
}

impl Counts {
    fn took(&mut self, bound: f64, count: u64) {
        match self.buckets.binary_search_by(|(held, _)| held.total_cmp(&bound)) {
            Ok(place) => {
                if let Some((_, held)) = self.buckets.get_mut(place) {
                    *held += count;
                }
            }
            Err(place) => self.buckets.insert(place, (bound, count)),
        }
    }

    /// What happened since an earlier look, `span` ago.
    pub(super) fn since(&self, before: &Self, span: Duration) -> Pace {
        let nothing = Self::default();
        let before = if before.requests > self.requests { &nothing } else { before };
        let seconds = span.as_secs_f64().max(0.001);
        let earlier =
            |bound: f64| before.buckets.iter().find(|(held, _)| *held == bound).map_or(0, |(_, count)| *count);
        let came: Vec<(f64, u64)> =
            self.buckets.iter().map(|(bound, count)| (*bound, count.saturating_sub(earlier(*bound)))).collect();
        Pace {
            requests: self.requests.saturating_sub(before.requests) as f64 / seconds,
            errors: self.errors.saturating_sub(before.errors) as f64 / seconds,
            p50_ms: quantile_ms(&came, 0.5),
            p99_ms: quantile_ms(&came, 0.99),
        }
    }
}

/// The time that a share of the requests did not exceed, evenly spread over its bucket; what lies beyond the last bound counts
/// as that bound.
fn quantile_ms(buckets: &[(f64, u64)], share: f64) -> Option<f64> {
    let all = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0)?;
    let wanted = (share * all as f64).max(1.0);
    let (mut from, mut below) = (0.0, 0_u64);
    for (bound, count) in buckets {
        if *count as f64 >= wanted {
            let to = if bound.is_finite() { *bound } else { from };
            let part = (wanted - below as f64) / (count - below).max(1) as f64;
            return Some((from + (to - from) * part) * 1000.0);
        }
        (from, below) = (*bound, *count);
    }
    None
}

type Labels<'t> = Vec<(&'t str, String)>;

/// A line of OpenMetrics: its name, its labels and its value.
fn sample(line: &str) -> Option<(&str, Labels<'_>, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((label.trim_start_matches(','), value));
            rest = after;
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((name, labels, value))
}

/// A label's value up to the quote that ends it, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut letters) = (String::new(), text.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = concat!(
        "# HELP moongate_requests Requests that have ended\n",
        "moongate_requests_total{operation=\"send\",agent=\"lights\",result=\"done\",code=\"\"} 98\n",
        "moongate_requests_total{operation=\"get\",agent=\"lights\",result=\"failed\",code=\"MG-0502\"} 2\n",
        "moongate_request_seconds_bucket{le=\"0.001\",operation=\"send\",agent=\"lights\"} 90\n",
        "moongate_request_seconds_bucket{le=\"0.01\",operation=\"send\",agent=\"lights\"} 98\n",
        "moongate_request_seconds_bucket{le=\"+Inf\",operation=\"send\",agent=\"lights\"} 98\n",
        "moongate_request_seconds_bucket{le=\"0.001\",operation=\"get\",agent=\"lights\"} 0\n",
        "moongate_request_seconds_bucket{le=\"0.01\",operation=\"get\",agent=\"lights\"} 0\n",
        "moongate_request_seconds_bucket{le=\"+Inf\",operation=\"get\",agent=\"lights\"} 2\n",
        "moongate_connections{listener=\"main\"} 2\nmoongate_connections{listener=\"admin\"} 1\n",
        "moongate_streams 4\nmoongate_in_flight{agent=\"li\\\"g\\\\h\\nts\"} 7\n# EOF\n",
    );

    #[test]
    fn a_look_adds_an_agents_operations_up() {
        let look = Look::read(TEXT);
        let lights = &look.agents["lights"];
        assert_eq!((lights.requests, lights.errors), (100, 2));
        assert_eq!(lights.buckets, [(0.001, 90), (0.01, 98), (f64::INFINITY, 100)]);
        assert_eq!((look.connections, look.streams), (3, 4));
        assert_eq!(look.agents["li\"g\\h\nts"].in_flight, 7);
        assert_eq!(look.all().requests, 100);
    }

    #[test]
    fn between_two_looks_is_what_came_since_the_first() {
        let now = Look::read(TEXT).all();
        let mut before = now.clone();
        (before.requests, before.errors, before.buckets) = (50, 2, vec![(0.001, 50), (0.01, 50), (f64::INFINITY, 50)]);
        let pace = now.since(&before, Duration::from_secs(2));
        assert_eq!((pace.requests, pace.errors), (25.0, 0.0));
        let (half, most) = (pace.p50_ms.unwrap(), pace.p99_ms.unwrap());
        assert!((0.5..=0.7).contains(&half), "{half}");
        assert_eq!(most, 10.0, "beyond the last bound is that bound");
        assert_eq!(now.since(&now, Duration::from_secs(2)), Pace::default());
        let anew = now.since(&Counts { requests: 1000, ..Counts::default() }, Duration::from_secs(2));
        assert_eq!(anew.requests, 50.0, "a gateway that was started anew");
    }
}
