//! A line as it is written: JSON in its canonical form (RFC 8785), so that whoever reads it writes it back alike.
//!
//! It is built by hand, in the order of the names, by the writer's own thread: a request pays for handing it over, not for
//! its text. Nothing of a request's payload is in it.

use std::fmt::Write as _;

use moongate_core::entry::{Deed, Line};
use moongate_core::{Entry, Time};

/// The longest that a line can be; the format's own limit is 65 535.
pub const CAP: usize = 16 * 1024;

/// How what a line speaks of can have ended.
pub const RESULTS: [&str; 8] = ["done", "stream", "accepted", "asked", "failed", "abandoned", "intended", "unknown"];

/// The longest text of a member, as it is written. So many members of this length stay below [`CAP`].
const LONGEST: usize = 1000;

/// What the first lines of a month say: they stand there before it is signed for the first time, and no others do.
pub(crate) const BEGINS: [&str; 2] = ["log.begin", "log.carry"];

/// What a line says that speaks of a month which is not kept any longer.
pub(crate) const REMOVED: &str = "log.removed";

/// Which of the two lines of a deed this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before it.
    Intent,
    /// After it; the number of the line before it.
    Outcome(u64),
    /// The only one.
    Only,
}

/// Writes members in the order in which they are added, which has to be that of their names.
struct Object<'o> {
    out: &'o mut String,
    first: bool,
}

impl<'o> Object<'o> {
    fn begin(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, first: true }
    }

    fn name(&mut self, name: &str) {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        quote(self.out, value);
    }

    /// A text that is left out where there is nothing to say.
    fn known(&mut self, name: &str, value: &str) {
        if value != "-" {
            self.text(name, value);
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        let _ = write!(self.out, "{value}");
    }

    fn end(self) {
        self.out.push('}');
    }
}

/// Writes a line as the log's line number `seq`.
pub(crate) fn write(out: &mut String, line: &Line, seq: u64, phase: Phase) {
    match line {
        Line::Request(entry, trace) => request(out, entry, trace.as_ref(), seq, phase),
        Line::Deed(deed) => self::deed(out, deed, seq, phase),
    }
}

fn request(out: &mut String, entry: &Entry, trace: Option<&[u8; 16]>, seq: u64, phase: Phase) {
    let mut leaf = Object::begin(out);
    if let Some(code) = entry.code {
        leaf.text("code", &code.to_string());
    }
    leaf.known("instance", &entry.instance);
    intent(&mut leaf, phase);
    leaf.text("listener", entry.listener.as_str());
    leaf.text("operation", entry.operation.as_str());
    self::phase(&mut leaf, phase);
    leaf.known("policy", &entry.cleared_by);
    leaf.text("request", entry.request.as_str());
    leaf.text("result", entry.result);
    leaf.known("route", &entry.rule);
    leaf.number("seq", seq);
    if let Some(skill) = &entry.skill {
        leaf.text("skill", skill.as_str());
    }
    source(&mut leaf, &entry.source, &entry.domain, Some(entry.address));
    leaf.text("target", &entry.target);
    if let Some(task) = &entry.task {
        leaf.text("task", task.as_str());
    }
    if phase != Phase::Intent {
        leaf.number("took_us", u64::try_from(entry.took.as_micros()).unwrap_or_default());
    }
    if let Some(trace) = trace {
        leaf.name("trace");
        leaf.out.push('"');
        for byte in trace {
            let _ = write!(leaf.out, "{byte:02x}");
        }
        leaf.out.push('"');
    }
    stamp(&mut leaf, entry.at);
    leaf.end();
}

fn deed(out: &mut String, deed: &Deed, seq: u64, phase: Phase) {
    let mut leaf = Object::begin(out);
    let about = deed.about.as_ref();
    if let Some(about) = about {
        leaf.text("approval", &about.approval);
    }
    if let Some(code) = deed.code {
        leaf.text("code", &code.to_string());
    }
    if let Some(detail) = &deed.detail {
        leaf.text("detail", detail);
    }
    intent(&mut leaf, phase);
    leaf.text("operation", &deed.operation);
    self::phase(&mut leaf, phase);
    leaf.text("result", deed.result);
    leaf.number("seq", seq);
    if let Some(skill) = about.and_then(|about| about.skill.as_ref()) {
        leaf.text("skill", skill);
    }
    source(&mut leaf, &deed.source, &deed.domain, deed.address);
    leaf.text("target", &deed.target);
    if let Some(about) = about {
        leaf.text("task", &about.task);
    }
    stamp(&mut leaf, deed.at);
    leaf.end();
}

