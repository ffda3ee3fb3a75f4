//! One random history told to both engines: they answer alike, all along.
//!
//! The history is made of steps that rooms make, out of what the engines answered before, and of some that no room would
//! make: stale, from a fence that never was, of tasks that do not exist.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use moongate_core::seam::Store;
use moongate_core::seam::tasks::{Created, Filter, PushRow, Saved, Settled, Step};
use moongate_core::task::{Command, Timeouts, apply};
use moongate_core::{AgentName, ContextId, Phase, Task, TaskId, TaskState, Time};

use crate::folder::Folder;
use crate::sample::{claim, config, event, key, new, owned, waiting};
use crate::{Dice, sample};

const STEPS: u64 = 3000;
/// So many names for tasks that some are taken.
const IDS: u64 = 150;

/// Asks both engines the same and expects the same answer.
macro_rules! ask {
    ($pair:ident, $call:ident($($argument:expr),*)) => {{
        let [memory, sqlite] = &$pair.stores;
        let expected = memory.tasks().$call($($argument.clone()),*).await;
        let found = sqlite.tasks().$call($($argument.clone()),*).await;
        assert_eq!(found, expected, "SQLite (left) answers otherwise than memory (right)");
        found
    }};
}

/// Both engines, and what the history knows.
struct Pair {
    stores: [Arc<dyn Store>; 2],
    dice: Dice,
    now: u64,
    /// Every state of a task that was seen, old ones too.
    seen: Vec<Task>,
    /// Deliveries that were taken.
    taken: Vec<(TaskId, String, u64)>,
    /// Where the next page begins.
    page: Option<(Time, TaskId)>,
    /// What came of it all, and how often.
    happened: BTreeMap<String, u64>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_answer_alike() {
    let folder = Folder::new();
    let memory = moongate_store::open("memory:", folder.path()).unwrap();
    let stores = [memory, folder.open().unwrap()];
    let mut pair = Pair {
        stores,
        dice: Dice::roll(),
        now: 1000,
        seen: vec![],
        taken: vec![],
        page: None,
        happened: BTreeMap::new(),
    };
    for step in 0..STEPS {
        pair.now += pair.dice.below(20);
        pair.step().await;
        if step % 200 == 0 {
            pair.compare_all().await;
        }
    }
    pair.compare_all().await;
    println!("{:?}", pair.happened);
    for what in ["New", "Taken", "Repeated", "KeyReused", "Done", "Conflict", "Over", "claimed", "delivered", "expired"]
    {
        assert!(
            pair.happened.get(what).is_some_and(|times| *times > 5),
            "{what} happened too seldom to prove anything"
        );
    }
    // A restart changes nothing.
    pair.stores[1] = Arc::clone(&pair.stores[0]);
    pair.stores[1] = folder.open().unwrap();
    pair.compare_all().await;
}

impl Pair {
    /// Notes an answer by its first word.
    fn note(&mut self, answer: &str, times: usize) {
        let word = answer.trim_start_matches("Ok(").split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        *self.happened.entry(word.to_owned()).or_default() += times as u64;
    }

    fn chance(&mut self, of: u64) -> bool {
        self.dice.below(of) == 0
    }

    fn time(&mut self, span: u64) -> Time {
        Time(self.now + self.dice.below(span))
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.dice.below(from.len() as u64) as usize].clone()
    }

