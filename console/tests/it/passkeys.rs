//! Passkeys of people: whose they are, how often an answer counts, and copies.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moongate_core::Code;
use moongate_core::seam::Clock as _;
use moongate_identity::authority::standing::People as _;
use moongate_identity::people::{Answer, MadeAnswer, Password, SETTLING, SignedIn, Site};
use moongate_testkit::authenticator::Authenticator;

use crate::support::*;

const ORIGIN: &str = "https://gate.example";

fn site() -> Site {
    Site { host: "gate.example".into(), origins: vec![ORIGIN.into()] }
}

fn authenticator() -> Authenticator {
    Authenticator::es256("gate.example", ORIGIN)
}

impl Scene {
    async fn who(&self) -> SignedIn {
        let cookie = self.sign_in().await.cookie;
        self.people.session(&cookie).await.unwrap().unwrap()
    }

    /// Makes a passkey for alice.
    async fn make(&self, authenticator: &Authenticator) -> Result<(), Code> {
        let who = self.who().await;
        let challenge = self.people.challenge_to_make(&who.user).unwrap();
        let answer: MadeAnswer = serde_json::from_value(authenticator.made_answer(&challenge)).unwrap();
        self.people.add_passkey(&who, &site(), "Phone", &answer).await.map_err(|problem| problem.code)
    }

    async fn answer(&self, authenticator: &Authenticator, challenge: &str) -> Result<String, Code> {
        let answer: Answer = serde_json::from_value(authenticator.answer(challenge)).unwrap();
        let opened = self.people.sign_in_by_passkey(&site(), &answer).await;
        opened.map(|opened| opened.user.name.to_string()).map_err(|problem| problem.code)
    }

    async fn sign_in_with(&self, authenticator: &Authenticator) -> Result<String, Code> {
        self.answer(authenticator, &self.people.challenge().unwrap()).await
    }
}

const REFUSED: Result<String, Code> = Err(Code::PasskeyRefused);

#[tokio::test]
async fn a_passkey_signs_its_owner_in_and_each_answer_counts_once() {
    let scene = Scene::new();
    scene.alice(Some(PASSWORD)).await;
    let authenticator = authenticator();
    assert_eq!(scene.sign_in_with(&authenticator).await, REFUSED, "not known yet");
    scene.make(&authenticator).await.unwrap();
    assert_eq!(scene.make(&authenticator).await, Err(Code::PasskeyRefused), "known already");
    let challenge = scene.people.challenge().unwrap();
    assert_eq!(scene.answer(&authenticator, &challenge).await, Ok("alice".into()));
    assert_eq!(scene.answer(&authenticator, &challenge).await, REFUSED, "the same challenge again");
    assert_eq!(scene.people.passkeys(&name("alice")).await.unwrap()[0].label, "Phone");
    let stale = scene.people.challenge().unwrap();
    scene.wait(minutes(15));
    assert_eq!(scene.answer(&authenticator, &stale).await, REFUSED, "the page was open for too long");
}

#[tokio::test]
async fn what_the_operator_does_for_somebody_ends_passkeys_and_what_was_allowed() {
    let scene = Scene::new();
    let alice = name("alice");
    scene.alice(Some(PASSWORD)).await;
    let (first, second) = (authenticator(), Authenticator::ed25519("gate.example", ORIGIN));
    scene.make(&first).await.unwrap();
    scene.wait(minutes(1));
    scene.people.set_password(&alice, Password::choose(PASSWORD).unwrap()).await.unwrap();
    assert_eq!(scene.sign_in_with(&first).await, REFUSED, "a new password");
    assert_eq!(
        scene.people.rights("alice").await.unwrap().unwrap().since,
        scene.clock.now(),
        "what was allowed is void"
    );
    scene.make(&second).await.unwrap();
    scene.wait(minutes(1));
    let code = scene.people.invite(&alice).await.unwrap().code;
    assert_eq!(scene.sign_in_with(&second).await, REFUSED, "a new link");
    assert_eq!(scene.people.rights("alice").await.unwrap().unwrap().since, scene.clock.now());
    let invited = scene.people.invited(&code).await.unwrap();
    let challenge = scene.people.challenge_to_make(&invited).unwrap();
    let answer: MadeAnswer = serde_json::from_value(first.made_answer(&challenge)).unwrap();
    let opened = scene.people.accept_passkey(&code, &site(), "Phone", &answer).await.unwrap();
    assert!(!opened.user.has_password(), "the old password does not come back with a passkey");
    assert_eq!(scene.sign_in_with(&first).await, Ok("alice".into()));
}

