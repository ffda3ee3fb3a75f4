//! The foreign client, made from the agent's card, and short names for what the scenarios ask of it.

use std::sync::Arc;
use std::time::Duration;

use a2a::event::StreamResponse;
use a2a::*;
use a2a_client::{A2AClient, A2AClientFactory, Transport};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;

use crate::Flags;
use crate::receiver::Receiver;

/// The client, the card it was made from, and a webhook.
pub struct Peer {
    pub client: A2AClient<Box<dyn Transport>>,
    pub card: AgentCard,
    pub raw_card: Value,
    pub receiver: Receiver,
    patient: String,
}

pub type Events = BoxStream<'static, Result<StreamResponse, A2AError>>;

impl Peer {
    pub async fn connect(flags: &Flags) -> Result<Peer, String> {
        let http = reqwest::Client::new();
        let answer = http.get(&flags.card_url).header("A2A-Version", "1.0").send().await;
        let raw_card: Value = answer.map_err(|e| e.to_string())?.json().await.map_err(|e| e.to_string())?;
        let base = flags.card_url.split("/.well-known/").next().unwrap_or(&flags.base);
        let resolver = a2a_client::agent_card::AgentCardResolver::new(Some(http));
        let card = resolver.resolve(base).await.map_err(say)?;
        let mut only = card.clone();
        only.supported_interfaces.retain(|interface| interface.protocol_binding == flags.transport);
        let factory = A2AClientFactory::builder()
            .register(Arc::new(a2a_grpc::GrpcTransportFactory::new()))
            .preferred_bindings(vec![flags.transport.clone()])
            .build();
        let client = factory.create_from_card(&only).await.map_err(say)?;
        Ok(Peer { client, card, raw_card, receiver: Receiver::start().await?, patient: flags.patient.clone() })
    }

    pub async fn send(&self, request: SendMessageRequest) -> Result<SendMessageResponse, A2AError> {
        self.client.send_message(&request).await
    }

    pub async fn task(&self, request: SendMessageRequest) -> Result<Task, String> {
        let hasty = request.configuration.as_ref().and_then(|wanted| wanted.return_immediately) == Some(true);
        match self.send(request).await.map_err(say)? {
            SendMessageResponse::Task(task) if hasty => Ok(task),
            SendMessageResponse::Task(task) if self.patient != "all" => Ok(task),
            SendMessageResponse::Task(task) => self.settled(task).await,
            SendMessageResponse::Message(message) => Err(format!("a task wanted, got {message:?}")),
        }
    }

    /// With --patient: an agent that answers too early is asked until the task rests.
    pub async fn settled(&self, mut task: Task) -> Result<Task, String> {
        for _ in 0..if self.patient.is_empty() { 0 } else { 100 } {
            if !matches!(task.status.state, TaskState::Submitted | TaskState::Working) {
                break;
            }
            pause(50).await;
            task = self.get(&task.id, None).await.map_err(say)?;
        }
        Ok(task)
    }

    /// A task that runs until it is cancelled.
    pub async fn slow(&self) -> Result<Task, String> {
        let mut request = say_to("slow");
        request.configuration = Some(configuration(true, None));
        let task = self.task(request).await?;
        match task.status.state {
            TaskState::Submitted | TaskState::Working => Ok(task),
            state => Err(format!("still running wanted, got {state:?}")),
        }
    }

    pub async fn get(&self, id: &str, history_length: Option<i32>) -> Result<Task, A2AError> {
        self.client.get_task(&GetTaskRequest { id: id.into(), history_length, tenant: None }).await
    }

    pub async fn cancel(&self, id: &str) -> Result<Task, A2AError> {
        self.client.cancel_task(&CancelTaskRequest { id: id.into(), metadata: None, tenant: None }).await
    }

    pub async fn subscribe(&self, id: &str) -> Result<Vec<StreamResponse>, A2AError> {
        let request = SubscribeToTaskRequest { id: id.into(), tenant: None };
        drain(self.client.subscribe_to_task(&request).await?).await
    }

    pub async fn stream(&self, request: SendMessageRequest) -> Result<Vec<StreamResponse>, A2AError> {
        drain(self.client.send_streaming_message(&request).await?).await
    }
}

/// All events of a stream; an error in it is the answer.
async fn drain(mut events: Events) -> Result<Vec<StreamResponse>, A2AError> {
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        seen.push(event?);
    }
    Ok(seen)
}

pub fn say(error: A2AError) -> String {
    format!("{} ({}) {:?}", error.message, error.code, error.details)
}

pub fn say_to(text: &str) -> SendMessageRequest {
    let message = Message::new(Role::User, vec![Part::text(text)]);
    SendMessageRequest { message, configuration: None, metadata: None, tenant: None }
}

pub fn follow_up(text: &str, task: &Task) -> SendMessageRequest {
    let mut request = say_to(text);
    request.message.task_id = Some(task.id.clone());
    request.message.context_id = Some(task.context_id.clone());
    request
}

pub fn configuration(at_once: bool, push: Option<TaskPushNotificationConfig>) -> SendMessageConfiguration {
    SendMessageConfiguration {
        accepted_output_modes: None,
        task_push_notification_config: push,
        history_length: None,
        return_immediately: Some(at_once),
    }
}

pub fn text_of(task: &Task) -> String {
    let artifacts = task.artifacts.iter().flatten();
    artifacts.flat_map(|artifact| &artifact.parts).filter_map(Part::as_text).collect()
}

pub async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
