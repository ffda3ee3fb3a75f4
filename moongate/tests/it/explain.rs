//! What `/api/v1/explain` says is what happens: generated requests, each explained and then really sent.

use serde_json::{Value, json};

use crate::support::*;

const CASES: u64 = 300;
const SEED: u64 = 0x6d6f_6f6e_6761_7465;

/// A small generator (splitmix64), so that a failing case can be had again by its number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.roll(choices.len())]
    }
}

const CONFIG: &str = r#"
[log]
format = "json"
access = true
[balance]
policy = "round_robin"
slow_start_seconds = 0
[[routes]]
match = 'zone == "kitchen" && skill == "shared"'
to = [{ agent = "b" }]
[[routes]]
match = 'zone == "kitchen"'
to = [{ agent = "a", weight = 3 }, { agent = "c", weight = 1 }]
[[routes]]
match = 'headers["x-team"] == "blue"'
to = [{ agent = "c" }]
[[routes]]
match = 'text.contains("urgent")'
to = [{ agent = "b" }]
[[policy]]
name = "no doors"
deny = 'skill.tags.exists(t, t == "door")'
[[policy]]
name = "ask about ovens"
confirm = 'skill.id == "oven.heat"'
[[policy]]
name = "team red stays out"
deny = '"x-team" in headers && headers["x-team"] == "red"'
"#;

