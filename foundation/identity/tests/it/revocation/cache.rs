//! The cache: sources that come and go, a store that keeps, a clock that the test moves.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use moongate_core::seam::records::{Broken, Page, Record, Records, Work};
use moongate_core::seam::{Clock, Dialer, Fetch, Fetched, Later, Registry, Store, tasks};
use moongate_core::{Code, Mono, Problem, Time};
use moongate_identity::revocation::{
    Authorities, CrlRefused, Event, Policy, Revocations, Seams, Settings, Source, State,
};
use parking_lot::Mutex;

use super::handshake::{Heard, client_comes, listener};
use super::zoo::{FRESH, Made, Zoo};
use crate::support::{DAY_MS, NOW};

const URL: &str = "http://lists.example/root.crl";
const HOUR_MS: u64 = 3_600_000;

/// Rows in memory; may fail.
#[derive(Default)]
struct Shelf {
    rows: Mutex<BTreeMap<(String, String), Record>>,
    broken: AtomicBool,
}

struct Open(RefCell<BTreeMap<(String, String), Record>>);

impl Page for Open {
    fn record(&self, kind: &str, key: &str) -> Result<Option<Record>, Broken> {
        Ok(self.0.borrow().get(&(kind.to_owned(), key.to_owned())).cloned())
    }

    fn put(&self, kind: &str, record: &Record) -> Result<(), Broken> {
        self.0.borrow_mut().insert((kind.to_owned(), record.key.clone()), record.clone());
        Ok(())
    }

    fn remove(&self, kind: &str, key: &str) -> Result<bool, Broken> {
        Ok(self.0.borrow_mut().remove(&(kind.to_owned(), key.to_owned())).is_some())
    }

    fn group(&self, kind: &str, group: &str) -> Result<Vec<Record>, Broken> {
        let rows = self.0.borrow();
        let own = rows.iter().filter(|((of, _), row)| of == kind && row.group.as_deref() == Some(group));
        Ok(own.map(|(_, row)| row.clone()).collect())
    }

    fn after(&self, _kind: &str, _key: &str, _limit: usize) -> Result<Vec<Record>, Broken> {
        Err(Broken)
    }

    fn sweep(&self, _now: Time) -> Result<u64, Broken> {
        Err(Broken)
    }
}

impl Records for Shelf {
    fn change(&self, mut work: Work) -> Later<'_, Result<(), Problem>> {
        Box::pin(async move {
            if self.broken.load(Ordering::SeqCst) {
                return Err(Problem::new(Code::StoreUnusable, "the disk is full"));
            }
            let page = Open(RefCell::new(self.rows.lock().clone()));
            work(&page).map_err(|_| Problem::new(Code::StoreUnusable, "broken"))?;
            *self.rows.lock() = page.0.into_inner();
            Ok(())
        })
    }

    fn look(&self, work: Work) -> Later<'_, Result<(), Problem>> {
        self.change(work)
    }
}

impl Store for Shelf {
    fn registry(&self) -> &dyn Registry {
        panic!("not asked for")
    }

    fn tasks(&self) -> &dyn tasks::Tasks {
        panic!("not asked for")
    }

    fn records(&self) -> &dyn Records {
        self
    }

    fn inspect(&self) -> Later<'_, Result<Vec<String>, Problem>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn backup(&self, _to: PathBuf) -> Later<'_, Result<(), Problem>> {
        panic!("not asked for")
    }

    fn health(&self) -> Result<(), Problem> {
        Ok(())
    }
}

/// A clock that stands until it is moved.
struct Stopped(AtomicU64);

impl Clock for Stopped {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }

    fn mono(&self) -> Mono {
        Mono(self.now().0 * 1000)
    }
}

/// Answers in turn; unreachable without one.
#[derive(Default)]
struct Web {
    answers: Mutex<VecDeque<Fetched>>,
    asked: Mutex<Vec<Fetch>>,
}

impl Web {
    fn will_say(&self, status: u16, headers: &[(&str, &str)], body: &[u8]) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.answers.lock().push_back(Fetched { status, headers, body: body.to_vec().into() });
    }
}

