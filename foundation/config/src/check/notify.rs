//! What channels want of the rest of the file: names of their own, and rules that ask somebody.

use moongate_core::Code;

use super::{Places, twice};
use crate::keys::nearest;
use crate::problems::Mistake;
use crate::read::Notes;
use crate::schema::{Config, Verdict, Way};

/// What asks although no rule of the file does.
pub(super) const BY_DEFAULT: &str = "sensitive by default";

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
        .chain(config.approvals.sensitive_by_default.then_some(BY_DEFAULT))
        .collect();
    for (at, channel) in channels {
        if matches!(channel.way, Some(Way::Push { .. })) && config.oauth.is_none() {
            let path = format!("notify[{at}].kind");
            let message = format!(
                "`{path}` is \"push\", and without [oauth] there is no page on which a browser could subscribe"
            );
            let mistake = Mistake::new(Code::ConfigWrongValue, message).at(places.value(&path), "");
            notes.mistake(mistake.hint("add [oauth], or tell people by another kind of channel"));
        }
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
