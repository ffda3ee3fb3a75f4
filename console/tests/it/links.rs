//! Links by which people sign up.

use moongate_core::Code;
use moongate_identity::people::Password;

use crate::support::*;

fn chosen() -> Password {
    Password::choose(PASSWORD).unwrap()
}

#[tokio::test]
async fn a_link_works_once_for_a_quarter_of_an_hour_and_the_newest_counts() {
    let scene = Scene::new();
    scene.alice(None).await;
    let alice = name("alice");
    assert_eq!(scene.people.sign_in("alice", "", HERE).await.unwrap_err().code, Code::SignInRefused);
    let first = scene.people.invite(&alice).await.unwrap().code;
    let second = scene.people.invite(&alice).await.unwrap().code;
    assert!(!scene.rows("invitation").await.contains(&second), "what is stored is no link");
    assert_eq!(scene.people.invited(&first).await.unwrap_err().code, Code::InvitationSpent, "a newer one replaced it");
    assert_eq!(scene.people.invited(&second).await.unwrap().name, alice);
    let opened = scene.people.accept(&second, chosen()).await.unwrap();
    assert!(scene.holds(&opened.cookie).await);
    assert_eq!(scene.people.accept(&second, chosen()).await.unwrap_err().code, Code::InvitationSpent);
    scene.sign_in().await;
    let late = scene.people.invite(&alice).await.unwrap().code;
    scene.wait(minutes(15));
    assert_eq!(scene.people.accept(&late, chosen()).await.unwrap_err().code, Code::InvitationSpent);
}

#[tokio::test]
async fn a_link_of_two_who_use_it_at_once_lets_one_in() {
    let scene = Scene::new();
    scene.alice(None).await;
    let code = scene.people.invite(&name("alice")).await.unwrap().code;
    let (one, other) = tokio::join!(scene.people.accept(&code, chosen()), scene.people.accept(&code, chosen()));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
}

#[tokio::test]
async fn a_new_link_ends_every_other_way_in_and_links_of_the_disabled_are_void() {
    let scene = Scene::new();
    scene.alice(Some(PASSWORD)).await;
    let alice = name("alice");
    let cookie = scene.sign_in().await.cookie;
    let code = scene.people.invite(&alice).await.unwrap().code;
    assert!(!scene.holds(&cookie).await);
    assert_eq!(scene.people.sign_in("alice", PASSWORD, HERE).await.unwrap_err().code, Code::SignInRefused);
    scene.people.accept(&code, Password::choose("another long password").unwrap()).await.unwrap();
    assert_eq!(scene.people.sign_in("alice", PASSWORD, HERE).await.unwrap_err().code, Code::SignInRefused);
    let code = scene.people.invite(&alice).await.unwrap().code;
    scene.people.disable(&alice, true).await.unwrap();
    assert_eq!(scene.people.invited(&code).await.unwrap_err().code, Code::InvitationSpent);
    scene.people.disable(&alice, false).await.unwrap();
    assert_eq!(scene.people.invited(&code).await.unwrap_err().code, Code::InvitationSpent);
}
