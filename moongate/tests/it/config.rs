//! A configuration that changes while the gateway works: what takes effect at once does so without a failed request,
//! what needs a restart says so, and a bad file changes nothing.

use serde_json::json;

use crate::support::*;

const APPLIED: &str = "applied";
const RESTART: &str = "needs restart";

/// Two agents, a gateway before them, and clients that never stop.
struct Bed {
    a: Agent,
    b: Agent,
    gateway: Gateway,
    load: Load,
}

impl Bed {
    async fn start(more: &str) -> Self {
        let a = Agent::start("a", &[json!("a.do")]).await;
        let b = Agent::start("b", &[json!("b.do")]).await;
        let gateway = Gateway::start(MOONGATE, &format!("{more}\n{}{}", a.entry(), b.entry())).await;
        let load = Load::start(gateway.plain(), "/agents/b");
        load.goes_on(5).await;
        Self { a, b, gateway, load }
    }

    /// Changes the file; the two agents stay.
    async fn change(&self, more: &str) -> std::collections::BTreeMap<String, String> {
        let changes = reload(&self.gateway, &format!("{more}\n{}{}", self.a.entry(), self.b.entry())).await;
        self.load.goes_on(3).await;
        changes
    }

    async fn send(&self, path: &str, params: &serde_json::Value) -> Answer {
        send(&self.gateway.plain(), path, params).await
    }

    async fn end(self) {
        self.load.stop().await;
    }
}

fn all(changes: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    changes.iter().map(|(section, effect)| ((*section).to_owned(), (*effect).to_owned())).collect()
}

#[tokio::test]
async fn what_a_running_gateway_cannot_change_needs_a_restart() {
    let listen = "[listen]\nmain = \"127.0.0.1:0\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n";
    let bed = Bed::start(listen).await;
    let cases = [
        (
            "[listen]\nmain = \"{main}\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n".to_owned(),
            all(&[("listen.main", RESTART), ("listen.plain", RESTART), ("listen.admin", RESTART)]),
        ),
        (format!("{listen}[tls]\nca_dir = \"other\"\n"), all(&[("tls.ca_dir", RESTART)])),
        (format!("{listen}[store]\nurl = \"memory:\"\n"), all(&[("store.url", RESTART)])),
        (format!("domain = \"other.example\"\n{listen}"), all(&[("domain", RESTART)])),
        (format!("data_dir = \"other\"\n{listen}"), all(&[("data_dir", RESTART)])),
        (
            format!("{listen}[limits]\nheader_bytes = \"8KiB\"\nconnections = 100\n"),
            all(&[("limits.header_bytes", RESTART), ("limits.connections", RESTART)]),
        ),
        (format!("{listen}[log]\nformat = \"json\"\naccess = true\n"), all(&[("log.access", RESTART)])),
        (
            format!("{listen}[telemetry]\notlp = \"http://127.0.0.1:9\"\nservice_name = \"hub\"\n"),
            all(&[("telemetry.otlp", RESTART), ("telemetry.service_name", RESTART)]),
        ),
    ];
    for (text, expected) in cases {
        let changes = bed.change(&text).await;
        for (section, effect) in &expected {
            assert_eq!(changes.get(section), Some(effect), "{section} in {changes:?}");
        }
        bed.change(listen).await;
    }
    // The restart does what was promised; the load of this test ends before it.
    let Bed { a, b, mut gateway, load } = bed;
    load.stop().await;
    let before = gateway.address("plain").unwrap();
    gateway.reload(&format!(
        "{}{}{}",
        "domain = \"other.example\"\n[listen]\nplain = \"127.0.0.1:0\"\nmain = \"off\"\nadmin = \"{admin}\"\n",
        a.entry(),
        b.entry()
    ));
    gateway.restart().await;
    assert_ne!(gateway.address("plain"), Some(before));
    assert_eq!(gateway.address("main"), None);
    let card = get(&gateway.plain(), "/.well-known/agent-card.json").await.json();
    assert_eq!(card["name"], "other.example");
}

