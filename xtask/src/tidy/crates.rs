//! The crates of the workspace and their dependencies, as `cargo metadata` and `cargo tree` tell them.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use super::Report;

/// One crate of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its folder, from the root.
    pub(crate) folder: String,
    /// What it names as dependencies, of whatever kind.
    pub(crate) needs: Vec<Need>,
}

/// One dependency.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    pub(crate) name: String,
    /// Only for tests and examples.
    pub(crate) dev: bool,
}

impl Package {
    /// The crate's name in Rust.
    pub(crate) fn ident(&self) -> String {
        self.name.replace('-', "_")
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Listed>,
    workspace_root: String,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

/// The crates of the workspace.
///
/// # Errors
/// `cargo metadata` fails.
pub(crate) fn read(root: &Path) -> Result<Vec<Package>, String> {
    let text = cargo(root, &["metadata", "--format-version", "1", "--no-deps"])?;
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Package>, String> {
    let metadata: Metadata =
        serde_json::from_str(text).map_err(|error| format!("`cargo metadata` is not understood: {error}"))?;
    let folder = |manifest: &str| {
        let path = manifest.strip_prefix(&metadata.workspace_root).unwrap_or(manifest);
        path.trim_start_matches('/').trim_end_matches("/Cargo.toml").to_owned()
    };
    let need = |held: Dependency| Need { name: held.name, dev: held.kind.as_deref() == Some("dev") };
    Ok(metadata
        .packages
        .into_iter()
        .map(|listed| Package {
            folder: folder(&listed.manifest_path),
            name: listed.name,
            needs: listed.dependencies.into_iter().map(need).collect(),
        })
        .collect())
}

/// Every crate that is built, with the features that it is built with: `name version|feature,feature` a line.
///
/// # Errors
/// `cargo tree` fails.
pub(crate) fn features(root: &Path) -> Result<String, String> {
    let edges = "normal,build,dev";
    cargo(root, &["tree", "--workspace", "--edges", edges, "--prefix", "none", "--format", "{p}|{f}"])
}

fn cargo(root: &Path, words: &[&str]) -> Result<String, String> {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let command = format!("cargo {}", words.join(" "));
    let done = Command::new(program).args(words).current_dir(root).output();
    let done = done.map_err(|error| format!("`{command}` cannot be started: {error}"))?;
    if !done.status.success() {
        return Err(format!("`{command}` failed:\n{}", String::from_utf8_lossy(&done.stderr)));
    }
    String::from_utf8(done.stdout).map_err(|_| format!("`{command}` printed something that is not text"))
}

/// One TLS, in one version, by one library: TLS 1.3 by rustls over aws-lc-rs.
pub(super) fn check_features(tree: &str, report: &mut Report) {
    let mut seen = Vec::new();
    for line in tree.lines() {
        let (package, features) = line.split_once('|').unwrap_or((line, ""));
        let name = package.split(' ').next().unwrap_or(package);
        let what = match name {
            "rustls" | "tokio-rustls" if features.split([',', ' ']).any(|feature| feature == "tls12") => {
                format!("{name} is built with the feature tls12; the gateway speaks TLS 1.3 only")
            }
            "ring" | "openssl-sys" | "native-tls" => format!("{name} is built; the only cryptography is aws-lc-rs"),
            _ => continue,
        };
        if !seen.contains(&what) {
            report.error("Cargo.lock", 0, what.clone());
            seen.push(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_1_2_and_other_cryptography_are_found_once() {
        let mut report = Report::default();
        check_features("rustls v0.23.0|std,tls12\nrustls v0.23.0|std,tls12 (*)\nring v0.17.1|default\n", &mut report);
        assert_eq!(report.errors.len(), 2, "{}", report.told());
        let mut report = Report::default();
        check_features("rustls v0.23.0|aws_lc_rs,std\nstring v1.0.0|ring\n", &mut report);
        assert_eq!(report.told(), "");
    }

    #[test]
    fn metadata_gives_folders_and_kinds() {
        let text = r#"{"workspace_root": "/r", "packages": [{"name": "moongate-core", "manifest_path": "/r/foundation/core/Cargo.toml",
            "dependencies": [{"name": "bytes", "kind": null}, {"name": "insta", "kind": "dev"}]}]}"#;
        let packages = parse(text).unwrap();
        assert_eq!(packages[0].folder, "foundation/core");
        assert_eq!(packages[0].ident(), "moongate_core");
        assert_eq!(packages[0].needs.iter().map(|need| need.dev).collect::<Vec<_>>(), [false, true]);
    }
}
