//! `moongate token`: the access tokens that the running gateway has given, and the key that signs them.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::agents::encoded;
use super::client::Client;
use super::output::data;
use super::{Context, Ending, Failure};

/// Arguments.
#[derive(Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// The tokens that count at present.
    List,
    /// Revoke a token, with all that comes from the same consent.
    Revoke {
        /// Its name, as `moongate token list` shows it.
        id: String,
    },
    /// The keys that are published; the first one signs.
    Keys,
    /// Make a new signing key; tokens of the old one stay valid.
    RotateKey,
}

/// Carries the command out.
pub(crate) fn token(context: &Context, arguments: &Token) -> Result<Ending, Failure> {
    let client = Client::new(context)?;
    match arguments.command.as_ref().unwrap_or(&Command::List) {
        Command::List => list(context, &client.api("GET", "/api/v1/tokens", None)?),
        Command::Revoke { id } => {
            let view = client.api("DELETE", &format!("/api/v1/tokens/{}", encoded(id)), None)?;
            data(&if context.json { view.to_string() } else { format!("{id} is revoked") });
        }
        Command::Keys => keys(context, &client.api("GET", "/api/v1/tokens/keys", None)?),
        Command::RotateKey => keys(context, &client.api("POST", "/api/v1/tokens:rotate-key", None)?),
    }
    Ok(Ending::Yes)
}

fn rows(answer: &Value, name: &str) -> Vec<Value> {
    answer.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn list(context: &Context, answer: &Value) {
    if context.json {
        data(&answer.to_string());
        return;
    }
    let tokens = rows(answer, "tokens");
    if tokens.is_empty() {
        data("no tokens");
    }
    for token in tokens {
        let text = |name: &str| token.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let scopes = token.get("scopes").and_then(Value::as_array).into_iter().flatten();
        let scopes = scopes.filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
        data(&format!("{:<18} {:<20} {:<16} {scopes}", text("id"), text("client"), text("user")));
    }
}

fn keys(context: &Context, answer: &Value) {
    if context.json {
        data(&answer.to_string());
        return;
    }
    for key in rows(answer, "keys") {
        let id = key.get("id").and_then(Value::as_str).unwrap_or_default();
        let signs = if key.get("replaced_at").is_some_and(Value::is_null) { "signs" } else { "replaced" };
        data(&format!("{id}  {signs}"));
    }
}
