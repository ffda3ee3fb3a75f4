//! What does not compile, and what the writer is told.

use moongate_rules::{Mode, Rule};

fn mistake(mode: Mode, rule: &str) -> (String, Option<usize>) {
    let error = Rule::compile(rule, mode).map(|_| ()).expect_err(rule);
    (error.message, error.offset)
}

#[test]
fn a_misspelt_name_is_found_where_it_stands_and_the_right_one_suggested() {
    let (message, offset) = mistake(Mode::Match, r#"operation == "send" && zoen == "kitchen""#);
    assert!(message.starts_with("there is no name `zoen`; did you mean `zone`? The names are `skill`"), "{message}");
    assert_eq!(offset, Some(23));
    let (message, offset) = mistake(Mode::Match, r#"text == "厨房" && zoen == "x""#);
    assert_eq!((&message[..24], offset), ("there is no name `zoen`;", Some("text == \"厨房\" && ".len())));
    let (message, _) = mistake(Mode::Match, "unheard_of == 1");
    assert!(message.starts_with("there is no name `unheard_of`. The names are"), "{message}");
}

#[test]
fn fields_functions_and_words_are_checked_too() {
    for (mode, rule, expected) in [
        (Mode::Policy, r#"principal.name == "x""#, "`principal` has no field `name`; its fields are `id`, `kind`"),
        (Mode::Policy, r#"skill.tag == "x""#, "`skill` has no field `tag`"),
        (Mode::Policy, r#"skill == "x""#, "`skill` is not a value of its own; its fields are `id`, `tags`, `agent`"),
        (Mode::Match, r#"skill.id == "x""#, "in `match`, `skill` is the id itself"),
        (Mode::Match, "time > 5", "`time` is not a value of its own"),
        (Mode::Match, r#"operation == "sned""#, "`operation` is never \"sned\"; did you mean \"send\"?"),
        (Mode::Match, r#""human" != principal.kind"#, "`principal.kind` is never \"human\"; it is one of user, agent"),
        (Mode::Match, r#"skill.startWith("x")"#, "there is no function `startWith`; did you mean `startsWith`?"),
        (Mode::Match, "frobnicate(zone)", "there is no function `frobnicate`; there are `size`"),
        (Mode::Match, "principal.scopes.exists(s)", "`exists` is used with the wrong number of arguments"),
        (Mode::Match, "principal.scopes.exists(zone, zone == \"x\")", "the loop's variable `zone` hides"),
        (Mode::Match, "has(principal.id)", "`principal.id` is always there"),
        (Mode::Match, "zone", "a rule is a question"),
        (Mode::Match, "principal.id", "a rule is a question"),
        (Mode::Match, "1 + 1", "a rule is a question"),
        (Mode::Match, "\"x\"", "a rule is a question"),
        (Mode::Match, "  ", "the rule is empty"),
        (Mode::Match, "Foo{a: 1} == 1", "a rule cannot make messages"),
    ] {
        let (message, _) = mistake(mode, rule);
        assert!(message.starts_with(expected), "{rule}\n  {message}\n  {expected}");
    }
}

#[test]
fn mistakes_of_syntax_are_short_and_point_at_the_place() {
    let (message, offset) = mistake(Mode::Match, "zone == ");
    assert_eq!((message.as_str(), offset), ("not valid CEL: mismatched input the end of the rule", Some(8)));
    let (message, offset) = mistake(Mode::Match, r#"zone = "kitchen""#);
    assert!(message.starts_with("not valid CEL: ") && message.len() < 120, "{message}");
    assert_eq!(offset, Some(5));
    let rule = "text == \"厨房\" && zone = \"x\"";
    assert_eq!(mistake(Mode::Match, rule).1, rule.find(" = ").map(|space| space + 1));
    let (_, offset) = mistake(Mode::Match, "zone == \"a\" &&\n  skill ==");
    assert!(offset.is_some_and(|offset| offset >= 17), "{offset:?}");
}

#[test]
fn cost_is_bounded_when_it_compiles() {
    let scopes = "principal.scopes";
    let two = format!("{scopes}.all(a, {scopes}.all(b, a != b))");
    assert!(Rule::compile(&two, Mode::Match).is_ok());
    let (message, _) = mistake(Mode::Match, &format!("{scopes}.all(a, {scopes}.all(b, {scopes}.all(c, a != b)))"));
    assert!(message.contains("more than 2 loops"), "{message}");
    let (message, _) = mistake(Mode::Match, &format!("zone == \"{}\"", "x".repeat(5000)));
    assert!(message.contains("4096"), "{message}");
    let (message, _) = mistake(Mode::Match, &format!("{}true{}", "(".repeat(500), ")".repeat(500)));
    assert!(message.starts_with("not valid CEL"), "{message}");
}
