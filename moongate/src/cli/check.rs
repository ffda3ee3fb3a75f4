//! `moongate check`: is the configuration right?

use moongate_core::Code;
use serde_json::json;

use super::output::{data, talk};
use super::{Context, Ending, Failure};
use crate::wire_up;

/// Reads the file and says what it found.
pub(crate) fn check(context: &Context) -> Result<Ending, Failure> {
    match moongate_config::load(&context.config, &wire_up::rules::check) {
        Ok(loaded) => {
            let config = &loaded.config;
            // What a start would read, too.
            for peer in &config.peers {
                wire_up::bundle(peer)?;
            }
            if context.json {
                data(&json!({"ok": true, "agents": config.agents.len(), "routes": config.routes.len(), "policies": config.policy.len()}).to_string());
            } else {
                data(&format!(
                    "{} is right: {} agents, {} routes, {} rules of policy",
                    context.config.display(),
                    config.agents.len(),
                    config.routes.len(),
                    config.policy.len()
                ));
            }
            Ok(Ending::Yes)
        }
        Err(problems) if problems.mistakes().iter().any(|mistake| mistake.code == Code::ConfigUnreadable) => {
            Err(problems.into())
        }
        Err(problems) if context.json => {
            let mistakes: Vec<_> = problems
                .mistakes()
                .iter()
                .map(|mistake| json!({"code": mistake.code.to_string(), "message": mistake.message, "hint": mistake.advice()}))
                .collect();
            data(&json!({"ok": false, "mistakes": mistakes}).to_string());
            Ok(Ending::No)
        }
        Err(problems) => {
            talk(problems.render(false).trim_end());
            Ok(Ending::No)
        }
    }
}
