//! The picture of a moment, as lines for a terminal and as JSON.

use std::io::Write as _;
use std::time::Duration;

use moongate_core::Time;
use serde_json::{Value, json};

use super::figures::{Counts, Look, Pace};
use crate::cli::output::{Palette, short};

/// The longest that an agent's name is shown.
const NAME: usize = 24;
/// The longest that a question is shown.
const SENTENCE: usize = 160;

/// One agent, or the gateway itself.
#[derive(Debug)]
struct Row {
    name: String,
    /// How many instances are how healthy; nothing for the gateway itself.
    healths: Vec<(String, usize)>,
    /// Why its card cannot be used.
    problem: Option<String>,
    counts: Counts,
    pace: Pace,
    waiting: u64,
}

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Picture {
    base: String,
    at: Time,
    span: Duration,
    all: Counts,
    pace: Pace,
    streams: i64,
    connections: i64,
    rows: Vec<Row>,
    questions: Vec<Value>,
}

/// What the API said at a moment.
pub(super) struct Said {
    pub(super) look: Look,
    pub(super) agents: Value,
    pub(super) queue: Value,
    pub(super) approvals: Value,
}

fn text<'v>(view: &'v Value, name: &str) -> &'v str {
    view.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn all<'v>(view: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    view.get(name).and_then(Value::as_array).into_iter().flatten()
}

impl Picture {
    /// Of what was said now, and counted at an earlier look `span` ago.
    pub(super) fn of(base: &str, at: Time, said: &Said, before: &Look, span: Duration) -> Self {
        let nothing = Counts::default();
        let look = &said.look;
        let mut names: Vec<&str> = all(&said.agents, "agents").map(|entry| text(entry, "name")).collect();
        names.extend(look.agents.iter().filter(|(_, counts)| counts.requests > 0).map(|(name, _)| name.as_str()));
        names.extend(all(&said.queue, "queue").map(|lane| text(lane, "agent")));
        names.sort_unstable();
        names.dedup();
        let row = |name: &str| {
            let counts = look.agents.get(name).unwrap_or(&nothing);
            let entries = || all(&said.agents, "agents").filter(|entry| text(entry, "name") == name);
            let healths = ["up", "suspect", "down"]
                .map(|health| (health.to_owned(), entries().filter(|entry| text(entry, "health") == health).count()));
            let lane = all(&said.queue, "queue").find(|lane| text(lane, "agent") == name);
            Row {
                name: name.to_owned(),
                healths: healths.into_iter().filter(|(_, count)| *count > 0).collect(),
                problem: entries().find_map(|entry| Some(entry.pointer("/problem/code")?.as_str()?.to_owned())),
                counts: counts.clone(),
                pace: counts.since(before.agents.get(name).unwrap_or(&nothing), span),
                waiting: lane.and_then(|lane| lane.get("count")?.as_u64()).unwrap_or_default(),
            }
        };
        Self {
            base: base.to_owned(),
            at,
            span,
            all: look.all(),
            pace: look.all().since(&before.all(), span),
            streams: look.streams,
            connections: look.connections,
            rows: names.into_iter().map(row).collect(),
            questions: all(&said.approvals, "approvals").cloned().collect(),
        }
    }

    /// The same for programs.
    pub(super) fn view(&self) -> Value {
        let pace = |pace: &Pace| {
            json!({"requests_per_second": round(pace.requests), "errors_per_second": round(pace.errors),
                "p50_ms": pace.p50_ms.map(round), "p99_ms": pace.p99_ms.map(round)})
        };
        let agents = self.rows.iter().map(|row| {
            let mut view = pace(&row.pace);
            let healths: serde_json::Map<String, Value> =
                row.healths.iter().map(|(health, count)| (health.clone(), json!(count))).collect();
            if let Some(members) = view.as_object_mut() {
                members.insert("name".into(), json!(row.name));
                members.insert("health".into(), Value::Object(healths));
                members.insert("problem".into(), json!(row.problem));
                members.insert("in_flight".into(), json!(row.counts.in_flight));
                members.insert("requests".into(), json!(row.counts.requests));
                members.insert("errors".into(), json!(row.counts.errors));
                members.insert("waiting".into(), json!(row.waiting));
            }
            view
        });
        let questions = self.questions.iter().map(|one| {
            json!({"id": one.get("id"), "class": one.get("class"), "sentence": one.get("sentence"),
                "expires_at": one.get("expires_at").and_then(Value::as_u64).map(|at| moongate_a2a::moment::write(Time(at)))})
        });
        let mut view = pace(&self.pace);
        if let Some(members) = view.as_object_mut() {
            members.insert("at".into(), json!(moongate_a2a::moment::write(self.at)));
            members.insert("span_seconds".into(), json!(round(self.span.as_secs_f64())));
            members.insert("requests".into(), json!(self.all.requests));
            members.insert("errors".into(), json!(self.all.errors));
            members.insert("in_flight".into(), json!(self.all.in_flight));
            members.insert("streams".into(), json!(self.streams));
            members.insert("connections".into(), json!(self.connections));
            members.insert("waiting".into(), json!(self.waiting()));
            members.insert("agents".into(), agents.collect());
            members.insert("questions".into(), questions.collect());
        }
        view
    }

    fn waiting(&self) -> u64 {
        self.rows.iter().map(|row| row.waiting).sum()
    }

