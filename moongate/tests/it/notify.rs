//! People are told that something waits for their yes, by channels that carry nothing by which it could be answered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moongate_testkit::agent::{Agent, Plan};
use moongate_testkit::receiver::{Delivery, Receiver};
use serde_json::{Value, json};

use crate::approvals::{open_the_door, question, told};
use crate::stage::{Caller, Gateway, MOONGATE, Operation, id, on, state, task, until_state};
use crate::support::{eventually, http, reload, status};

const LISTEN: &str = "domain = \"home.example\"\n[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n";
pub(crate) const DOORS: &str = "[[policy]]\nname = \"doors\"\nconfirm = 'skill.id == \"door.open\"'\n";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(crate) async fn home(more: &str) -> (Agent, Gateway) {
    let skills = ["lights.set", "door.open"].map(str::to_owned).to_vec();
    let agent = Agent::start(Plan { skills, ..Plan::new("home") }).await;
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{}{more}", agent.entry(""))).await;
    (agent, gateway)
}

fn webhook(name: &str, receiver: &Receiver, more: &str) -> String {
    let url = receiver.url(&format!("/{name}"));
    format!("[[notify]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{url}\"\n{more}")
}

fn of<'d>(got: &'d [Delivery], path: &str) -> Vec<&'d Delivery> {
    got.iter().filter(|delivery| delivery.path == path).collect()
}

#[tokio::test]
async fn a_webhook_and_ntfy_carry_a_title_and_a_link_and_no_word_of_the_requester() {
    let receiver = Receiver::start().await;
    let ntfy = format!(
        "[[notify]]\nname = \"phone\"\nkind = \"ntfy\"\nurl = \"{}\"\ntoken = \"tk_1\"\n",
        receiver.url("/doors")
    );
    let hook = webhook("hook", &receiver, &format!("secret = \"{SECRET}\"\n"));
    let (_agent, gateway) = home(&format!("{DOORS}{ntfy}{hook}[oauth]\n")).await;
    let caller = Caller::rpc(&gateway.plain());
    let asked = id(&task(&caller, &open_the_door("mother's maiden name")).await);
    let got = receiver.until("both channels", |got| got.len() == 2).await;
    let name = question(&gateway, &asked).await;
    let admin = gateway.admin();
    let link = format!("http://localhost:{}/approvals/{name}", admin.rsplit_once(':').unwrap().1);

    let phone = of(&got, "/doors")[0];
    assert_eq!(phone.header("title"), Some("A yes is wanted: home, door.open"));
    assert_eq!((phone.header("click"), phone.header("authorization")), (Some(link.as_str()), Some("Bearer tk_1")));
    let hook = of(&got, "/hook")[0];
    assert_eq!(
        (&hook.body["type"], &hook.body["id"], &hook.body["link"], &hook.body["class"], &hook.body["state"]),
        (&json!("approval.asked"), &json!(name), &json!(link), &json!("sensitive"), &json!("pending"))
    );
    let words: Vec<&String> = hook.body.as_object().unwrap().keys().collect();
    assert_eq!(words, ["type", "id", "title", "link", "class", "state", "expiresAt"]);
    for delivery in &got {
        let text = format!("{:?} {} {}", delivery.headers, delivery.body, delivery.path);
        assert!(!text.contains("maiden") && !text.contains("local\""), "{text}");
    }
    assert!(signed(hook), "{hook:?}");

    told(&gateway, &["no", &name]).await;
    let got = receiver.until("its end", |got| got.len() == 3).await;
    let end = of(&got, "/hook")[1];
    assert_eq!((&end.body["type"], &end.body["state"]), (&json!("approval.over"), &json!("denied")));
    assert_ne!(end.header("webhook-id"), hook.header("webhook-id"));
    let numbers = http("GET", &admin, "/metrics", &[], None).await.text();
    for line in [
        "moongate_approval_notifications_total{channel=\"phone\",result=\"told\"} 1",
        "moongate_approval_notifications_total{channel=\"hook\",result=\"told\"} 2",
    ] {
        assert!(numbers.contains(line), "{line}");
    }
}

/// As a receiver of Standard Webhooks checks it. The body is the one that was sent, as serde writes it.
fn signed(delivery: &Delivery) -> bool {
    let header = |name: &str| delivery.header(name).unwrap_or_default();
    let key = aws_lc_rs::hmac::Key::new(
        aws_lc_rs::hmac::HMAC_SHA256,
        &STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap(),
    );
    let text = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), delivery.body);
    let mac = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    aws_lc_rs::hmac::verify(&key, text.as_bytes(), &mac).is_ok()
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_and_no_redirect_is_followed() {
    let (receiver, elsewhere) = (Receiver::answering(&[500, 302]).await, Receiver::start().await);
    let (_agent, gateway) = home(&format!("{DOORS}{}", webhook("hook", &receiver, ""))).await;
    let caller = Caller::rpc(&gateway.plain());
    let asked = task(&caller, &open_the_door("open")).await;
    assert_eq!(state(&asked), "AUTH_REQUIRED", "asking waits for no channel");
    let got = receiver.until("the third try", |got| got.len() == 3).await;
    assert_eq!(got.iter().map(|one| one.answered).collect::<Vec<_>>(), [500, 302, 204]);
    assert!(got.iter().all(|one| one.header("webhook-id") == got[0].header("webhook-id")), "{got:?}");
    assert!(got[0].body["link"].is_null() && elsewhere.got().is_empty(), "without pages there is no link");
    eventually("it is in no trouble any more", || async {
        let all = status(&gateway).await["notifications"].clone();
        (&all[0]["name"], &all[0]["told"], &all[0]["failed"], &all[0]["trouble"])
            == (&json!("hook"), &json!(1), &json!(2), &Value::Null)
    })
    .await;
}

