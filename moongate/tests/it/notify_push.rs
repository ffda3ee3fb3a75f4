//! People's browsers are told, in messages that only they can read, and strangers' addresses are not written to.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ECDSA_P256_SHA256_FIXED};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use moongate_testkit::receiver::{Delivery, Receiver};
use serde_json::{Value, json};

use crate::approvals::{open_the_door, question, told};
use crate::notify::{DOORS, home};
use crate::people::{alice, operate, signed_in};
use crate::stage::{Caller, Gateway, id, task};
use crate::support::{Browser, eventually, status};

const PUSH: &str = "[egress]\nallow = [\"127.0.0.0/8\"]\n[store]\nurl = \"sqlite:home.db\"\n[oauth]\n\
                    [[notify]]\nname = \"phones\"\nkind = \"push\"\nservices = [\"127.0.0.1\"]\n";

/// A browser's keys.
struct Phone {
    key: PrivateKey,
    secret: [u8; 16],
}

impl Phone {
    fn new() -> Self {
        Self { key: PrivateKey::generate(&ECDH_P256).unwrap(), secret: [7; 16] }
    }

    fn public(&self) -> Vec<u8> {
        self.key.compute_public_key().unwrap().as_ref().to_vec()
    }

    /// As RFC 8291 says, from the reader's side.
    fn reads(&self, message: &[u8]) -> Value {
        let (salt, theirs, sealed) = (&message[..16], &message[21..86], &message[86..]);
        assert_eq!(message[16..21], [0, 0, 16, 0, 65]);
        let peer = UnparsedPublicKey::new(&ECDH_P256, theirs);
        let shared = agree(&self.key, peer, (), |shared| Ok(shared.to_vec())).unwrap();
        let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec();
        let info = [b"WebPush: info\0".as_slice(), &self.public(), theirs, &[1]].concat();
        let secret = mac(salt, &mac(&mac(&self.secret, &shared), &info));
        let key = mac(&secret, b"Content-Encoding: aes128gcm\0\x01");
        let nonce: [u8; 12] = mac(&secret, b"Content-Encoding: nonce\0\x01")[..12].try_into().unwrap();
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key[..16]).unwrap());
        let mut text = sealed.to_vec();
        let text = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text).unwrap();
        let end = text.iter().rposition(|byte| *byte != 0).unwrap();
        assert_eq!(text[end], 2);
        serde_json::from_slice(&text[..end]).unwrap()
    }

    async fn subscribes(&self, browser: &mut Browser, endpoint: &str) -> u16 {
        browser.get("/approvals").await;
        let (key, secret) = (BASE64.encode(self.public()), BASE64.encode(self.secret));
        let form = browser.field("form");
        let fields =
            [("form", form.as_str()), ("endpoint", endpoint), ("p256dh", &key), ("auth", &secret), ("label", "Phone")];
        browser.post("/approvals/app/subscribe", &fields).await.status
    }
}

/// The claims of a message's sender and its key, once the signature has been looked at.
fn sender(delivery: &Delivery) -> (Value, String) {
    let text = delivery.header("authorization").unwrap().strip_prefix("vapid t=").unwrap();
    let (token, key) = text.split_once(",k=").unwrap();
    let (signed, mac) = token.rsplit_once('.').unwrap();
    let public = signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, BASE64.decode(key).unwrap());
    public.verify(signed.as_bytes(), &BASE64.decode(mac).unwrap()).unwrap();
    let claims = BASE64.decode(signed.split_once('.').unwrap().1).unwrap();
    (serde_json::from_slice(&claims).unwrap(), key.to_owned())
}

async fn subscriptions(gateway: &Gateway) -> Value {
    operate(gateway, "GET", "/push", None).await.json()
}

async fn asked(gateway: &Gateway, words: &str) -> String {
    let asked = id(&task(&Caller::rpc(&gateway.plain()), &open_the_door(words)).await);
    question(gateway, &asked).await
}

