//! What exactly a person is asked about: one document, and its hash.
//!
//! `hash = SHA-256(JCS(document))` (RFC 8785). The document holds the request's parameters whole, who asks, whom it goes to,
//! and by which rules it was judged. Before the request is dispatched the document is made anew of what is about to be sent;
//! if its hash is another one, nothing is.

use std::sync::Arc;

use moongate_core::{Code, Problem, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

/// The largest integer that every reader of JSON reads alike (RFC 7493 §2.2).
const EXACT: u64 = (1 << 53) - 1;

/// What a request says, wherever it is taken from: from the caller, or from the store before it is dispatched.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The principal that asks.
    pub requester: Arc<str>,
    /// The operation's word.
    pub operation: Arc<str>,
    /// The agent that it goes to.
    pub agent: Arc<str>,
    /// The skill that the rule is about, or the one that was resolved.
    pub skill: Option<Arc<str>>,
    /// The task that stands for it.
    pub task: Arc<str>,
    /// The parameters, all of them.
    pub params: Value,
    /// The extensions that are declared to the agent.
    pub extensions: Vec<String>,
    /// Where news of the task go, which the gateway sends itself.
    pub callbacks: Vec<Callback>,
    /// Where the agent is, by a hash: another one of the same name is not meant.
    pub place: Arc<str>,
    /// The rules that are in force, by their hash.
    pub policy: Arc<str>,
}

/// A push notification config that came with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Where news are sent.
    pub url: String,
    /// All of the config, hashed: a remembered yes counts for the very same one, credentials too.
    pub whole: Arc<str>,
}

/// What was fixed when the question was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// 128 random bits, in hex.
    pub nonce: Arc<str>,
    /// The rule that wants a person.
    pub rule: Arc<str>,
    /// SHA-256 of the body as it was received, in hex.
    pub body: Arc<str>,
    /// When it was asked.
    pub asked_at: Time,
    /// Until when it counts.
    pub expires_at: Time,
}

/// The document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document(Value);

impl Document {
    /// Of a request in its frame.
    ///
    /// # Errors
    /// `InvalidParams` for numbers that two readers could read differently: what a person sees must be what is sent.
    pub fn of(asked: &Asked, frame: &Frame) -> Result<Self, Problem> {
        exact(&asked.params, "params")?;
        let text = |text: &Arc<str>| Value::from(&**text);
        let mut members = Map::new();
        members.insert("v".to_owned(), Value::from(1));
        members.insert("requester".to_owned(), text(&asked.requester));
        members.insert("operation".to_owned(), text(&asked.operation));
        let mut target = Map::new();
        target.insert("agent".to_owned(), text(&asked.agent));
        target.insert("skill".to_owned(), asked.skill.as_ref().map_or(Value::Null, text));
        target.insert("task".to_owned(), text(&asked.task));
        target.insert("place".to_owned(), text(&asked.place));
        members.insert("target".to_owned(), Value::Object(target));
        members.insert("params".to_owned(), asked.params.clone());
        members.insert("extensions".to_owned(), asked.extensions.iter().map(|one| Value::from(one.as_str())).collect());
        let callbacks = asked.callbacks.iter().map(|one| serde_json::json!({"url": one.url}));
        members.insert("callbacks".to_owned(), callbacks.collect());
        members.insert("body_sha256".to_owned(), text(&frame.body));
        let mut policy = Map::new();
        policy.insert("rule".to_owned(), text(&frame.rule));
        policy.insert("version".to_owned(), text(&asked.policy));
        members.insert("policy".to_owned(), Value::Object(policy));
        members.insert("nonce".to_owned(), text(&frame.nonce));
        members.insert("created".to_owned(), Value::from(frame.asked_at.0));
        members.insert("expires".to_owned(), Value::from(frame.expires_at.0));
        Ok(Self(Value::Object(members)))
    }

    /// Its hash.
    ///
    /// # Errors
    /// `Internal` if it cannot be written, which numbers alone could cause.
    pub fn hash(&self) -> Result<[u8; 32], Problem> {
        let canonical = serde_json_canonicalizer::to_vec(&self.0).map_err(|error| {
            Problem::new(Code::Internal, "a question for a person cannot be written down").inside(error.to_string())
        })?;
        Ok(Sha256::digest(canonical).into())
    }

