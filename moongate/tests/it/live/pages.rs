//! The console's pages of tasks, of one task as it goes on, and of the way that a request takes.

use super::*;
use crate::console::operator as browser;
use crate::console::people::somebody;
use crate::people::operate;

const OAUTH: &str = "[oauth]\nscopes = [\"a2a:*:*\"]\n";
const PAGES: [&str; 4] = ["/console/tasks", "/console/tasks/some", "/console/routes", "/console/events"];

/// The events that a page's script reads.
async fn events_of(gateway: &Gateway, browser: &Browser, path: &str, more: &[(&str, &str)]) -> Result<Events, Answer> {
    let cookies = browser.cookies();
    let mut headers = vec![("cookie", cookies.as_str())];
    headers.extend_from_slice(more);
    let mut events = Events::get(&gateway.admin(), path, &headers).await?;
    assert_eq!(events.next().await.unwrap().kind, "open");
    Ok(events)
}

#[tokio::test]
async fn tasks_are_listed_and_each_leads_to_what_became_of_it() {
    let (_agent, gateway) = home(DOORS).await;
    let caller = Caller::rpc(&gateway.plain());
    let lit = id(&task(&caller, &for_skill("lights.set", "echo <b>on</b>")).await);
    let asked = id(&task(&caller, &for_skill("blinds.open", "echo open")).await);
    let mut browser = browser(&gateway).await;
    let list = browser.get("/console/tasks").await;
    assert_eq!(list.status, 200);
    for words in ["2 tasks", "lights.set", "auth-required", "completed", &format!("/console/tasks/{lit}")] {
        assert!(list.text().contains(words), "{words} is missing in {}", list.text());
    }
    let some = browser.get("/console/tasks?state=completed&agent=home").await.text();
    assert!(some.contains(&lit) && !some.contains(&asked), "{some}");
    assert!(browser.get("/console/tasks?agent=nobody").await.text().contains("None."));
    assert_eq!(browser.get("/console/tasks?state=odd").await.status, 400);
    assert_eq!(browser.get("/console/tasks/nothing").await.status, 404);

    let waits = browser.get(&format!("/console/tasks/{asked}")).await;
    assert_eq!(waits.status, 200);
    let question = question(&gateway, &asked).await;
    for words in ["asked", "rule doors", &question, &format!("data-events=\"/console/events?task={asked}\"")] {
        assert!(waits.text().contains(words), "{words} is missing in {}", waits.text());
    }
    assert!(!waits.text().contains("decided"), "{}", waits.text());
    moongate(gateway.folder(), &["approve", "yes", &question]).await;
    let path = format!("/console/tasks/{asked}");
    let told = until(|| async {
        let page = operate_as(&browser, &path).await;
        ["decided", "by operator", "dispatched", "finished", " line "]
            .iter()
            .all(|words| page.contains(words))
            .then_some(page)
    });
    let told = told.await.unwrap();
    assert!(!told.contains("<b>"), "{told}");
}

/// A page by the same session, for those who look again and again.
async fn operate_as(browser: &Browser, path: &str) -> String {
    let cookies = browser.cookies();
    let base = browser.base.replace("localhost", "127.0.0.1");
    http("GET", &base, path, &[("cookie", &cookies)], None).await.text()
}

#[tokio::test]
async fn words_of_agents_are_shown_and_do_nothing() {
    let agent =
        Agent::start("odd", &[json!({"id": HOSTILE, "name": HOSTILE, "description": HOSTILE, "tags": ["odd"]})]).await;
    let rule = "[[policy]]\nname = \"<script>alert(1)</script>\"\nconfirm = 'skill.tags.exists(t, t == \"odd\")'\n";
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{rule}{}", agent.entry())).await;
    let answer = send(&gateway.plain(), "/agents/odd", &routed("<img src=x>", &json!({"skillId": HOSTILE}))).await;
    let made = answer.json()["result"]["task"]["id"].as_str().unwrap().to_owned();
    let mut browser = browser(&gateway).await;
    let pages = [browser.get("/console/tasks").await, browser.get(&format!("/console/tasks/{made}")).await];
    let form = [("text", "<img src=x>"), ("agent", "odd"), ("skill", HOSTILE)];
    browser.get("/console/routes").await;
    let drawn = browser.submit("/console/routes", &form).await;
    for page in pages.iter().chain([&drawn]) {
        let text = page.text();
        assert_eq!(page.status, 200, "{text}");
        assert!(!text.contains("<script>alert") && !text.contains("<img"), "{text}");
        // Whoever wrote into a form finds it there again as it was.
        let text = text.split("</form>").last().unwrap();
        assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'), "{text:?}");
    }
    assert!(pages[1].text().contains("&lt;script&gt;alert(1)"), "{}", pages[1].text());

    let (_agent, gateway) = home("").await;
    let caller = Caller::rpc(&gateway.plain());
    let made = id(&task(&caller, &for_skill("lights.set", &format!("ask <i>{HOSTILE}"))).await);
    let text = super::pages::browser(&gateway).await.get(&format!("/console/tasks/{made}")).await.text();
    assert!(text.contains("which &lt;i&gt;x\\u{1b}[2J") && !text.contains('\u{202e}'), "{text}");
}