#[tokio::test]
async fn a_browser_is_told_what_only_it_can_read_also_after_a_restart_until_it_is_gone() {
    let service = Receiver::answering(&[201, 500, 201, 410]).await;
    let (_agent, mut gateway) = home(&format!("{DOORS}{PUSH}")).await;
    alice(&gateway, &["approve"]).await;
    let mut browser = signed_in(&gateway).await;
    let phone = Phone::new();
    assert_eq!(phone.subscribes(&mut browser, &service.url("/secret-address")).await, 303);
    let listed = subscriptions(&gateway).await;
    assert_eq!((&listed["on"], listed["subscriptions"].as_array().unwrap().len()), (&json!(true), 1), "{listed}");
    let row = &listed["subscriptions"][0];
    assert_eq!((&row["person"], &row["label"]), (&json!("alice"), &json!("Phone")));
    assert!(!listed.to_string().contains("secret-address") && listed.to_string().len() < 200, "{listed}");

    let first = asked(&gateway, "mother's maiden name").await;
    let got = service.until("the message", |got| got.len() == 1).await;
    assert_eq!(phone.reads(&got[0].bytes), json!({"id": first, "class": "sensitive"}), "and no other word");
    let header = |name: &str| got[0].header(name).unwrap_or_default().to_owned();
    assert_eq!(
        (header("content-encoding"), header("urgency"), header("topic")),
        ("aes128gcm".into(), "high".into(), first)
    );
    let ttl: u64 = header("ttl").parse().unwrap();
    assert!((800..=900).contains(&ttl), "a rule's question waits for a quarter of an hour: {ttl}");
    let (claims, key) = sender(&got[0]);
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!(service.url("")), &json!("mailto:operator@home.example")));
    browser.get("/approvals").await;
    assert!(browser.page.contains(&format!("data-push=\"{key}\"")), "browsers subscribe by the key that signs");

    gateway.kill().await;
    gateway.restart().await;
    let second = asked(&gateway, "again").await;
    let got = service.until("a second try", |got| got.len() == 3).await;
    assert_eq!(phone.reads(&got[2].bytes)["id"], *second);
    assert_eq!(sender(&got[2]).1, key, "the key is kept");
    asked(&gateway, "and again").await;
    service.until("the service knows it no more", |got| got.len() == 4).await;
    eventually("it is forgotten", || async { subscriptions(&gateway).await["subscriptions"] == json!([]) }).await;
    assert!(!gateway.log_text().contains("secret-address"), "whoever knows the address can write there");
}

