//! The rows.

mod agents;
mod approvals;
mod audit;
mod auth;

mod oauth;

use super::Effect::{self, Applied, NeedsRestart};
use super::notify::NOTIFY;
use super::trust::{DEVICE, ISSUER, PEER};
use super::{Key, Kind, Section};
pub(crate) use agents::{AGENT, SKILL};
use approvals::APPROVALS;
pub(crate) use audit::AUDIT;
pub(crate) use auth::AUTH;
use oauth::OAUTH;

pub(super) const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    effect: Effect,
    doc: &'static str,
) -> Key {
    Key { name, kind, default, example: "", doc, effect }
}

/// A key without a default.
pub(super) const fn open(
    name: &'static str,
    kind: Kind,
    example: &'static str,
    effect: Effect,
    doc: &'static str,
) -> Key {
    Key { name, kind, default: "", example, doc, effect }
}

const DAY: f64 = 86_400.0;
const YEAR: f64 = 366.0 * DAY;

/// The top of the file.
pub(crate) static ROOT: Section = Section {
    name: "",
    doc: "This gateway.",
    keys: &[
        key(
            "domain",
            Kind::Text,
            "\"localhost\"",
            NeedsRestart,
            "The trust domain that this gateway stands for, as a DNS name. It stands in the gateway's own certificate and in the identity of local callers.",
        ),
        open(
            "public_url",
            Kind::Url,
            "\"https://gw.home.example\"",
            Applied,
            "The address that cards name, if it differs from the main listener's (behind a proxy, say).",
        ),
        key(
            "data_dir",
            Kind::Path,
            "\".\"",
            NeedsRestart,
            "Where the gateway keeps its files. Relative to this file, as every path is.",
        ),
        open("listen", Kind::Table(&LISTEN), "", NeedsRestart, "Where the gateway listens."),
        open("tls", Kind::Table(&TLS), "", NeedsRestart, "The main listener's certificate."),
        open("store", Kind::Table(&STORE), "", NeedsRestart, "What survives a restart."),
        open("audit", Kind::Table(&AUDIT), "", NeedsRestart, "The log that nobody can change quietly."),
        open("egress", Kind::Table(&EGRESS), "", Applied, "Which addresses from strangers may be called."),
        open("limits", Kind::Table(&LIMITS), "", Applied, "How much of anything is too much."),
        open("tasks", Kind::Table(&TASKS), "", Applied, "How tasks are kept."),
        open("log", Kind::Table(&LOG), "", Applied, "What is logged."),
        open("telemetry", Kind::Table(&TELEMETRY), "", Applied, "Metrics and traces."),
        open("routing", Kind::Table(&ROUTING), "", Applied, "How requests find their agent."),
        open("balance", Kind::Table(&BALANCE), "", Applied, "How the instances of an agent share its work."),
        open("agents", Kind::Tables(&AGENT), "", Applied, "The agents."),
        open("routes", Kind::Tables(&ROUTE), "", Applied, "Rules that route."),
        open("policy", Kind::Tables(&POLICY), "", Applied, "Rules that narrow what callers may do."),
        open("approvals", Kind::Table(&APPROVALS), "", Applied, "What people are asked about beside that."),
        open("notify", Kind::Tables(&NOTIFY), "", Applied, "How people learn that something waits for them."),
        open("issuers", Kind::Tables(&ISSUER), "", Applied, "Whose access tokens are accepted."),
        open("peers", Kind::Tables(&PEER), "", Applied, "Trust domains whose client certificates are accepted."),
        open("devices", Kind::Tables(&DEVICE), "", Applied, "Devices that are known by their key."),
        open("oauth", Kind::Table(&OAUTH), "", Applied, "The gateway's own authorization server."),
    ],
};

static LISTEN: Section = Section {
    name: "listen",
    doc: "Where the gateway listens: an address and a port, or \"off\". Port 0 takes a free one. Only the main one may face other machines, and only if [[issuers]], [oauth], [[peers]] or [[devices]] say how their callers prove who they are.",
    keys: &[
        key(
            "main",
            Kind::Address,
            "\"127.0.0.1:7443\"",
            NeedsRestart,
            "TLS 1.3; HTTP/1.1, HTTP/2 and gRPC on one port.",
        ),
        key("plain", Kind::Address, "\"off\"", NeedsRestart, "The same in clear text; loopback only."),
        key("admin", Kind::Address, "\"127.0.0.1:7444\"", NeedsRestart, "The operators' API, health and metrics."),
    ],
};

