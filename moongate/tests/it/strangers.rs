//! What is somebody else's, or not for a caller to see, looks to it as what does not exist: by every operation, in every
//! binding and version, however the caller is known.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use moongate_testkit::agent::{Agent, Plan, Received};
use moongate_testkit::client::Whole;
use moongate_testkit::issuer::Issuer;
use moongate_testkit::pki::{Authority, Identity, client_config, connect};
use serde_json::{Value, json};

use crate::stage::*;
use crate::support::ROUTING;

/// Everything about the skill `lights.set`, and nothing about others.
const LIGHTS: [&str; 6] = [
    "a2a:lights.set:send",
    "a2a:lights.set:get",
    "a2a:lights.set:cancel",
    "a2a:lights.set:subscribe",
    "a2a:lights.set:push",
    "a2a:lights.set:list",
];

/// A caller by some proof of who it is.
struct Somebody {
    name: &'static str,
    address: SocketAddr,
    token: Option<String>,
    identity: Option<(rustls_pki_types::CertificateDer<'static>, Identity)>,
}

impl Somebody {
    fn caller(&self, (binding, version): (Binding, Version), base: &str) -> Caller {
        let caller = Caller::new(&format!("http://{}", self.address), binding, version).at(base);
        match &self.token {
            Some(token) => caller.with("authorization", &format!("Bearer {token}")),
            None => caller,
        }
    }

    async fn whole(&self, caller: &Caller, operation: Operation, params: &Value) -> Whole {
        match &self.identity {
            Some((root, identity)) => over_tls(self.address, root, identity, caller, operation, params).await,
            None => caller.whole(operation, params).await,
        }
    }

