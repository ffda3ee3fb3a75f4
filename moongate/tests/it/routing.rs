//! Which agent a request finds, step by step in the order of decision.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::*;

async fn three() -> [Agent; 3] {
    [
        Agent::start("a", &[json!("a.do"), json!("shared")]).await,
        Agent::start("b", &[json!("b.do"), json!("shared")]).await,
        Agent::start("c", &[json!("c.do")]).await,
    ]
}

fn entries(agents: &[Agent]) -> String {
    agents.iter().map(Agent::entry).collect()
}

#[tokio::test]
async fn the_path_and_the_tenant_name_an_agent() {
    let agents = three().await;
    let gateway = Gateway::start(MOONGATE, &entries(&agents)).await;
    let plain = gateway.plain();
    for name in ["a", "b", "c"] {
        assert_eq!(send(&plain, &format!("/agents/{name}"), &message("hi")).await.agent(), name);
        assert_eq!(send(&plain, &format!("/agents/{name}/"), &message("hi")).await.agent(), name);
        let mut params = message("hi");
        params["tenant"] = json!(name);
        assert_eq!(send(&plain, "/a2a", &params).await.agent(), name);
        let rest = http("POST", &plain, &format!("/a2a/{name}/message:send"), &[V1], Some(&message("hi"))).await;
        assert_eq!(rest.json()["message"]["parts"][0]["text"], format!("{name}: hi"), "{}", rest.text());
    }
    // The tenant is the gateway's own way to name an agent.
    let told = agents[0].seen();
    assert!(told.iter().all(|seen| seen.params.get("tenant").is_none()), "{told:?}");
    let mut both = message("hi");
    both["tenant"] = json!("a");
    assert_eq!(send(&plain, "/agents/b", &both).await.code(), "MG-0305");
    assert_eq!(send(&plain, "/agents/nobody", &message("hi")).await.code(), "MG-0301");
}

#[tokio::test]
async fn a_skill_id_finds_its_holders() {
    let agents = three().await;
    let balance = "[balance]\npolicy = \"round_robin\"\nslow_start_seconds = 0\n";
    let gateway = Gateway::start(MOONGATE, &format!("{balance}{}", entries(&agents))).await;
    let plain = gateway.plain();
    for name in ["a", "b", "c"] {
        let id = format!("{name}.do");
        assert_eq!(send(&plain, "/a2a", &routed("go", &json!({"skillId": id}))).await.agent(), name);
        let request = rpc("SendMessage", &message("go"));
        let by_header = http("POST", &plain, "/a2a", &[V1, ("moongate-skill", &id)], Some(&request)).await;
        assert_eq!(by_header.agent(), name);
    }
    let request = rpc("SendMessage", &routed("go", &json!({"skillId": "a.do"})));
    let contradicting = http("POST", &plain, "/a2a", &[V1, ("moongate-skill", "b.do")], Some(&request)).await;
    assert_eq!(contradicting.code(), "MG-0305");
    let agreeing = http("POST", &plain, "/a2a", &[V1, ("moongate-skill", "a.do")], Some(&request)).await;
    assert_eq!(agreeing.agent(), "a");
    let unknown = send(&plain, "/a2a", &routed("go", &json!({"skillId": "no.such"}))).await;
    assert_eq!(unknown.code(), "MG-0302");
    assert_eq!(
        send(&plain, "/agents/c", &routed("go", &json!({"skillId": "a.do"}))).await.code(),
        "MG-0302",
        "a base restricts"
    );
    // Equal definitions are one pool.
    let mut found = BTreeMap::<String, usize>::new();
    for _ in 0..40 {
        *found.entry(send(&plain, "/a2a", &routed("go", &json!({"skillId": "shared"}))).await.agent()).or_default() +=
            1;
    }
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b"], "{found:?}");
    assert_eq!(send(&plain, "/agents/b", &routed("go", &json!({"skillId": "shared"}))).await.agent(), "b");
}

