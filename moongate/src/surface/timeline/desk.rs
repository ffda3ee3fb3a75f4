//! What the desk says: who was asked about the task, by which rule, what each answered by what, and that the yes was used.

use moongate_a2a::moment;
use moongate_approval::Stored;
use moongate_console::timeline::{Source, Step, What};
use moongate_core::approval::State;

use super::lines::{Line, line_of};

/// The steps of one question; each with the line of the log that proves it, where there is one.
pub(super) fn steps(question: &Stored, lines: &[Line]) -> Vec<Step> {
    let approval = &question.approval;
    let about = |at, what, words: String| Step {
        approval: Some(approval.id.to_string()),
        ..Step::new(moment::write(at), what, Source::Desk, words)
    };
    let proven = |operation: &str| line_of(lines, operation, &approval.id);
    let people = if approval.needed == 1 { "a person".to_owned() } else { format!("{} people", approval.needed) };
    let until = moment::write(approval.expires_at);
    let (class, rule) = (approval.class.as_str(), &approval.rule);
    let asked = format!("{people} must say yes until {until} ({class}, rule {rule})");
    let mut steps =
        vec![Step { who: Some(approval.requester.to_string()), ..about(approval.asked_at, What::Asked, asked) }];
    steps.extend(approval.votes.iter().map(|vote| Step {
        who: Some(vote.by.to_string()),
        result: Some("yes".to_owned()),
        line: proven("approval.approved"),
        ..about(vote.at, What::Decided, format!("yes, by {}", vote.means.as_str()))
    }));
    let ended = |what, words: &str| Step {
        result: Some(approval.state.as_str().to_owned()),
        line: proven(&format!("approval.{}", approval.state.as_str())),
        ..about(approval.since, what, words.to_owned())
    };
    match approval.state {
        State::Pending | State::Approved => {}
        State::Denied => {
            steps.push(Step { who: approval.denied_by.as_ref().map(ToString::to_string), ..ended(What::Decided, "no") })
        }
        State::Expired => {
            steps.push(ended(What::Decided, "nobody has decided in time, or the yes was not used in time"))
        }
        State::Cancelled => steps.push(ended(What::Decided, "it is not asked any more")),
        State::Consumed => steps.push(Step {
            result: Some("dispatched".to_owned()),
            line: proven("approval.dispatch"),
            ..ended(What::Dispatched, &format!("it goes to {} by this yes, which is used up", question.agent()))
        }),
    }
    steps
}
