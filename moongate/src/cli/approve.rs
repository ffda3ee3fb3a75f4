//! `moongate approve`: the requests that wait for a person's yes at the running gateway.

mod show;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use moongate_approval::document::visible;
use serde_json::{Value, json};

use super::agents::encoded;
use super::client::Client;
use super::output::data;
use super::{Context, Ending, Failure};

/// Arguments.
#[derive(Args)]
pub(crate) struct Approve {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Those that wait, the oldest first.
    List {
        /// The newest that are over instead.
        #[arg(long)]
        past: bool,
    },
    /// One, with everything that would be sent.
    Show {
        /// Its id.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
    /// Say yes: it is sent, once.
    Yes {
        /// Its id.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
        /// Answer the very same request of the same caller alike for so long, at most 900; never what is critical.
        #[arg(long, value_name = "SECONDS")]
        remember: Option<u64>,
    },
    /// Say no: it is never sent.
    No {
        /// Its id.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
    /// The yeses that are remembered.
    Remembered,
    /// Forget one, so that its request is asked about again.
    Forget {
        /// The id of its question.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
}

/// Carries the command out.
pub(crate) fn approve(context: &Context, arguments: &Approve) -> Result<Ending, Failure> {
    let client = Client::new(context)?;
    let path = |id: &str| format!("/api/v1/approvals/{}", encoded(id));
    match arguments.command.as_ref().unwrap_or(&Command::List { past: false }) {
        Command::List { past } => {
            let query = if *past { "?state=past" } else { "" };
            list(context, &client.api("GET", &format!("/api/v1/approvals{query}"), None)?, *past);
        }
        Command::Show { id } => show::show(context, &client.api("GET", &path(id), None)?),
        Command::Yes { id, remember } => {
            let body = remember.map(|seconds| json!({ "remember_seconds": seconds }));
            decided(context, &client.api("POST", &format!("{}:approve", path(id)), body.as_ref())?);
        }
        Command::No { id } => decided(context, &client.api("POST", &format!("{}:deny", path(id)), None)?),
        Command::Remembered => remembered(context, &client.api("GET", "/api/v1/approvals?state=remembered", None)?),
        Command::Forget { id } => {
            let answer = client.api("POST", &format!("{}:forget", path(id)), None)?;
            data(&if context.json { answer.to_string() } else { format!("{id} is asked about again") });
        }
    }
    Ok(Ending::Yes)
}

fn text<'v>(view: &'v Value, pointer: &str) -> &'v str {
    view.pointer(pointer).and_then(Value::as_str).unwrap_or("-")
}

fn list(context: &Context, answer: &Value, past: bool) {
    if context.json {
        data(&answer.to_string());
        return;
    }
    let found = answer.get("approvals").and_then(Value::as_array).cloned().unwrap_or_default();
    if found.is_empty() {
        data(if past { "no question was asked lately" } else { "nothing waits for a yes" });
    }
    for one in found {
        let (id, state, class) = (text(&one, "/id"), text(&one, "/state"), text(&one, "/class"));
        data(&format!("{id}  {state:<9} {class:<9} {}", visible(text(&one, "/sentence"))));
    }
}

fn remembered(context: &Context, answer: &Value) {
    if context.json {
        data(&answer.to_string());
        return;
    }
    let found = answer.get("remembered").and_then(Value::as_array).cloned().unwrap_or_default();
    if found.is_empty() {
        data("no yes is remembered");
    }
    for one in found {
        let until = moment(&one, "expires_at");
        let (id, by) = (text(&one, "/id"), visible(text(&one, "/by")));
        data(&format!("{id}  until {until}  by {by}  {}", visible(text(&one, "/sentence"))));
    }
}

fn moment(view: &Value, member: &str) -> String {
    let at = view.get(member).and_then(Value::as_u64).unwrap_or_default();
    moongate_a2a::moment::write(moongate_core::Time(at))
}

fn decided(context: &Context, view: &Value) {
    if context.json {
        data(&view.to_string());
        return;
    }
    let (id, state) = (text(view, "/id"), text(view, "/state"));
    match state {
        "pending" => data(&format!("{id} has your yes and waits for another person's")),
        state => data(&format!("{id} is {state}")),
    }
}
