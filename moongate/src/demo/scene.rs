//! The scene "away mode" (draft §1): leaving home, the lights go off, the doors are locked, the alarm is armed and the
//! heating goes down.
//!
//! - What there is: the aggregated card names the skills of all three agents.
//! - Before and after: each agent is asked for its state through the gateway. Only this counts in the end; that an agent
//!   said it would do something does not.
//! - In between: three wishes in three manners. By what is said (the gateway finds the skill), by skill id, and at an
//!   agent's own address with a stream. The last one is about doors and an alarm, so a person has to say yes to it.

use std::collections::BTreeMap;

use moongate_a2a::tasks::people::APPROVAL;
use serde_json::{Value, json};

use super::answer::Answerer;
use super::client::{Ask, Client, Trouble};
use super::home::ROLES;
use super::story::{Step, Story};

/// One part of the scene.
struct Part {
    agent: &'static str,
    wish: Ask<'static>,
    /// How the gateway comes to the agent, in words.
    manner: &'static str,
    /// What is the case if this part goes well.
    wished: &'static str,
    /// Whether the agent's state is as wished.
    holds: fn(&Value) -> bool,
}

const PARTS: [Part; 3] = [
    Part {
        agent: "lighting",
        wish: Ask { agent: None, skill: None, text: "Turn all the lights off" },
        manner: "no agent and no skill is named; the gateway goes by the words",
        wished: "the lights are off",
        holds: lights_are_off,
    },
    Part {
        agent: "environment",
        wish: Ask { agent: None, skill: Some("heating.set"), text: "eco" },
        manner: "the skill heating.set is named",
        wished: "the heating is down",
        holds: heating_is_down,
    },
    Part {
        agent: "security",
        wish: Ask { agent: Some("security"), skill: None, text: "Lock the doors and arm the alarm" },
        manner: "sent to the agent's own address at the gateway, as a stream",
        wished: "the doors are locked and the alarm is armed",
        holds: house_is_secure,
    },
];

impl Part {
    /// What is to be said where it did not go well: what was seen is known not to be so.
    fn otherwise(&self, seen: bool) -> String {
        if seen {
            format!("it is not so that {}", self.wished)
        } else {
            format!("nobody knows whether {}", self.wished)
        }
    }
}

fn lights_are_off(state: &Value) -> bool {
    all(state, "lamps", "off")
}

fn heating_is_down(state: &Value) -> bool {
    state.get("heating").is_some_and(|mode| mode == "eco")
}

fn house_is_secure(state: &Value) -> bool {
    all(state, "doors", "locked") && state.get("alarm").is_some_and(|alarm| alarm == "armed")
}

fn all(state: &Value, member: &str, wanted: &str) -> bool {
    let values = state.get(member).and_then(Value::as_object);
    values.is_some_and(|values| !values.is_empty() && values.values().all(|value| value == wanted))
}

/// Plays the scene and tells it.
pub(super) async fn play(client: &Client, story: &Story, people: &Answerer) {
    story.title(
        "The gateway is asked what there is. The client speaks A2A 1.0 over JSON-RPC and knows only the gateway.",
    );
    card(client, story).await;
    let speaks = speaks(client, story).await;
    story.title("Before:");
    for part in &PARTS {
        look(client, story, part, "before").await;
    }
    story.title("Away mode:");
    for part in &PARTS {
        let speaks = speaks.get(part.agent).map_or("unknown A2A", String::as_str);
        carry_out((client, people), story, part, speaks).await;
    }
    story.title("After, read back from each agent through the gateway:");
    let mut missing = Vec::new();
    for part in &PARTS {
        let seen = look(client, story, part, "after").await;
        if seen != Some(true) {
            missing.push(part.otherwise(seen.is_some()));
        }
    }
    if missing.is_empty() {
        story.step(Step::new("scene", "Away mode is on: lights off, heating down, doors locked, alarm armed."));
    } else {
        let words = format!("Away mode is NOT on: {}.", missing.join("; "));
        story.step(Step::new("scene", words).well(false));
    }
}

