//! `moongate tap`: what happens at the running gateway, a line each, as it happens.
//!
//! Names come from strangers' cards and tokens, so nothing of them reaches a terminal but letters that are seen.

use std::io::{IsTerminal as _, Write as _};
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use moongate_core::{Code, Problem};
use serde_json::Value;

use super::agents::encoded;
use super::client::{Client, Events};
use super::output::{Palette, short, talk, written};
use super::{Context, Ending, Failure, terminated};

/// The longest that a name is shown.
const NAME: usize = 60;

/// Arguments.
#[derive(Args)]
pub(crate) struct Tap {
    /// Only of this agent.
    #[arg(long)]
    agent: Option<String>,
    /// Only of this skill.
    #[arg(long)]
    skill: Option<String>,
    /// Only what ended so: done, stream, accepted, asked, failed, abandoned, or with a code, as MG-0502.
    #[arg(long, value_parser = result)]
    result: Option<String>,
    /// Only of this caller, as `local` or `operator`.
    #[arg(long)]
    who: Option<String>,
    /// Only of this task.
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// End after so many lines.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    seconds: Option<u64>,
}

/// How requests, questions, agents and tasks can end or stand.
#[rustfmt::skip]
const RESULTS: [&str; 23] = [
    "done", "stream", "accepted", "asked", "failed", "abandoned", "other", "approved", "denied", "expired", "cancelled", "consumed",
    "dispatched", "up", "suspect", "down", "submitted", "working", "completed", "canceled", "rejected", "input-required",
    "auth-required",
];

fn result(text: &str) -> Result<String, String> {
    let known = RESULTS.contains(&text) || Code::parse(text).is_some();
    known.then(|| text.to_owned()).ok_or_else(|| format!("known are {}, and codes, as MG-0502", RESULTS.join(", ")))
}

/// Prints until told to end: Ctrl-C, the limits, a reader that has gone.
pub(crate) fn tap(context: &Context, arguments: &Tap) -> Result<Ending, Failure> {
    let client = Client::new(context)?;
    let palette = Palette::of(std::io::stdout().is_terminal() && !context.json);
    let path = path(arguments);
    Ok(client.run(async {
        let mut end = pin!(terminated());
        let mut limit = pin!(async {
            match arguments.seconds {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        });
        tokio::select! {
            printed = print(&client, &path, context.json, arguments.count, palette) => printed,
            () = &mut end => Ok(Ending::Yes),
            () = &mut limit => Ok(Ending::Yes),
        }
    })?)
}

fn path(arguments: &Tap) -> String {
    let Tap { agent, skill, result, who, task, .. } = arguments;
    let given = [("agent", agent), ("skill", skill), ("result", result), ("who", who), ("task", task)];
    let pairs: Vec<String> =
        given.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(value.as_ref()?)))).collect();
    format!("/api/v1/events?{}", pairs.join("&"))
}

async fn print(
    client: &Client,
    path: &str,
    json: bool,
    count: Option<u64>,
    palette: Palette,
) -> Result<Ending, Problem> {
    let mut events: Events = client.events(path).await?;
    let mut printed = 0;
    while let Some(event) = events.next().await? {
        match event.get("kind").and_then(Value::as_str).unwrap_or_default() {
            "open" => talk("watching; Ctrl-C ends it"),
            "end" => return Err(ended(&event)),
            "lagged" => {
                let lost = event.get("lost").and_then(Value::as_u64).unwrap_or_default();
                talk(&format!("{lost} happenings were lost: this reader is too slow"));
                if json && !line(&written(&event)) {
                    return Ok(Ending::Yes);
                }
            }
            _ => {
                let text = if json { written(&event) } else { self::text(&event, palette) };
                printed += 1;
                if !line(&text) || count.is_some_and(|count| printed >= count) {
                    return Ok(Ending::Yes);
                }
            }
        }
    }
    Err(Problem::new(Code::GatewayUnreachable, "the gateway closed the connection"))
}

