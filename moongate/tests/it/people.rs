//! People at the gateway's pages: how they come in, what they decide, and who else tries.

mod operator;
mod passkey;

use serde_json::{Value, json};

use crate::support::*;

const CONFIG: &str =
    "[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n[oauth]\nscopes = [\"a2a:*:*\"]\n";
pub(crate) const PASSWORD: &str = "correct horse battery";

async fn running() -> Gateway {
    Gateway::start(MOONGATE, CONFIG).await
}

/// A request of the operator's.
pub(crate) async fn operate(gateway: &Gateway, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let credential = format!("Bearer {}", secret.trim());
    http(method, &gateway.admin(), &format!("/api/v1{path}"), &[("authorization", &credential)], body).await
}

/// The program with these arguments and this standard input, next to the gateway.
async fn command(gateway: &Gateway, arguments: &[&str], input: &str) -> std::process::Output {
    use tokio::io::AsyncWriteExt as _;
    let mut command = tokio::process::Command::new(MOONGATE);
    command.arg("--config").arg(gateway.config()).args(arguments).kill_on_drop(true);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    soon("the end of the command", child.wait_with_output()).await.unwrap()
}

/// Adds alice, who may allow these scopes, with a password.
pub(crate) async fn alice(gateway: &Gateway, scopes: &[&str]) {
    let body = json!({"name": "alice", "display_name": "Alice", "scopes": scopes, "password": PASSWORD});
    let added = operate(gateway, "POST", "/users", Some(&body)).await;
    assert_eq!(added.status, 201, "{}", added.text());
}

