//! Callers with client certificates: whom they name, what that opens, and when it ends.

mod agents;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use moongate_testkit::agent::{Agent, Plan};
use moongate_testkit::gateway::until;
use moongate_testkit::issuer::Issuer;
use moongate_testkit::pki::{Authority, Identity, client_config, connect};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Answer, Connection, Gateway, MOONGATE, ROUTING, eventually, message, rpc, soon};

const CAR: &str = "spiffe://car.example/gw/front";
const VERSION: [(&str, &str); 1] = [("a2a-version", "1.0")];
const BOAT: &str = "spiffe://boat.example/gw";

/// A home with one agent, which the car may talk to.
struct Home {
    gateway: Gateway,
    car: Authority,
    boat: Authority,
    agent: Agent,
    toml: String,
}

const LISTEN: &str = "domain = \"home.example\"\n[log]\nformat = \"json\"\naccess = true\n[listen]\nmain = \"{main}\"\nplain = \"off\"\nadmin = \"127.0.0.1:0\"\n\
                      [store]\nurl = \"memory:\"\n[[policy]]\nname = \"proxied\"\n\
                      deny = '\"x-forwarded-client-cert\" in headers || \"x-spiffe-id\" in headers'\n";

impl Home {
    async fn start(more: &str) -> Self {
        let skills = ["lights.set", "blinds.open"].map(str::to_owned).to_vec();
        let agent = Agent::start(Plan { skills, ..Plan::new("home") }).await;
        let (car, boat) = (Authority::root("Car CA"), Authority::root("Boat CA"));
        let peers = [
            peer("car.example", &car, "a2a:lights.set:send\", \"a2a:lights.set:get\", \"a2a:*:subscribe"),
            peer("boat.example", &boat, "a2a:*:*"),
        ];
        let toml = format!("{LISTEN}{}{}{more}", peers.concat(), agent.entry(""));
        let files = [("car.example", car.pem()), ("boat.example", boat.pem())];
        let gateway =
            Gateway::start_with(MOONGATE, &toml, &files.map(|(name, pem)| (format!("{name}.pem"), pem))).await;
        Self { gateway, car, boat, agent, toml }
    }

    fn root(&self) -> CertificateDer<'static> {
        moongate_identity::tls::read_roots(&self.gateway.folder().join("ca/ca.pem")).unwrap().remove(0)
    }

    async fn open(&self, identity: Option<&Identity>) -> Result<Connection, String> {
        let config = client_config(&self.root(), identity);
        let stream = connect(self.gateway.address("main").unwrap(), config).await.map_err(|error| error.to_string())?;
        Connection::over(stream, "localhost".to_owned()).await
    }

    /// What the gateway says to a message for a skill; an error if the connection does not come about.
    async fn say(&self, identity: &Identity, skill: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
        let mut connection = self.open(Some(identity)).await?;
        let headers = [VERSION.as_slice(), headers].concat();
        connection.send("POST", "/a2a", &headers, Some(&rpc("SendMessage", &for_skill(skill)))).await
    }
}

fn peer(domain: &str, _authority: &Authority, scopes: &str) -> String {
    format!(
        "[[peers]]\ndomain = \"{domain}\"\nbundle = \"{domain}.pem\"\nscopes = [\"{scopes}\"]\nrevocation = \"off\"\n"
    )
}

fn for_skill(skill: &str) -> Value {
    let mut params = message("echo hello");
    params["message"]["metadata"] = json!({ROUTING: {"skillId": skill}});
    params
}

