//! Scopes in words, for people who decide about them.

use moongate_core::Scope;

/// What a scope allows, as the end of "It may …". A scope that is not understood is shown as it is.
pub(crate) fn scope(scope: &str) -> String {
    let parts: Vec<&str> = scope.split(':').collect();
    match parts.as_slice() {
        ["openid"] => "know who you are".to_owned(),
        ["offline_access"] => "go on while you are away".to_owned(),
        ["topology"] => "see how this gateway's network is laid out".to_owned(),
        ["register"] => "register agents".to_owned(),
        ["approve"] => "answer confirmations in your name".to_owned(),
        ["a2a", "*", "*"] => "do everything with every skill of every agent".to_owned(),
        ["a2a", skill, verb] => a2a(skill, verb).unwrap_or_else(|| scope.to_owned()),
        ["mcp", "*", "*"] => "use every tool".to_owned(),
        ["mcp", server, "*"] => format!("use every tool of {}", quoted(server)),
        ["mcp", "*", tool] => format!("use the tool {} of every server", quoted(tool)),
        ["mcp", server, tool] => format!("use the tool {} of {}", quoted(tool), quoted(server)),
        ["model", "*"] => "use every model".to_owned(),
        ["model", name] => format!("use the model {}", quoted(name)),
        ["net", "*"] => "see and change everything about the network".to_owned(),
        ["net", area] => format!("see and change the network’s {}", quoted(area)),
        ["audit", "*" | "read"] => "read the audit log".to_owned(),
        ["admin", "*"] => "administer everything here".to_owned(),
        ["admin", area] => format!("administer {}", quoted(area)),
        // The agents' cards say what it is about, in words of their own.
        _ if Scope::parse(scope).is_some_and(|read| read.is_other()) => {
            format!("use skills whose agents ask for {}", quoted(scope))
        }
        _ => scope.to_owned(),
    }
}

fn a2a(skill: &str, verb: &str) -> Option<String> {
    let of = if skill == "*" { "every skill".to_owned() } else { format!("the skill {}", quoted(skill)) };
    Some(match verb {
        "*" => format!("do everything with {of}"),
        "send" => format!("send messages to {of}"),
        "get" => format!("read your tasks of {of}"),
        "list" => format!("list your tasks of {of}"),
        "cancel" => format!("cancel, pause and resume your tasks of {of}"),
        "subscribe" => format!("follow your tasks of {of} as they go on"),
        "push" => format!("have news of your tasks of {of} sent elsewhere"),
        _ => return None,
    })
}

fn quoted(name: &str) -> String {
    format!("“{name}”")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_scope_has_words_and_unknown_ones_are_shown() {
        let cases = [
            ("a2a:lights.set:send", "send messages to the skill “lights.set”"),
            ("a2a:*:list", "list your tasks of every skill"),
            ("a2a:*:*", "do everything with every skill of every agent"),
            ("mcp:files:read", "use the tool “read” of “files”"),
            ("model:*", "use every model"),
            ("offline_access", "go on while you are away"),
            ("a2a:x:fly", "a2a:x:fly"),
            ("locks:write", "use skills whose agents ask for “locks:write”"),
            ("A2A:x:send", "A2A:x:send"),
            ("", ""),
        ];
        for (text, words) in cases {
            assert_eq!(scope(text), words);
        }
        for word in moongate_core::scope::WORDS {
            assert_ne!(scope(word), word, "it has no words");
        }
    }
}