/// The aggregated card: all skills of all agents, and no word about where they are.
async fn card(client: &Client, story: &Story) {
    let card = match client.card().await {
        Ok(card) => card,
        Err(trouble) => {
            return story.step(Step::new("card", format!("The gateway has no card: {trouble}")).well(false));
        }
    };
    let listed = card.get("skills").and_then(Value::as_array).into_iter().flatten();
    let skills: Vec<&str> = listed.filter_map(|skill| skill.get("id")?.as_str()).collect();
    let missing: Vec<&str> =
        ROLES.iter().filter(|(_, skill)| !skills.contains(skill)).map(|(agent, _)| *agent).collect();
    let mut words = format!("Its card offers {} skills: {}.", skills.len(), skills.join(", "));
    if !missing.is_empty() {
        words.push_str(&format!("\nMissing are those of: {}.", missing.join(", ")));
    }
    story.step(Step::new("card", words).well(missing.is_empty()).facts(json!({ "skills": skills })));
}

/// What each agent speaks, as the gateway found it in their cards.
async fn speaks(client: &Client, story: &Story) -> BTreeMap<String, String> {
    let known = match client.agents().await {
        Ok(known) => known,
        Err(trouble) => {
            story.step(Step::new("speaks", format!("The gateway does not tell its agents: {trouble}")).well(false));
            return BTreeMap::new();
        }
    };
    let mut speaks = BTreeMap::new();
    for agent in known.get("agents").and_then(Value::as_array).into_iter().flatten() {
        let name = agent.get("name").and_then(Value::as_str).unwrap_or_default();
        let interface = agent.pointer("/interfaces/0").and_then(Value::as_str).and_then(|text| text.rsplit_once('/'));
        let Some((binding, version)) = interface else {
            let why = agent.pointer("/problem/detail").and_then(Value::as_str).unwrap_or("its card was not read");
            story.step(Step::new("speaks", format!("{name}: {why}.")).well(false).facts(json!({ "agent": name })));
            continue;
        };
        let words = format!("{name} speaks A2A {version} over {binding}.");
        story.step(Step::new("speaks", words).facts(json!({"agent": name, "version": version, "binding": binding})));
        speaks.insert(name.to_owned(), format!("A2A {version} over {binding}"));
    }
    speaks
}

/// Reads an agent's state through the gateway; whether it is as wished, if that can be seen.
async fn look(client: &Client, story: &Story, part: &Part, when: &'static str) -> Option<bool> {
    let (words, holds, state) = match status(client, part.agent).await {
        Ok((words, state)) => (words, (part.holds)(&state), state),
        Err(trouble) => (format!("no answer, and {}. {trouble}", part.otherwise(false)), false, Value::Null),
    };
    let well = !state.is_null() && (holds || when == "before");
    let mark = if when == "after" && !well && !state.is_null() { "; that is not what was asked for" } else { "" };
    let seen = (!state.is_null()).then_some(holds);
    let facts = json!({"agent": part.agent, "state": state});
    story.step(Step::new(when, format!("{}: {words}{mark}", part.agent)).well(well).facts(facts));
    seen
}

/// Asks an agent how it is, by the id of its status skill.
pub(super) async fn status(client: &Client, agent: &str) -> Result<(String, Value), Trouble> {
    let skill = ROLES.iter().find(|(name, _)| *name == agent).map(|(_, skill)| *skill);
    let answer = client.send(Ask { agent: None, skill, text: "status" }).await?;
    let parts = answer.pointer("/message/parts").and_then(Value::as_array).into_iter().flatten();
    let state = parts.clone().find_map(|part| part.get("data")).cloned().unwrap_or_default();
    let words: Vec<&str> = parts.filter_map(|part| part.get("text")?.as_str()).collect();
    Ok((words.join(" "), state))
}

