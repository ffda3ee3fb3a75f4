//! `moongate backup`: a consistent copy of the store, made by the running gateway, or by this process if none runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use moongate_config::Config;
use moongate_core::{Code, Problem};
use serde_json::json;

use super::client::Client;
use super::output::{data, talk};
use super::{Context, Ending, Failure, noted};
use crate::wire_up;

/// How long the gateway may copy: a large store on a slow disk.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Arguments.
#[derive(Args)]
pub(crate) struct Backup {
    /// The file to write; it must not exist yet.
    file: PathBuf,
}

/// Makes the copy.
pub(crate) fn backup(context: &Context, arguments: &Backup) -> Result<Ending, Failure> {
    let loaded = moongate_config::load(&context.config, &wire_up::rules::check)?;
    let config = &loaded.config;
    let to = std::path::absolute(&arguments.file)
        .map_err(|error| Problem::new(Code::CommandFailed, format!("{}: {error}", arguments.file.display())))?;
    let asked = Client::of(config)?.patient(PATIENCE).api("POST", "/api/v1/store:backup", Some(&json!({ "path": to })));
    let by = match asked {
        Ok(_) => "the running gateway",
        Err(problem) if problem.code == Code::GatewayUnreachable => {
            alone(config, &to)?;
            "this command, as no gateway runs"
        }
        Err(problem) => return Err(problem.into()),
    };
    if context.json {
        data(&json!({"written": to}).to_string());
    } else {
        data(&format!("{}", to.display()));
        talk(&format!("written by {by}; keep {} with it", key(config).display()));
    }
    Ok(Ending::Yes)
}

/// The key without which sealed rows of the copy cannot be read.
fn key(config: &Config) -> PathBuf {
    let path = moongate_identity::Vault::path(&config.data_dir);
    std::path::absolute(&path).unwrap_or(path)
}

/// Copies a store that no gateway has open.
fn alone(config: &Config, to: &Path) -> Result<(), Problem> {
    let noted = noted::here(config, "store.backup", &to.display().to_string())?;
    noted.ended(moongate_store::copy(&config.store.url, &config.data_dir, to))
}