/// A browser in which alice is signed in.
pub(crate) async fn signed_in(gateway: &Gateway) -> Browser {
    let mut browser = Browser::at(&gateway.admin());
    let answer = browser.post("/oauth/sign-in", &[("name", "alice"), ("password", PASSWORD)]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/oauth/account"), "{}", answer.text());
    browser
}

/// A device that may ask for these scopes; its name is shown to people.
pub(crate) async fn device(gateway: &Gateway, name: &str, scopes: &[&str]) {
    let client = json!({"id": "panel", "name": name, "proof": "none", "grants": ["device_code"], "scopes": scopes});
    let added = operate(gateway, "POST", "/clients", Some(&client)).await;
    assert_eq!(added.status, 201, "{}", added.text());
}

/// The device asks; its own code, and the one that it shows.
pub(crate) async fn asks(gateway: &Gateway, scopes: &str) -> (String, String) {
    let mut device = Browser::at(&gateway.plain());
    let body = form(&[("client_id", "panel"), ("scope", scopes)]);
    let answer = device.send("POST", "/oauth/device_authorization", &[], &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    assert!(text("verification_uri").ends_with("/oauth/device"));
    (text("device_code"), text("user_code"))
}

/// The device comes back for its token.
async fn collects(gateway: &Gateway, device_code: &str) -> Answer {
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let body = form(&[("client_id", "panel"), ("grant_type", grant), ("device_code", device_code)]);
    Browser::at(&gateway.plain()).send("POST", "/oauth/token", &[], &body).await
}

#[tokio::test]
async fn a_person_signs_up_by_link_and_in_by_password() {
    let gateway = running().await;
    let added =
        command(&gateway, &["users", "add", "alice", "--display-name", "Alice", "--scope", "a2a:*:send"], "").await;
    assert_eq!(added.status.code(), Some(0), "{}", err(&added));
    let link = out(&added).trim().to_owned();
    let port = gateway.admin().rsplit(':').next().unwrap().to_owned();
    let path = link.strip_prefix(&format!("http://localhost:{port}")).unwrap_or_else(|| panic!("{link}")).to_owned();

    let mut browser = Browser::at(&gateway.admin());
    for _ in 0..2 {
        let page = browser.get(&path).await;
        assert_eq!(page.status, 200, "looking uses nothing up");
        assert!(browser.page.contains("Welcome, Alice"), "{}", browser.page);
    }
    let code = browser.field("code");
    let fields = |password: &'static str, again: &'static str| {
        vec![("code".to_owned(), code.clone()), ("password".into(), password.into()), ("again".into(), again.into())]
    };
    for (fields, complaint) in [
        (fields("short", "short"), "fewer than 12 characters"),
        (fields(PASSWORD, "correct horse batteru"), "not the same"),
    ] {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let answer = browser.post("/oauth/sign-up", &fields).await;
        assert_eq!(answer.status, 400);
        assert!(browser.page.contains(complaint), "{complaint}: {}", browser.page);
    }
    let good = [("code", code.as_str()), ("password", PASSWORD), ("again", PASSWORD)];
    let answer = browser.post("/oauth/sign-up", &good).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/oauth/account"));
    assert!(answer.header("set-cookie").ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{:?}", answer.headers);
    browser.get("/oauth/account").await;
    assert!(browser.page.contains("send messages to every skill"), "{}", browser.page);

    let mut other = Browser::at(&gateway.admin());
    assert_eq!(other.post("/oauth/sign-up", &good).await.status, 404, "the link works once");
    let answer = other.get("/oauth/device?user_code=BCDF-GHJK").await;
    assert!(answer.status == 200 && other.page.contains("Sign in"), "{}", other.page);
    assert_eq!(other.field("next"), "/oauth/device?user_code=BCDF-GHJK");
    let next = other.field("next");
    let fields = [("name", " Alice"), ("password", PASSWORD), ("next", next.as_str())];
    let answer = other.post("/oauth/sign-in", &fields).await;
    assert_eq!((answer.status, answer.header("location")), (303, next.as_str()));
    other.get(&next).await;
    assert_eq!(other.field("form").len(), 43);
    other.submit("/oauth/sign-out", &[]).await;
    assert_eq!(other.cookie(), None);

    for secret in [PASSWORD, code.as_str(), browser.cookie().unwrap()] {
        assert!(!gateway.log_text().contains(secret), "a secret stands in the log");
    }
}

#[tokio::test]
async fn wrong_passwords_are_slowed_down_and_tell_nothing() {
    let gateway = running().await;
    alice(&gateway, &[]).await;
    let mut first = Vec::new();
    for name in ["alice", "nobody"] {
        let mut browser = Browser::at(&gateway.admin());
        let mut statuses = Vec::new();
        // Each failure doubles the wait, so that sooner or later the next try comes too early on any machine.
        while statuses.last() != Some(&429) && statuses.len() < 12 {
            let answer = browser.post("/oauth/sign-in", &[("name", name), ("password", "wrong horse battery")]).await;
            assert_eq!(answer.status == 429, !answer.header("retry-after").is_empty());
            if statuses.is_empty() {
                first.push(answer.text().replace(name, "NAME"));
            }
            statuses.push(answer.status);
        }
        assert_eq!((&statuses[..3], statuses.last()), ([403; 3].as_slice(), Some(&429)), "{name}: {statuses:?}");
    }
    assert_eq!(first[0], first[1], "the page does not say whether there is such a person");
    let again = until(|| async {
        let mut browser = Browser::at(&gateway.admin());
        let answer = browser.post("/oauth/sign-in", &[("name", "alice"), ("password", PASSWORD)]).await;
        (answer.status == 303).then_some(())
    });
    assert!(again.await.is_some(), "nothing is locked for good");
    assert!(!gateway.log_text().contains("wrong horse"));
}

#[tokio::test]
async fn many_sign_ins_at_once_take_bounded_memory() {
    let gateway = running().await;
    alice(&gateway, &[]).await;
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    signed_in(&gateway).await;
    let before = peak();
    let tries = (0..60).map(|n| {
        let base = gateway.admin();
        async move {
            let mut browser = Browser::at(&base);
            let name = format!("user{n}");
            let password = "x".repeat(900);
            browser.post("/oauth/sign-in", &[("name", &name), ("password", &password)]).await.status
        }
    });
    let statuses = futures_util::future::join_all(tries).await;
    assert!(statuses.iter().all(|status| [403, 429].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&429), "one address does not try name after name");
    let grown = peak() - before;
    assert!(grown < 2 * 19 + 25, "{grown} MiB more than with one sign-in");
}

#[tokio::test]
async fn forms_of_other_pages_are_refused_and_reading_decides_nothing() {
    let gateway = running().await;
    alice(&gateway, &["a2a:*:*"]).await;
    device(&gateway, "Panel", &["a2a:*:send"]).await;
    let mut browser = signed_in(&gateway).await;
    let (device_code, user_code) = asks(&gateway, "a2a:*:send").await;
    browser.get("/oauth/account").await;
    let token = browser.field("form");
    let (own, good) =
        (browser.base.clone(), [("form", token.as_str()), ("user_code", &user_code), ("answer", "allow")]);
    let other_port = gateway.plain();
    for (what, headers) in [
        ("no origin", vec![]),
        ("a foreign origin", vec![("origin", "https://evil.example")]),
        ("another port of this machine", vec![("origin", other_port.as_str())]),
        ("no origin to speak of", vec![("origin", "null")]),
        ("a foreign page by the browser's word", vec![("origin", own.as_str()), ("sec-fetch-site", "cross-site")]),
        ("a neighbour", vec![("origin", own.as_str()), ("sec-fetch-site", "same-site")]),
    ] {
        let answer = browser.send("POST", "/oauth/device", &headers, &form(&good)).await;
        assert_eq!(answer.status, 403, "{what}: {}", answer.text());
    }
    for (what, form) in [("no token", ""), ("another token", "A".repeat(43).as_str())] {
        let fields = [("form", form), ("user_code", &user_code), ("answer", "allow")];
        assert_eq!(browser.post("/oauth/device", &fields).await.status, 403, "{what}");
    }
    let mut mallory = Browser::at(&gateway.admin());
    assert_eq!(mallory.post("/oauth/device", &good).await.status, 403, "a token without its session");
    for path in [
        format!("/oauth/device?user_code={user_code}&answer=allow&form={token}"),
        format!("/oauth/device?user_code={user_code}"),
    ] {
        assert_eq!(browser.get(&path).await.status, 200);
    }
    assert_eq!(collects(&gateway, &device_code).await.json()["error"], "authorization_pending", "nothing was decided");
    let big = format!("form={token}&user_code={}", "A".repeat(17 * 1024));
    assert_eq!(browser.send("POST", "/oauth/device", &[("origin", &own)], &big).await.status, 413);
    assert_eq!(browser.send("PUT", "/oauth/device", &[("origin", &own)], "").await.status, 405);
    let foreign = browser.send("GET", "/oauth/device", &[("host", "evil.example")], "").await;
    assert_eq!(foreign.status, 403, "a name that was bent to this machine");
}

#[tokio::test]
async fn a_person_lets_a_device_in_after_seeing_what_it_asks() {
    let agent = Agent::start("lights", &[json!("lights.set")]).await;
    let gateway = Gateway::start(MOONGATE, &format!("{CONFIG}{}", agent.entry())).await;
    alice(&gateway, &["a2a:lights.set:*"]).await;
    device(&gateway, "Kitchen <b>panel</b>", &["a2a:*:send", "a2a:*:get"]).await;
    let (device_code, user_code) = asks(&gateway, "a2a:*:send a2a:*:get").await;
    let mut browser = signed_in(&gateway).await;
    browser.get(&format!("/oauth/device?user_code={user_code}")).await;
    assert_eq!(browser.page.matches(&user_code).count(), 1, "the code is filled in and nothing more: {}", browser.page);
    assert!(!browser.page.contains("Kitchen"));

    let answer = browser.submit("/oauth/device", &[("user_code", &user_code)]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let page = browser.page.clone();
    for shown in [
        "Kitchen &lt;b&gt;panel&lt;/b&gt;",
        "<code>panel</code>",
        "127.0.0.1 (this machine, or a proxy on it)",
        "send messages to the skill “lights.set”",
        "read your tasks of the skill “lights.set”",
        "10 minutes",
        "Deny it unless you began this yourself",
        &user_code,
    ] {
        assert!(page.contains(shown), "{shown} is missing in {page}");
    }
    let (deny, allow) = (page.find("value=\"deny\" autofocus").unwrap(), page.find("value=\"allow\"").unwrap());
    assert!(deny < allow, "a stray key denies");

    let answer = browser.submit("/oauth/device", &[("user_code", &user_code), ("answer", "allow")]).await;
    assert!(answer.status == 200 && browser.page.contains("Allowed"), "{}", browser.page);
    let twice = browser.submit("/oauth/device", &[("user_code", &user_code), ("answer", "deny")]).await;
    assert_eq!(twice.status, 404, "the first answer counts");
    let collected = collects(&gateway, &device_code).await;
    assert_eq!(collected.status, 200, "{}", collected.text());
    let token = collected.json()["access_token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    let send = || async {
        let (headers, body) = ([V1, ("authorization", bearer.as_str())], rpc("SendMessage", &message("on")));
        let answer = http("POST", &gateway.plain(), "/agents/lights", &headers, Some(&body)).await;
        if answer.json().get("result").is_some() { "sent".to_owned() } else { answer.code() }
    };
    assert_eq!(send().await, "sent", "the token is good for what the person may allow");
    let narrowed = command(&gateway, &["users", "set", "alice", "--no-scopes"], "").await;
    assert_eq!(narrowed.status.code(), Some(0), "{}", err(&narrowed));
    assert_eq!(send().await, "MG-0407", "the token is worth what the person may do now");
    command(&gateway, &["users", "set", "alice", "--scope", "a2a:lights.set:*"], "").await;
    assert_eq!(send().await, "sent");
    let disabled = command(&gateway, &["users", "disable", "alice"], "").await;
    assert_eq!(disabled.status.code(), Some(0), "{}", err(&disabled));
    assert_eq!(send().await, "MG-0401", "a disabled person's token is worth nothing");
    let answer = browser.get("/oauth/account").await;
    assert!(answer.status == 200 && browser.page.contains("<h1>Sign in</h1>"), "and the session is over");
    let refused = browser.post("/oauth/sign-in", &[("name", "alice"), ("password", PASSWORD)]).await;
    assert_eq!(refused.status, 403);
    command(&gateway, &["users", "enable", "alice"], "").await;
    assert_eq!(send().await, "MG-0401", "enabled again, the person is asked again");
}

#[tokio::test]
async fn an_account_that_was_taken_over_is_won_back() {
    let gateway = running().await;
    alice(&gateway, &["a2a:*:*"]).await;
    device(&gateway, "Panel", &["a2a:*:send"]).await;
    let mut taken = signed_in(&gateway).await;
    let renew = async |refresh: &str| {
        let body = form(&[("client_id", "panel"), ("grant_type", "refresh_token"), ("refresh_token", refresh)]);
        Browser::at(&gateway.plain()).send("POST", "/oauth/token", &[], &body).await
    };
    let goes_on = async |refresh: &str| renew(refresh).await.status == 200;
    let grants = async |browser: &mut Browser| {
        let (device_code, user_code) = asks(&gateway, "a2a:*:send").await;
        browser.get("/oauth/device").await;
        browser.submit("/oauth/device", &[("user_code", &user_code), ("answer", "allow")]).await;
        let collected = collects(&gateway, &device_code).await;
        let renewed = renew(collected.json()["refresh_token"].as_str().unwrap_or_default()).await;
        assert_eq!(renewed.status, 200, "{} {}", collected.text(), renewed.text());
        renewed.json()["refresh_token"].as_str().unwrap().to_owned()
    };
    let refresh = grants(&mut taken).await;
    let invited = operate(&gateway, "POST", "/users/alice:invite", None).await;
    assert_eq!(invited.json()["ended"], json!(["password", "passkeys", "sessions", "grants"]));
    assert!(!goes_on(&refresh).await && taken.get("/oauth/account").await.text().contains("<h1>Sign in</h1>"));
    let mut again = Browser::at(&gateway.admin());
    assert_eq!(again.post("/oauth/sign-in", &[("name", "alice"), ("password", PASSWORD)]).await.status, 403);

    for (action, body) in [("password", Some(json!({"password": PASSWORD}))), ("disable", None)] {
        operate(&gateway, "POST", "/users/alice:password", Some(&json!({"password": PASSWORD}))).await;
        let mut browser = signed_in(&gateway).await;
        let refresh = grants(&mut browser).await;
        let answer = operate(&gateway, "POST", &format!("/users/alice:{action}"), body.as_ref()).await;
        assert!(answer.json()["ended"].to_string().contains("grants"), "{}", answer.text());
        assert!(!goes_on(&refresh).await, "{action}");
        assert!(browser.get("/oauth/account").await.text().contains("<h1>Sign in</h1>"), "{action}");
    }
    let tokens = operate(&gateway, "GET", "/tokens", None).await.json();
    assert_eq!(tokens["tokens"], json!([]), "nothing of it is kept");
}

#[tokio::test]
async fn denying_and_wrong_codes_let_nobody_in() {
    let gateway = running().await;
    alice(&gateway, &["a2a:*:*"]).await;
    device(&gateway, "Panel", &["a2a:*:send"]).await;
    let (device_code, user_code) = asks(&gateway, "a2a:*:send").await;
    let mut browser = signed_in(&gateway).await;
    browser.get("/oauth/device").await;
    let answer = browser.submit("/oauth/device", &[("user_code", &user_code), ("answer", "deny")]).await;
    assert!(answer.status == 200 && browser.page.contains("Denied"), "{}", browser.page);
    assert_eq!(collects(&gateway, &device_code).await.json()["error"], "access_denied");
    let mut statuses = Vec::new();
    for n in 0..12 {
        let wrong = format!("BCDF-GHJ{}", ["K", "L", "M", "N"][n % 4]);
        browser.get("/oauth/device").await;
        // To answer unseen is to guess, too.
        let guess = [("user_code", wrong.as_str()), ("answer", if n % 2 == 0 { "allow" } else { "" })];
        statuses.push(browser.submit("/oauth/device", &guess).await.status);
        if statuses.last() == Some(&429) {
            break;
        }
    }
    assert_eq!(
        (&statuses[..3], statuses.last()),
        ([404; 3].as_slice(), Some(&429)),
        "guesses are slowed down: {statuses:?}"
    );
}

#[tokio::test]
async fn names_that_hold_markup_are_shown_as_text() {
    let gateway = running().await;
    let nasty = "\"><script>alert(1)</script><img src=x onerror=alert(1)>";
    let body =
        json!({"name": "alice", "display_name": nasty, "password": PASSWORD, "scopes": ["a2a:%3Cscript%3E:send"]});
    assert_eq!(operate(&gateway, "POST", "/users", Some(&body)).await.status, 201);
    device(&gateway, nasty, &["a2a:*:*"]).await;
    let (_, user_code) = asks(&gateway, "a2a:*:send").await;
    let mut browser = signed_in(&gateway).await;
    let mut pages = Vec::new();
    for path in
        ["/oauth/account", "/oauth/device?user_code=%22%3E%3Cscript%3E", "/oauth/sign-in?next=%22%3E%3Cscript%3E"]
    {
        browser.get(path).await;
        pages.push(browser.page.clone());
    }
    browser.get("/oauth/device").await;
    browser.submit("/oauth/device", &[("user_code", &user_code)]).await;
    pages.push(browser.page.clone());
    let mut stranger = Browser::at(&gateway.admin());
    stranger.post("/oauth/sign-in", &[("name", nasty), ("password", nasty), ("next", nasty)]).await;
    pages.push(stranger.page.clone());
    for path in
        ["/oauth/sign-up?code=%22%3E%3Cscript%3E", "/oauth/authorize?client_id=%22%3E%3Cscript%3E&response_type=code"]
    {
        browser.get(path).await;
        pages.push(browser.page.clone());
    }
    for page in &pages {
        assert!(page.contains("<!DOCTYPE html>") && !page.contains("<script>") && !page.contains("<img"), "{page}");
    }
    assert!(pages[0].contains("&lt;script&gt;alert(1)"), "it is shown all the same");
}

#[tokio::test]
async fn pages_keep_others_out_by_their_headers_and_exist_only_with_the_authorization_server() {
    let gateway = running().await;
    let answer = get(&gateway.admin(), "/oauth/sign-in").await;
    let policy = answer.header("content-security-policy");
    for part in
        ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "script-src 'self'"]
    {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!((answer.header("cache-control"), answer.header("referrer-policy")), ("no-store", "same-origin"));
    assert!(
        !answer.text().contains("style=") && !answer.text().contains("http://"),
        "nothing inline, nothing from elsewhere"
    );
    assert!(get(&gateway.admin(), "/oauth/pages.css").await.header("content-type").starts_with("text/css"));
    let cross =
        http("GET", &gateway.admin(), "/oauth/device?user_code=X", &[("sec-fetch-site", "cross-site")], None).await;
    assert!(
        cross.text().contains("0;url=/oauth/device?user_code=X"),
        "a link elsewhere does not bring the cookie along"
    );
    let off = Gateway::start(MOONGATE, "[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n").await;
    assert_eq!(get(&off.admin(), "/oauth/sign-in").await.status, 404);
    let nowhere = operate(&off, "POST", "/users", Some(&json!({"name": "alice"}))).await;
    assert_eq!((nowhere.status, nowhere.code().as_str()), (404, "MG-0425"), "no link without a page");
}

#[tokio::test]
async fn a_listener_that_faces_other_machines_has_the_pages_and_binds_the_cookie_to_its_host() {
    let toml = CONFIG.replace("main = \"off\"", "main = \"0.0.0.0:0\"");
    let gateway = Gateway::start(MOONGATE, &format!("public_url = \"https://agents.test\"\n{toml}")).await;
    alice(&gateway, &[]).await;
    let own = format!("https://{}", gateway.address("main").unwrap());
    let post = async |origin: &str| {
        let request = http::Request::post("/oauth/sign-in").header("origin", origin);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let body = form(&[("name", "alice"), ("password", PASSWORD)]);
        at_main(&gateway, request.body(body.into_bytes().into()).unwrap()).await
    };
    assert_eq!(post("https://evil.example").await.status, 403);
    let answer = post(&own).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-moongate=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"));
    let request = http::Request::get("/oauth/account").header("cookie", cookie.split(';').next().unwrap());
    let account = at_main(&gateway, request.body(http_body_util::Full::default()).unwrap()).await;
    assert!(account.text().contains("You sign in as"), "{}", account.text());
    let users = get_main(&gateway, "/api/v1/users").await;
    assert_eq!(users.status, 401, "people are not listed to other machines");
    let secret = std::fs::read_to_string(gateway.folder().join("operator.secret")).unwrap();
    let request = http::Request::get("/api/v1/users").header("authorization", format!("Bearer {}", secret.trim()));
    assert_eq!(at_main(&gateway, request.body(http_body_util::Full::default()).unwrap()).await.status, 401);
}

#[tokio::test]
async fn sessions_end_with_the_password_and_with_the_person() {
    let mut gateway = running().await;
    alice(&gateway, &[]).await;
    let (mut one, mut other) = (signed_in(&gateway).await, signed_in(&gateway).await);
    gateway.restart().await;
    let is_in = async |browser: &mut Browser| browser.get("/oauth/account").await.text().contains("Sign out");
    assert!(is_in(&mut one).await && is_in(&mut other).await, "sessions outlive a restart");
    let new = "another long password";
    let fields = |current| [("current", current), ("password", new), ("again", new)];
    assert_eq!(one.submit("/oauth/account/password", &fields("wrong")).await.status, 403);
    assert_eq!(one.submit("/oauth/account/password", &fields(PASSWORD)).await.status, 303);
    assert!(is_in(&mut one).await, "whoever changed it goes on");
    assert!(!is_in(&mut other).await, "all others do not");
    let changed = command(&gateway, &["users", "passwd", "alice"], "a third long password\n").await;
    assert_eq!(
        (changed.status.code(), out(&changed).as_str()),
        (Some(0), "the password of alice is set; passkeys, sessions and what programs held are gone\n"),
        "{}",
        err(&changed)
    );
    assert!(!is_in(&mut one).await);
    let mut back = Browser::at(&gateway.admin());
    back.post("/oauth/sign-in", &[("name", "alice"), ("password", "a third long password")]).await;
    assert!(is_in(&mut back).await);
    let removed = command(&gateway, &["users", "remove", "alice"], "").await;
    assert_eq!(removed.status.code(), Some(0), "{}", err(&removed));
    assert!(!is_in(&mut back).await);
}
