//! What a rule wants confirmed waits for a person, and goes out by that person's yes: once, as it was asked, or not at all.

mod attacks;
mod defaults;
mod held;
mod meanings;
mod remembered;
mod shown;

use moongate_testkit::agent::{Agent, Plan};
use moongate_testkit::authenticator::Authenticator;
use serde_json::{Value, json};

use crate::audit::lines;
use crate::people::operate;
use crate::stage::{Caller, Gateway, MOONGATE, Operation, SPEAKERS, at_once, id, on, saying, state, task, until_state};
use crate::support::{Browser, ROUTING, err, eventually, http, moongate, out, reload};

const LISTEN: &str = "domain = \"home.example\"\n[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n";
const DOORS: &str = "[[policy]]\nname = \"doors\"\nconfirm = 'skill.id == \"door.open\"'\n";

/// A home whose door is opened by a person's yes.
async fn home(more: &str) -> (Agent, Gateway) {
    let skills = ["lights.set", "door.open"].map(str::to_owned).to_vec();
    let agent = Agent::start(Plan { skills, ..Plan::new("home") }).await;
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{}{more}", agent.entry(""))).await;
    (agent, gateway)
}

pub(crate) fn open_the_door(words: &str) -> Value {
    let mut params = saying(words);
    params["message"]["metadata"] = json!({ROUTING: {"skillId": "door.open"}});
    params
}

async fn command(gateway: &Gateway, words: &[&str]) -> std::process::Output {
    let config = gateway.config();
    moongate(gateway.folder(), &[&["--config", config.to_str().unwrap(), "--json", "approve"], words].concat()).await
}

pub(crate) async fn told(gateway: &Gateway, words: &[&str]) -> Value {
    let output = command(gateway, words).await;
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", err(&output));
    serde_json::from_str(&out(&output)).unwrap()
}

/// The code of the refusal.
async fn refused(gateway: &Gateway, words: &[&str]) -> String {
    let output = command(gateway, words).await;
    assert_eq!(output.status.code(), Some(2), "{words:?}: {}", out(&output));
    let text = err(&output);
    text.split_once("[MG-").map(|(_, rest)| format!("MG-{}", &rest[..4])).unwrap_or(text)
}

async fn waiting(gateway: &Gateway) -> Vec<Value> {
    told(gateway, &[]).await["approvals"].as_array().unwrap().clone()
}

/// The question of a task.
pub(crate) async fn question(gateway: &Gateway, task: &str) -> String {
    let all = waiting(gateway).await;
    let found = all.iter().find(|one| one["document"]["target"]["task"] == task);
    found.unwrap_or_else(|| panic!("nobody is asked about {task}: {all:?}"))["id"].as_str().unwrap().to_owned()
}

/// Messages that the agent got.
fn sent(agent: &Agent) -> usize {
    agent.tasks_made()
}

#[tokio::test]
async fn a_yes_lets_just_this_request_out_once() {
    let (agent, gateway) = home(DOORS).await;
    for (binding, version) in SPEAKERS {
        let caller = Caller::new(&gateway.plain(), binding, version);
        let made = sent(&agent);
        let asked = caller.call(Operation::Send, &open_the_door("echo open")).await.unwrap()["task"].clone();
        assert_eq!(state(&asked), "AUTH_REQUIRED", "{asked}");
        let task = id(&asked);
        let name = question(&gateway, &task).await;
        let shown = told(&gateway, &["show", &name]).await;
        assert_eq!(
            (&shown["state"], &shown["requester"], &shown["rule"]),
            (&json!("pending"), &json!("local"), &json!("doors"))
        );
        let target = &shown["document"]["target"];
        assert_eq!(
            (&target["agent"], &target["skill"], &target["task"]),
            (&json!("home"), &json!("door.open"), &json!(task))
        );
        assert_eq!(shown["document"]["params"]["message"]["parts"][0]["text"], "echo open");
        assert!(shown["sentence"].as_str().unwrap().contains("echo open"), "{shown}");
        assert_eq!(sent(&agent), made, "the agent hears nothing before");

        assert_eq!(told(&gateway, &["yes", &name]).await["state"], "approved");
        let done = until_state(&caller, &task, "COMPLETED").await;
        assert_eq!(sent(&agent), made + 1, "{done}");
        assert_eq!(told(&gateway, &["show", &name]).await["state"], "consumed");
        for again in [["yes", &name], ["no", &name]] {
            assert_eq!(refused(&gateway, &again).await, "MG-0461");
        }
    }
    let mut lamp = saying("echo hello");
    lamp["message"]["metadata"] = json!({ROUTING: {"skillId": "lights.set"}});
    let other = task(&Caller::rpc(&gateway.plain()), &lamp).await;
    assert_eq!(state(&other), "COMPLETED", "what no rule wants confirmed goes as ever");
    assert!(waiting(&gateway).await.is_empty());
}

