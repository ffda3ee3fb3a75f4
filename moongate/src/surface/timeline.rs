//! `GET /api/v1/tasks/{id}/timeline`: what became of one task, for the operator at this machine.
//!
//! Three know of it, and each step says which one: the store (states, what the agent said), the desk where people are asked
//! (questions and answers), and the audit log (who asked by what request, which rule decided, what an operator did). What only
//! read the task leaves no step. The log is looked at from when the task began, as far as it is signed and within limits.

mod desk;
mod lines;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use moongate_a2a::endpoint::{ReplyBody, json_response, problem_response};
use moongate_a2a::tasks::{Row, fold};
use moongate_a2a::{api, moment};
use moongate_approval::Stored;
use moongate_console::timeline::{Source, Step, Subject, Timeline, What};
use moongate_core::seam::tasks::Event;
use moongate_core::{Code, Listener, Problem, TaskId, TaskState};
use moongate_transport::Peer;
use serde_json::Value;

use super::Surface;
use lines::Line;

const NOUN: &str = "/api/v1/tasks/";
/// So many of the first events are shown, and so many of the last.
const HALF: u32 = 500;

/// The task whose timeline a path is.
pub(super) fn task_of(path: &str) -> Option<TaskId> {
    let id = path.trim_end_matches('/').strip_prefix(NOUN)?.strip_suffix("/timeline")?;
    (!id.is_empty() && !id.contains('/')).then(|| TaskId::from(api::decoded(id)))
}

impl Surface {
    /// Answers the operator.
    pub(super) async fn timeline<B>(
        &self,
        listener: Listener,
        peer: Peer,
        id: &TaskId,
        request: Request<B>,
    ) -> Response<ReplyBody> {
        let answered = async {
            self.operator(listener, peer, request.headers(), "timelines of tasks").await?;
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                return Err(Problem::new(Code::HttpMethodNotAllowed, "a timeline is read with GET"));
            }
            self.timeline_of(id).await
        };
        match answered.await {
            Ok(timeline) => json_response(StatusCode::OK, &timeline),
            Err(problem) => problem_response(&problem),
        }
    }

    /// The view.
    ///
    /// # Errors
    /// `TaskNotFound`; the store cannot be read.
    pub(super) async fn timeline_of(&self, id: &TaskId) -> Result<Value, Problem> {
        let row = self.endpoint.gateway().tasks.any(id).await?;
        let row = row.ok_or_else(|| Problem::new(Code::TaskNotFound, format!("there is no task {id}")))?;
        row.saved().await?;
        let (events, more) = self.events_of(&row).await?;
        let (lines, log) = self.lines_of(id, row.task().created_at).await;
        let questions = self.questions_of(id, &events, &lines).await?;
        let mut steps = store::steps(&events);
        steps.extend(questions.iter().flat_map(|question| desk::steps(question, &lines)));
        steps.extend(lines::steps(&lines, &questions));
        if !steps.iter().any(|step| step.what == What::Received) {
            steps.push(came(&row, steps.iter().map(|step| step.at.as_str()).min()));
        }
        steps.sort_by(|one, other| (&one.at, one.what).cmp(&(&other.at, other.what)));
        let timeline = Timeline { task: subject(&row), steps, log, more };
        serde_json::to_value(timeline)
            .map_err(|error| Problem::new(Code::Internal, "the timeline cannot be told").inside(error))
    }

    /// The first and the last events; whether there are more between them.
    async fn events_of(&self, row: &Arc<Row>) -> Result<(Vec<Event>, bool), Problem> {
        let (tasks, told) = (self.endpoint.gateway().tasks.store().tasks(), row.told());
        let mut events = tasks.events(row.id.clone(), 0, HALF).await?;
        let half = u64::from(HALF);
        if told > half {
            events.extend(tasks.events(row.id.clone(), half.max(told - half), HALF).await?);
        }
        events.retain(|event| event.seq <= told);
        Ok((events, told > 2 * half))
    }

    /// The questions about a task: those that its events and the log name, and those that are open.
    async fn questions_of(&self, id: &TaskId, events: &[Event], lines: &[Line]) -> Result<Vec<Stored>, Problem> {
        let desk = &self.endpoint.gateway().desk;
        let mut found: BTreeMap<Arc<str>, Stored> = BTreeMap::new();
        let named = store::questions(events);
        for id in lines.iter().filter_map(Line::approval).chain(named.iter().map(String::as_str)) {
            if !found.contains_key(id)
                && let Some(question) = desk.find(id).await?
            {
                found.insert(id.into(), question);
            }
        }
        found.extend(desk.pending().await?.into_iter().map(|question| (question.approval.id.clone(), question)));
        // What an agent or a stranger says of a question counts for nothing.
        Ok(found.into_values().filter(|question| question.task() == id.as_str()).collect())
    }
}

/// Where no line of the log says by which request it came.
fn came(row: &Row, first: Option<&str>) -> Step {
    let made = moment::write(row.task().created_at);
    // Who is asked first is asked before the task is made.
    let at = first.filter(|first| **first < *made).map_or_else(|| made.clone(), str::to_owned);
    let words = format!("a message for {}", row.agent);
    Step { who: Some(row.owner.to_string()), ..Step::new(at, What::Received, Source::Store, words) }
}

fn subject(row: &Row) -> Subject {
    let task = row.task();
    Subject {
        id: task.id.to_string(),
        owner: task.owner.to_string(),
        agent: task.agent.to_string(),
        instance: task.instance.map(|instance| instance.to_string()),
        skill: task.skill.map(|skill| skill.to_string()),
        context: task.context.map(|context| context.to_string()),
        state: word(task.state),
        phase: task.phase.as_str().to_owned(),
        created_at: moment::write(task.created_at),
        status_at: moment::write(task.status_at),
        over: task.state.is_terminal(),
    }
}

/// A state in short, as users write it.
fn word(state: TaskState) -> String {
    fold::state_name(state).trim_start_matches("TASK_STATE_").to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_is_that_of_the_task_in_its_path() {
        assert_eq!(task_of("/api/v1/tasks/t%201/timeline/"), Some("t 1".into()));
        for path in
            ["/api/v1/tasks/timeline", "/api/v1/tasks//timeline", "/api/v1/tasks/a/b/timeline", "/api/v1/tasks/a"]
        {
            assert_eq!(task_of(path), None, "{path}");
        }
    }
}