static TLS: Section = Section {
    name: "tls",
    doc: "The main listener's certificate. Without one, the gateway makes a certificate authority of its own; clients trust its ca.pem. Changed files are taken up at once; connections go on.",
    keys: &[
        open(
            "cert",
            Kind::Path,
            "\"tls/cert.pem\"",
            Applied,
            "A PEM file with the certificate and its chain. Wants `key` too.",
        ),
        open("key", Kind::Path, "\"tls/key.pem\"", Applied, "A PEM file with the certificate's private key."),
        open(
            "ca_dir",
            Kind::Path,
            "\"ca\"",
            NeedsRestart,
            "Where the gateway's own certificate authority is kept; `ca` in `data_dir` unless set.",
        ),
    ],
};

static STORE: Section = Section {
    name: "store",
    doc: "What survives a restart.",
    keys: &[
        key(
            "url",
            Kind::Text,
            "\"sqlite:moongate.db\"",
            NeedsRestart,
            "`sqlite:PATH`, relative to `data_dir`, or `memory:`, which forgets everything.",
        ),
        key(
            "durability",
            Kind::Word(&["full", "relaxed"]),
            "\"full\"",
            Applied,
            "Whether a caller hears of a task only once it is on the disk, or also, for tasks that an agent has made, a few milliseconds before.",
        ),
    ],
};

static EGRESS: Section = Section {
    name: "egress",
    doc: "Addresses that strangers choose (callbacks, cards) must be public ones, on https and port 443 or 8443.",
    keys: &[
        key(
            "allow",
            Kind::Prefixes,
            "[]",
            Applied,
            "Address ranges that such URLs may name although they are not public; any port, and http too.",
        ),
        key(
            "dns",
            Kind::Resolver,
            "\"system\"",
            Applied,
            "Who resolves the names that the gateway calls: the operating system, or a DNS server (then no hosts file counts).",
        ),
    ],
};

static LIMITS: Section = Section {
    name: "limits",
    doc: "How much of anything is too much. Over a limit, a request is refused with an error that names the limit.",
    keys: &[
        key("body_bytes", Kind::Size(1 << 10, 1 << 30), "\"16MiB\"", Applied, "The largest request body."),
        key(
            "answer_bytes",
            Kind::Size(1 << 10, 1 << 32),
            "\"64MiB\"",
            Applied,
            "The largest answer of an agent and, of a stream, the largest event.",
        ),
        key("json_depth", Kind::Integer(8, 512), "64", Applied, "The deepest nesting of JSON."),
        key("parts", Kind::Integer(1, 100_000), "1000", Applied, "The most parts of one message."),
        key(
            "header_bytes",
            Kind::Size(4 << 10, 1 << 20),
            "\"64KiB\"",
            NeedsRestart,
            "The most bytes of headers of one request.",
        ),
        key(
            "request_seconds",
            Kind::Seconds(0.1, DAY),
            "300",
            Applied,
            "How long a request may take until its answer begins.",
        ),
        key("streams", Kind::Integer(1, 1_000_000), "1024", Applied, "The most streams open at once."),
        key(
            "connections",
            Kind::Integer(1, 1_000_000),
            "4096",
            NeedsRestart,
            "The most connections open at once, for each listener.",
        ),
        key(
            "connections_per_address",
            Kind::Integer(1, 1_000_000),
            "256",
            NeedsRestart,
            "The most of these from one address of another machine (of IPv6, from one /64).",
        ),
        key("agents", Kind::Integer(1, 1_000_000), "10000", Applied, "The most agents registered at once."),
        key("tasks", Kind::Integer(1, 100_000_000), "100000", Applied, "The most finished tasks that are kept."),
        key(
            "waiting",
            Kind::Integer(1, 100_000_000),
            "100000",
            Applied,
            "The most tasks that wait for agents, those that are paused or were set aside included; further ones are refused.",
        ),
        open(
            "caller_requests_per_second",
            Kind::Integer(1, 1_000_000),
            "50",
            Applied,
            "The most requests of one caller in a second; those of this machine without credentials are one caller, and operators are not counted. Unset, there is no limit, as for the next two.",
        ),
        open(
            "domain_requests_per_second",
            Kind::Integer(1, 1_000_000),
            "200",
            Applied,
            "The most requests in a second of all callers of one other trust domain.",
        ),
        open(
            "address_requests_per_second",
            Kind::Integer(1, 1_000_000),
            "100",
            Applied,
            "The most requests in a second from one address of another machine (of IPv6, from one /64).",
        ),
        key(
            "burst_seconds",
            Kind::Seconds(0.0, 3600.0),
            "5",
            Applied,
            "What may come in so many seconds may come at once.",
        ),
        key(
            "drain_seconds",
            Kind::Seconds(0.0, 3600.0),
            "20",
            Applied,
            "How long requests may go on when the gateway shuts down.",
        ),
    ],
};

