//! What agents' cards demand for a skill: who is held to it, where it counts, and what cards and explanations say of it.

use moongate_testkit::agent::{Agent, Plan};
use moongate_testkit::client::Whole;
use moongate_testkit::gateway::until;
use moongate_testkit::issuer::Issuer;
use serde_json::{Value, json};

use crate::stage::{Binding, Caller, Gateway, MOONGATE, Operation, Refusal, SPEAKERS, Version, id, on, saying, state};
use crate::support::{ROUTING, err, get, get_main, http, out};

const CARD: &str = "/.well-known/agent-card.json";
const OLDER: &str = "/.well-known/agent.json";

/// What the issuer's tokens may give.
const GIVEN: [&str; 4] = ["a2a:*:*", "locks:write", "locks:read", "owner"];

/// An agent whose door wants both scopes for locks, or the owner, and whose lights want nothing.
fn plan(name: &str) -> Plan {
    let ways = json!([
        {"schemes": {"keyring": {"list": ["locks:write", "locks:read"]}, "mtls": {"list": []}}},
        {"schemes": {"keyring": {"list": ["owner"]}}},
    ]);
    let skill = |id: &str, what: &str| json!({"id": id, "name": id, "description": what, "tags": ["test"]});
    let mut door = skill("blinds.open", "Opens the front door of the house");
    door["securityRequirements"] = ways;
    let card = json!({
        "skills": [skill("lights.set", "Turns lamps on and off"), door],
        "securitySchemes": {"keyring": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "https://idp.invalid/oidc"}},
            "mtls": {"mtlsSecurityScheme": {}}},
        // What the whole card wants is not for callers.
        "securityRequirements": [{"schemes": {"keyring": {"list": ["gateway:only"]}}}],
    });
    Plan { card, ..Plan::new(name) }
}

struct Bed {
    agent: Agent,
    issuer: Issuer,
    gateway: Gateway,
}

impl Bed {
    async fn start(entry: &str) -> Self {
        let (agent, issuer) = (Agent::start(plan("home")).await, Issuer::start().await);
        let gateway = Gateway::start(MOONGATE, &toml(&agent, &issuer, entry)).await;
        Self { agent, issuer, gateway }
    }

    fn caller(&self, (binding, version): (Binding, Version), scopes: &str) -> Caller {
        let token = self.issuer.token(scopes);
        Caller::new(&self.gateway.plain(), binding, version).with("authorization", &format!("Bearer {token}"))
    }

    fn rpc(&self, scopes: &str) -> Caller {
        self.caller((Binding::JsonRpc, Version::V1), scopes)
    }
}

fn toml(agent: &Agent, issuer: &Issuer, entry: &str) -> String {
    let listen = "[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n[store]\nurl = \"memory:\"\n";
    format!("{listen}[routing]\nthreshold = 0.1\n{}\n{}", agent.entry(entry), issuer.entry(&GIVEN, ""))
}

fn for_skill(skill: &str, words: &str) -> Value {
    let mut params = saying(words);
    params["message"]["metadata"] = json!({ROUTING: {"skillId": skill}});
    params
}

/// Fails unless it was refused because of these scopes.
fn lacks(refused: Result<Value, Refusal>, words: &str, case: &str) {
    let refusal = refused.err().unwrap_or_else(|| panic!("{case}: not refused"));
    assert_eq!(
        (refusal.gateway_code.as_deref(), refusal.reason.as_str()),
        (Some("MG-0407"), "PERMISSION_DENIED"),
        "{case}"
    );
    let told = format!("the card of home demands for blinds.open what is missing: {words}");
    assert_eq!(refusal.message, told, "{case}");
}

