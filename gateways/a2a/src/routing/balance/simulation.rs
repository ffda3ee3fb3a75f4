//! A discrete-event simulation that drives the shipped balancer by a virtual clock.
//!
//! Ten instances with four workers each and a queue serve 1000 requests a second (half of what they could) with
//! exponential service times of 20 ms in the mean. After 30 s one of them breaks. A request gets three attempts of at
//! most 2 s within the retry budget, each on another instance. Measured are the requests of the 10 s after the break. Round
//! robin is measured twice: as shipped, and plain, without ejection, which is what most proxies do.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use super::*;
use std::time::Duration;

const INSTANCES: usize = 10;
const WORKERS: usize = 4;
const RATE: f64 = 1_000.0;
const SERVICE_US: f64 = 20_000.0;
const BREAK: u64 = 30_000_000;
const END: u64 = 40_000_000;
const TIMEOUT: u64 = 2_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Takes eight times as long.
    Slow,
    /// Refuses everything within a millisecond.
    Failing,
    /// Accepts everything and never answers.
    BlackHole,
}

enum Event {
    Arrive,
    Served(usize, u64),
    Refused(u64),
    Timeout(u64),
}

struct Attempt {
    request: usize,
    server: usize,
    picked: Option<Picked>,
}

struct Request {
    arrived: u64,
    tried: Vec<InstanceId>,
}

#[derive(Default)]
struct Server {
    busy: usize,
    queue: VecDeque<u64>,
}

struct Report {
    p50_ms: f64,
    p99_ms: f64,
    failed: usize,
    total: usize,
    /// Attempts that went to the broken instance, in percent of all.
    to_broken: f64,
}

struct Simulation {
    now: u64,
    rng: Rng,
    fault: Fault,
    balancer: Balancer,
    budget: RetryBudget,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    pending: HashMap<u64, Event>,
    sequence: u64,
    servers: Vec<Server>,
    requests: Vec<Request>,
    attempts: HashMap<u64, Attempt>,
    latencies: Vec<u64>,
    failed: usize,
    sent: [usize; 2],
}

impl Simulation {
    fn new(policy: Policy, fault: Fault, seed: u64) -> Self {
        Self::with(Settings { policy, ..Settings::default() }, fault, seed)
    }

    fn with(settings: Settings, fault: Fault, seed: u64) -> Self {
        let make = |n| Arc::new(Instance::new(InstanceId::new(format!("agent@{n}")), 1, Mono(0), &settings));
        let set = (0..INSTANCES).map(make).collect();
        Self {
            now: 0,
            rng: Rng::new(seed),
            fault,
            budget: RetryBudget::new(settings.retry_budget_percent),
            balancer: Balancer::new(settings, set, seed ^ 0xabcd),
            events: BinaryHeap::new(),
            pending: HashMap::new(),
            sequence: 0,
            servers: (0..INSTANCES).map(|_| Server::default()).collect(),
            requests: Vec::new(),
            attempts: HashMap::new(),
            latencies: Vec::new(),
            failed: 0,
            sent: [0, 0],
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((time, self.sequence)));
        self.pending.insert(self.sequence, event);
    }

    fn exponential(&self, mean: f64) -> u64 {
        let uniform = (self.rng.below(1 << 52) as f64 + 0.5) / (1_u64 << 52) as f64;
        (-uniform.ln() * mean) as u64
    }

    fn broken(&self, server: usize) -> Fault {
        if server == 0 && self.now >= BREAK { self.fault } else { Fault::None }
    }

