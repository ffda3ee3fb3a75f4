//! Words that are not this gateway's: what agents' cards name, and what the tokens for them say (RFC 6749 §3.3).
//!
//! Such a word covers itself alone, byte for byte, and grants nothing on any plane. What could be taken for one of the
//! gateway's own is none of these, neither in disguise nor by mistake.

use std::sync::Arc;

use super::{Plane, WORDS};

/// The most bytes of such a word.
pub(super) const LONGEST: usize = 128;

/// Reads such a word; `None` if it is none.
pub(super) fn read(text: &str) -> Option<Arc<str>> {
    (is_token(text) && resembled(text).is_none()).then(|| Arc::from(text))
}

fn is_token(text: &str) -> bool {
    let fits = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(fits)
}

/// What a text looks like that is not written as it is.
enum Own {
    Plane(Plane),
    Word(&'static str),
}

/// The gateway's own plane or word that it is but for case, percent-encoding and punctuation.
fn resembled(text: &str) -> Option<Own> {
    let decoded = decoded(text);
    let bare = |bytes: &[u8]| -> Vec<u8> {
        bytes.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
    };
    let head = decoded.split(|byte| *byte == b':').map(bare).find(|part| !part.is_empty()).unwrap_or_default();
    let whole = bare(&decoded);
    let plane = Plane::ALL.into_iter().find(|plane| plane.as_str().as_bytes() == head);
    let word = WORDS.into_iter().find(|word| bare(word.as_bytes()) == whole);
    plane.map(Own::Plane).or_else(|| word.map(Own::Word))
}

fn decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let byte = tail.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let byte = byte.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    decoded
}

/// Why a text is no scope at all, for whoever wrote it.
pub(super) fn fault(text: &str) -> String {
    match resembled(text) {
        Some(Own::Plane(plane)) => format!("scopes that begin so are written {}", plane.form()),
        Some(Own::Word(word)) => format!("did you mean {word}?"),
        None => format!("a scope has 1 to {LONGEST} characters, of them no blanks, quotes or backslashes"),
    }
}

/// Why such a word is most likely not what its writer meant, if that is so.
pub(super) fn doubt(word: &str) -> Option<String> {
    if word.contains('*') {
        return Some("`*` stands for a segment of the gateway's own scopes, and in other words for nothing".to_owned());
    }
    let (head, rest) = word.split_once(':')?;
    let near = [Plane::A2a, Plane::Mcp].into_iter().find(|plane| is_near(head, plane.as_str()));
    near.filter(|_| rest.split(':').count() == 2).map(|plane| format!("did you mean {}:{rest}?", plane.as_str()))
}

