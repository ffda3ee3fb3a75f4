//! The lighting agent: four lamps. A2A 1.0 in the HTTP+JSON binding; everything is done at once, so nothing streams.
//!
//! - `POST /message:send` — `lights.set` answers with a finished task, `lights.status` with a message
//! - `GET /tasks`, `GET /tasks/{id}`, `POST /tasks/{id}:cancel`

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::message::{Said, new_id, no_skill, now};
use super::refusal::{Kind, Refusal};
use super::tasks::Tasks;
use super::{Answer, Asked, Role};

/// Lamps by room, and whether they are on.
type Lamps = BTreeMap<&'static str, bool>;

/// The agent.
pub(super) struct Lighting {
    lamps: Mutex<Lamps>,
    tasks: Tasks,
}

impl Default for Lighting {
    fn default() -> Self {
        let lamps = BTreeMap::from([("bedroom", false), ("hallway", true), ("kitchen", true), ("living room", true)]);
        Self { lamps: Mutex::new(lamps), tasks: Tasks::default() }
    }
}

impl Role for Lighting {
    const CONTENT_TYPE: &'static str = "application/a2a+json";

    fn card(&self, base: &str) -> Value {
        json!({
            "name": "Lighting",
            "description": "The lamps of the home.",
            "version": env!("CARGO_PKG_VERSION"),
            "supportedInterfaces": [{"url": base, "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"}],
            "capabilities": {"streaming": false, "pushNotifications": false},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain", "application/json"],
            "skills": [{
                "id": "lights.set", "name": "Switch the lights",
                "description": "Turns lamps on or off: all lights of the home, or those of a room.",
                "tags": ["light", "lamp"],
                "examples": ["turn all the lights off", "kitchen light on", "switch the lamp in the bedroom off"],
            }, {
                "id": "lights.status", "name": "Look at the lights",
                "description": "Says which lamps are on and which are off.",
                "tags": ["light", "lamp", "status"],
                "examples": ["which lights are on?"],
            }],
        })
    }

    async fn answer(self: &Arc<Self>, asked: Asked) -> Answer {
        match self.route(&asked) {
            Ok(value) => Answer::Json(StatusCode::OK, value),
            Err(refusal) => {
                let (status, body) = refusal.http();
                Answer::Json(status, body)
            }
        }
    }
}

impl Lighting {
    fn route(&self, asked: &Asked) -> Result<Value, Refusal> {
        if !asked.version.starts_with("1.0") {
            return Err(Refusal::new(Kind::Version, "this agent speaks A2A 1.0; send the header A2A-Version: 1.0"));
        }
        let path = asked.path.trim_start_matches('/');
        match (&asked.method, path, path.strip_prefix("tasks/")) {
            (&Method::POST, "message:send", _) => {
                let params = serde_json::from_slice(&asked.body)
                    .map_err(|error| Refusal::new(Kind::NotJson, format!("the body is not JSON: {error}")))?;
                self.send(&params)
            }
            (_, "message:stream", _) => Err(Refusal::new(Kind::Unsupported, "this agent does not stream")),
            (&Method::GET, "tasks", _) => self.tasks.list(&query(&asked.query)),
            (&Method::POST, _, Some(task)) if task.ends_with(":cancel") => {
                let status = json!({"state": "TASK_STATE_CANCELED", "timestamp": now()});
                self.tasks.cancel(task.trim_end_matches(":cancel"), status)
            }
            (&Method::GET, _, Some(task)) if !task.contains(['/', ':']) => self.tasks.find(task),
            _ => Err(Refusal::new(Kind::NoPath, format!("this agent has nothing at {} {}", asked.method, asked.path))),
        }
    }

    fn send(&self, params: &Value) -> Result<Value, Refusal> {
        let said = Said::read(params, "ROLE_USER")?;
        if let Some(task) = &said.task {
            self.tasks.find(task)?;
            return Err(Refusal::new(Kind::Unsupported, format!("the task {task} is over")));
        }
        match said.skill.as_deref() {
            Some("lights.status") => Ok(self.status(&said)),
            None if said.asks() => Ok(self.status(&said)),
            Some("lights.set") | None => Ok(self.set(&said)),
            Some(other) => Err(no_skill(other)),
        }
    }

    fn status(&self, said: &Said) -> Value {
        let lamps = self.lamps.lock().clone();
        let parts = json!([{"text": words(&lamps)}, {"data": state(&lamps)}]);
        json!({"message": {"messageId": new_id(), "contextId": said.context(), "role": "ROLE_AGENT", "parts": parts}})
    }

    /// Switches the lamps that were named by room or zone, or all of them, and makes a task of it.
    fn set(&self, said: &Said) -> Value {
        let result = match (said.says(&["on"]), said.says(&["off"])) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => Err("Say on or off, and a room if you do not mean all lamps."),
        };
        let mut lamps = self.lamps.lock();
        let named = |room: &str| said.text.contains(room) || said.zone == room;
        let all = !lamps.keys().any(|room| named(room));
        for (_, lamp) in lamps.iter_mut().filter(|(room, _)| all || named(room)) {
            *lamp = result.unwrap_or(*lamp);
        }
        let (verdict, told) = match result {
            Ok(_) => ("TASK_STATE_COMPLETED", words(&lamps)),
            Err(words) => ("TASK_STATE_REJECTED", words.to_owned()),
        };
        let (id, context) = (new_id(), said.context());
        let message = json!({
            "messageId": new_id(), "taskId": id, "contextId": context, "role": "ROLE_AGENT", "parts": [{"text": told}],
        });
        let mut task = json!({
            "id": id, "contextId": context, "status": {"state": verdict, "message": message, "timestamp": now()},
        });
        if result.is_ok() {
            let artifact =
                json!({"artifactId": "lamps", "name": "The lamps afterwards", "parts": [{"data": state(&lamps)}]});
            super::tasks::set(&mut task, "artifacts", json!([artifact]));
        }
        self.tasks.add(task.clone());
        json!({ "task": task })
    }
}

fn on_off(lamp: bool) -> &'static str {
    if lamp { "on" } else { "off" }
}

fn words(lamps: &Lamps) -> String {
    let each: Vec<String> = lamps.iter().map(|(room, lamp)| format!("{room} {}", on_off(*lamp))).collect();
    format!("Lamps: {}.", each.join(", "))
}

fn state(lamps: &Lamps) -> Value {
    let lamps: Map<String, Value> =
        lamps.iter().map(|(room, lamp)| ((*room).to_owned(), json!(on_off(*lamp)))).collect();
    json!({ "lamps": lamps })
}

/// The parameters of a query; none that this agent knows needs percent-decoding.
fn query(query: &str) -> Value {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}
