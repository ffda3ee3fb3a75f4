//! Every verb of the command line, as the program's own help names them.

use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt as _;

use super::{Book, ended, home};
use crate::support::*;

/// What a verb leaves in the log.
enum Leaves {
    /// A line of this operation.
    Line(&'static str),
    /// Nothing, for this reason.
    Nothing(&'static str),
}
use Leaves::{Line, Nothing};

const READS: &str = "reads the configuration's own files and changes nothing";
const LOG: &str = "reads the log's files, which are this account's, and changes nothing";
const CA: &str = "reads the authority's files, which are this account's, and changes nothing";

/// How each verb is called, in this order. `{card}` is the URL of an agent's card.
const VERBS: &[(&str, &str, Leaves)] = &[
    ("run", "", Nothing("is the gateway itself: see what_the_gateway_does_by_itself_leaves_lines")),
    ("demo", "", Nothing("starts a gateway of its own, whose folder goes with it")),
    ("init", "", Nothing("writes a first configuration, before which there is no log")),
    ("check", "", Nothing(READS)),
    ("console", "", Line("console.link")),
    ("doctor", "", Nothing(READS)),
    ("completions", "bash", Nothing("prints a script")),
    ("explain", "hello --skill lights.set", Line("explain")),
    ("agents list", "", Line("agents.read")),
    ("agents show", "home", Line("agents.read")),
    ("agents add", "{card} --name second", Line("agents.add")),
    ("agents search", "lights", Line("skills.read")),
    ("agents remove", "second", Line("agents.remove")),
    ("send", "hello --skill lights.set", Line("send")),
    ("approve list", "", Line("approvals.read")),
    ("approve show", "nobody", Line("approvals.read")),
    ("approve yes", "nobody", Line("approvals.approve")),
    ("approve no", "nobody", Line("approvals.deny")),
    ("approve remembered", "", Line("approvals.read")),
    ("approve forget", "nobody", Line("approvals.forget")),
    ("top", "--once", Line("queue.read")),
    ("tap", "--seconds 1", Line("events.read")),
    ("tasks list", "", Line("tasks.read")),
    ("tasks show", "nobody", Line("tasks.read")),
    ("tasks watch", "nobody-else", Line("tasks.read")),
    ("tasks cancel", "nobody", Line("tasks.cancel")),
    ("tasks pause", "nobody", Line("tasks.pause")),
    ("tasks resume", "nobody", Line("tasks.resume")),
    ("tasks redrive", "", Line("tasks.redrive")),
    ("tasks webhook-secret", "https://hooks.example/a", Line("tasks.webhook-secret")),
    ("clients add", "watch --scope a2a:*:*", Line("clients.add")),
    ("clients list", "", Line("clients.read")),
    ("clients show", "watch", Line("clients.read")),
    ("clients disable", "watch", Line("clients.disable")),
    ("clients enable", "watch", Line("clients.enable")),
    ("clients remove", "watch", Line("clients.remove")),
    ("token list", "", Line("tokens.read")),
    ("token keys", "", Line("tokens.read")),
    ("token revoke", "nothing", Line("tokens.remove")),
    ("token rotate-key", "", Line("tokens.rotate-key")),
    ("users add", "alice", Line("users.add")),
    ("users list", "", Line("users.read")),
    ("users show", "alice", Line("users.read")),
    ("users set", "alice --display-name Alice", Line("users.patch")),
    ("users passwd", "alice", Line("users.password")),
    ("users invite", "alice", Line("users.invite")),
    ("users disable", "alice", Line("users.disable")),
    ("users enable", "alice", Line("users.enable")),
    ("users remove", "alice", Line("users.remove")),
    ("backup", "copy.db", Line("store.backup")),
    ("audit verify", "", Nothing(LOG)),
    ("audit prove", "0", Nothing(LOG)),
    ("audit export", "--out copy", Nothing(LOG)),
    ("audit search", "", Nothing(LOG)),
    ("ca init", "", Line("ca.init")),
    ("ca issue", "lamp --client --spiffe spiffe://home.example/lamp", Line("ca.issue")),
    ("ca revoke", "lamp", Line("ca.revoke")),
    ("ca crl", "", Line("ca.crl")),
    ("ca list", "", Nothing(CA)),
    ("ca show", "", Nothing(CA)),
];

/// The verbs below these words, by what the program prints about itself.
async fn verbs(words: Vec<String>) -> Vec<String> {
    let folder = folder();
    let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    let text = out(&moongate(folder.path(), &arguments).await);
    let Some((_, list)) = text.split_once("Commands:\n") else { return vec![words.join(" ")] };
    let names = list.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let line = line.strip_prefix("  ")?;
        line.split(' ').next().filter(|name| !name.is_empty() && *name != "help")
    });
    let mut found = Vec::new();
    for name in names {
        found.extend(Box::pin(verbs(words.iter().cloned().chain([name.to_owned()]).collect())).await);
    }
    found
}