#[tokio::test]
async fn rules_route_by_zone_device_header_and_principal() {
    let agents = three().await;
    let rules = r#"
[routing]
intent = false
[[routes]]
match = 'skill == "shared" && zone == "kitchen"'
to = [{ agent = "b" }]
[[routes]]
match = 'zone == "kitchen"'
to = [{ agent = "a" }]
[[routes]]
match = 'device == "lamp"'
to = [{ agent = "b" }]
[[routes]]
match = 'labels["floor"] == "3"'
to = [{ agent = "c" }]
[[routes]]
match = 'headers["x-team"] == "blue"'
to = [{ agent = "c" }]
[[routes]]
match = 'principal.kind == "operator"'
to = [{ agent = "b" }]
[[routes]]
match = 'text.contains("urgent")'
to = [{ agent = "c" }]
[[routes]]
match = 'operation == "stream"'
to = [{ agent = "a" }]
"#;
    let gateway = Gateway::start(MOONGATE, &format!("{rules}{}", entries(&agents))).await;
    let plain = gateway.plain();
    for (routing, agent) in [
        (json!({"zone": "kitchen"}), "a"),
        (json!({"zone": "kitchen", "skillId": "shared"}), "b"),
        (json!({"labels": {"device": "lamp"}}), "b"),
        (json!({"zone": "kitchen", "labels": {"device": "lamp"}}), "a"),
        (json!({"labels": {"floor": "3"}}), "c"),
    ] {
        assert_eq!(send(&plain, "/a2a", &routed("go", &routing)).await.agent(), agent, "{routing}");
    }
    let request = rpc("SendMessage", &message("go"));
    let with = |name: &'static str, value: String| {
        let (plain, request) = (plain.clone(), request.clone());
        async move { http("POST", &plain, "/a2a", &[V1, (name, &value)], Some(&request)).await }
    };
    assert_eq!(with("x-team", "blue".into()).await.agent(), "c");
    assert_eq!(with("x-team", "red".into()).await.code(), "MG-0302");
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    assert_eq!(with("authorization", format!("Bearer {}", secret.trim())).await.agent(), "b");
    assert_eq!(send(&plain, "/a2a", &message("this is urgent")).await.agent(), "c");
    let mut events = Events::open(&plain, "/a2a", "SendStreamingMessage", &message("go")).await.unwrap();
    let first = events.next().await.unwrap().data;
    assert!(first.to_string().contains("task-a-"), "{first}");
    // A base wins over rules that lead elsewhere.
    assert_eq!(send(&plain, "/agents/c", &routed("go", &json!({"zone": "kitchen"}))).await.agent(), "c");
}

#[tokio::test]
async fn a_canary_gets_its_share() {
    let agents = three().await;
    let rule = "[[routes]]\nmatch = 'zone == \"canary\"'\nto = [{ agent = \"a\", weight = 90 }, { agent = \"b\", weight = 10 }]\n";
    let gateway = Gateway::start(MOONGATE, &format!("{rule}{}", entries(&agents))).await;
    let mut connection = Connection::open(&gateway.plain()).await.unwrap();
    let mut found = BTreeMap::<String, usize>::new();
    for _ in 0..1000 {
        let request = rpc("SendMessage", &routed("go", &json!({"zone": "canary"})));
        let answer = connection.send("POST", "/a2a", &[V1], Some(&request)).await.unwrap();
        *found.entry(answer.agent()).or_default() += 1;
    }
    // Of a fair 10 % over 1000 draws, fewer than one run in a million lies outside 100 ± 5 σ (σ = 9.5).
    let canary = found.get("b").copied().unwrap_or_default();
    assert!((53..=147).contains(&canary), "{found:?}");
    assert_eq!(found.values().sum::<usize>(), 1000);
    assert_eq!(agents[2].seen().len(), 0);
}

#[tokio::test]
async fn an_intent_finds_its_skill_or_is_refused_with_the_nearest() {
    let skill = |id: &str, name: &str, description: &str| json!({"id": id, "name": name, "description": description, "tags": []});
    let lights =
        Agent::start("lights", &[skill("lights.set", "Switch lights", "Turns the lights of a room on or off.")]).await;
    let lock = Agent::start(
        "lock",
        &[
            skill("lock.unlock", "Unlock door", "Opens the lock of a door."),
            skill("lock.lock", "Lock door", "Closes the lock of a door."),
        ],
    )
    .await;
    let awning = Agent::start(
        "awning",
        &[
            skill("awning.out", "Extend awning", "Extends the awning of the terrace."),
            skill("awning.in", "Retract awning", "Retracts the awning of the terrace."),
        ],
    )
    .await;
    let curtain = Agent::start("curtain", &[skill("curtain.move", "窗帘开合", "打开、关闭窗帘或百叶窗。")]).await;
    let entries = [&lights, &lock, &awning, &curtain].map(Agent::entry).concat();
    let toml = format!("[approvals]\nsensitive_by_default = false\n{entries}");
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let plain = gateway.plain();
    for (text, agent) in [
        ("please turn the lights off", "lights"),
        ("unlock the door", "lock"),
        ("把灯关掉", "lights"),
        ("关闭客厅的窗帘", "curtain"),
        ("close the curtains", "curtain"),
    ] {
        assert_eq!(send(&plain, "/a2a", &message(text)).await.agent(), agent, "{text}");
    }
    for text in ["tell me a joke about penguins", "讲个笑话", "do it"] {
        let answer = send(&plain, "/a2a", &message(text)).await;
        assert_eq!(answer.code(), "MG-0302", "{text}: {}", answer.text());
        assert!(answer.text().contains("the nearest are"), "{text}: {}", answer.text());
    }
    let answer = send(&plain, "/a2a", &message("the awning of the terrace")).await;
    assert_eq!(answer.code(), "MG-0302", "two skills fit equally well: {}", answer.text());
    assert!(answer.text().contains("awning.in") && answer.text().contains("awning.out"), "{}", answer.text());
    // A wish for intent matching wins over the default agent.
    reload(&gateway, &format!("[routing]\ndefault_agent = \"lock\"\n{toml}")).await;
    assert_eq!(send(&plain, "/a2a", &message("turn the lights off")).await.agent(), "lock");
    assert_eq!(send(&plain, "/a2a", &routed("turn the lights off", &json!({"intent": true}))).await.agent(), "lights");
}

