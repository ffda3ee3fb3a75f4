//! `moongate clients`: which programs may ask the running gateway for tokens.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use moongate_core::{Code, Problem};
use serde_json::{Value, json};

use super::agents::encoded;
use super::client::Client;
use super::output::data;
use super::{Context, Ending, Failure};

/// Arguments.
#[derive(Args)]
pub(crate) struct Clients {
    #[command(subcommand)]
    command: Option<Command>,
}

/// How a program may get tokens.
#[derive(Clone, Copy, ValueEnum)]
enum Grant {
    /// A person types a code that the program shows.
    Device,
    /// A person's browser comes back to the program.
    Code,
    /// The program speaks for itself.
    Client,
    /// The program turns a token that it was handed into one of its own.
    Exchange,
}

impl Grant {
    fn name(self) -> &'static str {
        match self {
            Self::Device => "device_code",
            Self::Code => "authorization_code",
            Self::Client => "client_credentials",
            Self::Exchange => "token_exchange",
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// All clients.
    List,
    /// One client.
    Show {
        /// Its id.
        id: String,
    },
    /// Register a client; a secret is made for it and printed once, unless it is public or signs.
    Add {
        /// Its id: letters, digits, `.`, `_` and `-`.
        id: String,
        /// What people are shown.
        #[arg(long)]
        name: Option<String>,
        /// It can keep no secret: a program on somebody's device.
        #[arg(long, conflicts_with = "jwks")]
        public: bool,
        /// It proves who it is by signatures (private_key_jwt): the file of its public keys.
        #[arg(long, value_name = "FILE")]
        jwks: Option<PathBuf>,
        /// It proves who it is by the certificate of its connection (tls_client_auth): spiffe://DOMAIN/PATH, or device/NAME.
        #[arg(long, value_name = "ID", conflicts_with_all = ["jwks", "public"])]
        certificate: Option<String>,
        /// How it may get tokens; `client` unless set.
        #[arg(long, value_enum, value_name = "GRANT")]
        grant: Vec<Grant>,
        /// What it may get at most, as a2a:lights.set:send; may be given more than once.
        #[arg(long, required = true, value_name = "SCOPE")]
        scope: Vec<String>,
        /// Where a person's browser may come back to, exactly.
        #[arg(long, value_name = "URI")]
        redirect_uri: Vec<String>,
    },
    /// Take a client's rights away; what it holds does not count until it is enabled again.
    Disable {
        /// Its id.
        id: String,
    },
    /// Give a disabled client its rights back.
    Enable {
        /// Its id.
        id: String,
    },
    /// Remove a client and revoke all its tokens.
    Remove {
        /// Its id.
        id: String,
    },
}

/// Carries the command out.
pub(crate) fn clients(context: &Context, arguments: &Clients) -> Result<Ending, Failure> {
    let client = Client::new(context)?;
    let path = |id: &str| format!("/api/v1/clients/{}", encoded(id));
    match arguments.command.as_ref().unwrap_or(&Command::List) {
        Command::List => list(context, &client),
        Command::Show { id } => {
            let view = client.api("GET", &path(id), None)?;
            data(&serde_json::to_string_pretty(&view).unwrap_or_default());
            Ok(Ending::Yes)
        }
        Command::Add { id, name, public, jwks, certificate, grant, scope, redirect_uri } => {
            let grants: Vec<&str> = if grant.is_empty() { &[Grant::Client] } else { grant.as_slice() }
                .iter()
                .map(|grant| grant.name())
                .collect();
            let proof = match (public, jwks, certificate) {
                (true, ..) => "none",
                (_, Some(_), _) => "private_key_jwt",
                (.., Some(_)) => "tls_client_auth",
                (false, None, None) => "client_secret",
            };
            let mut body =
                json!({"id": id, "proof": proof, "grants": grants, "scopes": scope, "redirect_uris": redirect_uri});
            if let (Some(members), Some(name)) = (body.as_object_mut(), name) {
                members.insert("name".into(), json!(name));
            }
            if let (Some(members), Some(file)) = (body.as_object_mut(), jwks) {
                members.insert("jwks".into(), read(file)?);
            }
            if let (Some(members), Some(identity)) = (body.as_object_mut(), certificate) {
                members.insert("certificate".into(), json!(identity));
            }
            added(context, &client.api("POST", "/api/v1/clients", Some(&body))?);
            Ok(Ending::Yes)
        }
        Command::Disable { id } => change(context, &client, "POST", &format!("{}:disable", path(id)), id, "disabled"),
        Command::Enable { id } => change(context, &client, "POST", &format!("{}:enable", path(id)), id, "enabled"),
        Command::Remove { id } => change(context, &client, "DELETE", &path(id), id, "removed"),
    }
}

fn change(
    context: &Context,
    client: &Client,
    method: &'static str,
    path: &str,
    id: &str,
    what: &str,
) -> Result<Ending, Failure> {
    let view = client.api(method, path, None)?;
    data(&if context.json { view.to_string() } else { format!("{id} is {what}") });
    Ok(Ending::Yes)
}

fn read(file: &PathBuf) -> Result<Value, Problem> {
    let failed = |why: String| Problem::new(Code::CommandFailed, format!("{}: {why}", file.display()));
    let text = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| failed(format!("it is no key set: {error}")))
}

fn added(context: &Context, view: &Value) {
    if context.json {
        data(&view.to_string());
        return;
    }
    let text = |name: &str| view.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    data(&format!("{} is registered", text("id")));
    if let Some(secret) = view.get("secret").and_then(Value::as_str) {
        data(&format!("its secret, which is shown this once: {secret}"));
    }
}

fn list(context: &Context, client: &Client) -> Result<Ending, Failure> {
    let answer = client.api("GET", "/api/v1/clients", None)?;
    if context.json {
        data(&answer.to_string());
        return Ok(Ending::Yes);
    }
    let clients = answer.get("clients").and_then(Value::as_array).cloned().unwrap_or_default();
    if clients.is_empty() {
        data("no clients; add one with `moongate clients add ID --scope SCOPE`");
    }
    for client in clients {
        let text = |name: &str| client.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let listed = |name: &str| {
            let items = client.get(name).and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        };
        let off = if client.get("disabled") == Some(&Value::Bool(true)) { "  (disabled)" } else { "" };
        let (id, proof) = (text("id"), text("proof"));
        data(&format!("{id:<20} {proof:<16} {:<34} {}{off}", listed("grants"), listed("scopes")));
    }
    Ok(Ending::Yes)
}