impl Dialer for Web {
    fn fetch(&self, request: Fetch) -> Later<'_, Result<Fetched, Problem>> {
        self.asked.lock().push(request);
        let answer = self.answers.lock().pop_front();
        Box::pin(async move { answer.ok_or_else(|| Problem::new(Code::AgentUnreachable, "no route")) })
    }
}

/// A cache and what it stands on.
struct Scene {
    zoo: Zoo,
    shelf: Arc<Shelf>,
    clock: Arc<Stopped>,
    web: Arc<Web>,
    heard: Heard,
    cache: Arc<Revocations>,
}

impl Scene {
    fn new(policy: Policy, source: impl FnOnce(&Zoo) -> Source) -> Self {
        let zoo = super::home();
        let (shelf, web) = (Arc::<Shelf>::default(), Arc::<Web>::default());
        let clock = Arc::new(Stopped(AtomicU64::new(NOW.0)));
        let source = source(&zoo);
        let (heard, cache) = cache(&zoo, &shelf, &clock, &web, policy, source);
        Self { zoo, shelf, clock, web, heard, cache }
    }

    /// The same with an empty memory, after a restart.
    fn again(self, policy: Policy, source: Source) -> Self {
        let web = Arc::<Web>::default();
        let (heard, cache) = cache(&self.zoo, &self.shelf, &self.clock, &web, policy, source);
        Self { heard, cache, web, ..self }
    }

    fn pass(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
    }

    fn comes_in(&self, name: &str) -> bool {
        client_comes(&self.zoo, &[name], &self.cache.snapshot(), self.clock.now()).is_ok()
    }

    fn heard(&self) -> Vec<Event> {
        std::mem::take(&mut *self.heard.lock())
    }
}

fn cache(
    zoo: &Zoo,
    shelf: &Arc<Shelf>,
    clock: &Arc<Stopped>,
    web: &Arc<Web>,
    policy: Policy,
    source: Source,
) -> (Heard, Arc<Revocations>) {
    let (heard, hook) = listener();
    let settings = Settings {
        domain: "home.example".to_owned(),
        authorities: Authorities::new(&[zoo.certificate("root")]).unwrap(),
        sources: vec![source],
        policy,
    };
    let seams = Seams { store: shelf.clone(), clock: clock.clone(), dialer: web.clone(), hook };
    (heard, Revocations::new(settings, seams))
}

fn url(_: &Zoo) -> Source {
    Source::Url(URL.to_owned())
}

#[tokio::test]
async fn a_list_is_fetched_and_enforced_and_refreshed_ahead_of_its_end() {
    let scene = Scene::new(Policy::Hard, url);
    assert_eq!(scene.cache.restore().await.unwrap(), 0);
    let mut epochs = scene.cache.changes();
    assert!(!scene.comes_in("lamp"));
    let day = Made { from: "20260831220000Z", to: "20260901020000Z", extensions: "list" };
    scene.web.will_say(200, &[("etag", "\"one\"")], &scene.zoo.list("root", day));
    let next = scene.cache.tick().await;
    assert!(scene.comes_in("lamp"));
    assert!(epochs.has_changed().unwrap());
    let before = *epochs.borrow_and_update();
    assert!(before >= 1 && before == scene.cache.snapshot().epoch());
    let asked = scene.web.asked.lock()[0].clone();
    assert_eq!((asked.url.as_str(), asked.limit, asked.egress.is_none()), (URL, 16 << 20, true));
    // Half of its four hours is over: it is looked after well before the end, in two hours.
    assert!(next.0 > NOW.0 && next.0 <= NOW.0 + HOUR_MS / 2, "{next:?}");

    scene.zoo.revoke("lamp", "root");
    scene.pass(next.0 - NOW.0);
    let newer = Made { from: "20260901000000Z", ..FRESH };
    scene.web.will_say(200, &[], &scene.zoo.list("root", newer));
    scene.cache.tick().await;
    let again = scene.web.asked.lock()[1].clone();
    assert!(again.headers.contains(&("if-none-match".to_owned(), "\"one\"".to_owned())));
    assert!(!scene.comes_in("lamp") && scene.comes_in("host"));
    assert!(*epochs.borrow_and_update() > before);
    let accepted = scene.heard().iter().filter(|event| matches!(event, Event::Accepted { .. })).count();
    assert_eq!(accepted, 2);
}