/// The first line of a shard: how the one before it ended.
pub(crate) fn opening(out: &mut String, origin: &str, previous: Option<&str>, at: Time) {
    let mut leaf = Object::begin(out);
    leaf.text("operation", "log.begin");
    if let Some(previous) = previous {
        leaf.text("previous", previous);
    }
    leaf.text("result", "done");
    leaf.number("seq", 0);
    source(&mut leaf, "gateway", "-", None);
    leaf.text("target", origin);
    stamp(&mut leaf, at);
    leaf.end();
}

/// Takes an intent of the shard before over into this one, where its outcome will stand.
pub(crate) fn carried(out: &mut String, intent: u64, from: &str, seq: u64, at: Time) {
    let mut leaf = Object::begin(out);
    leaf.text("detail", &format!("line {intent} of {from}"));
    leaf.text("operation", "log.carry");
    leaf.text("phase", "intent");
    leaf.text("result", "intended");
    leaf.number("seq", seq);
    source(&mut leaf, "gateway", "-", None);
    leaf.text("target", from);
    stamp(&mut leaf, at);
    leaf.end();
}

/// A month is not kept any longer; what it was is in its last checkpoint.
pub(crate) fn removed(out: &mut String, origin: &str, checkpoint: &str, seq: u64, at: Time) {
    let mut leaf = Object::begin(out);
    leaf.text("checkpoint", checkpoint);
    leaf.text("operation", REMOVED);
    leaf.text("result", "done");
    leaf.number("seq", seq);
    source(&mut leaf, "gateway", "-", None);
    leaf.text("target", origin);
    stamp(&mut leaf, at);
    leaf.end();
}

/// How an intent ended that nobody else says: `unknown` if an earlier run was cut off, `abandoned` if nobody waited for it.
pub(crate) fn ended(out: &mut String, (intent, what): (u64, &str), result: &str, seq: u64, at: Time) {
    let mut leaf = Object::begin(out);
    leaf.number("intent", intent);
    leaf.text("operation", what);
    leaf.text("phase", "outcome");
    leaf.text("result", result);
    leaf.number("seq", seq);
    source(&mut leaf, "gateway", "-", None);
    leaf.text("target", "-");
    stamp(&mut leaf, at);
    leaf.end();
}

/// So many requests were refused because no line of theirs could be taken.
pub(crate) fn refused(out: &mut String, requests: u64, seq: u64, at: Time) {
    let mut leaf = Object::begin(out);
    leaf.text("detail", &format!("{requests} requests were refused while the log could not be written"));
    leaf.text("operation", "log.refused");
    leaf.text("result", "done");
    leaf.number("seq", seq);
    source(&mut leaf, "gateway", "-", None);
    leaf.text("target", "-");
    stamp(&mut leaf, at);
    leaf.end();
}

fn intent(leaf: &mut Object<'_>, phase: Phase) {
    if let Phase::Outcome(seq) = phase {
        leaf.number("intent", seq);
    }
}

fn phase(leaf: &mut Object<'_>, phase: Phase) {
    match phase {
        Phase::Intent => leaf.text("phase", "intent"),
        Phase::Outcome(_) => leaf.text("phase", "outcome"),
        Phase::Only => {}
    }
}

fn source(leaf: &mut Object<'_>, id: &str, domain: &str, address: Option<std::net::IpAddr>) {
    leaf.name("source");
    let mut source = Object::begin(leaf.out);
    source.known("domain", domain);
    source.text("id", id);
    if let Some(address) = address {
        source.text("ip", &address.to_string());
    }
    source.end();
}

fn stamp(leaf: &mut Object<'_>, at: Time) {
    leaf.name("ts");
    leaf.out.push('"');
    moment(leaf.out, at);
    leaf.out.push('"');
    leaf.number("v", 1);
}

/// RFC 3339 in UTC, to the millisecond.
pub(crate) fn moment(out: &mut String, at: Time) {
    let (year, month, day) = date(at);
    let millis = at.0 % 86_400_000;
    let (hour, minute) = (millis / 3_600_000, millis / 60_000 % 60);
    let (second, rest) = (millis / 1000 % 60, millis % 1000);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{rest:03}Z");
}

/// The shard that a moment belongs to: its month.
pub(crate) fn month(at: Time) -> String {
    let (year, month, _) = date(at);
    format!("{year:04}-{month:02}")
}