#[tokio::test]
async fn a_conversation_stays_with_its_agent_and_instance() {
    let one = Agent::start("one", &[json!("talk")]).await;
    let two = Agent::start("two", &[json!("talk")]).await;
    let toml = format!(
        "[balance]\npolicy = \"round_robin\"\nslow_start_seconds = 0\n[[agents]]\nname = \"x\"\ncard_url = \"{}\"\ninstances = [{{ label = \"b\", card_url = \"{}\" }}]\n",
        one.card_url(),
        two.card_url()
    );
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let plain = gateway.plain();
    let first = send(&plain, "/a2a", &message("hello")).await;
    let context = first.json()["result"]["message"]["contextId"].clone();
    let owner = first.agent();
    for _ in 0..6 {
        let mut params = message("and then");
        params["message"]["contextId"] = context.clone();
        assert_eq!(send(&plain, "/a2a", &params).await.agent(), owner);
    }
    let mut elsewhere = std::collections::BTreeSet::new();
    for _ in 0..4 {
        elsewhere.insert(send(&plain, "/a2a", &message("another")).await.agent());
    }
    assert_eq!(elsewhere.len(), 2, "other conversations are balanced");
}

#[tokio::test]
async fn what_follows_a_task_goes_to_the_instance_that_owns_it() {
    let one = Agent::start("one", &[json!("work")]).await;
    let two = Agent::start("two", &[json!("work")]).await;
    for agent in [&one, &two] {
        agent.set_manner(Manner::Task);
    }
    let toml = format!(
        "[balance]\npolicy = \"round_robin\"\nslow_start_seconds = 0\n[[agents]]\nname = \"x\"\ncard_url = \"{}\"\ninstances = [{{ label = \"b\", card_url = \"{}\" }}]\n",
        one.card_url(),
        two.card_url()
    );
    let gateway = Gateway::start(MOONGATE, &toml).await;
    let plain = gateway.plain();
    let mut owners = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let first = send(&plain, "/agents/x", &message("begin")).await;
        let task = first.json()["result"]["task"].clone();
        let owner = first.agent();
        for _ in 0..3 {
            let mut params = message("go on");
            params["message"]["taskId"] = task["id"].clone();
            let next = send(&plain, "/a2a", &params).await;
            assert_eq!((next.agent(), &next.json()["result"]["task"]["id"]), (owner.clone(), &task["id"]));
        }
        let mut wrong = message("go on");
        wrong["message"]["taskId"] = task["id"].clone();
        wrong["message"]["contextId"] = json!("another");
        assert_eq!(send(&plain, "/a2a", &wrong).await.code(), "MG-0306");
        let got = call(&plain, "/a2a", "GetTask", &json!({"id": task["id"]})).await;
        assert_eq!(got.json()["result"]["id"], task["id"]);
        let canceled = call(&plain, "/a2a", "CancelTask", &json!({"id": task["id"]})).await;
        assert_eq!(canceled.json()["result"]["status"]["state"], "TASK_STATE_CANCELED", "{}", canceled.text());
        owners.insert(owner);
    }
    assert_eq!(owners.len(), 2);
    for agent in [&one, &two] {
        let ids: Vec<Value> = agent
            .seen()
            .iter()
            .filter(|seen| seen.method == "CancelTask")
            .map(|seen| seen.params["id"].clone())
            .collect();
        assert!(!ids.is_empty() && ids.iter().all(|id| id.as_str().unwrap().contains(&agent.name)), "{ids:?}");
    }
    assert_eq!(
        send(&plain, "/a2a", &{
            let mut p = message("x");
            p["message"]["taskId"] = json!("unknown");
            p
        })
        .await
        .code(),
        "MG-0601"
    );
}

#[tokio::test]
async fn nobody_to_send_to_is_told_apart_from_nothing_that_fits() {
    let gateway = Gateway::start(MOONGATE, "").await;
    let answer = send(&gateway.plain(), "/a2a", &message("hello")).await;
    assert_eq!(answer.code(), "MG-0303", "{}", answer.text());
    let lone = Agent::start("lone", &[json!("lone.do")]).await;
    reload(&gateway, &lone.entry()).await;
    assert_eq!(
        send(&gateway.plain(), "/a2a", &message("anything at all")).await.agent(),
        "lone",
        "the only agent gets it"
    );
    let other = Agent::start("other", &[json!("other.do")]).await;
    reload(&gateway, &format!("{}{}", lone.entry(), other.entry())).await;
    let answer = send(&gateway.plain(), "/a2a", &message("anything at all")).await;
    assert_eq!(answer.code(), "MG-0302");
}
