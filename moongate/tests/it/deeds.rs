//! Whose deeds the audit log tells of: those of whoever was made sure of, and what a request says of itself is a claim.

use moongate_testkit::authenticator::Authenticator;
use serde_json::{Value, json};

use crate::approvals::{challenge, person, vault};
use crate::audit::lines;
use crate::console::{enter, link};
use crate::people::{PASSWORD, alice, asks, device, operate, signed_in};
use crate::stage::{Gateway, MOONGATE};
use crate::support::{Browser, form, until};

const ALICE: &str = "home.example:alice";
const LISTEN: &str = "domain = \"home.example\"\n[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n\
                      [oauth]\nscopes = [\"a2a:*:*\"]\n";

/// A gateway at which people sign in.
async fn running() -> Gateway {
    Gateway::start(MOONGATE, LISTEN).await
}

/// The lines of an operation that have ended, once there are so many.
async fn ended(gateway: &Gateway, operation: &str, count: usize) -> Vec<Value> {
    let mut all = lines(gateway, &["--operation", operation], count).await;
    all.retain(|line| line["result"] != "intended");
    all
}

fn source(line: &Value) -> &str {
    line["source"]["id"].as_str().unwrap()
}

fn detail(line: &Value) -> &str {
    line["detail"].as_str().unwrap_or_default()
}

/// Signs in by passkey, with more fields in the form than a page has.
async fn by_passkey(gateway: &Gateway, phone: &Authenticator, more: &[(&str, &str)]) -> Browser {
    let mut browser = Browser::by_name(&gateway.admin());
    browser.get("/oauth/sign-in").await;
    let wanted = challenge(&browser, "/oauth/sign-in/passkey");
    let answer = phone.answer(&wanted).to_string();
    let sent = browser.post("/oauth/sign-in/passkey", &[&[("answer", answer.as_str())], more].concat()).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    browser
}

#[tokio::test]
async fn a_person_is_named_by_the_session_and_never_by_a_field_of_the_form() {
    let gateway = running().await;
    let (_, phone) = person(&gateway, "alice", &["approve", "a2a:*:*"]).await;
    for name in ["bob", "operator"] {
        let mut browser = by_passkey(&gateway, &phone, &[("name", name), ("client_id", name)]).await;
        browser.get("/oauth/account").await;
        let making = challenge(&browser, "/oauth/account/passkey");
        let made = Authenticator::es256("localhost", &browser.base).made_answer(&making).to_string();
        let fields = [("answer", made.as_str()), ("label", "Second"), ("name", name)];
        assert_eq!(browser.submit("/oauth/account/passkey", &fields).await.status, 303);
        assert_eq!(browser.submit("/oauth/sign-out", &[("name", name)]).await.status, 303);
    }
    device(&gateway, "A panel", &["a2a:*:*"]).await;
    let (_, code) = asks(&gateway, "a2a:*:send").await;
    let mut browser = by_passkey(&gateway, &phone, &[]).await;
    browser.get("/oauth/device").await;
    let fields = [("user_code", code.as_str()), ("answer", "allow"), ("name", "bob")];
    assert_eq!(browser.submit("/oauth/device", &fields).await.status, 200);
    for (operation, count) in [
        ("oauth.sign-up.passkey", 1),
        ("oauth.sign-in.passkey", 3),
        ("oauth.account.passkey", 2),
        ("oauth.sign-out", 2),
        ("oauth.device", 1),
        ("oauth.account.read", 1),
    ] {
        let found = lines(&gateway, &["--operation", operation, "--source", ALICE, "--result", "done"], count).await;
        assert_eq!(found[0]["source"]["domain"], "home.example", "{found:?}");
        let every = ended(&gateway, operation, count).await;
        assert!(every.iter().all(|line| source(line) == ALICE && !detail(line).contains("claimed")), "{every:?}");
    }
}

