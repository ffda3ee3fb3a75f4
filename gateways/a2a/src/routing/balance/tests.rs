//! Tests of the balancers: shares, ejection, probes, hashing.

use std::collections::HashMap;
use std::time::Duration;

use super::*;

const T0: Mono = Mono(1_000_000);

fn seconds(n: u64) -> Mono {
    T0.plus(Duration::from_secs(n))
}

fn settings(policy: Policy) -> Settings {
    Settings { policy, slow_start: Duration::ZERO, ..Settings::default() }
}

fn instances(weights: &[u32], settings: &Settings) -> Vec<Arc<Instance>> {
    let make = |(index, weight): (usize, &u32)| {
        Arc::new(Instance::new(InstanceId::new(format!("agent@{index}")), *weight, T0, settings))
    };
    weights.iter().enumerate().map(make).collect()
}

fn balancer(settings: Settings, weights: &[u32]) -> Balancer {
    let set = instances(weights, &settings);
    Balancer::new(settings, set, 42)
}

/// How often each instance is chosen when every request ends at once.
fn shares(balancer: &Balancer, now: Mono, picks: u32) -> Vec<u32> {
    let mut counts: HashMap<InstanceId, u32> = HashMap::new();
    for _ in 0..picks {
        let picked = balancer.pick(now, None, &[]).unwrap();
        *counts.entry(picked.instance.id().clone()).or_default() += 1;
        drop(picked);
    }
    balancer.instances().iter().map(|i| counts.get(i.id()).copied().unwrap_or(0)).collect()
}

fn fail(balancer: &Balancer, index: usize, now: Mono, times: u32) -> Change {
    let id = balancer.instances()[index].id().clone();
    (0..times).map(|_| balancer.pin(now, &id).unwrap().finish(now, Verdict::Failed)).last().unwrap()
}

fn succeed(balancer: &Balancer, index: usize, now: Mono, times: u32) {
    let id = balancer.instances()[index].id().clone();
    for _ in 0..times {
        balancer.pin(now, &id).unwrap().finish(now, Verdict::Ok);
    }
}

#[test]
fn round_robin_spreads_smoothly_by_weight() {
    let balancer = balancer(settings(Policy::RoundRobin), &[5, 1, 1]);
    let order: String = (0..7)
        .map(|_| match balancer.pick(T0, None, &[]).unwrap().instance.id().as_str() {
            "agent@0" => 'a',
            "agent@1" => 'b',
            _ => 'c',
        })
        .collect();
    assert_eq!(order, "aabacaa");
    assert_eq!(shares(&balancer, T0, 700), [500, 100, 100]);
}

#[test]
fn least_connections_fills_by_weight() {
    for (set, policy) in [(vec![3, 1, 1, 1], "all compared"), ([vec![3; 6], vec![1; 12]].concat(), "two drawn")] {
        let balancer = balancer(settings(Policy::LeastConnections), &set);
        let open: Vec<_> = (0..300).map(|_| balancer.pick(T0, None, &[]).unwrap()).collect();
        let total: u32 = set.iter().sum();
        for (instance, weight) in balancer.instances().iter().zip(&set) {
            let fair = 300.0 * f64::from(*weight) / f64::from(total);
            let off = (f64::from(instance.pending()) - fair).abs();
            assert!(off <= fair * 0.25 + 1.0, "{policy}: {} open, fair {fair}", instance.pending());
        }
        drop(open);
        assert_eq!(balancer.in_flight(), 0);
    }
}

#[test]
fn two_choices_fill_by_weight_when_latency_is_equal() {
    let set = [4, 2, 1, 1, 4, 2, 1, 1];
    let balancer = balancer(settings(Policy::P2cEwma), &set);
    let open: Vec<_> = (0..800).map(|_| balancer.pick(T0, None, &[]).unwrap()).collect();
    for (instance, weight) in balancer.instances().iter().zip(&set) {
        let fair = 800 * weight / 16;
        assert!(instance.pending().abs_diff(fair) <= fair / 5, "weight {weight}: {}", instance.pending());
    }
    drop(open);
}

