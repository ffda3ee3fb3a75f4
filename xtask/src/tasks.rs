//! The commands that start other programs, as lists of steps.

use std::path::Path;

use crate::debian::{
    CC, CHROMIUM, CXX, GO, MOSQUITTO, NGINX, NPM, OPENSSL, PYTHON, SLOWHTTPTEST, STRACE, TESTSSL, VALGRIND, succeeds,
};
use crate::step::{Spell, Step, run};
use crate::tidy;
use crate::tree::{Tree, root};

/// Where builds go: one folder for the workspace, the fuzz targets and the foreign clients, so that nothing is built
/// twice and everything is found.
fn target() -> String {
    let given = std::env::var("CARGO_TARGET_DIR").ok().map(std::path::PathBuf::from);
    let path = given.map_or_else(|| root().join("target"), |given| root().join(given));
    path.display().to_string()
}

fn cargo(words: &[&str]) -> Spell {
    let all: Vec<&str> = std::iter::once("cargo").chain(words.iter().copied()).collect();
    Spell::new(&all).with("CARGO_TARGET_DIR", target())
}

/// The binary under test.
fn moongate() -> String {
    format!("{}/release/moongate", target())
}

/// `cargo xtask test`.
pub(crate) fn test(names: &[&str]) -> Result<bool, String> {
    let steps = test_steps(&root());
    let unknown = names.iter().find(|name| !steps.iter().any(|step| step.name().starts_with(**name)));
    if let Some(unknown) = unknown {
        let all: Vec<&str> = steps.iter().map(Step::name).collect();
        return Err(format!("there is no step `{unknown}`; the steps are: {}", all.join(", ")));
    }
    let wanted = |step: &Step| names.is_empty() || names.iter().any(|name| step.name().starts_with(name));
    let steps: Vec<Step> = steps.into_iter().filter(wanted).collect();
    Ok(run(&steps, &root()))
}

fn test_steps(root: &Path) -> Vec<Step> {
    let mut steps = vec![
        Step::new(
            "format",
            vec![
                cargo(&["fmt", "--all", "--check"]),
                cargo(&["fmt", "--check"]).at("fuzz"),
                cargo(&["fmt", "--check"]).at("testkit/peers"),
            ],
        ),
        Step::new("lint", vec![cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])])
            .tool(CC),
        Step::call("tidy", tidy::command),
        Step::new("build", vec![cargo(&["build", "--release", "--locked", "-p", "moongate", "-p", "moongate-bench"])])
            .tool(CC),
        Step::new("tests", workspace_tests()).tool(CC).tool(OPENSSL).tool(STRACE),
        fuzz_step(10),
        grid_step("grid", &[]).after("build"),
        python_step("tokens", "testkit/grid/tokens.py", &[]).after("build"),
        python_step("tls", "testkit/grid/tls.py", &[]).tool(OPENSSL).tool(TESTSSL).after("build"),
        python_step("abuse", "testkit/grid/abuse.py", &[]).tool(SLOWHTTPTEST).after("build"),
        python_step("rebinding", "testkit/grid/rebinding.py", &[]).after("build"),
        python_step("cards", "testkit/grid/cards.py", &[]).after("build"),
        python_step("oauth", "testkit/grid/oauth.py", &[]).after("build"),
        python_step("browser", "testkit/grid/browser.py", &[]).tool(CHROMIUM).after("build"),
        python_step("notify", "testkit/grid/notify.py", &[])
            .tool(CHROMIUM)
            .tool(MOSQUITTO)
            .tool(OPENSSL)
            .after("build"),
        python_step("outbound", "testkit/grid/outbound.py", &[]).after("build"),
        python_step("audit", "testkit/grid/audit.py", &[]).tool(GO).after("build"),
    ];
    steps.extend(examples(root).into_iter().map(|folder| {
        let run = Spell::new(&["./run", "--once"]).at(&format!("examples/{folder}"));
        Step::new(format!("example {folder}"), vec![run.with("MOONGATE", moongate()).within(300)]).after("build")
    }));
    steps.push(
        Step::new("demo", vec![cargo(&["run", "--release", "--quiet", "--", "demo", "--once"]).within(300)])
            .after("build"),
    );
    steps
}

