//! `moongate users`: people who may sign in at the running gateway's pages.
//!
//! Passwords are read from the terminal, without showing them, or from standard input; never from the command line, where
//! every program of the machine could read them.

use std::io::{BufRead as _, IsTerminal as _};

use clap::{Args, Subcommand};
use moongate_core::{Code, Problem};
use serde_json::{Value, json};

use super::agents::encoded;
use super::client::Client;
use super::output::{data, talk};
use super::{Context, Ending, Failure};

/// Bytes of a line at most that may be a password.
const LINE: u64 = 4096;

/// Arguments.
#[derive(Args)]
pub(crate) struct Users {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// All users.
    List,
    /// One user, with scopes and passkeys.
    Show {
        /// The name.
        name: String,
    },
    /// Add a user, and print a link with which that person sets a password or makes a passkey.
    Add {
        /// What the person signs in as: a-z, 0-9, '.', '-', '_'.
        name: String,
        /// What the person is called on pages.
        #[arg(long, value_name = "NAME")]
        display_name: Option<String>,
        /// What programs may be allowed to do in the person's name, as a2a:*:send; once for each.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Ask for a password, or read it from standard input, instead of making a link.
        #[arg(long)]
        password: bool,
    },
    /// Change what a user is called, or may allow programs to do; tokens that there are obey at once.
    Set {
        /// The name.
        name: String,
        /// What the person is called on pages.
        #[arg(long, value_name = "NAME")]
        display_name: Option<String>,
        /// All scopes that the person may allow from now on; once for each.
        #[arg(long = "scope", value_name = "SCOPE", conflicts_with = "no_scopes")]
        scopes: Vec<String>,
        /// The person may allow nothing from now on.
        #[arg(long)]
        no_scopes: bool,
    },
    /// Print a new link for a user, from then on the only way in: password, passkeys, sessions and what programs hold end.
    Invite {
        /// The name.
        name: String,
    },
    /// Set a user's password, asked for or read from standard input; passkeys, sessions and what programs hold end.
    Passwd {
        /// The name.
        name: String,
    },
    /// Keep a user out: sessions and what programs hold end.
    Disable {
        /// The name.
        name: String,
    },
    /// Let a disabled user in again.
    Enable {
        /// The name.
        name: String,
    },
    /// Remove a user with all passkeys, sessions and what programs hold; the name is not given again.
    Remove {
        /// The name.
        name: String,
    },
}

/// Carries the command out.
pub(crate) fn users(context: &Context, arguments: &Users) -> Result<Ending, Failure> {
    let client = Client::new(context)?;
    let path = |name: &str, action: &str| format!("/api/v1/users/{}{action}", encoded(name));
    let print = |view: &Value, line: String| data(&if context.json { view.to_string() } else { line });
    match arguments.command.as_ref().unwrap_or(&Command::List) {
        Command::List => list(context, &client)?,
        Command::Show { name } => {
            let view = client.api("GET", &path(name, ""), None)?;
            data(&serde_json::to_string_pretty(&view).unwrap_or_default());
        }
        Command::Add { name, display_name, scopes, password } => {
            let mut body = json!({"name": name, "display_name": display_name, "scopes": scopes});
            if *password && let Some(members) = body.as_object_mut() {
                members.insert("password".into(), json!(read_password()?));
            }
            let view = client.api("POST", "/api/v1/users", Some(&body))?;
            if context.json || *password {
                print(&view, format!("{} is added", text(&view, "name")));
            } else {
                invited(&view);
            }
        }
        Command::Set { name, display_name, scopes, no_scopes } => {
            let scopes = (*no_scopes || !scopes.is_empty()).then_some(scopes);
            let body = json!({"display_name": display_name, "scopes": scopes});
            let view = client.api("PATCH", &path(name, ""), Some(&body))?;
            print(&view, format!("{name} is changed"));
        }
        Command::Invite { name } => {
            let view = client.api("POST", &path(name, ":invite"), None)?;
            if context.json {
                data(&view.to_string());
            } else {
                invited(&view);
                talk(&format!(
                    "until then nobody signs in as {name}; passkeys, sessions and what programs held are gone"
                ));
            }
        }
        Command::Passwd { name } => {
            let body = json!({"password": read_password()?});
            let view = client.api("POST", &path(name, ":password"), Some(&body))?;
            print(&view, format!("the password of {name} is set; passkeys, sessions and what programs held are gone"));
        }
        Command::Disable { name } => {
            let view = client.api("POST", &path(name, ":disable"), None)?;
            print(&view, format!("{name} is disabled; sessions and what programs held are gone"));
        }
        Command::Enable { name } => {
            let view = client.api("POST", &path(name, ":enable"), None)?;
            print(&view, format!("{name} is enabled"));
        }
        Command::Remove { name } => {
            let view = client.api("DELETE", &path(name, ""), None)?;
            print(&view, format!("{name} is removed"));
        }
    }
    Ok(Ending::Yes)
}

fn text<'v>(view: &'v Value, name: &str) -> &'v str {
    view.get(name).and_then(Value::as_str).unwrap_or("-")
}

/// The link is the data; what to do with it is talk.
fn invited(view: &Value) {
    let invitation = view.get("invitation").cloned().unwrap_or_default();
    talk(&format!("give this link to {}; it works once, for fifteen minutes:", text(view, "name")));
    data(text(&invitation, "url"));
}

fn list(context: &Context, client: &Client) -> Result<(), Problem> {
    let answer = client.api("GET", "/api/v1/users", None)?;
    if context.json {
        data(&answer.to_string());
        return Ok(());
    }
    let users = answer.get("users").and_then(Value::as_array).cloned().unwrap_or_default();
    if users.is_empty() {
        data("no users; add one with `moongate users add NAME`");
    }
    for user in users {
        let scopes: Vec<&str> =
            user.get("scopes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let state = if user.get("disabled") == Some(&Value::Bool(true)) { "disabled" } else { "enabled" };
        let scopes = if scopes.is_empty() { "-".to_owned() } else { scopes.join(" ") };
        data(&format!("{:<20} {state:<9} {:<24} {scopes}", text(&user, "name"), text(&user, "display_name")));
    }
    Ok(())
}

/// Asks twice at a terminal, and reads one line otherwise.
fn read_password() -> Result<String, Problem> {
    let failed =
        |error: std::io::Error| Problem::new(Code::CommandFailed, format!("the password cannot be read: {error}"));
    if std::io::stdin().is_terminal() {
        let password = rpassword::prompt_password("password: ").map_err(failed)?;
        if rpassword::prompt_password("the same again: ").map_err(failed)? != password {
            return Err(Problem::new(Code::PasswordRefused, "the two passwords are not the same"));
        }
        return Ok(password);
    }
    let mut line = String::new();
    let stdin = std::io::stdin().lock();
    std::io::Read::take(stdin, LINE).read_line(&mut line).map_err(failed)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
