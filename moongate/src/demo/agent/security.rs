//! The security agent: three doors and an alarm. A2A 1.0 over JSON-RPC, with streams.
//!
//! Locking takes its time, door by door, so `security.arm` is a task that reports as it goes and that can be followed,
//! subscribed to and cancelled. There is deliberately no skill that opens a door.
//!
//! - `SendMessage` — `security.arm` answers with a task, `security.status` with a message
//! - `SendStreamingMessage`, `SubscribeToTask`, `GetTask`, `ListTasks`, `CancelTask`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{once, unfold};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::message::{Said, new_id, no_skill, now};
use super::refusal::{Kind, Refusal};
use super::tasks::{Tasks, id_of, is_over, set, status_update};
use super::{Answer, Asked, Events, Role, rpc};

/// How long a motor lock needs.
const MOTOR: Duration = Duration::from_millis(250);

/// The agent.
pub(super) struct Security {
    house: Mutex<House>,
    tasks: Tasks,
}

/// Doors, and whether they are locked; the alarm, and whether it is armed.
struct House {
    doors: BTreeMap<&'static str, bool>,
    armed: bool,
}

impl Default for Security {
    fn default() -> Self {
        let doors = BTreeMap::from([("front", false), ("garage", true), ("garden", false)]);
        Self { house: Mutex::new(House { doors, armed: false }), tasks: Tasks::default() }
    }
}

impl Role for Security {
    const CONTENT_TYPE: &'static str = "application/json";