/// Why the gateway ended the stream.
fn ended(event: &Value) -> Problem {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    Problem::new(Code::parse(text("code")).unwrap_or(Code::CommandFailed), text("message").to_owned())
}

/// Whether somebody still reads.
fn line(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// An event in one line.
fn text(event: &Value, palette: Palette) -> String {
    let has = |name: &str| event.get(name).and_then(Value::as_str);
    let name = |name: &str| has(name).map_or_else(|| "-".to_owned(), |text| short(text, NAME));
    let result = palette.result(has("result").unwrap_or("-"), &format!("{:<10}", name("result")));
    let mut words = match has("kind") {
        Some("request") => {
            let skill = has("skill").map(|skill| format!(" {}", short(skill, NAME))).unwrap_or_default();
            let took = event.get("took_us").and_then(Value::as_u64).unwrap_or_default();
            let operation = name("operation");
            let whom = if has("agent").is_some() { name("instance") } else { "the gateway".to_owned() };
            format!("{operation:<13} {} → {whom}{skill}  {}", name("who"), milliseconds(took))
        }
        Some("approval") => {
            let by = has("by").map(|by| format!(" by {}", short(by, NAME))).unwrap_or_default();
            format!("{:<13} {}{by} → {}  question {}", "approval", name("who"), name("agent"), name("approval"))
        }
        Some("status") => "status".to_owned(),
        _ => format!("{:<13} {} was {}", "health", name("instance"), name("was")),
    };
    for (label, member) in [("", "code"), ("task ", "task"), ("request ", "request")] {
        if let Some(value) = has(member) {
            words.push_str(&format!("  {label}{}", short(value, NAME)));
        }
    }
    format!("{}  {result} {words}", name("at"))
}

/// Microseconds, readable.
fn milliseconds(us: u64) -> String {
    match us {
        0..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        10_000..10_000_000 => format!("{} ms", us / 1000),
        _ => format!("{} s", us / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_has_a_line() {
        let request = json!({"kind": "request", "at": "2026-11-27T18:54:56.789Z", "who": "local", "operation": "send",
            "agent": "lights", "instance": "lights@2", "skill": "lights.set", "result": "failed", "code": "MG-0502",
            "took_us": 1234, "request": "r1", "task": "t1"});
        assert_eq!(
            text(&request, Palette::of(false)),
            "2026-11-27T18:54:56.789Z  failed     send          local → lights@2 lights.set  1.2 ms  MG-0502  task t1  request r1"
        );
        let approval = json!({"kind": "approval", "at": "T", "who": "alice", "agent": "home", "result": "approved",
            "approval": "a1", "by": "passkey", "task": "t1"});
        assert_eq!(
            text(&approval, Palette::of(false)),
            "T  approved   approval      alice by passkey → home  question a1  task t1"
        );
        let health = json!({"kind": "agent", "at": "T", "agent": "lights", "instance": "lights@2", "was": "up", "result": "down"});
        let status = json!({"kind": "status", "at": "T", "task": "t1", "result": "working"});
        assert_eq!(text(&status, Palette::of(false)), "T  working    status  task t1");
        assert_eq!(text(&health, Palette::of(false)), "T  down       health        lights@2 was up");
    }

    #[test]
    fn names_of_strangers_move_no_cursor_and_turn_no_text_around() {
        let hostile = "\u{1b}[2J\u{9b}1A\u{202e}\n\u{200b}\u{7}x";
        let event = json!({"kind": "request", "at": hostile, "who": hostile, "operation": hostile, "agent": hostile,
            "instance": hostile, "skill": hostile, "result": hostile, "code": hostile, "task": hostile, "request": hostile});
        for shown in [text(&event, Palette::of(false)), written(&event)] {
            let bad = |letter: char| letter.is_control() || matches!(letter, '\u{202e}' | '\u{200b}');
            assert!(!shown.contains(bad), "{shown:?}");
        }
        // What is written for programs says the same as before.
        assert_eq!(serde_json::from_str::<Value>(&written(&event)).unwrap_or_default(), event);
    }
}