static TASKS: Section = Section {
    name: "tasks",
    doc: "How tasks are kept: what ends them, what happens while their agent is away, and how long they are remembered.",
    keys: &[
        key(
            "schedule_to_start_seconds",
            Kind::Seconds(0.1, YEAR),
            "86400",
            Applied,
            "How long it may wait until an agent has it; then it ends as failed.",
        ),
        open(
            "start_to_close_seconds",
            Kind::Seconds(0.1, YEAR),
            "3600",
            Applied,
            "How long an agent may work on it; then it ends as failed. Unset, there is no limit.",
        ),
        key(
            "schedule_to_close_seconds",
            Kind::Seconds(0.1, YEAR),
            "604800",
            Applied,
            "How long it may take altogether; then it ends as failed.",
        ),
        open(
            "heartbeat_seconds",
            Kind::Seconds(0.1, YEAR),
            "300",
            Applied,
            "How long an agent that works on it may give no sign of life; then it ends as failed. Unset, there is no limit.",
        ),
        key(
            "attempts",
            Kind::Integer(0, 1_000_000),
            "0",
            Applied,
            "After so many tries a queued task is set aside until `moongate tasks redrive`; 0 tries until its time is over.",
        ),
        key(
            "pause_deadline",
            Kind::Word(&["freeze", "run"]),
            "\"freeze\"",
            Applied,
            "Whether a task's deadlines stand still while it is paused.",
        ),
        key(
            "retain_seconds",
            Kind::Seconds(1.0, 100.0 * YEAR),
            "604800",
            Applied,
            "How long finished tasks are kept; limits.tasks says how many.",
        ),
        key(
            "push_seconds",
            Kind::Seconds(1.0, YEAR),
            "86400",
            NeedsRestart,
            "How long a push notification is tried before it is set aside until `moongate tasks redrive`.",
        ),
    ],
};

static LOG: Section = Section {
    name: "log",
    doc: "What is logged, on standard error.",
    keys: &[
        key(
            "level",
            Kind::Text,
            "\"info\"",
            Applied,
            "`error`, `warn`, `info`, `debug`, `trace`, or directives as `info,moongate_a2a=debug`.",
        ),
        key(
            "format",
            Kind::Word(&["human", "json"]),
            "\"human\"",
            NeedsRestart,
            "The shape of a line: for people, or one JSON object.",
        ),
        key("access", Kind::Flag, "false", NeedsRestart, "Whether each request gets a line."),
    ],
};

static TELEMETRY: Section = Section {
    name: "telemetry",
    doc: "Metrics are always at /metrics of the admin listener; traces go to a collector.",
    keys: &[
        open(
            "otlp",
            Kind::Url,
            "\"http://127.0.0.1:4318\"",
            NeedsRestart,
            "The base address of an OTLP/HTTP collector; unset, traces are not exported.",
        ),
        key(
            "sample",
            Kind::Share,
            "0.01",
            Applied,
            "The share of requests that are traced although their caller did not ask for it.",
        ),
        key("service_name", Kind::Text, "\"moongate\"", NeedsRestart, "The name of this gateway in traces."),
    ],
};

static ROUTING: Section = Section {
    name: "routing",
    doc: "How requests find their agent. First a task's owner, then the agent or skill that the request names, then [[routes]], then this.",
    keys: &[
        open(
            "default_agent",
            Kind::Text,
            "\"concierge\"",
            Applied,
            "The agent for requests that name no skill and that no rule matches.",
        ),
        key(
            "intent",
            Kind::Flag,
            "true",
            Applied,
            "Whether such requests are first matched to a skill by what they say.",
        ),
        key(
            "threshold",
            Kind::Share,
            "0.34",
            Applied,
            "How sure that match must be; below it the gateway refuses rather than guesses.",
        ),
        key(
            "heartbeat_seconds",
            Kind::Seconds(0.05, 3600.0),
            "10",
            Applied,
            "How often registered agents are asked to beat.",
        ),
        key(
            "heartbeat_ttl_seconds",
            Kind::Seconds(0.1, DAY),
            "30",
            Applied,
            "How long an agent that beat once may be silent until it counts as down.",
        ),
        key(
            "probe_seconds",
            Kind::Seconds(0.05, DAY),
            "30",
            Applied,
            "How often the card of an agent that never beat is fetched.",
        ),
    ],
};