#[tokio::test]
async fn limits_of_requests_change_at_once() {
    let bed = Bed::start("").await;
    let long = message(&"y".repeat(3000));
    assert_eq!(bed.send("/agents/a", &long).await.agent(), "a");
    assert_eq!(bed.change("[limits]\nbody_bytes = \"1KiB\"\n").await, all(&[("limits.body_bytes", APPLIED)]));
    let answer = bed.send("/agents/a", &long).await;
    assert_eq!(answer.code(), "MG-0205", "{}", answer.text());

    let mut deep = message("deep");
    deep["message"]["metadata"] =
        serde_json::from_str(&format!("{}1{}", "{\"x\":".repeat(20), "}".repeat(20))).unwrap();
    assert_eq!(bed.change("[limits]\njson_depth = 8\n").await["limits.json_depth"], APPLIED);
    assert_eq!(bed.send("/agents/a", &deep).await.code(), "MG-0204");

    let mut parts = message("one");
    parts["message"]["parts"] = json!([{"text": "one"}, {"text": "two"}]);
    assert_eq!(bed.send("/agents/a", &parts).await.agent(), "a");
    assert_eq!(bed.change("[limits]\nparts = 1\n").await["limits.parts"], APPLIED);
    assert_eq!(bed.send("/agents/a", &parts).await.code(), "MG-0217");

    bed.a.set_manner(Manner::Long);
    assert_eq!(bed.send("/agents/a", &message("long")).await.status, 200);
    assert_eq!(bed.change("[limits]\nanswer_bytes = \"1KiB\"\n").await["limits.answer_bytes"], APPLIED);
    assert_eq!(bed.send("/agents/a", &message("long")).await.code(), "MG-0508");

    bed.a.set_manner(Manner::Held);
    assert_eq!(bed.change("[limits]\nrequest_seconds = 2\n").await["limits.request_seconds"], APPLIED);
    let answer = bed.send("/agents/a", &message("never")).await;
    assert_eq!(answer.code(), "MG-0502", "{}", answer.text());
    bed.end().await;
}

#[tokio::test]
async fn limits_of_what_is_held_change_at_once() {
    let bed = Bed::start("").await;
    let plain = bed.gateway.plain();
    let open = |text: &'static str| {
        let plain = plain.clone();
        async move { Events::open(&plain, "/agents/a", "SendStreamingMessage", &message(text)).await }
    };
    let mut first = open("first").await.unwrap();
    assert_eq!(first.next().await.unwrap().data["result"]["task"]["status"]["state"], "TASK_STATE_WORKING");
    assert_eq!(bed.change("[limits]\nstreams = 1\n").await["limits.streams"], APPLIED);
    assert_eq!(open("second").await.err().expect("a refusal").code(), "MG-0608");
    bed.a.let_go();
    assert!(first.next().await.is_some(), "the stream that was open goes on");

    assert_eq!(bed.change("[limits]\nagents = 2\n").await["limits.agents"], APPLIED);
    let third = Agent::start("c", &[json!("c.do")]).await;
    let body = json!({"card_url": third.card_url()});
    let answer = http("POST", &bed.gateway.admin(), "/api/v1/agents", &[], Some(&body)).await;
    assert_eq!(answer.code(), "MG-0706");
    bed.change("").await;
    assert_eq!(http("POST", &bed.gateway.admin(), "/api/v1/agents", &[], Some(&body)).await.status, 201);

    bed.a.set_manner(Manner::Done);
    assert_eq!(bed.change("[limits]\ntasks = 2\n").await["limits.tasks"], APPLIED);
    let mut ids = Vec::new();
    for text in ["1", "2", "3", "4", "5", "6"] {
        let answer = bed.send("/agents/a", &message(text)).await.json();
        ids.push(answer["result"]["task"]["id"].as_str().unwrap().to_owned());
    }
    eventually("the oldest are forgotten", || async {
        let listed = call(&plain, "/a2a", "ListTasks", &json!({})).await.json();
        listed["result"]["totalSize"].as_u64().unwrap() <= 2
    })
    .await;
    let last = call(&plain, "/a2a", "GetTask", &json!({"id": ids[5]})).await;
    assert_eq!(last.json()["result"]["id"], json!(ids[5]), "the newest is remembered");
    bed.end().await;
}

