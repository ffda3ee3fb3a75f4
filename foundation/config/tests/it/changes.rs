//! What changed, and whether it waits for a restart.

use moongate_config::{Effect, Watch, diff};

use super::read;

fn changes(old: &str, new: &str) -> Vec<(String, Effect)> {
    let config = |text: &str| read(text).unwrap().config;
    diff(&config(old), &config(new)).into_iter().map(|change| (change.section, change.effect)).collect()
}

fn agent(name: &str, port: u16) -> String {
    format!("[[agents]]\nname = \"{name}\"\ncard_url = \"http://127.0.0.1:{port}/\"\n")
}

#[test]
fn listeners_files_and_stores_wait_for_a_restart() {
    let new = "domain = \"a.example\"\ndata_dir = \"d\"\n[listen]\nmain = \"off\"\n[store]\nurl = \"memory:\"\n[log]\nformat = \"json\"\n[limits]\nconnections = 9\n";
    let found = changes("", new);
    let sections: Vec<&str> = found.iter().map(|(section, _)| section.as_str()).collect();
    assert_eq!(
        sections,
        ["domain", "data_dir", "listen.main", "tls.ca_dir", "store.url", "limits.connections", "log.format"]
    );
    assert!(found.iter().all(|(_, effect)| *effect == Effect::NeedsRestart), "{found:?}");
}

#[test]
fn agents_rules_and_limits_take_effect_at_once() {
    let old = agent("lights", 1) + &agent("lock", 2);
    let new = agent("lights", 3)
        + &agent("door", 2)
        + "[limits]\nbody_bytes = 2048\n[egress]\nallow = [\"10.0.0.0/8\"]\ndns = \"192.168.1.2\"\n[log]\nlevel = \"debug\"\n[telemetry]\nsample = 1\n\
           [routing]\nintent = false\n[balance]\nattempts = 1\n[[routes]]\nmatch = 'true'\nto = [{ agent = \"door\" }]\n[[policy]]\ndeny = 'false'\n";
    let found = changes(&old, &new);
    let sections: Vec<&str> = found.iter().map(|(section, _)| section.as_str()).collect();
    let expected = [
        "egress.allow",
        "egress.dns",
        "limits.body_bytes",
        "log.level",
        "telemetry.sample",
        "routing.intent",
        "balance.attempts",
        "routes",
        "policy",
        "agents.door",
        "agents.lights",
        "agents.lock",
    ];
    assert_eq!(sections, expected);
    assert!(found.iter().all(|(_, effect)| *effect == Effect::Applied), "{found:?}");
}

#[test]
fn the_same_configuration_in_other_words_is_no_change() {
    assert_eq!(changes("", "# nothing\n[limits]\nbody_bytes = \"16384KiB\"\n"), []);
    assert_eq!(changes(&(agent("a", 1) + &agent("b", 2)), &(agent("b", 2) + &agent("a", 1))), []);
}

#[test]
fn a_watch_notices_the_file_and_its_secrets() {
    let folder = std::env::temp_dir().join(format!("moongate-watch-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (file, secret) = (folder.join("moongate.toml"), folder.join("token"));
    super::write_secret(&secret, "one");
    std::fs::write(&file, agent("a", 1) + "authorization = { file = \"token\" }\n").unwrap();
    let loaded = moongate_config::load(&file, &super::rules).unwrap();
    let mut watch = Watch::new(&loaded);
    assert!(!watch.changed());
    std::fs::write(&file, &*loaded.text).unwrap();
    assert!(!watch.changed(), "the same contents written again");
    std::fs::write(&secret, "two").unwrap();
    assert!(watch.changed() && !watch.changed());
    std::fs::remove_file(&file).unwrap();
    assert!(watch.changed() && !watch.changed());
    std::fs::write(&file, "").unwrap();
    assert!(watch.changed());
    std::fs::remove_dir_all(&folder).unwrap();
}