#[tokio::test]
async fn what_nobody_was_told_of_is_told_after_a_restart_and_what_was_told_is_not() {
    let (receiver, later) = (Receiver::start().await, Receiver::start().await);
    let store = "[store]\nurl = \"sqlite:home.db\"\n";
    let (agent, mut gateway) = home(&format!("{DOORS}{store}{}", webhook("hook", &receiver, ""))).await;
    let caller = Caller::rpc(&gateway.plain());
    let asked = id(&task(&caller, &open_the_door("open")).await);
    receiver.until("the first", |got| got.len() == 1).await;
    eventually("it is noted", || async { status(&gateway).await["notifications"][0]["told"] == 1 }).await;
    gateway.kill().await;
    gateway.restart().await;
    // A channel that is new tells of what waits; one that was there before does not tell it again.
    let both = format!("{}{}", webhook("hook", &receiver, ""), webhook("new", &later, "rules = [\"doors\"]\n"));
    let changes = reload(&gateway, &format!("{LISTEN}{}{DOORS}{store}{both}", agent.entry(""))).await;
    assert_eq!(changes.get("notify").map(String::as_str), Some("applied"), "{changes:?}");
    later.until("the new one", |got| got.len() == 1).await;
    let name = question(&gateway, &asked).await;
    told(&gateway, &["no", &name]).await;
    let got = receiver.until("the end", |got| got.len() == 2).await;
    assert_eq!(got[1].body["type"], "approval.over");
}

#[tokio::test]
async fn whoever_reads_a_notification_has_nothing_to_answer_with() {
    let receiver = Receiver::start().await;
    let (agent, gateway) = home(&format!("{DOORS}{}[oauth]\n", webhook("hook", &receiver, ""))).await;
    let caller = Caller::rpc(&gateway.plain());
    let asked = id(&task(&caller, &open_the_door("open")).await);
    let got = receiver.until("the notification", |got| got.len() == 1).await;
    let name = got[0].body["id"].as_str().unwrap().to_owned();
    let page = format!("/approvals/{name}");
    let body = got[0].body.clone();
    for base in [gateway.plain(), gateway.admin()] {
        // Scanners of mail, prefetchers and previews follow the link.
        for method in ["GET", "HEAD"] {
            let answer = http(method, &base, &page, &[], None).await;
            assert_eq!(answer.status, 200, "{method}: somebody is asked to sign in");
        }
        // Whoever knows the id, or sends the notification back, is nobody who decides.
        let origin = [("origin", base.as_str())];
        for (path, headers) in [
            (page.clone(), &origin[..0]),
            (page.clone(), &origin[..]),
            (format!("{page}?decision=approve"), &origin[..]),
            (format!("/api/v1/approvals/{name}:approve"), &origin[..0]),
            (format!("/api/v1/approvals/{name}:deny"), &origin[..0]),
        ] {
            let answer = http("POST", &base, &path, headers, Some(&body)).await;
            assert_eq!(answer.status, 403, "{path} {headers:?}: {}", answer.text());
        }
    }
    assert_eq!(told(&gateway, &["show", &name]).await["state"], "pending");
    assert_eq!(agent.tasks_made(), 0);
    assert_eq!(state(&caller.call(Operation::Get, &on(&asked)).await.unwrap()), "AUTH_REQUIRED");
    told(&gateway, &["yes", &name]).await;
    until_state(&caller, &asked, "COMPLETED").await;
}

#[tokio::test]
async fn names_of_agents_cannot_hide_what_a_notification_says() {
    let receiver = Receiver::start().await;
    let sly = "door\u{202e}nepo\u{200b}.lock";
    let skills = vec![sly.to_owned()];
    let agent = Agent::start(Plan { skills, ..Plan::new("home") }).await;
    let rule = "[[policy]]\nname = \"all\"\nconfirm = 'operation == \"send\"'\n";
    let ntfy = format!("[[notify]]\nname = \"phone\"\nkind = \"ntfy\"\nurl = \"{}\"\n", receiver.url("/doors"));
    let more = format!("{rule}{ntfy}{}", webhook("hook", &receiver, ""));
    let gateway = Gateway::start(MOONGATE, &format!("{LISTEN}{}{more}", agent.entry(""))).await;
    let mut params = open_the_door("open");
    params["message"]["metadata"] = json!({crate::support::ROUTING: {"skillId": sly}});
    let asked = task(&Caller::rpc(&gateway.plain()), &params).await;
    assert_eq!(state(&asked), "AUTH_REQUIRED", "{asked}");
    let got = receiver.until("both", |got| got.len() == 2).await;
    let shown = "A yes is wanted: home, door\\u{202e}nepo\\u{200b}.lock";
    assert_eq!(of(&got, "/doors")[0].header("title"), Some(shown));
    assert_eq!(of(&got, "/hook")[0].body["title"], shown);
}
