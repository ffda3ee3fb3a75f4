//! Questions over a real store: asked within limits, decided once, used once, and there after a restart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod channels;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moongate_approval::desk::{Answer, Terms};
use moongate_approval::document::digest;
use moongate_approval::{Asked, Desk, Limits, Stored};
use moongate_core::approval::{Class, State};
use moongate_core::seam::{Clock, Store};
use moongate_core::{Code, Mono, Retry, Time};
use serde_json::json;

struct Moment(AtomicU64);

impl Clock for Moment {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }

    fn mono(&self) -> Mono {
        Mono(self.0.load(Ordering::SeqCst) * 1000)
    }
}

struct Scene {
    clock: Arc<Moment>,
    store: Arc<dyn Store>,
    desk: Arc<Desk>,
}

async fn scene() -> Scene {
    let clock = Arc::new(Moment(AtomicU64::new(1_000)));
    let store = moongate_store::open("memory:", Path::new("/")).unwrap();
    let desk = Desk::open(store.clone(), clock.clone(), Limits::default()).await.unwrap();
    Scene { clock, store, desk }
}

impl Scene {
    fn wait(&self, span: Duration) {
        self.clock.0.fetch_add(u64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
    }

    async fn ask(&self, asked: &Asked) -> Stored {
        self.desk.ask(asked, &terms(), &digest(b"{}")).await.unwrap()
    }

    async fn restarted(self) -> Self {
        let desk = Desk::open(self.store.clone(), self.clock.clone(), Limits::default()).await.unwrap();
        Self { desk, ..self }
    }
}

fn asked(requester: &str, task: &str) -> Asked {
    Asked {
        requester: requester.into(),
        operation: "send".into(),
        agent: "lock".into(),
        skill: Some("door.open".into()),
        task: task.into(),
        params: json!({"message": {"parts": [{"text": "open"}]}}),
        callbacks: Vec::new(),
        extensions: Vec::new(),
        place: "here".into(),
        policy: "rules 1".into(),
    }
}

fn terms() -> Terms {
    Terms { rule: "doors".into(), class: Class::Sensitive, needed: 1, wait: Duration::from_secs(120), held: false }
}

#[tokio::test]
async fn a_yes_is_used_once_however_many_try() {
    let scene = scene().await;
    let request = asked("home:mallory", "t-1");
    let id = scene.ask(&request).await.approval.id;
    assert_eq!(scene.desk.consume(&id, &request).await.unwrap_err().code, Code::Unconfirmed, "nobody has said yes");

    let decide = |n: usize| {
        let (desk, id) = (scene.desk.clone(), id.clone());
        tokio::spawn(async move { desk.decide(&id, format!("person {n}").into(), Answer::Secret).await })
    };
    let answers: Vec<_> = (0..100).map(decide).collect();
    let mut counted = 0;
    for answer in answers {
        match answer.await.unwrap() {
            Ok(stored) => counted += usize::from(stored.approval.state == State::Approved),
            Err(problem) => assert_eq!(problem.code, Code::QuestionDecided),
        }
    }
    assert_eq!(counted, 1);

    let consume = |_| {
        let (desk, id, request) = (scene.desk.clone(), id.clone(), request.clone());
        tokio::spawn(async move { desk.consume(&id, &request).await.is_ok() })
    };
    let tries: Vec<_> = (0..100).map(consume).collect();
    let mut granted = 0;
    for one in tries {
        granted += usize::from(one.await.unwrap());
    }
    assert_eq!(granted, 1);
    assert_eq!(scene.desk.find(&id).await.unwrap().unwrap().approval.state, State::Consumed);
}

#[tokio::test]
async fn a_yes_is_for_the_very_request_under_the_very_rules() {
    let scene = scene().await;
    for (n, other) in [
        Asked { params: json!({"message": {"parts": [{"text": "open all"}]}}), ..asked("home:a", "t") },
        Asked { agent: "garage".into(), ..asked("home:a", "t") },
        Asked { policy: "rules 2".into(), ..asked("home:a", "t") },
        Asked { requester: "home:b".into(), ..asked("home:a", "t") },
    ]
    .into_iter()
    .enumerate()
    {
        let id = scene.ask(&asked("home:a", "t")).await.approval.id;
        scene.desk.decide(&id, "home:alice".into(), Answer::Passkey(json!({}))).await.unwrap();
        assert_eq!(scene.desk.consume(&id, &other).await.unwrap_err().code, Code::Unconfirmed, "{n}");
        let state = scene.desk.find(&id).await.unwrap().unwrap().approval.state;
        assert_eq!(state, State::Cancelled, "{n}: the yes is void, for the right request too");
    }
}

#[tokio::test]
async fn other_rules_end_what_waits_under_the_former_ones_at_once() {
    let scene = scene().await;
    let (open, yes) = (scene.ask(&asked("home:a", "t-1")).await, scene.ask(&asked("home:b", "t-2")).await);
    scene.desk.decide(&yes.approval.id, "home:alice".into(), Answer::Passkey(json!({}))).await.unwrap();
    assert_eq!(scene.desk.rules(&asked("home:a", "t").policy).await.unwrap(), 0, "the same rules");
    assert_eq!(scene.desk.rules("other").await.unwrap(), 2);
    for id in [&open.approval.id, &yes.approval.id] {
        assert_eq!(scene.desk.find(id).await.unwrap().unwrap().approval.state, State::Cancelled);
    }
    let late = scene.desk.decide(&open.approval.id, "home:alice".into(), Answer::No).await.unwrap_err();
    assert_eq!(late.code, Code::QuestionDecided);
}

#[tokio::test]
async fn votes_of_whoever_may_not_decide_any_more_count_no_longer() {
    let scene = scene().await;
    let two = Terms { needed: 2, ..terms() };
    let half = scene.desk.ask(&asked("home:a", "t-1"), &two, &digest(b"{}")).await.unwrap().approval.id;
    let whole = scene.ask(&asked("home:a", "t-2")).await.approval.id;
    let going = scene.ask(&asked("home:b", "t-3")).await.approval.id;
    for id in [&half, &whole, &going] {
        scene.desk.decide(id, "home:alice".into(), Answer::Passkey(json!({}))).await.unwrap();
    }
    scene.desk.delivered(&going).await.unwrap();
    scene.desk.forget_of("alice").await.unwrap();
    scene.desk.decide(&half, "home:bob".into(), Answer::Passkey(json!({}))).await.unwrap();
    let state = async |id: &str| scene.desk.find(id).await.unwrap().unwrap().approval.state;
    assert_eq!(state(&half).await, State::Pending, "one of two");
    for (id, task) in [(&whole, "t-2"), (&going, "t-3")] {
        assert_eq!(state(id).await, State::Cancelled, "{task}");
    }
    let told = scene.desk.undelivered().await.unwrap();
    assert_eq!(told.len(), 2, "whoever carries requests out hears of both");
}

#[tokio::test]
async fn a_remembered_yes_answers_the_very_same_until_its_time_and_no_longer_than_allowed() {
    let scene = scene().await;
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    scene.desk.remember_at_most(minutes(15));
    let id = scene.ask(&asked("home:a", "t-0")).await.approval.id;
    let yes = Answer::Passkey(json!({"signed": 1}));
    scene.desk.remember(&id, "home:alice".into(), yes.clone(), minutes(10)).await.unwrap();
    let scene = scene.restarted().await;
    assert_eq!(scene.desk.memories().await.unwrap(), [], "nothing is remembered that is not allowed to be");
    scene.desk.remember_at_most(minutes(15));
    let again = scene.ask(&asked("home:a", "t-1")).await;
    assert_eq!((again.approval.state, again.approval.votes[0].by.as_ref()), (State::Approved, "home:alice"));
    assert_eq!(again.receipts, [json!({"by": "home:alice", "remembered": &*id})]);
    assert!(
        scene.desk.consume(&again.approval.id, &asked("home:a", "t-2")).await.is_err(),
        "each is a question of its own"
    );
    assert_eq!(scene.ask(&asked("home:b", "t-3")).await.approval.state, State::Pending);
    scene.desk.remember_at_most(minutes(0));
    assert_eq!(scene.ask(&asked("home:a", "t-4")).await.approval.state, State::Pending);
    scene.desk.remember_at_most(minutes(15));
    scene.wait(minutes(10));
    assert_eq!(scene.ask(&asked("home:a", "t-5")).await.approval.state, State::Pending);

    // Whoever asks cannot answer by what somebody remembered of them either.
    let own = scene.ask(&asked("home:c", "t-6")).await.approval.id;
    assert!(scene.desk.remember(&own, "home:c".into(), yes.clone(), minutes(1)).await.is_err());
    assert_eq!(scene.desk.memories().await.unwrap(), []);
    scene.desk.remember(&own, "home:alice".into(), yes, minutes(1)).await.unwrap();
    assert_eq!(scene.desk.forget_of("alice").await.unwrap(), 2, "what has run out is swept with it");
    assert_eq!(scene.ask(&asked("home:c", "t-7")).await.approval.state, State::Pending);
}

#[tokio::test]
async fn of_two_people_each_is_remembered_alone() {
    let scene = scene().await;
    scene.desk.remember_at_most(Duration::from_secs(900));
    let two = |task: &'static str| {
        let desk = scene.desk.clone();
        async move { desk.ask(&asked("home:a", task), &Terms { needed: 2, ..terms() }, &digest(b"{}")).await.unwrap() }
    };
    let first = two("t-1").await.approval.id;
    scene.desk.remember(&first, "home:alice".into(), Answer::Secret, Duration::from_secs(60)).await.unwrap();
    let second = two("t-2").await.approval;
    assert_eq!((second.state, second.votes.len()), (State::Pending, 1));
    scene.desk.decide(&second.id, "home:bob".into(), Answer::No).await.unwrap();
    assert!(two("t-3").await.approval.votes.is_empty(), "a no takes back what was said to the very same");
}