    fn attempt(&mut self, request: usize) {
        let tried = self.requests[request].tried.clone();
        let key = hash_key(&self.rng.next().to_le_bytes());
        let Some(picked) = self.balancer.pick(Mono(self.now), Some(key), &tried) else {
            return self.done(request, false);
        };
        let server: usize = picked.instance.id().as_str().rsplit('@').next().unwrap().parse().unwrap();
        self.requests[request].tried.push(picked.instance.id().clone());
        self.sequence += 1;
        let id = self.sequence;
        if self.now >= BREAK {
            self.sent[usize::from(server == 0)] += 1;
        }
        self.attempts.insert(id, Attempt { request, server, picked: Some(picked) });
        match self.broken(server) {
            Fault::Failing => self.at(self.now + 1_000, Event::Refused(id)),
            Fault::BlackHole => {}
            Fault::None | Fault::Slow => {
                self.servers[server].queue.push_back(id);
                self.serve(server);
            }
        }
        self.at(self.now + TIMEOUT, Event::Timeout(id));
    }

    fn serve(&mut self, server: usize) {
        while self.servers[server].busy < WORKERS {
            let Some(id) = self.servers[server].queue.pop_front() else { return };
            // Whoever hung up while queued costs the worker nothing.
            if self.attempts.get(&id).is_none_or(|attempt| attempt.picked.is_none()) {
                continue;
            }
            self.servers[server].busy += 1;
            let slow = if self.broken(server) == Fault::Slow { 8.0 } else { 1.0 };
            let span = self.exponential(SERVICE_US * slow);
            self.at(self.now + span, Event::Served(server, id));
        }
    }

    fn ended(&mut self, id: u64, verdict: Verdict) {
        let Some(picked) = self.attempts.get_mut(&id).and_then(|attempt| attempt.picked.take()) else { return };
        let request = self.attempts[&id].request;
        picked.finish(Mono(self.now), verdict);
        if verdict == Verdict::Ok {
            return self.done(request, true);
        }
        if self.requests[request].tried.len() < 3 && self.budget.withdraw() {
            self.attempt(request);
        } else {
            self.done(request, false);
        }
    }

    fn done(&mut self, request: usize, good: bool) {
        let arrived = self.requests[request].arrived;
        if arrived >= BREAK {
            self.latencies.push(self.now - arrived);
            self.failed += usize::from(!good);
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Arrive => {
                self.budget.deposit();
                self.requests.push(Request { arrived: self.now, tried: Vec::new() });
                self.attempt(self.requests.len() - 1);
                let next = self.now + self.exponential(1e6 / RATE);
                if next < END {
                    self.at(next, Event::Arrive);
                }
            }
            Event::Served(server, id) => {
                self.servers[server].busy -= 1;
                // A black hole swallows what it had begun, too.
                if self.broken(server) != Fault::BlackHole {
                    self.ended(id, Verdict::Ok);
                }
                self.serve(server);
            }
            Event::Refused(id) | Event::Timeout(id) => self.ended(id, Verdict::Failed),
        }
    }

    fn run(mut self) -> Report {
        self.at(0, Event::Arrive);
        while let Some(Reverse((time, sequence))) = self.events.pop() {
            self.now = time;
            let event = self.pending.remove(&sequence).unwrap();
            self.step(event);
        }
        assert_eq!(self.balancer.in_flight(), 0, "every request gave its place back");
        assert!(self.attempts.values().all(|attempt| attempt.server < INSTANCES && attempt.picked.is_none()));
        self.latencies.sort_unstable();
        let total = self.latencies.len();
        let percentile = |p: usize| self.latencies[(total * p / 100).min(total - 1)] as f64 / 1e3;
        let to_broken = self.sent[1] as f64 * 100.0 / (self.sent[0] + self.sent[1]) as f64;
        Report { p50_ms: percentile(50), p99_ms: percentile(99), failed: self.failed, total, to_broken }
    }
}

/// Two choices, turns, and plain turns.
fn compare(fault: Fault) -> [Report; 3] {
    const SEED: u64 = 20_260_101;
    let turns = Settings { policy: Policy::RoundRobin, ..Settings::default() };
    let plain = Settings { consecutive_failures: 0, success_rate_percent: 0, ..turns.clone() };
    [("p2c_ewma", Settings::default()), ("round_robin", turns), ("plain turns", plain)].map(|(name, settings)| {
        let report = Simulation::with(settings, fault, SEED).run();
        println!(
            "seed {SEED}, one instance {fault:?}: {name:<12} p50 {:5.1} ms, p99 {:7.1} ms, failed {} of {}, to the broken {:.2} %",
            report.p50_ms, report.p99_ms, report.failed, report.total, report.to_broken
        );
        report
    })
}