    fn agent(&mut self) -> &'static str {
        self.pick(&["lights", "lock", "stove"])
    }

    fn owner(&mut self) -> &'static str {
        self.pick(&["alice", "bob"])
    }

    /// A task that may exist.
    fn some_id(&mut self) -> TaskId {
        format!("t{}", self.dice.below(IDS)).into()
    }

    async fn step(&mut self) {
        match self.dice.below(20) {
            0..3 => self.create().await,
            3..9 => self.save().await,
            9..11 => self.claim().await,
            11 => self.renew().await,
            12..14 => self.deliver().await,
            14..16 => self.settle().await,
            16 => self.configure().await,
            17 => self.expire().await,
            _ => self.look().await,
        }
    }

    async fn create(&mut self) {
        let mut task = Task {
            id: self.some_id(),
            agent: self.agent().into(),
            priority: self.dice.below(3) as u8,
            next_run_at: (!self.chance(4)).then(|| self.time(30)),
            created_at: Time(self.now),
            status_at: Time(self.now),
            ..owned(self.owner(), waiting(""))
        };
        if self.chance(2) {
            task.context = Some(format!("c{}", self.dice.below(4)).into());
        }
        let seconds = |n| Some(Duration::from_millis(n));
        if self.chance(2) {
            let spans = [20, 50, 90, 30].map(|span| seconds(span + self.dice.below(100)));
            let [schedule_to_start, start_to_close, schedule_to_close, heartbeat] = spans;
            task.timeouts = Timeouts { schedule_to_start, start_to_close, schedule_to_close, heartbeat };
        }
        if self.chance(3) {
            (task.phase, task.next_run_at, task.instance) = (Phase::Running, None, Some("i".into()));
            task.upstream_id = self.chance(2).then(|| format!("u{}", self.dice.below(9)).into());
        }
        task.schedule(Time(self.now));
        let mut new = new(task);
        new.configs = (0..self.dice.below(3)).map(|n| config(&format!("p{n}"), self.dice.below(3))).collect();
        if self.chance(3) {
            new.idempotency =
                key(&format!("k{}", self.dice.below(4)), self.dice.below(2) as u8, self.now + self.dice.below(3000));
        }
        let created = ask!(self, create(new));
        self.note(&format!("{created:?}"), 1);
        if created == Ok(Created::New) {
            self.seen.push(new.task);
        }
    }

    async fn save(&mut self) {
        if self.seen.is_empty() {
            return;
        }
        // Mostly the newest states, so that something succeeds.
        let among = if self.chance(5) { self.seen.len() } else { self.seen.len().min(12) };
        let mut before = self.seen[self.seen.len() - 1 - self.dice.below(among as u64) as usize].clone();
        if self.chance(40) {
            before.id = "t-missing".into();
        }
        let expected = before.fence();
        let (mut task, mut events) = (before, Vec::new());
        for _ in 0..=self.dice.below(3) {
            let command = self.command();
            let fence = task.fence();
            if apply(&mut task, fence, command, Time(self.now)) == Ok(true) {
                events.push(event(&task, Time(self.now)));
            }
        }
        if self.chance(10) {
            task.context = Some(format!("c{}", self.dice.below(4)).into());
        }
        let document = self.chance(3).then(|| sample::document(&task));
        let broken = if self.chance(30) { task.seq + 1 } else { task.seq };
        let task = Task { seq: broken, ..task };
        let step = Step { expected, task: task.clone(), events, document };
        let saved = ask!(self, save(step));
        self.note(&format!("{saved:?}"), 1);
        if saved == Ok(Saved::Done) {
            self.seen.push(task);
        }
    }

    fn command(&mut self) -> Command {
        let at = self.time(40);
        let upstream = self.chance(2).then(|| format!("u{}", self.dice.below(9)).into());
        let frozen = self.chance(2);
        let state = self.pick(&TaskState::ALL);
        self.pick(&[
            Command::Artifact,
            Command::Artifact,
            Command::Status(state),
            Command::Started("i".into(), upstream),
            Command::Again(at),
            Command::GiveUp,
            Command::Redrive,
            Command::Pause(frozen),
            Command::Resume,
        ])
    }

    async fn claim(&mut self) {
        let claim = claim(self.agent(), self.now, self.now + self.dice.below(50), 1 + self.dice.below(3) as u32);
        let claimed = ask!(self, claim(claim)).unwrap();
        self.note("claimed", claimed.len());
        self.seen.extend(claimed.into_iter().map(|stored| stored.task));
    }

    async fn renew(&mut self) {
        let until = self.time(50);
        let held: Vec<_> = self.seen.iter().rev().take(6).map(|task| (task.id.clone(), task.fence())).collect();
        ask!(self, renew(held, until)).unwrap();
    }

    async fn deliver(&mut self) {
        let (now, until, limit) = (Time(self.now), self.time(60), 1 + self.dice.below(4) as u32);
        let taken = ask!(self, deliveries(now, until, limit)).unwrap();
        self.note("delivered", taken.len());
        self.taken.extend(taken.into_iter().map(|one| (one.task, one.config.id, one.event.seq)));
    }

    async fn settle(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        let place = self.dice.below(self.taken.len() as u64) as usize;
        let (task, config, seq) =
            if self.chance(4) { self.taken[place].clone() } else { self.taken.swap_remove(place) };
        let end = match self.dice.below(8) {
            0 => Settled::Gone,
            1 => Settled::Dead("no".into()),
            2 | 3 => Settled::Again { at: self.time(60), since: Time(self.now) },
            _ => Settled::Taken,
        };
        ask!(self, settle(task, config, seq, end)).unwrap();
    }

    async fn configure(&mut self) {
        let (task, name) = (self.some_id(), format!("p{}", self.dice.below(4)));
        match self.dice.below(5) {
            0 => {
                let which = self.chance(2).then_some(task);
                let now = Time(self.now);
                ask!(self, redrive_configs(which, now)).unwrap();
            }
            1 => drop(ask!(self, remove_config(task, name))),
            _ => {
                let dead = self.chance(5).then(|| "dead".into());
                let row = PushRow { due_at: self.time(30), dead, ..config(&name, self.dice.below(6)) };
                ask!(self, put_config(task, row)).unwrap();
            }
        }
    }

    async fn expire(&mut self) {
        let (now, before) = (Time(self.now), Time(self.now.saturating_sub(self.dice.below(4000))));
        let (keep, limit) = (self.dice.below(40), self.dice.below(6) as u32);
        let expired = ask!(self, expire(now, before, keep, limit)).unwrap();
        self.note("expired", expired as usize);
    }

    async fn look(&mut self) {
        let (id, after, limit) = (self.some_id(), self.dice.below(5), self.dice.below(5) as u32);
        ask!(self, events(id, after, limit)).unwrap();
        let owner = self.chance(2).then(|| Arc::from(self.owner()));
        ask!(self, get(owner, id)).unwrap();
        let filter = Filter {
            owner,
            agent: self.chance(3).then(|| self.agent().into()),
            without: Vec::new(),
            context: self.chance(3).then(|| format!("c{}", self.dice.below(4)).into()),
            state: self.chance(3).then(|| self.pick(&TaskState::ALL)),
            since: self.chance(3).then(|| Time(self.now.saturating_sub(self.dice.below(2000)))),
            after: self.page.take(),
            limit: 1 + self.dice.below(6) as u32,
        };
        let page = ask!(self, list(filter)).unwrap();
        let last = page.tasks.last().filter(|_| page.more);
        self.page = last.map(|last| (last.task.status_at, last.task.id.clone()));
    }

    /// Everything that can be asked.
    async fn compare_all(&mut self) {
        let now = Time(self.now);
        for n in 0..IDS {
            let id: TaskId = format!("t{n}").into();
            ask!(self, get(None::<Arc<str>>, id)).unwrap();
            ask!(self, events(id, 0, u32::MAX)).unwrap();
        }
        for agent in ["lights", "lock", "stove"] {
            for n in 0..9 {
                ask!(self, upstream(AgentName::from(agent), TaskId::from(format!("u{n}")))).unwrap();
            }
        }
        for owner in ["alice", "bob"] {
            for n in 0..4 {
                ask!(self, conversation(Arc::<str>::from(owner), ContextId::from(format!("c{n}")))).unwrap();
            }
        }
        ask!(self, abandoned(now, 99)).unwrap();
        ask!(self, due(now, 99)).unwrap();
        ask!(self, running(None::<TaskId>, 99)).unwrap();
        ask!(self, running(Some(TaskId::from("t3")), 5)).unwrap();
        ask!(self, waiting()).unwrap();
        ask!(self, next_delivery()).unwrap();
        ask!(self, census()).unwrap();
        assert_eq!(self.stores[1].inspect().await, Ok(vec![]));
    }
}