#[tokio::test]
async fn a_page_from_before_the_operators_password_sets_none_of_its_own() {
    let scene = Scene::new();
    let alice = name("alice");
    scene.alice(None).await;
    let code = scene.people.invite(&alice).await.unwrap().code;
    let challenge = scene.people.challenge_to_make(&scene.people.invited(&code).await.unwrap()).unwrap();
    let answer: MadeAnswer = serde_json::from_value(authenticator().made_answer(&challenge)).unwrap();
    let opened = scene.people.accept_passkey(&code, &site(), "Phone", &answer).await.unwrap();
    let taken = scene.people.session(&opened.cookie).await.unwrap().unwrap();
    assert!(!taken.user.has_password(), "whoever signs in by passkey sets a first one without another");
    scene.people.set_password(&alice, Password::choose(PASSWORD).unwrap()).await.unwrap();
    let stolen = Password::choose("a password of a thief").unwrap();
    let refused = scene.people.change_password(&taken, "", stolen, HERE).await.unwrap_err();
    assert_eq!(refused.code, Code::SignInRefused);
    scene.sign_in().await;
}

#[tokio::test]
async fn a_challenge_is_good_for_what_it_was_given_for() {
    let scene = Scene::new();
    scene.alice(Some(PASSWORD)).await;
    let authenticator = authenticator();
    scene.make(&authenticator).await.unwrap();
    let who = scene.who().await;
    let to_make = scene.people.challenge_to_make(&who.user).unwrap();
    assert_eq!(scene.answer(&authenticator, &to_make).await, REFUSED);
    for invented in ["", "AAAA", &"A".repeat(75)] {
        assert_eq!(scene.answer(&authenticator, invented).await, REFUSED, "{invented}");
    }
    let other = Authenticator::ed25519("gate.example", ORIGIN);
    let answer = |challenge: &str| -> MadeAnswer { serde_json::from_value(other.made_answer(challenge)).unwrap() };
    let to_sign_in = scene.people.challenge().unwrap();
    let refused = scene.people.add_passkey(&who, &site(), "", &answer(&to_sign_in)).await.unwrap_err();
    assert_eq!(refused.code, Code::PasskeyRefused);
    scene.people.disable(&name("alice"), false).await.unwrap();
    let refused = scene.people.add_passkey(&who, &site(), "", &answer(&to_make)).await.unwrap_err();
    assert_eq!(refused.code, Code::PasskeyRefused, "the person was changed since");
}

#[tokio::test]
async fn a_copy_that_lags_behind_is_refused() {
    let scene = Scene::new();
    scene.alice(Some(PASSWORD)).await;
    let mut authenticator = authenticator();
    authenticator.says.counter = 5;
    scene.make(&authenticator).await.unwrap();
    assert_eq!(scene.sign_in_with(&authenticator).await, REFUSED, "the counter stands still");
    authenticator.says.counter = 9;
    assert_eq!(scene.sign_in_with(&authenticator).await, Ok("alice".into()));
    for lags in [8, 9, 0] {
        authenticator.says.counter = lags;
        assert_eq!(scene.sign_in_with(&authenticator).await, REFUSED, "{lags}");
    }
}

#[tokio::test]
async fn passkeys_of_the_disabled_and_removed_open_nothing() {
    let scene = Scene::new();
    scene.alice(Some(PASSWORD)).await;
    let authenticator = authenticator();
    scene.make(&authenticator).await.unwrap();
    scene.people.disable(&name("alice"), true).await.unwrap();
    assert_eq!(scene.sign_in_with(&authenticator).await, REFUSED);
    scene.people.disable(&name("alice"), false).await.unwrap();
    assert_eq!(scene.sign_in_with(&authenticator).await, Ok("alice".into()));
    scene.people.remove(&name("alice")).await.unwrap();
    assert_eq!(scene.sign_in_with(&authenticator).await, REFUSED);
}