/// Whether the agent did what it was asked for.
fn is_done(answer: &Answer) -> bool {
    answer.json()["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
}

#[tokio::test]
async fn a_certificate_opens_what_its_domain_may_do_and_nothing_else() {
    let home = Home::start("").await;
    let car = home.car.client(CAR);
    let sent = home.say(&car, "lights.set", &[]).await.unwrap();
    assert!(is_done(&sent), "{}", sent.text());
    assert_eq!(home.say(&car, "blinds.open", &[]).await.unwrap().code(), "MG-0407");
    let mut connection = home.open(Some(&car)).await.unwrap();
    let api = connection.send("GET", "/api/v1/agents", &[], None).await.unwrap();
    assert_eq!(api.code(), "MG-0403", "a certificate is no key to the operators' API");
    let boat = home.boat.client(BOAT);
    assert!(is_done(&home.say(&boat, "blinds.open", &[]).await.unwrap()));
    // Tasks are those of the certificate's id.
    let task = home.say(&car, "lights.set", &[]).await.unwrap().json()["result"]["task"]["id"].clone();
    for (identity, known) in [(&car, true), (&boat, false), (&home.car.client("spiffe://car.example/gw/rear"), false)] {
        let mut connection = home.open(Some(identity)).await.unwrap();
        let got = connection.send("POST", "/a2a", &VERSION, Some(&rpc("GetTask", &json!({"id": task})))).await.unwrap();
        assert_eq!(got.json()["result"]["id"] == task, known, "{}", got.text());
    }
}

#[tokio::test]
async fn certificates_that_do_not_hold_open_no_connection() {
    let home = Home::start("").await;
    let year = |year| rcgen::date_time_ymd(year, 1, 1);
    let uri = |text: &str| rcgen::SanType::URI(text.try_into().unwrap());
    let below = home.car.below("Car CA 2");
    assert!(home.say(&below.client(CAR), "lights.set", &[]).await.is_ok(), "one through an authority below");
    let bad: Vec<(&str, Identity)> = vec![
        ("another domain's authority", home.boat.client(CAR)),
        ("a domain that is not known", home.car.client("spiffe://plane.example/x")),
        ("the gateway's own domain, by a partner", home.car.client("spiffe://home.example/operator")),
        ("nobody's signature", Identity::of_its_own(CAR)),
        ("an authority that is not sent along", below.client(CAR).alone()),
        ("run out", home.car.client_with(CAR, |params| params.not_after = year(2020))),
        ("not valid yet", home.car.client_with(CAR, |params| params.not_before = year(2100))),
        ("no URI", home.car.client_with(CAR, |params| params.subject_alt_names.clear())),
        ("two URIs", home.car.client_with(CAR, |params| params.subject_alt_names.push(uri(CAR)))),
        ("two domains", home.car.client_with(CAR, |params| params.subject_alt_names.push(uri(BOAT)))),
        ("no SPIFFE id", home.car.client("https://car.example/gw")),
        ("a domain in capitals", home.car.client("spiffe://CAR.example/gw")),
        (
            "an authority's certificate",
            home.car.client_with(CAR, |params| {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            }),
        ),
        (
            "a key for certificates",
            home.car.client_with(CAR, |params| {
                params.key_usages.push(rcgen::KeyUsagePurpose::KeyCertSign);
            }),
        ),
        ("a key for nothing", home.car.client_with(CAR, |params| params.key_usages.clear())),
        (
            "a server's certificate",
            home.car.client_with(CAR, |params| {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
            }),
        ),
        ("a certificate for anything", home.car.client_with(CAR, |params| params.extended_key_usages.clear())),
    ];
    for (what, identity) in bad {
        let answer = home.say(&identity, "lights.set", &[]).await;
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
    assert!(home.agent.received().len() <= 2, "the agent hears of the good one alone");
}

#[tokio::test]
async fn a_device_is_known_by_its_key_whoever_signed_for_it() {
    let panel = Identity::of_its_own(CAR);
    let device =
        format!("[[devices]]\nname = \"panel\"\npin = \"{}\"\nscopes = [\"a2a:lights.set:send\"]\n", panel.pin());
    let home = Home::start(&device).await;
    let sent = home.say(&panel, "lights.set", &[]).await.unwrap();
    assert!(is_done(&sent), "{}", sent.text());
    assert_eq!(home.say(&panel, "blinds.open", &[]).await.unwrap().code(), "MG-0407");
    assert!(home.say(&Identity::of_its_own(CAR), "lights.set", &[]).await.is_err());
    // Another domain's name on a pinned key makes it nothing but that device: the domain itself may look at tasks.
    let task = sent.json()["result"]["task"]["id"].clone();
    for (identity, code) in [(&panel, "MG-0407"), (&home.car.client(CAR), "MG-0601")] {
        let mut connection = home.open(Some(identity)).await.unwrap();
        let got = connection.send("POST", "/a2a", &VERSION, Some(&rpc("GetTask", &json!({"id": task})))).await.unwrap();
        assert_eq!(got.code(), code, "{}", got.text());
    }
    assert!(home.gateway.log_text().contains("device/panel"), "the record names the device");
}

#[tokio::test]
async fn a_token_of_another_domain_counts_only_beside_its_certificate() {
    let issuer = Issuer::start().await;
    let entry = issuer.entry(&["a2a:*:*"], "domain = \"car.example\"");
    let home = Home::start(&entry).await;
    let token = format!("Bearer {}", issuer.token("a2a:*:send"));
    let bearing = [("authorization", token.as_str())];
    let mut alone = home.open(None).await.unwrap();
    let call = rpc("SendMessage", &for_skill("lights.set"));
    let refused = alone.send("POST", "/a2a", &[VERSION[0], bearing[0]], Some(&call)).await.unwrap();
    assert_eq!((refused.code().as_str(), refused.status), ("MG-0408", 403), "{}", refused.text());
    let refused = home.say(&home.boat.client(BOAT), "lights.set", &bearing).await.unwrap();
    assert_eq!(refused.code(), "MG-0408", "another domain's certificate does not do");
    let car = home.car.client(CAR);
    assert!(is_done(&home.say(&car, "lights.set", &bearing).await.unwrap()));
    // The token names every skill, the domain may use one.
    assert_eq!(home.say(&car, "blinds.open", &bearing).await.unwrap().code(), "MG-0407");
    // A token that does not hold is not made good by a certificate.
    let broken = [("authorization", "Bearer e30.e30.e30")];
    assert_eq!(home.say(&car, "lights.set", &broken).await.unwrap().code(), "MG-0401");
}

#[tokio::test]
async fn identity_headers_from_outside_are_not_seen_by_rules() {
    let home = Home::start("").await;
    let forged = [("x-forwarded-client-cert", "URI=spiffe://home.example/operator"), ("x-spiffe-id", BOAT)];
    let sent = home.say(&home.car.client(CAR), "lights.set", &forged).await.unwrap();
    assert!(is_done(&sent), "{}", sent.text());
    let heard = home.agent.received();
    let heard = format!("{:?}", heard.last().unwrap());
    assert!(!heard.contains("x-spiffe") && !heard.contains("x-forwarded-client-cert"), "{heard}");
}

#[tokio::test]
async fn no_session_is_resumed_where_certificates_may_come() {
    let home = Home::start("").await;
    let config = client_config(&home.root(), Some(&home.car.client(CAR)));
    for _ in 0..3 {
        let stream = connect(home.gateway.address("main").unwrap(), config.clone()).await.unwrap();
        let kind = stream.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(rustls::HandshakeKind::Full));
        let mut connection = Connection::over(stream, "localhost".to_owned()).await.unwrap();
        let sent = connection.send("POST", "/a2a", &VERSION, Some(&rpc("SendMessage", &for_skill("lights.set")))).await;
        assert!(is_done(&sent.unwrap()));
    }
}

#[tokio::test]
async fn a_domain_that_is_no_longer_trusted_is_cut_off_in_the_middle_of_what_it_does() {
    let home = Home::start("").await;
    let (car, boat) = (home.car.client(CAR), home.boat.client(BOAT));
    let mut idle = home.open(Some(&car)).await.unwrap();
    let call = rpc("SendMessage", &for_skill("lights.set"));
    assert!(is_done(&idle.send("POST", "/a2a", &VERSION, Some(&call)).await.unwrap()));
    let mut other = home.open(Some(&boat)).await.unwrap();
    assert!(is_done(&other.send("POST", "/a2a", &VERSION, Some(&call)).await.unwrap()));
    // A stream of events that would go on, over HTTP/1.1.
    let mut streaming = home.open(Some(&car)).await.unwrap();
    let mut params = for_skill("lights.set");
    params["message"]["parts"][0]["text"] = json!("slow");
    let begun = streaming.begin("POST", "/a2a", &VERSION, Some(&rpc("SendStreamingMessage", &params))).await.unwrap();
    let mut events = begun.into_body();
    soon("the first event", events.frame()).await.unwrap().unwrap();
    // A WebSocket.
    let config = client_config(&home.root(), Some(&car));
    let stream = connect(home.gateway.address("main").unwrap(), config).await.unwrap();
    let mut request =
        tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request("wss://localhost/a2a/ws")
            .unwrap();
    request.headers_mut().insert("a2a-version", "1.0".parse().unwrap());
    request.headers_mut().insert("sec-websocket-protocol", "a2a.v1.jsonrpc".parse().unwrap());
    let (mut socket, _) = soon("the handshake", tokio_tungstenite::client_async(request, stream)).await.unwrap();
    let hello = rpc("SendMessage", &for_skill("lights.set")).to_string();
    socket.send(Message::text(hello)).await.unwrap();
    soon("an answer", socket.next()).await.unwrap().unwrap();

    let without = home.toml.replace("domain = \"car.example\"", "domain = \"van.example\"");
    home.gateway.reload(&without);
    let ended = async { while let Some(Ok(_)) = events.frame().await {} };
    soon("the end of the stream", ended).await;
    let ended = async { while let Some(Ok(_)) = socket.next().await {} };
    soon("the end of the WebSocket", ended).await;
    assert!(idle.send("POST", "/a2a", &VERSION, Some(&call)).await.is_err(), "the idle connection is closed");
    assert!(home.say(&car, "lights.set", &[]).await.is_err(), "nor does a new one open");
    assert!(is_done(&other.send("POST", "/a2a", &VERSION, Some(&call)).await.unwrap()), "others go on");
}

#[tokio::test]
async fn a_certificate_that_runs_out_opens_nothing_more_on_a_connection_that_is_open() {
    let issuer = Issuer::start().await;
    let home = Home::start(&issuer.entry(&["a2a:*:*"], "domain = \"car.example\"")).await;
    let token = format!("Bearer {}", issuer.token("a2a:*:send"));
    let call = rpc("SendMessage", &for_skill("lights.set"));
    for headers in [&VERSION[..], &[VERSION[0], ("authorization", &token)]] {
        let end = std::time::SystemTime::now() + std::time::Duration::from_secs(3);
        let car = home.car.client_with(CAR, |params| params.not_after = end.into());
        let mut connection = home.open(Some(&car)).await.unwrap();
        let first = connection.send("POST", "/a2a", headers, Some(&call)).await.unwrap();
        assert!(is_done(&first), "{}", first.text());
        let connection = tokio::sync::Mutex::new(connection);
        let refused = until(|| async {
            let answer = connection.lock().await.send("POST", "/a2a", headers, Some(&call)).await.unwrap();
            (!is_done(&answer)).then_some(answer)
        });
        let refused = refused.await.expect("a refusal in time");
        assert_eq!((refused.code().as_str(), refused.status), ("MG-0401", 401), "{}", refused.text());
        assert!(refused.text().contains("run out"), "{}", refused.text());
    }
}

#[tokio::test]
async fn a_changed_certificate_is_shown_to_whoever_comes_next() {
    let ca = Authority::root("Home CA");
    let server = |serial: u64| {
        ca.client_with(CAR, |params| {
            params.subject_alt_names = vec![rcgen::SanType::DnsName("localhost".try_into().unwrap())];
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
            params.serial_number = Some(serial.into());
        })
    };
    let files = |serial: u64| {
        let [certificate, key] = server(serial).pem();
        [("server.pem".to_owned(), certificate), ("server.key".to_owned(), key)]
    };
    let toml = "[listen]\nmain = \"{main}\"\nplain = \"off\"\nadmin = \"127.0.0.1:0\"\n[tls]\ncert = \"server.pem\"\nkey = \"server.key\"\n";
    let gateway = Gateway::start_with(MOONGATE, toml, &files(7)).await;
    let config = client_config(ca.der(), None);
    let address = gateway.address("main").unwrap();
    let shown = |config: Arc<rustls::ClientConfig>| async move {
        let stream = connect(address, config).await.unwrap();
        let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).unwrap();
        (parsed.raw_serial().to_vec(), stream)
    };
    let (serial, stream) = shown(config.clone()).await;
    assert_eq!(serial, [7]);
    let mut before = Connection::over(stream, "localhost".to_owned()).await.unwrap();
    for (name, text) in files(8) {
        std::fs::write(gateway.folder().join(name), text).unwrap();
    }
    eventually("the new certificate", || {
        let shown = shown(client_config(ca.der(), None));
        async { shown.await.0 == [8] }
    })
    .await;
    assert_eq!(before.send("GET", "/healthz", &[], None).await.unwrap().status, 200, "what was open goes on");
}