#[tokio::test]
async fn whoever_answers_a_question_has_a_line_for_each_answer_and_each_look() {
    let (_agent, gateway, asked) = vault().await;
    let (mut one, phone) = person(&gateway, "alice", &["approve"]).await;
    let (mut other, _) = person(&gateway, "bob", &["approve"]).await;
    let (first, second) = (asked[0].1.as_str(), asked[1].1.as_str());
    // Both look at the same place, at one address, within the minute.
    for browser in [&mut one, &mut other] {
        browser.get("/approvals").await;
        browser.get(first).await;
    }
    let signed = phone.answer(&challenge(&one, first)).to_string();
    let yes = [("decision", "approve"), ("answer", signed.as_str()), ("name", "bob")];
    assert_eq!(one.submit(first, &yes).await.status, 303);
    other.get(second).await;
    assert_eq!(other.submit(second, &[("decision", "deny")]).await.status, 303);
    // Too late.
    assert_eq!(one.submit(second, &[("decision", "deny")]).await.status, 409);
    for (name, target, result) in
        [(ALICE, first, "done"), ("home.example:bob", second, "done"), (ALICE, second, "failed")]
    {
        let found =
            lines(&gateway, &["--operation", "approvals.answer", "--source", name, "--result", result], 1).await;
        assert_eq!((found.len(), &found[0]["target"]), (1, &json!(target)), "{found:?}");
    }
    let late = lines(&gateway, &["--code", "MG-0461"], 1).await;
    assert_eq!((source(&late[0]), &late[0]["operation"]), (ALICE, &json!("approvals.answer")), "{late:?}");
    for name in [ALICE, "home.example:bob"] {
        let looks = lines(&gateway, &["--operation", "approvals.read", "--source", name], 2).await;
        let places: Vec<&str> = looks.iter().map(|line| line["target"].as_str().unwrap()).collect();
        assert!(places.contains(&"/approvals") && places.contains(&first), "{name}: {looks:?}");
    }
    let all = ended(&gateway, "approvals.read", 4).await;
    assert!(all.iter().all(|line| source(line) != "local" && source(line) != "-"), "{all:?}");
}

#[tokio::test]
async fn what_nobody_has_proved_is_a_claim() {
    let gateway = running().await;
    alice(&gateway, &[]).await;
    let mut browser = Browser::at(&gateway.admin());
    let long = "alice status=200 ".repeat(50);
    for name in ["alice", long.as_str()] {
        browser.post("/oauth/sign-in", &[("name", name), ("password", "wrong horse battery")]).await;
    }
    browser.post("/oauth/sign-in", &[("name", " Alice"), ("password", PASSWORD)]).await;
    let found = ended(&gateway, "oauth.sign-in", 3).await;
    let told: Vec<(&str, &str)> = found.iter().map(|line| (source(line), line["result"].as_str().unwrap())).collect();
    assert_eq!(told, [("-", "failed"), ("-", "failed"), (ALICE, "done")]);
    assert_eq!(detail(&found[0]), "status=403 claimed=alice");
    assert!(detail(&found[1]).starts_with("status=403 claimed=alice%20status%3D200%20alice%20"), "{}", found[1]);
    assert!(detail(&found[1]).len() < 250 && !detail(&found[2]).contains("claimed"), "{found:?}");
    assert_eq!(found[0]["code"], "MG-0430");

    // A page on another port of this machine is sent the same cookies: what it sends is not hers.
    let mut hers = signed_in(&gateway).await;
    hers.get("/oauth/account").await;
    let body = form(&[("form", "guessed"), ("label", "x")]);
    hers.send("POST", "/oauth/account/passkey", &[("origin", "http://127.0.0.1:1")], &body).await;
    let refused = ended(&gateway, "oauth.account.passkey", 1).await;
    assert_eq!((source(&refused[0]), detail(&refused[0])), ("-", "status=403 claimed=home.example:alice"));
}

