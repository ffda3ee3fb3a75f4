//! The console: who gets in, by what, and what everybody else sees of it.

mod configuration;
mod log;
pub(crate) mod people;

use moongate_testkit::agent::{Agent, Plan};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::ChildStderr;

use crate::audit::lines;
use crate::people::operate;
use crate::registry::described;
use crate::support::*;

const CONFIG: &str =
    "domain = \"home.example\"\n[listen]\nmain = \"{main}\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n";
const PAGES: [&str; 8] = [
    "/console",
    "/console/",
    "/console/agents",
    "/console/approvals",
    "/console/audit",
    "/console/audit/verify",
    "/console/configuration",
    "/console/passkey",
];
/// What the console asks of the API and callers without the secret do not see.
const VIEWS: [&str; 5] =
    ["/api/v1/overview", "/api/v1/configuration", "/api/v1/audit", "/api/v1/audit/0", "/api/v1/audit:verify"];

async fn running(more: &str) -> Gateway {
    Gateway::start(MOONGATE, &format!("{CONFIG}{more}")).await
}

/// A link from whoever holds the operator's secret, from `/console` on.
pub(crate) async fn link(gateway: &Gateway) -> String {
    let given = operate(gateway, "POST", "/console:link", None).await.json();
    from_console(given["url"].as_str().unwrap())
}

fn from_console(url: &str) -> String {
    format!("/console{}", url.trim_end().split_once("/console").unwrap().1)
}

/// The program as somebody starts it in a terminal, with the lines that it prints.
struct Terminal {
    lines: tokio::io::Lines<BufReader<ChildStderr>>,
    folder: Folder,
    _child: tokio::process::Child,
}

impl Terminal {
    fn start(listen: &str) -> Self {
        let folder = folder();
        let config = folder.path().join("moongate.toml");
        std::fs::write(&config, format!("[listen]\n{listen}")).unwrap();
        let mut command = tokio::process::Command::new(MOONGATE);
        command.arg("--config").arg(config).arg("run").current_dir(folder.path()).kill_on_drop(true);
        let mut child = command.stderr(std::process::Stdio::piped()).env("NO_COLOR", "1").spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { lines, folder, _child: child }
    }

    /// The first line with these words that comes from now on, and all before it.
    async fn until(&mut self, words: &str) -> (String, Vec<String>) {
        let mut before = Vec::new();
        loop {
            let line = soon(words, self.lines.next_line()).await.unwrap();
            let line = line.unwrap_or_else(|| panic!("{words} did not come:\n{}", before.join("\n")));
            if line.contains(words) {
                return (line, before);
            }
            before.push(line);
        }
    }
}

/// A browser in which the operator is signed in by a link.
pub(crate) async fn operator(gateway: &Gateway) -> Browser {
    let mut browser = Browser::by_name(&gateway.admin());
    enter(&mut browser, &link(gateway).await).await;
    browser
}

pub(crate) async fn enter(browser: &mut Browser, link: &str) {
    assert_eq!(browser.get(link).await.status, 200);
    let secret = browser.field("link");
    let answer = browser.post("/console/sign-in", &[("link", &secret)]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/console/"), "{}", answer.text());
    let cookie = answer.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/console;"),
        "{cookie}"
    );
}

#[tokio::test]
async fn a_link_works_once_and_not_by_looking_at_it() {
    let gateway = running("").await;
    let link = link(&gateway).await;
    let mut browser = Browser::by_name(&gateway.admin());
    for _ in 0..5 {
        let looked = browser.get(&link).await;
        assert_eq!((looked.status, looked.header("set-cookie")), (200, ""));
        assert_eq!(browser.send("HEAD", &link, &[], "").await.status, 200);
    }
    enter(&mut browser, &link).await;
    let page = browser.get("/console/").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Overview") && page.text().contains("home.example"), "{}", page.text());

    let mut late = Browser::by_name(&gateway.admin());
    late.get(&link).await;
    let secret = late.field("link");
    let again = late.post("/console/sign-in", &[("link", &secret)]).await;
    assert_eq!((again.status, again.header("set-cookie")), (403, ""));
    assert!(again.text().contains("works no longer"), "{}", again.text());

    browser.get("/console/").await;
    assert_eq!(browser.submit("/console/sign-out", &[]).await.header("location"), "/console/sign-in");
    assert_eq!(browser.get("/console/").await.status, 303);
}

