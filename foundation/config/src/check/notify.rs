//! What channels want of the rest of the file: names of their own, and rules that ask somebody.

use moongate_core::Code;

use super::{Places, twice};
use crate::keys::nearest;
use crate::problems::Mistake;
use crate::read::Notes;
use crate::schema::{Config, Verdict};

/// Checks `[[notify]]`.
pub(super) fn notify(config: &Config, places: &Places<'_>, notes: &Notes<'_>) {
    let channels = config.notify.iter().enumerate();
    twice(
        "channel",
        channels.clone().map(|(at, one)| (one.name.as_str(), format!("notify[{at}].name"))),
        places,
        notes,
    );
    let asking: Vec<&str> = config
        .policy
        .iter()
        .filter(|policy| policy.verdict == Verdict::Confirm)
        .map(|policy| policy.name.as_str())
        .collect();
    for (at, channel) in channels {
        for (index, rule) in channel.rules.iter().enumerate().filter(|(_, rule)| !asking.contains(&rule.as_str())) {
            let path = format!("notify[{at}].rules[{index}]");
            let message = format!("`notify[{at}].rules` names {rule:?}, and no [[policy]] with `confirm` is called so");
            let hint = match nearest(rule, asking.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None if asking.is_empty() => "no rule of this file asks anybody; add `confirm = '…'`".to_owned(),
                None => format!("those that ask people are {}", asking.join(", ")),
            };
            notes.mistake(Mistake::new(Code::ConfigDanglingName, message).at(places.value(&path), "").hint(hint));
        }
    }
}