#[tokio::test]
async fn nobody_asks_without_end() {
    let scene = scene().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(scene.ask(&asked("home:a", &format!("t-{n}"))).await.approval.id);
    }
    let refused = async |who: &str| scene.desk.ask(&asked(who, "t"), &terms(), &digest(b"")).await.unwrap_err().code;
    assert_eq!(refused("home:a").await, Code::TooManyQuestions);
    scene.ask(&asked("home:b", "t")).await;
    for id in &ids {
        scene.desk.decide(id, "home:alice".into(), Answer::No).await.unwrap();
    }
    for n in 0..7 {
        let id = scene.ask(&asked("home:a", &format!("u-{n}"))).await.approval.id;
        scene.desk.cancel(&id).await.unwrap();
    }
    scene.wait(Duration::from_secs(600));
    let problem = scene.desk.ask(&asked("home:a", "t"), &terms(), &digest(b"")).await.unwrap_err();
    let again = Retry::Later(Some(Duration::from_secs(3000)));
    assert_eq!((problem.code, problem.retry), (Code::TooManyQuestions, again), "ten within an hour");
    scene.desk.limit(1, 12);
    scene.ask(&asked("home:a", "t")).await;
    assert_eq!(refused("home:a").await, Code::TooManyQuestions, "one at a time");
    scene.desk.limit(3, 10);
    scene.wait(Duration::from_secs(3600));
    scene.ask(&asked("home:a", "t")).await;
}

