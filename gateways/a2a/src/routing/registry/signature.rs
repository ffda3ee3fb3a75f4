//! Whether an agent's card is signed as its entry wants it. Which keys may speak, and what became of it; the cryptography
//! is behind the seam.

use moongate_core::seam::notary::{Finding, KeysAt, Notary, Trust};
use moongate_core::{Code, Problem};
use moongate_wire::a2a::card::{Card, signing};
use serde_json::{Value, json};

/// What becomes of cards whose signature is missing or does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Nobody looks.
    Ignore,
    /// What does not hold is refused; cards without a signature are taken.
    #[default]
    Check,
    /// Only cards whose signature holds are taken.
    Require,
}

/// What an entry wants of its card's signature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What becomes of others.
    pub policy: Policy,
    /// Whose signatures hold; `None`: those of keys that lie where the card lies.
    pub keys: Option<KeysAt>,
}

/// What is known of the signature of a card that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It has none.
    #[default]
    Unsigned,
    /// Nobody looked.
    Unchecked,
    /// It cannot be said whether it holds; why.
    Unverified(String),
    /// It holds, under the key of this id.
    Verified(String),
}

impl Verdict {
    /// As the API shows it.
    pub(crate) fn view(&self) -> Value {
        match self {
            Self::Unsigned => json!({"state": "unsigned"}),
            Self::Unchecked => json!({"state": "unchecked"}),
            Self::Unverified(why) => json!({"state": "unverified", "detail": why}),
            Self::Verified(kid) => json!({"state": "verified", "kid": kid}),
        }
    }
}

/// Judges a card as it came (`stated`), which was read as `card`; `from` is where it was fetched.
///
/// # Errors
/// `CardSignature`, `CardKeysUnreachable`: the entry does not want such a card.
pub(crate) async fn judge(
    notary: &dyn Notary,
    wanted: &Wanted,
    from: Option<&str>,
    stated: &Value,
    card: &Card,
) -> Result<Verdict, Problem> {
    if wanted.policy == Policy::Ignore {
        return Ok(if card.signed { Verdict::Unchecked } else { Verdict::Unsigned });
    }
    let trust = Trust { keys: wanted.keys.clone(), from: from.map(str::to_owned) };
    let finding = notary.judge(&signing::signed(stated), &trust).await;
    decide(finding, wanted, card.legacy)
}

fn decide(finding: Finding, wanted: &Wanted, legacy: bool) -> Result<Verdict, Problem> {
    let required = wanted.policy == Policy::Require;
    match finding {
        Finding::Holds { kid } => Ok(Verdict::Verified(kid)),
        Finding::Unsigned if required => {
            Err(Problem::new(Code::CardSignature, "the card is not signed, and the agent's entry demands it"))
        }
        Finding::Unsigned => Ok(Verdict::Unsigned),
        Finding::Unknown(why) if required => Err(Problem::new(Code::CardSignature, why)),
        Finding::Unknown(why) => Ok(Verdict::Unverified(why)),
        // Whoever could keep us from the keys could take the signature away as well: then the card would pass, too.
        Finding::Unreachable(why) if !required && wanted.keys.is_none() => Ok(Verdict::Unverified(why)),
        Finding::Unreachable(why) => Err(Problem::new(Code::CardKeysUnreachable, why)),
        // Before 1.0 the text did not say which members a signature covers.
        Finding::Broken(why) if legacy && !required && wanted.keys.is_none() => {
            Ok(Verdict::Unverified(format!("{why}; or its library signs cards of A2A 0.x in a way of its own")))
        }
        Finding::Broken(why) => Err(Problem::new(Code::CardSignature, why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_takes_what_it_says() {
        let why = || "why".to_owned();
        let findings = [
            Finding::Holds { kid: "k".into() },
            Finding::Unsigned,
            Finding::Unknown(why()),
            Finding::Unreachable(why()),
            Finding::Broken(why()),
        ];
        let keys = || Some(KeysAt::Url("https://keys.test/".into()));
        let codes = |policy, keys: Option<KeysAt>, legacy| -> Vec<Option<Code>> {
            let wanted = Wanted { policy, keys };
            findings.iter().map(|one| decide(one.clone(), &wanted, legacy).err().map(|problem| problem.code)).collect()
        };
        let (bad, away) = (Some(Code::CardSignature), Some(Code::CardKeysUnreachable));
        assert_eq!(codes(Policy::Check, None, false), [None, None, None, None, bad]);
        assert_eq!(codes(Policy::Check, None, true), [None; 5]);
        assert_eq!(codes(Policy::Check, keys(), false), [None, None, None, away, bad]);
        assert_eq!(codes(Policy::Check, keys(), true), [None, None, None, away, bad]);
        assert_eq!(codes(Policy::Require, None, false), [None, bad, bad, away, bad]);
        assert_eq!(codes(Policy::Require, keys(), true), [None, bad, bad, away, bad]);
        let unverified = Ok(Verdict::Unverified(why()));
        let wanted = Wanted::default();
        assert_eq!(decide(Finding::Unknown(why()), &wanted, false).map_err(|p| p.detail), unverified);
        assert_eq!(decide(Finding::Unreachable(why()), &wanted, false).map_err(|p| p.detail), unverified);
    }
}