#[tokio::test]
async fn a_fresh_link_is_for_whoever_holds_the_secret() {
    let mut gateway = running("").await;
    let stranger = http("POST", &gateway.admin(), "/api/v1/console:link", &[], None).await;
    assert_eq!(stranger.status, 403, "{}", stranger.text());
    let config = gateway.config();
    let command = ["--config", config.to_str().unwrap(), "console"];
    let output = moongate(gateway.folder(), &command).await;
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let url = out(&output);
    assert!(url.starts_with("http://localhost:") && url.trim_end().split("link=").nth(1).unwrap().len() == 43, "{url}");
    let mut browser = Browser::by_name(&gateway.admin());
    enter(&mut browser, &format!("/console{}", url.trim_end().split_once("/console").unwrap().1)).await;

    let before = link(&gateway).await;
    gateway.restart().await;
    assert_eq!(browser.get("/console/").await.status, 303, "a restart ends the session");
    let mut late = Browser::by_name(&gateway.admin());
    late.get(&before).await;
    let secret = late.field("link");
    assert_eq!(late.post("/console/sign-in", &[("link", &secret)]).await.status, 403, "and the link");
}

#[tokio::test]
async fn without_a_session_nothing_is_shown() {
    let agent = Agent::start(Plan::new("secretive-lamp")).await;
    let gateway = running(&agent.entry("")).await;
    let document = get(&gateway.admin(), "/api/v1/openapi.json").await.json();
    for path in PAGES {
        for listener in ["plain", "admin"] {
            let answer = Browser::at(&gateway.url(listener)).get(path).await;
            let expected = if listener == "admin" { 303 } else { 404 };
            assert_eq!(answer.status, expected, "{listener} {path}");
            assert!(!answer.text().contains("lamp"), "{}", answer.text());
        }
        for cookie in ["moongate-operator=x", "moongate=x", "moongate-operator=", "__Host-moongate-operator=x"] {
            let answer = Browser::at(&gateway.admin()).send("GET", path, &[("cookie", cookie)], "").await;
            assert_eq!(answer.status, 303, "{cookie} {path}");
        }
        let posted = Browser::at(&gateway.admin()).post(path, &[("form", "x")]).await;
        assert!([403, 405].contains(&posted.status), "{path}: {}", posted.status);
    }
    for path in VIEWS {
        for listener in ["plain", "admin"] {
            let answer = http("GET", &gateway.url(listener), path, &[], None).await;
            assert!([403, 404].contains(&answer.status), "{listener} {path}: {}", answer.text());
            let wrong = [("authorization", "Bearer 0123456789abcdef")];
            let answer = http("GET", &gateway.url(listener), path, &wrong, None).await;
            assert!([401, 404].contains(&answer.status), "{listener} {path}: {}", answer.text());
        }
        let cookie = [("cookie", "moongate-operator=x")];
        assert_eq!(http("GET", &gateway.admin(), path, &cookie, None).await.status, 403, "{path}");
        let noun = path.trim_start_matches("/api/v1");
        let own = operate(&gateway, "GET", noun, None).await;
        assert_eq!(own.status, 200, "{path}: {}", own.text());
        described(&document, &noun.replace("/0", "/{line}"), "get", &own);
    }
}

#[tokio::test]
async fn a_cookie_opens_pages_and_no_api() {
    let gateway = running("").await;
    let mut browser = operator(&gateway).await;
    for path in PAGES.into_iter().skip(1) {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text().contains("action=\"/console/sign-out\""), "{path} has no frame");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!answer.text().contains(" style=") && !answer.text().contains(" onclick"), "{path}");
    }
    for path in VIEWS.into_iter().chain(["/api/v1/approvals", "/api/v1/users"]) {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 403, "{path}: a page of another site must not read it");
    }
}

#[tokio::test]
async fn forms_of_others_are_refused() {
    let gateway = running("").await;
    let mut browser = operator(&gateway).await;
    browser.get("/console/").await;
    let form = form(&[("form", &browser.field("form"))]);
    let (base, path) = (browser.base.clone(), "/console/sign-out");
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "http://localhost:1")],
        vec![("origin", "null")],
        vec![],
        vec![("origin", base.as_str()), ("sec-fetch-site", "cross-site")],
        vec![("origin", base.as_str()), ("sec-fetch-site", "same-site")],
    ] {
        assert_eq!(browser.send("POST", path, &headers, &form).await.status, 403, "{headers:?}");
    }
    assert_eq!(browser.post(path, &[("form", "guessed")]).await.status, 403);
    assert_eq!(browser.post(path, &[]).await.status, 403);
    assert_eq!(browser.get("/console/").await.status, 200, "nobody was signed out");
}

