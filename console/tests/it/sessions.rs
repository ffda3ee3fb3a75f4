//! How long a session lasts.

use std::collections::HashSet;
use std::time::Duration;

use moongate_core::Code;
use moongate_core::seam::Clock as _;
use moongate_core::seam::records::change;
use moongate_identity::authority::standing::People as _;
use moongate_identity::people::{NewUser, Password};

use crate::support::*;

#[tokio::test]
async fn a_session_ends_when_idle_and_at_twelve_hours_however_it_is_used() {
    let scene = Scene::new();
    scene.alice(Some(PASSWORD)).await;
    let cookie = scene.sign_in().await.cookie;
    assert!(scene.people.session(&cookie).await.unwrap().unwrap().is_fresh);
    scene.wait(minutes(15));
    assert!(!scene.people.session(&cookie).await.unwrap().unwrap().is_fresh, "how one signs in is out of its reach");
    let (idle, used) = (scene.sign_in().await.cookie, scene.sign_in().await.cookie);
    scene.wait(minutes(29));
    assert!(scene.holds(&used).await && scene.holds(&idle).await);
    scene.wait(minutes(29));
    assert!(scene.holds(&used).await, "it was used in between");
    scene.wait(minutes(2));
    assert!(scene.holds(&used).await && !scene.holds(&idle).await, "nobody was there for half an hour");
    scene.wait(minutes(31));
    assert!(!scene.holds(&used).await);
    let long = scene.sign_in().await.cookie;
    for _ in 0..35 {
        scene.wait(minutes(20));
        assert!(scene.holds(&long).await);
    }
    scene.wait(minutes(20));
    assert!(!scene.holds(&long).await, "twelve hours are enough");
}

#[tokio::test]
async fn ended_sessions_are_swept_and_what_is_stored_opens_none() {
    let scene = Scene::new();
    scene.alice(Some(PASSWORD)).await;
    let cookie = scene.sign_in().await.cookie;
    let rows = scene.rows("session").await;
    assert!(!rows.is_empty() && !rows.contains(&cookie));
    let stored = rows.split(' ').next().unwrap().to_owned();
    assert!(!scene.holds(&stored).await, "the hash is no cookie");
    scene.wait(minutes(31));
    let now = scene.clock.now();
    change(scene.store.records(), move |page| page.sweep(now)).await.unwrap();
    assert_eq!(scene.rows("session").await, "");
}

#[tokio::test]
async fn sessions_differ_are_bounded_and_each_has_a_form_token_of_its_own() {
    let scene = Scene::new();
    scene.alice(Some(PASSWORD)).await;
    let mut cookies = Vec::new();
    for _ in 0..20 {
        cookies.push(scene.sign_in().await.cookie);
        scene.wait(Duration::from_millis(5));
    }
    assert_eq!(cookies.iter().collect::<HashSet<_>>().len(), 20);
    assert!(!scene.holds(&cookies[0]).await && !scene.holds(&cookies[3]).await, "the oldest made room");
    let one = scene.people.session(&cookies[18]).await.unwrap().unwrap();
    let other = scene.people.session(&cookies[19]).await.unwrap().unwrap();
    assert!(one.accepts_form(&one.form_token()) && !one.accepts_form(&other.form_token()));
    assert!(!one.accepts_form("") && !one.form_token().contains(&cookies[18]));
    assert!(!format!("{one:?} {:?}", scene.sign_in().await).contains(&cookies[18]));
}

#[tokio::test]
async fn whoever_is_disabled_changed_or_removed_is_out_at_once() {
    let scene = Scene::new();
    scene.alice(Some(PASSWORD)).await;
    let (alice, new) = (name("alice"), || Password::choose("another long password").unwrap());
    let cookie = scene.sign_in().await.cookie;
    scene.people.disable(&alice, true).await.unwrap();
    assert!(!scene.holds(&cookie).await);
    assert_eq!(scene.people.sign_in("alice", PASSWORD, HERE).await.unwrap_err().code, Code::SignInRefused);
    assert_eq!(scene.people.rights("alice").await.unwrap(), None, "tokens are worth nothing meanwhile");
    scene.people.disable(&alice, false).await.unwrap();
    assert!(!scene.holds(&cookie).await, "it does not come back");
    let cookie = scene.sign_in().await.cookie;
    scene.people.set_password(&alice, new()).await.unwrap();
    assert!(!scene.holds(&cookie).await);
    let cookie = scene.people.sign_in("alice", "another long password", HERE).await.unwrap().cookie;
    scene.people.remove(&alice).await.unwrap();
    assert!(!scene.holds(&cookie).await);
    assert_eq!(scene.people.remove(&alice).await.unwrap_err().code, Code::NoSuchUser);
}

#[tokio::test]
async fn a_name_is_given_once_for_what_was_done_under_it_stays() {
    let scene = Scene::new();
    let new = || NewUser { name: name("alice"), display_name: String::new(), scopes: Vec::new() };
    let added = scene.people.add(new(), None).await.unwrap();
    let refused = async || {
        let problem = scene.people.add(new(), None).await.unwrap_err();
        assert_eq!(problem.code, Code::UserExists);
        problem.detail.to_string()
    };
    assert_eq!(refused().await, "there is a user alice already");
    assert_eq!(scene.people.rights("alice").await.unwrap().unwrap().since, added.made_at);
    scene.people.remove(&name("alice")).await.unwrap();
    let detail = refused().await;
    assert!(detail.starts_with("the name alice was somebody's until 2026-09-01; tasks of that time"), "{detail}");
    scene.wait(minutes(60 * 24 * 3650));
    let now = scene.clock.now();
    change(scene.store.records(), move |page| page.sweep(now)).await.unwrap();
    assert_eq!(refused().await, detail, "for good");
}

#[tokio::test]
async fn a_wait_counts_for_the_right_password_too_and_ends() {
    let scene = Scene::new();
    scene.alice(Some(PASSWORD)).await;
    for _ in 0..3 {
        assert_eq!(scene.people.sign_in("Alice ", "wrong", HERE).await.unwrap_err().code, Code::SignInRefused);
    }
    let early = scene.people.sign_in("alice", PASSWORD, HERE).await.unwrap_err();
    assert_eq!((early.code, early.detail.as_ref()), (Code::TooManyAttempts, "too many attempts; try again in 1 s"));
    scene.wait(Duration::from_secs(1));
    scene.sign_in().await;
    assert!(!scene.rows("user").await.contains(PASSWORD));
}
