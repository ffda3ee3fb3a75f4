//! Whose tasks they are, under which id, and that there is one row of each.

use std::sync::atomic::{AtomicU64, Ordering};

use moongate_core::task::Command;
use moongate_core::{Mono, Time};

use super::*;

#[derive(Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(1, Ordering::Relaxed) + 1_000)
    }

    fn mono(&self) -> Mono {
        Mono(0)
    }
}

/// Hides nothing; the tests look at what is decided, not at what is written.
struct Glass;

impl Vault for Glass {
    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        plain.to_vec()
    }

    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        Some(sealed.to_vec())
    }

    fn derive(&self, _purpose: &str) -> [u8; 32] {
        [0; 32]
    }

    fn mac(&self, _purpose: &str, _message: &[u8]) -> [u8; 32] {
        [0; 32]
    }
}

fn tasks() -> Tasks {
    let store = moongate_store::open("memory:", std::path::Path::new("/")).unwrap();
    Tasks::new(store, Arc::new(Ticking::default()), Arc::new(Glass))
}

fn terms() -> Terms {
    let request = request::write(&[], None, br#"{"message":{"messageId":"mine","parts":[{"text":"do"}]}}"#);
    Terms { timeouts: Timeouts::default(), priority: 4, request, config: None }
}

fn sighting<'a>(id: &'a str, agent: &str, state: &str) -> Sighting<'a> {
    let document = format!(r#"{{"id":"{id}","contextId":"c","status":{{"state":"TASK_STATE_{state}"}}}}"#);
    let value: Value = serde_json::from_str(&document).unwrap();
    Sighting {
        upstream_id: id,
        context: Some("c"),
        state: fold::task_state(&value),
        document: document.into(),
        agent: agent.into(),
        instance: agent.into(),
        skill: None,
        terms: terms(),
        relaxed: false,
    }
}

fn stranger() -> Principal {
    let mut other = Principal::local("home");
    other.id = "other".into();
    other
}

#[tokio::test]
async fn an_agent_cannot_squat_anothers_task_id() {
    let tasks = tasks();
    let me = Principal::local("home");
    let (first, _) = tasks.sight(&me, sighting("t1", "lights", "WORKING")).await.unwrap();
    let (second, new) = tasks.sight(&me, sighting("t1", "lock", "WORKING")).await.unwrap();
    assert!(new);
    assert_eq!(first.id.as_str(), "t1");
    assert_ne!(second.id.as_str(), "t1");
    assert_eq!(second.upstream_id().as_str(), "t1");
    assert_eq!(second.value()["id"], second.id.as_str(), "its document says the id that clients see");
    let (again, new) = tasks.sight(&me, sighting("t1", "lock", "WORKING")).await.unwrap();
    assert!(!new && Arc::ptr_eq(&again, &second));
    let id = second.id.clone();
    drop((again, second));
    let (again, new) = tasks.sight(&me, sighting("t1", "lock", "WORKING")).await.unwrap();
    assert!(!new, "also when memory has forgotten it");
    assert_eq!(again.id, id);
}

#[tokio::test]
async fn a_strangers_task_and_conversation_are_not_seen() {
    let tasks = tasks();
    let me = Principal::local("home");
    tasks.sight(&me, sighting("t1", "lights", "WORKING")).await.unwrap();
    let other = stranger();
    assert!(matches!(tasks.owned(&other, "t1"), Owned::No));
    assert!(tasks.recall(&other, &"t1".into()).await.unwrap().is_none());
    assert!(tasks.context_owner(&other, &"c".into()).is_none());
    tasks.recall_context(&other, &"c".into()).await.unwrap();
    assert!(tasks.context_owner(&other, &"c".into()).is_none());
    assert!(matches!(tasks.owned(&me, "t1"), Owned::Yes(_)));
    let (theirs, new) = tasks.sight(&other, sighting("t1", "lights", "WORKING")).await.unwrap();
    assert!(new && theirs.id.as_str() != "t1", "an agent that repeats an id gives nobody another's task");
}

#[tokio::test]
async fn there_is_one_row_of_a_task_whoever_asks() {
    let tasks = Arc::new(tasks());
    let me = Principal::local("home");
    tasks.sight(&me, sighting("t1", "lights", "WORKING")).await.unwrap();
    // Enough others that memory forgets it.
    for n in 0..600 {
        tasks.sight(&me, sighting(&format!("o{n}"), "lights", "COMPLETED")).await.unwrap();
    }
    assert!(matches!(tasks.owned(&me, "t1"), Owned::No), "it is in the store only");
    let asked = (0..64).map(|_| {
        let (tasks, me) = (tasks.clone(), me.clone());
        tokio::spawn(async move { tasks.recall(&me, &"t1".into()).await.unwrap().unwrap() })
    });
    let rows: Vec<Arc<Row>> = futures_util::future::try_join_all(asked).await.unwrap();
    assert!(rows.iter().all(|row| Arc::ptr_eq(row, &rows[0])));
    assert_eq!(rows[0].value()["history"][0]["messageId"], "mine", "the user's message is known from the request");
    assert!(tasks.in_memory() < 600);
}

