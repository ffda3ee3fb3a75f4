//! What arrived: one request on its way through the pipeline, whatever protocol it came in by.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{AgentName, ContextId, RequestId, SkillId, TaskId};
use crate::seam::TraceContext;
use crate::time::{Mono, Time};

/// Which listener a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Listener {
    /// TLS 1.3, for everyone.
    Main,
    /// Clear text, loopback only.
    Plain,
    /// Operators' API and pages.
    Admin,
}

impl Listener {
    /// The word that logs, metrics and the configuration use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Plain => "plain",
            Self::Admin => "admin",
        }
    }
}

/// Whether the request comes from inside the trust domain or from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    /// This gateway's own domain.
    Local,
    /// Somebody else's, by name.
    Foreign(Arc<str>),
}

/// Whom the client certificate of a connection names, as `identity` found when the connection was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate's one URI (`spiffe://domain/path`), or `device/NAME` for a pinned key.
    pub id: Arc<str>,
    /// Its trust domain.
    pub domain: Arc<str>,
    /// SHA-256 of the certificate (RFC 8705 §3.1).
    pub thumbprint: [u8; 32],
    /// When it runs out; a pinned key does not.
    pub expires_at: Option<Time>,
}

/// The connection that a request came by.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The listener.
    pub listener: Listener,
    /// The peer's address.
    pub remote: SocketAddr,
    /// Whether TLS protects the connection.
    pub secure: bool,
    /// The domain on the other side.
    pub domain: Domain,
    /// The client certificate that it was opened with, if there was one.
    pub certificate: Option<Arc<Certificate>>,
    /// When the request's head had been read.
    pub at: Mono,
}

/// What a request wants done. One word for each operation that any gateway offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// A2A 1.0 §3.1.1 SendMessage.
    Send,
    /// A2A 1.0 §3.1.2 SendStreamingMessage.
    Stream,
    /// A2A 1.0 §3.1.3 GetTask.
    Get,
    /// A2A 1.0 §3.1.4 ListTasks.
    List,
    /// A2A 1.0 §3.1.5 CancelTask.
    Cancel,
    /// A2A 1.0 §3.1.6 SubscribeToTask.
    Subscribe,
    /// A2A 1.0 §3.1.7 CreateTaskPushNotificationConfig.
    PushCreate,
    /// A2A 1.0 §3.1.8 GetTaskPushNotificationConfig.
    PushGet,
    /// A2A 1.0 §3.1.9 ListTaskPushNotificationConfigs.
    PushList,
    /// A2A 1.0 §3.1.10 DeleteTaskPushNotificationConfig.
    PushDelete,
    /// A2A 1.0 §3.1.11 GetExtendedAgentCard.
    ExtendedCard,
    /// PauseTask of our pause-resume extension.
    Pause,
    /// ResumeTask of our pause-resume extension.
    Resume,
}

impl Operation {
    /// Every operation: those of the specification in its order, then our own.
    pub const ALL: [Self; 13] = [
        Self::Send,
        Self::Stream,
        Self::Get,
        Self::List,
        Self::Cancel,
        Self::Subscribe,
        Self::PushCreate,
        Self::PushGet,
        Self::PushList,
        Self::PushDelete,
        Self::ExtendedCard,
        Self::Pause,
        Self::Resume,
    ];

    /// The word that rules, logs and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Stream => "stream",
            Self::Get => "get",
            Self::List => "list",
            Self::Cancel => "cancel",
            Self::Subscribe => "subscribe",
            Self::PushCreate => "push_create",
            Self::PushGet => "push_get",
            Self::PushList => "push_list",
            Self::PushDelete => "push_delete",
            Self::ExtendedCard => "extended_card",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    /// Whether the answer is a stream of events.
    pub fn is_streaming(self) -> bool {
        matches!(self, Self::Stream | Self::Subscribe)
    }

    /// Whether the request carries a message for an agent, and so has to be routed by what it asks for.
    pub fn carries_message(self) -> bool {
        matches!(self, Self::Send | Self::Stream)
    }
}

/// How urgent the traffic is; lower queues wait for higher ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrafficClass {
    /// Commands that somebody waits for.
    Control,
    /// Ordinary requests.
    #[default]
    Normal,
    /// Bulk data.
    Bulk,
}

/// All that one peek into the request learned. Policy and routing see this and, only where a rule asks for it, the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What is wanted.
    pub operation: Operation,
    /// The agent whose own address was used (`/agents/{name}/…`), if one was.
    pub base: Option<AgentName>,
    /// The `tenant` member; at this gateway it names an agent.
    pub tenant: Option<AgentName>,
    /// The skill asked for by id.
    pub skill: Option<SkillId>,
    /// Asks for matching by what the text says even where a default agent exists.
    pub intent: bool,
    /// Labels of the request, `zone` and `device` among them.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// The task that it is about.
    pub task: Option<TaskId>,
    /// The conversation that it belongs to.
    pub context: Option<ContextId>,
}

impl Head {
    /// A head that knows nothing but the operation.
    pub fn new(operation: Operation) -> Self {
        Self {
            operation,
            base: None,
            tenant: None,
            skill: None,
            intent: false,
            labels: Vec::new(),
            task: None,
            context: None,
        }
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| &**key == name).map(|(_, value)| &**value)
    }
}

/// The request's payload.
#[derive(Clone, Debug)]
pub enum Body {
    /// All of it, as received.
    Whole(Bytes),
}

impl Body {
    /// The bytes as received.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Whole(bytes) => bytes,
        }
    }
}

/// One request on its way through the pipeline.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Its id in logs, traces and audit entries.
    pub id: RequestId,
    /// How it came.
    pub arrival: Arrival,
    /// What a peek learned.
    pub head: Head,
    /// Its payload.
    pub body: Body,
    /// The trace that it belongs to, if it is traced.
    pub trace: Option<TraceContext>,
    /// How urgent it is.
    pub class: TrafficClass,
    /// When nobody waits for the answer any more.
    pub deadline: Mono,
}
