//! `moongate demo`.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

const MOONGATE: &str = env!("CARGO_BIN_EXE_moongate");

/// A running demonstration that tells its story in JSON lines.
struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Demo {
    fn start() -> Self {
        let mut child = Command::new(MOONGATE).args(["demo", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on until a step fits.
    fn until(&mut self, mut fits: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.next().expect("the story went on").unwrap();
            let step: Value = serde_json::from_str(&line).unwrap();
            if fits(&step) {
                return step;
            }
        }
    }

    /// Says yes to the question that the scene comes to, as somebody in another terminal would.
    fn says_yes(&mut self) {
        let asked = self.step("asked", None);
        let (config, question) = (asked["config"].as_str().unwrap(), asked["question"].as_str().unwrap());
        let output = Command::new(MOONGATE).args(["--config", config, "approve", "yes", question]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn step(&mut self, name: &str, agent: Option<&str>) -> Value {
        self.until(|step| step["step"] == name && agent.is_none_or(|agent| step["agent"] == agent))
    }

    /// Ends it as Ctrl-C does; its exit code.
    fn interrupt(mut self) -> Option<i32> {
        signal("-INT", u64::from(self.child.id()));
        self.child.wait().unwrap().code()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(which: &str, pid: u64) {
    assert!(Command::new("kill").args([which, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn the_demo_plays_away_mode() {
    let output = Command::new(MOONGATE).args(["demo", "--once"]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    for words in [
        "lighting speaks A2A 1.0 over HTTP+JSON",
        "security speaks A2A 1.0 over JSONRPC",
        "environment speaks A2A 0.3 over JSONRPC",
        "Doors: front unlocked, garage locked, garden unlocked; the alarm is off.",
        "-> lighting (speaks A2A 1.0 over HTTP+JSON), task completed",
        "-> environment (speaks A2A 0.3 over JSONRPC), task completed",
        "-> security (speaks A2A 1.0 over JSONRPC), task completed",
        "security: The garden door is locked.",
        "Doors: front locked, garage locked, garden locked; the alarm is armed.",
        "Away mode is on: lights off, heating down, doors locked, alarm armed.",
        "so a person has to say yes first",
        "--once answers its own question",
        "--once ends the home after the scene, by itself",
    ] {
        assert!(told.contains(words), "nothing was said of {words:?}:\n{told}");
    }
}

#[test]
fn a_killed_agent_changes_what_the_demo_tells() {
    let mut demo = Demo::start();
    let pid = demo.step("agent", Some("security"))["pid"].as_u64().unwrap();
    demo.says_yes();
    assert_eq!(demo.step("scene", None)["ok"], true);
    demo.step("addresses", None);

    signal("-KILL", pid);
    let ended = demo.step("ended", None);
    assert_eq!((&ended["agent"], &ended["pid"], &ended["ok"]), (&"security".into(), &pid.into(), &false.into()));
    assert_eq!(ended["skill"], "security.status");
    assert!(ended["problem"].as_str().unwrap().starts_with("MG-"), "{ended}");
    assert!(ended["words"].as_str().unwrap().contains("MG-"), "{ended}");
    for agent in ["lighting", "environment"] {
        let other = demo.step("others", Some(agent));
        assert_eq!(other["ok"], true, "{other}");
    }
    assert_eq!(demo.interrupt(), Some(1));
}

#[test]
fn an_undisturbed_demo_ends_well_and_leaves_nothing_behind() {
    let mut demo = Demo::start();
    demo.says_yes();
    let addresses = demo.step("addresses", None);
    let config = Path::new(addresses["config"].as_str().unwrap()).to_owned();
    let send = |arguments: &[&str]| {
        let output = Command::new(MOONGATE).arg("--config").arg(&config).arg("send").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, told) = send(&["turn the kitchen light on"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("bedroom off, hallway off, kitchen on, living room off"), "{told}");
    let (code, told) = send(&["--skill", "security.arm", "unlock the front door"]);
    assert!(code == Some(0) && told.contains("A person has to confirm this"), "{told}");
    assert_eq!(demo.interrupt(), Some(0));
    assert!(!config.parent().unwrap().exists());
}

#[test]
fn the_home_example_has_a_right_configuration() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/01-home/moongate.toml");
    let output = Command::new(MOONGATE).arg("--config").arg(config).arg("check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
