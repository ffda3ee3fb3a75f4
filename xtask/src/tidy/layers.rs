//! Who may know whom (ARCHITECTURE.md): a crate knows those below it, and none beside or above it.
//!
//! Tables, so that the picture and the check are one thing: [`LAYERS`], the exceptions [`BESIDE`], and [`KEPT`], which
//! says in which rooms a heavy third-party crate stops.

use super::Report;
use super::crates::Package;

/// Layer by layer from below.
const LAYERS: &[(u8, &[&str])] = &[
    (0, &["core"]),
    (1, &["wire", "rules", "config", "telemetry"]),
    (2, &["identity", "store", "transport", "plugin"]),
    (3, &["flow", "approval", "audit", "chain"]),
    (4, &["a2a", "mcp", "model", "network"]),
    (5, &["console"]),
    (6, &["moongate"]),
];

/// Edges that are allowed although both ends are on one layer, each with its reason.
const BESIDE: &[(&str, &str, &str)] = &[
    ("flow", "approval", "the stage confirm asks the machine of confirmations"),
    ("flow", "audit", "the stage record writes to the log"),
];

/// Edges that are forbidden although they lead down, each with its reason.
const APART: &[(&str, u8, &str)] =
    &[("console", 4, "it shows views that reach it through flow, never a gateway's own types")];

/// Crates that are no rooms: tools, which nothing of the gateway may need but for tests.
const TOOLS: &[&str] = &["testkit", "bench", "xtask"];

/// Third-party crates and the only rooms that may need them, each with its reason.
const KEPT: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &["store"], "only the store knows SQL"),
    ("cel", &["rules"], "only the rules know their language"),
    ("toml", &["config"], "only the configuration is TOML"),
    ("rcgen", &["identity"], "only identity makes certificates"),
    ("x509-parser", &["identity"], "only identity reads certificates"),
    ("rustls-webpki", &["identity"], "only identity verifies certificates"),
    ("rustls", &["identity", "transport", "moongate"], "TLS ends at the transport; the binary hands it its settings"),
    ("tokio-rustls", &["transport"], "TLS ends at the transport"),
    ("tokio-tungstenite", &["transport"], "frames on a socket are the transport's"),
    ("prometheus-client", &["telemetry"], "metrics are telemetry's"),
    ("tracing-subscriber", &["telemetry"], "logs are set up once"),
    ("argon2", &["identity"], "only identity knows passwords"),
    ("maud", &["console"], "only the console has pages"),
    ("rpassword", &["moongate"], "the command line is the binary's"),
    ("clap", &["moongate", "bench"], "the command line is the binary's"),
];

/// What `core` may need from outside: it knows no time, socket, runtime, JSON or SQL.
const CORE_MAY: &[&str] = &["bytes", "thiserror", "serde"];

/// The room of a crate: its name without the project's.
fn room(name: &str) -> &str {
    name.strip_prefix("moongate-").unwrap_or(name)
}

fn layer(room: &str) -> Option<u8> {
    LAYERS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(layer, _)| *layer)
}

pub(super) fn check(packages: &[Package], report: &mut Report) {
    let ours: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    for package in packages {
        let path = format!("{}/Cargo.toml", package.folder);
        let from = room(&package.name);
        if layer(from).is_none() && !TOOLS.contains(&from) {
            report.error(&path, 0, format!("the crate {from} has no layer; give it one in xtask/src/tidy/layers.rs"));
            continue;
        }
        for need in &package.needs {
            let what = if ours.contains(&need.name.as_str()) {
                edge(from, room(&need.name), need.dev)
            } else {
                foreign(from, &need.name, need.dev)
            };
            if let Some(what) = what {
                report.error(&path, 0, what);
            }
        }
    }
}

