//! `moongate console`: a link into the running gateway's console, which works once.

use moongate_core::{Code, Problem};
use serde_json::Value;

use super::client::Client;
use super::output::{data, talk};
use super::{Context, Ending, Failure};

/// Asks the running gateway, as the operator.
pub(crate) fn console(context: &Context) -> Result<Ending, Failure> {
    let view = Client::new(context)?.api("POST", "/api/v1/console:link", None)?;
    if context.json {
        data(&view.to_string());
        return Ok(Ending::Yes);
    }
    let url = view.get("url").and_then(Value::as_str);
    data(url.ok_or_else(|| Problem::new(Code::CommandFailed, "the gateway's answer holds no link"))?);
    talk("open it in a browser on this machine; it works once, within ten minutes");
    Ok(Ending::Yes)
}