/// With nextest where it is installed: it runs test binaries side by side.
fn workspace_tests() -> Vec<Spell> {
    if succeeds(&["cargo", "nextest", "--version"]) {
        vec![
            cargo(&["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]),
            cargo(&["test", "--workspace", "--locked", "--doc"]),
        ]
    } else {
        vec![cargo(&["test", "--workspace", "--locked", "--no-fail-fast"])]
    }
}

fn fuzz_step(seconds: u64) -> Step {
    let words = ["./run", "all", &seconds.to_string()];
    let command = Spell::new(&words).at("fuzz").with("CARGO_TARGET_DIR", target());
    Step::new("fuzz", vec![command.within(40 * (seconds + 60))]).tool(CC).tool(CXX)
}

/// Real A2A clients against real A2A agents, through the binary.
fn grid_step(name: &str, more: &[&str]) -> Step {
    python_step(name, "testkit/grid/grid.py", more)
}

/// A driver of foreign peers, against the program that was built.
fn python_step(name: &str, driver: &str, more: &[&str]) -> Step {
    let moongate = moongate();
    let words = ["python3", driver, "--moongate", moongate.as_str()];
    let words: Vec<&str> = words.iter().chain(more).copied().collect();
    Step::new(name, vec![Spell::new(&words).with("CARGO_TARGET_DIR", target())]).tool(PYTHON).tool(NPM).tool(CC)
}

/// The examples: folders with a program `run`.
fn examples(root: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root.join("examples")) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("run").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// `cargo xtask fuzz`.
pub(crate) fn fuzz(seconds: u64) -> Result<bool, String> {
    Ok(run(&[fuzz_step(seconds)], &root()))
}

/// `cargo xtask setup`.
pub(crate) fn setup() -> Result<bool, String> {
    let peers = Spell::new(&["python3", "testkit/grid/grid.py", "--setup"]).with("CARGO_TARGET_DIR", target());
    let steps = [
        Step::new("compilers", Vec::new()).tool(CC).tool(CXX),
        Step::new("other tools", Vec::new()).tool(OPENSSL).tool(STRACE),
        Step::new("foreign libraries", vec![peers]).tool(PYTHON).tool(NPM).tool(CC),
        Step::new(
            "crates",
            vec![
                cargo(&["fetch", "--locked"]),
                cargo(&["fetch", "--locked"]).at("fuzz"),
                cargo(&["fetch", "--locked"]).at("testkit/peers"),
            ],
        ),
    ];
    Ok(run(&steps, &root()))
}

/// The benchmark; its results are in bench/results.
fn bench_steps() -> Vec<Step> {
    let moongate = moongate();
    let bench = format!("{}/release/moongate-bench", target());
    let run = |what: &str| Spell::new(&[bench.as_str(), what, "--moongate", moongate.as_str()]).within(2 * 60 * 60);
    // The log alone, which the benchmark runs beside the whole.
    let alone = format!("{}/release/examples/speed", target());
    let audit = [bench.as_str(), "audit", "--moongate", moongate.as_str(), "--speed", alone.as_str()];
    let audit = Spell::new(&audit).within(2 * 60 * 60);
    let speed = cargo(&["build", "--release", "--locked", "-p", "moongate-audit", "--example", "speed"]);
    vec![
        Step::new("build", vec![cargo(&["build", "--release", "--locked", "-p", "moongate", "-p", "moongate-bench"])])
            .tool(CC),
        Step::new("bench", vec![run("run")]).tool(NGINX).after("build"),
        Step::new("bench tasks", vec![run("tasks")]).after("build"),
        Step::new("bench audit", vec![speed, audit]).after("build"),
        Step::new("bench approvals", vec![run("approvals")]).after("build"),
        Step::new("instructions", vec![run("instructions")]).tool(VALGRIND).after("build"),
    ]
}

/// `cargo xtask bench`.
pub(crate) fn bench() -> Result<bool, String> {
    Ok(run(&bench_steps(), &root()))
}

/// `cargo xtask soak`: what takes too long for every change. The grid's results are kept beside the benchmark's.
pub(crate) fn soak() -> Result<bool, String> {
    std::fs::create_dir_all(root().join("bench/results")).map_err(|error| format!("bench/results: {error}"))?;
    let mut steps = bench_steps();
    for round in 1..=3 {
        let file = format!("bench/results/soak-grid-{round}.json");
        steps.push(grid_step(&format!("grid {round}"), &["--json", &file]).after("build"));
    }
    steps.push(Step::new("kills", vec![kills(TASKS_KILLED, 200).within(60 * 60)]).tool(CC));
    steps.push(Step::new("kills of the audit log", vec![kills(LOG_KILLED, 200).within(60 * 60)]).tool(CC));
    steps.push(python_step("audit", "testkit/grid/audit.py", &["--lines", "1000000"]).tool(GO).after("build"));
    steps.push(fuzz_step(300));
    Ok(run(&steps, &root()))
}

const TASKS_KILLED: &str = "durability::nothing_that_a_client_heard_of_is_lost_when_the_gateway_is_killed";
const LOG_KILLED: &str = "audit::nothing_that_was_acknowledged_is_lost_when_the_gateway_is_killed";

/// The gateway killed so often in the middle of its work.
fn kills(test: &str, count: u32) -> Spell {
    let words = ["test", "--locked", "-p", "moongate", "--test", "it", "--", test, "--nocapture"];
    cargo(&words).with("MOONGATE_TEST_KILLS", count.to_string())
}

/// `cargo xtask docs`.
pub(crate) fn docs() -> Result<bool, String> {
    let tree = Tree::read(&root())?;
    let path = root().join("docs/errors/README.md");
    std::fs::write(&path, tidy::errors_index(&tree)).map_err(|error| format!("{}: {error}", path.display()))?;
    let reference = cargo(&["run", "--quiet", "-p", "moongate-config", "--example", "reference"]);
    Ok(run(&[Step::new("configuration reference", vec![reference])], &root()))
}