struct Case {
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

/// Tasks and contexts that exist, for follow-ups.
struct Known {
    tasks: Vec<String>,
    contexts: Vec<String>,
}

fn generate(dice: &mut Dice, known: &Known) -> Case {
    let path = match dice.roll(6) {
        0 => format!("/agents/{}", dice.one_of(&["a", "b", "c", "hidden", "nobody", "down"])),
        _ => "/a2a".to_owned(),
    };
    let texts = [
        "hello",
        "this is urgent",
        "turn the lights on",
        "heat the oven",
        "打开灯",
        "open the door",
        "",
        "shared",
        "a.do",
    ];
    let text: &&str = dice.one_of(&texts);
    let mut params = message(text);
    let mut routing = json!({});
    if dice.roll(2) == 0 {
        let ids =
            ["a.do", "shared", "collide", "a/collide", "c/collide", "door.open", "oven.heat", "no.such", "hidden.do"];
        routing["skillId"] = json!(dice.one_of(&ids));
    }
    if dice.roll(4) == 0 {
        routing["zone"] = json!(dice.one_of(&["kitchen", "attic"]));
    }
    if dice.roll(6) == 0 {
        routing["labels"] = json!({"device": "lamp"});
    }
    if dice.roll(8) == 0 {
        routing["intent"] = json!(true);
    }
    if routing.as_object().is_some_and(|members| !members.is_empty()) {
        params["message"]["metadata"] = json!({ ROUTING: routing });
    }
    if dice.roll(8) == 0 {
        params["tenant"] = json!(dice.one_of(&["a", "b", "nobody"]));
    }
    if dice.roll(8) == 0 {
        let unknown = "unknown".to_owned();
        let id = if dice.roll(3) == 0 { &unknown } else { dice.one_of(&known.tasks) };
        params["message"]["taskId"] = json!(id);
    }
    if dice.roll(6) == 0 {
        params["message"]["contextId"] = json!(dice.one_of(&known.contexts));
    }
    if dice.roll(20) == 0 {
        params["message"].as_object_mut().unwrap().remove("role");
    }
    let mut headers = Vec::new();
    if dice.roll(6) == 0 {
        headers.push(("x-team", (*dice.one_of(&["blue", "red", "green"])).to_owned()));
    }
    if dice.roll(8) == 0 {
        headers.push(("moongate-skill", (*dice.one_of(&["a.do", "shared", "no.such"])).to_owned()));
    }
    let method =
        *dice.one_of(&["SendMessage", "SendMessage", "SendMessage", "SendMessage", "GetTask", "ListTasks", "Nonsense"]);
    let body = match method {
        "GetTask" => rpc(method, &json!({"id": dice.one_of(&known.tasks)})),
        "ListTasks" => rpc(method, &json!({})),
        _ => rpc(method, &params),
    };
    Case { path, headers, body }
}

async fn bed() -> (Vec<Agent>, Gateway, Known) {
    let skill = |id: &str, text: &str, tags: &[&str]| json!({"id": id, "name": id, "description": text, "tags": tags});
    let shared = skill("shared", "What several can do.", &[]);
    let a = Agent::start(
        "a",
        &[
            json!("a.do"),
            shared.clone(),
            skill("collide", "One thing.", &[]),
            skill("lights.set", "Turns lights on or off. 开灯关灯。", &["light"]),
        ],
    )
    .await;
    let b = Agent::start("b", &[shared, skill("door.open", "Opens the door.", &["door"])]).await;
    let c =
        Agent::start("c", &[skill("collide", "Another thing.", &[]), skill("oven.heat", "Heats the oven.", &[])]).await;
    let hidden = Agent::start("hidden", &[json!("hidden.do")]).await;
    let toml = format!(
        "{CONFIG}{}{}{}{}visibility = \"hidden\"\n[[agents]]\nname = \"down\"\ncard_url = \"http://127.0.0.1:9/card.json\"\n",
        a.entry(),
        b.entry(),
        c.entry(),
        hidden.entry()
    );
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let mut known = Known { tasks: Vec::new(), contexts: Vec::new() };
    for (agent, name) in [(&a, "a"), (&b, "b")] {
        agent.set_manner(Manner::Task);
        // Without a skill, what is denied for one of the agent's is denied for all.
        let begin = crate::support::routed("begin", &json!({"skillId": "shared"}));
        let task = send(&gateway.plain(), &format!("/agents/{name}"), &begin).await.json()["result"]["task"].clone();
        // Its line is read before the cases look for theirs.
        gateway.logged(0, |line| line["target"] == "moongate::access" && line["agent"] == name).await;
        known.tasks.push(task["id"].as_str().unwrap().to_owned());
        known.contexts.push(task["contextId"].as_str().unwrap().to_owned());
        agent.set_manner(Manner::Message);
    }
    (vec![a, b, c, hidden], gateway, known)
}

#[tokio::test]
async fn what_is_explained_is_what_happens() {
    let (_agents, gateway, known) = bed().await;
    let (plain, admin) = (gateway.plain(), gateway.admin());
    let (mut sent, mut refused) = (0, std::collections::BTreeMap::<String, usize>::new());
    for number in 0..CASES {
        let case = generate(&mut Dice(SEED ^ number.wrapping_mul(0xD134_2543_DE82_EF95)), &known);
        let told = format!("case {number} of seed {SEED:#x}: {} {:?} {}", case.path, case.headers, case.body);
        let headers: Value = case
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let question = json!({"path": case.path, "headers": headers, "body": case.body});
        let answer = http("POST", &admin, "/api/v1/explain", &[], Some(&question)).await;
        assert_eq!(answer.status, 200, "{told}: {}", answer.text());
        let view = answer.json();
        let lines = gateway.log_lines().len();
        let mut headers: Vec<(&str, &str)> = case.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(V1);
        let real = http("POST", &plain, &case.path, &headers, Some(&case.body)).await;
        let problem = view["problem"]["code"].as_str().unwrap_or_default().to_owned();
        // What a person is asked about is a refusal to whoever wants to know whether it would go through.
        let state = real.json()["result"]["task"]["status"]["state"].clone();
        let asks = state == "TASK_STATE_AUTH_REQUIRED" || real.code() == "MG-0463";
        let code = if asks { "MG-0404".to_owned() } else { real.code() };
        assert_eq!(code, problem, "{told}\nexplained: {view}\nreally: {}", real.text());
        if view["principal"].is_null() {
            // Refused before the pipeline: there is no entry to compare.
            assert!(!problem.is_empty(), "{told}\n{view}");
            *refused.entry(problem).or_default() += 1;
            continue;
        }
        let entry = gateway.logged(lines, |line| line["target"] == "moongate::access").await;
        let rule = view["resolved"]["rule"].as_str().unwrap_or("-");
        assert_eq!(entry["rule"], rule, "{told}\nexplained: {view}\nreally: {entry}");
        if !problem.is_empty() {
            *refused.entry(problem).or_default() += 1;
            continue;
        }
        sent += 1;
        let candidates: Vec<&str> =
            view["resolved"]["candidates"].as_array().unwrap().iter().map(|c| c["agent"].as_str().unwrap()).collect();
        let agent = entry["agent"].as_str().unwrap();
        match candidates.as_slice() {
            [] => assert_eq!((agent, &view["route"]["here"]), ("-", &json!(true)), "{told}"),
            [only] => assert_eq!((agent, view["route"]["agent"].as_str()), (*only, Some(*only)), "{told}\n{view}"),
            several => assert!(several.contains(&agent), "{told}\nexplained: {view}\nreally: {entry}"),
        }
    }
    // A generator that makes nothing of interest would prove nothing.
    assert!(sent >= 80, "only {sent} were sent, refused: {refused:?}");
    for code in ["MG-0208", "MG-0209", "MG-0301", "MG-0302", "MG-0305", "MG-0403", "MG-0404", "MG-0601"] {
        assert!(refused.contains_key(code), "no case was refused with {code}: {refused:?}");
    }
}

#[tokio::test]
async fn explaining_calls_nobody_and_leaves_nothing() {
    let (agents, gateway, _) = bed().await;
    let before: Vec<usize> = agents.iter().map(|agent| agent.seen().len()).collect();
    let metrics = |text: String| {
        text.lines().filter(|line| line.starts_with("moongate_requests_total")).map(str::to_owned).collect::<Vec<_>>()
    };
    let counted = metrics(get(&gateway.admin(), "/metrics").await.text());
    for path in ["/a2a", "/agents/a", "/agents/b"] {
        let question = json!({"path": path, "body": rpc("SendMessage", &message("hello"))});
        assert_eq!(http("POST", &gateway.admin(), "/api/v1/explain", &[], Some(&question)).await.status, 200);
    }
    assert_eq!(agents.iter().map(|agent| agent.seen().len()).collect::<Vec<_>>(), before);
    assert_eq!(metrics(get(&gateway.admin(), "/metrics").await.text()), counted);
}
