//! What good files say.

use moongate_config::schema::{Jwks, Revocation, Way};
use moongate_core::approval::Class;
use std::path::{Path, PathBuf};
use std::time::Duration;

use moongate_config::schema::{
    Balance, BalancePolicy, Dns, HashKey, InstanceAt, LogFormat, Protocol, Source, Verdict, Visibility,
};

use super::read;

#[test]
fn an_empty_file_is_the_documented_defaults() {
    let config = read("").unwrap().config;
    assert_eq!((config.domain.as_str(), config.public_url), ("localhost", None));
    assert_eq!(config.listen.main, Some("127.0.0.1:7443".parse().unwrap()));
    assert_eq!((config.listen.plain, config.listen.admin), (None, Some("127.0.0.1:7444".parse().unwrap())));
    assert_eq!((config.limits.body_bytes, config.limits.answer_bytes), (16 << 20, 64 << 20));
    assert_eq!((config.limits.json_depth, config.limits.parts, config.limits.header_bytes), (64, 1000, 64 << 10));
    assert_eq!(
        (config.limits.request_seconds, config.limits.drain_seconds),
        (Duration::from_secs(300), Duration::from_secs(20))
    );
    assert_eq!((config.limits.streams, config.limits.connections), (1024, 4096));
    assert_eq!((config.limits.agents, config.limits.tasks, config.limits.waiting), (10_000, 100_000, 100_000));
    assert_eq!((config.log.level.as_str(), config.log.format, config.log.access), ("info", LogFormat::Human, false));
    assert_eq!((config.store.url.as_str(), config.egress.dns), ("sqlite:moongate.db", Dns::System));
    assert!(config.egress.allow.is_empty() && config.agents.is_empty());
    assert_eq!(
        config.balance,
        Balance {
            policy: BalancePolicy::P2cEwma,
            key: HashKey::Context,
            slow_start_seconds: Duration::from_secs(30),
            consecutive_failures: 5,
            success_rate_percent: 50,
            success_rate_requests: 20,
            base_ejection_seconds: Duration::from_secs(10),
            max_ejected_percent: 50,
            retry_budget_percent: 20,
            attempts: 3,
        }
    );
}

#[test]
fn the_file_of_the_blueprint_is_read() {
    let loaded = read(
        r#"
        domain = "home.example"
        public_url = "https://gw.home.example/"
        [listen]
        main = "127.0.0.1:0"
        plain = "[::1]:7480"
        admin = "off"
        [egress]
        allow = ["127.0.0.0/8", "::1/128"]
        dns = "system"
        [limits]
        body_bytes = 1_048_576
        request_seconds = 0.5
        [[agents]]
        name = "lights"
        card_url = "http://127.0.0.1:9001/.well-known/agent-card.json"
        labels = { floor = "ground" }
        authorization = "${TOKEN}"
        balance = { policy = "round_robin" }
        [[agents.instances]]
        label = "b"
        address = "http://127.0.0.1:9002/a2a"
        weight = 2
        [[agents]]
        name = "lock"
        address = "http://127.0.0.1:9003/"
        protocol = "HTTP+JSON"
        visibility = "hidden"
        skills = ["lock.open", { id = "lock.close", tags = ["lock"] }]
        [balance]
        attempts = 2
        [[routes]]
        match = 'skill == "lights.set" && zone == "kitchen"'
        to = [{ agent = "lights@b", weight = 1 }, { agent = "lock" }]
        [[policy]]
        deny = 'skill.tags.exists(t, t == "lock")'
        "#,
    )
    .unwrap();
    let config = &loaded.config;
    assert_eq!(config.public_url.as_deref(), Some("https://gw.home.example"));
    assert_eq!(config.listen.main.unwrap().port(), 0);
    assert_eq!(config.limits.request_seconds, Duration::from_millis(500));
    let [lights, lock] = config.agents.as_slice() else { panic!("{config:?}") };
    assert!(matches!(&lights.source, Some(Source::CardUrl(url)) if url.ends_with("agent-card.json")));
    assert_eq!(lights.labels["floor"], "ground");
    assert_eq!(lights.authorization.as_ref().unwrap().expose(), "Bearer abc");
    let own = lights.balance.as_ref().unwrap();
    assert_eq!((own.policy, own.attempts), (BalancePolicy::RoundRobin, 2), "what it leaves out comes from [balance]");
    assert_eq!(lights.instances[0].at, InstanceAt::Address("http://127.0.0.1:9002/a2a".into()));
    let Some(Source::Address { protocol, skills, .. }) = &lock.source else { panic!("{lock:?}") };
    assert_eq!((*protocol, skills.len(), skills[1].name.as_str()), (Protocol::Http, 2, "lock.close"));
    assert_eq!(lock.visibility, Visibility::Hidden);
    assert_eq!((config.routes[0].to[0].agent.as_str(), config.routes[0].to[1].weight), ("lights@b", 1));
    assert_eq!((config.policy[0].name.as_str(), config.policy[0].verdict), ("policy[0]", Verdict::Deny));
    assert_eq!(loaded.origins.line("agents[1].visibility", &loaded.text), Some(28));
}