#[tokio::test]
async fn a_restart_without_network_enforces_the_same() {
    let scene = Scene::new(Policy::Hard, url);
    scene.zoo.revoke("lamp", "root");
    scene.web.will_say(200, &[], &scene.zoo.list("root", FRESH));
    scene.cache.tick().await;
    let scene = scene.again(Policy::Hard, Source::Url(URL.to_owned()));
    assert!(!scene.comes_in("host"), "nothing is known yet");
    assert_eq!(scene.cache.restore().await.unwrap(), 1);
    scene.cache.tick().await;
    assert!(scene.comes_in("host") && !scene.comes_in("lamp"));
    assert!(scene.heard().iter().any(|event| matches!(event, Event::Unreachable { .. })));
    // Nor does the old list come back after it.
    scene.zoo.number("root", "0FFF");
    scene.web.will_say(200, &[], &scene.zoo.list("root", FRESH));
    scene.pass(10_000);
    scene.cache.tick().await;
    let heard = scene.heard();
    assert!(matches!(&heard[..], [Event::Refused { reason: CrlRefused::RolledBack, .. }]), "{heard:?}");
    assert!(!scene.comes_in("lamp"));
}

#[tokio::test]
async fn a_clock_that_went_back_forgets_nothing() {
    let scene = Scene::new(Policy::Hard, url);
    scene.zoo.revoke("lamp", "root");
    scene.web.will_say(200, &[], &scene.zoo.list("root", FRESH));
    scene.cache.tick().await;
    let scene = scene.again(Policy::Hard, Source::Url(URL.to_owned()));
    scene.clock.0.store(NOW.0 - 60 * DAY_MS, Ordering::SeqCst);
    assert_eq!(scene.cache.restore().await.unwrap(), 1);
    assert!(scene.comes_in("host") && !scene.comes_in("lamp"));
}

#[tokio::test]
async fn a_source_that_is_down_is_asked_again_later_and_later_and_told_once() {
    let scene = Scene::new(Policy::Hard, url);
    let mut waits = Vec::new();
    for _ in 0..5 {
        let now = scene.clock.now();
        let next = scene.cache.tick().await;
        waits.push(next.since(now).as_secs());
        scene.pass(next.since(now).as_millis().try_into().unwrap());
    }
    assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
    assert!(waits[0] >= 4 && waits[4] <= 80);
    let down = scene.heard().iter().filter(|event| matches!(event, Event::Unreachable { .. })).count();
    assert_eq!(down, 1);
    // And when it is back, all is well.
    scene.web.will_say(200, &[], &scene.zoo.list("root", FRESH));
    scene.cache.tick().await;
    assert!(scene.comes_in("lamp"));
}

#[tokio::test]
async fn not_modified_is_an_answer_after_a_failure_too() {
    let scene = Scene::new(Policy::Hard, url);
    scene.web.will_say(200, &[("last-modified", "Tue, 01 Sep 2026 00:00:00 GMT")], &scene.zoo.list("root", FRESH));
    scene.cache.tick().await;
    scene.pass(HOUR_MS);
    scene.web.will_say(503, &[], b"");
    scene.cache.tick().await;
    scene.pass(HOUR_MS);
    scene.web.will_say(304, &[], b"");
    let now = scene.clock.now();
    let next = scene.cache.tick().await;
    assert!(next.since(now).as_secs() > 3000, "back to the slow pace");
    let asked = scene.web.asked.lock()[2].clone();
    assert!(asked.headers.iter().any(|(name, _)| name == "if-modified-since"));
    assert!(scene.comes_in("lamp"));
}

#[tokio::test]
async fn forgeries_and_errors_leave_the_list_at_hand_in_force() {
    let scene = Scene::new(Policy::Hard, url);
    scene.zoo.revoke("lamp", "root");
    scene.web.will_say(200, &[], &scene.zoo.list("root", FRESH));
    scene.cache.tick().await;
    let epoch = scene.cache.snapshot().epoch();
    scene.heard();
    let forged = Zoo::new().list("root", FRESH);
    for (status, body) in [(200, &forged[..]), (200, b"<html>"), (404, b""), (304, b""), (301, b""), (200, b"")] {
        scene.web.will_say(status, &[], body);
        scene.pass(2 * HOUR_MS);
        scene.cache.tick().await;
        assert!(scene.comes_in("host") && !scene.comes_in("lamp"), "{status}");
    }
    assert_eq!(scene.cache.snapshot().epoch(), epoch);
    assert!(scene.heard().iter().all(|event| matches!(event, Event::Refused { .. } | Event::Unreachable { .. })));
}