#[tokio::test]
async fn strangers_addresses_and_strangers_forms_are_refused() {
    let (service, phone) = (Receiver::start().await, Phone::new());
    let (_agent, gateway) = home(&format!(
        "{DOORS}{}",
        PUSH.replace("\"127.0.0.1\"", "\"127.0.0.1\", \"push.example\", \"10.0.0.7\", \"169.254.169.254\"")
    ))
    .await;
    alice(&gateway, &["approve"]).await;
    let mut browser = signed_in(&gateway).await;
    for stranger in [
        "https://elsewhere.example/x",
        "https://push.example.evil.example/x",
        "https://push.example@evil.example/x",
        "http://push.example/x",
        "https://push.example:22/x",
        "https://10.0.0.7/x",
        "https://169.254.169.254/latest/meta-data",
        "http://localhost:1/x",
        "file:///etc/passwd",
        "",
        &format!("https://push.example/{}", "x".repeat(2000)),
    ] {
        assert_eq!(phone.subscribes(&mut browser, stranger).await, 400, "{stranger}");
        assert!(browser.page.contains("MG-0466"), "{stranger}");
    }
    browser.get("/approvals").await;
    let form = browser.field("form");
    let url = service.url("/x");
    let point = BASE64.encode([4; 65]);
    for (form, key, expected) in [(form.as_str(), point.as_str(), 400), ("guess", &BASE64.encode(phone.public()), 403)]
    {
        let fields = [("form", form), ("endpoint", url.as_str()), ("p256dh", key), ("auth", "AAAAAAAAAAAAAAAAAAAAAA")];
        assert_eq!(browser.post("/approvals/app/subscribe", &fields).await.status, expected);
    }
    let mut nobody = Browser::at(&gateway.admin());
    assert_eq!(nobody.post("/approvals/app/subscribe", &[("endpoint", url.as_str())]).await.status, 403);
    let cross = [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")];
    let sent = browser.send("POST", "/approvals/app/subscribe", &cross, &format!("endpoint={url}")).await;
    assert_eq!(sent.status, 403);
    assert_eq!(subscriptions(&gateway).await["subscriptions"], json!([]));
    // The files are everybody's, and say nothing of anybody.
    for (file, kind) in [
        ("manifest.json", "application/manifest+json"),
        ("worker.js", "text/javascript"),
        ("icon-192.png", "image/png"),
    ] {
        let answer = nobody.get(&format!("/approvals/app/{file}")).await;
        assert!(answer.status == 200 && answer.header("content-type").starts_with(kind), "{file}");
    }
    assert_eq!(nobody.get("/approvals/app/worker.js").await.header("service-worker-allowed"), "/approvals");
}

#[tokio::test]
async fn a_browser_is_its_persons_and_is_not_told_twice_because_of_another() {
    let (service, broken) = (Receiver::start().await, Receiver::answering(&[500, 500]).await);
    let (_agent, gateway) = home(&format!("{DOORS}{PUSH}")).await;
    alice(&gateway, &["approve"]).await;
    let body =
        json!({"name": "bob", "display_name": "Bob", "scopes": ["approve"], "password": "correct horse battery"});
    assert_eq!(operate(&gateway, "POST", "/users", Some(&body)).await.status, 201);
    let mut browser = signed_in(&gateway).await;
    let (phone, other) = (Phone::new(), Phone::new());
    assert_eq!(phone.subscribes(&mut browser, &service.url("/x")).await, 303);
    assert_eq!(other.subscribes(&mut browser, &broken.url("/y")).await, 303);
    asked(&gateway, "open").await;
    let tried = broken.until("the third try", |got| got.len() == 3).await;
    assert_eq!(tried.iter().map(|one| one.answered).collect::<Vec<_>>(), [500, 500, 204]);
    eventually("all are told", || async { status(&gateway).await["notifications"][0]["told"] == 1 }).await;
    assert_eq!(service.got().len(), 1, "the one that took it at once");

    let listed = subscriptions(&gateway).await["subscriptions"].clone();
    let key = listed[0]["key"].as_str().unwrap();
    let mut bob = Browser::at(&gateway.admin());
    bob.post("/oauth/sign-in", &[("name", "bob"), ("password", "correct horse battery")]).await;
    bob.get("/approvals").await;
    let form = bob.field("form");
    assert!(!bob.page.contains(key), "nobody sees another's browsers");
    let remove = |form: String| vec![("form".to_owned(), form), ("key".to_owned(), key.to_owned())];
    let fields = remove(form);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(bob.post("/approvals/app/unsubscribe", &fields).await.status, 404);
    assert_eq!(subscriptions(&gateway).await["subscriptions"], listed);
    browser.get("/approvals").await;
    let fields = remove(browser.field("form"));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(browser.post("/approvals/app/unsubscribe", &fields).await.status, 303);
    assert_eq!(
        operate(&gateway, "DELETE", &format!("/push/{}", listed[1]["key"].as_str().unwrap()), None).await.status,
        200
    );
    assert_eq!(subscriptions(&gateway).await["subscriptions"], json!([]));
}

#[tokio::test]
async fn a_browser_that_is_always_refused_holds_up_no_other() {
    let (service, refusing) = (Receiver::start().await, Receiver::answering(&[403; 50]).await);
    let (_agent, gateway) = home(&format!("{DOORS}{PUSH}")).await;
    alice(&gateway, &["approve"]).await;
    let mut browser = signed_in(&gateway).await;
    let (phone, other) = (Phone::new(), Phone::new());
    assert_eq!(other.subscribes(&mut browser, &refusing.url("/y")).await, 303);
    asked(&gateway, "open").await;
    let trouble = || async { status(&gateway).await["notifications"][0]["trouble"].to_string().contains("403") };
    eventually("that nobody was told is said", trouble).await;
    assert_eq!(phone.subscribes(&mut browser, &service.url("/x")).await, 303);
    eventually("the other browser is told", || async { service.got().len() == 1 }).await;
    asked(&gateway, "open once more").await;
    eventually("of the next one, too", || async { service.got().len() == 2 }).await;
    eventually("and nothing is wrong", || async {
        let channel = status(&gateway).await["notifications"][0].clone();
        channel["told"] == 2 && channel["trouble"] == json!(null)
    })
    .await;
}

#[tokio::test]
async fn whoever_may_not_answer_any_more_is_not_told() {
    let (service, phone) = (Receiver::start().await, Phone::new());
    let (_agent, gateway) = home(&format!("{DOORS}{PUSH}")).await;
    alice(&gateway, &["approve"]).await;
    let mut browser = signed_in(&gateway).await;
    assert_eq!(phone.subscribes(&mut browser, &service.url("/x")).await, 303);
    let changed = operate(&gateway, "PATCH", "/users/alice", Some(&json!({"scopes": []}))).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let name = asked(&gateway, "open").await;
    let trouble = || async { status(&gateway).await["notifications"][0]["trouble"].to_string().contains("no browser") };
    eventually("nobody is told", trouble).await;
    let overview = operate(&gateway, "GET", "/overview", None).await.text();
    assert!(overview.contains("People are not told by"), "{overview}");
    assert!(service.got().is_empty());
    told(&gateway, &["no", &name]).await;
    assert_eq!(operate(&gateway, "DELETE", "/users/alice", None).await.status, 200);
    asked(&gateway, "open again").await;
    eventually("her browser is forgotten", || async { subscriptions(&gateway).await["subscriptions"] == json!([]) })
        .await;
    let gone = operate(&gateway, "DELETE", "/push/whatever", None).await;
    assert_eq!((gone.status, service.got().len()), (404, 0));
}