/// Has one wish carried out and tells who did it.
async fn carry_out((client, people): (&Client, &Answerer), story: &Story, part: &Part, speaks: &str) {
    let found = client.explain(part.wish).await.unwrap_or_default();
    let who = found.pointer("/resolved/candidates/0/agent").and_then(Value::as_str).unwrap_or("nobody");
    story.step(Step::new("wish", format!("\"{}\": {}; that leads to {who}.", part.wish.text, part.manner)).facts(
        json!({"agent": who, "rule": found.pointer("/resolved/rule"), "skill": found.pointer("/resolved/skill")}),
    ));
    let done = match part.wish.agent {
        Some(_) => follow((client, people), story, part).await,
        None => {
            client.send(part.wish).await.map(|mut answer| answer.get_mut("task").map(Value::take).unwrap_or_default())
        }
    };
    let (well, words, task) = match done {
        Ok(task) => {
            let state = text(&task, "/status/state").trim_start_matches("TASK_STATE_").to_lowercase();
            let words = format!("-> {} (speaks {speaks}), task {state}: {}", part.agent, said(&task));
            (state == "completed", words, task)
        }
        Err(trouble) => {
            let words = format!("-> {} did not do it, so {}.\n   {trouble}", part.agent, part.otherwise(false));
            (false, words, json!({ "problem": trouble.code }))
        }
    };
    let facts = json!({"agent": part.agent, "task": task.get("id"), "problem": task.get("problem")});
    story.step(Step::new("away", words).well(well).facts(facts));
}

/// Sends a wish as a stream, tells each event as it comes, and reads the task back when the stream has ended. Where a person
/// has to say yes first, the stream ends with that, and goes on as a subscription.
async fn follow((client, people): (&Client, &Answerer), story: &Story, part: &Part) -> Result<Value, Trouble> {
    let mut events = client.stream(part.wish).await?;
    let mut id = String::new();
    let mut asked = None;
    while let Some(event) = events.next().await {
        let event = event?;
        if let Some(task) = event.get("task") {
            id = text(task, "/id").to_owned();
            asked = task.get("metadata").and_then(|metadata| metadata.get(APPROVAL)).cloned();
        }
        if asked.is_none() {
            tell_event(story, part, &event);
        }
    }
    let Some(asked) = asked else { return client.task(&id).await };
    let mut events = client.subscribe(&id).await?;
    people.asked(client, story, &asked).await?;
    let mut released = false;
    while let Some(event) = events.next().await {
        let event = event?;
        let state = event.get("statusUpdate").map(|update| text(update, "/status/state").to_owned());
        released |= state.is_some_and(|state| state != "TASK_STATE_AUTH_REQUIRED");
        if released {
            tell_event(story, part, &event);
        }
    }
    client.task(&id).await
}

fn tell_event(story: &Story, part: &Part, event: &Value) {
    if let Some(artifact) = event.pointer("/artifactUpdate/artifact") {
        tell(story, part, &format!("a result: {}", text(artifact, "/name")));
    } else if let Some(holder) = event.get("task").or_else(|| event.get("statusUpdate")) {
        tell(story, part, &said(holder));
    }
}

fn tell(story: &Story, part: &Part, words: &str) {
    story.step(Step::new("progress", format!("   {}: {words}", part.agent)).facts(json!({ "agent": part.agent })));
}

/// What an agent says about the status of a task.
fn said(holder: &Value) -> String {
    let parts = holder.pointer("/status/message/parts").and_then(Value::as_array).into_iter().flatten();
    parts.filter_map(|part| part.get("text")?.as_str()).collect::<Vec<_>>().join(" ")
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_known_not_to_be_so() {
        let [.., security] = &PARTS;
        assert_eq!(security.otherwise(true), "it is not so that the doors are locked and the alarm is armed");
        assert_eq!(security.otherwise(false), "nobody knows whether the doors are locked and the alarm is armed");
    }
}
