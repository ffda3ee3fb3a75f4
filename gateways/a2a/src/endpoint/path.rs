//! Which of our places a path names. Pure.

use moongate_core::AgentName;

/// A place of the A2A surface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A card, of one agent or of all.
    Card {
        /// The agent; all if `None`.
        agent: Option<String>,
        /// At the place where older clients look.
        older: bool,
    },
    /// The keys that our cards are signed with.
    Keys,
    /// The JSON-RPC endpoint of a base.
    Rpc {
        /// The agent; the domain if `None`.
        agent: Option<AgentName>,
    },
    /// A path of the HTTP+JSON binding below a base.
    Rest {
        /// The agent; the domain if `None`.
        agent: Option<AgentName>,
        /// The tenant in the path.
        tenant: Option<AgentName>,
        /// The rest of the path, with its leading slash.
        rest: String,
    },
    /// The WebSocket endpoint of a base.
    Socket {
        /// The agent; the domain if `None`.
        agent: Option<AgentName>,
    },
    /// A gRPC method.
    Grpc,
}

impl Place {
    /// The agent that it names, if it names one.
    pub fn agent(&self) -> Option<&str> {
        match self {
            Self::Card { agent, .. } => agent.as_deref(),
            Self::Rpc { agent } | Self::Rest { agent, .. } | Self::Socket { agent } => {
                agent.as_ref().map(AgentName::as_str)
            }
            Self::Keys | Self::Grpc => None,
        }
    }

    /// The place that a path names, if it is one of ours.
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/.well-known/agent-card.json" => return Some(Self::Card { agent: None, older: false }),
            "/.well-known/agent.json" => return Some(Self::Card { agent: None, older: true }),
            crate::routing::discovery::KEY_SET => return Some(Self::Keys),
            _ => {}
        }
        if ["/lf.a2a.v1.", "/a2a.v1.", "/moongate.a2a.v1."].iter().any(|service| path.starts_with(service)) {
            return Some(Self::Grpc);
        }
        if let Some(rest) = path.strip_prefix("/a2a") {
            return below(None, rest);
        }
        let rest = path.strip_prefix("/agents/")?;
        let (name, rest) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        below(Some(AgentName::parse(name).ok()?), rest)
    }
}

fn below(agent: Option<AgentName>, rest: &str) -> Option<Place> {
    match rest {
        "" | "/" => return Some(Place::Rpc { agent }),
        "/ws" => return Some(Place::Socket { agent }),
        "/.well-known/agent-card.json" => {
            return Some(Place::Card { agent: agent.map(|a| a.to_string()), older: false });
        }
        "/.well-known/agent.json" => return Some(Place::Card { agent: agent.map(|a| a.to_string()), older: true }),
        _ => {}
    }
    let first = rest.strip_prefix('/')?.split('/').next()?;
    let plain =
        first == "v1" || first == "tasks" || first == "extendedAgentCard" || first == "card" || first.contains(':');
    if plain {
        return Some(Place::Rest { agent, tenant: None, rest: rest.to_owned() });
    }
    let tenant = AgentName::parse(first).ok()?;
    let rest = rest.get(first.len() + 1..).filter(|rest| rest.len() > 1)?.to_owned();
    Some(Place::Rest { agent, tenant: Some(tenant), rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_its_path() {
        let rest = |agent: Option<&str>, tenant: Option<&str>, rest: &str| {
            Some(Place::Rest {
                agent: agent.map(AgentName::from),
                tenant: tenant.map(AgentName::from),
                rest: rest.into(),
            })
        };
        let cases = [
            ("/.well-known/jwks.json", Some(Place::Keys)),
            ("/a2a", Some(Place::Rpc { agent: None })),
            ("/a2a/", Some(Place::Rpc { agent: None })),
            ("/agents/lamp", Some(Place::Rpc { agent: Some("lamp".into()) })),
            ("/agents/lamp/.well-known/agent.json", Some(Place::Card { agent: Some("lamp".into()), older: true })),
            ("/a2a/ws", Some(Place::Socket { agent: None })),
            ("/agents/lamp/ws", Some(Place::Socket { agent: Some("lamp".into()) })),
            ("/a2a/message:send", rest(None, None, "/message:send")),
            ("/a2a/tasks/x:cancel", rest(None, None, "/tasks/x:cancel")),
            ("/a2a/v1/message:send", rest(None, None, "/v1/message:send")),
            ("/a2a/lamp/message:send", rest(None, Some("lamp"), "/message:send")),
            ("/agents/lamp/tasks/x", rest(Some("lamp"), None, "/tasks/x")),
            ("/lf.a2a.v1.A2AService/SendMessage", Some(Place::Grpc)),
            ("/a2ab", None),
            ("/agents/", None),
            ("/a2a/lamp", None),
            ("/elsewhere", None),
        ];
        for (path, place) in cases {
            assert_eq!(Place::of(path), place, "{path}");
        }
    }
}
