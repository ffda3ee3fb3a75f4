//! Channels over a real desk and store: told once, tried again, found again after a restart, taken back when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moongate_approval::channels::{About, Channel, Channels};
use moongate_approval::desk::{Answer, Terms};
use moongate_approval::document::digest;
use moongate_core::approval::{Class, State};
use moongate_core::seam::Later;
use moongate_core::seam::notifier::{Notice, Notifier};
use moongate_core::{Code, Problem};
use moongate_telemetry::Metrics;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Scene, asked, scene, terms};

/// A channel that remembers what it was told, and takes nothing while it is broken.
struct Phone {
    told: watch::Sender<Vec<Notice>>,
    counts: Mutex<Vec<usize>>,
    tries: watch::Sender<usize>,
    broken: AtomicBool,
}

impl Phone {
    fn new() -> Arc<Self> {
        let (told, tries) = (watch::Sender::default(), watch::Sender::default());
        Arc::new(Self { told, tries, counts: Mutex::default(), broken: AtomicBool::new(false) })
    }

    async fn until(&self, what: &str, enough: impl FnMut(&Vec<Notice>) -> bool) -> Vec<(String, State)> {
        let mut told = self.told.subscribe();
        let all = tokio::time::timeout(Duration::from_secs(30), told.wait_for(enough)).await;
        let all = all.unwrap_or_else(|_| panic!("{what}: {:?}", self.told.borrow())).unwrap();
        all.iter().map(|notice| (notice.id.to_string(), notice.state)).collect()
    }

    async fn tried(&self, times: usize) {
        let mut tries = self.tries.subscribe();
        tokio::time::timeout(Duration::from_secs(30), tries.wait_for(|tried| *tried >= times)).await.unwrap().unwrap();
    }
}

impl Notifier for Phone {
    fn follows(&self) -> bool {
        true
    }

    fn tell<'a>(&'a self, notice: &'a Notice) -> Later<'a, Result<(), Problem>> {
        Box::pin(async move {
            self.tries.send_modify(|tries| *tries += 1);
            if self.broken.load(Ordering::SeqCst) {
                return Err(Problem::new(Code::NotTold, "it is broken"));
            }
            self.told.send_modify(|told| told.push(notice.clone()));
            Ok(())
        })
    }

    fn count(&self, open: usize) -> Later<'_, Result<(), Problem>> {
        self.counts.lock().push(open);
        Box::pin(std::future::ready(Ok(())))
    }
}

fn channels(scene: &Scene, metrics: &Arc<Metrics>, phones: &[(&str, &Arc<Phone>, About)]) -> Channels {
    let channels = Channels::new(scene.desk.clone(), scene.clock.clone(), metrics.clone());
    let made = phones.iter().map(|(name, phone, about)| {
        let notifier: Arc<dyn Notifier> = (*phone).clone();
        Channel { name: (*name).into(), kind: "phone", about: about.clone(), notifier }
    });
    channels.replace(made.collect());
    channels
}

async fn announced(scene: &Scene, who: &str, task: &str, class: Class) -> String {
    let terms = Terms { class, ..terms() };
    let question = scene.desk.ask(&asked(who, task), &terms, &digest(b"{}")).await.unwrap();
    scene.desk.announce(&question);
    question.approval.id.to_string()
}

#[tokio::test]
async fn people_are_told_that_something_waits_and_that_it_is_over() {
    let (scene, metrics, phone, other) = (scene().await, Arc::new(Metrics::new()), Phone::new(), Phone::new());
    let critical = About { class: Some(Class::Critical), rules: Vec::new() };
    let _channels = channels(&scene, &metrics, &[("phone", &phone, About::default()), ("door", &other, critical)]);
    let first = announced(&scene, "home:a", "t-1", Class::Sensitive).await;
    // Of the same moment, neither is the older one.
    scene.wait(Duration::from_millis(1));
    let second = announced(&scene, "home:b", "t-2", Class::Critical).await;
    let told = phone.until("both are told", |told| told.len() == 2).await;
    assert_eq!(told, [(first.clone(), State::Pending), (second.clone(), State::Pending)]);
    scene.desk.decide(&first, "home:alice".into(), Answer::No).await.unwrap();
    scene.desk.decide(&second, "home:alice".into(), Answer::Passkey(serde_json::json!({}))).await.unwrap();
    let told = phone.until("both ends are told", |told| told.len() == 4).await;
    assert_eq!(told[2..], [(first, State::Denied), (second.clone(), State::Approved)]);
    let told = other.until("the critical one", |told| told.len() == 2).await;
    assert_eq!(told, [(second.clone(), State::Pending), (second, State::Approved)], "and no other");
    let text = metrics.encode();
    assert!(text.contains("moongate_approval_notifications_total{channel=\"phone\",result=\"told\"} 4"), "{text}");
}

