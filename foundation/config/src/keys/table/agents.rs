//! The rows of an agent: itself, its copies, its skills.

use super::super::Effect::Applied;
use super::super::{Kind, Section};
use super::{AUTH, BALANCE, DAY, YEAR, key, open};

pub(crate) static AGENT: Section = Section {
    name: "agents",
    doc: "One agent. Say where it is known from by exactly one of `card_url`, `card` and `address`.",
    keys: &[
        open(
            "name",
            Kind::Text,
            "\"lights\"",
            Applied,
            "Its name: letters, digits, `.`, `_` and `-`. Its own address is /agents/NAME.",
        ),
        open(
            "card_url",
            Kind::Url,
            "\"http://127.0.0.1:9001/.well-known/agent-card.json\"",
            Applied,
            "Where it serves its card.",
        ),
        open(
            "card",
            Kind::Card,
            "\"lights.card.json\"",
            Applied,
            "Its card: the path of a JSON file, or the card as a table.",
        ),
        open(
            "address",
            Kind::Url,
            "\"http://127.0.0.1:9001/a2a\"",
            Applied,
            "Where it is, if it has no card; the gateway then writes one from `skills`.",
        ),
        key(
            "protocol",
            Kind::Word(&["JSONRPC", "HTTP+JSON", "GRPC", "JSONRPC-0.3"]),
            "\"JSONRPC\"",
            Applied,
            "What it speaks at `address`.",
        ),
        open(
            "skills",
            Kind::Skills,
            "[\"lights.set\", { id = \"lights.scene\", tags = [\"light\"] }]",
            Applied,
            "What it can do, if it has no card.",
        ),
        open("instances", Kind::Tables(&INSTANCE), "", Applied, "Further running copies of it."),
        key(
            "weight",
            Kind::Integer(0, 1000),
            "1",
            Applied,
            "Its share of the work against others of its `group`; 0 takes none.",
        ),
        open("zone", Kind::Text, "\"kitchen\"", Applied, "The room that it serves."),
        open("labels", Kind::Labels, "{ floor = \"ground\" }", Applied, "Labels, for people and searches."),
        key(
            "adapter",
            Kind::Word(&["http"]),
            "\"http\"",
            Applied,
            "What reaches it: A2A over HTTP, in any of its bindings.",
        ),
        key(
            "insecure",
            Kind::Flag,
            "false",
            Applied,
            "Allows plain http to an address in a private network. Loopback does not need it; public addresses never get it.",
        ),
        key(
            "adopt",
            Kind::Flag,
            "false",
            Applied,
            "Whether the agent is asked for tasks that the gateway has no record of.",
        ),
        key(
            "legacy_card",
            Kind::Flag,
            "false",
            Applied,
            "Whether readers of its card here that name no version get one that A2A 0.3 can read; such a card is always at \
             /.well-known/agent.json.",
        ),
        key(
            "capabilities",
            Kind::Word(&["offer", "agent"]),
            "\"offer\"",
            Applied,
            "Whether its card here names what the gateway can offer for it, or only what the agent says itself.",
        ),
        key(
            "visibility",
            Kind::Word(&["public", "extended", "hidden"]),
            "\"public\"",
            Applied,
            "Who sees its skills: everyone; readers of the extended card; nobody, so that it is reached by name only.",
        ),
        open(
            "group",
            Kind::Text,
            "\"lights\"",
            Applied,
            "Agents of one group share the work of a skill even if they describe it differently.",
        ),
        open(
            "timeout_seconds",
            Kind::Seconds(0.1, DAY),
            "60",
            Applied,
            "How long it may take to begin an answer; `limits.request_seconds` unless set.",
        ),
        key(
            "idempotent",
            Kind::Texts,
            "[]",
            Applied,
            "Skills that may be tried again although the first attempt may have arrived.",
        ),
        open(
            "authorization",
            Kind::Secret,
            "{ env = \"LIGHTS_TOKEN\" }",
            Applied,
            "The value of the `Authorization` header that it wants, as `Bearer …`.",
        ),
        open(
            "auth",
            Kind::Table(&AUTH),
            "{ bearer = { env = \"LIGHTS_TOKEN\" } }",
            Applied,
            "What the gateway shows to it to be let in, in place of `authorization`: a token, a key, or tokens that are fetched.",
        ),
        open(
            "client_cert",
            Kind::Path,
            "\"lights.client.pem\"",
            Applied,
            "The certificate that the gateway shows to it (mTLS), with its chain, in PEM.",
        ),
        open("client_key", Kind::Path, "\"lights.client.key\"", Applied, "The certificate's key, in PEM."),
        open(
            "spiffe",
            Kind::Text,
            "\"spiffe://car.example/gw\"",
            Applied,
            "The id that its TLS certificate must have, instead of the name of its host, vouched for by the authorities of that \
             trust domain ([[peers]]). For agents of other domains.",
        ),
        key(
            "card_scopes",
            Kind::Word(&["ignore", "callers", "everybody"]),
            "\"callers\"",
            Applied,
            "Who must have the scopes that its card demands for a skill (`securityRequirements` of the skill), beside `a2a:SKILL:VERB`: \
             nobody; callers with a token or a certificate; programs of this machine without credentials, too, which have none.",
        ),
        key(
            "signature",
            Kind::Word(&["ignore", "check", "require"]),
            "\"check\"",
            Applied,
            "Whether the signature of its card (A2A 1.0 §8.4) is verified: never; where there is one, so that a card that was \
             tampered with is refused; always, so that a card without one is refused too.",
        ),
        open(
            "jwks",
            Kind::Text,
            "\"https://lights.home.example/jwks.json\"",
            Applied,
            "The public keys of whoever signs its card: an https URL (http on loopback), or the path of a file. Unset, keys \
             count that the signature names (jku), if they lie on the same host and port as the card.",
        ),
        open(
            "balance",
            Kind::Table(&BALANCE),
            "",
            Applied,
            "How its instances share its work, where that differs from `[balance]`.",
        ),
        open(
            "max_in_flight",
            Kind::Integer(1, 1_000_000),
            "100",
            Applied,
            "The most requests open at each of its instances; unset, there is no limit.",
        ),
        key(
            "queue",
            Kind::Flag,
            "true",
            Applied,
            "Whether messages wait for it while it is away; else they are refused.",
        ),
        open(
            "concurrency",
            Kind::Integer(1, 1_000_000),
            "1",
            Applied,
            "The most tasks from the queue that it works on at once; 32 unless set. What it is sent directly does not count.",
        ),
        key(
            "dedup",
            Kind::Word(&["off", "message-id"]),
            "\"off\"",
            Applied,
            "Whether a message whose id came within the last ten minutes is the same request, beside the header Idempotency-Key.",
        ),
        open(
            "schedule_to_start_seconds",
            Kind::Seconds(0.1, YEAR),
            "86400",
            Applied,
            "Of its tasks: how long it may wait until an agent has it, where that differs from [tasks].",
        ),
        open(
            "start_to_close_seconds",
            Kind::Seconds(0.1, YEAR),
            "3600",
            Applied,
            "Of its tasks: how long an agent may work on it, where that differs from [tasks].",
        ),
        open(
            "schedule_to_close_seconds",
            Kind::Seconds(0.1, YEAR),
            "604800",
            Applied,
            "Of its tasks: how long it may take altogether, where that differs from [tasks].",
        ),
        open(
            "heartbeat_seconds",
            Kind::Seconds(0.1, YEAR),
            "300",
            Applied,
            "Of its tasks: how long an agent that works on it may give no sign of life, where that differs from [tasks].",
        ),
    ],
};