    /// The document, for people and for whoever checks the hash.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

/// What two requests have in common that are the same but for their moment: all that a person is asked about, without the
/// message's own id, the task that stands for it, and the frame. SHA-256 over it, in hex.
///
/// # Errors
/// As [`Document::hash`].
pub fn template(asked: &Asked, rule: &Arc<str>) -> Result<String, Problem> {
    let mut params = asked.params.clone();
    if let Some(message) = params.get_mut("message").and_then(Value::as_object_mut) {
        message.remove("messageId");
    }
    let nothing: Arc<str> = "".into();
    let asked = Asked { params, task: nothing.clone(), ..asked.clone() };
    let frame =
        Frame { nonce: nothing.clone(), rule: rule.clone(), body: nothing, asked_at: Time(0), expires_at: Time(0) };
    let mut whole = hex(&Document::of(&asked, &frame)?.hash()?);
    asked.callbacks.iter().for_each(|callback| whole.push_str(&callback.whole));
    Ok(hex(&Sha256::digest(whole)))
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a passkey signs over a document: `SHA-256(hash ‖ nonce)`, the nonce as its hexadecimal text.
pub fn challenge(hash: &[u8; 32], nonce: &str) -> [u8; 32] {
    Sha256::new().chain_update(hash).chain_update(nonce.as_bytes()).finalize().into()
}

/// What a passkey signs to say yes, and to the very same again for so many seconds:
/// `SHA-256(hash ‖ nonce ‖ "remember=" ‖ seconds)`.
pub fn remembering(hash: &[u8; 32], nonce: &str, seconds: u64) -> [u8; 32] {
    let words = format!("remember={seconds}");
    Sha256::new().chain_update(hash).chain_update(nonce.as_bytes()).chain_update(words).finalize().into()
}

/// Text as a person can read it: what is invisible, or turns the order of letters around, is written out.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_hidden(letter) {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Control characters, marks and overrides of direction (Unicode bidi), joiners and spaces without width, variation
/// selectors, tags, fillers.
pub fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// SHA-256 of a body, in hex.
pub fn digest(body: &[u8]) -> Arc<str> {
    hex(&Sha256::digest(body)).into()
}

fn exact(value: &Value, place: &str) -> Result<(), Problem> {
    match value {
        Value::Number(number) if !is_exact(number) => {
            let why = "is a number that not everybody reads alike; a person is asked about exact numbers only";
            Err(Problem::new(Code::InvalidParams, format!("{place} {why}")).field(place.to_owned(), why))
        }
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(index, item)| exact(item, &format!("{place}[{index}]")))
        }
        Value::Object(members) => {
            members.iter().try_for_each(|(name, member)| exact(member, &format!("{place}.{name}")))
        }
        _ => Ok(()),
    }
}