/// The day of a moment in the Gregorian calendar (days are counted from 1 March of the year 0).
fn date(at: Time) -> (u64, u64, u64) {
    let days = at.0 / 86_400_000 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// Writes a string as RFC 8785 wants it; one that is too long ends with `…`.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    let limit = out.len() + LONGEST;
    for letter in text.chars() {
        if out.len() >= limit {
            out.push('…');
            break;
        }
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if u32::from(control) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use moongate_core::{Code, Listener, Operation};
    use proptest::prelude::*;

    use super::*;

    fn entry(text: &str) -> Entry {
        let shared: Arc<str> = text.into();
        Entry {
            request: text.into(),
            source: shared.clone(),
            domain: shared.clone(),
            address: [127, 0, 0, 1].into(),
            target: shared.clone(),
            instance: shared.clone(),
            skill: Some(text.into()),
            task: Some(text.into()),
            operation: Operation::Send,
            listener: Listener::Plain,
            result: "failed",
            code: Some(Code::AgentTimeout),
            rule: shared.clone(),
            cleared_by: shared,
            intent: None,
            at: Time(1_795_802_096_789),
            took: Duration::from_micros(1234),
        }
    }

    fn deed(text: &str) -> Deed {
        let shared: Arc<str> = text.into();
        Deed {
            operation: text.to_owned().into(),
            source: shared.clone(),
            domain: shared.clone(),
            address: None,
            target: shared.clone(),
            result: "done",
            code: None,
            detail: Some(shared),
            about: None,
            intent: None,
            at: Time(0),
        }
    }

    fn canonical(leaf: &str) -> String {
        let value: serde_json::Value = serde_json::from_str(leaf).unwrap();
        serde_json_canonicalizer::to_string(&value).unwrap()
    }

    fn written(line: &Line, phase: Phase) -> String {
        let mut out = String::new();
        write(&mut out, line, 42, phase);
        out
    }

    #[test]
    fn a_request_says_who_asked_whom_for_what_how_it_ended_and_when() {
        let mut entry = entry("lights");
        entry.cleared_by = "-".into();
        let line = written(&Line::Request(entry, Some([0xab; 16])), Phase::Only);
        let expected = concat!(
            r#"{"code":"MG-0502","instance":"lights","listener":"plain","operation":"send","request":"lights","#,
            r#""result":"failed","route":"lights","seq":42,"skill":"lights","#,
            r#""source":{"domain":"lights","id":"lights","ip":"127.0.0.1"},"target":"lights","task":"lights","took_us":1234,"#,
            r#""trace":"abababababababababababababababab","ts":"2026-11-27T17:54:56.789Z","v":1}"#,
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (day, expected) in
            [(0, "1970-01-01"), (11_016, "2000-02-29"), (20_789, "2026-12-02"), (47_541, "2100-03-01")]
        {
            let mut out = String::new();
            moment(&mut out, Time(day * 86_400_000));
            assert_eq!(&out[..10], expected);
        }
        assert_eq!(month(Time(20_787 * 86_400_000)), "2026-11");
    }

    proptest! {
        #[test]
        fn every_line_is_canonical_and_below_the_cap(text in "(?s).{0,40}|[\\x00-\\x1f\"\\\\]{0,3000}", seq in 0..9_007_199_254_740_992_u64) {
            for phase in [Phase::Only, Phase::Intent, Phase::Outcome(seq)] {
                for line in [Line::Request(entry(&text), Some([7; 16])), Line::Deed(deed(&text))] {
                    let mut out = String::new();
                    write(&mut out, &line, seq, phase);
                    prop_assert!(out.len() <= CAP, "{}", out.len());
                    prop_assert_eq!(canonical(&out), out);
                }
            }
        }
    }

    #[test]
    fn lines_of_the_log_itself_are_canonical() {
        let mut out = String::new();
        opening(&mut out, "home.example/audit/2026-12", Some("a\n1\n"), Time(1));
        assert_eq!(canonical(&out), out);
        out.clear();
        carried(&mut out, 3, "home.example/audit/2026-11", 1, Time(1));
        assert_eq!(canonical(&out), out);
        out.clear();
        ended(&mut out, (3, "send"), "unknown", 9, Time(1));
        assert_eq!(canonical(&out), out);
        out.clear();
        removed(&mut out, "home.example/audit/2026-11", "a\n1\n", 9, Time(1));
        assert_eq!(canonical(&out), out);
        out.clear();
        refused(&mut out, 7, 9, Time(1));
        assert_eq!(canonical(&out), out);
    }
}