#[test]
fn random_draws_among_many_follow_weights() {
    let set: Vec<u32> = (0..200).map(|i| if i < 100 { 1 } else { 3 }).collect();
    let balancer = balancer(settings(Policy::P2cEwma), &set);
    let open: Vec<_> = (0..4_000).map(|_| balancer.pick(T0, None, &[]).unwrap()).collect();
    let light: u32 = balancer.instances()[..100].iter().map(|i| i.pending()).sum();
    assert!((900..=1_100).contains(&light), "{light} of 4000, fair 1000");
    drop(open);
}

#[test]
fn weight_zero_takes_nothing_and_weights_change_at_once() {
    for policy in [Policy::P2cEwma, Policy::RoundRobin, Policy::LeastConnections, Policy::ConsistentHash] {
        let balancer = balancer(settings(policy), &[1, 0, 1]);
        assert_eq!(shares(&balancer, T0, 100)[1], 0, "{policy:?}");
        balancer.instances()[1].set_weight(1);
        assert!(shares(&balancer, T0, 100)[1] > 5, "{policy:?}");
    }
}

#[test]
fn tried_instances_are_not_chosen_again() {
    for policy in [Policy::P2cEwma, Policy::RoundRobin, Policy::LeastConnections, Policy::ConsistentHash] {
        let balancer = balancer(settings(policy), &[1, 1, 1]);
        let mut tried = Vec::new();
        while let Some(picked) = balancer.pick(T0, Some(5), &tried) {
            assert!(!tried.contains(picked.instance.id()), "{policy:?}");
            tried.push(picked.instance.id().clone());
            picked.finish(T0, Verdict::Failed);
        }
        assert_eq!(tried.len(), 3, "{policy:?}");
    }
}

#[test]
fn suspects_are_the_last_choice_and_the_dead_are_none() {
    for policy in [Policy::P2cEwma, Policy::RoundRobin, Policy::LeastConnections, Policy::ConsistentHash] {
        let balancer = balancer(settings(policy), &[1, 1, 1]);
        balancer.instances()[0].set_health(Health::Suspect, T0);
        balancer.instances()[1].set_health(Health::Down, T0);
        assert_eq!(shares(&balancer, T0, 50), [0, 0, 50], "{policy:?}");
        let up = [balancer.instances()[2].id().clone()];
        let last = balancer.pick(T0, Some(1), &up).unwrap();
        assert_eq!(last.instance.id().as_str(), "agent@0", "{policy:?}");
        balancer.instances()[0].set_health(Health::Down, T0);
        assert!(balancer.pick(T0, Some(1), &up).is_none(), "{policy:?}");
        let owner = balancer.instances()[1].id().clone();
        assert!(balancer.pin(T0, &owner).is_some(), "the owner of a task stays addressable");
    }
}

#[test]
fn a_new_instance_ramps_up() {
    let settings = Settings { policy: Policy::RoundRobin, ..Settings::default() };
    let old = Arc::new(Instance::new("agent@old".into(), 1, T0, &settings));
    let new = Arc::new(Instance::new("agent@new".into(), 1, seconds(100), &settings));
    let balancer = Balancer::new(settings, vec![old, new.clone()], 1);
    let share = |at: u64| shares(&balancer, seconds(at), 1_000)[1];
    assert!((85..=97).contains(&share(100)), "a tenth of the weight at first");
    assert!((325..=341).contains(&share(115)), "half the weight after half the ramp");
    assert_eq!(share(130), 500);
    new.set_health(Health::Down, seconds(200));
    new.set_health(Health::Up, seconds(300));
    assert!(share(300) < 100, "a revived instance starts slowly again");
}

