//! What became of one task, in order: `GET /api/v1/tasks/{id}/timeline`, as it is served and as pages show it.

use serde::{Deserialize, Serialize};

/// One task and all that is known to have happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The task as it is now.
    pub task: Subject,
    /// What happened, the oldest first.
    pub steps: Vec<Step>,
    /// How much of the audit log was looked at.
    pub log: Log,
    /// Whether the task has more events than are here.
    pub more: bool,
}

/// The task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub owner: String,
    /// The agent.
    pub agent: String,
    /// The instance that has it.
    pub instance: Option<String>,
    /// The skill.
    pub skill: Option<String>,
    /// The conversation.
    pub context: Option<String>,
    /// Its state, as `working`.
    pub state: String,
    /// Its place in the queue, as `running`.
    pub phase: String,
    /// When the gateway first heard of it.
    pub created_at: String,
    /// When its state was last told.
    pub status_at: String,
    /// Whether nothing more comes of it.
    pub over: bool,
}

/// The kinds of what happens. Of one moment, they come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A request came.
    Received,
    /// The rules let it pass, refused it, or wanted a person.
    Judged,
    /// A person was asked.
    Asked,
    /// A person said yes or no, or nobody did in time.
    Decided,
    /// It went to an agent.
    Dispatched,
    /// The operator did something to it.
    Operated,
    /// Its state changed, or it said something.
    Status,
    /// It made something.
    Artifact,
    /// It is over.
    Finished,
    /// The request was answered.
    Answered,
}

impl What {
    /// The word that the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Judged => "judged",
            Self::Asked => "asked",
            Self::Decided => "decided",
            Self::Dispatched => "dispatched",
            Self::Operated => "operated",
            Self::Status => "status",
            Self::Artifact => "artifact",
            Self::Finished => "finished",
            Self::Answered => "answered",
        }
    }
}

/// Who knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The task's own record.
    Store,
    /// The desk where people are asked.
    Desk,
    /// The audit log.
    Log,
}

impl Source {
    /// The words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Store => "the task’s record",
            Self::Desk => "the desk",
            Self::Log => "the audit log",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When, in UTC.
    pub at: String,
    /// What.
    pub what: What,
    /// The same in a few words, with those of agents and strangers as they came.
    pub words: String,
    /// Who did it, where somebody is known.
    pub who: Option<String>,
    /// How it ended, or the state: one word.
    pub result: Option<String>,
    /// The problem's code.
    pub code: Option<String>,
    /// Who knows of it.
    pub from: Source,
    /// The line of the audit log that proves it: the month, and the number in it.
    pub line: Option<(String, u64)>,
    /// The request.
    pub request: Option<String>,
    /// The question.
    pub approval: Option<String>,
}

impl Step {
    /// With what every step has.
    pub fn new(at: String, what: What, from: Source, words: String) -> Self {
        Self { at, what, words, who: None, result: None, code: None, from, line: None, request: None, approval: None }
    }
}

/// How much of the audit log was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Log {
    /// None is kept.
    Off,
    /// All that is signed; what happens is there a second later.
    Whole,
    /// So much was written since the task began that not all was looked at.
    Part,
    /// It cannot be read; the gateway's log says why.
    Unreadable,
}