/// A home whose cars can be revoked by a list in a file.
async fn home_with_lists(crl: &str, more: &str) -> Home {
    let agent = Agent::start(Plan { skills: vec!["lights.set".to_owned()], ..Plan::new("home") }).await;
    let (car, boat) = (Authority::root("Car CA"), Authority::root("Boat CA"));
    let entry = format!(
        "[[peers]]\ndomain = \"car.example\"\nbundle = \"car.example.pem\"\nscopes = [\"a2a:*:*\"]\ncrl = [\"car.crl\"]\n{more}\n"
    );
    let toml = format!("{LISTEN}{entry}{}", agent.entry("")).replace("memory:", "sqlite:moongate.db");
    let mut files = vec![("car.example.pem".to_owned(), car.pem())];
    files.extend((!crl.is_empty()).then(|| ("car.crl".to_owned(), crl.to_owned())));
    let gateway = Gateway::start_with(MOONGATE, &toml, &files).await;
    Home { gateway, car, boat, agent, toml }
}

impl Home {
    /// Publishes a list, as whoever replaces a file does.
    fn publish(&self, crl: &str) {
        let path = self.gateway.folder().join("car.crl");
        std::fs::write(path.with_extension("new"), crl).unwrap();
        std::fs::rename(path.with_extension("new"), path).unwrap();
    }