#[tokio::test]
async fn what_nobody_was_told_of_is_told_after_a_restart_and_nothing_twice() {
    let (mut scene, metrics, phone) = (scene().await, Arc::new(Metrics::new()), Phone::new());
    let early = announced(&scene, "home:a", "t-1", Class::Sensitive).await;
    let held = channels(&scene, &metrics, &[("phone", &phone, About::default())]);
    phone.until("what waited before there was a channel", |told| told.len() == 1).await;
    phone.broken.store(true, Ordering::SeqCst);
    let late = announced(&scene, "home:b", "t-2", Class::Sensitive).await;
    phone.tried(2).await;
    scene.wait(Duration::from_secs(1));
    phone.tried(3).await;
    assert_eq!(held.view()[0]["trouble"], "it is broken");
    drop(held);
    scene = scene.restarted().await;
    let again = Phone::new();
    let _held = channels(&scene, &metrics, &[("phone", &again, About::default())]);
    let told = again.until("the one that failed", |told| !told.is_empty()).await;
    assert_eq!(told, [(late, State::Pending)], "{early} was told before");
    scene.desk.decide(&early, "home:alice".into(), Answer::No).await.unwrap();
    let told = again.until("its end", |told| told.len() == 2).await;
    assert_eq!(told[1], (early, State::Denied), "a channel knows what an earlier run told of");
    assert_eq!(again.counts.lock().first(), Some(&2));
}

#[tokio::test]
async fn a_channel_that_hangs_holds_up_nobody() {
    struct Deaf;
    impl Notifier for Deaf {
        fn tell<'a>(&'a self, _: &'a Notice) -> Later<'a, Result<(), Problem>> {
            Box::pin(std::future::pending())
        }
    }
    let (scene, metrics, phone) = (scene().await, Arc::new(Metrics::new()), Phone::new());
    let channels = Channels::new(scene.desk.clone(), scene.clock.clone(), metrics.clone());
    let channel = |name: &str, notifier: Arc<dyn Notifier>| Channel {
        name: name.into(),
        kind: "phone",
        about: About::default(),
        notifier,
    };
    channels.replace(vec![channel("deaf", Arc::new(Deaf)), channel("phone", phone.clone())]);
    for n in 0..3000 {
        announced(&scene, &format!("home:{n}"), &format!("t-{n}"), Class::Sensitive).await;
    }
    let told = phone.until("all, although more came than the ring holds", |told| told.len() == 3000).await;
    let ids: std::collections::BTreeSet<_> = told.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 3000, "each once");
}

#[tokio::test]
async fn a_question_that_was_never_asked_is_told_to_nobody() {
    let (scene, metrics, phone) = (scene().await, Arc::new(Metrics::new()), Phone::new());
    let channels = channels(&scene, &metrics, &[("phone", &phone, About::default())]);
    phone.until("nothing", Vec::is_empty).await;
    let question = scene.ask(&asked("home:a", "t-1")).await;
    scene.desk.take_back(&question.approval.id).await.unwrap();
    let real = announced(&scene, "home:a", "t-2", Class::Sensitive).await;
    let told = phone.until("the real one", |told| !told.is_empty()).await;
    assert_eq!(told, [(real, State::Pending)]);
    assert_eq!((scene.desk.open_questions(), channels.view()[0]["failed"].as_u64()), (1, Some(0)));
}
