//! `moongate explain`: which way a message would take, stage by stage, without anybody being called.

use clap::Args;
use moongate_core::{Code, Problem};
use serde_json::{Value, json};

use super::client::Client;
use super::output::data;
use super::send::Message;
use super::{Context, Ending, Failure};

/// The longest token that is read.
const TOKEN: u64 = 16 * 1024;

/// Arguments: those of `send`, and who would send it.
#[derive(Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    message: Message,
    /// Read an access token, and show how its holder's request would fare; otherwise it is the operator's.
    #[arg(long)]
    token_stdin: bool,
}

/// Asks the running gateway.
pub(crate) fn explain(context: &Context, arguments: &Explain) -> Result<Ending, Failure> {
    let mut question = json!({"path": arguments.message.path(), "body": arguments.message.request()});
    let client = if arguments.token_stdin {
        if let Some(members) = question.as_object_mut() {
            members.insert("headers".into(), json!({"authorization": format!("Bearer {}", token()?)}));
        }
        let loaded = moongate_config::load(&context.config, &crate::wire_up::rules::check)?;
        Client::without_secret(&loaded.config)?
    } else {
        Client::new(context)?
    };
    let view = client.api("POST", "/api/v1/explain", Some(&question))?;
    let refused = !view.get("problem").is_none_or(Value::is_null);
    if context.json {
        data(&view.to_string());
    } else {
        print(&view);
    }
    Ok(if refused { Ending::No } else { Ending::Yes })
}

fn token() -> Result<String, Problem> {
    let mut token = String::new();
    let mut stdin = std::io::Read::take(std::io::stdin().lock(), TOKEN);
    std::io::Read::read_to_string(&mut stdin, &mut token)
        .map_err(|error| Problem::new(Code::CommandFailed, format!("the token could not be read: {error}")))?;
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem::new(Code::CommandFailed, "the standard input holds no token"));
    }
    Ok(token.to_owned())
}

fn print(view: &Value) {
    let text = |pointer: &str| view.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    if let Some(id) = text("/principal/id") {
        let (kind, proof) = (text("/principal/kind").unwrap_or_default(), text("/principal/proof").unwrap_or_default());
        data(&format!("identify   {id} ({kind}, by {proof})"));
    }
    if let Some(rule) = text("/resolved/rule") {
        let skill = text("/resolved/skill").map(|skill| format!(", skill {skill}")).unwrap_or_default();
        let score = view
            .pointer("/resolved/score")
            .and_then(Value::as_f64)
            .map(|s| format!(", score {s:.2}"))
            .unwrap_or_default();
        let agents: Vec<String> = view
            .pointer("/resolved/candidates")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|candidate| {
                let name = candidate.get("agent").and_then(Value::as_str).unwrap_or("-");
                match candidate.get("weight").and_then(Value::as_u64) {
                    Some(weight) if weight > 1 => format!("{name} (weight {weight})"),
                    _ => name.to_owned(),
                }
            })
            .collect();
        let whom = if agents.is_empty() { "the gateway itself".to_owned() } else { agents.join(", ") };
        data(&format!("resolve    by {rule}{skill}{score}: {whom}"));
    }
    if let Some(rule) = text("/cleared_by") {
        data(&format!("authorize  allowed: {rule}"));
    }
    if let Some(instance) = text("/route/instance") {
        data(&format!("pick       {instance} ({})", text("/route/policy").unwrap_or_default()));
    }
    if let Some(rule) = text("/asked_by") {
        data(&format!("authorize  a person is asked: {rule}"));
        return;
    }
    if let Some(detail) = text("/problem/detail") {
        data(&format!("refused    {}: {detail}", text("/problem/code").unwrap_or_default()));
        for field in view.pointer("/problem/fields").and_then(Value::as_array).into_iter().flatten() {
            let part = |name: &str| field.get(name).and_then(Value::as_str).unwrap_or_default();
            data(&format!("           {}: {}", part("field"), part("description")));
        }
        data(&format!("hint       {}", text("/problem/hint").unwrap_or_default()));
    }
}
