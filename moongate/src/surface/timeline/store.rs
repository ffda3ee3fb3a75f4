//! What the task's own record says: each change of its state, each word of its status, and what it made.

use memchr::memmem::Finder;
use moongate_a2a::moment;
use moongate_a2a::tasks::people::APPROVAL;
use moongate_console::timeline::{Source, Step, What};
use moongate_core::TaskState;
use moongate_core::seam::tasks::Event;
use serde_json::Value;

use super::word;

/// Letters that are shown of what an agent says.
const SAID: usize = 300;

/// The steps of a task's events. What was made in pieces, one after another, is one step.
pub(super) fn steps(events: &[Event]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut state, mut pieces) = (None, 0_u32);
    for event in events {
        let payload: Value = serde_json::from_slice(&event.payload).unwrap_or_default();
        let at = moment::write(event.at);
        if let Some(made) = payload.pointer("/artifactUpdate/artifact") {
            pieces += 1;
            let last = steps.last_mut().filter(|step| step.what == What::Artifact && pieces > 1);
            match last {
                Some(step) => step.words = format!("{pieces} pieces"),
                None => steps.push(Step::new(at, What::Artifact, Source::Store, named(made))),
            }
            if state == Some(event.state) {
                continue;
            }
        }
        let said = ["/statusUpdate/status/message", "/task/status/message"].iter().find_map(|at| payload.pointer(at));
        let said = said.map(words).filter(|words| !words.is_empty());
        if state != Some(event.state) || said.is_some() {
            pieces = 0;
            steps.push(status(event, said));
            state = Some(event.state);
        }
    }
    steps
}

/// The ids of questions that a task's events name.
pub(super) fn questions(events: &[Event]) -> Vec<String> {
    let places = ["/statusUpdate/status/message/metadata", "/task/status/message/metadata", "/task/metadata"];
    let named = |event: &Event| {
        let payload: Value = serde_json::from_slice(&event.payload).ok()?;
        let about = places.iter().find_map(|place| payload.pointer(place)?.get(APPROVAL)?.get("id")?.as_str());
        about.map(str::to_owned)
    };
    let finder = Finder::new(APPROVAL);
    events.iter().filter(|event| finder.find(&event.payload).is_some()).filter_map(named).collect()
}

fn status(event: &Event, said: Option<String>) -> Step {
    let what = if event.state.is_terminal() { What::Finished } else { What::Status };
    let state = if event.state == TaskState::Unspecified { "unknown".to_owned() } else { word(event.state) };
    let words = said.unwrap_or_else(|| format!("it is {state}"));
    Step { result: Some(state), ..Step::new(moment::write(event.at), what, Source::Store, words) }
}

fn named(artifact: &Value) -> String {
    let name = artifact.get("name").or_else(|| artifact.get("artifactId")).and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() { "something was made".to_owned() } else { cut(name) }
}

/// What a message says in words.
fn words(message: &Value) -> String {
    let parts = message.get("parts").and_then(Value::as_array).into_iter().flatten();
    let words: Vec<&str> = parts.filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    cut(&words.join(" "))
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SAID {
        return text.to_owned();
    }
    text.chars().take(SAID - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use moongate_core::Time;
    use serde_json::json;

    use super::*;

    fn event(seq: u64, state: TaskState, payload: &Value) -> Event {
        Event { seq, at: Time(seq), state, payload: payload.to_string().into() }
    }

    #[test]
    fn states_and_words_are_steps_and_pieces_are_one() {
        let made = json!({"artifactUpdate": {"artifact": {"artifactId": "a", "parts": [{"text": "secret"}]}}});
        let says = |text: &str| json!({"statusUpdate": {"status": {"message": {"parts": [{"text": text}]}}}});
        let quiet = json!({"statusUpdate": {"status": {}}});
        let events = [
            event(1, TaskState::Submitted, &json!({"task": {"status": {}}})),
            event(2, TaskState::Working, &quiet),
            event(3, TaskState::Working, &quiet),
            event(4, TaskState::Working, &says(&"long ".repeat(100))),
            event(5, TaskState::Working, &made),
            event(6, TaskState::Working, &made),
            event(7, TaskState::Working, &made),
            event(8, TaskState::Completed, &says("done")),
        ];
        let told: Vec<(What, String)> =
            steps(&events).into_iter().map(|step| (step.what, step.words.chars().take(20).collect())).collect();
        let expected = [
            (What::Status, "it is submitted"),
            (What::Status, "it is working"),
            (What::Status, "long long long long "),
            (What::Artifact, "3 pieces"),
            (What::Finished, "done"),
        ];
        assert_eq!(told, expected.map(|(what, words)| (what, words.to_owned())));
        let about = json!({"status": {"message": {"metadata": {APPROVAL: {"id": "q1"}}}}});
        assert_eq!(questions(&[event(1, TaskState::AuthRequired, &json!({"statusUpdate": about}))]), ["q1"]);
        assert!(questions(&events).is_empty());
        assert!(steps(&events).iter().all(|step| step.words.chars().count() <= SAID));
    }
}
