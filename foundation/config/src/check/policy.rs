//! What rules that ask people want of the rest of the file: people who can answer.

use moongate_core::Code;
use moongate_core::approval::Class;

use super::Places;
use super::notify::BY_DEFAULT;
use crate::problems::Mistake;
use crate::read::Notes;
use crate::schema::{Config, Verdict};

/// Checks `[[policy]]`.
pub(super) fn policy(config: &Config, places: &Places<'_>, notes: &Notes<'_>) {
    let mistake = |path: &str, message: &str, label: &str, hint: &str| {
        let mistake = Mistake::new(Code::ConfigWrongValue, message).at(places.value(path), label);
        notes.mistake(mistake.hint(hint));
    };
    for (at, policy) in config.policy.iter().enumerate() {
        if policy.name == BY_DEFAULT {
            let message = format!("{BY_DEFAULT:?} is what the gateway's own rule is called");
            mistake(
                &format!("policy[{at}].name"),
                &message,
                "",
                "call it otherwise: logs and channels tell rules by name",
            );
        }
        // Without people, the operator alone answers, and with nothing but the secret.
        if policy.verdict != Verdict::Confirm || config.oauth.is_some() {
            continue;
        }
        if policy.asks.class == Class::Critical {
            let message =
                format!("nobody could say yes to what `policy[{at}]` asks: without [oauth] nobody has a passkey");
            let hint = "add [oauth] and `moongate users add NAME --scope approve`, or leave `class` out";
            mistake(&format!("policy[{at}].class"), &message, "wants a passkey", hint);
        }
        if policy.asks.people > 1 {
            let people = policy.asks.people;
            let message = format!(
                "nobody could say yes to what `policy[{at}]` asks: without [oauth] there is the operator alone, and it wants {people} people"
            );
            let hint = "add [oauth] and `moongate users add NAME --scope approve` for each, or leave `people` out";
            mistake(&format!("policy[{at}].people"), &message, "more than there are", hint);
        }
    }
}
