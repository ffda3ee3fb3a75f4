//! Passkeys at the pages, with an authenticator in software.

use moongate_testkit::authenticator::Authenticator;
use serde_json::json;

use super::{operate, running};
use crate::support::*;

#[tokio::test]
async fn a_passkey_is_made_by_link_and_signs_in_without_a_password() {
    let gateway = running().await;
    let invited = operate(&gateway, "POST", "/users", Some(&json!({"name": "alice"}))).await.json();
    let url = invited["invitation"]["url"].as_str().unwrap().to_owned();
    let mut browser = Browser::by_name(&gateway.admin());
    browser.get(url.strip_prefix(&browser.base).unwrap()).await;
    let code = browser.field("code");
    let options = browser.options("/oauth/sign-up/passkey");
    assert_eq!(options["rp"]["id"], "localhost");
    let mut authenticator = Authenticator::es256("localhost", &browser.base);
    let made = authenticator.made_answer(options["challenge"].as_str().unwrap()).to_string();
    let answer =
        browser.post("/oauth/sign-up/passkey", &[("code", &code), ("answer", &made), ("label", "Phone")]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/oauth/account"), "{}", answer.text());
    browser.get("/oauth/account").await;
    assert!(browser.page.contains("<strong>Phone</strong>"), "{}", browser.page);

    let mut other = Browser::by_name(&gateway.admin());
    other.get("/oauth/sign-in").await;
    let challenge = other.options("/oauth/sign-in/passkey")["challenge"].as_str().unwrap().to_owned();
    authenticator.says.flags = 0b001;
    let unverified = authenticator.answer(&challenge).to_string();
    assert_eq!(
        other.post("/oauth/sign-in/passkey", &[("answer", &unverified)]).await.status,
        400,
        "nobody was verified"
    );
    authenticator.says.flags = 0b101;
    let stranger = Authenticator::es256("localhost", &other.base).answer(&challenge).to_string();
    assert_eq!(other.post("/oauth/sign-in/passkey", &[("answer", &stranger)]).await.status, 400);
    let good = authenticator.answer(&challenge).to_string();
    let answer = other.post("/oauth/sign-in/passkey", &[("answer", &good), ("next", "/oauth/device")]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/oauth/device"), "{}", answer.text());
    assert_eq!(other.post("/oauth/sign-in/passkey", &[("answer", &good)]).await.status, 400, "an answer works once");
    let old = authenticator.answer(options["challenge"].as_str().unwrap()).to_string();
    assert_eq!(
        other.post("/oauth/sign-in/passkey", &[("answer", &old)]).await.status,
        400,
        "another ceremony's challenge"
    );

    browser.get("/oauth/account").await;
    let id = browser.field("id");
    browser.submit("/oauth/account/passkey/remove", &[("id", &id)]).await;
    other.get("/oauth/sign-in").await;
    let mut third = Browser::by_name(&gateway.admin());
    third.get("/oauth/sign-in").await;
    let challenge = third.options("/oauth/sign-in/passkey")["challenge"].as_str().unwrap().to_owned();
    let gone = authenticator.answer(&challenge).to_string();
    assert_eq!(third.post("/oauth/sign-in/passkey", &[("answer", &gone)]).await.status, 400, "a removed passkey");
}
