//! What one channel owes: a queue, and when it is tried again. It knows no clock and no channel.
//!
//! - The oldest first; one that failed goes to the end, and the channel rests, twice as long each time.
//! - A question that is over before it was told of is told of no more. One that was told of is taken back, where the channel
//!   can do that.
//! - Nothing is tried for ever: a question until it runs out, its end for [`AFTERWARDS`].

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use moongate_core::Time;
use moongate_core::approval::State;
use moongate_core::seam::notifier::Notice;

/// How long the end of a question is news.
pub(super) const AFTERWARDS: Duration = Duration::from_secs(600);
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Tell it.
    Tell(Notice),
    /// It was not told in time, and is given up.
    Late(Notice),
    /// Nothing before then, or before there is news.
    Wait(Option<Time>),
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Owed {
    queue: VecDeque<Notice>,
    /// Questions that people were told of and that are open.
    told: BTreeSet<Arc<str>>,
    failures: u32,
    rests_until: Option<Time>,
}

impl Owed {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Takes news of a question.
    pub(super) fn hear(&mut self, notice: Notice, follows: bool) {
        let queued = self.queue.iter().position(|other| other.id == notice.id);
        if notice.state == State::Pending {
            if queued.is_none() && !self.told.contains(&notice.id) {
                self.queue.push_back(notice);
            }
            return;
        }
        if let Some(at) = queued {
            self.queue.remove(at);
        }
        if self.told.remove(&notice.id) && follows {
            self.queue.push_back(notice);
        }
    }

    /// Takes the questions that are open, each with whether it was told of; others are not.
    pub(super) fn settle(&mut self, open: impl Iterator<Item = (Notice, bool)>) {
        let open: Vec<(Notice, bool)> = open.collect();
        let ids: BTreeSet<&Arc<str>> = open.iter().map(|(notice, _)| &notice.id).collect();
        self.queue.retain(|queued| queued.state != State::Pending || ids.contains(&queued.id));
        self.told.retain(|id| ids.contains(id));
        let queued: BTreeSet<Arc<str>> = self.queue.iter().map(|notice| notice.id.clone()).collect();
        for (notice, told) in open {
            if told {
                self.told.insert(notice.id);
            } else if !queued.contains(&notice.id) && !self.told.contains(&notice.id) {
                self.queue.push_back(notice);
            }
        }
    }

    /// What is to be done now. What it hands out is in the queue no more.
    pub(super) fn next(&mut self, now: Time) -> Next {
        if let Some(late) = self.queue.iter().position(|notice| now >= worthless(notice))
            && let Some(notice) = self.queue.remove(late)
        {
            return Next::Late(notice);
        }
        if let Some(until) = self.rests_until.filter(|until| *until > now) {
            return Next::Wait(Some(until));
        }
        self.queue.pop_front().map_or(Next::Wait(None), Next::Tell)
    }

    /// It was told.
    pub(super) fn told(&mut self, notice: &Notice) {
        self.went_well();
        if notice.state == State::Pending {
            self.told.insert(notice.id.clone());
        }
    }

    /// The channel works.
    pub(super) fn went_well(&mut self) {
        (self.failures, self.rests_until) = (0, None);
    }

    /// The channel did not take it.
    pub(super) fn failed(&mut self, notice: Option<Notice>, now: Time) {
        let rest = FIRST_REST.saturating_mul(1 << self.failures.min(6)).min(LONGEST_REST);
        self.failures = self.failures.saturating_add(1);
        self.rests_until = Some(now.plus(rest));
        self.queue.extend(notice);
    }
}

/// From when on it is no news.
fn worthless(notice: &Notice) -> Time {
    match notice.state {
        State::Pending => notice.expires_at,
        _ => notice.at.plus(AFTERWARDS),
    }
}

#[cfg(test)]
mod tests {
    use moongate_core::approval::Class;

    use super::*;

    fn notice(id: &str, state: State) -> Notice {
        Notice {
            id: id.into(),
            agent: "lock".into(),
            skill: None,
            rule: "doors".into(),
            class: Class::Sensitive,
            state,
            at: Time(0),
            expires_at: Time(120_000),
        }
    }

    fn asked(id: &str) -> Notice {
        notice(id, State::Pending)
    }

    #[test]
    fn each_question_is_told_once_the_oldest_first() {
        let mut owed = Owed::default();
        for id in ["a", "b", "a"] {
            owed.hear(asked(id), false);
        }
        for id in ["a", "b"] {
            assert_eq!(owed.next(Time(1)), Next::Tell(asked(id)));
            owed.told(&asked(id));
        }
        owed.hear(asked("a"), false);
        owed.settle([(asked("a"), true), (asked("b"), false)].into_iter());
        assert_eq!(owed.next(Time(1)), Next::Wait(None), "what the channel knows it told is not told again");
    }

    #[test]
    fn what_fails_is_tried_again_less_and_less_often_until_it_runs_out() {
        let mut owed = Owed::default();
        owed.hear(asked("a"), false);
        let (mut now, mut rests) = (Time(0), Vec::new());
        loop {
            match owed.next(now) {
                Next::Tell(notice) => owed.failed(Some(notice), now),
                Next::Wait(Some(until)) => {
                    rests.push(until.since(now).as_secs());
                    now = until;
                }
                Next::Late(notice) => {
                    assert_eq!((notice.id.as_ref(), now), ("a", Time(123_000)));
                    break;
                }
                Next::Wait(None) => panic!("it was forgotten"),
            }
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60]);
        assert_eq!(owed.len(), 0);
        owed.went_well();
        owed.hear(Notice { expires_at: Time(900_000), ..asked("b") }, false);
        assert!(matches!(owed.next(now), Next::Tell(_)), "a channel that works again does not rest");
    }

    #[test]
    fn an_end_is_told_where_the_question_was_and_the_channel_follows() {
        for (told, follows, expected) in [(true, true, 1), (true, false, 0), (false, true, 0)] {
            let mut owed = Owed::default();
            owed.hear(asked("a"), follows);
            if told {
                assert!(matches!(owed.next(Time(1)), Next::Tell(_)));
                owed.told(&asked("a"));
            }
            owed.hear(notice("a", State::Denied), follows);
            assert_eq!(owed.len(), expected, "told {told}, follows {follows}");
        }
    }

    #[test]
    fn what_was_missed_is_found_in_the_store() {
        let mut owed = Owed::default();
        owed.hear(asked("gone"), true);
        owed.hear(asked("open"), true);
        owed.settle([(asked("open"), false), (asked("new"), false), (asked("old"), true)].into_iter());
        for id in ["open", "new"] {
            assert_eq!(owed.next(Time(1)), Next::Tell(asked(id)));
        }
        assert_eq!(owed.next(Time(1)), Next::Wait(None));
        owed.hear(notice("old", State::Expired), true);
        assert!(matches!(owed.next(Time(1)), Next::Tell(end) if end.state == State::Expired));
    }
}