#[test]
fn paths_are_relative_to_the_file() {
    let text = "data_dir = \"data\"\n[tls]\ncert = \"/etc/cert.pem\"\nkey = \"key.pem\"\n";
    let config =
        moongate_config::parse(text, Path::new("/srv/gw/moongate.toml"), &super::env, &super::rules).unwrap().config;
    assert_eq!(config.data_dir, PathBuf::from("/srv/gw/data"));
    assert_eq!(config.tls.cert, Some(PathBuf::from("/etc/cert.pem")));
    assert_eq!(config.tls.key, Some(PathBuf::from("/srv/gw/key.pem")));
    assert_eq!(config.tls.ca_dir, PathBuf::from("/srv/gw/data/ca"));
}

#[test]
fn a_card_may_stand_in_the_file() {
    let text = "[[agents]]\nname = \"a\"\n[agents.card]\nname = \"A\"\nversion = \"1\"\nskills = [{ id = \"x\", n = 1, f = 1.5, b = true }]\n";
    let config = read(text).unwrap().config;
    let Some(Source::Card(card)) = &config.agents[0].source else { panic!("{config:?}") };
    assert_eq!(
        *card,
        serde_json::json!({"name": "A", "version": "1", "skills": [{"id": "x", "n": 1, "f": 1.5, "b": true}]})
    );
}

#[test]
fn http_stays_near_unless_the_agent_says_so() {
    let agent =
        |url: &str, more: &str| read(&format!("[[agents]]\nname = \"a\"\ncard_url = \"{url}\"\n{more}\n")).is_ok();
    assert!(agent("http://127.0.0.1:1/", "") && agent("http://[::1]:1/", "") && agent("http://localhost:1/", ""));
    assert!(!agent("http://10.0.0.1/", "") && agent("http://10.0.0.1/", "insecure = true"));
    assert!(!agent("http://[fd00::1]/", "") && agent("http://[fd00::1]/", "insecure = true"));
    assert!(!agent("http://1.1.1.1/", "insecure = true") && agent("https://1.1.1.1/", ""));
}

