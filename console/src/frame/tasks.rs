//! Tasks, the newest status first, and what became of one. Both renew themselves as things happen.

use bytes::Bytes;
use http::Response;
use maud::{Markup, html};
use moongate_core::Problem;
use serde::Deserialize;

use super::layout::shown;
use super::overview::moment;
use super::place::Place;
use super::{Asking, encoded};
use crate::timeline::{Log, Step, Subject, Timeline, What};

const PATH: &str = "/console/tasks";
/// Tasks on one page.
const PAGE: u32 = 50;
/// The states that a list can be of.
const STATES: [&str; 8] =
    ["submitted", "working", "input-required", "auth-required", "completed", "failed", "canceled", "rejected"];

/// `GET /api/v1/tasks`, as far as the page shows it.
#[derive(Debug, Deserialize)]
struct Tasks {
    tasks: Vec<Task>,
    total: u64,
    next_page: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Task {
    id: String,
    owner: String,
    agent: String,
    skill: Option<String>,
    state: String,
    phase: String,
    status_at: String,
}

/// What the list is of.
struct Wanted<'a> {
    agent: &'a str,
    state: &'a str,
}

impl Asking<'_> {
    /// The list, or the one that is named below it.
    pub(super) async fn tasks(&self) -> Result<Response<Bytes>, Problem> {
        let named = Place::at(self.visit.path()).and_then(|place| place.below(self.visit.path())).unwrap_or_default();
        if !named.is_empty() {
            let view: Timeline = self.look(format!("/api/v1/tasks/{named}/timeline")).await?;
            return Ok(self.page(&draw_one(&view)));
        }
        let wanted = |name| self.visit.parameter(name).map(str::trim).unwrap_or_default();
        let (wanted, page) = (Wanted { agent: wanted("agent"), state: wanted("state") }, wanted("page"));
        let (agent, state) = (encoded(wanted.agent), encoded(wanted.state));
        let query = format!("limit={PAGE}&agent={agent}&state={state}&page={}", encoded(page));
        let view: Tasks = self.look(format!("/api/v1/tasks?{query}")).await?;
        Ok(self.page(&draw(&view, &wanted)))
    }
}

fn draw(view: &Tasks, wanted: &Wanted<'_>) -> Markup {
    html! {
        h1 { "Tasks" }
        p class="quiet" { "The newest status first. What callers and agents say to each other is not shown here." }
        form class="search" role="search" method="get" action=(PATH) {
            div class="fields" {
                div {
                    label for="agent" { "Agent" }
                    input id="agent" name="agent" type="search" value=(wanted.agent) placeholder="any" autocomplete="off";
                }
                div {
                    label for="state" { "State" }
                    select id="state" name="state" {
                        option value="" { "any" }
                        @for state in STATES { option value=(state) selected[state == wanted.state] { (state) } }
                    }
                }
            }
            button type="submit" { "Show" }
        }
        section id="tasks" data-live data-events="/console/events" {
            h2 { (view.total) @if view.total == 1 { " task" } @else { " tasks" } }
            @if view.tasks.is_empty() { p class="quiet" { "None." } }
            ul class="rows" { @for task in &view.tasks { (row(task)) } }
            @if let Some(next) = &view.next_page {
                @let (agent, state) = (encoded(wanted.agent), encoded(wanted.state));
                p { a href={ (PATH) "?agent=" (agent) "&state=" (state) "&page=" (encoded(next)) } { "Older ones" } }
            }
        }
    }
}

fn row(task: &Task) -> Markup {
    let state = short(&task.state);
    html! {
        li {
            (pill(&state, &state))
            div class="rest" {
                a href={ (PATH) "/" (encoded(&task.id)) } {
                    (shown(&task.agent)) @if let Some(skill) = &task.skill { " · " (shown(skill)) }
                }
                p class="quiet small" { "by " (shown(&task.owner)) " · " (shown(&task.phase)) " · " code { (shown(&task.id)) } }
            }
            span class="quiet small" { (moment(&task.status_at)) }
        }
    }
}

/// `TASK_STATE_INPUT_REQUIRED` as people write it.
fn short(state: &str) -> String {
    state.trim_start_matches("TASK_STATE_").to_ascii_lowercase().replace('_', "-")
}

fn pill(word: &str, state: &str) -> Markup {
    let class = match state {
        "completed" | "done" | "yes" | "allowed" | "dispatched" | "approved" => "good",
        "failed" | "rejected" | "denied" | "refused" | "abandoned" => "bad",
        "input-required" | "auth-required" | "asked" => "warn",
        "canceled" | "cancelled" | "expired" => "off",
        _ => "note",
    };
    html! { span class={ "pill " (class) } { (shown(word)) } }
}

fn draw_one(view: &Timeline) -> Markup {
    let task = &view.task;
    let events = format!("/console/events?task={}", encoded(&task.id));
    html! {
        p class="kicker" { a href=(PATH) { "Tasks" } }
        h1 { (shown(&task.agent)) @if let Some(skill) = &task.skill { ": " (shown(skill)) } }
        div id="task" data-live data-events=(events) {
            (subject(task))
            section {
                h2 { "What became of it" }
                ol class="timeline" { @for step in &view.steps { (one_step(step)) } }
                @if view.more { p class="quiet small" { "Between those there are more events; " code { "moongate tasks watch" } " prints all." } }
                (log(view.log))
            }
        }
    }
}

fn subject(task: &Subject) -> Markup {
    html! {
        p {
            (pill(&task.state, &task.state)) " "
            span class="quiet" {
                "by " (shown(&task.owner)) " · " (shown(&task.phase))
                @if let Some(instance) = &task.instance { " · at " (shown(instance)) }
                " · since " (moment(&task.created_at)) " · " code { (shown(&task.id)) }
            }
        }
    }
}

fn one_step(step: &Step) -> Markup {
    let of_day = step.at.get(11..23).unwrap_or(&step.at);
    html! {
        li class=(kind(step.what)) {
            time datetime=(step.at) { (of_day) }
            div {
                strong { (step.what.as_str()) } " "
                @if let Some(result) = &step.result { (pill(result, result)) " " }
                @if let Some(who) = &step.who { span class="quiet" { "by " (shown(who)) } }
                p { (shown(&step.words)) }
                p class="quiet small" {
                    (step.from.as_str())
                    @if let Some((month, number)) = &step.line { " · " (month) " line " (number) }
                    @if let Some(code) = &step.code { " · " (shown(code)) }
                    @if let Some(request) = &step.request { " · request " code { (shown(request)) } }
                    @if let Some(approval) = &step.approval { " · question " code { (shown(approval)) } }
                }
            }
        }
    }
}

fn kind(what: What) -> &'static str {
    match what {
        What::Asked | What::Decided => "people",
        What::Finished => "end",
        _ => "step",
    }
}

fn log(log: Log) -> Markup {
    let words = match log {
        Log::Whole => "Lines of the audit log are here a second after they were written.",
        Log::Off => "No audit log is kept: who asked, and by which rules, is not known.",
        Log::Part => "The audit log is longer than was looked at.",
        Log::Unreadable => "The audit log cannot be read; the gateway’s log says why.",
    };
    html! { p class="quiet small" { (words) } }
}
