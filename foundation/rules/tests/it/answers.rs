//! What rules answer.

use std::sync::Arc;

use moongate_core::{Operation, Principal, Time};
use moongate_rules::{Facts, Mode, Rule, SkillFacts};
use serde_json::json;

fn labels(pairs: &[(&str, &str)]) -> Vec<(Arc<str>, Arc<str>)> {
    pairs.iter().map(|(key, value)| (Arc::from(*key), Arc::from(*value))).collect()
}

/// Answers for one well-known request: `lights.set` in the kitchen, from `local` at home.
fn answer(mode: Mode, rule: &str) -> Result<bool, String> {
    let caller = Principal::local("home.example");
    let labels = labels(&[("zone", "kitchen"), ("floor-name", "ground")]);
    let tags: Vec<Arc<str>> = vec!["light".into(), "switch".into()];
    let args = json!({"message": {"parts": [{"text": "wxyz"}, {"data": {"level": 70}}], "n": 1.5, "big": u64::MAX, "none": null}});
    let facts = Facts {
        skill: Some(SkillFacts { id: "lights.set", tags: &tags, agent: "lights" }),
        agent: Some("lights"),
        labels: &labels,
        headers: &[("x-priority", "high"), ("accept", "*/*")],
        args: Some(&args),
        text: Some("把厨房的灯打开"),
        // Sunday, 22:05 UTC.
        now: Some(Time(1_795_385_130_000)),
        ..Facts::new(&caller, Operation::Send)
    };
    let rule = Rule::compile(rule, mode).map_err(|error| error.message)?;
    rule.matches(&facts).map_err(|error| error.message)
}

#[test]
fn every_name_of_match_can_be_read() {
    for rule in [
        r#"skill == "lights.set""#,
        r#"skill.startsWith("lights.")"#,
        r#"skill in ["lights.set", "lights.get"]"#,
        r#"operation == "send""#,
        r#"agent == "lights""#,
        r#"zone == "kitchen""#,
        r#"labels.zone == "kitchen" && labels["floor-name"] == "ground""#,
        r#"device == """#,
        r#"headers["x-priority"] == "high""#,
        r#"headers["X-Priority"] == "high""#,
        r#"principal.id == "local" && principal.kind == "user" && principal.domain == "home.example""#,
        r#""register" in principal.scopes"#,
        r#"principal.scopes.exists(s, s.startsWith("a2a:"))"#,
        r#"domain == "home.example""#,
        r#"args.message.parts.size() == 2"#,
        r#"args.message.parts.exists(p, has(p.data) && p.data.level > 50)"#,
        r#"args.message.n > 1 && args.message.none == null && args.message.big > 5u"#,
        r#"text.contains("厨房")"#,
        r#"time.hour >= 22 && time.weekday == 7 && time.minute == 5 && time.unix > 1000"#,
        r#"has(labels.zone) && !has(labels.device) && "zone" in labels && labels.size() == 2"#,
        r#"has(headers.accept) && !has(headers.cookie)"#,
        r#"labels.exists(k, k == "floor-name")"#,
        "true",
    ] {
        assert_eq!(answer(Mode::Match, rule), Ok(true), "{rule}");
    }
}

#[test]
fn policy_sees_the_whole_skill() {
    for rule in [
        r#"skill.id == "lights.set" && skill.agent == "lights""#,
        r#"skill.tags.exists(t, t == "light")"#,
        r#""switch" in skill.tags"#,
        r#"!skill.tags.exists(t, t in ["lock", "door"])"#,
    ] {
        assert_eq!(answer(Mode::Policy, rule), Ok(true), "{rule}");
    }
}