#[tokio::test]
async fn a_page_is_told_when_its_task_goes_on() {
    let (_agent, gateway) = home(DOORS).await;
    let asked = id(&task(&Caller::rpc(&gateway.plain()), &for_skill("blinds.open", "echo open")).await);
    let browser = browser(&gateway).await;
    let mut events = events_of(&gateway, &browser, &format!("/console/events?task={asked}"), &[]).await.unwrap();
    let question = question(&gateway, &asked).await;
    assert!(moongate(gateway.folder(), &["approve", "yes", &question]).await.status.success());
    let (mut states, mut decided) = (Vec::new(), false);
    while states.last().is_none_or(|state| state != "completed") {
        let told = next(&mut events).await;
        match told["kind"].as_str().unwrap() {
            "status" => states.push(told["result"].as_str().unwrap().to_owned()),
            "approval" => decided = true,
            other => panic!("{other}: {told}"),
        }
        assert_eq!(told["task"], json!(asked));
    }
    assert!(decided && states[0] == "submitted", "{states:?}");
}

#[tokio::test]
async fn pages_and_their_events_are_for_sessions_that_may_see() {
    let (_agent, gateway) = home(OAUTH).await;
    for path in PAGES {
        let elsewhere = http("GET", &gateway.plain(), path, &[], None).await;
        assert_eq!(elsewhere.status, 404, "{path}");
        let stranger = http("GET", &gateway.admin(), path, &[], None).await;
        let secret = operator(&gateway);
        let by_secret = http("GET", &gateway.admin(), path, &[("authorization", &secret)], None).await;
        let expected = if path == "/console/events" { 401 } else { 303 };
        assert_eq!((stranger.status, by_secret.status), (expected, expected), "{path}");
    }
    let answers = somebody(&gateway, "answers", &["approve"]).await;
    let glances = somebody(&gateway, "glances", &["admin:console"]).await;
    let looks = somebody(&gateway, "looks", &["admin:console", "audit:read"]).await;
    for without in [&answers, &glances] {
        let refused = events_of(&gateway, without, "/console/events", &[]).await.err().unwrap();
        assert_eq!((refused.status, refused.code().as_str()), (403, "MG-0407"), "{}", refused.text());
    }
    let made = id(&task(&Caller::rpc(&gateway.plain()), &for_skill("lights.set", "echo on")).await);
    for (who, sees) in [(&glances, false), (&looks, true)] {
        let page = operate_as(who, &format!("/console/tasks/{made}")).await;
        assert_eq!(page.contains("What became of it"), sees, "lines of the log are for those who may read it: {page}");
    }
    for path in ["/console/tasks", "/console/routes"] {
        let (refused, shown) = (operate_as(&answers, path).await, operate_as(&looks, path).await);
        assert!(refused.contains("That did not work") && shown.contains("Sign out"), "{path}: {refused}");
    }
    for site in ["cross-site", "same-site", "none"] {
        let refused = events_of(&gateway, &looks, "/console/events", &[("sec-fetch-site", site)]).await.err().unwrap();
        assert_eq!(refused.status, 403, "{site}");
    }
    let mut events =
        events_of(&gateway, &looks, "/console/events", &[("sec-fetch-site", "same-origin")]).await.unwrap();
    let removed = operate(&gateway, "DELETE", "/users/looks", None).await;
    assert_eq!(removed.status, 200, "{}", removed.text());
    assert_eq!(next(&mut events).await["kind"], "end", "a session that is over sees no more");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn the_way_of_a_request_is_drawn_stage_by_stage() {
    let rules = format!("[[policy]]\nname = \"dark\"\ndeny = 'skill.id == \"lights.set\"'\n{DOORS}");
    let (agent, gateway) = home(&rules).await;
    let mut browser = browser(&gateway).await;
    let form = browser.get("/console/routes").await;
    assert!(form.status == 200 && !form.text().contains("class=\"pipeline\""), "{}", form.text());
    for (skill, marks, words) in [
        ("lights.set", "+++x....", "MG-0403"),
        ("blinds.open", "++++?...", "a person has to say yes first: doors"),
        ("nothing", "++x.....", "MG-0302"),
    ] {
        browser.get("/console/routes").await;
        let drawn = browser.submit("/console/routes", &[("text", "private words"), ("skill", skill)]).await.text();
        assert!(drawn.contains(words) && drawn.contains("private words"), "{skill}: {drawn}");
        assert_eq!(self::marks(&drawn), marks, "{skill}: {drawn}");
    }
    browser.get("/console/routes").await;
    let wrong = browser.post("/console/routes", &[("text", "x"), ("form", "guessed")]).await;
    assert_eq!((wrong.status, sent(&agent)), (403, 0));
    let lines = crate::audit::lines(&gateway, &["--operation", "console.routes"], 4).await;
    assert!(lines.iter().all(|line| !line.to_string().contains("private")), "{lines:?}");

    let (_agent, gateway) = home("").await;
    let mut browser = super::pages::browser(&gateway).await;
    browser.get("/console/routes").await;
    let drawn = browser.submit("/console/routes", &[("text", "x"), ("agent", "home"), ("skill", "lights.set")]).await;
    assert_eq!(marks(&drawn.text()), "++++++++", "{}", drawn.text());
}

/// The stages of a drawn pipeline, a letter each.
fn marks(page: &str) -> String {
    let stages = page.split("class=\"pipeline\"").nth(1).unwrap_or_default().split("</ol>").next().unwrap();
    let mark = |stage: &str| match stage.split('"').next().unwrap() {
        "good" => '+',
        "bad" => 'x',
        "warn" => '?',
        _ => '.',
    };
    stages.split("<li class=\"").skip(1).map(mark).collect()
}

fn sent(agent: &Scripted) -> usize {
    agent.tasks_made()
}