fn is_exact(number: &Number) -> bool {
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(whole), ..) => whole <= EXACT,
        (None, Some(whole), _) => whole.unsigned_abs() <= EXACT,
        (None, None, Some(real)) => real.is_finite() && (real.fract() != 0.0 || real.abs() <= EXACT as f64),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked() -> Asked {
        Asked {
            requester: "home:mallory".into(),
            operation: "send".into(),
            agent: "lock".into(),
            skill: Some("door.open".into()),
            task: "t-1".into(),
            params: json!({"message": {"parts": [{"text": "open"}, {"data": {"level": 3}}]}}),
            extensions: Vec::new(),
            callbacks: Vec::new(),
            place: "here".into(),
            policy: "p".into(),
        }
    }

    fn callback(url: &str, whole: &str) -> Callback {
        Callback { url: url.to_owned(), whole: whole.into() }
    }

    fn reporting(url: &str, whole: &str) -> Asked {
        Asked { callbacks: vec![callback(url, whole)], ..asked() }
    }

    fn frame() -> Frame {
        Frame { nonce: "n".into(), rule: "doors".into(), body: digest(b"{}"), asked_at: Time(1), expires_at: Time(2) }
    }

    fn hash(asked: &Asked, frame: &Frame) -> [u8; 32] {
        Document::of(asked, frame).unwrap().hash().unwrap()
    }

    #[test]
    fn whatever_is_other_makes_another_hash_and_the_order_of_members_does_not() {
        let one = hash(&asked(), &frame());
        let same =
            Asked { params: json!({"message": {"parts": [{"text": "open"}, {"data": {"level": 3.0}}]}}), ..asked() };
        assert_eq!(hash(&same, &frame()), one, "3.0 is 3 to every reader");
        let others = [
            Asked { requester: "home:alice".into(), ..asked() },
            Asked { operation: "stream".into(), ..asked() },
            Asked { agent: "garage".into(), ..asked() },
            Asked { skill: None, ..asked() },
            Asked { task: "t-2".into(), ..asked() },
            Asked { params: json!({"message": {"parts": [{"text": "open "}]}}), ..asked() },
            Asked { policy: "q".into(), ..asked() },
            Asked { extensions: vec!["https://x.example/force".into()], ..asked() },
            Asked { callbacks: vec![callback("https://a.example", "1")], ..asked() },
            Asked { place: "elsewhere".into(), ..asked() },
        ];
        let frames = [
            Frame { nonce: "m".into(), ..frame() },
            Frame { rule: "gates".into(), ..frame() },
            Frame { body: digest(b"{ }"), ..frame() },
            Frame { asked_at: Time(0), ..frame() },
            Frame { expires_at: Time(3), ..frame() },
        ];
        let mut seen = vec![one];
        seen.extend(others.iter().map(|other| hash(other, &frame())));
        seen.extend(frames.iter().map(|other| hash(&asked(), other)));
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn the_same_again_is_the_same_but_for_its_moment() {
        let with = |more: Value| {
            let mut params = asked().params;
            params["message"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            template(&Asked { params, ..asked() }, &"doors".into()).unwrap()
        };
        let one = with(json!({"messageId": "m-1"}));
        assert_eq!(one, with(json!({"messageId": "m-2"})));
        assert_eq!(one, template(&Asked { task: "t-2".into(), ..asked() }, &"doors".into()).unwrap());
        let others = [
            with(json!({"contextId": "c"})),
            with(json!({"metadata": {"n": 1}})),
            template(&asked(), &"gates".into()).unwrap(),
            template(&Asked { requester: "home:alice".into(), ..asked() }, &"doors".into()).unwrap(),
            template(&Asked { operation: "cancel".into(), ..asked() }, &"doors".into()).unwrap(),
            template(&reporting("https://a.example", "1"), &"doors".into()).unwrap(),
            template(&reporting("https://b.example", "1"), &"doors".into()).unwrap(),
            template(&reporting("https://b.example", "2"), &"doors".into()).unwrap(),
            template(&Asked { place: "elsewhere".into(), ..asked() }, &"doors".into()).unwrap(),
            template(&Asked { policy: "q".into(), ..asked() }, &"doors".into()).unwrap(),
        ];
        assert!(others.iter().all(|other| *other != one));
    }

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        assert_eq!(
            visible("open \u{202e}rood\u{202c} n\u{f8} \u{1f512}"),
            "open \\u{202e}rood\\u{202c} n\u{f8} \u{1f512}"
        );
        for hidden in
            ['\n', '\u{1b}', '\u{200b}', '\u{200f}', '\u{2066}', '\u{feff}', '\u{e0041}', '\u{fe0f}', '\u{ad}']
        {
            assert_eq!(visible(&hidden.to_string()), hidden.escape_unicode().to_string());
        }
    }

    #[test]
    fn numbers_that_could_be_read_in_two_ways_are_not_asked_about() {
        for good in ["9007199254740991", "-9007199254740991", "0.1", "1e10", "-0.5"] {
            let params = serde_json::from_str(&format!("{{\"n\":[{good}]}}")).unwrap();
            assert!(Document::of(&Asked { params, ..asked() }, &frame()).is_ok(), "{good}");
        }
        for bad in ["9007199254740993", "-9007199254740992", "1e20", "18446744073709551615"] {
            let params = serde_json::from_str(&format!("{{\"n\":[{bad}]}}")).unwrap();
            let problem = Document::of(&Asked { params, ..asked() }, &frame()).unwrap_err();
            assert_eq!((problem.code, problem.fields[0].field.as_str()), (Code::InvalidParams, "params.n[0]"), "{bad}");
        }
    }
}