#[tokio::test]
async fn a_no_and_a_silence_end_it() {
    let quick = "[[policy]]\nname = \"doors\"\nconfirm = 'skill.id == \"door.open\"'\nwait_seconds = 1\n";
    let (agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain());
    let denied = id(&task(&caller, &open_the_door("open")).await);
    told(&gateway, &["no", &question(&gateway, &denied).await]).await;
    let ended = until_state(&caller, &denied, "REJECTED").await;
    assert!(ended["status"]["message"]["parts"][0]["text"].as_str().unwrap().contains("said no"), "{ended}");

    reload(&gateway, &format!("{LISTEN}{}{quick}", agent.entry(""))).await;
    let silent = id(&task(&caller, &open_the_door("open")).await);
    until_state(&caller, &silent, "REJECTED").await;
    eventually("both are over", || async {
        let past = told(&gateway, &["list", "--past"]).await;
        let states = past["approvals"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap());
        states.eq(["expired", "denied"])
    })
    .await;
    assert_eq!(sent(&agent), 0);
}

#[tokio::test]
async fn only_the_operator_sees_and_answers_questions() {
    let (agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain());
    let asked = id(&task(&caller, &open_the_door("open")).await);
    let name = question(&gateway, &asked).await;
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let operator = format!("Bearer {}", secret.trim());
    for base in [gateway.plain(), gateway.admin()] {
        for (method, path) in [
            ("GET", "/api/v1/approvals".to_owned()),
            ("GET", format!("/api/v1/approvals/{name}")),
            ("POST", format!("/api/v1/approvals/{name}:approve")),
            ("POST", format!("/api/v1/approvals/{name}:deny")),
        ] {
            let answer = http(method, &base, &path, &[], None).await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "MG-0403"), "{method} {path}: {}", answer.text());
        }
        // A page elsewhere makes the operator's browser ask; reading decides nothing.
        let headers = [("authorization", operator.as_str()), ("origin", "https://evil.example")];
        let path = format!("/api/v1/approvals/{name}:approve");
        assert_eq!(http("POST", &base, &path, &headers, None).await.status, 403);
        for method in ["GET", "HEAD", "PUT"] {
            assert_eq!(http(method, &base, &path, &headers[..1], None).await.status, 405, "{method}");
        }
    }
    // Nor by going on with what is held.
    let caller = caller.with("a2a-extensions", "https://w3id.org/moongate/extensions/pause-resume/v1");
    let resumed = caller.call(Operation::Resume, &on(&asked)).await;
    assert!(resumed.is_err(), "{resumed:?}");
    assert_eq!(told(&gateway, &["show", &name]).await["state"], "pending");
    assert_eq!((sent(&agent), state(&caller.call(Operation::Get, &on(&asked)).await.unwrap())), (0, "AUTH_REQUIRED"));
    assert_eq!(refused(&gateway, &["yes", "0123"]).await, "MG-0460");
}

#[tokio::test]
async fn the_api_is_as_it_is_described() {
    let (_agent, gateway) = home(DOORS).await;
    let document = http("GET", &gateway.admin(), "/api/v1/openapi.json", &[], None).await.json();
    let caller = Caller::rpc(&gateway.plain());
    let mut names = Vec::new();
    for words in ["open", "open again", "open once more"] {
        let asked = id(&task(&caller, &open_the_door(words)).await);
        names.push(question(&gateway, &asked).await);
    }
    told(&gateway, &["yes", &names[2], "--remember", "60"]).await;
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let operator = format!("Bearer {}", secret.trim());
    for (method, path, at, status) in [
        ("get", "/approvals", "/approvals".to_owned(), 200),
        ("get", "/approvals/{id}", format!("/approvals/{}", names[0]), 200),
        ("get", "/approvals/{id}", "/approvals/nobody".to_owned(), 404),
        ("post", "/approvals/{id}:approve", format!("/approvals/{}:approve", names[0]), 200),
        ("post", "/approvals/{id}:deny", format!("/approvals/{}:deny", names[0]), 409),
        ("post", "/approvals/{id}:deny", format!("/approvals/{}:deny", names[1]), 200),
        ("get", "/approvals", "/approvals?state=past".to_owned(), 200),
        ("get", "/approvals", "/approvals?state=remembered".to_owned(), 200),
        ("get", "/approvals", "/approvals?state=forgotten".to_owned(), 400),
        ("post", "/approvals/{id}:forget", format!("/approvals/{}:forget", names[2]), 200),
        ("post", "/approvals/{id}:forget", format!("/approvals/{}:forget", names[2]), 404),
    ] {
        let path_at = format!("/api/v1{at}");
        let headers = [("authorization", operator.as_str())];
        let answer = http(&method.to_uppercase(), &gateway.admin(), &path_at, &headers, None).await;
        assert_eq!(answer.status, status, "{method} {at}: {}", answer.text());
        crate::registry::described(&document, path, method, &answer);
    }
}

