//! What is measured: each scenario's request for each target.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::load::call::{Call, Send};

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    /// The agent itself: what nothing in between would cost.
    Direct,
    /// nginx before the agent.
    Nginx,
    /// The gateway before the agent.
    Moongate,
}

impl Target {
    /// Its name in tables.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Moongate => "Moongate",
        }
    }
}

/// One kind of traffic.
pub(crate) struct Scenario {
    /// Its name, and its result's.
    pub(crate) name: &'static str,
    /// What happens, in a sentence.
    pub(crate) what: &'static str,
    /// Who is compared.
    pub(crate) targets: &'static [Target],
    /// Over how long the first requests of the connections are spread.
    pub(crate) spread: Duration,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Unary,
    UnaryTask,
    Stream,
    PacedStream,
    Translate,
    Cards,
}

const ALL: &[Target] = &[Target::Direct, Target::Nginx, Target::Moongate];

/// Every scenario.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a2a-unary",
        what: "JSON-RPC 1.0 SendMessage; the agent answers with a bare Message of about 600 bytes.",
        targets: ALL,
        spread: Duration::ZERO,
        kind: Kind::Unary,
    },
    Scenario {
        name: "a2a-unary-task",
        what: "JSON-RPC 1.0 SendMessage; the agent answers with a finished Task, which the gateway records.",
        targets: ALL,
        spread: Duration::ZERO,
        kind: Kind::UnaryTask,
    },
    Scenario {
        name: "a2a-stream",
        what: "JSON-RPC 1.0 SendStreamingMessage; the agent sends its events as fast as it can, each by itself.",
        targets: ALL,
        spread: Duration::ZERO,
        kind: Kind::Stream,
    },
    Scenario {
        name: "a2a-stream-paced",
        what: "The same with a pause between two events, as of an agent that thinks: many streams, much idle time.",
        targets: ALL,
        spread: Duration::from_millis(250),
        kind: Kind::PacedStream,
    },
    Scenario {
        name: "a2a-translate",
        what: "gRPC 1.0 in, an agent of JSON-RPC 0.3 behind. nginx cannot do that; direct is 0.3 to the agent.",
        targets: &[Target::Direct, Target::Moongate],
        spread: Duration::ZERO,
        kind: Kind::Translate,
    },
    Scenario {
        name: "cards",
        what: "GET /.well-known/agent-card.json; nginx serves the same bytes as a file.",
        targets: &[Target::Nginx, Target::Moongate],
        spread: Duration::ZERO,
        kind: Kind::Cards,
    },
];

impl Scenario {
    /// The request to a target, whose agent sends so many artifactUpdates.
    pub(crate) fn call(&self, target: Target, artifacts: u32) -> Call {
        let path = |agent: &str, nginx: &str, moongate: &str| {
            let path = match target {
                Target::Direct => agent,
                Target::Nginx => nginx,
                Target::Moongate => moongate,
            };
            path.to_owned()
        };
        let (send, path) = match self.kind {
            Kind::Unary => (Send::V1, path("/message", "/agents/fixture", "/agents/fixture")),
            Kind::UnaryTask => (Send::V1, path("/task", "/agents/fixture-task", "/agents/fixture-task")),
            Kind::Stream => (Send::V1Stream(artifacts), path("/message", "/streams/fixture", "/agents/fixture")),
            Kind::PacedStream => {
                (Send::V1Stream(artifacts), path("/paced", "/streams/fixture-paced", "/agents/fixture-paced"))
            }
            Kind::Translate if target == Target::Moongate => return Call::grpc("legacy", self.name),
            Kind::Translate => (Send::V03, "/legacy".to_owned()),
            Kind::Cards => return Call::card("/.well-known/agent-card.json"),
        };
        Call::json_rpc(&path, send, self.name, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::call::{Expect, Protocol};

    #[test]
    fn every_scenario_asks_every_target_for_the_same_thing() {
        for scenario in SCENARIOS {
            let calls: Vec<Call> = scenario.targets.iter().map(|target| scenario.call(*target, 5)).collect();
            for pair in calls.windows(2) {
                let translated = pair.iter().any(|call| call.protocol == Protocol::Http2);
                assert!(translated || (pair[0].body == pair[1].body && pair[0].expect == pair[1].expect));
                assert_eq!(pair[0].method, pair[1].method);
            }
        }
    }

    #[test]
    fn streams_are_expected_with_all_their_events() {
        let stream = SCENARIOS.iter().find(|scenario| scenario.name == "a2a-stream").unwrap();
        assert_eq!(stream.call(Target::Nginx, 5).expect, Expect::Events(8));
    }
}
