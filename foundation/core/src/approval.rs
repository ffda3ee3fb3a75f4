//! A person decides: the machine of one question, and the grant that a yes becomes.
//!
//! ```text
//!            ┌─ a no ───────────────▶ Denied
//! Pending ───┼─ nobody in time ─────▶ Expired
//!    │       └─ asked no more ──────▶ Cancelled
//!    └─ enough said yes ─▶ Approved ── right before dispatch, for the very request ──▶ Consumed
//!                             └─ too late, asked no more, other rules ─▶ Expired or Cancelled
//! ```
//!
//! - Nothing leaves a state on the right. What was dispatched and failed stays consumed: trying again is a new question.
//! - No answer is a no; so is one that comes late.
//! - Only [`Approval::apply`] makes a [`Grant`], once for each question, and only for the request whose hash was asked about.
//! - Whoever asked does not answer. One person counts once.
//! - A yes that is remembered answers a later, equal request; never what is critical.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// How much is at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    /// A yes of a signed-in operator is enough.
    Sensitive,
    /// It wants a passkey: doors, alarms, keys, deletion.
    Critical,
}

impl Class {
    /// The word that APIs, logs and the configuration use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sensitive => "sensitive",
            Self::Critical => "critical",
        }
    }
}

/// Where a question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// Nobody has decided.
    Pending,
    /// Enough people said yes; it has not been dispatched.
    Approved,
    /// Somebody said no.
    Denied,
    /// Nobody decided in time, or the yes was not used in time.
    Expired,
    /// It is not asked any more.
    Cancelled,
    /// It was dispatched.
    Consumed,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Approved, Self::Denied, Self::Expired, Self::Cancelled, Self::Consumed];

    /// The word that APIs and logs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Consumed => "consumed",
        }
    }

    /// Final for ever.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Approved)
    }
}

/// By what a person proved themselves when they decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Means {
    /// The operator's secret file: somebody at the gateway's machine.
    Secret,
    /// A passkey, over this very question.
    Passkey,
    /// An earlier yes to the very same request, which they wanted remembered.
    Remembered,
}

impl Means {
    /// The word that APIs and logs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Passkey => "passkey",
            Self::Remembered => "remembered",
        }
    }
}

/// One person's yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub by: Arc<str>,
    /// By what.
    pub means: Means,
    /// When.
    pub at: Time,
}

/// One question and what has been answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Its name: 128 random bits.
    pub id: Arc<str>,
    /// SHA-256 of the request as it was asked about.
    pub hash: [u8; 32],
    /// The principal that asked.
    pub requester: Arc<str>,
    /// How much is at stake.
    pub class: Class,
    /// The rule that wants a person.
    pub rule: Arc<str>,
    /// How many people have to say yes.
    pub needed: u8,
    /// When it was asked.
    pub asked_at: Time,
    /// Until when it counts.
    pub expires_at: Time,
    /// Where it stands.
    pub state: State,
    /// Who said yes so far.
    pub votes: Vec<Vote>,
    /// Who said no.
    pub denied_by: Option<Arc<str>>,
    /// Since when it stands where it stands.
    pub since: Time,
}

/// What happens to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A person says yes.
    Approve {
        /// Who.
        by: Arc<str>,
        /// By what.
        means: Means,
    },
    /// A person says no.
    Deny {
        /// Who.
        by: Arc<str>,
    },
    /// Time has passed.
    Tick,
    /// It is not asked any more: the asker took it back, or the rules are others.
    Cancel,
    /// A person may not decide any more: what that one said counts no longer.
    Revoke {
        /// Who.
        by: Arc<str>,
    },
    /// The request with this hash is about to be dispatched.
    Consume {
        /// Its hash, made anew.
        hash: [u8; 32],
    },
}

/// Why an input changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The question is not open any more.
    Decided(State),
    /// Nobody has decided.
    Undecided,
    /// Whoever asked may not answer.
    OwnQuestion,
    /// It wants a passkey.
    WantsPasskey,
    /// This person has said yes before.
    Twice,
    /// The request is not the one that was asked about.
    OtherRequest,
    /// Nothing has happened.
    Nothing,
}

/// Proof that people said yes to one request. It is used up by being turned into a clearance.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    approval: Arc<str>,
    rule: Arc<str>,
}

