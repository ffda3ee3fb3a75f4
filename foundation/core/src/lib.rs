//! The vocabulary that every room of Moongate shares.
//!
//! This crate decides what things are called and which shape they have; it does nothing to the outside world. It knows
//! no time, socket, runtime, JSON or SQL: whatever depends on the present moment takes `now` as an argument.
//!
//! Read in this order: [`envelope`] (what arrived), [`principal`] (who asks), [`decision`] (may they), [`approval`] (a person decides), [`route`] (where
//! it goes), [`outcome`] (what came back), [`problem`] (what went wrong), [`task`] (what goes on afterwards) and
//! [`seam`] (the traits by which rooms are joined).

pub mod approval;
pub mod decision;
pub mod entry;
pub mod envelope;
pub mod ids;
pub mod outcome;
pub mod principal;
pub mod problem;
pub mod route;
pub mod scope;
pub mod seam;
pub mod task;
pub mod time;

pub use approval::{Approval, Grant};
pub use decision::{Challenge, Clearance, Decision};
pub use entry::Entry;
pub use envelope::{Arrival, Body, Certificate, Domain, Envelope, Head, Listener, Operation, TrafficClass};
pub use ids::{AgentName, ContextId, InstanceId, RequestId, SkillId, TaskId};
pub use outcome::Outcome;
pub use principal::{Principal, PrincipalKind, Proof};
pub use problem::{Blame, Code, Kind, Problem, Retry};
pub use route::{Candidate, Effects, Meaning, Resolved, Route, Target};
pub use scope::{Scope, Scopes};
pub use task::{Phase, Task, TaskState};
pub use time::{Mono, Time};
