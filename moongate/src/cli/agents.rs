//! `moongate agents`: who is registered with the running gateway.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Client;
use super::output::data;
use super::{Context, Ending, Failure};

/// Arguments.
#[derive(Args)]
pub(crate) struct Agents {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// All agents and how they are.
    List,
    /// One agent, with everything that is known.
    Show {
        /// `name`, or `name@label`.
        id: String,
    },
    /// Register an agent by the URL of its card, or of the agent itself.
    Add {
        /// The URL.
        url: String,
        /// The name to give it; made from its card if absent.
        #[arg(long)]
        name: Option<String>,
        /// The label of a further instance of that name.
        #[arg(long)]
        instance: Option<String>,
        /// Its place.
        #[arg(long)]
        zone: Option<String>,
        /// Its share of the work, 1 to 1000.
        #[arg(long)]
        weight: Option<u32>,
        /// Plain http to another machine is meant.
        #[arg(long)]
        insecure: bool,
    },
    /// Remove an agent that was registered.
    Remove {
        /// `name`, or `name@label`.
        id: String,
    },
    /// Search the skills of all agents.
    Search {
        /// Words, in English or Chinese, or an id.
        words: Vec<String>,
    },
}

/// Carries the command out.
pub(crate) fn agents(context: &Context, arguments: &Agents) -> Result<Ending, Failure> {
    let client = Client::new(context)?;
    match arguments.command.as_ref().unwrap_or(&Command::List) {
        Command::List => list(context, &client),
        Command::Show { id } => {
            let view = client.api("GET", &format!("/api/v1/agents/{}", encoded(id)), None)?;
            data(&serde_json::to_string_pretty(&view).unwrap_or_default());
            Ok(Ending::Yes)
        }
        Command::Add { url, name, instance, zone, weight, insecure } => {
            let mut body = json!({ "card_url": url });
            if let Some(members) = body.as_object_mut() {
                let given = [("name", name), ("instance", instance), ("zone", zone)];
                for (key, value) in given.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
                    members.insert(key.into(), json!(value));
                }
                if let Some(weight) = weight {
                    members.insert("weight".into(), json!(weight));
                }
                if *insecure {
                    members.insert("insecure".into(), json!(true));
                }
            }
            let view = client.api("POST", "/api/v1/agents", Some(&body))?;
            if context.json {
                data(&view.to_string());
            } else {
                let text = |name: &str| view.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                let skills = listed(view.get("skills"));
                let path = format!("{}/agents/{}", client.base(), text("name"));
                data(&format!("{} is registered with the skills {skills}; it answers at {path}", text("id")));
            }
            Ok(Ending::Yes)
        }
        Command::Remove { id } => {
            let view = client.api("DELETE", &format!("/api/v1/agents/{}", encoded(id)), None)?;
            data(&if context.json { view.to_string() } else { format!("{id} is removed") });
            Ok(Ending::Yes)
        }
        Command::Search { words } => search(context, &client, &words.join(" ")),
    }
}

fn list(context: &Context, client: &Client) -> Result<Ending, Failure> {
    let answer = client.api("GET", "/api/v1/agents", None)?;
    if context.json {
        data(&answer.to_string());
        return Ok(Ending::Yes);
    }
    let agents = answer.get("agents").and_then(Value::as_array).cloned().unwrap_or_default();
    if agents.is_empty() {
        data("no agents; add one with `moongate agents add URL`");
    }
    for agent in agents {
        let text = |name: &str| agent.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let problem = agent
            .pointer("/problem/detail")
            .and_then(Value::as_str)
            .map(|detail| format!("  ({detail})"))
            .unwrap_or_default();
        let signature = agent.pointer("/signature/state").and_then(Value::as_str).unwrap_or("-");
        data(&format!(
            "{:<20} {:<8} {:<7} {signature:<10} {}{problem}",
            text("id"),
            text("health"),
            text("source"),
            listed(agent.get("skills"))
        ));
    }
    Ok(Ending::Yes)
}

fn search(context: &Context, client: &Client, words: &str) -> Result<Ending, Failure> {
    let answer = client.api("GET", &format!("/api/v1/skills?q={}", encoded(words)), None)?;
    let hits = answer.get("skills").and_then(Value::as_array).cloned().unwrap_or_default();
    if context.json {
        data(&answer.to_string());
    } else {
        for hit in &hits {
            let text = |name: &str| hit.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
            let score = hit.get("score").and_then(Value::as_f64).unwrap_or_default();
            data(&format!("{score:.2}  {:<28} {:<16} {}", text("skill"), text("agent"), text("reason")));
        }
    }
    Ok(if hits.is_empty() { Ending::No } else { Ending::Yes })
}

fn listed(value: Option<&Value>) -> String {
    let items: Vec<&str> = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if items.is_empty() { "-".to_owned() } else { items.join(", ") }
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