/// The program next to the gateway, with a password for whoever asks for one.
async fn called(gateway: &Gateway, words: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(MOONGATE);
    command.args(words).current_dir(gateway.folder()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Whoever reads nothing has closed it.
    let _ = child.stdin.take().unwrap().write_all(b"correct horse battery\n").await;
    soon("the end of the command", child.wait_with_output()).await.unwrap()
}

#[tokio::test]
async fn every_verb_leaves_a_line_or_has_a_reason_why_not() {
    let named = verbs(Vec::new()).await;
    assert!(named.len() > 50, "the help is not understood: {named:?}");
    let row = |verb: &String| VERBS.iter().any(|(known, ..)| known == verb);
    let new: Vec<&String> = named.iter().filter(|verb| !row(verb)).collect();
    assert!(new.is_empty(), "how are these called, and what do they leave? {new:?}");
    let gone: Vec<&str> =
        VERBS.iter().map(|(verb, ..)| *verb).filter(|verb| !named.iter().any(|name| name == verb)).collect();
    assert!(gone.is_empty(), "there are no such verbs: {gone:?}");
    let (gateway, agent) = home().await;
    let mut book = Book::of(&gateway);
    book.since(&gateway).await;
    let mut silent = Vec::new();
    for (verb, arguments, leaves) in VERBS {
        let line = match leaves {
            Line(operation) => *operation,
            Nothing(why) => {
                assert!(why.len() > 10, "{verb}: {why}");
                continue;
            }
        };
        let card = agent.card_url();
        let words: Vec<&str> = verb.split(' ').chain(arguments.split_whitespace()).collect();
        let words: Vec<&str> = words.iter().map(|word| if *word == "{card}" { card.as_str() } else { word }).collect();
        let output = called(&gateway, &words).await;
        let lines = book.since(&gateway).await;
        if !lines.iter().any(|one| ended(one, line) && one["source"]["id"] != "-") {
            silent.push(format!("{verb} ({line}): {}{}\n  {lines:?}", out(&output), err(&output)));
        }
    }
    assert!(silent.is_empty(), "these leave no line in the audit log:\n{}", silent.join("\n"));
}

#[tokio::test]
async fn what_is_done_by_files_while_no_gateway_runs_is_in_its_log_all_the_same() {
    let (mut gateway, _agent) = home().await;
    called(&gateway, &["ca", "init"]).await;
    gateway.terminate().await;
    let mut book = Book::of(&gateway);
    book.more();
    for (words, operation) in [
        (&["ca", "issue", "lamp", "--client", "--spiffe", "spiffe://home.example/lamp"][..], "ca.issue"),
        (&["ca", "revoke", "lamp"], "ca.revoke"),
        (&["ca", "crl"], "ca.crl"),
        (&["backup", "copy.db"], "store.backup"),
        (&["tasks", "webhook-secret", "https://hooks.example/a"], "tasks.webhook-secret"),
    ] {
        let output = called(&gateway, words).await;
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", err(&output));
        let lines = book.more();
        let own: Vec<&str> = lines
            .iter()
            .filter(|line| line["operation"] == operation)
            .map(|line| line["result"].as_str().unwrap())
            .collect();
        assert_eq!(own, ["intended", "done"], "{words:?}: {lines:?}");
    }
    gateway.restart().await;
    let output = called(&gateway, &["audit", "verify"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
}