    /// The picture in lines, none of them longer than `columns` letters.
    pub(super) fn lines(&self, columns: usize, palette: Palette) -> Vec<String> {
        let cut = |line: &str| line.chars().take(columns).collect::<String>();
        let Pace { requests, errors, p50_ms, p99_ms } = self.pace;
        let mut lines = vec![
            palette.bold(&cut(&format!(
                "moongate at {}  {}",
                short(&self.base, 60),
                moongate_a2a::moment::write(self.at)
            ))),
            cut(&format!(
                "{requests:.1} requests/s, {errors:.1} errors/s, p50 {}, p99 {}, over {:.1} s",
                time(p50_ms),
                time(p99_ms),
                self.span.as_secs_f64()
            )),
            cut(&format!(
                "{} in flight, {} streams, {} connections; {} tasks wait for agents, {} questions for people",
                self.all.in_flight,
                self.streams,
                self.connections,
                self.waiting(),
                self.questions.len()
            )),
            String::new(),
            palette.bold(&cut(&format!(
                "{:<NAME$}  {:<18} {:>9} {:>9} {:>8} {:>9} {:>9} {:>10} {:>8} {:>7}",
                "agent", "health", "in flight", "req/s", "err/s", "p50", "p99", "requests", "errors", "waiting"
            ))),
        ];
        for row in &self.rows {
            let line = cut(&row.line());
            let worst = row.healths.last().map_or("up", |(health, _)| health.as_str());
            lines.push(if worst == "up" { line } else { palette.result(worst, &line) });
        }
        if !self.questions.is_empty() {
            lines.push(String::new());
            lines.push(palette.bold(&cut("questions for people; `moongate approve` answers")));
        }
        for one in &self.questions {
            lines.push(cut(&format!("{}  {}", short(text(one, "id"), 40), short(text(one, "sentence"), SENTENCE))));
        }
        lines
    }
}

impl Row {
    fn line(&self) -> String {
        let health = match (self.healths.as_slice(), &self.problem) {
            ([], _) => "-".to_owned(),
            ([(health, 1)], None) => health.clone(),
            ([(health, 1)], Some(code)) => format!("{health} {code}"),
            (several, _) => {
                several.iter().map(|(health, count)| format!("{count} {health}")).collect::<Vec<_>>().join(" ")
            }
        };
        let name = if self.name == "-" { "(the gateway)".to_owned() } else { short(&self.name, NAME) };
        format!(
            "{name:<NAME$}  {health:<18} {:>9} {:>9.1} {:>8.1} {:>9} {:>9} {:>10} {:>8} {:>7}",
            self.counts.in_flight,
            self.pace.requests,
            self.pace.errors,
            time(self.pace.p50_ms),
            time(self.pace.p99_ms),
            self.counts.requests,
            self.counts.errors,
            self.waiting
        )
    }
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn time(ms: Option<f64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms) if ms < 100.0 => format!("{ms:.1} ms"),
        Some(ms) if ms < 10_000.0 => format!("{ms:.0} ms"),
        Some(ms) => format!("{:.0} s", ms / 1000.0),
    }
}

/// A terminal that shows pictures in place of what it showed before; that comes back when this is dropped.
pub(super) struct Terminal;

impl Terminal {
    /// Another screen, without a cursor, on which long lines are cut.
    pub(super) fn take() -> Self {
        put("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J");
        Self
    }

    /// Shows these lines, as many as fit; whether anybody sees it.
    pub(super) fn show(&self, lines: &[String], rows: usize) -> bool {
        let mut shown = String::from("\u{1b}[H");
        let fit = lines.iter().take(rows.max(1)).map(String::as_str).collect::<Vec<_>>();
        shown.push_str(&fit.join("\u{1b}[K\r\n"));
        shown.push_str("\u{1b}[K\u{1b}[J");
        put(&shown)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        put("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l");
    }
}

fn put(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(agent: &str) -> Picture {
        let label = agent.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let metrics = format!("moongate_requests_total{{agent=\"{label}\",result=\"done\"}} 30\nmoongate_streams 1\n");
        let said = Said {
            look: Look::read(&metrics),
            agents: json!({"agents": [{"name": agent, "health": "down", "problem": {"code": "MG-0501"}},
                {"name": "two", "health": "up"}, {"name": "two", "health": "down"}]}),
            queue: json!({"queue": [{"agent": agent, "count": 4}]}),
            approvals: json!({"approvals": [{"id": "q1", "class": "critical", "sentence": agent, "expires_at": 0}]}),
        };
        Picture::of("http://127.0.0.1:7444", Time(0), &said, &Look::default(), Duration::from_secs(2))
    }

    #[test]
    fn every_agent_has_a_line_with_its_health_and_what_it_did() {
        let lines = picture("lights").lines(200, Palette::of(false));
        let of = |name: &str| lines.iter().find(|line| line.starts_with(name)).cloned().unwrap_or_default();
        let words: Vec<String> = of("lights ").split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["lights", "down", "MG-0501", "0", "15.0", "0.0", "-", "-", "30", "0", "4"]);
        assert!(of("two ").contains("1 up 1 down"), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("q1  lights")), "{lines:?}");
        let narrow = picture("lights").lines(10, Palette::of(false));
        assert!(narrow.iter().all(|line| line.chars().count() <= 10), "{narrow:?}");
    }

    #[test]
    fn names_of_strangers_move_no_cursor() {
        let hostile = "\u{1b}[2J\u{9b}1A\u{202e}\n\u{7}x";
        let picture = picture(hostile);
        let bad = |letter: char| letter.is_control() || letter == '\u{202e}';
        assert!(picture.lines(300, Palette::of(false)).iter().all(|line| !line.contains(bad)));
        assert_eq!(picture.view()["agents"][0]["name"], hostile, "for programs it is what it is");
    }
}