#[tokio::test]
async fn the_time_to_drain_changes_at_once() {
    let mut bed = Bed::start("[limits]\ndrain_seconds = 600\n").await;
    bed.a.set_manner(Manner::Held);
    assert_eq!(bed.change("[limits]\ndrain_seconds = 0.5\n").await["limits.drain_seconds"], APPLIED);
    let (plain, path) = (bed.gateway.plain(), "/agents/a");
    let held = tokio::spawn(async move {
        let mut connection = Connection::open(&plain).await.unwrap();
        connection.send("POST", path, &[V1], Some(&rpc("SendMessage", &message("held")))).await
    });
    bed.a.got(1).await;
    bed.load.stop().await;
    let status = bed.gateway.terminate().await;
    assert_eq!(status.code(), Some(0));
    assert!(held.await.unwrap().is_err(), "what does not end in time is cut off");
}

#[tokio::test]
async fn egress_changes_at_once() {
    let bed = Bed::start("").await;
    bed.a.set_manner(Manner::Task);
    let task = bed.send("/agents/a", &message("work")).await.json()["result"]["task"]["id"].clone();
    let config = json!({"taskId": task, "url": "http://127.0.0.1:9/hook"});
    let create = || call_at(bed.gateway.plain(), config.clone());
    assert_eq!(create().await.code(), "MG-0405");
    assert_eq!(bed.change("[egress]\nallow = [\"127.0.0.0/8\"]\n").await, all(&[("egress.allow", APPLIED)]));
    let answer = create().await;
    assert_eq!(answer.json()["result"]["url"], "http://127.0.0.1:9/hook", "{}", answer.text());
    bed.change("").await;
    assert_eq!(create().await.code(), "MG-0405");
    bed.end().await;
}

async fn call_at(base: String, config: serde_json::Value) -> Answer {
    call(&base, "/agents/a", "CreateTaskPushNotificationConfig", &config).await
}

#[tokio::test]
async fn the_log_level_changes_at_once() {
    let bed = Bed::start("").await;
    let log =
        |level: &str, parts: u32| format!("[log]\nformat = \"json\"\nlevel = \"{level}\"\n[limits]\nparts = {parts}\n");
    assert_eq!(bed.change(&log("error", 900)).await["log.level"], APPLIED);
    bed.change(&log("error", 901)).await;
    let quiet = bed.gateway.log_lines().len();
    bed.change(&log("error", 902)).await;
    assert_eq!(bed.gateway.log_lines().len(), quiet, "nothing is said of a change that is no error");
    bed.change(&log("info", 903)).await;
    bed.gateway.logged(quiet, |line| line["section"] == "log.level" && line["level"] == "INFO").await;
    bed.end().await;
}