#[tokio::test]
async fn time_alone_changes_how_a_list_stands_and_the_epoch() {
    let scene = Scene::new(super::SOFT, url);
    let short = Made { to: "20260901060000Z", ..FRESH };
    scene.web.will_say(200, &[], &scene.zoo.list("root", short));
    scene.cache.tick().await;
    let fresh = scene.cache.snapshot().epoch();
    scene.heard();
    let mut states = Vec::new();
    for hours in [6, 48] {
        scene.pass(hours * HOUR_MS);
        scene.cache.tick().await;
        for event in scene.heard() {
            if let Event::Turned { state, .. } = event {
                states.push(state);
            }
        }
    }
    let end = NOW.0 + 6 * HOUR_MS;
    let (since, until) = (Time(end), Time(end + 48 * HOUR_MS));
    assert_eq!(states, [State::Grace { since, until }, State::Expired { since }]);
    assert_eq!(scene.cache.snapshot().epoch(), fresh + 2);
    assert!(!scene.comes_in("lamp"));
}

#[tokio::test]
async fn a_file_is_seen_within_seconds_of_its_change() {
    let scene = Scene::new(Policy::Hard, |zoo| Source::File(zoo.path("published.crl")));
    scene.cache.tick().await;
    assert!(!scene.comes_in("lamp"));
    std::fs::write(scene.zoo.path("published.crl"), scene.zoo.list("root", FRESH)).unwrap();
    scene.pass(1000);
    let next = scene.cache.tick().await;
    assert!(scene.comes_in("lamp"));
    assert_eq!(next.since(scene.clock.now()).as_millis(), 1000);
    scene.zoo.revoke("lamp", "root");
    let newer = scene.zoo.path("newer.crl");
    std::fs::write(&newer, scene.zoo.list("root", FRESH)).unwrap();
    std::fs::rename(newer, scene.zoo.path("published.crl")).unwrap();
    scene.pass(1000);
    scene.cache.tick().await;
    assert!(!scene.comes_in("lamp"));
    // A file that has gone takes no list with it.
    std::fs::remove_file(scene.zoo.path("published.crl")).unwrap();
    scene.pass(1000);
    scene.cache.tick().await;
    assert!(scene.comes_in("host") && !scene.comes_in("lamp"));
    assert!(scene.web.asked.lock().is_empty());
}

#[tokio::test]
async fn a_list_that_begins_in_a_moment_is_taken_then() {
    let scene = Scene::new(Policy::Hard, |zoo| Source::File(zoo.path("published.crl")));
    let soon = Made { from: "20260901000002Z", ..FRESH };
    std::fs::write(scene.zoo.path("published.crl"), scene.zoo.list("root", soon)).unwrap();
    scene.cache.tick().await;
    assert!(!scene.comes_in("lamp"));
    scene.pass(2000);
    scene.cache.tick().await;
    assert!(scene.comes_in("lamp"));
}

#[tokio::test]
async fn a_store_that_fails_delays_no_revocation_and_is_tried_again() {
    let scene = Scene::new(Policy::Hard, url);
    scene.shelf.broken.store(true, Ordering::SeqCst);
    assert!(scene.cache.restore().await.is_err());
    scene.zoo.revoke("lamp", "root");
    scene.web.will_say(200, &[], &scene.zoo.list("root", FRESH));
    scene.cache.tick().await;
    assert!(scene.comes_in("host") && !scene.comes_in("lamp"));
    assert!(scene.heard().iter().any(|event| matches!(event, Event::Unsaved { .. })));
    assert!(scene.shelf.rows.lock().is_empty());
    scene.shelf.broken.store(false, Ordering::SeqCst);
    scene.cache.tick().await;
    assert_eq!(scene.shelf.rows.lock().len(), 1);
}