#[test]
fn five_failures_in_a_row_eject_for_longer_each_time() {
    let balancer = balancer(settings(Policy::RoundRobin), &[1, 1, 1]);
    assert_eq!(fail(&balancer, 0, T0, 4), Change::None);
    succeed(&balancer, 0, T0, 1);
    assert_eq!(fail(&balancer, 0, T0, 4), Change::None, "a success ends the row");
    assert_eq!(fail(&balancer, 0, T0, 1), Change::Ejected(Duration::from_secs(10)));
    assert_eq!(shares(&balancer, seconds(9), 100), [0, 50, 50]);
    let probe = balancer.pick(seconds(10), None, &[]).unwrap();
    assert!(probe.is_probe());
    assert_eq!(probe.finish(seconds(10), Verdict::Failed), Change::Ejected(Duration::from_secs(20)));
    assert_eq!(shares(&balancer, seconds(29), 10)[0], 0);
    let probe = balancer.pick(seconds(30), None, &[]).unwrap();
    assert_eq!(probe.finish(seconds(30), Verdict::Ok), Change::Readmitted);
    assert!(shares(&balancer, seconds(31), 99)[0] > 30);
    assert_eq!(fail(&balancer, 0, seconds(31), 5), Change::Ejected(Duration::from_secs(30)));
}

#[test]
fn long_good_health_pays_off_earlier_ejections() {
    let balancer = balancer(settings(Policy::RoundRobin), &[1, 1, 1]);
    fail(&balancer, 0, T0, 5);
    balancer.pick(seconds(10), None, &[]).unwrap().finish(seconds(10), Verdict::Ok);
    assert_eq!(fail(&balancer, 0, seconds(25), 5), Change::Ejected(Duration::from_secs(10)));
}

#[test]
fn a_success_rate_under_half_ejects_even_without_a_row() {
    let balancer = balancer(settings(Policy::RoundRobin), &[1, 1, 1]);
    let mut results = 0;
    let ejected = (0..10).find_map(|_| {
        succeed(&balancer, 0, T0, 1);
        let changes = [fail(&balancer, 0, T0, 1), fail(&balancer, 0, T0, 1)];
        results += 3;
        changes.into_iter().find(|change| *change != Change::None)
    });
    assert_eq!(ejected, Some(Change::Ejected(Duration::from_secs(10))));
    assert_eq!(results, 21, "judged as soon as there are twenty results");
    // The same number of results with more than half of them good ejects nobody.
    for _ in 0..50 {
        succeed(&balancer, 1, T0, 2);
        assert_eq!(fail(&balancer, 1, T0, 1), Change::None);
    }
}

#[test]
fn overload_is_not_death() {
    let balancer = balancer(settings(Policy::P2cEwma), &[1, 1]);
    let id = balancer.instances()[0].id().clone();
    for _ in 0..100 {
        let picked = balancer.pin(T0, &id).unwrap();
        assert_eq!(picked.finish(T0, Verdict::Overloaded(Some(Duration::from_secs(9_999)))), Change::None);
    }
    let snapshot = balancer.instances()[0].snapshot(T0, balancer.settings());
    assert_eq!((snapshot.ejected_for, snapshot.rtt), (None, Duration::from_secs(300)), "but it is left alone");
    assert_eq!(shares(&balancer, seconds(1), 100), [0, 100]);
}

#[test]
fn a_failure_costs_five_seconds_of_latency() {
    let balancer = balancer(settings(Policy::P2cEwma), &[1, 1]);
    fail(&balancer, 0, T0, 1);
    assert_eq!(balancer.instances()[0].snapshot(T0, balancer.settings()).rtt, Duration::from_secs(5));
    assert_eq!(shares(&balancer, seconds(1), 100), [0, 100]);
}