/// Whether one letter too many, too few or changed, or two exchanged, is all that differs.
fn is_near(text: &str, own: &str) -> bool {
    let (text, own) = (text.to_ascii_lowercase(), own.as_bytes());
    let text = text.as_bytes();
    let same = text.iter().zip(own).take_while(|(one, other)| one == other).count();
    let (text, own) = (text.get(same..).unwrap_or_default(), own.get(same..).unwrap_or_default());
    match (text, own) {
        ([_, text @ ..], own) if text == own => true,
        (text, [_, own @ ..]) if text == own => true,
        ([_, text @ ..], [_, own @ ..]) if text == own => true,
        ([first, second, text @ ..], [other, another, own @ ..]) => first == another && second == other && text == own,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Scope, Scopes};
    use super::*;

    #[test]
    fn words_of_others_are_read_as_rfc_6749_says() {
        let long = "x".repeat(LONGEST);
        for text in [
            "locks:write",
            "read",
            "https://graph.example/.default",
            "urn:x:y#z",
            "mail.send",
            "mcp.tools",
            "model_read",
            "!#$%&'()+,-./:;<=>?@[]^_`{|}~",
            "registers",
            "%zz",
            long.as_str(),
        ] {
            let scope = Scope::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert!(scope.is_other() && scope.plane().is_none(), "{text}");
            assert_eq!(scope.to_string(), text);
        }
        let longer = "x".repeat(LONGEST + 1);
        for text in ["", " ", "a b", "a\"b", "a\\b", "a\nb", "a\u{7f}", "caf\u{e9}", "\u{430}2\u{430}:x:y", &longer] {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_looks_like_the_gateways_own_is_no_other_word() {
        for text in [
            "A2A:x:send",
            "a2A:*:*",
            "a2a",
            "a2a:",
            ":a2a",
            "a2a:x",
            "a2a:x:y:z",
            "-a2a:x:send",
            "a-2-a:x:send",
            "%612a:x:send",
            "a2a%3Ax%3Asend",
            "a2a%3ax:send",
            "_a2a_:*:*",
            "MCP:s:t",
            "mcp",
            "Model:x",
            "NET",
            "aDmin:users",
            "admin",
            "audit:",
            "Register",
            "APPROVE",
            "open-id",
            "offline-access",
            "OfflineAccess",
            "%72egister",
        ] {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_word_of_others_covers_itself_and_grants_nothing_else() {
        let held = Scopes::read("locks:write https://x.example/* *:*:* * admin/* LOCKS:READ");
        for text in ["locks:write", "LOCKS:READ"] {
            assert!(held.covers(&Scope::parse(text).unwrap()), "{text}");
        }
        for text in
            ["locks:*", "locks:writ", "Locks:write", "locks:read", "a2a:x:send", "a2a:*:*", "register", "admin:users"]
        {
            assert!(!held.covers(&Scope::parse(text).unwrap()), "{text}");
        }
        for plane in Plane::ALL {
            assert!(!held.any(plane) && !held.all(plane), "{plane:?}");
        }
        let both = held.meet(&Scopes::read("a2a:*:* locks:write register"));
        assert_eq!(both.words().iter().map(|word| &**word).collect::<Vec<_>>(), ["locks:write"]);
    }

    #[test]
    fn many_words_of_others_push_none_of_the_gateways_own_out() {
        let others: Vec<String> = (0..300).map(|n| format!("other-{n}")).collect();
        let held = Scopes::read(&format!("{} a2a:lights:send", others.join(" ")));
        assert!(held.covers(&Scope::parse("a2a:lights:send").unwrap()));
        assert_eq!(held.words().len(), super::super::MOST + 1);
        let own: Vec<String> = (0..300).map(|n| format!("a2a:s{n}:send")).collect();
        let held = Scopes::read(&format!("{} locks:write", own.join(" ")));
        assert!(held.covers(&Scope::parse("locks:write").unwrap()));
        assert_eq!(held.words().len(), super::super::MOST + 1);
    }

    #[test]
    fn who_writes_a_scope_is_told_of_what_it_most_likely_is_not() {
        for text in ["locks:write", "mail:send", "models:read", "a2a:lights.set:send", "register", "net.read", "set:x"]
        {
            assert_eq!(Scope::written(text).map(|scope| scope.to_string()), Ok(text.to_owned()));
        }
        for (text, why) in [
            ("A2A:lights.set:send", "a2a:SKILL:VERB"),
            ("a2a:lights.set", "a2a:SKILL:VERB"),
            ("a2a", "a2a:SKILL:VERB"),
            ("mcp:files", "mcp:SERVER:TOOL"),
            ("Model:x", "model:NAME"),
            ("admin", "admin:AREA"),
            ("Register", "did you mean register?"),
            ("offline-access", "did you mean offline_access?"),
            ("locks:*", "`*` stands for"),
            ("*", "`*` stands for"),
            ("a2:lights.set:send", "did you mean a2a:lights.set:send?"),
            ("aa2:lights.set:send", "did you mean a2a:lights.set:send?"),
            ("a2aa:lights.set:send", "did you mean a2a:lights.set:send?"),
            ("a2b:lights.set:send", "did you mean a2a:lights.set:send?"),
            ("MPC:files:read", "did you mean mcp:files:read?"),
            ("a b", "no blanks"),
            ("", "1 to 128"),
        ] {
            let told = Scope::written(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
