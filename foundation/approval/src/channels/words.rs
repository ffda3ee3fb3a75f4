//! What people read: a title and a line, made of names that the registry and the configuration have.
//!
//! Names come from agents' cards too, so what is invisible in them is written out, and what is long is cut.

use moongate_core::Time;
use moongate_core::approval::{Class, State};
use moongate_core::seam::notifier::Notice;

use crate::document::visible;

/// Characters of one name at most.
const NAME: usize = 48;

/// Where the pages are, if the gateway has pages for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(pub Option<String>);

impl Place {
    /// The page of a question.
    pub(super) fn link(&self, notice: &Notice) -> Option<String> {
        self.0.as_ref().map(|base| format!("{base}/approvals/{}", notice.id))
    }
}

/// One line that says what the question is about, and nothing of what the requester said.
pub fn title(notice: &Notice) -> String {
    let about = match &notice.skill {
        Some(skill) => format!("{}, {}", name(&notice.agent), name(skill)),
        None => name(&notice.agent),
    };
    match notice.state {
        State::Pending => format!("A yes is wanted: {about}"),
        state => format!("{}: {about}", ended(state)),
    }
}

fn ended(state: State) -> &'static str {
    match state {
        State::Pending => "Waits",
        State::Approved | State::Consumed => "Allowed",
        State::Denied => "Denied",
        State::Expired => "Nobody decided",
        State::Cancelled => "Not asked any more",
    }
}

/// The line below it.
pub(super) fn line(notice: &Notice, place: &Place, now: Time) -> String {
    let class = match notice.class {
        Class::Sensitive => "Sensitive",
        Class::Critical => "Critical",
    };
    let seconds = notice.expires_at.since(now).as_secs();
    let left = if seconds < 120 { format!("{seconds} seconds") } else { format!("{} minutes", seconds / 60) };
    let answer = match place.0 {
        Some(_) => "Look at it before you answer.".to_owned(),
        None => format!("At the gateway’s machine: moongate approve show {}", notice.id),
    };
    format!("{class}, by the rule {}; {left} left. {answer}", name(&notice.rule))
}

/// A name as it can be read, and no longer than a line.
fn name(text: &str) -> String {
    let shown = visible(text);
    if shown.chars().count() <= NAME {
        return shown;
    }
    shown.chars().take(NAME - 1).chain(['…']).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::channels) fn notice() -> Notice {
        Notice {
            id: "5f0c".into(),
            agent: "lock".into(),
            skill: Some("door.open".into()),
            rule: "doors".into(),
            class: Class::Critical,
            state: State::Pending,
            at: Time(0),
            expires_at: Time(90_000),
        }
    }

    #[test]
    fn a_title_names_agent_and_skill_and_a_line_says_how_long() {
        assert_eq!(title(&notice()), "A yes is wanted: lock, door.open");
        assert_eq!(title(&Notice { skill: None, state: State::Denied, ..notice() }), "Denied: lock");
        let place = Place(Some("https://gate.example".into()));
        assert_eq!(place.link(&notice()).as_deref(), Some("https://gate.example/approvals/5f0c"));
        let expected = "Critical, by the rule doors; 80 seconds left. Look at it before you answer.";
        assert_eq!(line(&notice(), &place, Time(10_000)), expected);
        assert!(line(&notice(), &Place(None), Time(0)).ends_with("moongate approve show 5f0c"));
    }

    #[test]
    fn names_that_hide_or_go_on_are_written_out_and_cut() {
        let skill = format!("\u{202e}nepo\u{200b}\r\nClick: https://evil.example {}", "x".repeat(500));
        let shown = title(&Notice { skill: Some(skill.into()), ..notice() });
        assert!(shown.starts_with("A yes is wanted: lock, \\u{202e}nepo\\u{200b}\\u{d}\\u{a}Click"), "{shown}");
        assert!(shown.chars().count() < 80 && shown.chars().all(|letter| !letter.is_control()), "{shown}");
    }
}
