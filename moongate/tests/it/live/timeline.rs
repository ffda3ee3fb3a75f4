//! What became of one task: from the store, the desk and the log, in order.

use super::*;
use crate::people::operate;

/// The timeline once these kinds of steps are in it, in any order: lines of the log are signed within a second.
async fn timeline(gateway: &Gateway, task: &str, expected: &[&str]) -> Value {
    let found = until(|| async {
        let told = operate(gateway, "GET", &format!("/tasks/{task}/timeline"), None).await;
        assert_eq!(told.status, 200, "{}", told.text());
        let told = told.json();
        let kinds = kinds(&told);
        expected.iter().all(|kind| kinds.contains(&(*kind).to_owned())).then_some(told)
    });
    match found.await {
        Some(told) => told,
        None => panic!("{}", operate(gateway, "GET", &format!("/tasks/{task}/timeline"), None).await.text()),
    }
}

fn kinds(told: &Value) -> Vec<String> {
    told["steps"].as_array().unwrap().iter().map(|step| step["what"].as_str().unwrap().to_owned()).collect()
}

/// The first step of a kind.
fn step<'t>(told: &'t Value, what: &str) -> &'t Value {
    told["steps"].as_array().unwrap().iter().find(|step| step["what"] == what).unwrap_or_else(|| panic!("{told}"))
}

#[tokio::test]
async fn a_request_that_people_decided_on_is_told_from_its_coming_to_its_end() {
    let (_agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain());
    let asked = id(&task(&caller, &for_skill("blinds.open", "echo open")).await);
    task(&caller, &for_skill("blinds.open", "echo another")).await;
    let waiting = timeline(&gateway, &asked, &["judged", "asked"]).await;
    assert_eq!(kinds(&waiting).iter().filter(|what| *what == "asked").count(), 1, "nobody else's: {waiting}");
    assert_eq!((&step(&waiting, "judged")["who"], &step(&waiting, "asked")["who"]), (&Value::Null, &json!("local")));
    assert_eq!((&waiting["task"]["state"], &waiting["task"]["over"]), (&json!("auth-required"), &json!(false)));
    assert_eq!(step(&waiting, "judged")["result"], "asked");
    let question = question(&gateway, &asked).await;
    let yes = moongate(gateway.folder(), &["approve", "yes", &question]).await;
    assert!(yes.status.success(), "{}", err(&yes));
    let told = until(|| async {
        let told = timeline(&gateway, &asked, &["received", "finished"]).await;
        step(&told, "dispatched")["line"].is_array().then_some(told)
    });
    let told = told.await.unwrap();
    let order: Vec<String> = kinds(&told);
    let at = |what: &str| order.iter().position(|one| one == what).unwrap_or_else(|| panic!("{what}: {told}"));
    let stages = ["received", "judged", "asked", "decided", "dispatched", "finished"].map(at);
    assert!(stages.is_sorted(), "{order:?}");
    let moments: Vec<&str> =
        told["steps"].as_array().unwrap().iter().map(|step| step["at"].as_str().unwrap()).collect();
    assert!(moments.is_sorted(), "{moments:?}");

    let came = step(&told, "received");
    assert_eq!((&came["who"], &came["from"]), (&json!("local"), &json!("log")));
    assert!(came["words"].as_str().unwrap().contains("127.0.0.1") && came["request"].is_string(), "{came}");
    let asked = step(&told, "asked");
    assert_eq!((&asked["from"], &asked["approval"]), (&json!("desk"), &json!(question)));
    assert!(asked["words"].as_str().unwrap().contains("rule doors"), "{asked}");
    let decided = step(&told, "decided");
    assert_eq!((&decided["who"], &decided["words"]), (&json!("operator"), &json!("yes, by secret")));
    for proven in [came, decided, step(&told, "dispatched")] {
        let (month, number) = (proven["line"][0].as_str().unwrap(), proven["line"][1].as_u64().unwrap().to_string());
        let proof = moongate(gateway.folder(), &["audit", "prove", "--shard", month, &number]).await;
        assert!(proof.status.success(), "{}", err(&proof));
    }
    assert_eq!((&told["log"], &told["task"]["over"]), (&json!("whole"), &json!(true)));
    assert!(order.iter().filter(|what| *what == "decided").count() == 1, "the desk's and the log's are one: {told}");
}

#[tokio::test]
async fn a_no_ends_it() {
    let (_agent, gateway) = home(DOORS).await;
    let asked = id(&task(&Caller::rpc(&gateway.plain()), &for_skill("blinds.open", "echo open")).await);
    let no = moongate(gateway.folder(), &["approve", "no", &question(&gateway, &asked).await]).await;
    assert!(no.status.success(), "{}", err(&no));
    let told = timeline(&gateway, &asked, &["received", "decided", "finished"]).await;
    assert_eq!(
        (&step(&told, "decided")["result"], &step(&told, "decided")["who"]),
        (&json!("denied"), &json!("operator"))
    );
    assert_eq!(step(&told, "finished")["result"], "rejected");
    assert!(!kinds(&told).contains(&"dispatched".to_owned()), "{told}");
}