impl Grant {
    /// The question that was answered.
    pub fn approval(&self) -> &str {
        &self.approval
    }

    /// The rule that had asked.
    pub(crate) fn into_rule(self) -> Arc<str> {
        self.rule
    }
}

impl Approval {
    /// What comes of an input: the question as it is then, and a grant if the request may be dispatched.
    ///
    /// # Errors
    /// Why nothing comes of it. A question that has run out is [`State::Expired`] by [`Input::Tick`] only; any other input
    /// finds it decided.
    pub fn apply(&self, input: &Input, now: Time) -> Result<(Self, Option<Grant>), Rejected> {
        if self.state.is_final() {
            return Err(Rejected::Decided(self.state));
        }
        let is_late = now >= self.expires_at;
        let to = |state| Self { state, since: now, ..self.clone() };
        match (input, self.state) {
            (Input::Tick, _) if is_late => Ok((to(State::Expired), None)),
            (Input::Tick, _) => Err(Rejected::Nothing),
            (_, _) if is_late => Err(Rejected::Decided(State::Expired)),
            (Input::Cancel, _) => Ok((to(State::Cancelled), None)),
            (Input::Revoke { by }, state) if self.votes.iter().any(|vote| vote.by == *by) => {
                // A yes that was whole is not asked for again behind the back of whoever asked.
                let next = if state == State::Approved { to(State::Cancelled) } else { self.clone() };
                let votes = self.votes.iter().filter(|vote| vote.by != *by).cloned().collect();
                Ok((Self { votes, ..next }, None))
            }
            (Input::Revoke { .. }, _) => Err(Rejected::Nothing),
            (Input::Deny { by }, State::Pending) => {
                Ok((Self { denied_by: Some(by.clone()), ..to(State::Denied) }, None))
            }
            (Input::Approve { by, means }, State::Pending) => self.approved(by, *means, now).map(|next| (next, None)),
            (Input::Approve { .. } | Input::Deny { .. }, state) => Err(Rejected::Decided(state)),
            (Input::Consume { hash }, State::Approved) if *hash == self.hash => {
                Ok((to(State::Consumed), Some(Grant { approval: self.id.clone(), rule: self.rule.clone() })))
            }
            (Input::Consume { .. }, State::Approved) => Err(Rejected::OtherRequest),
            (Input::Consume { .. }, _) => Err(Rejected::Undecided),
        }
    }