pub(crate) static INSTANCE: Section = Section {
    name: "agents.instances",
    doc: "A further running copy of an agent, by its card or by its address.",
    keys: &[
        open("label", Kind::Text, "\"b\"", Applied, "Its label; the instance is called NAME@LABEL."),
        open(
            "card_url",
            Kind::Url,
            "\"http://127.0.0.1:9002/.well-known/agent-card.json\"",
            Applied,
            "Where it serves its card.",
        ),
        open(
            "address",
            Kind::Url,
            "\"http://127.0.0.1:9002/a2a\"",
            Applied,
            "Where it is; it speaks what the agent's first copy speaks.",
        ),
        key("weight", Kind::Integer(0, 1000), "1", Applied, "Its share of the agent's work."),
        open("zone", Kind::Text, "\"hall\"", Applied, "Its own zone, if it has one."),
    ],
};

pub(crate) static SKILL: Section = Section {
    name: "agents.skills",
    doc: "A skill of an agent without a card.",
    keys: &[
        open("id", Kind::Text, "\"lights.set\"", Applied, "Its id."),
        open("name", Kind::Text, "\"Set the lights\"", Applied, "Its name; the id unless set."),
        key("description", Kind::Text, "\"\"", Applied, "What it does. Requests are matched to it by these words."),
        key("tags", Kind::Texts, "[]", Applied, "Words that rules and searches go by."),
        key("examples", Kind::Texts, "[]", Applied, "Sentences that ask for it."),
    ],
};