#[tokio::test]
async fn questions_and_what_was_decided_survive_a_restart() {
    let mut scene = scene().await;
    let open = scene.ask(&asked("home:a", "t-open")).await.approval.id;
    let yes = scene.ask(&asked("home:a", "t-yes")).await.approval.id;
    let late = scene.ask(&asked("home:b", "t-late")).await.approval.id;
    scene.desk.decide(&yes, "home:alice".into(), Answer::Passkey(json!({}))).await.unwrap();
    scene = scene.restarted().await;
    let pending = scene.desk.pending().await.unwrap();
    assert_eq!(
        pending.iter().map(Stored::task).collect::<std::collections::BTreeSet<_>>(),
        ["t-late", "t-open"].into()
    );
    let told = scene.desk.undelivered().await.unwrap();
    assert_eq!(told.iter().map(Stored::task).collect::<Vec<_>>(), ["t-yes"]);
    scene.desk.delivered(&yes).await.unwrap();
    scene.desk.decide(&open, "home:alice".into(), Answer::No).await.unwrap();

    scene.wait(Duration::from_secs(120));
    let late_yes = scene.desk.decide(&late, "home:alice".into(), Answer::Passkey(json!({}))).await.unwrap_err();
    assert_eq!(late_yes.code, Code::QuestionDecided, "a late yes counts for nothing");
    scene = scene.restarted().await;
    let told = scene.desk.undelivered().await.unwrap();
    let states: std::collections::BTreeMap<_, _> =
        told.iter().map(|one| (one.task(), one.approval.state.as_str())).collect();
    assert_eq!(
        states,
        [("t-late", "expired"), ("t-open", "denied"), ("t-yes", "expired")].into(),
        "a yes runs out too"
    );
    for one in &told {
        scene.desk.delivered(&one.approval.id).await.unwrap();
    }
    assert!(scene.desk.undelivered().await.unwrap().is_empty() && scene.desk.next().is_none());
    assert_eq!(scene.desk.past(10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_newest_that_are_over_come_first_whenever_they_ended() {
    let scene = scene().await;
    for (n, wait) in [0, 5 * 60, 3 * 3600, 26 * 3600, 60].into_iter().enumerate() {
        scene.wait(Duration::from_secs(wait));
        let id = scene.ask(&asked(&format!("home:{n}"), &format!("t-{n}"))).await.approval.id;
        scene.desk.decide(&id, "home:alice".into(), Answer::No).await.unwrap();
        scene.desk.delivered(&id).await.unwrap();
    }
    for (most, expected) in [(0, vec![]), (3, vec!["t-4", "t-3", "t-2"]), (9, vec!["t-4", "t-3", "t-2", "t-1", "t-0"])]
    {
        let past = scene.desk.past(most).await.unwrap();
        assert_eq!(past.iter().map(Stored::task).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn ten_thousand_questions_wait_at_once() {
    let scene = scene().await;
    for n in 0..10_000 {
        scene.ask(&asked(&format!("home:{}", n / 3), &format!("t-{n}"))).await;
    }
    let scene = scene.restarted().await;
    assert_eq!(scene.desk.pending().await.unwrap().len(), 10_000);
    scene.wait(Duration::from_secs(120));
    assert_eq!(scene.desk.undelivered().await.unwrap().len(), 10_000);
}
