//! Tasks, the queue and the store, for operators only: callers reach their own tasks by A2A, where rules judge them.
//!
//! - `GET /api/v1/tasks?agent=&state=&context=&owner=&limit=&page=`, `GET /api/v1/tasks/{id}`
//! - `GET /api/v1/tasks/{id}/events?after=&limit=&wait=`: the log; with `wait`, held until there is something new
//! - `POST /api/v1/tasks/{id}:cancel`, `:pause`, `:resume`, `:redrive`; `POST /api/v1/tasks:redrive` for all
//! - `GET /api/v1/queue`: what waits, by agent
//! - `GET /api/v1/store?inspect=`, `POST /api/v1/store:backup`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use moongate_core::seam::tasks::Filter;
use moongate_core::{AgentName, Code, Principal, PrincipalKind, Problem, TaskId, TaskState};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::query::{Query, wrong};
use super::{Api, Payload, body_of, no_such_path, wrong_method};
use crate::endpoint::{ReplyBody, json_response};
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

fn ok(value: &Value) -> Response<ReplyBody> {
    json_response(StatusCode::OK, value)
}

impl Api {
    fn gateway(&self) -> &Arc<A2aGateway> {
        self.endpoint.gateway()
    }

    /// Answers a request to one of the paths above.
    pub(super) async fn operate<B: Payload>(&self, who: &Principal, segments: &[&str], request: Request<B>) -> Answer {
        if who.kind != PrincipalKind::Operator {
            let detail = "this is for the operator, who is known by the secret file; callers have `/a2a/tasks`";
            return Err(Problem::new(Code::Forbidden, detail));
        }
        let method = request.method().clone();
        match (method, segments) {
            (Method::GET, ["tasks"]) => self.tasks(request.uri().query()).await,
            (Method::POST, ["tasks:redrive"]) => {
                let redriven = operator::redrive_all(self.gateway()).await?;
                Ok(ok(&json!({"tasks": redriven.tasks, "deliveries": redriven.deliveries})))
            }
            (Method::GET, ["tasks", id, "events"]) => self.events(who, &TaskId::from(*id), request.uri().query()).await,
            (Method::GET, ["tasks", id]) => {
                let row = self.task(&TaskId::from(*id)).await?;
                row.saved().await?;
                self.told(&row).await
            }
            (Method::POST, ["tasks", target]) => match target.rsplit_once(':') {
                Some((id, action)) => self.act(&TaskId::from(id), action, request.uri().path()).await,
                None => Err(wrong_method()),
            },
            (Method::GET, ["queue"]) => {
                let waiting = self.gateway().tasks.store().tasks().waiting().await?;
                Ok(ok(&json!({"queue": waiting.iter().map(view::waiting).collect::<Vec<_>>()})))
            }
            (Method::GET, ["store"]) => self.store(request.uri().query()).await,
            (Method::POST, ["store:backup"]) => self.backup(request).await,
            (_, ["tasks" | "tasks:redrive" | "queue" | "store" | "store:backup"])
            | (_, ["tasks", _] | ["tasks", _, "events"]) => Err(wrong_method()),
            _ => Err(no_such_path(request.uri().path())),
        }
    }

    async fn task(&self, id: &TaskId) -> Result<Arc<Row>, Problem> {
        let row = self.gateway().tasks.any(id).await?;
        row.ok_or_else(|| Problem::new(Code::TaskNotFound, format!("there is no task {id}")))
    }

    async fn told(&self, row: &Row) -> Answer {
        Ok(ok(&self.gateway().tasks.view(row).await?))
    }

    /// A page of tasks, newest status first.
    async fn tasks(&self, query: Option<&str>) -> Answer {
        let query = Query::read(query, &["agent", "state", "context", "owner", "limit", "page"])?;
        let after = match query.text("page") {
            Some(token) => Some(read_cursor(token).ok_or_else(|| wrong("page", "is not one that this gateway gave"))?),
            None => None,
        };
        let limit = query.number("limit", (1, LARGEST_PAGE), PAGE)?;
        let filter = Filter {
            owner: query.text("owner").map(Arc::from),
            agent: query.text("agent").map(AgentName::from),
            without: Vec::new(),
            context: query.text("context").map(Into::into),
            state: query.text("state").map(state).transpose()?,
            since: None,
            after,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        };
        let page = self.gateway().tasks.store().tasks().list(filter).await?;
        let last = page.tasks.last().filter(|_| page.more);
        let next = last.map(|last| cursor(last.task.status_at, last.task.id.as_str()));
        let tasks: Vec<Value> = page.tasks.iter().map(|stored| view::summary(&stored.task)).collect();
        Ok(ok(&json!({"tasks": tasks, "total": page.total, "next_page": next})))
    }

    /// Events behind a number.
    async fn events(&self, who: &Principal, id: &TaskId, query: Option<&str>) -> Answer {
        let query = Query::read(query, &["after", "limit", "wait"])?;
        let after = query.number("after", (0, u64::MAX), 0)?;
        let limit = query.number("limit", (1, LARGEST_PAGE), LARGEST_PAGE)?;
        let wait = Duration::from_secs(query.number("wait", (0, LONGEST_WAIT), 0)?);
        let row = self.task(id).await?;
        row.saved().await?;
        if !wait.is_zero() && row.told() <= after && !is_told(&row) {
            let _permit = StreamPermit::take(self.gateway(), who)?;
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
    async fn act(&self, id: &TaskId, action: &str, path: &str) -> Answer {
        let row = self.task(id).await?;
        let gateway = self.gateway();
        match action {
            "cancel" => {
                tracing::info!(task = %id, owner = %row.owner, "the operator cancels a task");
                operator::cancel(gateway, &row).await?;
            }
            "pause" => operator::pause(gateway, &row).await?,
            "resume" => operator::resume(gateway, &row).await?,
            "redrive" => {
                let redriven = operator::redrive(gateway, &row).await?;
                return Ok(ok(&json!({"tasks": redriven.tasks, "deliveries": redriven.deliveries})));
            }
            _ => return Err(no_such_path(path)),
        }
        self.told(&row).await
    }

    /// How the store is.
    async fn store(&self, query: Option<&str>) -> Answer {
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
    async fn backup<B: Payload>(&self, request: Request<B>) -> Answer {
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