#[test]
fn a_label_or_header_that_is_not_there_reads_as_empty() {
    for mode in [Mode::Match, Mode::Policy] {
        assert_eq!(answer(mode, r#"labels.trusted == "yes""#), Ok(false));
        assert_eq!(answer(mode, r#"labels.trusted != "yes""#), Ok(true), "so that a deny cannot be dodged by silence");
        assert_eq!(answer(mode, r#"headers["x-none"] == """#), Ok(true));
    }
}

#[test]
fn a_member_that_is_not_there_fails_a_route_and_stops_a_policy() {
    let rule = r#"args.message.amount > 100"#;
    assert_eq!(answer(Mode::Match, rule), Ok(false));
    let error = answer(Mode::Policy, rule).unwrap_err();
    assert!(error.contains("has()"), "{error}");
    assert_eq!(answer(Mode::Policy, r#"has(args.message.amount) && args.message.amount > 100"#), Ok(false));
}

#[test]
fn what_cannot_be_compared_is_an_error_that_shows_no_value() {
    for rule in
        [r#"text > 5"#, r#"args.message.parts[9].text == "x""#, r#"int(text) == 1"#, "1 / (size(zone) - 7) == 1"]
    {
        let error = answer(Mode::Match, rule).unwrap_err();
        assert!(!error.contains('厨') && !error.contains("wxyz"), "{error}");
    }
}

#[test]
fn facts_that_were_not_given_read_as_nothing() {
    let caller = Principal::local("home.example");
    let facts = Facts::new(&caller, Operation::List);
    for rule in
        [r#"skill == "" && agent == "" && text == "" && zone == "" && labels.size() == 0"#, r#"args.size() == 0"#]
    {
        assert_eq!(Rule::compile(rule, Mode::Match).unwrap().matches(&facts), Ok(true), "{rule}");
    }
    let rule = Rule::compile(r#"skill.id == "" && skill.tags.size() == 0"#, Mode::Policy).unwrap();
    assert_eq!(rule.matches(&facts), Ok(true));
}

#[test]
fn a_request_with_too_many_values_is_not_looked_at() {
    let caller = Principal::local("home.example");
    let args = json!({"list": vec![1; 5_000]});
    let facts = Facts { args: Some(&args), ..Facts::new(&caller, Operation::Send) };
    let once = Rule::compile("args.list.all(x, x == 1)", Mode::Match).unwrap();
    assert_eq!(once.matches(&facts), Ok(true));
    let twice = Rule::compile("args.list.all(x, args.list.exists(y, y == x))", Mode::Match).unwrap();
    let error = twice.matches(&facts).unwrap_err();
    assert!(error.message.contains("1000 values"), "{error}");
}

#[test]
fn reads_say_what_must_be_fetched() {
    let reads = |rule: &str| *Rule::compile(rule, Mode::Match).unwrap().reads();
    assert_eq!(reads(r#"skill == "a" && agent != "x""#), moongate_rules::Reads::default());
    assert!(reads(r#"skill == "a" && operation == "send""#).operation);
    assert!(reads("has(args.message)").args && reads(r#"text != """#).text && reads("time.hour < 6").time);
    assert!(reads(r#"headers["a"] == "b""#).headers && reads("has(headers.a)").headers);
    assert!(
        reads(r#"zone == "x""#).labels && reads(r#"labels["x"] == "y""#).labels && reads("labels.size() > 1").labels
    );
    assert!(!reads(r#"principal.scopes.exists(text2, text2 == "x")"#).text);
}

#[test]
fn every_function_that_the_page_offers_answers() {
    for rule in [
        r#"size(zone) == 7 && zone.size() == 7"#,
        r#"zone.contains("itch") && zone.startsWith("kit") && zone.endsWith("hen")"#,
        r#"int("7") == 7 && uint(7) == 7u && double("1.5") == 1.5 && string(7) == "7" && bytes("a") == b"a""#,
        r#"bool("true") && type(zone) == string && dyn(1) == 1"#,
        r#"[1, 2, 3].exists_one(n, n > 2) && [1, 2].map(n, n * 2) == [2, 4] && [1, 2].filter(n, n > 1) == [2]"#,
        r#"(zone == "kitchen" ? 1 : 2) + 7 / 2 - 5 % 3 == 2 && !(1 >= 2) && 1 <= 2"#,
    ] {
        assert_eq!(answer(Mode::Match, rule), Ok(true), "{rule}");
    }
}