#[test]
fn secrets_come_from_files_without_their_line_end() {
    let folder = std::env::temp_dir().join(format!("moongate-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    super::write_secret(&folder.join("token"), "Bearer xyz\n");
    let text = "[[agents]]\nname = \"a\"\ncard_url = \"http://127.0.0.1:1/\"\nauthorization = { file = \"token\" }\n";
    let loaded = moongate_config::parse(text, &folder.join("moongate.toml"), &super::env, &super::rules).unwrap();
    assert_eq!(loaded.config.agents[0].authorization.as_ref().unwrap().expose(), "Bearer xyz");
    assert_eq!(loaded.files, [folder.join("token")]);
    super::set_mode(&folder.join("token"), 0o644);
    let problems = moongate_config::parse(text, &folder.join("moongate.toml"), &super::env, &super::rules).unwrap_err();
    assert_eq!(problems.mistakes()[0].code.to_string(), "MG-0106");
    assert!(problems.render(false).contains("run `chmod 600` on it"), "{}", problems.render(false));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_main_listener_faces_other_machines_where_issuers_are_named_and_no_other_does() {
    let issuer = "[[issuers]]\nname = \"idp\"\nissuer = \"https://idp.test\"\njwks = \"keys.json\"\naudience = [\"me\"]\nscopes = [\"a2a:*:send\", \"a2a:x:send\"]\n";
    let config =
        read(&format!("public_url = \"https://a.test\"\n[listen]\nmain = \"0.0.0.0:7443\"\n{issuer}")).unwrap().config;
    let [issuer_read] = &config.issuers[..] else { panic!("{config:?}") };
    assert_eq!((issuer_read.name.as_str(), issuer_read.issuer.as_str()), ("idp", "https://idp.test"));
    assert!(matches!(&issuer_read.jwks, Jwks::File(path) if path.ends_with("keys.json")));
    assert_eq!(
        (issuer_read.algorithms.as_slice(), issuer_read.scopes.words().len()),
        (&["ES256".to_owned(), "EdDSA".to_owned()][..], 1)
    );
    assert!(read("[listen]\nmain = \"0.0.0.0:7443\"\n").is_err());
    assert!(read(&format!("[listen]\nmain = \"0.0.0.0:7443\"\n{issuer}")).is_err(), "cards would name it");
    assert!(read(&format!("[listen]\nmain = \"192.168.1.4:7443\"\n{issuer}")).is_ok());
    for listener in ["plain", "admin"] {
        assert!(read(&format!("[listen]\n{listener} = \"0.0.0.0:7480\"\n{issuer}")).is_err(), "{listener}");
    }
    assert!(read("[listen]\nmain = \"192.168.1.4:7443\"\n[oauth]\n").is_ok());
}

#[test]
fn tokens_of_our_own_are_valid_for_a_day_at_most() {
    let oauth = |text: &str| read(&format!("[oauth]\n{text}\n")).map(|loaded| loaded.config.oauth.unwrap());
    let usual = oauth("").unwrap();
    assert_eq!((usual.token_seconds.as_secs(), usual.device_seconds.as_secs()), (3600, 600));
    assert_eq!(usual.scopes.words(), ["a2a:*:*".into()]);
    assert!(oauth("token_seconds = 86400").is_ok());
    for text in ["token_seconds = 86401", "device_seconds = 601", "scopes = []", "scopes = [\"register\"]"] {
        assert!(oauth(text).is_err(), "{text}");
    }
    assert_eq!(read("").unwrap().config.oauth, None);
    for (url, right) in [("https://a.test", true), ("http://127.0.0.1:7480", true), ("http://a.test", false)] {
        assert_eq!(read(&format!("public_url = \"{url}\"\n[oauth]\n")).is_ok(), right, "{url}");
    }
    let alike = "domain = \"home.example\"\n[[issuers]]\nname = \"home.example\"\nissuer = \"https://idp.test\"\njwks = \"keys.json\"\naudience = [\"me\"]\nscopes = [\"a2a:*:send\"]\n";
    assert!(read(alike).is_ok() && read(&format!("{alike}[oauth]\n")).is_err());
}

#[test]
fn peers_and_devices_are_read_with_what_they_may_do() {
    let text = "[listen]\nmain = \"192.168.1.4:7443\"\n\
        [[peers]]\ndomain = \"car.test\"\nbundle = \"car.pem\"\nscopes = [\"a2a:x:send\", \"locks:write\"]\nagents = [{ spiffe = \"spiffe://car.test/nav\", scopes = [\"locks:write\"] }, { spiffe = \"spiffe://car.test/radio\" }]\ncrl = [\"http://ca.test/car.crl\", \"car.crl\"]\n\
        [[peers]]\ndomain = \"van.test\"\nbundle = \"van.pem\"\ncrl = [\"van.crl\"]\nrevocation = \"soft\"\ngrace_seconds = 60\n\
        [[peers]]\ndomain = \"bus.test\"\nbundle = \"bus.pem\"\nrevocation = \"off\"\n\
        [[devices]]\nname = \"panel\"\npin = \"sha256:q0r8bXLEMq2tmlxHWrrJVZXc7RCTKV0Z8d3RTr1ZxGo=\"\n";
    let loaded = read(text).unwrap();
    let [car, van, bus] = &loaded.config.peers[..] else { panic!("{loaded:?}") };
    assert_eq!((car.domain.as_str(), car.scopes.words().len(), car.revocation), ("car.test", 2, Revocation::Hard));
    let agents: Vec<(&str, usize)> =
        car.agents.iter().map(|one| (one.spiffe.as_str(), one.scopes.words().len())).collect();
    assert_eq!(agents, [("spiffe://car.test/nav", 1), ("spiffe://car.test/radio", 0)], "nothing unless it is said");
    assert!(
        matches!(&car.crl[..], [Jwks::Url(url), Jwks::File(path)] if url == "http://ca.test/car.crl" && path.ends_with("car.crl"))
    );
    assert_eq!(van.revocation, Revocation::Soft(std::time::Duration::from_secs(60)));
    assert_eq!((bus.revocation, bus.scopes.words().len()), (Revocation::Off, 0), "nothing unless it is said");
    assert_eq!(loaded.config.devices[0].pin[..4], [0xab, 0x4a, 0xfc, 0x6d]);
    // A bundle that changes is noticed.
    assert!(loaded.files.iter().any(|path| path.ends_with("car.pem")), "{:?}", loaded.files);
}

#[test]
fn channels_are_read_with_their_credentials() {
    let loaded = read(
        "[[policy]]\nname = \"doors\"\nconfirm = 'true'\n\
         [[notify]]\nname = \"phone\"\nkind = \"ntfy\"\nurl = \"http://10.0.0.2/doors\"\ninsecure = true\ntoken = \"tk_1\"\n\
         class = \"critical\"\nrules = [\"doors\"]\n\
         [[notify]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"https://hook.example/\"\n\
         secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n",
    )
    .unwrap();
    let [phone, hook] = loaded.config.notify.as_slice() else { panic!("{:?}", loaded.config.notify) };
    assert_eq!((phone.class, phone.rules.as_slice()), (Some(Class::Critical), ["doors".to_owned()].as_slice()));
    assert!(matches!(&phone.way, Some(Way::Ntfy { token: Some(token), .. }) if token.expose() == "tk_1"));
    assert!(matches!(&hook.way, Some(Way::Webhook { url, secret: Some(_) }) if url == "https://hook.example/"));
    assert!(!format!("{:?}", loaded.config.notify).contains("tk_1"));
}

#[test]
fn push_names_its_services_and_somebody_to_write_to() {
    let read = |more: &str| read(&format!("[oauth]\n[[notify]]\nname = \"phones\"\nkind = \"push\"\n{more}"));
    let loaded =
        read("services = [\"*.Push.example\", \"10.0.0.7\"]\ncontact = \"mailto:ann@home.example\"\n").unwrap();
    let Some(Way::Push { services, contact }) = &loaded.config.notify[0].way else { panic!() };
    assert_eq!(services, &["*.push.example", "10.0.0.7"]);
    assert_eq!(contact.as_deref(), Some("mailto:ann@home.example"));
    for wrong in [
        "services = [\"https://push.example\"]",
        "services = [\"a/b\"]",
        "contact = \"ann\"",
        "url = \"https://a.example\"",
    ] {
        assert!(read(&format!("{wrong}\n")).is_err(), "{wrong}");
    }
    let Err(problems) = super::read("[[notify]]\nname = \"phones\"\nkind = \"push\"\n") else { panic!() };
    assert!(format!("{problems:?}").contains("oauth"), "{problems:?}");
}

#[test]
fn mail_and_mqtt_are_read_with_their_servers_and_usual_ports() {
    let loaded = read(
        "[[notify]]\nname = \"mail\"\nkind = \"mail\"\nurl = \"smtps://mail.example\"\nuser = \"gate\"\npassword = \"pw\"\n\
         from = \"gate@home.example\"\nto = [\"ann@home.example\", \"o'neil+x@mail.example\"]\n\
         [[notify]]\nname = \"hub\"\nkind = \"mqtt\"\nurl = \"mqtt://[::1]\"\ntopic = \"home/moongate\"\n\
         [[notify]]\nname = \"old\"\nkind = \"mqtt\"\nurl = \"mqtts://broker.example:8884\"\ntopic = \"t\"\n",
    )
    .unwrap();
    let [mail, hub, old] = loaded.config.notify.as_slice() else { panic!("{:?}", loaded.config.notify) };
    let Some(Way::Mail { server, login: Some((user, password)), from, to }) = &mail.way else { panic!("{mail:?}") };
    assert_eq!((server.secure, server.host.as_str(), server.port), (true, "mail.example", 465));
    assert_eq!((user.as_str(), password.expose(), from.as_str(), to.len()), ("gate", "pw", "gate@home.example", 2));
    let Some(Way::Mqtt { server, login: None, topic }) = &hub.way else { panic!("{hub:?}") };
    assert_eq!((server.secure, server.host.as_str(), server.port), (false, "::1", 1883));
    assert_eq!(topic, "home/moongate");
    assert!(matches!(&old.way, Some(Way::Mqtt { server, .. }) if server.secure && server.port == 8884));
}