#[tokio::test]
async fn guesses_at_links_are_slowed_down() {
    let gateway = running("").await;
    let mut browser = Browser::at(&gateway.admin());
    let mut last = 0;
    for guess in 0..6 {
        last = browser.post("/console/sign-in", &[("link", &format!("guess{guess}"))]).await.status;
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn the_overview_says_what_needs_somebody() {
    let agent = Agent::start(Plan::new("lamp")).await;
    let gone = "[[agents]]\nname = \"gone\"\ncard_url = \"http://127.0.0.1:1/.well-known/agent-card.json\"\n";
    let gateway = running(&format!("{}{gone}", agent.entry(""))).await;
    let answer = rpc_to(&gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    eventually("the agent that is not there is told of", || async {
        let view = operate(&gateway, "GET", "/overview", None).await.json();
        view["attention"].as_array().unwrap().iter().any(|one| one["what"].as_str().unwrap().starts_with("gone"))
    })
    .await;
    let view = operate(&gateway, "GET", "/overview", None).await.json();
    assert_eq!(view["domain"], "home.example");
    let works: Vec<bool> =
        view["gateways"].as_array().unwrap().iter().map(|one| one["works"].as_bool().unwrap()).collect();
    assert_eq!(works, [true, false, false, false], "{view}");
    assert!(view["traffic"]["requests"].as_u64().unwrap() >= 1, "{view}");
    let mut browser = operator(&gateway).await;
    let page = browser.get("/console/").await.text();
    for words in ["Needs somebody", "gone", "not in this version", "Requests a second", "<svg"] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
}

async fn rpc_to(gateway: &Gateway) -> Answer {
    http("POST", &gateway.plain(), "/a2a", &[V1], Some(&rpc("SendMessage", &message("hello")))).await
}

#[tokio::test]
async fn coming_and_going_is_in_the_log() {
    let gateway = running("").await;
    let mut browser = Browser::by_name(&gateway.admin());
    let link = link(&gateway).await;
    enter(&mut browser, &link).await;
    browser.get("/console/").await;
    browser.submit("/console/sign-out", &[]).await;
    let given = operate(&gateway, "POST", "/console:link", None).await;
    assert_eq!(given.status, 201);
    described(&get(&gateway.admin(), "/api/v1/openapi.json").await.json(), "/console:link", "post", &given);
    let came = &lines(&gateway, &["--operation", "console.sign-in"], 1).await[0];
    assert_eq!((&came["result"], &came["source"]["id"]), (&json!("done"), &json!("operator")), "{came}");
    assert_eq!(lines(&gateway, &["--operation", "console.link", "--result", "done"], 2).await.len(), 2);
    let out = &lines(&gateway, &["--operation", "console.sign-out"], 2).await;
    assert_eq!((&out[0]["result"], &out[1]["result"]), (&json!("intended"), &json!("done")), "{out:?}");
    assert_eq!(out[1]["source"]["id"], "operator", "{out:?}");
    let all = lines(&gateway, &[], 1).await;
    let secret = link.split("link=").nth(1).unwrap();
    assert!(!json!(all).to_string().contains(secret) && !gateway.log_text().contains(secret), "no link in a log");
}

#[tokio::test]
async fn the_start_prints_one_link_for_whoever_looks_at_the_terminal() {
    let mut terminal = Terminal::start("main = \"off\"\nadmin = \"127.0.0.1:0\"\n");
    let (line, before) = terminal.until("/console/sign-in?link=").await;
    assert!(!before.iter().any(|line| line.contains("link=")), "{before:?}");
    let url = line.split_once("http://").unwrap().1;
    let mut browser = Browser::at(&format!("http://{}", url.split('/').next().unwrap()));
    enter(&mut browser, &from_console(url)).await;
    assert!(browser.get("/console/").await.text().contains("Overview"));
    let (line, _) = terminal.until("the operator signed in").await;
    assert!(!line.contains("link="), "{line}");
}

#[tokio::test]
async fn logs_that_programs_collect_hold_no_link() {
    let gateway = running("").await;
    assert!(link(&gateway).await.len() > 43);
    assert!(gateway.log_text().contains("\"listening\"") && !gateway.log_text().contains("/console"));
}

#[tokio::test]
async fn without_an_admin_listener_there_is_no_console() {
    let mut terminal = Terminal::start("main = \"off\"\nadmin = \"off\"\nplain = \"127.0.0.1:0\"\n");
    let (line, _) = terminal.until("listening").await;
    let address = line.split_once("127.0.0.1:").unwrap().1;
    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
    let base = format!("http://127.0.0.1:{port}");
    let secret = std::fs::read_to_string(terminal.folder.path().join("operator.secret")).unwrap();
    let credential = [("authorization", format!("Bearer {}", secret.trim()))];
    let credential = credential.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = http("POST", &base, "/api/v1/console:link", &credential, None).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "MG-0471"), "{}", answer.text());
    assert_eq!(http("GET", &base, "/console/", &[], None).await.status, 404);
}
