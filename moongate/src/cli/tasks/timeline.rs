//! What became of a task, a line for each step.
//!
//! Its words come from agents and strangers, so nothing of them reaches a terminal but letters that are seen.

use moongate_console::timeline::{Log, Step, Timeline};
use moongate_core::{Code, Problem};

use super::super::agents::encoded;
use super::super::client::Client;
use super::super::output::{data, short, talk, written};
use super::super::{Context, Ending, Failure};

/// The longest that words are shown.
const WORDS: usize = 200;
/// The longest that a name is shown.
const NAME: usize = 60;

/// Prints it.
pub(super) fn timeline(context: &Context, client: &Client, id: &str) -> Result<Ending, Failure> {
    let answer = client.api("GET", &format!("/api/v1/tasks/{}/timeline", encoded(id)), None)?;
    if context.json {
        data(&written(&answer));
        return Ok(Ending::Yes);
    }
    let told: Timeline = serde_json::from_value(answer).map_err(|error| {
        Problem::new(Code::CommandFailed, "the gateway's answer is none that this program knows").inside(error)
    })?;
    told.steps.iter().for_each(|step| data(&line(step)));
    let task = &told.task;
    let (state, agent) = (&task.state, short(&task.agent, NAME));
    talk(&format!("task {} is {state} ({}), agent {agent}", short(&task.id, NAME), task.phase));
    if told.more {
        talk("it has more events between those; `moongate tasks watch` prints all");
    }
    match told.log {
        Log::Whole => {}
        Log::Off => talk("no audit log is kept: who asked, and by which rules, is not known"),
        Log::Part => talk("the audit log is longer than was looked at; `moongate audit search --task` finds the rest"),
        Log::Unreadable => talk("the audit log cannot be read; the gateway's log says why"),
    }
    Ok(Ending::Yes)
}

/// A step in one line.
fn line(step: &Step) -> String {
    let who = step.who.as_deref().map(|who| format!("{}: ", short(who, NAME))).unwrap_or_default();
    let mut line = format!("{}  {:<10}  {who}{}", step.at, step.what.as_str(), short(&step.words, WORDS));
    if let Some(code) = &step.code {
        line.push_str(&format!("  {}", short(code, NAME)));
    }
    if let Some((month, number)) = &step.line {
        line.push_str(&format!("  (log {month}, line {number})"));
    }
    line
}