#[test]
fn with_all_well_two_choices_are_no_worse_than_turns() {
    let [p2c, turns, _] = compare(Fault::None);
    assert!(p2c.p99_ms <= turns.p99_ms * 1.15);
    assert!((5.0..15.0).contains(&p2c.to_broken), "a healthy instance gets about its tenth: {}", p2c.to_broken);
    assert_eq!(p2c.failed + turns.failed, 0);
}

#[test]
fn a_slow_instance_hardly_shows_under_two_choices() {
    let [p2c, turns, plain] = compare(Fault::Slow);
    assert!(p2c.p99_ms * 4.0 < turns.p99_ms);
    assert!(p2c.p99_ms * 4.0 < plain.p99_ms);
    assert!(p2c.to_broken * 2.0 < turns.to_broken);
    assert_eq!(p2c.failed, 0);
}

#[test]
fn a_failing_instance_attracts_nothing_though_it_answers_fast() {
    let [p2c, turns, plain] = compare(Fault::Failing);
    assert!(p2c.to_broken < 0.5);
    assert!(p2c.to_broken <= turns.to_broken && p2c.to_broken * 10.0 < plain.to_broken);
    assert!(p2c.p99_ms <= plain.p99_ms * 1.15);
    assert_eq!(p2c.failed, 0, "retries within the budget hide it");
}

#[test]
fn a_black_hole_swallows_little() {
    let [p2c, turns, plain] = compare(Fault::BlackHole);
    assert!(p2c.p99_ms * 4.0 < turns.p99_ms && turns.p99_ms <= plain.p99_ms);
    assert!(p2c.to_broken * 4.0 < turns.to_broken);
    assert!(p2c.failed <= turns.failed);
}

#[test]
fn the_other_policies_survive_every_fault_too() {
    for policy in [Policy::LeastConnections, Policy::ConsistentHash] {
        for fault in [Fault::Slow, Fault::Failing, Fault::BlackHole] {
            let report = Simulation::new(policy, fault, 77).run();
            println!("seed 77, {policy:?} {fault:?}: p99 {:.1} ms, failed {}", report.p99_ms, report.failed);
            let share = report.failed as f64 / report.total as f64;
            assert!(share < 0.01, "{policy:?} {fault:?}: {share}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || Simulation::new(Policy::P2cEwma, Fault::Slow, 5).run();
    let (one, two) = (run(), run());
    assert_eq!((one.p99_ms, one.total), (two.p99_ms, two.total));
}

#[test]
fn half_a_minute_of_outage_of_all_instances_ends_without_a_wait() {
    let settings = Settings { policy: Policy::P2cEwma, ..Settings::default() };
    let set: Vec<_> =
        (0..4).map(|n| Arc::new(Instance::new(InstanceId::new(format!("agent@{n}")), 1, Mono(0), &settings))).collect();
    let balancer = Balancer::new(settings, set, 3);
    let at = |millis: u64| Mono(millis * 1000);
    for millis in 0..30_000 {
        balancer.pick(at(millis), None, &[]).unwrap().finish(at(millis), Verdict::Failed);
    }
    assert!(balancer.panicking(at(30_000)));
    let good = (30_000..30_100)
        .map(|millis| {
            balancer.pick(at(millis), None, &[]).unwrap().finish(at(millis).plus(Duration::from_millis(1)), Verdict::Ok)
        })
        .filter(|change| *change == Change::Readmitted)
        .count();
    assert!(good >= 2, "successes in panic mode bring instances back: {good}");
    assert!(!balancer.panicking(at(30_200)));
}
