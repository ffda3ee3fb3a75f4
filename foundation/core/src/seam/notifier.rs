//! Telling people, outside of the gateway, that something waits for their yes.
//!
//! A channel carries an id, a short title and a link. It never carries what the requester said, nor anything by which the
//! question could be answered: whoever reads it on a locked screen, or in a chat, knows no more than that somebody should look.

use std::sync::Arc;

use super::Later;
use crate::approval::{Class, State};
use crate::problem::Problem;
use crate::time::Time;

/// What there is to tell of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The question's id, which opens nothing.
    pub id: Arc<str>,
    /// The agent that the request would go to, by its name in the registry.
    pub agent: Arc<str>,
    /// The skill, by its id in the registry.
    pub skill: Option<Arc<str>>,
    /// The rule that wants a person.
    pub rule: Arc<str>,
    /// How much is at stake.
    pub class: Class,
    /// Where the question stands.
    pub state: State,
    /// Since when it stands there.
    pub at: Time,
    /// Until when it counts.
    pub expires_at: Time,
}

/// One channel. It tries once, within a limit of its own; whoever holds it tries again.
pub trait Notifier: Send + Sync {
    /// Whether it also tells that a question is over, and how many are open.
    fn follows(&self) -> bool {
        false
    }

    /// Tells it.
    ///
    /// # Errors
    /// The other side did not take it; why, without anything that is secret.
    fn tell<'a>(&'a self, notice: &'a Notice) -> Later<'a, Result<(), Problem>>;

    /// Tells how many questions are open, if it [`follows`](Notifier::follows).
    ///
    /// # Errors
    /// As [`Notifier::tell`].
    fn count(&self, open: usize) -> Later<'_, Result<(), Problem>> {
        let _ = open;
        Box::pin(std::future::ready(Ok(())))
    }
}
