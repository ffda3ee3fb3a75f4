//! What a question says beside its parameters, and what is easily overlooked in them: for the page that asks, and for the
//! command line.
//!
//! A yes lets out whatever the document holds, so whoever says it sees all of it: skills that the message names and that are not
//! the one it was taken for, extensions that the agent is told of, addresses that are told of the task later, and parts that are
//! an address and not what lies there.

use moongate_approval::document::visible;
use serde_json::Value;

/// Metadata by which a message names a skill.
const ROUTING: &str = "https://w3id.org/moongate/extensions/skill-routing/v1";

/// One thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// What it is.
    pub name: &'static str,
    /// In the words of whoever asks, with what is invisible in them written out.
    pub words: String,
    /// What is to be known about it.
    pub note: Option<&'static str>,
}

/// All of it, in a document's order of weight.
pub fn beside(document: &Value) -> Vec<Beside> {
    let mut found = Vec::new();
    let mut add = |name, words: &str, note| found.push(Beside { name, words: visible(words), note });
    let message = document.pointer("/params/message");
    let named = message.and_then(|message| message.get("metadata")?.get(ROUTING)?.get("skillId")?.as_str());
    let taken_for = document.pointer("/target/skill").and_then(Value::as_str);
    if let Some(named) = named.filter(|named| Some(*named) != taken_for) {
        add("names the skill", named, Some("The message names it; the question is about the other one."));
    }
    for extension in list(document.get("extensions")) {
        add("extension", &words(extension), Some("Sent to the agent."));
    }
    for callback in list(document.get("callbacks")) {
        let id = callback.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        let url = callback.get("url").map_or_else(|| words(callback), words);
        let shown = id.map_or_else(|| url.clone(), |id| format!("{url} ({id})"));
        add("tells", &shown, Some("It is told what becomes of the task."));
    }
    for part in list(message.and_then(|message| message.get("parts"))) {
        if let Some(url) = part.get("url") {
            add("points to", &words(url), Some("The address is what a yes is for, not what lies there."));
        }
    }
    found
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_goes_out_with_a_yes_is_left_unsaid() {
        let document = json!({
            "target": {"skill": "door.open"},
            "params": {"message": {
                "metadata": {ROUTING: {"skillId": "lights.set"}},
                "parts": [{"text": "open"}, {"url": "https://x.example/\u{202e}plan.pdf"}],
            }},
            "extensions": ["https://x.example/force"],
            "callbacks": [{"id": "c1", "url": "https://evil.example/hear"}, {"url": "https://b.example/"}, {"odd": 1}],
        });
        let found = beside(&document);
        let shown: Vec<_> = found.iter().map(|one| (one.name, one.words.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("names the skill", "lights.set"),
                ("extension", "https://x.example/force"),
                ("tells", "https://evil.example/hear (c1)"),
                ("tells", "https://b.example/"),
                ("tells", "{\"odd\":1}"),
                ("points to", "https://x.example/\\u{202e}plan.pdf"),
            ]
        );
        assert!(found.last().is_some_and(|one| one.note.is_some_and(|note| note.contains("not what lies there"))));
    }

    #[test]
    fn a_plain_message_has_nothing_beside_it() {
        let metadata = json!({ROUTING: {"skillId": "door.open"}});
        let document = json!({"target": {"skill": "door.open"}, "params": {"message": {"metadata": metadata,
            "parts": [{"text": "open"}]}}, "extensions": []});
        assert_eq!(beside(&document), []);
        assert_eq!(beside(&Value::Null), []);
    }
}
