//! A task's document: as it came, with what happened since laid beside it until somebody reads it.
//!
//! Most events of a stream are read by nobody but the client that they pass on their way, so folding each into the
//! document as it comes would be work for nothing.

use bytes::Bytes;
use moongate_core::seam::tasks::Stored;
use serde_json::Value;

use super::fold;
use super::request::Asked;

/// Events beside the document; beyond, they are folded in, so that they do not pile up.
const TAIL: usize = 256;
/// A larger request is not kept until the document is read.
const KEPT_REQUEST: usize = 16 * 1024;

enum Base {
    /// Canonical JSON.
    Raw(Bytes),
    /// Parsed.
    Parsed(Box<Value>),
}

/// The document of one task.
pub struct Doc {
    base: Base,
    tail: Vec<Bytes>,
    /// Requests whose message may be missing from the history.
    requests: Vec<Bytes>,
}

impl Doc {
    /// A document as it came, canonical JSON.
    pub fn new(document: &Bytes) -> Self {
        // A copy of its own: a slice would keep the whole buffer alive that the answer was read into.
        Self { base: Base::Raw(Bytes::copy_from_slice(document)), tail: Vec::new(), requests: Vec::new() }
    }

    /// The document of a task as the store has it.
    pub fn stored(stored: &Stored) -> Self {
        let tail = stored.tail.iter().map(|event| event.payload.clone()).collect();
        let asked = stored.request.as_deref().and_then(Asked::read);
        let requests = asked.map(|asked| Bytes::copy_from_slice(asked.params.get().as_bytes())).into_iter().collect();
        Self { base: Base::Raw(stored.document.clone()), tail, requests }
    }

    /// Whether it is these very bytes, with nothing beside them.
    pub fn is(&self, document: &Bytes) -> bool {
        self.tail.is_empty() && matches!(&self.base, Base::Raw(held) if held == document)
    }

    /// Lays an event beside the document.
    pub fn push(&mut self, event: Bytes) {
        self.tail.push(event);
        if self.tail.len() >= TAIL {
            self.folded();
        }
    }

    /// A message of this request belongs into the history, even if the agent forgets it.
    pub fn expect(&mut self, request: &Bytes) {
        if request.len() <= KEPT_REQUEST {
            self.requests.push(Bytes::copy_from_slice(request));
        } else {
            self.requests.push(request.clone());
            self.value();
        }
    }

    /// Another document takes its place.
    pub fn replace(&mut self, value: Value) {
        self.base = Base::Parsed(Box::new(value));
        self.tail.clear();
    }

    /// The document as it stands, with every user message in its history.
    pub fn value(&mut self) -> &mut Value {
        let requests = std::mem::take(&mut self.requests);
        let value = self.folded();
        for request in requests {
            let request = serde_json::from_slice::<Value>(&request).ok();
            if let Some(message) = request.as_ref().and_then(|request| request.get("message")) {
                fold::ensure_message(value, message);
            }
        }
        value
    }

    /// The same as bytes.
    pub fn bytes(&mut self) -> Bytes {
        if let (Base::Raw(bytes), true, true) = (&self.base, self.tail.is_empty(), self.requests.is_empty()) {
            return bytes.clone();
        }
        serde_json::to_vec(self.value()).unwrap_or_default().into()
    }

    fn folded(&mut self) -> &mut Value {
        if let Base::Raw(bytes) = &self.base {
            let value = serde_json::from_slice(bytes).unwrap_or_else(|_| Value::Object(serde_json::Map::new()));
            self.base = Base::Parsed(Box::new(value));
        }
        let Base::Parsed(value) = &mut self.base else { unreachable!("it was parsed above") };
        for event in self.tail.drain(..) {
            if let Ok(event) = serde_json::from_slice::<Value>(&event) {
                fold::apply(value, &event);
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(text: &str, append: bool) -> Bytes {
        let event = json!({"artifactUpdate": {"taskId": "t", "append": append,
            "artifact": {"artifactId": "a", "parts": [{"text": text}]}}});
        serde_json::to_vec(&event).unwrap().into()
    }

    #[test]
    fn what_lies_beside_is_there_when_it_is_read() {
        let raw = Bytes::from_static(br#"{"id":"t","status":{"state":"TASK_STATE_WORKING"}}"#);
        let mut doc = Doc::new(&raw);
        assert!(doc.is(&raw));
        assert_eq!(doc.bytes(), raw);
        doc.expect(&Bytes::from_static(br#"{"message":{"messageId":"m","parts":[{"text":"x"}]}}"#));
        for n in 0..600 {
            doc.push(event(&n.to_string(), n > 0));
        }
        assert!(!doc.is(&raw));
        let value = doc.value();
        assert_eq!(value["artifacts"][0]["parts"].as_array().unwrap().len(), 600);
        assert_eq!(value["artifacts"][0]["parts"][599]["text"], "599");
        assert_eq!(value["history"][0]["messageId"], "m");
    }
}