    fn numbered(&self, serial: u64) -> Identity {
        self.car.client_with(CAR, |params| params.serial_number = Some(serial.into()))
    }

    async fn lets_in(&self, identity: &Identity) -> bool {
        self.say(identity, "lights.set", &[]).await.is_ok_and(|answer| is_done(&answer))
    }
}

#[tokio::test]
async fn without_a_list_that_holds_nobody_is_let_in() {
    let home = home_with_lists("", "").await;
    let car = home.numbered(5);
    assert!(!home.lets_in(&car).await, "no list");
    let nonsense = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n".to_owned();
    for (what, crl, words, times) in [
        ("another authority's", home.boat.crl(1, &[], 3600), "a revocation list was refused", 1),
        ("no list at all", nonsense, "a revocation list was refused", 2),
        ("one that has run out", home.car.crl(1, &[], -60), "a revocation list is in force", 1),
    ] {
        home.publish(&crl);
        eventually(what, || {
            let told = home.gateway.log_text().matches(words).count();
            async move { told >= times }
        })
        .await;
        assert!(!home.lets_in(&car).await, "{what}");
    }
    home.publish(&home.car.crl(2, &[], 3600));
    eventually("a good list", || home.lets_in(&car)).await;
}

#[tokio::test]
async fn a_new_list_ends_what_a_revoked_certificate_has_open() {
    let crl = |ca: &Authority, number, revoked: &[u64]| ca.crl(number, revoked, 3600);
    let home = home_with_lists("", "").await;
    home.publish(&crl(&home.car, 1, &[]));
    let (revoked, good) = (home.numbered(5), home.numbered(6));
    eventually("the first list", || home.lets_in(&revoked)).await;
    let call = rpc("SendMessage", &for_skill("lights.set"));
    let mut idle = home.open(Some(&revoked)).await.unwrap();
    assert!(is_done(&idle.send("POST", "/a2a", &VERSION, Some(&call)).await.unwrap()));
    let mut other = home.open(Some(&good)).await.unwrap();
    assert!(is_done(&other.send("POST", "/a2a", &VERSION, Some(&call)).await.unwrap()));
    let mut streaming = home.open(Some(&revoked)).await.unwrap();
    let mut params = for_skill("lights.set");
    params["message"]["parts"][0]["text"] = json!("slow");
    let begun = streaming.begin("POST", "/a2a", &VERSION, Some(&rpc("SendStreamingMessage", &params))).await.unwrap();
    let mut events = begun.into_body();
    soon("the first event", events.frame()).await.unwrap().unwrap();
    // Over HTTP/2, with a session that could be gone on with.
    let mut config = (*client_config(&home.root(), Some(&revoked))).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    let stream = connect(home.gateway.address("main").unwrap(), config.clone()).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (_sender, connection) = hyper::client::conn::http2::handshake::<_, _, http_body_util::Full<bytes::Bytes>>(
        hyper_util::rt::TokioExecutor::new(),
        io,
    )
    .await
    .unwrap();
    let h2 = tokio::spawn(connection);

    home.publish(&crl(&home.car, 2, &[5]));
    let ended = async { while let Some(Ok(_)) = events.frame().await {} };
    soon("the end of the stream", ended).await;
    let _ = soon("the end of the HTTP/2 connection", h2).await;
    assert!(idle.send("POST", "/a2a", &VERSION, Some(&call)).await.is_err(), "the idle connection is closed");
    assert!(!home.lets_in(&revoked).await, "nor does a new one open");
    let resumed = connect(home.gateway.address("main").unwrap(), config).await;
    if let Ok(stream) = resumed {
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
        let over = Connection::over(stream, "localhost".to_owned()).await;
        if let Ok(mut connection) = over {
            assert!(connection.send("POST", "/a2a", &VERSION, Some(&call)).await.is_err(), "nor an old session");
        }
    }
    assert!(is_done(&other.send("POST", "/a2a", &VERSION, Some(&call)).await.unwrap()), "others go on");
    // An older list does not bring it back.
    home.publish(&crl(&home.car, 1, &[]));
    eventually("the refusal of the older one", || {
        let told = home.gateway.log_text().contains("a revocation list was refused");
        async move { told }
    })
    .await;
    assert!(!home.lets_in(&revoked).await);
}