#[tokio::test]
async fn routing_changes_at_once() {
    let bed = Bed::start("[routing]\nintent = false\n").await;
    let hello = message("do a.do please");
    assert_eq!(bed.send("/a2a", &hello).await.code(), "MG-0302");
    assert_eq!(
        bed.change("[routing]\nintent = false\ndefault_agent = \"a\"\n").await,
        all(&[("routing.default_agent", APPLIED)])
    );
    assert_eq!(bed.send("/a2a", &hello).await.agent(), "a");
    bed.change("[routing]\nintent = false\ndefault_agent = \"b\"\n").await;
    assert_eq!(bed.send("/a2a", &hello).await.agent(), "b");

    let exact = message("a.do");
    let changes = bed.change("[routing]\nthreshold = 0.3\n").await;
    assert_eq!((changes["routing.intent"].as_str(), changes["routing.threshold"].as_str()), (APPLIED, APPLIED));
    assert_eq!(bed.send("/a2a", &exact).await.agent(), "a");
    let vague = message("does somebody do that thing");
    bed.change("[routing]\nthreshold = 1.0\n").await;
    assert_eq!(bed.send("/a2a", &vague).await.code(), "MG-0302");

    let route = |header: &str, agent: &str| {
        format!("[[routes]]\nmatch = 'headers[\"x-way\"] == \"{header}\"'\nto = [{{ agent = \"{agent}\" }}]\n")
    };
    let plain = bed.gateway.plain();
    let by_header = || async {
        http("POST", &plain, "/a2a", &[V1, ("x-way", "left")], Some(&rpc("SendMessage", &message("go")))).await
    };
    assert_eq!(bed.change(&route("left", "a")).await["routes"], APPLIED);
    assert_eq!(by_header().await.agent(), "a");
    bed.change(&route("left", "b")).await;
    assert_eq!(by_header().await.agent(), "b");
    bed.change("").await;
    assert_eq!(by_header().await.code(), "MG-0302");
    bed.end().await;
}

#[tokio::test]
async fn heartbeats_and_probes_change_at_once() {
    let bed = Bed::start("[routing]\nprobe_seconds = 3600\n").await;
    let admin = bed.gateway.admin();
    let c = Agent::start("c", &[json!("c.do")]).await;
    let made = http("POST", &admin, "/api/v1/agents", &[], Some(&json!({"name": "c", "card_url": c.card_url()}))).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let lease = http("PUT", &admin, "/api/v1/agents/c/heartbeat", &[], None).await.json();
    assert_eq!((&lease["interval_seconds"], &lease["ttl_seconds"]), (&json!(10), &json!(30)));
    let changes =
        bed.change("[routing]\nheartbeat_seconds = 100\nheartbeat_ttl_seconds = 200\nprobe_seconds = 0.1\n").await;
    for key in ["routing.heartbeat_seconds", "routing.heartbeat_ttl_seconds", "routing.probe_seconds"] {
        assert_eq!(changes[key], APPLIED);
    }
    let lease = http("PUT", &admin, "/api/v1/agents/c/heartbeat", &[], None).await.json();
    assert_eq!((&lease["interval_seconds"], &lease["ttl_seconds"]), (&json!(100), &json!(200)));
    let read = bed.a.cards_read();
    eventually("the card is probed again", || async { bed.a.cards_read() >= read + 2 }).await;
    bed.end().await;
}

#[tokio::test]
async fn balancing_changes_at_once() {
    let bed = Bed::start("").await;
    let admin = bed.gateway.admin();
    let policy = || async {
        let question = json!({"path": "/agents/a", "body": rpc("SendMessage", &message("hello"))});
        http("POST", &admin, "/api/v1/explain", &[], Some(&question)).await.json()["route"]["policy"].clone()
    };
    assert_eq!(policy().await, "p2c_ewma");
    for name in ["round_robin", "least_connections", "consistent_hash"] {
        let changes = bed.change(&format!("[balance]\npolicy = \"{name}\"\n")).await;
        assert_eq!((changes["balance.policy"].as_str(), policy().await), (APPLIED, json!(name)));
    }
    // One failure is enough to eject from now on.
    let keys = "consecutive_failures = 1\nmax_ejected_percent = 100\nbase_ejection_seconds = 3600\nattempts = 1\nslow_start_seconds = 0\nsuccess_rate_percent = 0\nsuccess_rate_requests = 1000\nretry_budget_percent = 0\nkey = \"task\"\n";
    let changes = bed.change(&format!("[balance]\n{keys}")).await;
    for line in keys.lines() {
        let key = line.split(' ').next().unwrap();
        assert_eq!(changes[&format!("balance.{key}")], APPLIED, "{key}");
    }
    bed.a.set_manner(Manner::Unavailable);
    let from = bed.gateway.log_lines().len();
    assert_eq!(bed.send("/agents/a", &message("fails")).await.code(), "MG-0501");
    bed.gateway.logged(from, |line| line["instance"] == "a" && line["seconds"] == 3600).await;
    bed.end().await;
}

