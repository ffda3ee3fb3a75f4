//! Whose token is shown for whom, by a clock that the test moves.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use moongate_core::Scopes;
use moongate_core::seam::credential::Presented;
use serde_json::json;

use super::*;
use crate::outbound::tests::{Endpoint, Hands, request, text};

struct Bed {
    clock: Arc<Hands>,
    endpoint: Arc<Endpoint>,
    tokens: TokenExchange,
}

impl Bed {
    fn new() -> Self {
        let (clock, endpoint) = (Arc::new(Hands::default()), Arc::new(Endpoint::default()));
        *endpoint.valid.lock() = json!(100);
        let tokens = TokenExchange::new(request(), Subject::Token, clock.clone(), endpoint.clone());
        Self { clock, endpoint, tokens }
    }

    fn pass(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::Relaxed);
    }

    fn asked(&self) -> usize {
        self.endpoint.forms.lock().len()
    }

    async fn get(&self, on: &Behalf<'_>) -> Result<String, Code> {
        self.tokens.get(on).await.map(text).map_err(|problem| problem.code)
    }
}

fn caller<'a>(id: &'a str, token: Option<&'a str>) -> Behalf<'a> {
    Behalf { id, scopes: Cow::Owned(Scopes::read("a2a:*:send")), token: token.map(Presented::new), task: None }
}

fn owner<'a>(id: &'a str, task: &'a TaskId) -> Behalf<'a> {
    Behalf { task: Some(task), ..caller(id, None) }
}

#[tokio::test]
async fn each_token_is_exchanged_once_and_its_result_is_shown_for_nobody_else() {
    let bed = Bed::new();
    let (alice, other) = (caller("idp:alice", Some("alices")), caller("idp:alice", Some("alices-other")));
    let (one, two) = tokio::join!(bed.get(&alice), bed.get(&alice));
    assert_eq!((one, two, bed.asked()), (Ok("Bearer t1".into()), Ok("Bearer t1".into()), 1));
    assert_eq!(bed.get(&other).await, Ok("Bearer t2".into()), "another token may be worth less");
    assert_eq!(bed.get(&alice).await, Ok("Bearer t1".into()));
    assert_eq!((bed.asked(), bed.get(&caller("idp:alice", None)).await), (2, Err(Code::NoSubject)));
    assert!(bed.endpoint.forms.lock()[0].contains("subject_token=alices&"));
    assert!(!format!("{alice:?}").contains("alices"), "{alice:?}");
}

#[tokio::test]
async fn a_token_is_exchanged_again_before_its_result_ends() {
    let bed = Bed::new();
    let alice = caller("idp:alice", Some("alices"));
    bed.get(&alice).await.unwrap();
    bed.pass(81);
    assert_eq!(bed.get(&alice).await, Ok("Bearer t1".into()), "nobody waits for the next one");
    while bed.tokens.ready(&alice).map(text).as_deref() == Some("Bearer t1") {
        tokio::task::yield_now().await;
    }
    assert_eq!((bed.get(&alice).await, bed.asked()), (Ok("Bearer t2".into()), 2));
    bed.pass(91);
    assert_eq!(bed.get(&alice).await, Ok("Bearer t3".into()));
}

#[tokio::test]
async fn work_without_its_caller_uses_what_was_got_for_the_very_token_that_it_began_with_while_that_lives() {
    let bed = Bed::new();
    let (narrow, wide) = (caller("idp:alice", Some("narrow")), caller("idp:alice", Some("wide")));
    let (task, foreign) = (TaskId::from("task-1"), TaskId::from("task-2"));
    bed.tokens.prepare(&narrow).await.unwrap();
    bed.tokens.entrust(&narrow, &task);
    bed.get(&wide).await.unwrap();
    assert_eq!(bed.get(&owner("idp:alice", &task)).await, Ok("Bearer t1".into()));
    assert_eq!(bed.get(&owner("idp:alice", &foreign)).await, Err(Code::NoSubject));
    bed.pass(91);
    let problem = bed.tokens.get(&owner("idp:alice", &task)).await.unwrap_err();
    assert_eq!((problem.code, bed.asked()), (Code::NoSubject, 2));
    assert!(problem.detail.contains("has run out"), "{}", problem.detail);
    // The owner comes back.
    bed.get(&narrow).await.unwrap();
    assert_eq!(bed.get(&owner("idp:alice", &task)).await, Ok("Bearer t3".into()));
}

#[tokio::test]
async fn what_the_target_refuses_is_dropped_and_fetched_once_more_if_its_caller_is_here() {
    let bed = Bed::new();
    let (alice, task) = (caller("idp:alice", Some("alices")), TaskId::from("task-1"));
    let first = bed.tokens.get(&alice).await.unwrap();
    bed.tokens.entrust(&alice, &task);
    assert_eq!(bed.tokens.renewed(&alice, &first).await.map(text).as_deref(), Some("Bearer t2"));
    let second = bed.tokens.get(&alice).await.unwrap();
    assert_eq!((bed.tokens.renewed(&alice, &second).await, bed.asked()), (None, 2), "not all the time");
    let task = owner("idp:alice", &task);
    assert_eq!(bed.tokens.renewed(&task, &second).await, None);
    assert_eq!((bed.get(&task).await, bed.asked()), (Err(Code::NoSubject), 2));
    bed.pass(31);
    assert_eq!(bed.get(&alice).await, Ok("Bearer t3".into()));
    // What the server does not renew is not shown again either.
    *bed.endpoint.down.lock() = true;
    bed.pass(31);
    let third = bed.tokens.get(&alice).await.unwrap();
    assert_eq!(bed.tokens.renewed(&alice, &third).await, None);
    assert_eq!(bed.get(&alice).await, Err(Code::CredentialUnavailable));
}

#[tokio::test]
async fn as_many_are_kept_as_there_is_room_for() {
    let bed = Bed::new();
    let tokens: Vec<String> = (0..MOST + 10).map(|number| format!("token-{number}")).collect();
    for token in &tokens {
        bed.get(&caller("idp:alice", Some(token))).await.unwrap();
    }
    assert_eq!(bed.tokens.0.kept.lock().slots.len(), MOST);
    let last = tokens.last().unwrap();
    assert!(bed.tokens.ready(&caller("idp:alice", Some(last))).is_some());
    bed.pass(91);
    bed.get(&caller("idp:bob", Some("bobs"))).await.unwrap();
    assert_eq!(bed.tokens.0.kept.lock().slots.len(), 1, "what has run out goes first");
}