#[tokio::test]
async fn other_rules_and_a_withdrawal_make_a_yes_void() {
    let (agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain());
    let withdrawn = id(&task(&caller, &open_the_door("open")).await);
    let name = question(&gateway, &withdrawn).await;
    assert_eq!(state(&caller.call(Operation::Cancel, &on(&withdrawn)).await.unwrap()), "CANCELED");
    assert_eq!(refused(&gateway, &["yes", &name]).await, "MG-0461", "nobody is asked any more");

    let asked = id(&task(&caller, &open_the_door("open")).await);
    let name = question(&gateway, &asked).await;
    let others = format!("{LISTEN}{}{DOORS}[[policy]]\ndeny = 'operation == \"list\"'\n", agent.entry(""));
    reload(&gateway, &others).await;
    assert_eq!(refused(&gateway, &["yes", &name]).await, "MG-0461", "its yes would count for nothing");
    let ended = until_state(&caller, &asked, "REJECTED").await;
    assert!(ended["status"]["message"]["parts"][0]["text"].as_str().unwrap().contains("are others by now"), "{ended}");
    assert_eq!((sent(&agent), told(&gateway, &["show", &name]).await["state"].clone()), (0, json!("cancelled")));
}

#[tokio::test]
async fn questions_wait_over_a_restart_and_are_carried_out_after_it() {
    let (agent, mut gateway) = home(&format!("[store]\nurl = \"sqlite:home.db\"\n{DOORS}")).await;
    let before = Caller::rpc(&gateway.plain());
    let (yes, no) =
        (id(&task(&before, &open_the_door("open")).await), id(&task(&before, &open_the_door("open")).await));
    let names = (question(&gateway, &yes).await, question(&gateway, &no).await);
    gateway.kill().await;
    gateway.restart().await;
    let caller = Caller::rpc(&gateway.plain());
    assert_eq!(waiting(&gateway).await.len(), 2);
    told(&gateway, &["yes", &names.0]).await;
    until_state(&caller, &yes, "COMPLETED").await;
    assert_eq!(state(&caller.call(Operation::Get, &on(&no)).await.unwrap()), "AUTH_REQUIRED");
    told(&gateway, &["no", &names.1]).await;
    until_state(&caller, &no, "REJECTED").await;
    assert_eq!(sent(&agent), 1);
    // The log has who decided, and the dispatch before it was done and after.
    let went = lines(&gateway, &["--operation", "approval.dispatch"], 2).await;
    let phases: Vec<&str> = went.iter().map(|line| line["phase"].as_str().unwrap()).collect();
    assert_eq!((phases, &went[1]["result"]), (vec!["intent", "outcome"], &json!("done")), "{went:?}");
    assert!(went[0]["approval"] == names.0.as_str() && went[0]["skill"] == "door.open", "{went:?}");
    for (operation, name) in [("approval.approved", &names.0), ("approval.denied", &names.1)] {
        let line = &lines(&gateway, &["--operation", operation], 1).await[0];
        assert!(
            line["approval"] == name.as_str() && line["skill"] == "door.open" && line["source"]["id"] != "-",
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_hundred_answers_at_once_send_it_once() {
    let (agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain());
    let asked = id(&task(&caller, &open_the_door("open")).await);
    let name = question(&gateway, &asked).await;
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let answers = (0..100).map(|_| {
        let (base, path) = (gateway.admin(), format!("/api/v1/approvals/{name}:approve"));
        let operator = format!("Bearer {}", secret.trim());
        tokio::spawn(async move { http("POST", &base, &path, &[("authorization", &operator)], None).await.status })
    });
    let mut taken = 0;
    for answer in answers.collect::<Vec<_>>() {
        match answer.await.unwrap() {
            200 => taken += 1,
            status => assert_eq!(status, 409),
        }
    }
    until_state(&caller, &asked, "COMPLETED").await;
    assert_eq!((taken, sent(&agent)), (1, 1));
}

#[tokio::test]
async fn nobody_is_asked_without_end_and_what_cannot_wait_is_refused() {
    let (_agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain());
    for _ in 0..3 {
        assert_eq!(state(&task(&caller, &at_once_the_door()).await), "AUTH_REQUIRED");
    }
    let refusal = caller.call(Operation::Send, &open_the_door("open")).await.unwrap_err();
    assert_eq!(refusal.gateway_code.as_deref(), Some("MG-0463"), "{refusal:?}");
    let mut numbers = open_the_door("open");
    numbers["message"]["parts"][0] = json!({"data": {"pin": 9_007_199_254_740_993_u64}});
    let one = waiting(&gateway).await[0]["id"].as_str().unwrap().to_owned();
    told(&gateway, &["no", &one]).await;
    let refusal = caller.call(Operation::Send, &numbers).await.unwrap_err();
    assert!(refusal.message.contains("not everybody reads alike"), "{refusal:?}");
    assert_eq!(waiting(&gateway).await.len(), 2);
}

fn at_once_the_door() -> Value {
    let mut params = at_once("open");
    params["message"]["metadata"] = json!({ROUTING: {"skillId": "door.open"}});
    params
}

#[tokio::test]
async fn two_people_are_two() {
    let two = "[[policy]]\nname = \"two\"\nconfirm = 'skill.id == \"door.open\"'\npeople = 2\n[oauth]\n";
    let (agent, gateway) = home(two).await;
    let caller = Caller::rpc(&gateway.plain());
    let asked = id(&task(&caller, &open_the_door("open")).await);
    let name = question(&gateway, &asked).await;
    let first = told(&gateway, &["yes", &name]).await;
    assert_eq!((&first["state"], &first["votes"][0]["means"]), (&json!("pending"), &json!("secret")));
    assert_eq!(refused(&gateway, &["yes", &name]).await, "MG-0462");
    assert_eq!(sent(&agent), 0);
}

/// Somebody with a passkey, signed in.
pub(crate) async fn person(gateway: &Gateway, name: &str, scopes: &[&str]) -> (Browser, Authenticator) {
    let invited = operate(gateway, "POST", "/users", Some(&json!({"name": name, "scopes": scopes}))).await.json();
    let url = invited["invitation"]["url"].as_str().unwrap_or_else(|| panic!("{invited}")).to_owned();
    let mut browser = Browser::by_name(&gateway.admin());
    browser.get(url.strip_prefix(&browser.base).unwrap()).await;
    let code = browser.field("code");
    let options = browser.options("/oauth/sign-up/passkey");
    let authenticator = Authenticator::es256("localhost", &browser.base);
    let made = authenticator.made_answer(options["challenge"].as_str().unwrap()).to_string();
    let fields = [("code", code.as_str()), ("answer", &made), ("label", "Phone")];
    assert_eq!(browser.post("/oauth/sign-up/passkey", &fields).await.status, 303);
    (browser, authenticator)
}

/// A home whose door is critical, with two questions, and the places of their pages.
pub(crate) async fn vault() -> (Agent, Gateway, Vec<(String, String)>) {
    let more = "[oauth]\nscopes = [\"a2a:*:*\"]\n\
                [[policy]]\nname = \"vault\"\nconfirm = 'skill.id == \"door.open\"'\nclass = \"critical\"\n";
    let (agent, gateway) = home(more).await;
    let caller = Caller::rpc(&gateway.plain());
    let mut asked = Vec::new();
    for words in ["echo <b>open</b> \u{202e}rood", "echo open the vault"] {
        let task = id(&task(&caller, &open_the_door(words)).await);
        let place = format!("/approvals/{}", question(&gateway, &task).await);
        asked.push((task, place));
    }
    (agent, gateway, asked)
}

pub(crate) fn challenge(browser: &Browser, place: &str) -> String {
    browser.options(place)["challenge"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn people_see_just_what_would_be_sent_if_they_are_those_who_answer() {
    let (_agent, gateway, asked) = vault().await;
    let place = &asked[0].1;
    let (mut eve, _) = person(&gateway, "eve", &["a2a:*:*"]).await;
    for path in ["/approvals", place.as_str()] {
        assert_eq!(eve.get(path).await.status, 403, "{path}: she holds no right to answer");
        let stranger = Browser::by_name(&gateway.admin()).get(path).await;
        assert!(stranger.status == 200 && stranger.text().contains("Sign in"), "{}", stranger.text());
    }
    let (mut alice, _) = person(&gateway, "alice", &["approve"]).await;
    alice.get("/approvals").await;
    assert!(alice.page.contains("open the vault") && alice.page.contains(place.as_str()), "{}", alice.page);
    alice.get(place).await;
    let shown = "&lt;b&gt;open&lt;/b&gt; \\u{202e}rood";
    assert!(alice.page.contains(shown) && !alice.page.contains("<b>open"), "{}", alice.page);
    assert!(alice.page.contains("Deny") && alice.page.contains("Critical"), "{}", alice.page);
}

#[tokio::test]
async fn what_is_critical_wants_a_passkey_over_just_this_question() {
    let (agent, gateway, asked) = vault().await;
    let place = &asked[0].1;
    assert_eq!(
        refused(&gateway, &["yes", place.rsplit_once('/').unwrap().1]).await,
        "MG-0462",
        "the secret is too little"
    );
    let (mut alice, phone) = person(&gateway, "alice", &["approve"]).await;
    let (_, other) = person(&gateway, "bob", &["approve"]).await;
    alice.get(&asked[1].1).await;
    let elsewhere = challenge(&alice, &asked[1].1);
    alice.get(place).await;
    let (form, wanted) = (alice.field("form"), challenge(&alice, place));
    assert_ne!(elsewhere, wanted, "what is signed for one question says nothing of another");
    let (own, stranger, wrong) = (phone.answer(&wanted), other.answer(&wanted), phone.answer(&elsewhere));
    let (own, stranger, wrong) = (own.to_string(), stranger.to_string(), wrong.to_string());
    for (what, form, decision, answer, status) in [
        ("no passkey", &*form, "approve", "", 400),
        ("another person's", &form, "approve", &stranger, 400),
        ("for another question", &form, "approve", &wrong, 400),
        ("without the form's token", "", "approve", &own, 403),
        ("neither yes nor no", &form, "perhaps", &own, 403),
    ] {
        let fields = [("form", form), ("decision", decision), ("answer", answer)];
        assert_eq!(alice.post(place, &fields).await.status, status, "{what}");
    }
    assert_eq!((agent.tasks_made(), waiting(&gateway).await.len()), (0, 2));

    let fields = [("form", form.as_str()), ("decision", "approve"), ("answer", own.as_str())];
    let answer = alice.post(place, &fields).await;
    assert_eq!((answer.status, answer.header("location")), (303, place.as_str()), "{}", answer.text());
    let caller = Caller::rpc(&gateway.plain());
    until_state(&caller, &asked[0].0, "COMPLETED").await;
    assert_eq!(alice.post(place, &fields).await.status, 409, "once");
    let shown = told(&gateway, &["show", place.rsplit_once('/').unwrap().1]).await;
    let vote = (&shown["votes"][0]["by"], &shown["votes"][0]["means"]);
    assert_eq!(vote, (&json!("home.example:alice"), &json!("passkey")));
    // The receipt is for whoever checks it later: the challenge is that of the document's hash.
    let client = shown["receipts"][0]["signed"]["client_data"].as_str().unwrap();
    let client: Value = serde_json::from_slice(&base64_url(client)).unwrap();
    assert_eq!(client["challenge"], json!(wanted));

    alice.get(&asked[1].1).await;
    let form = alice.field("form");
    assert_eq!(alice.post(&asked[1].1, &[("form", &form), ("decision", "deny")]).await.status, 303);
    until_state(&caller, &asked[1].0, "REJECTED").await;
    assert_eq!(agent.tasks_made(), 1);
}

fn base64_url(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[tokio::test]
async fn a_stream_tells_what_becomes_of_it() {
    let (_agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain());
    let mut events = caller.open(Operation::Stream, &open_the_door("echo open")).await.unwrap();
    let first = events.event().await;
    assert_eq!(state(&first["task"]), "AUTH_REQUIRED", "{first}");
    let asked = id(&first["task"]);
    let rest = caller.open(Operation::Subscribe, &on(&asked)).await.unwrap();
    told(&gateway, &["yes", &question(&gateway, &asked).await]).await;
    let rest = rest.rest().await.unwrap();
    let text = serde_json::to_string(&rest).unwrap();
    assert!(text.contains("People have said yes") && text.contains("TASK_STATE_COMPLETED"), "{text}");
}