fn challenge(whole: &Whole) -> &str {
    whole.headers.get("www-authenticate").map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn what_a_card_demands_is_demanded_beside_the_gateways_own_scope() {
    let bed = Bed::start("").await;
    for speaker in SPEAKERS {
        let case = format!("{} {}", speaker.0.as_str(), speaker.1.as_str());
        let (door, heard) = (for_skill("blinds.open", "echo hello"), bed.agent.received().len());
        for (scopes, missing) in [
            ("a2a:*:*", "owner"),
            ("a2a:*:* locks:write", "locks:read"),
            ("a2a:blinds.open:send locks:read", "locks:write"),
            ("a2a:*:* locks:* LOCKS:WRITE locks:writ * gateway:only", "owner"),
            ("a2a:*:* Owner", "owner"),
        ] {
            lacks(
                bed.caller(speaker, scopes).call(Operation::Send, &door).await,
                missing,
                &format!("{case}: {scopes}"),
            );
            let stream = bed.caller(speaker, scopes).events(Operation::Stream, &door).await;
            lacks(stream.map(Value::from), missing, &format!("{case}: {scopes}, streamed"));
        }
        // Whatever a card demands, the gateway's own scope is needed, too.
        let own = bed.caller(speaker, "a2a:lights.set:send owner").call(Operation::Send, &door).await.unwrap_err();
        assert_eq!(own.message, "the scope a2a:blinds.open:send is missing", "{case}");
        assert_eq!(bed.agent.received().len(), heard, "{case}: the agent hears nothing of it");
        for scopes in ["a2a:blinds.open:send owner", "locks:write a2a:blinds.open:send locks:read"] {
            let sent = bed.caller(speaker, scopes).call(Operation::Send, &door).await.unwrap();
            assert_eq!(state(&sent["task"]), "COMPLETED", "{case}: {scopes}");
        }
        let lights =
            bed.caller(speaker, "a2a:lights.set:send").call(Operation::Send, &for_skill("lights.set", "echo")).await;
        assert_eq!(state(&lights.unwrap()["task"]), "COMPLETED", "{case}");
        let heard = bed.agent.received().len();
        // What names no skill may be taken as any of them.
        for base in ["/a2a", "/agents/home"] {
            let caller = bed.caller(speaker, "a2a:*:*").at(base);
            lacks(caller.call(Operation::Send, &saying("echo hello")).await, "owner", &format!("{case} at {base}"));
        }
        assert_eq!(bed.agent.received().len(), heard, "{case}");
        let sent = bed.caller(speaker, "a2a:*:* owner").call(Operation::Send, &saying("echo hello")).await.unwrap();
        assert_eq!(state(&sent["task"]), "COMPLETED", "{case}");
    }
    for (binding, wanted) in [(Binding::JsonRpc, "owner"), (Binding::Http, "owner")] {
        let caller = bed.caller((binding, Version::V1), "a2a:*:*");
        let whole = caller.whole(Operation::Send, &for_skill("blinds.open", "echo hello")).await;
        let wanted = format!("Bearer error=\"insufficient_scope\", scope=\"{wanted}\"");
        assert_eq!((whole.status, challenge(&whole)), (403, wanted.as_str()));
    }
}

#[tokio::test]
async fn a_skill_that_is_found_by_what_a_message_says_is_judged_like_one_that_is_named() {
    let (bed, other) = (Bed::start("").await, Agent::start(Plan::new("other")).await);
    bed.gateway.reload(&format!("{}{}", toml(&bed.agent, &bed.issuer, ""), other.entry("")));
    let wish = saying("open the front door of the house");
    let caller = bed.rpc("a2a:*:*");
    let refused = until(|| async {
        let refusal = caller.call(Operation::Send, &wish).await.err()?;
        refusal.message.contains("blinds.open").then_some(refusal)
    });
    lacks(Err(refused.await.expect("the wish is understood")), "owner", "by intent");
    assert!(bed.agent.received().is_empty() && other.received().is_empty());
    bed.rpc("a2a:*:* owner").call(Operation::Send, &wish).await.unwrap();
    assert!(!bed.agent.received().is_empty());
}

#[tokio::test]
async fn tasks_of_a_skill_are_for_who_may_use_it() {
    let bed = Bed::start("").await;
    for speaker in SPEAKERS {
        let case = format!("{} {}", speaker.0.as_str(), speaker.1.as_str());
        let full = bed.caller(speaker, "a2a:*:* owner");
        let bare = bed.caller(speaker, "a2a:*:*");
        let sent = full.call(Operation::Send, &for_skill("blinds.open", "ask room")).await.unwrap();
        let task = id(&sent["task"]);
        let config = json!({"taskId": task, "id": "mine", "url": "https://hooks.invalid/"});
        let heard = bed.agent.received().len();
        let mut more = for_skill("lights.set", "kitchen");
        more["message"]["taskId"] = json!(task);
        for (operation, params) in [
            (Operation::Send, more.clone()),
            (Operation::Stream, more),
            (Operation::Get, on(&task)),
            (Operation::Cancel, on(&task)),
            (Operation::Subscribe, on(&task)),
            (Operation::Pause, on(&task)),
            (Operation::Resume, on(&task)),
            (Operation::PushCreate, config),
            (Operation::PushGet, json!({"taskId": task, "id": "mine"})),
            (Operation::PushList, json!({"taskId": task})),
            (Operation::PushDelete, json!({"taskId": task, "id": "mine"})),
        ] {
            let old = speaker.1 == Version::V03;
            if old && matches!(operation, Operation::Pause | Operation::Resume) {
                continue;
            }
            let refused = if operation.is_streaming() {
                bare.events(operation, &params).await.map(Value::from)
            } else {
                bare.call(operation, &params).await
            };
            lacks(refused, "owner", &format!("{case}: {}", operation.as_str()));
        }
        // Neither does a task of another skill open the way.
        let lights = full.call(Operation::Send, &for_skill("lights.set", "ask room")).await.unwrap();
        for named in ["blinds.open", "home/blinds.open"] {
            let mut sneaks = for_skill(named, "kitchen");
            sneaks["message"]["taskId"] = json!(id(&lights["task"]));
            let refusal = bare.call(Operation::Send, &sneaks).await.unwrap_err();
            assert!(refusal.message.ends_with("what is missing: owner"), "{case}: {refusal:?}");
        }
        assert_eq!(bed.agent.received().len(), heard + 1, "{case}: the agent hears of the lights alone");
        assert_eq!(id(&full.call(Operation::Get, &on(&task)).await.unwrap()), task, "{case}");
    }
}

#[tokio::test]
async fn a_list_leaves_out_what_its_caller_could_not_ask_for() {
    let bed = Bed::start("").await;
    let full = bed.rpc("a2a:*:* owner");
    let mut tasks = Vec::new();
    for params in [for_skill("blinds.open", "echo a"), for_skill("lights.set", "echo b"), saying("echo c")] {
        tasks.push(id(&full.call(Operation::Send, &params).await.unwrap()["task"]));
    }
    for (scopes, count) in
        [("a2a:*:* owner", 3), ("a2a:*:list locks:read locks:write", 3), ("a2a:*:*", 1), ("a2a:*:list", 1)]
    {
        for speaker in SPEAKERS.into_iter().filter(|speaker| speaker.1 == Version::V1) {
            for base in ["/a2a", "/agents/home"] {
                let list = bed.caller(speaker, scopes).at(base).call(Operation::List, &json!({})).await.unwrap();
                let shown: Vec<String> = list["tasks"].as_array().unwrap().iter().map(id).collect();
                assert_eq!(
                    (shown.len(), &list["totalSize"]),
                    (count, &json!(count)),
                    "{scopes} {speaker:?} at {base}: {list}"
                );
                assert!(count == 3 || shown == tasks[1..2], "{scopes}: {list}");
            }
        }
    }
}

#[tokio::test]
async fn programs_of_this_machine_are_bound_if_the_entry_says_so() {
    let bed = Bed::start("").await;
    let door = for_skill("blinds.open", "echo hello");
    let local = Caller::rpc(&bed.gateway.plain());
    let secret = std::fs::read_to_string(bed.gateway.folder().join("operator.secret")).unwrap();
    let operator = local.clone().with("authorization", &format!("Bearer {}", secret.trim()));
    let bare = bed.rpc("a2a:*:*");
    assert!(local.call(Operation::Send, &door).await.is_ok(), "local is not bound by cards");
    lacks(bare.call(Operation::Send, &door).await, "owner", "a token at this machine is a token");
    bed.gateway.reload(&toml(&bed.agent, &bed.issuer, "card_scopes = \"everybody\""));
    let refused =
        until(|| async { local.call(Operation::Send, &door).await.err() }).await.expect("it is bound in time");
    lacks(Err(refused), "owner", "local");
    assert_eq!(local.call(Operation::List, &json!({})).await.unwrap()["totalSize"], 0);
    assert!(operator.call(Operation::Send, &door).await.is_ok(), "an operator could change the entry");
    lacks(bare.call(Operation::Send, &door).await, "owner", "tokens, too");
    bed.gateway.reload(&toml(&bed.agent, &bed.issuer, "card_scopes = \"ignore\""));
    let free = until(|| async { bare.call(Operation::Send, &door).await.ok() }).await;
    assert!(free.is_some(), "nobody is bound any more");
    assert!(local.call(Operation::Send, &door).await.is_ok());
}

#[tokio::test]
async fn cards_say_which_scopes_each_skill_needs_where_tokens_are_wanted() {
    let (agent, issuer) = (Agent::start(Plan { extended: true, ..plan("home") }).await, Issuer::start().await);
    let listen = "public_url = \"https://agents.test\"\n[listen]\nmain = \"0.0.0.0:0\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
                  [store]\nurl = \"memory:\"\n";
    let device = "[[devices]]\nname = \"panel\"\npin = \"sha256:q0r8bXLEMq2tmlxHWrrJVZXc7RCTKV0Z8d3RTr1ZxGo=\"\n";
    let gateway =
        Gateway::start(MOONGATE, &format!("{listen}{}{}{device}", agent.entry(""), issuer.entry(&GIVEN, ""))).await;
    let way = |scopes: &[&str]| json!({"schemes": {"token": {"list": scopes}}});
    let certificate = json!({"schemes": {"certificate": {"list": []}}});
    let lights = json!([way(&["a2a:lights.set:send"]), certificate]);
    let door = json!([
        way(&["a2a:blinds.open:send", "locks:read", "locks:write"]),
        way(&["a2a:blinds.open:send", "owner"]),
        certificate
    ]);
    let keys = get_main(&gateway, "/.well-known/jwks.json").await.json();
    for base in ["", "/agents/home"] {
        let card = get_main(&gateway, &format!("{base}{CARD}")).await.json();
        let needed: Vec<&Value> =
            card["skills"].as_array().unwrap().iter().map(|skill| &skill["securityRequirements"]).collect();
        assert_eq!(needed, [&lights, &door], "{base}");
        assert!(card["securitySchemes"]["token"].is_object() && card["securitySchemes"]["certificate"].is_object());
        assert!(!crate::cards_signed::kids(&card, &keys).is_empty(), "{base}: signed with it");
        for word in ["keyring", "oidc", "gateway:only", "mtls\""] {
            assert!(!card.to_string().contains(word), "{base}: the agent's own {word}: {card}");
        }
        let old = get_main(&gateway, &format!("{base}{OLDER}")).await.json();
        assert_eq!(
            old["skills"][1]["security"],
            json!([{"token": ["a2a:blinds.open:send", "locks:read", "locks:write"]},
                {"token": ["a2a:blinds.open:send", "owner"]}, {"certificate": []}]),
            "{base}"
        );
        assert_eq!(old["skills"][1]["securityRequirements"], door, "{base}: and as 1.0 has it");
        for open in [
            get(&gateway.plain(), &format!("{base}{CARD}")).await,
            get(&gateway.plain(), &format!("{base}{OLDER}")).await,
        ] {
            let skills = &open.json()["skills"];
            assert!(!skills.to_string().contains("security"), "{base}: nobody needs any here: {skills}");
        }
    }
    // The extended card by the guarded listener, with exactly what the public one says is needed for a message.
    let token = issuer.token("a2a:blinds.open:send owner");
    let call = |method: &str, params: Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let request = http::Request::post("/agents/home").header("content-type", "application/json");
        let request = request.header("a2a-version", "1.0").header("authorization", format!("Bearer {token}"));
        crate::support::at_main(&gateway, request.body(body.into()).unwrap())
    };
    let extended = call("GetExtendedAgentCard", json!({})).await.json();
    assert_eq!(extended["result"]["skills"][1]["securityRequirements"], door, "{extended}");
    let sent = call("SendMessage", for_skill("blinds.open", "echo hello")).await.json();
    assert_eq!(sent["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{sent}");
}

/// An agent with one skill that is described so and demands this.
async fn holder(name: &str, what: &str, demand: &str) -> Agent {
    let requirements = json!([{"schemes": {"keyring": {"list": [demand]}}}]);
    let skill =
        json!({"id": "shared.do", "name": "s", "description": what, "tags": [], "securityRequirements": requirements});
    Agent::start(Plan { card: json!({"skills": [skill]}), ..Plan::new(name) }).await
}

/// The first agent, the second one, and a gateway that other machines reach.
async fn pair(descriptions: [&str; 2], issuer: &Issuer) -> (Agent, Agent, Gateway) {
    let one = holder("one", descriptions[0], "locks:write").await;
    let two = holder("two", descriptions[1], "owner").await;
    let listen = "public_url = \"https://agents.test\"\n[listen]\nmain = \"0.0.0.0:0\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[store]\nurl = \"memory:\"\n";
    let toml = format!("{listen}{}{}{}", one.entry(""), two.entry(""), issuer.entry(&GIVEN, ""));
    let gateway = Gateway::start(MOONGATE, &toml).await;
    (one, two, gateway)
}

/// The scopes of the first way in, by skill, as the card of all agents says.
async fn published(gateway: &Gateway) -> Vec<(String, Value)> {
    let card = get_main(gateway, CARD).await.json();
    let skills = card["skills"].as_array().unwrap().iter();
    let first = |skill: &Value| skill["securityRequirements"][0]["schemes"]["token"]["list"].clone();
    skills.map(|skill| (skill["id"].as_str().unwrap().to_owned(), first(skill))).collect()
}

#[tokio::test]
async fn where_either_of_two_agents_may_get_a_message_what_both_demand_is_demanded() {
    let issuer = Issuer::start().await;
    let (_one, _two, gateway) = pair(["Does it", "Does it"], &issuer).await;
    let shared = json!(["a2a:shared.do:send", "locks:write", "owner"]);
    assert_eq!(published(&gateway).await, [("shared.do".to_owned(), shared)]);
    for (scopes, done) in
        [("a2a:*:* owner", false), ("a2a:*:* locks:write", false), ("a2a:shared.do:send owner locks:write", true)]
    {
        let token = format!("Bearer {}", issuer.token(scopes));
        let caller = Caller::rpc(&gateway.plain()).with("authorization", &token);
        for _ in 0..4 {
            let sent = caller.call(Operation::Send, &for_skill("shared.do", "echo hello")).await;
            assert_eq!(sent.is_ok(), done, "{scopes}: {sent:?}");
        }
    }
}

#[tokio::test]
async fn a_skill_that_is_named_with_its_agent_is_that_skill_of_that_agent() {
    let issuer = Issuer::start().await;
    let (_one, _two, gateway) = pair(["Does it", "Does something else"], &issuer).await;
    let scopes = |demand: &str| json!(["a2a:shared.do:send", demand]);
    let both = [("one/shared.do".to_owned(), scopes("locks:write")), ("two/shared.do".to_owned(), scopes("owner"))];
    assert_eq!(published(&gateway).await, both);
    let token = format!("Bearer {}", issuer.token("a2a:shared.do:send owner"));
    let caller = Caller::rpc(&gateway.plain()).with("authorization", &token);
    let sent = caller.call(Operation::Send, &for_skill("two/shared.do", "echo hello")).await.unwrap();
    assert_eq!(state(&sent["task"]), "COMPLETED");
    let refusal = caller.call(Operation::Send, &for_skill("one/shared.do", "echo hello")).await.unwrap_err();
    assert_eq!(refusal.message, "the card of one demands for shared.do what is missing: locks:write");
}

#[tokio::test]
async fn a_demand_that_nobody_can_meet_lets_nobody_in_and_breaks_no_header() {
    let strange = json!([{"schemes": {"keyring": {"list": ["a2a", "x\",realm=\"y", "owner"]}}}]);
    let skill = json!({"id": "blinds.open", "name": "Door", "description": "Opens", "tags": [], "securityRequirements": strange});
    let agent = Agent::start(Plan { card: json!({"skills": [skill]}), ..Plan::new("home") }).await;
    let issuer = Issuer::start().await;
    let gateway = Gateway::start(MOONGATE, &toml(&agent, &issuer, "")).await;
    let token = issuer.token("a2a:*:* owner a2a");
    let caller = Caller::rpc(&gateway.plain()).with("authorization", &format!("Bearer {token}"));
    let whole = caller.whole(Operation::Send, &for_skill("blinds.open", "echo hello")).await;
    let refusal = caller.understand(Operation::Send, &whole).unwrap_err();
    assert!(refusal.message.contains("nobody can have"), "{refusal:?}");
    assert_eq!((whole.status, challenge(&whole)), (403, ""));
    assert!(agent.received().is_empty());
}

#[tokio::test]
async fn an_explanation_shows_what_a_card_demands_of_a_caller() {
    let bed = Bed::start("").await;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": for_skill("blinds.open", "hello")});
    let asked = json!({"body": body, "headers": {"authorization": format!("Bearer {}", bed.issuer.token("a2a:*:*"))}});
    let view = http("POST", &bed.gateway.admin(), "/api/v1/explain", &[], Some(&asked)).await.json();
    assert_eq!(view["resolved"]["skill"], "blinds.open");
    assert_eq!(view["problem"]["code"], "MG-0407");
    assert_eq!(view["problem"]["fields"], json!([{"field": "scope", "description": "owner"}]), "{view}");
    let run = |scopes: &str, token: Option<String>| {
        let (folder, token) = (bed.gateway.folder().to_owned(), token.unwrap_or_else(|| bed.issuer.token(scopes)));
        async move {
            let mut command = tokio::process::Command::new(MOONGATE);
            command.args(["explain", "--token-stdin", "--skill", "blinds.open", "hello"]).current_dir(folder);
            command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
            let mut child = command.stderr(std::process::Stdio::piped()).kill_on_drop(true).spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut input, format!("{token}\n").as_bytes()).await.unwrap();
            drop(input);
            crate::support::soon("the end of the command", child.wait_with_output()).await.unwrap()
        }
    };
    let refused = run("a2a:*:*", None).await;
    assert_eq!(refused.status.code(), Some(1), "{}", err(&refused));
    insta::assert_snapshot!("explain_demanded", out(&refused));
    let allowed = run("a2a:*:* owner", None).await;
    assert!(allowed.status.success() && out(&allowed).contains("pick       home"), "{}", out(&allowed));
    for nothing in ["", "two words"] {
        let none = run("", Some(nothing.to_owned())).await;
        assert!(none.status.code() == Some(2) && err(&none).contains("holds no token"), "{}", err(&none));
    }
    assert!(bed.agent.received().is_empty());
}