    fn card(&self, base: &str) -> Value {
        json!({
            "name": "Security",
            "description": "The doors of the home and its alarm.",
            "version": env!("CARGO_PKG_VERSION"),
            "supportedInterfaces": [{"url": format!("{base}/rpc"), "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
            "capabilities": {"streaming": true, "pushNotifications": false},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain", "application/json"],
            "skills": [{
                "id": "security.arm", "name": "Secure the home",
                "description": "Locks every door, one after the other, and then arms the alarm.",
                "tags": ["door", "lock", "alarm"],
                "examples": ["lock the doors and arm the alarm", "secure the house"],
            }, {
                "id": "security.status", "name": "Look at doors and alarm",
                "description": "Says which doors are locked and whether the alarm is armed.",
                "tags": ["security", "status"],
                "examples": ["is the front door locked?", "is the alarm armed?"],
            }],
        })
    }

    async fn answer(self: &Arc<Self>, asked: Asked) -> Answer {
        if asked.method != Method::POST || asked.path != "/rpc" {
            let (status, body) = Refusal::new(Kind::NoPath, "this agent answers POST /rpc").http();
            return Answer::Json(status, body);
        }
        let call = match rpc::read(&asked.body) {
            Ok(call) => call,
            Err((id, refusal)) => return Answer::Json(StatusCode::OK, rpc::error(&id, &refusal.rpc())),
        };
        let result = if asked.version.starts_with("1.0") {
            self.call(&call.method, &call.params).await
        } else {
            Err(Refusal::new(Kind::Version, "this agent speaks A2A 1.0; send the header A2A-Version: 1.0"))
        };
        match result {
            Ok(Done::Whole(value)) => Answer::Json(StatusCode::OK, rpc::result(&call.id, &value)),
            Ok(Done::Stream(events)) => Answer::Events(events.map(move |event| rpc::result(&call.id, &event)).boxed()),
            Err(refusal) => Answer::Json(StatusCode::OK, rpc::error(&call.id, &refusal.rpc())),
        }
    }
}

enum Done {
    Whole(Value),
    Stream(Events),
}

impl Security {
    async fn call(self: &Arc<Self>, method: &str, params: &Value) -> Result<Done, Refusal> {
        Ok(match method {
            "SendMessage" => Done::Whole(self.send(params).await?),
            "SendStreamingMessage" => {
                let started = self.start(params)?;
                match started.pointer("/task/id").and_then(Value::as_str) {
                    Some(id) => Done::Stream(self.events(id)?),
                    None => Done::Stream(once(async { started }).boxed()),
                }
            }
            "SubscribeToTask" => {
                let id = id_of(params)?;
                if is_over(&self.tasks.find(id)?) {
                    return Err(Refusal::new(Kind::Unsupported, format!("the task {id} is over")));
                }
                Done::Stream(self.events(id)?)
            }
            "GetTask" => Done::Whole(self.tasks.find(id_of(params)?)?),
            "ListTasks" => Done::Whole(self.tasks.list(params)?),
            "CancelTask" => Done::Whole(self.tasks.cancel(id_of(params)?, status("CANCELED", "Stopped half-way."))?),
            push if push.contains("PushNotification") => {
                return Err(Refusal::new(Kind::NoPush, "this agent pushes no notifications"));
            }
            "GetExtendedAgentCard" => return Err(Refusal::new(Kind::Unsupported, "this agent has no extended card")),
            other => return Err(Refusal::new(Kind::NoMethod, format!("there is no method {other}"))),
        })
    }

    /// Begins what was asked for; a bare message if that is all.
    fn start(self: &Arc<Self>, params: &Value) -> Result<Value, Refusal> {
        let said = Said::read(params, "ROLE_USER")?;
        if let Some(task) = &said.task {
            self.tasks.find(task)?;
            return Err(Refusal::new(Kind::Unsupported, "a task of this agent takes no further messages"));
        }
        match said.skill.as_deref() {
            Some("security.status") => return Ok(self.status(&said)),
            None if said.asks() => return Ok(self.status(&said)),
            Some("security.arm") | None => {}
            Some(other) => return Err(no_skill(other)),
        }
        let (id, context) = (new_id(), said.context());
        let refused = said.says(&["unlock", "open", "disarm", "not"]);
        let first = if refused {
            status("REJECTED", "This agent locks and arms. It does not open doors and does not switch the alarm off.")
        } else if said.says(&["lock", "arm", "secure", "away", "leave", "leaving"]) {
            status("WORKING", "Locking the doors, then arming the alarm.")
        } else {
            status("REJECTED", "Say: lock the doors and arm the alarm.")
        };
        let task = json!({"id": id, "contextId": context, "status": first});
        self.tasks.add(task.clone());
        if !is_over(&task) {
            tokio::spawn(self.clone().arm(id));
        }
        Ok(json!({ "task": task }))
    }

    /// Sends and, unless the caller wants the answer at once, waits until the task is over (A2A 1.0 §3.2.2).
    async fn send(self: &Arc<Self>, params: &Value) -> Result<Value, Refusal> {
        let started = self.start(params)?;
        let at_once = params.pointer("/configuration/returnImmediately").is_some_and(|value| value == true);
        let Some(id) = started.pointer("/task/id").and_then(Value::as_str).filter(|_| !at_once) else {
            return Ok(started);
        };
        self.events(id)?.for_each(|_| async {}).await;
        Ok(json!({"task": self.tasks.find(id)?}))
    }

    /// Door after door, then the alarm; stops where it is when the task was cancelled.
    async fn arm(self: Arc<Self>, id: String) {
        let doors: Vec<&str> = self.house.lock().doors.keys().copied().collect();
        for door in doors {
            tokio::time::sleep(MOTOR).await;
            if self.tasks.find(&id).is_ok_and(|task| is_over(&task)) {
                return;
            }
            let was = self.house.lock().doors.insert(door, true);
            let told = if was == Some(true) { "was locked already" } else { "is locked" };
            self.report(&id, status("WORKING", &format!("The {door} door {told}.")));
        }
        // Inside the change, so that a task that is cancelled at the last moment arms nothing.
        self.tasks.change(&id, |task| {
            self.house.lock().armed = true;
            let parts = json!([{"data": self.state()}]);
            let artifact = json!({"artifactId": "house", "name": "Doors and alarm afterwards", "parts": parts});
            set(task, "artifacts", json!([artifact]));
            let (id, context) = (task.get("id"), task.get("contextId"));
            json!({"artifactUpdate": {"taskId": id, "contextId": context, "artifact": artifact, "lastChunk": true}})
        });
        self.report(&id, status("COMPLETED", "The alarm is armed."));
    }

    fn report(&self, id: &str, status: Value) {
        self.tasks.change(id, |task| {
            set(task, "status", status);
            status_update(task)
        });
    }

    /// The task as it stands, then what happens to it, until it is over.
    fn events(&self, id: &str) -> Result<Events, Refusal> {
        let (task, receiver) = self.tasks.follow(id)?;
        let over = is_over(&task);
        let later = unfold((receiver, over), |(mut receiver, over)| async move {
            if over {
                return None;
            }
            let event = receiver.recv().await.ok()?;
            let over = event.get("statusUpdate").is_some_and(is_over);
            Some((event, (receiver, over)))
        });
        Ok(once(async move { json!({ "task": task }) }).chain(later).boxed())
    }

    fn state(&self) -> Value {
        let house = self.house.lock();
        let doors: BTreeMap<_, _> =
            house.doors.iter().map(|(door, locked)| (*door, if *locked { "locked" } else { "unlocked" })).collect();
        json!({"doors": doors, "alarm": if house.armed { "armed" } else { "off" }})
    }

    fn status(&self, said: &Said) -> Value {
        let state = self.state();
        let doors = state.get("doors").and_then(Value::as_object).into_iter().flatten();
        let doors: Vec<String> =
            doors.map(|(door, is)| format!("{door} {}", is.as_str().unwrap_or_default())).collect();
        let alarm = super::tasks::text(&state, "/alarm");
        let parts = json!([{"text": format!("Doors: {}; the alarm is {alarm}.", doors.join(", "))}, {"data": state}]);
        json!({"message": {"messageId": new_id(), "contextId": said.context(), "role": "ROLE_AGENT", "parts": parts}})
    }
}

fn status(state: &str, words: &str) -> Value {
    let message = json!({"messageId": new_id(), "role": "ROLE_AGENT", "parts": [{"text": words}]});
    json!({"state": format!("TASK_STATE_{state}"), "message": message, "timestamp": now()})
}
