//! The interop grid's scenarios, run by the Rust client `a2a-client-lf` over JSON-RPC, HTTP+JSON or gRPC.
//!
//! - In: `--base URL --card-url URL --transport JSONRPC|HTTP+JSON|GRPC [--proxied] [--patient=all|cancel] [--only a,b]`.
//! - Out: one JSON line a scenario, `{scenario, ok, detail, ms}`; `testkit/grid/grid.py` reads them.
//! - The interface used, and its tenant, are those of the card: the library's own factory chooses.

mod peer;
mod receiver;
mod scenarios;

use std::process::ExitCode;

/// What the command line says.
pub struct Flags {
    pub base: String,
    pub card_url: String,
    pub transport: String,
    pub proxied: bool,
    /// "all", "cancel" or empty: after which early answers to ask again.
    pub patient: String,
    pub only: Vec<String>,
}

fn flags() -> Result<Flags, String> {
    let mut flags = Flags {
        base: String::new(),
        card_url: String::new(),
        transport: "JSONRPC".into(),
        proxied: false,
        patient: String::new(),
        only: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--base" => flags.base = value()?,
            "--card-url" => flags.card_url = value()?,
            "--transport" => flags.transport = value()?,
            "--only" => flags.only = value()?.split(',').filter(|n| !n.is_empty()).map(Into::into).collect(),
            "--proxied" => flags.proxied = true,
            _ if word.starts_with("--patient=") => flags.patient = word["--patient=".len()..].into(),
            _ => return Err(format!("unknown flag {word}")),
        }
    }
    if flags.base.is_empty() || flags.card_url.is_empty() {
        return Err("--base and --card-url are required".into());
    }
    Ok(flags)
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = async {
        let flags = flags()?;
        let peer = peer::Peer::connect(&flags).await?;
        scenarios::run(&flags, &peer).await
    };
    match outcome.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(detail) => {
            println!("{}", serde_json::json!({ "start": false, "detail": detail }));
            ExitCode::from(3)
        }
    }
}