#[tokio::test]
async fn what_needs_nobody_goes_straight_on_and_looking_leaves_no_step() {
    let (_agent, gateway) = home("").await;
    let caller = Caller::rpc(&gateway.plain());
    let made = id(&task(&caller, &for_skill("lights.set", "echo on")).await);
    caller.call(Operation::Get, &on(&made)).await.unwrap();
    assert_eq!(operate(&gateway, "GET", &format!("/tasks/{made}"), None).await.status, 200);
    let other = id(&task(&caller, &for_skill("lights.set", "echo off")).await);
    timeline(&gateway, &other, &["received"]).await;
    let told = timeline(&gateway, &made, &["received", "answered"]).await;
    assert_eq!(kinds(&told).iter().filter(|what| *what == "received").count(), 1, "neither a look nor another: {told}");
    assert!(!kinds(&told).contains(&"operated".to_owned()), "the operator only looked: {told}");
    let went = step(&told, "dispatched");
    assert!(went["words"].as_str().unwrap().starts_with("it went to home, by "), "{went}");
    assert_eq!(
        (&step(&told, "judged")["result"], &step(&told, "answered")["result"]),
        (&json!("allowed"), &json!("done"))
    );
    assert_eq!(step(&told, "finished")["from"], "store");
}

#[tokio::test]
async fn what_the_operator_does_to_a_task_is_a_step() {
    let (_agent, gateway) = home(DOORS).await;
    let asked = id(&task(&Caller::rpc(&gateway.plain()), &for_skill("blinds.open", "echo open")).await);
    let cancelled = operate(&gateway, "POST", &format!("/tasks/{asked}:cancel"), None).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    let told = timeline(&gateway, &asked, &["operated", "finished", "decided"]).await;
    let done = step(&told, "operated");
    assert_eq!(
        (&done["words"], &done["who"], &done["result"]),
        (&json!("tasks.cancel"), &json!("operator"), &json!("done"))
    );
    assert_eq!(kinds(&told).iter().filter(|what| *what == "operated").count(), 1, "intent and outcome are one: {told}");
    assert_eq!(step(&told, "decided")["result"], "cancelled");
}

#[tokio::test]
async fn without_a_log_the_store_tells_what_it_knows() {
    let (_agent, gateway) = home("[audit]\non = false\n").await;
    let made = id(&task(&Caller::rpc(&gateway.plain()), &for_skill("lights.set", "echo on")).await);
    let told = timeline(&gateway, &made, &["received", "finished"]).await;
    assert_eq!((&told["log"], &step(&told, "received")["from"]), (&json!("off"), &json!("store")));
    assert_eq!(step(&told, "received")["who"], "local");
}

#[tokio::test]
async fn what_people_decided_is_told_without_a_log_too() {
    let (_agent, gateway) = home(&format!("[audit]\non = false\n{DOORS}")).await;
    let asked = id(&task(&Caller::rpc(&gateway.plain()), &for_skill("blinds.open", "echo open")).await);
    let yes = moongate(gateway.folder(), &["approve", "yes", &question(&gateway, &asked).await]).await;
    assert!(yes.status.success(), "{}", err(&yes));
    let told = timeline(&gateway, &asked, &["asked", "decided", "dispatched", "finished"]).await;
    assert_eq!((kinds(&told)[0].as_str(), &step(&told, "decided")["line"]), ("received", &Value::Null));
}

#[tokio::test]
async fn a_timeline_is_for_the_operator_and_only_of_what_there_is() {
    let (_agent, gateway) = home("").await;
    let made = id(&task(&Caller::rpc(&gateway.plain()), &for_skill("lights.set", "echo on")).await);
    let path = format!("/api/v1/tasks/{made}/timeline");
    for base in [gateway.plain(), gateway.admin()] {
        let local = http("GET", &base, &path, &[], None).await;
        assert_eq!((local.status, local.code().as_str()), (403, "MG-0403"), "{}", local.text());
        let stranger = http("GET", &base, &path, &[("authorization", "Bearer guessed")], None).await;
        assert_eq!((stranger.status, stranger.code().as_str()), (401, "MG-0401"), "{}", stranger.text());
    }
    let nothing = operate(&gateway, "GET", "/tasks/nothing/timeline", None).await;
    assert_eq!((nothing.status, nothing.code().as_str()), (404, "MG-0601"), "{}", nothing.text());
    let posted = operate(&gateway, "POST", &format!("/tasks/{made}/timeline"), None).await;
    assert_eq!((posted.status, posted.code().as_str()), (405, "MG-0214"), "{}", posted.text());
}

#[tokio::test]
async fn the_command_prints_a_line_for_each_step_and_nothing_that_moves_a_cursor() {
    let (_agent, gateway) = home("").await;
    let made = id(&task(&Caller::rpc(&gateway.plain()), &for_skill("lights.set", &format!("ask {HOSTILE}"))).await);
    timeline(&gateway, &made, &["received", "answered"]).await;
    let text = moongate(gateway.folder(), &["tasks", "show", &made, "--timeline"]).await;
    let json = moongate(gateway.folder(), &["--json", "tasks", "show", &made, "--timeline"]).await;
    let (shown, told) = (out(&text), out(&json));
    for shown in [&shown, &told] {
        let bad = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
        assert!(!shown.contains(bad), "{shown:?}");
    }
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(shown.lines().count(), told["steps"].as_array().unwrap().len(), "{shown}");
    let first = shown.lines().next().unwrap();
    assert!(first.contains("  received    local: send by the listener plain") && first.contains("(log 2"), "{shown}");
    assert!(err(&text).contains(&format!("task {made} is input-required")), "{}", err(&text));
    let found = moongate(gateway.folder(), &["--json", "audit", "search", "--task", &made]).await;
    assert_eq!(out(&found).lines().count(), 1, "{}", out(&found));
    let missing = moongate(gateway.folder(), &["tasks", "show", "nothing", "--timeline"]).await;
    assert!(missing.status.code() == Some(2) && err(&missing).contains("MG-0601"), "{}", err(&missing));
}