#[tokio::test]
async fn nobody_removes_anothers_passkey_and_there_are_sixteen_at_most() {
    let scene = Scene::new();
    scene.alice(Some(PASSWORD)).await;
    let bob = moongate_identity::people::NewUser { name: name("bob"), display_name: String::new(), scopes: vec![] };
    let password = moongate_identity::people::Password::choose(PASSWORD).unwrap();
    scene.people.add(bob, Some(password)).await.unwrap();
    for _ in 0..16 {
        scene.make(&authenticator()).await.unwrap();
    }
    assert_eq!(scene.make(&authenticator()).await, Err(Code::PasskeyRefused));
    let id = scene.people.passkeys(&name("alice")).await.unwrap()[0].id.clone();
    let cookie = scene.people.sign_in("bob", PASSWORD, HERE).await.unwrap().cookie;
    let bob = scene.people.session(&cookie).await.unwrap().unwrap();
    assert!(!scene.people.remove_passkey(&bob, &id).await.unwrap());
    assert!(scene.people.remove_passkey(&scene.who().await, &id).await.unwrap());
    scene.make(&authenticator()).await.unwrap();
}

impl Scene {
    /// Whether a passkey's answer to a question counts in this session.
    async fn says_yes(&self, cookie: &str, authenticator: &Authenticator, critical: bool) -> bool {
        let who = self.people.session(cookie).await.unwrap().unwrap();
        let question = self.people.challenge().unwrap();
        let answer: Answer = serde_json::from_value(authenticator.answer(&question)).unwrap();
        let challenge = URL_SAFE_NO_PAD.decode(&question).unwrap();
        self.people.assert(&who, &site(), (&challenge, critical), &answer).await.is_ok()
    }

    /// Adds a passkey in this session.
    async fn add(&self, cookie: &str, authenticator: &Authenticator) {
        let who = self.people.session(cookie).await.unwrap().unwrap();
        let challenge = self.people.challenge_to_make(&who.user).unwrap();
        let answer: MadeAnswer = serde_json::from_value(authenticator.made_answer(&challenge)).unwrap();
        self.people.add_passkey(&who, &site(), "Phone", &answer).await.unwrap();
    }

    /// A session that a passkey opened.
    async fn opened_by(&self, authenticator: &Authenticator) -> String {
        let challenge = self.people.challenge().unwrap();
        let answer: Answer = serde_json::from_value(authenticator.answer(&challenge)).unwrap();
        self.people.sign_in_by_passkey(&site(), &answer).await.unwrap().cookie
    }
}

#[tokio::test]
async fn a_passkey_that_a_password_made_answers_nothing_critical_before_it_has_settled() {
    let scene = Scene::new();
    scene.alice(Some(PASSWORD)).await;
    let (first, second) = (authenticator(), authenticator());
    let session = scene.sign_in().await.cookie;
    scene.add(&session, &first).await;
    assert!(!scene.says_yes(&session, &first, true).await && scene.says_yes(&session, &first, false).await);
    // Neither its own sign-in nor what it has said before makes it, or another one, count.
    let by_passkey = scene.opened_by(&first).await;
    for session in [&session, &by_passkey] {
        assert!(!scene.says_yes(session, &first, true).await);
    }
    assert!(scene.says_yes(&by_passkey, &first, false).await);
    scene.add(&by_passkey, &second).await;
    assert!(!scene.says_yes(&by_passkey, &second, true).await);
    scene.wait(SETTLING - Duration::from_millis(1));
    assert!(!scene.says_yes(&session, &first, true).await);
    scene.wait(Duration::from_millis(1));
    assert!(scene.says_yes(&session, &first, true).await && scene.says_yes(&session, &second, true).await);
}

#[tokio::test]
async fn a_passkey_counts_at_once_where_a_link_or_a_settled_one_vouches_for_it() {
    let scene = Scene::new();
    scene.alice(None).await;
    let (first, second, third, fourth) = (authenticator(), authenticator(), authenticator(), authenticator());
    let code = scene.people.invite(&name("alice")).await.unwrap().code;
    let session = scene.people.accept(&code, Password::choose(PASSWORD).unwrap()).await.unwrap().cookie;
    scene.add(&session, &first).await;
    assert!(scene.says_yes(&session, &first, true).await, "the operator's link opened the session");
    let session = scene.opened_by(&first).await;
    scene.add(&session, &second).await;
    assert!(scene.says_yes(&session, &second, true).await, "a passkey that counts opened the session");
    let session = scene.sign_in().await.cookie;
    scene.add(&session, &third).await;
    assert!(!scene.says_yes(&session, &third, true).await, "a password opened it");
    assert!(scene.says_yes(&session, &first, false).await);
    scene.add(&session, &fourth).await;
    assert!(scene.says_yes(&session, &fourth, true).await, "and a passkey that counts has answered in it");
    assert!(!scene.says_yes(&session, &third, true).await, "which says nothing of those before");
}