#[tokio::test]
async fn agents_come_change_and_go() {
    let bed = Bed::start("").await;
    let c = Agent::start("c", &[json!("c.do")]).await;
    let other = Agent::start("other", &[json!("c.else")]).await;
    assert_eq!(bed.send("/agents/c", &message("hello")).await.code(), "MG-0301");
    assert_eq!(bed.change(&c.entry()).await, all(&[("agents.c", APPLIED)]));
    assert_eq!(bed.send("/agents/c", &message("hello")).await.agent(), "c");
    // Who moves is served at the old place until the new one is known.
    let moving = Load::start(bed.gateway.plain(), "/agents/c");
    moving.goes_on(5).await;
    let moved = c.entry().replace(&c.card_url(), &other.card_url());
    assert_eq!(bed.change(&moved).await, all(&[("agents.c", APPLIED)]));
    moving.goes_on(5).await;
    moving.stop().await;
    assert_eq!(bed.send("/agents/c", &message("hello")).await.agent(), "other");
    let card = get(&bed.gateway.plain(), "/.well-known/agent-card.json").await.text();
    assert!(card.contains("c.else") && !card.contains("c.do"), "{card}");
    assert_eq!(bed.change(&format!("{moved}visibility = \"hidden\"\n")).await, all(&[("agents.c", APPLIED)]));
    assert!(!get(&bed.gateway.plain(), "/.well-known/agent-card.json").await.text().contains("c.else"));
    assert_eq!(bed.change("").await, all(&[("agents.c", APPLIED)]));
    assert_eq!(bed.send("/agents/c", &message("hello")).await.code(), "MG-0301");
    bed.end().await;
}

#[tokio::test]
async fn a_secret_is_read_again_when_its_file_changes() {
    let bed = Bed::start("").await;
    let c = Agent::start("c", &[json!("c.do")]).await;
    let token = bed.gateway.folder().join("token");
    moongate_testkit::files::write_secret(&token, "Bearer one\n");
    bed.change(&format!("{}authorization = {{ file = \"token\" }}\n", c.entry())).await;
    let said = || async {
        assert_eq!(bed.send("/agents/c", &message("hello")).await.agent(), "c");
        c.seen().last().unwrap().headers["authorization"].to_str().unwrap().to_owned()
    };
    assert_eq!(said().await, "Bearer one");
    let before = status(&bed.gateway).await["configuration"]["reloads"].as_u64().unwrap();
    std::fs::write(&token, "Bearer two\n").unwrap();
    eventually("the secret is read", || async {
        status(&bed.gateway).await["configuration"]["reloads"].as_u64().unwrap() > before
    })
    .await;
    assert_eq!(said().await, "Bearer two");
    assert!(!bed.gateway.log_text().contains("Bearer"), "secrets are not logged");
    bed.load.goes_on(3).await;
    bed.end().await;
}

#[tokio::test]
async fn policy_changes_at_once() {
    let bed = Bed::start("").await;
    let wanted = routed("go", &json!({"skillId": "a.do"}));
    assert_eq!(bed.send("/a2a", &wanted).await.agent(), "a");
    for (verdict, said) in [("deny", "MG-0403"), ("confirm", "TASK_STATE_AUTH_REQUIRED")] {
        let changes = bed.change(&format!("[[policy]]\nname = \"mine\"\n{verdict} = 'skill.id == \"a.do\"'\n")).await;
        assert_eq!(changes["policy"], APPLIED);
        let answer = bed.send("/a2a", &wanted).await;
        assert!(answer.text().contains(said), "{}", answer.text());
        assert!(answer.text().contains("mine"), "the rule is named: {}", answer.text());
    }
    bed.change("").await;
    assert_eq!(bed.send("/a2a", &wanted).await.agent(), "a");
    bed.end().await;
}

