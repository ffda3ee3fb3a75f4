//! The command line: what it prints, where to, and how it ends. Snapshots hold every help text and message.

use serde_json::{Value, json};

use crate::support::*;

/// A gateway that its configuration file leads to.
async fn running(agents: &[&Agent]) -> Gateway {
    let listen = "[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n";
    let entries: String = agents.iter().map(|agent| agent.entry()).collect();
    Gateway::start(MOONGATE, &format!("{listen}{entries}")).await
}

/// Exit code, standard output, standard error; what differs from run to run replaced by names.
fn told(output: &std::process::Output, replace: &[(&str, &str)]) -> String {
    let mut text =
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", output.status.code().unwrap(), out(output), err(output));
    for (from, to) in replace {
        text = text.replace(from, to);
    }
    text
}

#[tokio::test]
async fn help_texts_read_as_they_should() {
    let folder = folder();
    let output = moongate(folder.path(), &[]).await;
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!("help", out(&output));
    for command in ["run", "demo", "init", "check", "explain", "agents", "send", "completions"] {
        let output = moongate(folder.path(), &[command, "--help"]).await;
        assert_eq!(output.status.code(), Some(0), "{command}");
        insta::assert_snapshot!(format!("help_{command}"), out(&output));
    }
    for command in ["list", "show", "add", "remove", "search"] {
        let output = moongate(folder.path(), &["agents", command, "--help"]).await;
        assert_eq!(output.status.code(), Some(0), "{command}");
        insta::assert_snapshot!(format!("help_agents_{command}"), out(&output));
    }
    for command in ["init", "issue", "revoke", "crl", "list", "show"] {
        let output = moongate(folder.path(), &["ca", command, "--help"]).await;
        assert_eq!(output.status.code(), Some(0), "{command}");
        insta::assert_snapshot!(format!("help_ca_{command}"), out(&output));
    }
    let version = moongate(folder.path(), &["--version"]).await;
    assert_eq!(out(&version), format!("moongate {}\n", env!("CARGO_PKG_VERSION")));
    let help = out(&moongate(folder.path(), &["--help"]).await);
    assert!(!help.contains("demo-agent"), "what is not for users is not shown");
}

#[tokio::test]
async fn init_writes_a_file_that_check_finds_right_and_never_overwrites_one() {
    let folder = folder();
    let path = folder.path().join("moongate.toml");
    let output = moongate(folder.path(), &["init"]).await;
    insta::assert_snapshot!("init", told(&output, &[]));
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written, moongate_config::SAMPLE);
    insta::assert_snapshot!("check_right", told(&moongate(folder.path(), &["check"]).await, &[]));
    let output = moongate(folder.path(), &["check", "--json"]).await;
    assert_eq!(
        serde_json::from_str::<Value>(&out(&output)).unwrap(),
        json!({"ok": true, "agents": 0, "routes": 0, "policies": 0})
    );

    std::fs::write(&path, "domain = \"mine\"\n").unwrap();
    insta::assert_snapshot!("init_again", told(&moongate(folder.path(), &["init"]).await, &[]));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "domain = \"mine\"\n");
    let output = moongate(folder.path(), &["init", "--force", "--json"]).await;
    assert_eq!((output.status.code(), out(&output)), (Some(0), "{\"written\":\"moongate.toml\"}\n".to_owned()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), moongate_config::SAMPLE);
    let output = moongate(folder.path(), &["--config", "no/such/folder/m.toml", "init"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("MG-0101"), "{}", err(&output));
}