/// What is wrong with an edge between two of our crates.
fn edge(from: &str, to: &str, dev: bool) -> Option<String> {
    if TOOLS.contains(&from) {
        return None;
    }
    if TOOLS.contains(&to) {
        return (!dev).then(|| format!("{from} needs {to}, which is for tests only"));
    }
    let (above, below) = (layer(from)?, layer(to)?);
    if let Some((.., reason)) = APART.iter().find(|(room, apart, _)| *room == from && *apart == below) {
        return Some(format!("{from} must not know {to}: {reason}"));
    }
    if BESIDE.iter().any(|(one, other, _)| *one == from && *other == to) {
        return None;
    }
    match above.cmp(&below) {
        std::cmp::Ordering::Greater => None,
        std::cmp::Ordering::Equal => Some(format!("{from} must not know {to}: both are on layer L{above}")),
        std::cmp::Ordering::Less => Some(format!("{from} (L{above}) must not know {to} (L{below}), which is above it")),
    }
}

/// What is wrong with an edge to somebody else's crate.
fn foreign(from: &str, to: &str, dev: bool) -> Option<String> {
    if dev || TOOLS.contains(&from) && from != "bench" {
        return None;
    }
    if from == "core" && !CORE_MAY.contains(&to) {
        return Some(format!("core must not need {to}: it knows no time, socket, runtime, JSON or SQL"));
    }
    let (_, rooms, reason) = KEPT.iter().find(|(name, ..)| *name == to)?;
    (!rooms.contains(&from)).then(|| format!("{from} must not need {to}: {reason} ({})", rooms.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::crates::Need;
    use super::*;

    fn package(name: &str, needs: &[(&str, bool)]) -> Package {
        let needs = needs.iter().map(|(name, dev)| Need { name: (*name).to_owned(), dev: *dev }).collect();
        Package { name: name.to_owned(), folder: room(name).to_owned(), needs }
    }

    fn told(packages: &[Package]) -> String {
        let mut report = Report::default();
        check(packages, &mut report);
        report.told()
    }

    #[test]
    fn edges_down_are_fine_and_edges_up_are_not() {
        let down = [package("moongate-a2a", &[("moongate-core", false)]), package("moongate-core", &[])];
        assert_eq!(told(&down), "");
        let up = [package("moongate-a2a", &[]), package("moongate-core", &[("moongate-a2a", false)])];
        assert!(told(&up).contains("above it"));
    }

    #[test]
    fn rooms_of_one_layer_do_not_know_each_other_unless_the_table_says_so() {
        let beside = [package("moongate-wire", &[("moongate-config", false)]), package("moongate-config", &[])];
        assert!(told(&beside).contains("both are on layer L1"));
        let named = [package("moongate-flow", &[("moongate-audit", false)]), package("moongate-audit", &[])];
        assert_eq!(told(&named), "");
        let reversed = [package("moongate-audit", &[("moongate-flow", false)]), package("moongate-flow", &[])];
        assert!(told(&reversed).contains("both are on layer L3"));
    }

    #[test]
    fn the_console_knows_no_gateway_and_nobody_needs_tools_but_for_tests() {
        let console = [package("moongate-console", &[("moongate-a2a", false)]), package("moongate-a2a", &[])];
        assert!(told(&console).contains("never a gateway's own types"));
        let tool = [package("moongate-a2a", &[("moongate-testkit", false)]), package("moongate-testkit", &[])];
        assert!(told(&tool).contains("for tests only"));
        let test = [package("moongate-a2a", &[("moongate-testkit", true)]), package("moongate-testkit", &[])];
        assert_eq!(told(&test), "");
    }

    #[test]
    fn heavy_crates_stop_in_their_rooms_and_core_stays_bare() {
        assert!(told(&[package("moongate-a2a", &[("rusqlite", false)])]).contains("only the store knows SQL"));
        assert!(told(&[package("moongate-core", &[("tokio", false)])]).contains("core must not need tokio"));
        assert_eq!(told(&[package("moongate-store", &[("rusqlite", false)])]), "");
        assert!(told(&[package("moongate-cloud", &[])]).contains("has no layer"));
    }
}