#[tokio::test]
async fn a_program_is_the_source_once_it_has_proved_which_it_is() {
    let gateway = running().await;
    let client =
        json!({"id": "watch", "proof": "client_secret", "grants": ["client_credentials"], "scopes": ["a2a:*:*"]});
    let made = operate(&gateway, "POST", "/clients", Some(&client)).await;
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    device(&gateway, "A panel", &["a2a:*:*"]).await;
    let mut program = Browser::at(&gateway.plain());
    for secret in ["wrong", secret.as_str()] {
        let fields = [("grant_type", "client_credentials"), ("client_id", "watch"), ("client_secret", secret)];
        program.post("/oauth/token", &fields).await;
    }
    program.post("/oauth/device_authorization", &[("client_id", "panel"), ("name", "alice")]).await;
    let found = ended(&gateway, "oauth.token", 2).await;
    assert_eq!((source(&found[0]), source(&found[1])), ("-", "home.example/watch"), "{found:?}");
    let said = "grant_type=client_credentials error=invalid_client status=";
    assert!(detail(&found[0]).starts_with(said) && detail(&found[0]).ends_with("claimed=watch"), "{}", found[0]);
    assert!(!detail(&found[1]).contains("claimed"), "{}", found[1]);
    let begun = ended(&gateway, "oauth.device_authorization", 1).await;
    assert_eq!((source(&begun[0]), detail(&begun[0])), ("-", "status=200 claimed=panel"), "it has nothing to prove");
}

#[tokio::test]
async fn what_the_operator_cannot_do_is_found_by_its_code() {
    let (_agent, gateway, _) = vault().await;
    assert_eq!(operate(&gateway, "POST", "/approvals/nothing:deny", None).await.status, 404);
    let found = lines(&gateway, &["--code", "MG-0460"], 1).await;
    assert_eq!((source(&found[0]), &found[0]["operation"]), ("operator", &json!("approvals.deny")), "{found:?}");
}

#[tokio::test]
async fn strangers_who_fail_have_so_many_lines_and_then_a_number() {
    let gateway = running().await;
    let paths = ["/oauth/token", "/oauth/device_authorization", "/oauth/revoke", "/approvals/x", "/oauth/sign-out"];
    let mut sent = 0;
    for round in 0..120 {
        for path in paths {
            let mut browser = Browser::at(&gateway.plain());
            browser.post(path, &[("client_id", &format!("stranger{round}")), ("grant_type", "password")]).await;
            sent += 1;
        }
    }
    let counted = until(|| async {
        let all = lines(&gateway, &["--limit", "10000"], 1).await;
        let theirs: Vec<&Value> = all.iter().filter(|line| source(line) == "-").collect();
        let more = all.iter().filter_map(|line| detail(line).strip_suffix(" more were refused"));
        let more: usize = more.map(|more| more.parse::<usize>().unwrap()).sum();
        let small = theirs.iter().all(|line| line.to_string().len() < 600);
        (theirs.len() + more == sent).then_some((more, small))
    });
    let (more, small) = counted.await.unwrap_or_else(|| panic!("not all {sent} are told of"));
    assert!(more > 0 && small, "{more} of {sent} had no line of their own");
}

#[tokio::test]
async fn a_page_on_another_port_of_this_machine_gets_no_yes_by_passing_a_question_on() {
    let (agent, gateway, asked) = vault().await;
    let (mut browser, phone) = person(&gateway, "alice", &["approve"]).await;
    let place = asked[0].1.as_str();
    browser.get(place).await;
    let wanted = challenge(&browser, place);
    let elsewhere = "http://localhost:9999";
    let mut relayed = phone;
    relayed.says.origin = elsewhere.to_owned();
    let answer = relayed.answer(&wanted).to_string();
    let fields = [("form", browser.field("form")), ("decision", "approve".to_owned()), ("answer", answer)];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // The one between writes its own place into the headers, or the gateway's.
    for (host, origin) in [("localhost:9999", elsewhere), (browser.base.clone().trim_start_matches("http://"), "")] {
        let own = browser.base.clone();
        let origin = if origin.is_empty() { own.as_str() } else { origin };
        let headers = [("host", host), ("origin", origin), ("sec-fetch-site", "same-origin")];
        let answer = browser.send("POST", place, &headers, &form(&fields)).await;
        assert_eq!(answer.status, 400, "{host}: {}", answer.text());
    }
    assert_eq!(agent.tasks_made(), 0);
    relayed.says.origin = browser.base.clone();
    browser.get(place).await;
    let good = relayed.answer(&wanted).to_string();
    assert_eq!(browser.submit(place, &[("decision", "approve"), ("answer", &good)]).await.status, 303);
}