#[test]
fn more_ejections_than_half_are_not_believed() {
    for policy in [Policy::P2cEwma, Policy::RoundRobin, Policy::LeastConnections, Policy::ConsistentHash] {
        let balancer = balancer(settings(policy), &[1, 1, 1, 1]);
        fail(&balancer, 0, T0, 5);
        fail(&balancer, 1, T0, 5);
        assert!(!balancer.panicking(T0));
        let half = shares(&balancer, seconds(1), 200);
        assert_eq!((half[0], half[1]), (0, 0), "{policy:?}");
        fail(&balancer, 2, T0, 5);
        assert!(balancer.panicking(T0));
        let all = shares(&balancer, seconds(1), 200);
        assert!(all.iter().filter(|n| **n > 0).count() >= 3, "{policy:?}: {all:?}");
    }
}

#[test]
fn the_only_instance_is_never_set_aside() {
    let balancer = balancer(settings(Policy::P2cEwma), &[1]);
    fail(&balancer, 0, T0, 50);
    let picked = balancer.pick(T0, None, &[]).unwrap();
    assert_eq!(picked.finish(T0, Verdict::Ok), Change::Readmitted, "a success ends the ejection");
}

#[test]
fn half_open_lets_exactly_one_probe_through() {
    let balancer = balancer(settings(Policy::P2cEwma), &[1, 1, 1]);
    fail(&balancer, 0, T0, 5);
    let open: Vec<_> = (0..50).map(|_| balancer.pick(seconds(10), None, &[]).unwrap()).collect();
    assert_eq!(open.iter().filter(|p| p.instance.id().as_str() == "agent@0").count(), 1);
    assert_eq!(open.iter().filter(|p| p.is_probe()).count(), 1);
    drop(open);
    let again = balancer.pick(seconds(11), None, &[]).unwrap();
    assert!(again.is_probe(), "an abandoned probe is free again");
    assert_eq!(again.first_event(seconds(12)), Change::Readmitted, "a stream need not end for it");
    again.finish(seconds(600), Verdict::Ok);
}

