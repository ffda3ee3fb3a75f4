//! The environment agent: the heating. It is an older one and speaks A2A 0.3 over JSON-RPC, with `kind` everywhere.
//!
//! - `message/send` — `heating.set` answers with a task, `climate.status` with a message. A wish without a mode or a
//!   temperature is asked back (`input-required`); the next message with the task's id goes on with it.
//! - `tasks/get`, `tasks/cancel`

use std::sync::Arc;

use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::message::{Said, new_id, no_skill, now};
use super::refusal::{Kind, Refusal};
use super::tasks::{Tasks, id_of, set};
use super::{Answer, Asked, Role, rpc};

const ECO: f64 = 17.0;
const COMFORT: f64 = 21.0;
const POSSIBLE: std::ops::RangeInclusive<f64> = 5.0..=28.0;

/// The agent.
pub(super) struct Environment {
    heating: Mutex<Heating>,
    tasks: Tasks,
}

/// What the heating is to do.
#[derive(Clone)]
struct Heating {
    mode: &'static str,
    target: f64,
}

impl Default for Environment {
    fn default() -> Self {
        Self { heating: Mutex::new(Heating { mode: "comfort", target: COMFORT }), tasks: Tasks::default() }
    }
}

impl Role for Environment {
    const CONTENT_TYPE: &'static str = "application/json";

    fn card(&self, base: &str) -> Value {
        json!({
            "protocolVersion": "0.3.0",
            "name": "Environment",
            "description": "The heating of the home.",
            "version": env!("CARGO_PKG_VERSION"),
            "url": format!("{base}/"),
            "preferredTransport": "JSONRPC",
            "capabilities": {"streaming": false, "pushNotifications": false},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain", "application/json"],
            "skills": [{
                "id": "heating.set", "name": "Set the heating",
                "description": "Sets the heating to eco, to comfort or to a temperature.",
                "tags": ["heating", "temperature"],
                "examples": ["set the heating to eco", "heat to 22 degrees"],
            }, {
                "id": "climate.status", "name": "Look at the heating",
                "description": "Says how the heating is set.",
                "tags": ["heating", "temperature", "status"],
                "examples": ["how warm is it going to be?"],
            }],
        })
    }

    async fn answer(self: &Arc<Self>, asked: Asked) -> Answer {
        if asked.method != Method::POST || asked.path != "/" {
            return Answer::Json(StatusCode::NOT_FOUND, json!({"error": "this agent answers POST /"}));
        }
        Answer::Json(
            StatusCode::OK,
            match rpc::read(&asked.body) {
                Ok(call) => match self.call(&call.method, &call.params) {
                    Ok(value) => rpc::result(&call.id, &value),
                    Err(refusal) => rpc::error(&call.id, &refusal.rpc_v03()),
                },
                Err((id, refusal)) => rpc::error(&id, &refusal.rpc_v03()),
            },
        )
    }
}

impl Environment {
    fn call(&self, method: &str, params: &Value) -> Result<Value, Refusal> {
        match method {
            "message/send" => self.send(params),
            "tasks/get" => self.tasks.find(id_of(params)?),
            "tasks/cancel" => self.tasks.cancel(id_of(params)?, json!({"state": "canceled", "timestamp": now()})),
            "message/stream" | "tasks/resubscribe" => {
                Err(Refusal::new(Kind::Unsupported, "this agent does not stream"))
            }
            "agent/getAuthenticatedExtendedCard" => {
                Err(Refusal::new(Kind::NoExtendedCard, "this agent has no extended card"))
            }
            push if push.starts_with("tasks/pushNotificationConfig/") => {
                Err(Refusal::new(Kind::NoPush, "this agent pushes no notifications"))
            }
            other => Err(Refusal::new(Kind::NoMethod, format!("there is no method {other}"))),
        }
    }

    fn send(&self, params: &Value) -> Result<Value, Refusal> {
        let said = Said::read(params, "user")?;
        if let Some(id) = &said.task {
            self.tasks.find(id)?;
            let answered = self.tasks.change(id, |task| {
                let (status, artifacts) = self.set(&said);
                set(task, "status", status);
                set(task, "artifacts", artifacts);
                task.clone()
            });
            return answered.ok_or_else(|| Refusal::new(Kind::Unsupported, format!("the task {id} is over")));
        }
        match said.skill.as_deref() {
            Some("climate.status") => Ok(self.status(&said)),
            None if said.asks() => Ok(self.status(&said)),
            Some("heating.set") | None => {
                let (status, artifacts) = self.set(&said);
                let task = json!({
                    "kind": "task", "id": new_id(), "contextId": said.context(), "status": status, "artifacts": artifacts,
                });
                self.tasks.add(task.clone());
                Ok(task)
            }
            Some(other) => Err(no_skill(other)),
        }
    }

    fn status(&self, said: &Said) -> Value {
        let heating = self.heating.lock().clone();
        let parts = json!([{"kind": "text", "text": heating.words()}, {"kind": "data", "data": heating.state()}]);
        json!({"kind": "message", "messageId": new_id(), "contextId": said.context(), "role": "agent", "parts": parts})
    }

    /// Sets the heating; the task's status and artifacts that come of it.
    fn set(&self, said: &Said) -> (Value, Value) {
        let degrees = said.words().iter().find_map(|word| word.trim_end_matches(['c', '°']).parse::<f64>().ok());
        let wish = match (said.says(&["eco"]), said.says(&["comfort"]), degrees) {
            (true, false, None) => Heating { mode: "eco", target: ECO },
            (false, true, None) => Heating { mode: "comfort", target: COMFORT },
            (false, false, Some(target)) if POSSIBLE.contains(&target) => Heating { mode: "manual", target },
            (false, false, Some(_)) => {
                return (status("rejected", "The heating goes from 5 to 28 degrees."), json!([]));
            }
            _ => return (status("input-required", "Eco, comfort, or how many degrees?"), json!([])),
        };
        let (words, state) = (wish.words(), wish.state());
        *self.heating.lock() = wish;
        let parts = json!([{"kind": "data", "data": state}]);
        (
            status("completed", &words),
            json!([{"artifactId": "heating", "name": "The heating afterwards", "parts": parts}]),
        )
    }
}

impl Heating {
    fn words(&self) -> String {
        format!("Heating: {}, to {} degrees.", self.mode, self.target)
    }

    fn state(&self) -> Value {
        json!({"heating": self.mode, "target_celsius": self.target})
    }
}

fn status(state: &str, words: &str) -> Value {
    let parts = json!([{"kind": "text", "text": words}]);
    let message = json!({"kind": "message", "messageId": new_id(), "role": "agent", "parts": parts});
    json!({"state": state, "message": message, "timestamp": now()})
}