#[tokio::test]
async fn a_restart_without_the_lists_source_still_refuses_the_revoked() {
    let mut home = home_with_lists("", "").await;
    home.publish(&home.car.crl(7, &[5], 3600));
    let (revoked, good) = (home.numbered(5), home.numbered(6));
    eventually("the list", || home.lets_in(&good)).await;
    assert!(!home.lets_in(&revoked).await);
    // What was accepted is kept.
    eventually("the list is kept", || {
        let told = home.gateway.log_text().contains("a revocation list is in force");
        async move { told }
    })
    .await;
    std::fs::remove_file(home.gateway.folder().join("car.crl")).unwrap();
    home.gateway.restart().await;
    assert!(home.lets_in(&good).await, "the kept list serves");
    assert!(!home.lets_in(&revoked).await);
    home.publish(&home.car.crl(6, &[], 3600));
    eventually("the refusal of an older one", || {
        let told = home.gateway.log_text().contains("a revocation list was refused");
        async move { told }
    })
    .await;
    assert!(!home.lets_in(&revoked).await);
}

#[tokio::test]
async fn a_softer_domain_goes_on_for_a_while_with_an_overdue_list() {
    let home = home_with_lists("", "revocation = \"soft\"\ngrace_seconds = 3600").await;
    let (revoked, good) = (home.numbered(5), home.numbered(6));
    home.publish(&home.car.crl(1, &[5], 2));
    eventually("the list", || home.lets_in(&good)).await;
    eventually("it is overdue", || {
        let told = home.gateway.log_text().contains("Grace {");
        async move { told }
    })
    .await;
    assert!(home.lets_in(&good).await);
    assert!(!home.lets_in(&revoked).await);
}

