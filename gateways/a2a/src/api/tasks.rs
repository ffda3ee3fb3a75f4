//! Tasks, the queue and the store, for operators; a caller without the operator's secret sees its own tasks only.
//!
//! - `GET /api/v1/tasks?agent=&state=&context=&owner=&limit=&page=`, `GET /api/v1/tasks/{id}`
//! - `GET /api/v1/tasks/{id}/events?after=&limit=&wait=`: the log; with `wait`, held until there is something new
//! - `POST /api/v1/tasks/{id}:cancel`, `:pause`, `:resume`, `:redrive`; `POST /api/v1/tasks:redrive` for all
//! - `GET /api/v1/queue`: what waits, by agent
//! - `GET /api/v1/store?inspect=`, `POST /api/v1/store:backup`
//!
//! A task that the caller may not see is answered like one that does not exist.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use moongate_core::seam::tasks::Filter;
use moongate_core::{AgentName, Code, Listener, Principal, PrincipalKind, Problem, TaskId, TaskState};
use moongate_transport::Peer;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::query::{Query, wrong};
use super::{Api, body_of, no_such_path, wrong_method};
use crate::dispatch::Live;
use crate::endpoint::{Place, ReplyBody, json_response};
use crate::gateway::A2aGateway;
use crate::supply::{self, StreamPermit};
use crate::tasks::list::{cursor, read_cursor};
use crate::tasks::{Row, fold, operator, view};

const PAGE: u64 = 50;
const LARGEST_PAGE: u64 = 1000;
/// The longest that a request for events is held.
const LONGEST_WAIT: u64 = 30;

type Answer = Result<Response<ReplyBody>, Problem>;

/// Whether the API's noun is one of those here.
pub(super) fn serves(noun: &str) -> bool {
    ["tasks", "queue", "store"].contains(&noun.split(':').next().unwrap_or_default())
}

fn is_operator(who: &Principal) -> bool {
    who.kind == PrincipalKind::Operator
}

fn only_operator(who: &Principal) -> Result<(), Problem> {
    if is_operator(who) {
        return Ok(());
    }
    Err(Problem::new(Code::Forbidden, "this is for the operator, who is known by the secret file"))
}

fn no_task(id: &TaskId) -> Problem {
    Problem::new(Code::TaskNotFound, format!("there is no task {id}"))
}

fn ok(value: &Value) -> Response<ReplyBody> {
    json_response(StatusCode::OK, value)
}

impl Api {
    fn gateway(&self) -> &Arc<A2aGateway> {
        self.endpoint.gateway()
    }

    /// Answers a request to one of the paths above.
    pub(super) async fn operate(
        &self,
        who: &Principal,
        came: (Listener, Peer),
        segments: &[&str],
        request: Request<Incoming>,
    ) -> Answer {
        let method = request.method().clone();
        match (method, segments) {
            (Method::GET, ["tasks"]) => self.tasks(who, request.uri().query()).await,
            (Method::POST, ["tasks:redrive"]) => {
                only_operator(who)?;
                let redriven = operator::redrive_all(self.gateway()).await?;
                Ok(ok(&json!({"tasks": redriven.tasks, "deliveries": redriven.deliveries})))
            }
            (Method::GET, ["tasks", id, "events"]) => self.events(who, &TaskId::from(*id), request.uri().query()).await,
            (Method::GET, ["tasks", id]) => {
                let row = self.visible(who, &TaskId::from(*id)).await?;
                row.saved().await?;
                self.told(who, &row).await
            }
            (Method::POST, ["tasks", target]) => match target.rsplit_once(':') {
                Some((id, action)) => self.act(who, came, (&TaskId::from(id), action), &request).await,
                None => Err(wrong_method()),
            },
            (Method::GET, ["queue"]) => {
                only_operator(who)?;
                let waiting = self.gateway().tasks.store().tasks().waiting().await?;
                Ok(ok(&json!({"queue": waiting.iter().map(view::waiting).collect::<Vec<_>>()})))
            }
            (Method::GET, ["store"]) => self.store(who, request.uri().query()).await,
            (Method::POST, ["store:backup"]) => self.backup(who, request).await,
            (_, ["tasks" | "tasks:redrive" | "queue" | "store" | "store:backup"])
            | (_, ["tasks", _] | ["tasks", _, "events"]) => Err(wrong_method()),
            _ => Err(no_such_path(request.uri().path())),
        }
    }