pub(crate) static BALANCE: Section = Section {
    name: "balance",
    doc: "How the instances of an agent share its work. An agent may have a table `balance` of its own; what that one leaves out is taken from here.",
    keys: &[
        key(
            "policy",
            Kind::Word(&["p2c_ewma", "round_robin", "least_connections", "consistent_hash"]),
            "\"p2c_ewma\"",
            Applied,
            "Who gets the next request: the better of two by latency and load; each in turn; the least busy; always the same one for the same key.",
        ),
        key(
            "key",
            Kind::Word(&["context", "task", "principal"]),
            "\"context\"",
            Applied,
            "What `consistent_hash` goes by: the conversation, the task or the caller.",
        ),
        key(
            "slow_start_seconds",
            Kind::Seconds(0.0, 3600.0),
            "30",
            Applied,
            "How long a new instance gets less than its share.",
        ),
        key(
            "consecutive_failures",
            Kind::Integer(1, 1000),
            "5",
            Applied,
            "How many failures in a row eject an instance.",
        ),
        key(
            "success_rate_percent",
            Kind::Integer(0, 100),
            "50",
            Applied,
            "An instance is ejected when fewer of its answers succeed.",
        ),
        key(
            "success_rate_requests",
            Kind::Integer(1, 100_000),
            "20",
            Applied,
            "Over how many answers, at least, that share is taken.",
        ),
        key(
            "base_ejection_seconds",
            Kind::Seconds(0.05, 3600.0),
            "10",
            Applied,
            "How long the first ejection lasts; the n-th lasts n times as long.",
        ),
        key(
            "max_ejected_percent",
            Kind::Integer(0, 100),
            "50",
            Applied,
            "The largest share of instances ejected at once; beyond it all are used again.",
        ),
        key(
            "retry_budget_percent",
            Kind::Integer(0, 100),
            "20",
            Applied,
            "The most that repeated attempts may add to the load.",
        ),
        key("attempts", Kind::Integer(1, 10), "3", Applied, "The most instances that one request is tried on."),
    ],
};

pub(crate) static ROUTE: Section = Section {
    name: "routes",
    doc: "A rule that routes; the first that matches wins. See docs/reference/rules.md for the names that a rule may read.",
    keys: &[
        open("match", Kind::Rule, "'skill == \"lights.set\" && zone == \"kitchen\"'", Applied, "When it applies."),
        open(
            "to",
            Kind::Tables(&TARGET),
            "[{ agent = \"lights\" }]",
            Applied,
            "Who gets it; several share it by weight.",
        ),
    ],
};

pub(crate) static TARGET: Section = Section {
    name: "routes.to",
    doc: "One agent that a rule names.",
    keys: &[
        open("agent", Kind::Text, "\"lights\"", Applied, "An agent's name, or NAME@LABEL for one instance."),
        key("weight", Kind::Integer(0, 1000), "1", Applied, "Its share."),
    ],
};

pub(crate) static POLICY: Section = Section {
    name: "policy",
    doc: "A rule that narrows what callers may do, with exactly one of `deny`, `confirm` and `allow`. A matching `deny` refuses, a matching `confirm` asks a person, an `allow` lifts a confirmation but never a refusal.",
    keys: &[
        open("name", Kind::Text, "\"no locks\"", Applied, "Its name in refusals and in the log."),
        open("deny", Kind::Rule, "'skill.tags.exists(t, t == \"lock\")'", Applied, "Refuses what it matches."),
        open(
            "confirm",
            Kind::Rule,
            "'\"door\" in skill.tags'",
            Applied,
            "Asks a person about what it matches: a message that begins a task waits as that task until somebody says yes (`moongate approve`); \
             anything else that it matches is held with its caller's connection until somebody answers.",
        ),
        open(
            "class",
            Kind::Word(&["sensitive", "critical"]),
            "\"sensitive\"",
            Applied,
            "Of a `confirm`: how much is at stake. What is critical wants a passkey, and [oauth] for it; \"sensitive\" unless set.",
        ),
        open(
            "people",
            Kind::Integer(1, 10),
            "2",
            Applied,
            "Of a `confirm`: how many people have to say yes, several only with [oauth]; 1 unless set.",
        ),
        open(
            "wait_seconds",
            Kind::Seconds(1.0, DAY),
            "300",
            Applied,
            "Of a `confirm`: how long they may take, after which it is a no; 900 unless set, 120 for what is critical.",
        ),
        open(
            "allow",
            Kind::Rule,
            "'principal.kind == \"operator\"'",
            Applied,
            "Lifts a confirmation from what it matches.",
        ),
    ],
};