/// An agent over TLS with this certificate; how many connections were made, and how many of them are open.
async fn secure_agent(identity: &Identity) -> (std::net::SocketAddr, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (made, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (acceptor, counts) = (tokio_rustls::TlsAcceptor::from(identity.server_config()), (made.clone(), open.clone()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, (made, open)) = (acceptor.clone(), counts.clone());
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(stream).await else { return };
                made.fetch_add(1, Ordering::Relaxed);
                open.fetch_add(1, Ordering::Relaxed);
                let io = hyper_util::rt::TokioIo::new(tls);
                let service = hyper::service::service_fn(move |request| far_agent(address, request));
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    (address, made, open)
}

async fn far_agent(
    address: std::net::SocketAddr,
    request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<http_body_util::Full<bytes::Bytes>>, std::convert::Infallible> {
    let body = if request.method() == http::Method::GET {
        crate::support::card("far", &format!("https://{address}/rpc"), &[json!("far.do")])
    } else {
        json!({"jsonrpc": "2.0", "id": 1, "result": {"message": {
            "messageId": "m", "contextId": "c", "role": "ROLE_AGENT", "parts": [{"text": "far: yes"}]}}})
    };
    let response = http::Response::builder().header("content-type", "application/json");
    Ok(response.body(http_body_util::Full::new(body.to_string().into())).unwrap())
}

#[tokio::test]
async fn an_agent_of_another_domain_is_reached_only_by_a_certificate_of_that_domain() {
    let (car, boat) = (Authority::root("Car CA"), Authority::root("Boat CA"));
    let good = secure_agent(&car.server(CAR, 5)).await;
    let strays = [
        ("another domain's authority", boat.server(CAR, 5)),
        ("another domain's agent", boat.server(BOAT, 5)),
        ("another agent of its domain", car.server("spiffe://car.example/toaster", 5)),
        ("a client's certificate", car.client(CAR)),
        ("nobody's", Identity::of_its_own(CAR)),
    ];
    let mut agents = vec![(good.0, "far".to_owned())];
    for (index, (_, identity)) in strays.iter().enumerate() {
        agents.push((secure_agent(identity).await.0, format!("stray-{index}")));
    }
    let entries = agents.iter().map(|(address, name)| {
        format!("[[agents]]\nname = \"{name}\"\ncard_url = \"https://{address}/.well-known/agent-card.json\"\nspiffe = \"{CAR}\"\nqueue = false\n")
    });
    let peers = [("car.example", "crl = [\"car.crl\"]"), ("boat.example", "revocation = \"off\"")]
        .map(|(domain, more)| format!("[[peers]]\ndomain = \"{domain}\"\nbundle = \"{domain}.pem\"\n{more}\n"));
    let listen =
        "[listen]\nmain = \"off\"\nplain = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[store]\nurl = \"memory:\"\n";
    let toml = format!("{listen}{}{}", peers.concat(), entries.collect::<String>());
    let files = [("car.example.pem", car.pem()), ("boat.example.pem", boat.pem()), ("car.crl", car.crl(1, &[], 3600))];
    let gateway = Gateway::start_with(MOONGATE, &toml, &files.map(|(name, text)| (name.to_owned(), text))).await;
    let ask = |name: &'static str| {
        let plain = gateway.plain();
        async move {
            let call = rpc("SendMessage", &message("hello"));
            crate::support::http("POST", &plain, &format!("/agents/{name}"), &VERSION, Some(&call)).await
        }
    };
    assert_eq!(ask("far").await.agent(), "far");
    for (name, (what, _)) in ["stray-0", "stray-1", "stray-2", "stray-3", "stray-4"].into_iter().zip(&strays) {
        assert!(ask(name).await.json().get("error").is_some(), "{what}");
    }
    assert!(good.1.load(Ordering::Relaxed) > 0);
    // What its domain takes back is not spoken to any more.
    std::fs::write(gateway.folder().join("car.crl"), car.crl(2, &[5], 3600)).unwrap();
    eventually("the revoked agent is not reached", || async { ask("far").await.json().get("error").is_some() }).await;
    eventually("no connection to it is open", || async { good.2.load(Ordering::Relaxed) == 0 }).await;
}

#[tokio::test]
async fn what_another_domain_asks_for_is_in_the_audit_log_before_it_is_done() {
    let home = Home::start("[audit]\non = true\n").await;
    let sent = home.say(&home.car.client(CAR), "lights.set", &[]).await.unwrap();
    assert!(is_done(&sent), "{}", sent.text());
    let lines = crate::audit::lines(&home.gateway, &["--source", CAR], 2).await;
    assert_eq!((&lines[0]["phase"], &lines[0]["result"]), (&"intent".into(), &"intended".into()), "{lines:?}");
    assert_eq!((&lines[1]["phase"], &lines[1]["intent"]), (&"outcome".into(), &lines[0]["seq"]), "{lines:?}");
    assert_eq!((&lines[1]["source"]["domain"], &lines[1]["skill"]), (&"car.example".into(), &"lights.set".into()));
}
