//! Logs that others sign, too: another Moongate, and one that finds two histories.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::*;

const LISTEN: &str = "[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n[store]\nurl = \"memory:\"\n";

/// A gateway of this domain that keeps a log; `more` belongs to `[audit]`.
fn configured(domain: &str, more: &str) -> String {
    format!("domain = \"{domain}\"\n{LISTEN}[audit]\non = true\n{more}")
}

async fn text(gateway: &Gateway, path: &str) -> String {
    let answer = get(&gateway.admin(), path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

/// The car, which signs what the home's log says.
async fn neighbour(home: &Gateway) -> Gateway {
    let key = text(home, "/audit/vkey").await;
    let cosigns = format!("cosigns = [{{ origin = \"home.example/audit\", key = \"{}\" }}]\n", key.trim());
    Gateway::start(MOONGATE, &configured("car.example", &cosigns)).await
}

/// The home again, with the car as its witness.
async fn witnessed_by(home: &mut Gateway, car: &Gateway) {
    let key = text(car, "/audit/witness/vkey").await;
    let url = format!("{}/audit/witness", car.admin());
    let witnesses =
        format!("witness_seconds = 1\nwitnesses = [{{ name = \"car\", url = \"{url}\", key = \"{}\" }}]\n", key.trim());
    let before = std::fs::read_to_string(home.config()).unwrap();
    home.terminate().await;
    home.reload(&before.replacen("on = true\n", &format!("on = true\n{witnesses}"), 1));
    home.restart().await;
}

/// How many lines the car has signed, by what the home says of it.
async fn signed(home: &Gateway) -> u64 {
    status(home).await["audit"]["witnesses"][0]["size"].as_u64().unwrap_or_default()
}

async fn grow(home: &Gateway) {
    for _ in 0..5 {
        http("POST", &home.plain(), "/a2a", &[V1], Some(&rpc("GetTask", &json!({"id": "nobody"})))).await;
    }
}

async fn conflicts(gateway: &Gateway) -> Vec<Value> {
    let found = moongate(gateway.folder(), &["--json", "audit", "search", "--operation", "witness.conflict"]).await;
    out(&found).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn another_gateway_signs_the_log_as_it_grows_and_everybody_can_see_that() {
    let mut home = Gateway::start(MOONGATE, &configured("home.example", "")).await;
    let car = neighbour(&home).await;
    witnessed_by(&mut home, &car).await;
    eventually("the car signs", || async { signed(&home).await > 0 }).await;
    let first = signed(&home).await;
    grow(&home).await;
    eventually("the car signs what came", || async { signed(&home).await >= first + 5 }).await;
    let note = text(&home, "/audit/witnessed").await;
    assert_eq!(
        note.lines().filter(|line| line.starts_with("\u{2014} car.example/audit/witness ")).count(),
        1,
        "{note}"
    );
    assert!(note.starts_with("home.example/audit/20"), "{note}");
    let metrics = text(&home, "/metrics").await;
    let lines = metrics.lines().find(|line| line.starts_with("moongate_audit_witnessed_lines{witness=\"car\"}"));
    assert!(lines.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
    std::fs::write(home.folder().join("car.vkey"), text(&car, "/audit/witness/vkey").await).unwrap();
    let verified = moongate(home.folder(), &["audit", "verify", "--witness", "car.vkey"]).await;
    assert_eq!(verified.status.code(), Some(0), "{}{}", out(&verified), err(&verified));
    assert!(err(&verified).contains("car.example/audit/witness has signed"), "{}", err(&verified));
    // Somebody else has not.
    std::fs::write(home.folder().join("other.vkey"), text(&home, "/audit/witness/vkey").await).unwrap();
    let missed = moongate(home.folder(), &["audit", "verify", "--witness", "other.vkey"]).await;
    assert_eq!(missed.status.code(), Some(1), "{}{}", out(&missed), err(&missed));
    // Signing is no line of the one that signs: two that sign for each other come to rest.
    let own = moongate(car.folder(), &["--json", "audit", "search"]).await;
    assert!(!out(&own).contains("witness"), "{}", out(&own));
}

#[tokio::test]
async fn a_log_that_was_put_back_has_two_histories_and_both_sides_say_so() {
    let mut home = Gateway::start(MOONGATE, &configured("home.example", "")).await;
    let car = neighbour(&home).await;
    witnessed_by(&mut home, &car).await;
    eventually("the car signs", || async { signed(&home).await > 0 }).await;
    home.terminate().await;
    let kept = folder();
    copy(home.folder(), kept.path());
    home.restart().await;
    let before = signed(&home).await;
    grow(&home).await;
    grow(&home).await;
    eventually("the car signs what came", || async { signed(&home).await >= before + 10 }).await;
    home.terminate().await;
    // The log, its key's mark and all: for the home itself nothing is wrong.
    std::fs::remove_dir_all(home.folder().join("audit")).unwrap();
    copy(kept.path(), home.folder());
    home.restart().await;
    for (gateway, with) in [(&home, "car"), (&car, "home.example/audit/20")] {
        eventually("it is told of", || async { status(gateway).await["audit"]["attention"] != json!([]) }).await;
        let attention = status(gateway).await["audit"]["attention"].to_string();
        assert!(attention.contains("two histories") && attention.contains(with), "{attention}");
        eventually("it is in the log", || async { !conflicts(gateway).await.is_empty() }).await;
        assert_eq!(conflicts(gateway).await[0]["code"], "MG-0859");
        eventually("it is a number", || async {
            text(gateway, "/metrics").await.contains("moongate_audit_conflicts_total{with=")
        })
        .await;
        assert_eq!(get(&gateway.admin(), "/readyz").await.status, 200, "requests go on");
    }
}

#[tokio::test]
async fn a_witness_that_is_away_holds_up_nothing() {
    let key = "witness.example/w1+326cc343+BOwmJ8WBabty6qnjCfF5zNTUE7xDJ7PI/D1u2UYDwfys";
    let nobody = format!(
        "witness_seconds = 1\nwitnesses = [{{ name = \"nobody\", url = \"http://{}\", key = \"{key}\" }}]\n",
        refusing().await
    );
    let home = Gateway::start(MOONGATE, &configured("home.example", &nobody)).await;
    eventually("it was asked", || async { status(&home).await["audit"]["witnesses"][0]["failing"].is_string() }).await;
    eventually("it is counted", || async {
        text(&home, "/metrics").await.contains("moongate_audit_witness_failures_total{witness=\"nobody\"}")
    })
    .await;
    grow(&home).await;
    assert_eq!(get(&home.admin(), "/audit/witnessed").await.code(), "MG-0858");
    assert_eq!(status(&home).await["audit"]["attention"], json!([]));
}

/// An address where nobody listens.
async fn refusing() -> std::net::SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// What a gateway says to the body of an `add-checkpoint`.
async fn asked(base: &str, body: String) -> (u16, String) {
    let mut browser = Browser::at(base);
    let answer = browser.send("POST", "/audit/witness/add-checkpoint", &[], &body).await;
    (answer.status, answer.text())
}

#[tokio::test]
async fn nothing_is_signed_that_is_not_the_same_log_grown() {
    let home = Gateway::start(MOONGATE, &configured("home.example", "")).await;
    let car = neighbour(&home).await;
    let at = car.admin();
    let note = text(&home, "/audit/checkpoint").await;
    assert_eq!(asked(&at, "nonsense".into()).await.0, 400);
    let other = note.replacen("home.example", "van.example", 1);
    assert_eq!(asked(&at, format!("old 0\n\n{other}")).await.0, 404, "a log that is not known");
    let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
    let longer = note.replacen(&format!("\n{size}\n"), &format!("\n{}\n", size + 1), 1);
    assert_eq!(asked(&at, format!("old 0\n\n{longer}")).await.0, 403, "not signed");
    assert_eq!(asked(&at, format!("old {}\n\n{note}", size + 1)).await.0, 400, "backwards");
    let (status, line) = asked(&at, format!("old 0\n\n{note}")).await;
    assert!(status == 200 && line.starts_with("\u{2014} car.example/audit/witness "), "{status} {line}");
    grow(&home).await;
    eventually("the log grows", || async { text(&home, "/audit/checkpoint").await != note }).await;
    let grown = text(&home, "/audit/checkpoint").await;
    assert_eq!(
        asked(&at, format!("old 0\n\n{grown}")).await,
        (409, format!("{size}\n")),
        "another size was signed last"
    );
    let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert_eq!(asked(&at, format!("old {size}\n{wrong}\n\n{grown}")).await.0, 422, "a proof that proves nothing");
    assert_eq!(asked(&car.plain(), format!("old {size}\n\n{grown}")).await.0, 404, "strangers do not come here");
}