#[tokio::test]
async fn check_shows_every_mistake_with_its_place_and_a_hint() {
    let folder = folder();
    let text = "[listen]\nmain = \"0.0.0.0:7443\"\n\n[limits]\nbody_bites = 5\nparts = \"many\"\n\n[[agents]]\nname = \"a\"\ncard_url = \"http://127.0.0.1:9/card.json\"\n\n[[routes]]\nmatch = 'skil == \"x\"'\nto = [{ agent = \"b\" }]\n";
    std::fs::write(folder.path().join("moongate.toml"), text).unwrap();
    let output = moongate(folder.path(), &["check"]).await;
    insta::assert_snapshot!("check_mistakes", told(&output, &[]));
    let output = moongate(folder.path(), &["check", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let mistakes = serde_json::from_str::<Value>(&out(&output)).unwrap();
    let mut codes: Vec<&str> =
        mistakes["mistakes"].as_array().unwrap().iter().map(|m| m["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["MG-0103", "MG-0104", "MG-0105", "MG-0107", "MG-0108"], "{mistakes}");
    // To run such a file is an error, not a no.
    let output = moongate(folder.path(), &["run"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("MG-0103") && out(&output).is_empty(), "{}", err(&output));
    insta::assert_snapshot!(
        "check_missing",
        told(&moongate(folder.path(), &["--config", "other.toml", "check"]).await, &[])
    );
}

#[tokio::test]
async fn commands_say_when_nothing_runs_and_when_they_are_misused() {
    let folder = folder();
    std::fs::write(folder.path().join("moongate.toml"), "[listen]\nadmin = \"127.0.0.1:9\"\n").unwrap();
    insta::assert_snapshot!("nothing_runs", told(&moongate(folder.path(), &["agents"]).await, &[]));
    for arguments in [&["send", "hello"][..], &["explain", "hello"], &["agents", "add", "http://127.0.0.1:9"]] {
        let output = moongate(folder.path(), arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(err(&output).contains("MG-0111") && out(&output).is_empty(), "{arguments:?}: {}", err(&output));
    }
    insta::assert_snapshot!("misused_send", told(&moongate(folder.path(), &["send"]).await, &[]));
    insta::assert_snapshot!(
        "misused_label",
        told(&moongate(folder.path(), &["send", "--label", "x", "hello"]).await, &[])
    );
    insta::assert_snapshot!("unknown_command", told(&moongate(folder.path(), &["agent"]).await, &[]));
}

#[tokio::test]
async fn agents_are_listed_added_shown_and_removed() {
    let a = Agent::start("a", &[json!("a.do")]).await;
    let b = Agent::start("b", &[json!("b.do"), json!("b.more")]).await;
    let gateway = running(&[&a]).await;
    let folder = gateway.folder().to_owned();
    let run = |arguments: &'static [&'static str]| moongate(&folder, arguments);
    let base = format!("http://{}", b.address);
    let admin = gateway.admin();
    let names = [(base.as_str(), "{agent}"), (admin.as_str(), "{gateway}")];
    let added = moongate(&folder, &["agents", "add", &base, "--name", "bee", "--zone", "attic", "--weight", "5"]).await;
    insta::assert_snapshot!("agents_add", told(&added, &names));
    insta::assert_snapshot!("agents_list", told(&run(&["agents"]).await, &names));
    let listed = out(&run(&["agents", "list", "--json"]).await);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["agents"].as_array().unwrap().len(), 2);
    let shown: Value = serde_json::from_str(&out(&run(&["agents", "show", "bee"]).await)).unwrap();
    assert_eq!(
        (&shown["zone"], &shown["weight"], &shown["at"]["card_url"]),
        (&json!("attic"), &json!(5), &json!(base))
    );
    insta::assert_snapshot!("agents_search", told(&run(&["agents", "search", "b.more"]).await, &names));
    let nothing = run(&["agents", "search", "quantum chromodynamics"]).await;
    assert_eq!((nothing.status.code(), out(&nothing)), (Some(1), String::new()));
    insta::assert_snapshot!("agents_remove_configured", told(&run(&["agents", "remove", "a"]).await, &names));
    insta::assert_snapshot!("agents_remove", told(&run(&["agents", "remove", "bee"]).await, &names));
    insta::assert_snapshot!("agents_show_missing", told(&run(&["agents", "show", "bee"]).await, &names));
    b.set_card(|card| card["skills"][0]["tags"] = json!(7));
    let bad = moongate(&folder, &["agents", "add", &base]).await;
    insta::assert_snapshot!("agents_add_bad_card", told(&bad, &names));
}

#[tokio::test]
async fn a_message_is_sent_and_its_outcome_is_the_exit_code() {
    let a = Agent::start("a", &[json!("a.do")]).await;
    let b = Agent::start("b", &[json!("b.do")]).await;
    let gateway = running(&[&a, &b]).await;
    let folder = gateway.folder().to_owned();
    let run = |arguments: &'static [&'static str]| moongate(&folder, arguments);
    insta::assert_snapshot!("send", told(&run(&["send", "--agent", "a", "good", "morning"]).await, &[]));
    let output = run(&["send", "--skill", "b.do", "--zone", "attic", "--label", "device=lamp", "hello"]).await;
    assert_eq!(out(&output), "b: hello\n");
    let seen = b.seen()[0].params.clone();
    assert_eq!(
        seen["message"]["metadata"][ROUTING],
        json!({"skillId": "b.do", "zone": "attic", "labels": {"device": "lamp"}})
    );
    let output = run(&["send", "--agent", "a", "--context", "talk", "--json", "hello"]).await;
    assert_eq!(serde_json::from_str::<Value>(&out(&output)).unwrap()["message"]["contextId"], "talk");
    a.set_manner(Manner::Task);
    let output = run(&["send", "--agent", "a", "begin"]).await;
    let id = err(&output).split(' ').nth(1).unwrap().to_owned();
    insta::assert_snapshot!("send_task", told(&output, &[(&id, "{task}")]));
    let output = moongate(&folder, &["send", "--task", &id, "go on"]).await;
    assert_eq!((output.status.code(), out(&output)), (Some(0), "a: go on\n".to_owned()));
    insta::assert_snapshot!("send_refused", told(&run(&["send", "--skill", "no.such", "hello"]).await, &[]));
    b.set_manner(Manner::Unavailable);
    insta::assert_snapshot!("send_failed", told(&run(&["send", "--agent", "b", "hello"]).await, &[]));
}

#[tokio::test]
async fn explain_shows_each_stage_and_says_no_to_what_would_be_refused() {
    let skill = json!({"id": "lights.set", "name": "Lights", "description": "Turns lights on or off.", "tags": []});
    let a = Agent::start("a", &[skill]).await;
    let b = Agent::start("b", &[json!("b.do")]).await;
    let listen = "[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n";
    let rules = "[[routes]]\nmatch = 'zone == \"attic\"'\nto = [{ agent = \"a\", weight = 9 }, { agent = \"b\", weight = 1 }]\n[[policy]]\nname = \"not b\"\ndeny = 'agent == \"b\"'\n";
    let gateway = Gateway::start(MOONGATE, &format!("{listen}{rules}{}{}", a.entry(), b.entry())).await;
    let folder = gateway.folder().to_owned();
    let run = |arguments: &'static [&'static str]| moongate(&folder, arguments);
    insta::assert_snapshot!("explain_path", told(&run(&["explain", "--agent", "a", "hello"]).await, &[]));
    insta::assert_snapshot!("explain_intent", told(&run(&["explain", "turn the lights on"]).await, &[]));
    insta::assert_snapshot!("explain_denied", told(&run(&["explain", "--skill", "b.do", "hello"]).await, &[]));
    insta::assert_snapshot!("explain_unknown", told(&run(&["explain", "--skill", "no.such", "hello"]).await, &[]));
    let output = run(&["explain", "--json", "--agent", "a", "hello"]).await;
    let view: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(
        (&view["route"]["agent"], &view["resolved"]["rule"], &view["problem"]),
        (&json!("a"), &json!("path"), &json!(null))
    );
    let output = run(&["explain", "--zone", "attic", "hello"]).await;
    assert!(out(&output).contains("by routes[0]: a (weight 9), b"), "{}", out(&output));
    assert!(a.seen().is_empty() && b.seen().is_empty());
}

#[tokio::test]
async fn completions_are_printed_for_every_shell() {
    let folder = folder();
    for (shell, mark) in [
        ("bash", "complete -F _moongate"),
        ("zsh", "#compdef moongate"),
        ("fish", "complete -c moongate"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion:arg-completer[moongate]"),
    ] {
        let output = moongate(folder.path(), &["completions", shell]).await;
        assert_eq!((output.status.code(), err(&output)), (Some(0), String::new()), "{shell}");
        assert!(out(&output).contains(mark), "{shell}");
        assert!(out(&output).contains("explain") && out(&output).contains("agents"), "{shell}");
    }
    assert_eq!(moongate(folder.path(), &["completions", "cmd"]).await.status.code(), Some(2));
}
