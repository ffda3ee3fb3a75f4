//! What the audit log says: by which requests it came, which rules decided, how they ended, and what operators did.

use std::path::Path;

use moongate_a2a::moment;
use moongate_approval::Stored;
use moongate_audit::Files;
use moongate_console::timeline::{Log, Source, Step, What};
use moongate_core::{Problem, TaskId, Time};
use serde_json::Value;

use super::Surface;

/// So many lines are looked at, and so many bytes of each month.
const LINES: usize = 1000;
const BYTES: usize = 64 * 1024 * 1024;
/// Milliseconds by which a request may have come before its task was made.
const EARLIER: u64 = 3_600_000;
/// Operations that only read a task.
const READS: [&str; 5] = ["get", "list", "subscribe", "push_get", "push_list"];

/// A line and where it stands.
pub(super) struct Line {
    month: String,
    number: u64,
    leaf: Value,
}

impl Line {
    fn text(&self, name: &str) -> Option<&str> {
        self.leaf.get(name).and_then(Value::as_str)
    }

    fn operation(&self) -> &str {
        self.text("operation").unwrap_or_default()
    }

    /// A word of its detail, which reads `by=… votes=…`.
    fn word(&self, name: &str) -> Option<&str> {
        let words = self.text("detail")?.split(' ');
        words.filter_map(|word| word.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The question that it is about.
    pub(super) fn approval(&self) -> Option<&str> {
        self.text("approval").filter(|_| self.operation().starts_with("approval."))
    }

    fn is_intent(&self) -> bool {
        self.text("phase") == Some("intent")
    }

    fn place(&self) -> Option<(String, u64)> {
        Some((self.month.clone(), self.number))
    }

    fn step(&self, at: String, what: What, words: String) -> Step {
        // What the gateway does with a request is not done by whoever sent it.
        let theirs = matches!(what, What::Received | What::Operated | What::Decided);
        let who = self.leaf.pointer("/source/id").and_then(Value::as_str).filter(|who| theirs && *who != "-");
        Step {
            who: who.map(str::to_owned),
            line: self.place(),
            request: self.text("request").map(str::to_owned),
            approval: self.approval().map(str::to_owned),
            ..Step::new(at, what, Source::Log, words)
        }
    }
}

/// The last line of this operation that is about this question.
pub(super) fn line_of(lines: &[Line], operation: &str, approval: &str) -> Option<(String, u64)> {
    let is = |line: &&Line| line.operation() == operation && line.approval() == Some(approval);
    lines.iter().rev().find(is).and_then(Line::place)
}

impl Surface {
    /// The lines that speak of a task.
    pub(super) async fn lines_of(&self, id: &TaskId, since: Time) -> (Vec<Line>, Log) {
        let Some(log) = self.records.log() else { return (Vec::new(), Log::Off) };
        let (folder, id) = (log.folder().to_owned(), id.to_string());
        let read = tokio::task::spawn_blocking(move || read(&folder, &id, since)).await;
        match read {
            Ok(Ok((lines, true))) => (lines, Log::Whole),
            Ok(Ok((lines, false))) => (lines, Log::Part),
            Ok(Err(problem)) => {
                tracing::warn!(%problem, "the audit log cannot be read");
                (Vec::new(), Log::Unreadable)
            }
            Err(_) => (Vec::new(), Log::Unreadable),
        }
    }
}

fn read(folder: &Path, id: &str, since: Time) -> Result<(Vec<Line>, bool), Problem> {
    // The request came before its task was made.
    let first = moment::write(Time(since.0.saturating_sub(EARLIER)));
    let first = first.get(..7).unwrap_or_default();
    let (mut lines, mut whole) = (Vec::new(), true);
    for (month, files) in Files::shards(folder)?.into_iter().filter(|(month, _)| month.as_str() >= first) {
        let part = files.of_task(id, since, &files.vkey()?, (LINES.saturating_sub(lines.len()), BYTES))?;
        whole &= part.whole;
        lines.extend(part.found.into_iter().map(|found| Line {
            month: month.clone(),
            number: found.index,
            leaf: found.leaf,
        }));
    }
    Ok((lines, whole))
}

/// The steps of lines; what the desk has told of these questions is left out.
pub(super) fn steps(lines: &[Line], questions: &[Stored]) -> Vec<Step> {
    let mut steps = Vec::new();
    for line in lines {
        let has_ended = |intent: &Line| {
            let names = |other: &&Line| other.leaf.get("intent").and_then(Value::as_u64) == Some(intent.number);
            lines.iter().filter(|other| other.month == intent.month).any(|other| names(&other))
        };
        if line.is_intent() && has_ended(line) {
            continue;
        }
        match (line.approval(), line.text("request")) {
            (Some(id), _) if questions.iter().any(|question| *question.approval.id == *id) => {}
            (Some(_), _) => steps.push(decided(line)),
            (None, Some(_)) if READS.contains(&line.operation()) => {}
            (None, Some(_)) => steps.extend(request(line)),
            // Somebody has looked at it.
            (None, None) if line.operation().ends_with(".read") => {}
            (None, None) => steps.push(operated(line)),
        }
    }
    steps
}

/// A request: that it came, what the rules said, whom it went to, and how it was answered.
fn request(line: &Line) -> Vec<Step> {
    let at = || line.text("ts").unwrap_or_default().to_owned();
    let code = line.text("code").map(str::to_owned);
    let result = line.text("result").unwrap_or_default();
    let from = ["/source/domain", "/source/ip"].map(|place| line.leaf.pointer(place).and_then(Value::as_str));
    let from: Vec<&str> = from.into_iter().flatten().collect();
    let listener = line.text("listener").unwrap_or_default();
    let came = format!("{} by the listener {listener}, from {}", line.operation(), from.join(", "));
    let mut steps = vec![line.step(at(), What::Received, came)];
    let (judged, words) = match (line.text("policy"), result) {
        (Some(rule), "asked") => ("asked", format!("a person has to confirm it: {rule}")),
        (Some(rule), _) => ("allowed", format!("it may pass: {rule}")),
        (None, _) => ("refused", "it went no further".to_owned()),
    };
    let refused = code.clone().filter(|_| judged == "refused");
    steps.push(Step { result: Some(judged.to_owned()), code: refused, ..line.step(at(), What::Judged, words) });
    if let Some(instance) = line.text("instance").filter(|_| judged == "allowed") {
        let by = line.text("route").map(|rule| format!(", by {rule}")).unwrap_or_default();
        steps.push(line.step(at(), What::Dispatched, format!("it went to {instance}{by}")));
    }
    if line.is_intent() {
        steps.push(line.step(at(), What::Answered, "how it ended is not in the log".to_owned()));
        return steps;
    }
    let took = line.leaf.get("took_us").and_then(Value::as_u64).unwrap_or_default();
    let ended = moment::read(&at()).map(|time| moment::write(Time(time.0 + took / 1000))).unwrap_or_else(at);
    let words = format!("{result} after {} ms", took.div_ceil(1000));
    steps.push(Step { result: Some(result.to_owned()), code, ..line.step(ended, What::Answered, words) });
    steps
}

/// A decision that the desk does not know any more.
fn decided(line: &Line) -> Step {
    let word = line.operation().trim_start_matches("approval.");
    let what = if word == "dispatch" { What::Dispatched } else { What::Decided };
    let by = line.word("by").filter(|by| !by.is_empty()).map(|by| format!(", by {by}")).unwrap_or_default();
    let result = if word == "dispatch" { line.text("result").unwrap_or_default() } else { word };
    let at = line.text("ts").unwrap_or_default().to_owned();
    Step {
        result: Some(result.to_owned()),
        code: line.text("code").map(str::to_owned),
        ..line.step(at, what, format!("{word}{by}"))
    }
}

fn operated(line: &Line) -> Step {
    let at = line.text("ts").unwrap_or_default().to_owned();
    let result = if line.is_intent() { "unknown" } else { line.text("result").unwrap_or_default() };
    Step {
        result: Some(result.to_owned()),
        code: line.text("code").map(str::to_owned),
        ..line.step(at, What::Operated, line.operation().to_owned())
    }
}
