//! Over everything that anybody can do to the gateway, and whether it left a line in the audit log: every path that it serves,
//! every operation of A2A in every binding, every verb of the command line, and what the gateway does by itself.
//!
//! Nothing here is a list of what there is: paths come from the table by which the gateway serves them (`/api/v1/openapi.json`),
//! operations from the vocabulary, verbs from the program's own help. What is new has to leave a line, or its reason why not
//! has to be written down, or these tests fail.

mod calls;
mod paths;
mod verbs;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::*;

const HOME: &str = "domain = \"home.example\"\n[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n\
                    [oauth]\nscopes = [\"a2a:*:*\"]\n";

/// A home with lights, and a gateway that gives tokens and keeps its log.
async fn home() -> (Gateway, Agent) {
    let agent = Agent::start("home", &[json!("lights.set")]).await;
    (Gateway::start(MOONGATE, &format!("{HOME}{}", agent.entry())).await, agent)
}

/// The running month as it lies on the disk, read on and on.
struct Book {
    entries: PathBuf,
    read: usize,
    asked: u64,
}

impl Book {
    fn of(gateway: &Gateway) -> Self {
        let months = std::fs::read_dir(gateway.folder().join("audit/home.example")).unwrap();
        let mut months: Vec<PathBuf> = months.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
        months.sort();
        Self { entries: months.pop().unwrap().join("entries"), read: 0, asked: 0 }
    }

    /// Whole lines that were not read before: each stands behind its length.
    fn more(&mut self) -> Vec<Value> {
        let bytes = std::fs::read(&self.entries).unwrap();
        let mut lines = Vec::new();
        while let Some((length, rest)) = bytes[self.read..].split_first_chunk::<2>() {
            let Some(line) = rest.get(..usize::from(u16::from_be_bytes(*length))) else { break };
            let Ok(line) = serde_json::from_slice(line) else { break };
            self.read += 2 + usize::from(u16::from_be_bytes(*length));
            lines.push(line);
        }
        lines
    }

    /// All lines since the last time. Lines stand in the order in which they came, so a request of this test's own, sent when
    /// everything else has been answered, says where the others end.
    async fn since(&mut self, gateway: &Gateway) -> Vec<Value> {
        self.asked += 1;
        let trace = format!("{:032x}", self.asked);
        let parent = format!("00-{trace}-b7ad6b7169203331-01");
        let request = rpc("GetTask", &json!({"id": "where-am-i"}));
        http("POST", &gateway.plain(), "/a2a", &[V1, ("traceparent", &parent)], Some(&request)).await;
        let mut lines = Vec::new();
        eventually("the line of this test's own request", || {
            lines.extend(self.more());
            let found = lines.iter().any(|line| line["trace"] == *trace);
            async move { found }
        })
        .await;
        lines.retain(|line| line["trace"] != *trace);
        lines
    }
}

/// Whether a line says how this ended.
fn ended(line: &Value, operation: &str) -> bool {
    line["operation"] == operation && line["result"] != "intended"
}

#[tokio::test]
async fn what_the_gateway_does_by_itself_leaves_lines() {
    let (mut gateway, _agent) = home().await;
    let mut book = Book::of(&gateway);
    let toml = std::fs::read_to_string(gateway.config()).unwrap();
    reload(&gateway, &format!("{toml}\n[limits]\nparts = 7\n")).await;
    gateway.reload(&format!("{toml}\n[limits]\nparts = -7\n"));
    eventually("the bad configuration is refused", || async {
        status(&gateway).await["configuration"]["refused"] == 1
    })
    .await;
    gateway.terminate().await;
    let lines = book.more();
    let told: Vec<(&str, &str)> =
        lines.iter().map(|line| (line["operation"].as_str().unwrap(), line["result"].as_str().unwrap())).collect();
    for expected in
        [("gateway.start", "done"), ("config.reload", "done"), ("config.reload", "failed"), ("gateway.stop", "done")]
    {
        assert!(told.contains(&expected), "{expected:?} is not in {told:?}");
    }
}