    fn approved(&self, by: &Arc<str>, means: Means, now: Time) -> Result<Self, Rejected> {
        if *by == self.requester {
            return Err(Rejected::OwnQuestion);
        }
        if self.class == Class::Critical && means != Means::Passkey {
            return Err(Rejected::WantsPasskey);
        }
        if self.votes.iter().any(|vote| vote.by == *by) {
            return Err(Rejected::Twice);
        }
        let mut next = self.clone();
        next.votes.push(Vote { by: by.clone(), means, at: now });
        if next.votes.len() >= usize::from(self.needed.max(1)) {
            next.state = State::Approved;
            next.since = now;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Time = Time(1_000);

    fn question() -> Approval {
        Approval {
            id: "a".into(),
            hash: [1; 32],
            requester: "home:mallory".into(),
            class: Class::Sensitive,
            rule: "doors".into(),
            needed: 1,
            asked_at: Time(0),
            expires_at: END,
            state: State::Pending,
            votes: Vec::new(),
            denied_by: None,
            since: Time(0),
        }
    }

    fn yes(by: &str, means: Means) -> Input {
        Input::Approve { by: by.into(), means }
    }

    fn consume(hash: u8) -> Input {
        Input::Consume { hash: [hash; 32] }
    }

    #[test]
    fn a_yes_is_good_for_one_dispatch_of_the_very_request() {
        let (approved, grant) = question().apply(&yes("home:alice", Means::Secret), Time(5)).unwrap();
        assert_eq!((approved.state, approved.since, grant), (State::Approved, Time(5), None));
        assert_eq!(approved.apply(&consume(2), Time(6)), Err(Rejected::OtherRequest));
        let (consumed, grant) = approved.apply(&consume(1), Time(6)).unwrap();
        assert_eq!((consumed.state, grant.unwrap().approval()), (State::Consumed, "a"));
        assert_eq!(consumed.apply(&consume(1), Time(7)), Err(Rejected::Decided(State::Consumed)));
        assert_eq!(question().apply(&consume(1), Time(6)), Err(Rejected::Undecided));
    }

    #[test]
    fn nobody_in_time_is_a_no_and_so_is_a_yes_that_was_not_used() {
        let (approved, _) = question().apply(&yes("home:alice", Means::Secret), Time(5)).unwrap();
        for open in [question(), approved] {
            assert_eq!(open.apply(&Input::Tick, Time(999)), Err(Rejected::Nothing));
            for late in [yes("home:bob", Means::Passkey), consume(1), Input::Deny { by: "x".into() }, Input::Cancel] {
                assert_eq!(open.apply(&late, END), Err(Rejected::Decided(State::Expired)), "{late:?}");
            }
            assert_eq!(open.apply(&Input::Tick, END).unwrap().0.state, State::Expired);
        }
    }

    #[test]
    fn whoever_asks_does_not_answer_and_nobody_answers_twice() {
        let own = yes("home:mallory", Means::Passkey);
        assert_eq!(question().apply(&own, Time(1)), Err(Rejected::OwnQuestion));
        let two = Approval { needed: 2, ..question() };
        let (one, _) = two.apply(&yes("home:alice", Means::Passkey), Time(1)).unwrap();
        assert_eq!(one.state, State::Pending);
        assert_eq!(one.apply(&yes("home:alice", Means::Passkey), Time(2)), Err(Rejected::Twice));
        assert_eq!(one.apply(&yes("home:bob", Means::Secret), Time(2)).unwrap().0.state, State::Approved);
    }

    #[test]
    fn a_vote_counts_no_longer_once_its_voter_may_not_decide() {
        let revoke = |by: &str| Input::Revoke { by: by.into() };
        let two = Approval { needed: 2, ..question() };
        let (one, _) = two.apply(&yes("home:alice", Means::Passkey), Time(1)).unwrap();
        let (none, _) = one.apply(&revoke("home:alice"), Time(2)).unwrap();
        assert_eq!((none.state, none.votes.len(), none.since), (State::Pending, 0, Time(0)));
        assert_eq!(none.apply(&revoke("home:alice"), Time(3)), Err(Rejected::Nothing));
        let (approved, _) = one.apply(&yes("home:bob", Means::Passkey), Time(3)).unwrap();
        let (over, grant) = approved.apply(&revoke("home:alice"), Time(4)).unwrap();
        assert_eq!((over.state, over.since, grant), (State::Cancelled, Time(4), None));
        assert_eq!(approved.apply(&revoke("home:carol"), Time(4)), Err(Rejected::Nothing));
    }

    #[test]
    fn what_is_critical_wants_a_passkey() {
        let critical = Approval { class: Class::Critical, ..question() };
        for other in [Means::Secret, Means::Remembered] {
            assert_eq!(critical.apply(&yes("home:alice", other), Time(1)), Err(Rejected::WantsPasskey));
        }
        assert_eq!(critical.apply(&yes("home:alice", Means::Passkey), Time(1)).unwrap().0.state, State::Approved);
    }

    #[test]
    fn nothing_leaves_a_final_state_and_only_consuming_makes_a_grant() {
        let inputs = [
            yes("home:alice", Means::Passkey),
            Input::Deny { by: "home:bob".into() },
            Input::Tick,
            Input::Cancel,
            Input::Revoke { by: "home:alice".into() },
            consume(1),
        ];
        for state in State::ALL {
            let approval = Approval { state, ..question() };
            for (input, now) in inputs.iter().flat_map(|input| [(input, Time(1)), (input, END)]) {
                match approval.apply(input, now) {
                    Ok((next, grant)) => {
                        assert!(!state.is_final(), "{state:?} {input:?}");
                        assert_eq!(grant.is_some(), next.state == State::Consumed, "{state:?} {input:?}");
                        assert!(next.state != State::Consumed || state == State::Approved, "{state:?} {input:?}");
                    }
                    Err(Rejected::Decided(found)) if state.is_final() => assert_eq!(found, state),
                    Err(_) => assert!(!state.is_final()),
                }
            }
        }
    }
}