#[tokio::test]
async fn the_public_address_changes_at_once() {
    let bed = Bed::start("").await;
    let named = || async {
        let card = get_main(&bed.gateway, "/.well-known/agent-card.json").await.json();
        card["supportedInterfaces"][0]["url"].as_str().unwrap().to_owned()
    };
    let own = format!("{}/a2a", bed.gateway.url("main"));
    assert_eq!(named().await, own);
    let changes = bed.change("public_url = \"https://gw.home.example\"\n").await;
    assert_eq!(changes, all(&[("public_url", APPLIED)]));
    assert_eq!(named().await, "https://gw.home.example/a2a");
    let plain = bed.gateway.plain();
    let path = "/.well-known/agent-card.json";
    let answer = http("GET", &plain, path, &[("host", "gw.home.example")], None).await;
    assert_eq!(answer.status, 200, "the gateway is called by its public name: {}", answer.text());
    assert_eq!(answer.json()["supportedInterfaces"][0]["url"], format!("{plain}/a2a"), "plain keeps its own address");
    bed.change("").await;
    assert_eq!(named().await, own);
    bed.end().await;
}

#[tokio::test]
async fn a_bad_file_keeps_the_old_configuration() {
    let bed = Bed::start("").await;
    let bad = format!("[limits]\nbody_bites = 5\n{}", bed.a.entry());
    bed.gateway.reload(&bad);
    eventually("the refusal is told", || async { status(&bed.gateway).await["configuration"]["refused"] == 1 }).await;
    let told = status(&bed.gateway).await["configuration"]["last_error"].as_str().unwrap().to_owned();
    assert!(told.contains("MG-0103") && told.contains("body_bites") && told.contains("body_bytes"), "{told}");
    bed.gateway.logged(0, |line| line["level"] == "ERROR" && line.to_string().contains("body_bites")).await;
    bed.load.goes_on(5).await;
    assert_eq!(bed.send("/agents/b", &message("still here")).await.agent(), "b");
    let metrics = get(&bed.gateway.admin(), "/metrics").await.text();
    assert!(metrics.contains("moongate_config_reloads_total{result=\"refused\"} 1"), "{metrics}");

    // A broken rule is found before anything of the file is taken over.
    bed.gateway.reload(&format!(
        "[limits]\nparts = 1\n[[routes]]\nmatch = 'skill =='\nto = [{{ agent = \"a\" }}]\n{}",
        bed.a.entry()
    ));
    eventually("the refusal is told", || async { status(&bed.gateway).await["configuration"]["refused"] == 2 }).await;
    let mut parts = message("one");
    parts["message"]["parts"] = json!([{"text": "one"}, {"text": "two"}]);
    assert_eq!(bed.send("/agents/b", &parts).await.agent(), "b");

    assert_eq!(bed.change("[limits]\nparts = 7\n").await, all(&[("limits.parts", APPLIED)]));
    assert_eq!(status(&bed.gateway).await["configuration"]["last_error"], json!(null));
    bed.end().await;
}

#[tokio::test]
async fn a_hangup_reads_the_file_again() {
    let bed = Bed::start("").await;
    let before = status(&bed.gateway).await["configuration"]["reloads"].as_u64().unwrap();
    // The file is as it was, so nothing but the signal can be the reason.
    bed.gateway.sighup();
    eventually("the file is read", || async {
        status(&bed.gateway).await["configuration"]["reloads"].as_u64().unwrap() > before
    })
    .await;
    assert_eq!(status(&bed.gateway).await["configuration"]["last_changes"], json!([]));
    bed.load.goes_on(5).await;
    bed.end().await;
}
