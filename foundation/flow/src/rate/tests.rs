//! Buckets, with simulated time.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn once(burst: f64) -> Rate {
    Rate::new(10, Duration::from_secs_f64(burst))
}

#[test]
fn a_burst_comes_at_once_and_the_rest_at_the_rate() {
    let rate = once(0.5);
    let mut full_at = 0;
    for _ in 0..5 {
        full_at = rate.take(full_at, SECOND).unwrap();
    }
    let wait = rate.take(full_at, SECOND).unwrap_err();
    assert_eq!(wait, Duration::from_millis(100));
    full_at = rate.take(full_at, SECOND + SECOND / 10).unwrap();
    assert!(rate.take(full_at, SECOND + SECOND / 10).is_err());
}

#[test]
fn without_a_burst_one_request_comes_at_a_time() {
    let rate = once(0.0);
    let full_at = rate.take(0, SECOND).unwrap();
    assert!(rate.take(full_at, SECOND).is_err());
    assert!(rate.take(full_at, SECOND + SECOND / 10).is_ok());
}

proptest! {
    #[test]
    fn no_window_lets_more_through_than_burst_and_rate(
        per_second in 1_u32..1000, burst in 0_u64..5000, gaps in proptest::collection::vec(0_u64..200_000_000, 1..300),
    ) {
        let rate = Rate::new(per_second, Duration::from_millis(burst));
        let (mut now, mut full_at, mut passed) = (SECOND, 0, Vec::new());
        for gap in gaps {
            now += gap;
            if let Ok(next) = rate.take(full_at, now) {
                full_at = next;
                passed.push(now);
            }
        }
        for (at, first) in passed.iter().enumerate() {
            for (to, last) in passed.iter().enumerate().skip(at) {
                let most = (last - first + burst * 1_000_000) / rate.interval + 1;
                prop_assert!(((to - at) as u64) < most);
            }
        }
    }

    #[test]
    fn who_waits_as_long_as_told_is_let_in(per_second in 1_u32..1_000_000, burst in 0_u64..5000, tries in 1_usize..3000) {
        let rate = Rate::new(per_second, Duration::from_millis(burst));
        let mut full_at = 0;
        for _ in 0..tries {
            match rate.take(full_at, SECOND) {
                Ok(next) => full_at = next,
                Err(wait) => {
                    let then = SECOND + u64::try_from(wait.as_nanos()).unwrap();
                    prop_assert!(rate.take(full_at, then).is_ok());
                    return Ok(());
                }
            }
        }
    }
}

fn whose(number: u32) -> Whose<'static> {
    Whose::Address(IpAddr::V4(number.into()))
}

#[test]
fn a_crowd_that_fills_the_table_shares_one_bucket_and_is_not_shut_out() {
    let meter = Meter::new("home.example", Rates::default());
    let rate = Rate::new(1, Duration::from_secs(1));
    let begin = Mono(10_000_000);
    // More than find a place, all in one moment.
    let passed = (0..200_000).filter(|number| meter.take(whose(*number), rate, begin).is_ok()).count();
    let held: usize = meter.shards.iter().map(|shard| shard.lock().buckets.len()).sum();
    assert_eq!(held, MOST);
    assert!((MOST..=MOST + SHARDS).contains(&passed), "{passed}");
    // Those with a place of their own are served as before, newcomers when there is room: a second later.
    assert!(meter.take(whose(0), rate, begin).is_err());
    let later = begin.plus(Duration::from_secs(2));
    assert!((300_000..310_000).all(|number| meter.take(whose(number), rate, later).is_ok()));
    let held: usize = meter.shards.iter().map(|shard| shard.lock().buckets.len()).sum();
    assert!(held <= MOST);
}

#[test]
fn addresses_of_ipv6_count_by_network_and_mapped_ones_as_ipv4() {
    let parse = |text: &str| network(text.parse().unwrap());
    assert_eq!(parse("2001:db8:1:2:3:4:5:6"), parse("2001:db8:1:2::9"));
    assert_ne!(parse("2001:db8:1:2::9"), parse("2001:db8:1:3::9"));
    assert_eq!(parse("::ffff:192.0.2.1"), parse("192.0.2.1"));
    assert!(parse("::1").is_loopback() && parse("::ffff:127.0.0.1").is_loopback());
}

const FAR: &str = "192.0.2.1";

/// How many of ten requests in one moment get through, and what the next one is told.
fn ten(meter: &Meter, who: &Principal, from: &str) -> (usize, String) {
    let ask = || meter.admit(who, from.parse().unwrap(), Mono(1_000_000));
    let passed = (0..10).filter(|_| ask().is_ok()).count();
    (passed, ask().map_or_else(|problem| problem.detail.into_owned(), |()| String::new()))
}

fn caller(domain: &str, id: &str) -> Principal {
    Principal { id: id.into(), kind: PrincipalKind::Agent, ..Principal::local(domain) }
}

#[test]
fn callers_domains_and_addresses_have_buckets_of_their_own() {
    let of = |per_second: u32| Some(Rate::new(per_second, Duration::from_secs(1)));
    let rates = Rates { caller: of(3), domain: of(5), address: of(7) };
    let meter = Meter::new("home.example", rates);
    let (passed, told) = ten(&meter, &caller("car.example", "a"), FAR);
    assert_eq!((passed, told.as_str()), (3, "too many requests of the caller; come again in 1 s"));
    let (passed, told) = ten(&meter, &caller("car.example", "b"), FAR);
    assert_eq!(passed, 2, "the domain has two left");
    assert!(told.contains("domain") || told.contains("the caller;"), "{told}");
    // The same name of another domain is another caller; its address has two left.
    let (passed, told) = ten(&meter, &caller("home.example", "a"), FAR);
    assert_eq!(passed, 2);
    assert!(told.contains("address") || told.contains("the caller;"), "{told}");
    assert_eq!(ten(&meter, &caller("home.example", "c"), "198.51.100.1").0, 3);
}

#[test]
fn this_machines_callers_are_one_and_operators_are_not_counted() {
    let rate = Some(Rate::new(3, Duration::from_secs(1)));
    let meter = Meter::new("home.example", Rates { caller: None, domain: rate, address: rate });
    assert_eq!(ten(&meter, &Principal::local("home.example"), "127.0.0.1").0, 10);
    let meter = Meter::new("home.example", Rates { caller: rate, domain: None, address: None });
    assert_eq!(ten(&meter, &Principal::local("home.example"), "127.0.0.1").0, 3);
    assert_eq!(ten(&meter, &Principal::local("home.example"), "::1").0, 0);
    assert_eq!(ten(&meter, &Principal::operator("home.example"), "127.0.0.1").0, 10);
}

#[test]
fn limits_that_change_take_effect_at_once_and_none_lets_everybody_through() {
    let meter = Meter::new("home.example", Rates::default());
    let who = caller("car.example", "a");
    assert_eq!(ten(&meter, &who, FAR).0, 10);
    meter.rates.store(Arc::new(Rates { caller: Some(Rate::new(1, Duration::from_secs(2))), ..Rates::default() }));
    assert_eq!(ten(&meter, &who, FAR).0, 2);
    let problem = meter.admit(&who, FAR.parse().unwrap(), Mono(1_000_000)).unwrap_err();
    assert_eq!((problem.code, problem.retry), (Code::RateLimited, Retry::Later(Some(Duration::from_secs(1)))));
    meter.rates.store(Arc::default());
    assert_eq!(ten(&meter, &who, FAR).0, 10);
}