#[tokio::test]
async fn whoever_has_only_a_password_says_yes_to_nothing_critical_by_way_of_a_new_passkey() {
    let (agent, gateway, asked) = vault().await;
    alice(&gateway, &["approve"]).await;
    let place = asked[0].1.as_str();
    let mut browser = Browser::by_name(&gateway.admin());
    browser.post("/oauth/sign-in", &[("name", "alice"), ("password", PASSWORD)]).await;
    browser.get("/oauth/account").await;
    let phone = Authenticator::es256("localhost", &browser.base);
    let made = phone.made_answer(&challenge(&browser, "/oauth/account/passkey")).to_string();
    assert_eq!(browser.submit("/oauth/account/passkey", &[("answer", &made), ("label", "Thief")]).await.status, 303);
    browser.get("/oauth/account").await;
    assert!(browser.page.contains("not yet for what is critical"), "{}", browser.page);
    for mut browser in [browser, by_passkey(&gateway, &phone, &[]).await] {
        browser.get(place).await;
        let answer = phone.answer(&challenge(&browser, place)).to_string();
        let refused = browser.submit(place, &[("decision", "approve"), ("answer", &answer)]).await;
        assert!(refused.status == 400 && refused.text().contains("in 15 min"), "{}", refused.text());
    }
    assert_eq!(agent.tasks_made(), 0);
    let found = lines(&gateway, &["--code", "MG-0437", "--source", ALICE], 2).await;
    assert!(found.iter().all(|line| line["operation"] == "approvals.answer"), "{found:?}");
}

#[tokio::test]
async fn the_console_tells_of_the_operator_and_of_people_alike_and_of_no_form_that_is_not_theirs() {
    let gateway = running().await;
    let mut operator = Browser::by_name(&gateway.admin());
    operator.post("/console/sign-in", &[("link", "guessed")]).await;
    let link = link(&gateway).await;
    enter(&mut operator, &link).await;
    operator.get("/console/").await;
    // A page on another port of this machine is sent the same cookie.
    let own = operator.base.clone();
    let strange = [("origin", "http://localhost:9999"), ("sec-fetch-site", "same-site")];
    let body = form(&[("form", &operator.field("form"))]);
    assert_eq!(operator.send("POST", "/console/sign-out", &strange, &body).await.status, 403);
    assert_eq!(operator.send("POST", "/console/sign-out", &[("origin", &own)], "form=guessed").await.status, 403);
    assert_eq!(operator.submit("/console/sign-out", &[]).await.status, 303);
    let told = |lines: &[Value]| -> Vec<(String, String)> {
        lines.iter().map(|line| (source(line).to_owned(), line["result"].as_str().unwrap().to_owned())).collect()
    };
    let pair = |source: &str, result: &str| (source.to_owned(), result.to_owned());
    let came = ended(&gateway, "console.sign-in", 2).await;
    assert_eq!(told(&came), [pair("-", "failed"), pair("operator", "done")], "{came:?}");
    let went = ended(&gateway, "console.sign-out", 4).await;
    assert_eq!(told(&went), [pair("-", "failed"), pair("-", "failed"), pair("operator", "done")], "{went:?}");
    let (mut browser, _) = person(&gateway, "alice", &["admin:console"]).await;
    browser.get("/console/").await;
    lines(&gateway, &["--operation", "console.read", "--source", ALICE], 1).await;
}