    /// A task of its own that waits for an answer, with a push config.
    async fn task(&self, skill: &str) -> String {
        let caller = self.caller((Binding::JsonRpc, Version::V1), "/a2a");
        let whole = self.whole(&caller, Operation::Send, &for_skill(skill, "ask room")).await;
        let task = caller.understand(Operation::Send, &whole).unwrap_or_else(|why| panic!("{}: {why:?}", self.name));
        let task = id(&task["task"]);
        let config = json!({"taskId": task, "id": "mine", "url": "http://127.0.0.1:9/hook"});
        let whole = self.whole(&caller, Operation::PushCreate, &config).await;
        caller.understand(Operation::PushCreate, &whole).unwrap_or_else(|why| panic!("{}: {why:?}", self.name));
        task
    }
}

async fn over_tls(
    address: SocketAddr,
    root: &rustls_pki_types::CertificateDer<'static>,
    identity: &Identity,
    caller: &Caller,
    operation: Operation,
    params: &Value,
) -> Whole {
    let mut config = (*client_config(root, Some(identity))).clone();
    let mut request = caller.request(operation, params);
    if caller.binding != Binding::Grpc {
        let stream = connect(address, Arc::new(config)).await.unwrap();
        request.headers_mut().insert("host", "localhost".parse().unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        return raw::collect(crate::support::soon("an answer", sender.send_request(request)).await.unwrap()).await;
    }
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TokioIo::new(connect(address, Arc::new(config)).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<bytes::Bytes>>(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    *request.uri_mut() = format!("https://localhost{}", request.uri()).parse().unwrap();
    raw::collect(crate::support::soon("an answer", sender.send_request(request)).await.unwrap()).await
}

fn for_skill(skill: &str, words: &str) -> Value {
    let mut params = saying(words);
    params["message"]["metadata"] = json!({ROUTING: {"skillId": skill}});
    params
}

/// Whether clients of this version have the operation.
fn has(version: Version, operation: Operation) -> bool {
    version == Version::V1 || !matches!(operation, Operation::List | Operation::Pause | Operation::Resume)
}

/// What an operation says of a task; nothing where it is about none.
fn about(operation: Operation, task: &str) -> Option<Value> {
    Some(match operation {
        Operation::Send | Operation::Stream => to_task(task, "kitchen"),
        Operation::PushCreate => json!({"taskId": task, "id": "theirs", "url": "http://127.0.0.1:9/hook"}),
        Operation::PushGet | Operation::PushDelete => json!({"taskId": task, "id": "mine"}),
        Operation::PushList => json!({"taskId": task}),
        Operation::List | Operation::ExtendedCard => return None,
        _ => on(task),
    })
}

/// A refusal as its caller gets it, with the name of the thing and what differs each time left out.
fn told(caller: &Caller, operation: Operation, whole: &Whole, name: &str, case: &str) -> (Refusal, String) {
    let mut refusal = match caller.understand(operation, whole) {
        Err(refusal) => refusal,
        Ok(value) => panic!("{case}: not refused: {value}"),
    };
    refusal.message = refusal.message.replace(name, "X");
    let mut headers: Vec<String> = whole
        .headers
        .iter()
        .chain(&whole.trailers)
        .filter(|(header, _)| !matches!(header.as_str(), "date" | "x-request-id" | "grpc-status-details-bin"))
        .map(|(header, value)| format!("{header}: {}", value.to_str().unwrap_or_default().replace(name, "X")))
        .collect();
    headers.sort();
    let body = String::from_utf8_lossy(&whole.body);
    let all = format!("{}\n{}{body}", headers.join("\n"), details(whole));
    (refusal, all.replace(name, "X"))
}

/// What gRPC says of an error beside its headers, as it is.
fn details(whole: &Whole) -> String {
    let found = |headers: &http::HeaderMap| headers.get("grpc-status-details-bin").cloned();
    let Some(details) = found(&whole.headers).or_else(|| found(&whole.trailers)) else { return String::new() };
    String::from_utf8_lossy(&STANDARD_NO_PAD.decode(details.as_bytes()).unwrap()).into_owned()
}

/// The home, an agent that no card shows, one in the extended card, one whose card demands something, and one whose card
/// cannot be read.
struct Bed {
    gateway: Gateway,
    issuer: Issuer,
    car: Authority,
    boat: Authority,
    agents: [Agent; 4],
}

impl Bed {
    async fn start() -> Self {
        let plan = |name: &str, skill: &str| Plan { skills: vec![skill.to_owned()], ..Plan::new(name) };
        let home = Agent::start(plan("home", "lights.set")).await;
        let vault = Agent::start(plan("vault", "vault.open")).await;
        let annex = Agent::start(plan("annex", "annex.open")).await;
        let demand = json!([{"schemes": {"own": {"list": ["locks:write"]}}}]);
        let skill =
            json!({"id": "safe.open", "name": "s", "description": "s", "tags": [], "securityRequirements": demand});
        let safe = Agent::start(Plan { card: json!({"skills": [skill]}), ..plan("safe", "safe.open") }).await;
        let issuer = Issuer::start().await;
        let (car, boat) = (Authority::root("Car CA"), Authority::root("Boat CA"));
        let peer = |domain: &str, scopes: &[&str]| {
            format!(
                "[[peers]]\ndomain = \"{domain}\"\nbundle = \"{domain}.pem\"\nscopes = {scopes:?}\nrevocation = \"off\"\n"
            )
        };
        // When a person is asked is not what is tried here.
        let toml = format!(
            "domain = \"home.example\"\n[listen]\nmain = \"127.0.0.1:0\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
             [store]\nurl = \"memory:\"\n[egress]\nallow = [\"127.0.0.0/8\"]\n\
             [approvals]\nsensitive_by_default = false\n{}{}{}{}{}{}{}{}",
            peer("car.example", &LIGHTS),
            peer("boat.example", &["a2a:*:*"]),
            home.entry(""),
            vault.entry("visibility = \"hidden\""),
            annex.entry("visibility = \"extended\""),
            safe.entry(""),
            "[[agents]]\nname = \"gloom\"\ncard_url = \"http://127.0.0.1:9/card.json\"\nvisibility = \"hidden\"\n",
            issuer.entry(&["a2a:*:*"], ""),
        );
        let files = [("car.example", car.pem()), ("boat.example", boat.pem())];
        let gateway =
            Gateway::start_with(MOONGATE, &toml, &files.map(|(name, pem)| (format!("{name}.pem"), pem))).await;
        Self { gateway, issuer, car, boat, agents: [home, vault, annex, safe] }
    }

    fn local(&self) -> Somebody {
        Somebody { name: "local", address: raw::address(&self.gateway.plain()), token: None, identity: None }
    }

    fn token(&self, name: &'static str, scopes: &str) -> Somebody {
        let token = self.issuer.token_with(scopes, |_, claims| claims["sub"] = json!(name));
        Somebody { name, token: Some(token), ..self.local() }
    }

    fn certificate(&self, name: &'static str, authority: &Authority, uri: &str) -> Somebody {
        let root = self.gateway.folder().join("ca/ca.pem");
        let root = moongate_identity::tls::read_roots(&root).unwrap().remove(0);
        let address = self.gateway.address("main").unwrap();
        Somebody { name, address, token: None, identity: Some((root, authority.client(uri))) }
    }

    fn car(&self) -> Somebody {
        self.certificate("car", &self.car, "spiffe://car.example/gw")
    }

    fn boat(&self) -> Somebody {
        self.certificate("boat", &self.boat, "spiffe://boat.example/gw")
    }

    /// Requests that agents got, but for those by which the gateway itself watches tasks.
    fn heard(&self) -> usize {
        let asked =
            |received: &&Received| !matches!(received.json()["method"].as_str(), Some("SubscribeToTask" | "GetTask"));
        self.agents.iter().map(|agent| agent.received().iter().filter(asked).count()).sum()
    }
}

#[tokio::test]
async fn anothers_task_is_refused_as_one_that_does_not_exist() {
    let bed = Bed::start().await;
    let (local, alice, bob) = (bed.local(), bed.token("alice", "a2a:*:*"), bed.token("bob", "a2a:*:*"));
    let (car, boat) = (bed.car(), bed.boat());
    let (lights, safe) = (("lights.set", "/agents/home"), ("safe.open", "/agents/safe"));
    let pairs = [
        (&alice, &bob, lights),
        (&car, &boat, lights),
        (&boat, &car, lights),
        (&local, &alice, lights),
        (&alice, &local, lights),
        (&car, &alice, lights),
        (&bob, &boat, lights),
        // Of a skill that the other one could not even use.
        (&local, &alice, safe),
        (&local, &car, safe),
    ];
    let mut cases = 0;
    for (owner, other, (skill, home)) in pairs {
        let task = owner.task(skill).await;
        let none = "0".repeat(task.len());
        let heard = bed.heard();
        for (speaker, base) in SPEAKERS.into_iter().flat_map(|speaker| [(speaker, "/a2a"), (speaker, home)]) {
            for operation in Operation::ALL.into_iter().filter(|operation| has(speaker.1, *operation)) {
                let (Some(theirs), Some(nobodys)) = (about(operation, &task), about(operation, &none)) else {
                    continue;
                };
                let case = format!(
                    "{} asks {} for {}'s task at {base} by {} {}",
                    other.name,
                    operation.as_str(),
                    owner.name,
                    speaker.0.as_str(),
                    speaker.1.as_str()
                );
                let caller = other.caller(speaker, base);
                let whole = other.whole(&caller, operation, &nobodys).await;
                let unknown = told(&caller, operation, &whole, &none, &case);
                let whole = other.whole(&caller, operation, &theirs).await;
                assert_eq!(told(&caller, operation, &whole, &task, &case), unknown, "{case}");
                assert_eq!(unknown.0.gateway_code.as_deref(), Some("MG-0601"), "{case}: {unknown:?}");
                cases += 1;
            }
        }
        assert_eq!(bed.heard(), heard, "no agent hears of it");
        let caller = owner.caller((Binding::JsonRpc, Version::V1), "/a2a");
        let configs = owner.whole(&caller, Operation::PushList, &json!({"taskId": task})).await;
        let configs = caller.understand(Operation::PushList, &configs).unwrap();
        assert_eq!(configs["configs"].as_array().map(Vec::len), Some(1), "its owner's task is as it was: {configs}");
        let got = owner.whole(&caller, Operation::Get, &on(&task)).await;
        assert_eq!(state(&caller.understand(Operation::Get, &got).unwrap()), "INPUT_REQUIRED");
    }
    assert_eq!(cases, pairs.len() * 2 * (3 * 11 + 2 * 9));
}

#[tokio::test]
async fn anothers_push_config_is_refused_as_one_that_does_not_exist() {
    let bed = Bed::start().await;
    let (local, alice, bob) = (bed.local(), bed.token("alice", "a2a:*:*"), bed.token("bob", "a2a:*:*"));
    let (car, boat) = (bed.car(), bed.boat());
    let mut cases = 0;
    for (owner, other) in
        [(&alice, &bob), (&boat, &car), (&car, &alice), (&bob, &boat), (&local, &alice), (&alice, &local)]
    {
        let (theirs, own) = (owner.task("lights.set").await, other.task("lights.set").await);
        let caller = owner.caller((Binding::JsonRpc, Version::V1), "/a2a");
        let config = json!({"taskId": theirs, "id": "secret", "url": "http://127.0.0.1:9/hook"});
        let made = owner.whole(&caller, Operation::PushCreate, &config).await;
        caller.understand(Operation::PushCreate, &made).unwrap();
        for (speaker, base) in SPEAKERS.into_iter().flat_map(|speaker| [(speaker, "/a2a"), (speaker, "/agents/home")]) {
            for operation in [Operation::PushGet, Operation::PushDelete] {
                let case =
                    format!("{} asks {} for {}'s by {speaker:?} at {base}", other.name, operation.as_str(), owner.name);
                let caller = other.caller(speaker, base);
                let mut answers = Vec::new();
                for (task, id) in [(&own, "absent"), (&own, "secret"), (&theirs, "absent"), (&theirs, "secret")] {
                    let whole = other.whole(&caller, operation, &json!({"taskId": task, "id": id})).await;
                    answers.push(match caller.understand(operation, &whole) {
                        Ok(value) => format!("done: {value}"),
                        Err(_) => format!("{:?}", told(&caller, operation, &whole, id, &case)),
                    });
                }
                assert_eq!((&answers[0], &answers[2]), (&answers[1], &answers[3]), "{case}");
                assert!(answers[2].contains("MG-0601"), "{case}: {answers:?}");
                // What is not there may be deleted again and again.
                assert_eq!(answers[0].starts_with("done"), operation == Operation::PushDelete, "{case}: {answers:?}");
                cases += 1;
            }
        }
        let configs = owner.whole(&caller, Operation::PushList, &json!({"taskId": theirs})).await;
        let configs = caller.understand(Operation::PushList, &configs).unwrap();
        assert_eq!(configs["configs"].as_array().map(Vec::len), Some(2), "its owner's are as they were: {configs}");
    }
    assert_eq!(cases, 6 * 10 * 2);
}

#[tokio::test]
async fn an_agent_that_is_not_for_a_caller_is_refused_as_one_that_does_not_exist() {
    let bed = Bed::start().await;
    let (alice, nobody) = (bed.token("alice", &LIGHTS.join(" ")), bed.token("eve", "openid"));
    let car = bed.car();
    let heard = bed.heard();
    let unseen = [
        (&alice, "vault"),
        (&car, "vault"),
        (&nobody, "vault"),
        (&nobody, "annex"),
        (&alice, "gloom"),
        (&car, "gloom"),
    ];
    for (who, agent) in unseen {
        for speaker in SPEAKERS {
            for operation in Operation::ALL.into_iter().filter(|operation| has(speaker.1, *operation)) {
                let case = format!(
                    "{} asks {} of {agent} by {} {}",
                    who.name,
                    operation.as_str(),
                    speaker.0.as_str(),
                    speaker.1.as_str()
                );
                // By the address, and by the tenant, which is all that gRPC has.
                let ways: &[bool] = match speaker {
                    (Binding::Grpc, _) => &[true],
                    (Binding::JsonRpc, Version::V1) => &[true, false],
                    _ => &[false],
                };
                for by_tenant in ways {
                    let mut answers = Vec::new();
                    for name in [agent, "nihil"] {
                        let mut params = about(operation, "0000").unwrap_or_else(|| json!({}));
                        if operation.carries_message() {
                            params = saying("echo hello");
                        }
                        let base = if *by_tenant { "/a2a".to_owned() } else { format!("/agents/{name}") };
                        if *by_tenant {
                            params["tenant"] = json!(name);
                        }
                        let caller = who.caller(speaker, &base);
                        let whole = who.whole(&caller, operation, &params).await;
                        answers.push(told(&caller, operation, &whole, name, &case));
                    }
                    assert_eq!(answers[0], answers[1], "{case}");
                    assert!(answers[0].0.message.contains("there is no agent X"), "{case}: {answers:?}");
                }
            }
        }
    }
    assert_eq!(bed.heard(), heard, "no agent hears of it");
    // Whoever may do something there reaches it.
    for who in [bed.token("carol", "a2a:vault.open:send"), bed.token("dan", "a2a:*:send"), bed.boat(), bed.local()] {
        let caller = who.caller((Binding::JsonRpc, Version::V1), "/agents/vault");
        let whole = who.whole(&caller, Operation::Send, &for_skill("vault.open", "echo hello")).await;
        let sent = caller.understand(Operation::Send, &whole).unwrap_or_else(|why| panic!("{}: {why:?}", who.name));
        assert_eq!(state(&sent["task"]), "COMPLETED", "{}", who.name);
    }
}

#[tokio::test]
async fn a_skill_that_is_not_for_a_caller_is_refused_as_one_that_does_not_exist() {
    let bed = Bed::start().await;
    let (alice, car) = (bed.token("alice", &LIGHTS.join(" ")), bed.car());
    let nobody = bed.token("eve", "openid");
    let heard = bed.heard();
    let unseen = [
        (&alice, "vault.open", "nihil.open"),
        (&alice, "vault/vault.open", "nihil/nihil.open"),
        (&alice, "vault/vault.open", "vault/nihil.open"),
        (&car, "vault.open", "nihil.open"),
        (&nobody, "vault.open", "nihil.open"),
        (&nobody, "annex.open", "nihil.open"),
    ];
    for (who, skill, none) in unseen {
        for (speaker, base) in SPEAKERS.into_iter().flat_map(|speaker| [(speaker, "/a2a"), (speaker, "/agents/home")]) {
            for operation in [Operation::Send, Operation::Stream] {
                let case = format!(
                    "{} asks {} of {skill} at {base} by {} {}",
                    who.name,
                    operation.as_str(),
                    speaker.0.as_str(),
                    speaker.1.as_str()
                );
                let caller = who.caller(speaker, base);
                let whole = who.whole(&caller, operation, &for_skill(none, "echo hello")).await;
                let unknown = told(&caller, operation, &whole, none, &case);
                let whole = who.whole(&caller, operation, &for_skill(skill, "echo hello")).await;
                assert_eq!(told(&caller, operation, &whole, skill, &case), unknown, "{case}");
                assert!(unknown.0.message.contains("no agent has the skill X"), "{case}: {unknown:?}");
            }
        }
    }
    assert_eq!(bed.heard(), heard, "no agent hears of it");
    // What is in a card that the caller reads is refused by the name of the scope that is missing.
    let caller = alice.caller((Binding::JsonRpc, Version::V1), "/a2a");
    let whole = alice.whole(&caller, Operation::Send, &for_skill("annex.open", "echo hello")).await;
    let refusal = caller.understand(Operation::Send, &whole).unwrap_err();
    assert_eq!(refusal.gateway_code.as_deref(), Some("MG-0407"), "{refusal:?}");
}

#[tokio::test]
async fn a_list_holds_what_is_its_callers_own() {
    let bed = Bed::start().await;
    let people = [bed.local(), bed.token("alice", "a2a:*:*"), bed.token("bob", "a2a:*:*"), bed.boat()];
    let mut own = Vec::new();
    for who in &people {
        own.push(who.task("lights.set").await);
    }
    for (who, own) in people.iter().zip(&own) {
        for speaker in SPEAKERS.into_iter().filter(|speaker| has(speaker.1, Operation::List)) {
            let caller = who.caller(speaker, "/a2a");
            let whole = who.whole(&caller, Operation::List, &json!({})).await;
            let listed = caller.understand(Operation::List, &whole).unwrap();
            let ids: Vec<String> = listed["tasks"].as_array().unwrap().iter().map(id).collect();
            assert_eq!((ids, &listed["totalSize"]), (vec![own.clone()], &json!(1)), "{} {speaker:?}", who.name);
        }
    }
}