#[tokio::test]
async fn what_happens_is_numbered_saved_and_read_again_from_any_point() {
    let tasks = tasks();
    let me = Principal::local("home");
    let (row, _) = tasks.sight(&me, sighting("t1", "lights", "WORKING")).await.unwrap();
    row.expect_message(&Bytes::from_static(br#"{"message":{"messageId":"mine","parts":[{"text":"do"}]}}"#));
    for n in 0..5 {
        let event = format!(
            r#"{{"artifactUpdate":{{"taskId":"t1","append":{},"artifact":{{"artifactId":"a","parts":[{{"text":"{n}"}}]}}}}}}"#,
            n > 0
        );
        assert_eq!(row.event(&event.into()).unwrap(), Some(n + 2));
    }
    control::end(&row, TaskState::Completed, "done").unwrap();
    assert!(control::end(&row, TaskState::Failed, "again").is_err());
    row.saved().await.unwrap();
    let numbers = |events: VecDeque<Arc<Recorded>>| events.iter().map(|event| event.seq).collect::<Vec<_>>();
    assert_eq!(numbers(row.events_after(0).await.unwrap()), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(numbers(row.events_after(5).await.unwrap()), [6, 7]);
    assert!(row.events_after(7).await.unwrap().is_empty());
    let stored = tasks.store().tasks().get(None, "t1".into()).await.unwrap().unwrap();
    assert_eq!(doc::Doc::stored(&stored).value(), &row.value(), "folded events are the task as it stands");
}

#[tokio::test]
async fn large_tasks_do_not_stay_in_memory_for_long() {
    let tasks = tasks();
    let me = Principal::local("home");
    let large = "x".repeat(3 << 20);
    let mut held = Vec::new();
    for n in 0..12 {
        let id = format!("t{n}");
        let mut sighting = sighting(&id, "a", "WORKING");
        sighting.document = format!(r#"{{"id":"{id}","contextId":"{large}","status":{{}}}}"#).into();
        held.push(tasks.sight(&me, sighting).await.unwrap().0);
    }
    assert_eq!(tasks.in_memory(), 12, "what somebody needs stays");
    held.clear();
    tasks.sight(&me, sighting("small", "a", "WORKING")).await.unwrap();
    assert!(tasks.in_memory() <= 6, "{} rows of 3 MiB are here", tasks.in_memory());
    assert!(matches!(tasks.owned(&me, "small"), Owned::Yes(_)));
    // What has grown by its events counts as large.
    let (row, _) = tasks.sight(&me, sighting("grown", "a", "WORKING")).await.unwrap();
    for _ in 0..6 {
        let parts = format!(r#"[{{"text":"{large}"}}]"#);
        let event =
            format!(r#"{{"artifactUpdate":{{"taskId":"grown","artifact":{{"artifactId":"a","parts":{parts}}}}}}}"#);
        row.event(&event.into()).unwrap();
        row.saved().await.unwrap();
    }
    drop(row);
    tasks.sight(&me, sighting("next", "a", "WORKING")).await.unwrap();
    assert!(matches!(tasks.owned(&me, "grown"), Owned::No), "it is in the store alone");
}

#[tokio::test]
async fn a_claim_that_was_overtaken_is_not_taken_up() {
    let tasks = tasks();
    let me = Principal::local("home");
    let order = Order {
        id: tasks.fresh_id(),
        agent: "a".into(),
        skill: None,
        context: "c".into(),
        document: serde_json::json!({"history": []}),
        idempotency: None,
        held: None,
        most_waiting: 9,
        terms: terms(),
    };
    let Placed::New(row, _) = tasks.place(&me, order).await.unwrap() else { panic!("it is new") };
    let claim = || moongate_core::seam::tasks::Claim {
        agent: "a".into(),
        worker: "w".into(),
        now: Time(1_000_000),
        until: Time(2_000_000),
        limit: 9,
    };
    let mut claimed = tasks.store().tasks().claim(claim()).await.unwrap();
    row.change(Command::Pause(true), Told::default()).unwrap();
    row.change(Command::Resume, Told::default()).unwrap();
    row.saved().await.unwrap();
    assert!(tasks.take_up(claimed.remove(0)).await.is_none(), "it was paused and let go again since");
    let mut again = tasks.store().tasks().claim(claim()).await.unwrap();
    let taken = tasks.take_up(again.remove(0)).await.expect("the next claim is the one");
    assert_eq!(taken.phase(), Phase::Sending);
}
