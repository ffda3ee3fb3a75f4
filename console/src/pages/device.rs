//! A device that shows a code asks: the person types it, sees who asks for what from where, and decides (RFC 8628 §3.3, with
//! the rules of RFC 10027).
//!
//! A code that came inside a link is only filled in. Nothing is looked up before the person sends the form, and nothing is
//! allowed before the person has seen the question. Wrong codes are slowed down by person and by address; the authorization
//! server limits them altogether.

use maud::Markup;
use moongate_core::{Code, Problem};
use moongate_identity::people::{SignedIn, too_early};

use super::reply::{page, status, with_problem};
use super::visit::Visit;
use super::{Answer, Pages};
use crate::view::{self, Outcome};

/// Characters of a code that are looked at.
const CODE: usize = 32;

impl Pages {
    pub(super) fn device_page(&self, visit: &Visit, who: &SignedIn) -> http::Response<bytes::Bytes> {
        page(status(200), &view::device_code(who, &code(visit.parameter("user_code")), None))
    }

    pub(super) async fn device(&self, visit: &Visit, who: &SignedIn) -> Answer {
        let (code, name, address) = (code(visit.field("user_code")), who.user.name.as_str(), visit.address());
        // An answer to a code is a guess like any other.
        let begun = self.codes.lock().begin(name, address, self.clock.mono());
        let answered = match (&begun, visit.field("answer")) {
            (Err(wait), _) => Err(too_early(*wait)),
            (Ok(()), Some("allow")) => self.decide_device(&code, who, true).await,
            (Ok(()), Some("deny")) => self.decide_device(&code, who, false).await,
            (Ok(()), _) => self.look_at_device(&code, who).await,
        };
        match answered {
            Ok(markup) => {
                // A right code says nothing of wrong ones: they may have been guesses at others' devices.
                self.codes.lock().forgive(name, address);
                Ok(page(status(200), &markup))
            }
            Err(problem) if begun.is_ok() && problem.code != Code::DeviceCodeUnknown => {
                self.codes.lock().forgive(name, address);
                self.unanswered(problem, &code, visit, who)
            }
            Err(problem) => self.unanswered(problem, &code, visit, who),
        }
    }

    fn unanswered(&self, problem: Problem, code: &str, visit: &Visit, who: &SignedIn) -> Answer {
        let (name, address) = (who.user.name.as_str(), visit.address());
        match problem.code {
            Code::DeviceCodeUnknown | Code::TooManyGuesses | Code::TooManyAttempts => {
                tracing::info!(code = %problem.code, user = name, remote = %address, "a device code fits none");
                Ok(with_problem(&problem, &view::device_code(who, code, Some(&problem))))
            }
            _ => Err(problem),
        }
    }

    async fn look_at_device(&self, code: &str, who: &SignedIn) -> Result<Markup, Problem> {
        let question = self.authority()?.device_question(code).await?;
        Ok(view::device_question(who, code, &question, self.clock.now()))
    }

    async fn decide_device(&self, code: &str, who: &SignedIn, yes: bool) -> Result<Markup, Problem> {
        let name = who.user.name.as_str();
        // A person that was disabled this very moment has no session any more; what is granted is worth nothing then.
        self.authority()?.device_answer(code, name, yes).await?;
        tracing::info!(user = name, allowed = yes, "a device was answered");
        Ok(view::decided(who, if yes { Outcome::Allowed } else { Outcome::Denied }, None))
    }
}

/// A code as it was typed or came in a link, in the form in which devices show it: letters in two groups.
fn code(text: Option<&str>) -> String {
    let letters = text.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).take(CODE);
    let letters = letters.collect::<String>().to_ascii_uppercase();
    match letters.split_at_checked(letters.len() / 2) {
        Some((first, second)) if letters.len() == 8 => format!("{first}-{second}"),
        _ => letters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_shown_as_the_device_shows_them_however_they_were_typed() {
        for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "B-C-D-F-G-H-J-K"] {
            assert_eq!(code(Some(typed)), "BCDF-GHJK");
        }
        assert_eq!(code(Some("<b>é")), "B");
        assert_eq!(code(None), "");
        assert_eq!(code(Some(&"A".repeat(100))).len(), CODE);
    }
}