    /// The task, if the caller may see it.
    async fn visible(&self, who: &Principal, id: &TaskId) -> Result<Arc<Row>, Problem> {
        let tasks = &self.gateway().tasks;
        let row = if is_operator(who) { tasks.any(id).await? } else { tasks.recall(who, id).await? };
        row.ok_or_else(|| no_task(id))
    }

    async fn told(&self, who: &Principal, row: &Row) -> Answer {
        Ok(ok(&self.gateway().tasks.view(row, is_operator(who)).await?))
    }

    /// A page of tasks, newest status first.
    async fn tasks(&self, who: &Principal, query: Option<&str>) -> Answer {
        let query = Query::read(query, &["agent", "state", "context", "owner", "limit", "page"])?;
        let operator = is_operator(who);
        let owner = match query.text("owner") {
            Some(owner) if operator || owner == &*who.id => Some(Arc::from(owner)),
            Some(_) => return Err(Problem::new(Code::Forbidden, "only the operator sees other callers' tasks")),
            None => (!operator).then(|| who.id.clone()),
        };
        let after = match query.text("page") {
            Some(token) => Some(read_cursor(token).ok_or_else(|| wrong("page", "is not one that this gateway gave"))?),
            None => None,
        };
        let limit = query.number("limit", (1, LARGEST_PAGE), PAGE)?;
        let filter = Filter {
            owner,
            agent: query.text("agent").map(AgentName::from),
            context: query.text("context").map(Into::into),
            state: query.text("state").map(state).transpose()?,
            since: None,
            after,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        };
        let page = self.gateway().tasks.store().tasks().list(filter).await?;
        let last = page.tasks.last().filter(|_| page.more);
        let next = last.map(|last| cursor(last.task.status_at, last.task.id.as_str()));
        let tasks: Vec<Value> = page.tasks.iter().map(|stored| view::summary(&stored.task, operator)).collect();
        Ok(ok(&json!({"tasks": tasks, "total": page.total, "next_page": next})))
    }

    /// Events behind a number.
    async fn events(&self, who: &Principal, id: &TaskId, query: Option<&str>) -> Answer {
        let query = Query::read(query, &["after", "limit", "wait"])?;
        let after = query.number("after", (0, u64::MAX), 0)?;
        let limit = query.number("limit", (1, LARGEST_PAGE), LARGEST_PAGE)?;
        let wait = Duration::from_secs(query.number("wait", (0, LONGEST_WAIT), 0)?);
        let row = self.visible(who, id).await?;
        row.saved().await?;
        if !wait.is_zero() && row.told() <= after && !is_told(&row) {
            let _permit = StreamPermit::take(self.gateway())?;
            tokio::select! {
                _ = tokio::time::timeout(wait, self.news(&row, after)) => {}
                () = self.endpoint.drain().started() => {
                    return Err(Problem::new(Code::Draining, "the gateway is shutting down; ask again"));
                }
            }
            row.saved().await?;
        }
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let events = self.gateway().tasks.store().tasks().events(id.clone(), after, limit).await?;
        let told = row.told();
        let shown: Vec<Value> = events.iter().take_while(|event| event.seq <= told).map(view::event).collect();
        let next = events.iter().map(|event| event.seq).take_while(|seq| *seq <= told).last().unwrap_or(after);
        let over = is_told(&row) && next >= told;
        Ok(ok(&json!({"events": shown, "next": next, "over": over})))
    }