#[test]
fn racing_threads_get_one_probe() {
    for round in 0..20 {
        let balancer = balancer(settings(Policy::ConsistentHash), &[1, 1, 1]);
        fail(&balancer, 0, T0, 5);
        let probes: usize = std::thread::scope(|scope| {
            let run = || {
                let open: Vec<_> =
                    (0..200).map(|key| balancer.pick(seconds(10), Some(hash(key)), &[]).unwrap()).collect();
                open.iter().filter(|picked| picked.is_probe()).count()
                    + usize::from(open.iter().any(|p| !p.is_probe() && p.instance.id().as_str() == "agent@0")) * 1000
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        // A thread that ends drops its probe, which frees the next one: at least one, at most one a thread.
        assert!((1..=4).contains(&probes), "round {round}: {probes}");
        assert_eq!(balancer.in_flight(), 0);
    }
}

#[test]
fn a_request_that_failed_once_is_no_probe_while_there_is_a_choice() {
    let balancer = balancer(settings(Policy::RoundRobin), &[1, 1, 1]);
    fail(&balancer, 0, T0, 5);
    let tried = [balancer.instances()[1].id().clone()];
    assert_eq!(balancer.pick(seconds(20), None, &tried).unwrap().instance.id().as_str(), "agent@2");
    let tried = [tried[0].clone(), balancer.instances()[2].id().clone()];
    assert!(balancer.pick(seconds(20), None, &tried).unwrap().is_probe(), "but rather a probe than nothing");
}

#[test]
fn late_failures_of_the_past_do_not_eject_again() {
    let balancer = balancer(settings(Policy::RoundRobin), &[1, 1, 1]);
    let id = balancer.instances()[0].id().clone();
    let late: Vec<_> = (0..20).map(|_| balancer.pin(T0, &id).unwrap()).collect();
    fail(&balancer, 0, T0, 5);
    balancer.pick(seconds(10), None, &[]).unwrap().finish(seconds(10), Verdict::Ok);
    for picked in late {
        assert_eq!(picked.finish(seconds(30), Verdict::Failed), Change::None);
    }
    assert_eq!(balancer.instances()[0].snapshot(seconds(30), balancer.settings()).ejected_for, None);
}

#[test]
fn a_queued_send_goes_to_who_is_left_and_to_who_was_ejected_if_nobody_is() {
    let bed = balancer(settings(Policy::RoundRobin), &[1, 1, 1]);
    fail(&bed, 0, T0, 5);
    let reached: Vec<_> = (0..6).map(|_| bed.pick_queued(T0).unwrap()).collect();
    assert!(reached.iter().all(|picked| picked.instance.id().as_str() != "agent@0"));
    let alone = balancer(Settings { max_ejected_percent: 100, ..settings(Policy::RoundRobin) }, &[1]);
    fail(&alone, 0, T0, 5);
    assert!(alone.pick(T0, None, &[]).is_none());
    assert!(alone.pick_queued(T0).is_some());
}

#[test]
fn replacing_the_set_keeps_what_is_known_of_those_that_stay() {
    let old = balancer(settings(Policy::P2cEwma), &[1, 1, 1]);
    fail(&old, 0, T0, 5);
    let open = old.pin(T0, &"agent@1".into()).unwrap();
    let mut set = old.instances().to_vec();
    set.pop();
    set.push(Arc::new(Instance::new("agent@9".into(), 1, T0, old.settings())));
    let new = Balancer::new(old.settings().clone(), set, 43);
    drop(old);
    assert_eq!(new.instances()[0].snapshot(T0, new.settings()).ejected_for, Some(Duration::from_secs(10)));
    assert_eq!(new.in_flight(), 1);
    open.finish(T0, Verdict::Ok);
    assert_eq!(new.in_flight(), 0);
}

fn hash(key: u64) -> u64 {
    hash_key(&key.to_le_bytes())
}

fn owners(balancer: &Balancer, keys: u64) -> Vec<InstanceId> {
    (0..keys).map(|key| balancer.pick(T0, Some(hash(key)), &[]).unwrap().instance.id().clone()).collect()
}

#[test]
fn rendezvous_moves_only_the_keys_of_the_instance_that_goes() {
    let all = balancer(settings(Policy::ConsistentHash), &[1, 2, 3, 1, 1]);
    let before = owners(&all, 5_000);
    let mut set = all.instances().to_vec();
    let gone = set.remove(2);
    let after = owners(&Balancer::new(all.settings().clone(), set, 9), 5_000);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before != after, before == gone.id());
    }
    let share = before.iter().filter(|id| *id == gone.id()).count();
    assert!((1_700..2_050).contains(&share), "weight 3 of 8: {share} of 5000");
    gone.set_health(Health::Down, T0);
    assert_eq!(owners(&all, 5_000), after, "an instance that is down moves the same keys");
}

#[test]
fn hashing_bounds_the_load_of_every_instance() {
    for count in [7, 600] {
        let balancer = balancer(settings(Policy::ConsistentHash), &vec![1; count]);
        let mut open = Vec::new();
        // Half of all requests bear the same key.
        for n in 0..5 * count as u64 {
            open.push(balancer.pick(T0, Some(if n % 2 == 0 { 1 } else { hash(n) }), &[]).unwrap());
            let average = open.len() as f64 / count as f64;
            let most = balancer.instances().iter().map(|i| i.pending()).max().unwrap();
            assert!(f64::from(most) <= (1.25 * average).ceil(), "{count} instances, {n}: {most}, average {average}");
        }
    }
}

#[test]
fn above_five_hundred_instances_keys_stay_too() {
    let all = balancer(settings(Policy::ConsistentHash), &vec![1; 600]);
    let before = owners(&all, 3_000);
    assert_eq!(before, owners(&all, 3_000));
    all.instances()[3].set_health(Health::Down, T0);
    let moved = before.iter().zip(owners(&all, 3_000)).filter(|(b, a)| *b != a).count();
    let owned = before.iter().filter(|id| *id == all.instances()[3].id()).count();
    assert_eq!(moved, owned);
}
