//! One question for the terminal: where it stands, who has answered it and by what, and all that would be sent.

use moongate_approval::document::visible;
use moongate_console::beside::beside;
use serde_json::Value;

use super::{moment, text};
use crate::cli::Context;
use crate::cli::output::data;

pub(super) fn show(context: &Context, view: &Value) {
    if context.json {
        data(&view.to_string());
        return;
    }
    lines(view).iter().for_each(|line| data(line));
}

fn lines(view: &Value) -> Vec<String> {
    let mut lines = vec![visible(text(view, "/sentence"))];
    let mut line = |name: &str, words: &str| lines.push(format!("{name:<15} {words}"));
    for (name, pointer) in [
        ("state", "/state"),
        ("class", "/class"),
        ("rule", "/rule"),
        ("asked by", "/requester"),
        ("operation", "/document/operation"),
        ("agent", "/document/target/agent"),
        ("skill", "/document/target/skill"),
        ("task", "/document/target/task"),
    ] {
        line(name, &visible(text(view, pointer)));
    }
    let document = view.get("document").cloned().unwrap_or_default();
    for one in beside(&document) {
        line(one.name, &one.note.map_or_else(|| one.words.clone(), |note| format!("{}  ({note})", one.words)));
    }
    for (name, member) in [("asked", "asked_at"), ("waits until", "expires_at")] {
        line(name, &moment(view, member));
    }
    for (name, words) in answers(view) {
        line(name, &words);
    }
    lines.push("what would be sent:".to_owned());
    let params = document.get("params").cloned().unwrap_or_default();
    for line in serde_json::to_string_pretty(&params).unwrap_or_default().lines() {
        lines.push(format!("  {}", visible(line)));
    }
    lines
}

/// How many have said yes of those that have to, who they are, by what and when, and who has said no.
fn answers(view: &Value) -> Vec<(&'static str, String)> {
    let list = |name: &str| view.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (votes, receipts) = (list("votes"), list("receipts"));
    let needed = view.get("needed").and_then(Value::as_u64).unwrap_or(1);
    let mut answers = vec![("said yes", format!("{} of {needed}", votes.len()))];
    for vote in votes {
        let receipt = receipts.iter().find(|receipt| receipt.get("by").is_some_and(|by| Some(by) == vote.get("by")));
        let by = visible(text(vote, "/by"));
        let (means, kept) = match text(vote, "/means") {
            "secret" => ("the operator's secret", "no receipt".to_owned()),
            "passkey" if receipt.is_some_and(|one| one.get("signed").is_some()) => ("a passkey", "receipt kept".into()),
            "passkey" => ("a passkey", "no receipt".to_owned()),
            "remembered" => {
                let earlier = receipts.iter().find_map(|one| one.get("remembered")?.as_str());
                (
                    "an earlier yes",
                    earlier.map_or_else(|| "no receipt".to_owned(), |id| format!("that to {}", visible(id))),
                )
            }
            other => (other, "no receipt".to_owned()),
        };
        answers.push(("yes by", format!("{by}, with {} at {} ({kept})", visible(means), moment(vote, "at"))));
    }
    if let Some(by) = view.get("denied_by").and_then(Value::as_str) {
        answers.push(("no by", format!("{}, at {}", visible(by), moment(view, "since"))));
    }
    answers
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(view: &Value) -> String {
        lines(view).iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
    }

    #[test]
    fn who_has_answered_is_told_with_means_moment_and_receipt() {
        let view = json!({"state": "pending", "needed": 3, "votes": [
            {"by": "operator", "means": "secret", "at": 1000},
            {"by": "home:alice", "means": "passkey", "at": 2000},
            {"by": "home:\u{202e}bob", "means": "passkey", "at": 3000},
        ], "receipts": [{"by": "home:alice", "signed": {}}]});
        let told = told(&view);
        for expected in [
            "said yes 3 of 3\n",
            "yes by operator, with the operator's secret at 1970-01-01T00:00:01.000Z (no receipt)\n",
            "yes by home:alice, with a passkey at 1970-01-01T00:00:02.000Z (receipt kept)\n",
            "yes by home:\\u{202e}bob, with a passkey at 1970-01-01T00:00:03.000Z (no receipt)\n",
        ] {
            assert!(told.contains(expected), "{expected}{told}");
        }
        assert!(!told.contains("no by"));
        let alike = json!({"votes": [{"by": "home:alice", "means": "remembered", "at": 1}],
            "receipts": [{"by": "home:alice", "remembered": "5f0c"}]});
        assert!(self::told(&alike).contains("said yes 1 of 1\nyes by home:alice, with an earlier yes"));
        assert!(self::told(&alike).contains("(that to 5f0c)"));
    }

    #[test]
    fn a_no_and_what_goes_out_beside_the_words_are_told() {
        let view = json!({"denied_by": "home:eve", "since": 4000, "votes": [], "needed": 2, "document": {
            "extensions": ["https://x.example/force"], "callbacks": [{"url": "https://hear.example/"}],
            "params": {"message": {"parts": [{"url": "https://x.example/plan"}]}}}});
        let told = told(&view);
        for expected in [
            "said yes 0 of 2\nno by home:eve, at 1970-01-01T00:00:04.000Z\n",
            "extension https://x.example/force (Sent to the agent.)",
            "tells https://hear.example/ (",
            "points to https://x.example/plan (The address is what a yes is for, not what lies there.)",
        ] {
            assert!(told.contains(expected), "{expected}\n{told}");
        }
    }
}