    /// Waits for an event behind a number, or the end.
    async fn news(&self, row: &Arc<Row>, after: u64) {
        let mut following = row.follow();
        supply::watch(self.gateway(), row);
        while row.told() <= after && !is_told(row) {
            match following.events.recv().await {
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Does something to a task.
    async fn act(
        &self,
        who: &Principal,
        came: (Listener, Peer),
        (id, action): (&TaskId, &str),
        request: &Request<Incoming>,
    ) -> Answer {
        let row = self.visible(who, id).await?;
        let gateway = self.gateway();
        match action {
            "cancel" if row.owner == who.id => self.cancel(came, id, request).await?,
            "cancel" => {
                tracing::info!(task = %id, owner = %row.owner, "the operator cancels a task of somebody else's");
                operator::cancel(gateway, &row).await?;
            }
            "pause" => operator::pause(gateway, &row).await?,
            "resume" => operator::resume(gateway, &row).await?,
            "redrive" => {
                let redriven = operator::redrive(gateway, &row).await?;
                return Ok(ok(&json!({"tasks": redriven.tasks, "deliveries": redriven.deliveries})));
            }
            _ => return Err(no_such_path(request.uri().path())),
        }
        self.told(who, &row).await
    }

    /// Cancels the caller's own task as CancelTask does: by the pipeline, with the operator's rules and an entry in the record.
    async fn cancel(&self, came: (Listener, Peer), id: &TaskId, request: &Request<Incoming>) -> Result<(), Problem> {
        let path = format!("/a2a/tasks/{id}:cancel");
        let place = Place::of(&path).ok_or_else(|| no_task(id))?;
        let mut asked = Request::post(&path).header("a2a-version", "1.0").header("content-type", "application/json");
        if let Some(credential) = request.headers().get(http::header::AUTHORIZATION) {
            asked = asked.header(http::header::AUTHORIZATION, credential);
        }
        let asked = asked.body(()).map_err(|_| no_task(id))?;
        let body = Bytes::from_static(b"{}");
        let live = Live(self.gateway());
        Box::pin(self.endpoint.take(&live, came, &place, asked.into_parts().0, body)).await.result.map(drop)
    }

    /// How the store is.
    async fn store(&self, who: &Principal, query: Option<&str>) -> Answer {
        only_operator(who)?;
        let query = Query::read(query, &["inspect"])?;
        let store = self.gateway().tasks.store();
        let mut told = view::census(&store.tasks().census().await?);
        if let Some(members) = told.as_object_mut() {
            let trouble = store.health().err().map(|problem| problem.to_string());
            members.insert("healthy".into(), json!(trouble.is_none()));
            members.insert("problem".into(), json!(trouble));
            if query.flag("inspect")? {
                members.insert("found".into(), json!(store.inspect().await?));
            }
        }
        Ok(ok(&told))
    }

    /// Copies the store to a new file at this machine.
    async fn backup(&self, who: &Principal, request: Request<Incoming>) -> Answer {
        only_operator(who)?;
        let body = body_of(request).await?;
        let path = body.get("path").and_then(Value::as_str).map(PathBuf::from);
        let path = path.ok_or_else(|| wrong("path", "is missing"))?;
        if !path.is_absolute() {
            return Err(wrong("path", "is not absolute"));
        }
        self.gateway().tasks.store().backup(path.clone()).await?;
        tracing::info!(path = %path.display(), "the store was copied");
        Ok(json_response(StatusCode::CREATED, &json!({"path": path})))
    }
}

/// Whether the task is over and everybody may know.
fn is_told(row: &Row) -> bool {
    row.state().is_terminal() && row.told() == row.seq()
}

/// A state, as A2A writes it or in short: `TASK_STATE_INPUT_REQUIRED`, `input-required`.
fn state(text: &str) -> Result<TaskState, Problem> {
    let name = text.to_ascii_uppercase().replace('-', "_");
    let name = name.strip_prefix("TASK_STATE_").unwrap_or(&name);
    let short = |state: TaskState| fold::state_name(state).trim_start_matches("TASK_STATE_");
    let mut known = TaskState::ALL.into_iter().filter(|state| *state != TaskState::Unspecified);
    known.find(|state| short(*state) == name).ok_or_else(|| wrong("state", "is not a task's state"))
}
