//! The configuration as the rest of the program sees it: typed, checked, with every default filled in.
//!
//! A field bears the name of its key in the file. Spans of time, whose keys end in `_seconds`, are [`Duration`]s here.
//! What each key means, its default and whether a change needs a restart stand in the table `crate::keys`, which
//! also makes `docs/reference/configuration.md`; this module repeats none of it but the shape.

mod approvals;
mod audit;
mod notify;
mod oauth;
mod trust;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use moongate_core::approval::Class;

use crate::prefix::Prefix;
use crate::secret::Secret;

pub use approvals::Approvals;
pub use audit::{Audit, Cosigned, Witness};
pub use notify::{Notify, Server, Way};
pub use oauth::Oauth;
pub use trust::{Device, Issuer, Jwks, Peer, PeerAgent, Revocation};

/// One whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The gateway's trust domain.
    pub domain: String,
    /// The address that cards name, without a slash at its end; `None`: the main listener's own.
    pub public_url: Option<String>,
    /// Where the gateway keeps its files; absolute if the file's path was.
    pub data_dir: PathBuf,
    /// Where it listens.
    pub listen: Listen,
    /// Its certificate.
    pub tls: Tls,
    /// What survives a restart.
    pub store: StoreConfig,
    /// The log that nobody can change quietly.
    pub audit: Audit,
    /// What addresses from strangers may be called.
    pub egress: Egress,
    /// How much of anything is too much.
    pub limits: Limits,
    /// How tasks are kept.
    pub tasks: Tasks,
    /// What is logged, and how.
    pub log: Log,
    /// Metrics and traces.
    pub telemetry: Telemetry,
    /// How requests find their agent.
    pub routing: Routing,
    /// How instances of one agent share the work; the default for every agent.
    pub balance: Balance,
    /// The agents.
    pub agents: Vec<Agent>,
    /// Rules that route, first match first.
    pub routes: Vec<Route>,
    /// Rules that narrow what callers may do.
    pub policy: Vec<Policy>,
    /// What people are asked about beside that, and how.
    pub approvals: Approvals,
    /// By which channels people are told that something waits for them.
    pub notify: Vec<Notify>,
    /// Whose access tokens are accepted.
    pub issuers: Vec<Issuer>,
    /// Trust domains whose client certificates are accepted.
    pub peers: Vec<Peer>,
    /// Devices that are known by their key.
    pub devices: Vec<Device>,
    /// The gateway's own authorization server, where it is on.
    pub oauth: Option<Oauth>,
}

/// The listeners; `None` is `"off"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// TLS 1.3, for everyone.
    pub main: Option<SocketAddr>,
    /// Clear text, loopback only.
    pub plain: Option<SocketAddr>,
    /// Operators' API, health and metrics.
    pub admin: Option<SocketAddr>,
}

/// The main listener's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file with the chain; `None`: the gateway issues its own. Set together with `key`.
    pub cert: Option<PathBuf>,
    /// A PEM file with the key.
    pub key: Option<PathBuf>,
    /// Where the gateway's own certificate authority lives.
    pub ca_dir: PathBuf,
}

/// What survives a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// `sqlite:PATH`, relative to `data_dir`, or `memory:`.
    pub url: String,
    /// What a caller may hear of before it is on the disk.
    pub durability: Durability,
}

/// What a caller may hear of before it is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing.
    Full,
    /// Tasks that an agent has made.
    Relaxed,
}

/// How tasks are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tasks {
    /// What ends them.
    pub timeouts: TaskTimeouts,
    /// After so many tries a queued task is set aside; 0 is never.
    pub attempts: u32,
    /// Whether deadlines stand still while a task is paused.
    pub pause_deadline: PauseDeadline,
    /// How long finished ones are kept.
    pub retain_seconds: Duration,
    /// How long a push notification is tried.
    pub push_seconds: Duration,
}

/// The four timeouts of tasks; `None` waits for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskTimeouts {
    /// Until an agent has it.
    pub schedule_to_start_seconds: Option<Duration>,
    /// How long the agent may work.
    pub start_to_close_seconds: Option<Duration>,
    /// Altogether.
    pub schedule_to_close_seconds: Option<Duration>,
    /// Between two signs of life.
    pub heartbeat_seconds: Option<Duration>,
}

/// Whether deadlines stand still while a task is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseDeadline {
    /// They do.
    Freeze,
    /// They run on.
    Run,
}

/// What is the same request, beside the header `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dedup {
    /// Nothing.
    Off,
    /// A message with the same id.
    MessageId,
}

/// What addresses from strangers may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// Address ranges that are allowed although they are not public.
    pub allow: Vec<Prefix>,
    /// Who resolves names.
    pub dns: Dns,
}

/// Who resolves names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dns {
    /// The operating system.
    System,
    /// The DNS server at this address.
    Server(SocketAddr),
}

/// How much of anything is too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest request body.
    pub body_bytes: usize,
    /// The largest answer of an agent that is not a stream; of a stream, the largest event.
    pub answer_bytes: usize,
    /// The deepest nesting of JSON.
    pub json_depth: u16,
    /// The most parts of one message.
    pub parts: u32,
    /// The most bytes of headers of a request.
    pub header_bytes: usize,
    /// How long one request may take until its answer begins.
    pub request_seconds: Duration,
    /// The most streams open at once.
    pub streams: usize,
    /// The most connections open at once, for each listener.
    pub connections: usize,
    /// The most agents registered at once.
    pub agents: usize,
    /// The most tasks remembered at once.
    pub tasks: usize,
    /// The most tasks that wait for agents.
    pub waiting: usize,
    /// The most connections of one address of another machine.
    pub connections_per_address: usize,
    /// Requests of one caller in a second; `None` is any number, as for the next two.
    pub caller_requests_per_second: Option<u32>,
    /// Requests of all callers of one other domain in a second.
    pub domain_requests_per_second: Option<u32>,
    /// Requests of one address of another machine in a second.
    pub address_requests_per_second: Option<u32>,
    /// Of so many seconds these may come at once.
    pub burst_seconds: Duration,
    /// How long requests may go on once the gateway shuts down.
    pub drain_seconds: Duration,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives as `info,moongate_a2a=debug`.
    pub level: String,
    /// The shape of a line.
    pub format: LogFormat,
    /// Whether each request gets a line.
    pub access: bool,
}

/// The shape of a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Metrics and traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// The base address of an OTLP/HTTP collector; `None`: traces are not exported.
    pub otlp: Option<String>,
    /// The share of requests that are traced although their caller did not ask for it, 0 to 1.
    pub sample: f64,
    /// The name of this gateway in traces.
    pub service_name: String,
}

/// How requests find their agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Routing {
    /// The agent for requests that name no skill and match no rule.
    pub default_agent: Option<String>,
    /// Whether requests that name no skill are matched by what they say.
    pub intent: bool,
    /// How sure the matching must be, 0 to 1.
    pub threshold: f64,
    /// How often registered agents are told to beat.
    pub heartbeat_seconds: Duration,
    /// How long an agent that beat once may be silent until it counts as down.
    pub heartbeat_ttl_seconds: Duration,
    /// How often an agent that never beat is asked for its card.
    pub probe_seconds: Duration,
}

/// How instances share the work.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    /// Who gets the next request.
    pub policy: BalancePolicy,
    /// What `consistent_hash` hashes.
    pub key: HashKey,
    /// How long a new instance is spared.
    pub slow_start_seconds: Duration,
    /// How many failures in a row eject an instance.
    pub consecutive_failures: u32,
    /// Below which share of successes an instance is ejected, in percent.
    pub success_rate_percent: u8,
    /// Over how many answers that share is taken at least.
    pub success_rate_requests: u32,
    /// How long the first ejection lasts; the n-th lasts n times as long.
    pub base_ejection_seconds: Duration,
    /// The largest share of instances that may be ejected at once, in percent.
    pub max_ejected_percent: u8,
    /// The most that repeated attempts may add to the load, in percent.
    pub retry_budget_percent: u8,
    /// The most instances that one request is tried on.
    pub attempts: u32,
}

/// Who gets the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BalancePolicy {
    /// The better of two that chance names, by latency and load.
    P2cEwma,
    /// Each in turn, by weight.
    RoundRobin,
    /// The one with the fewest requests open.
    LeastConnections,
    /// Always the same one for the same key.
    ConsistentHash,
}

/// What `consistent_hash` hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The conversation.
    Context,
    /// The task.
    Task,
    /// The caller.
    Principal,
}

/// One configured agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Its name; fit for `AgentName`.
    pub name: String,
    /// Where it is known from. `None` only if every one of `instances` says so itself.
    pub source: Option<Source>,
    /// Further running copies.
    pub instances: Vec<Instance>,
    /// Its share of the work, against others of its `group`.
    pub weight: u32,
    /// The room that it serves.
    pub zone: Option<String>,
    /// Labels that rules read.
    pub labels: BTreeMap<String, String>,
    /// The adapter that reaches it.
    pub adapter: Adapter,
    /// Whether plain `http` to addresses that are not loopback is meant.
    pub insecure: bool,
    /// Whether tasks that the gateway has no record of are asked for there.
    pub adopt: bool,
    /// Whether its card is fetched from the older place, `/.well-known/agent.json`, too.
    pub legacy_card: bool,
    /// Whose capabilities its card names.
    pub capabilities: Capabilities,
    /// Who sees its skills.
    pub visibility: Visibility,
    /// Agents of one group that offer the same skill share its work, even if they describe it differently.
    pub group: Option<String>,
    /// How long it may take to begin an answer; `None`: `limits.request_seconds`.
    pub timeout_seconds: Option<Duration>,
    /// Skills that may be tried again although the first attempt may have arrived.
    pub idempotent: Vec<String>,
    /// The value of the `Authorization` header that it wants.
    pub authorization: Option<Secret>,
    /// What the gateway shows to it, where that is not `authorization`.
    pub auth: Option<Auth>,
    /// The certificate that the gateway shows to it.
    pub client_certificate: Option<ClientCertificate>,
    /// The SPIFFE id that its certificate must have; `None` is the name of its host, by the web's authorities and our own.
    pub spiffe: Option<String>,
    /// Who must have the scopes that its card demands.
    pub card_scopes: CardScopes,
    /// How its card has to be signed.
    pub signature: CardSignature,
    /// How its instances share the work; `None`: as `[balance]` says.
    pub balance: Option<Balance>,
    /// The most requests open at it at once, for each instance; `None`: no limit.
    pub max_in_flight: Option<u32>,
    /// Whether messages wait for it while it is away.
    pub queue: bool,
    /// The most queued tasks that it works on at once.
    pub concurrency: Option<u32>,
    /// What is the same request.
    pub dedup: Dedup,
    /// Timeouts of its tasks that differ from the usual ones.
    pub timeouts: TaskTimeouts,
}

/// What the gateway shows to an agent to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// The same header always.
    Header {
        /// Its name, lower case.
        name: String,
        /// Its value.
        value: Secret,
    },
    /// Tokens of the agent's own authorization server.
    Oauth(OauthClient),
    /// Tokens of that server for each caller (RFC 8693).
    Exchange {
        /// The gateway there.
        client: OauthClient,
        /// By what it knows callers.
        subject: ExchangeSubject,
    },
}

/// What is exchanged for a token for the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ExchangeSubject {
    /// The caller's own access token.
    #[default]
    Token,
    /// The gateway's word for the caller.
    Assertion,
}

/// The gateway as a client of an authorization server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OauthClient {
    /// The token endpoint.
    pub token_url: String,
    /// Who the gateway is there.
    pub client_id: String,
    /// How it proves that.
    pub proof: ClientProof,
    /// What the token shall be good for.
    pub scope: Option<String>,
    /// Whom it is meant for.
    pub audience: Option<String>,
    /// Whom it is meant for (RFC 8707).
    pub resource: Option<String>,
}

/// How a client proves who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientProof {
    /// By a secret.
    Secret(Secret),
    /// By signing with a key.
    Key {
        /// Its file.
        path: PathBuf,
        /// What the server calls it.
        id: Option<String>,
    },
}

/// A certificate that the gateway shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// The certificate with its chain.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// How an agent's card has to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardSignature {
    /// What becomes of cards whose signature is missing or does not hold.
    pub policy: Signatures,
    /// Whose signatures hold; `None`: those of keys that lie where the card lies.
    pub jwks: Option<Jwks>,
}

/// Who must have the scopes that an agent's card demands for a skill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardScopes {
    /// Nobody.
    Ignore,
    /// Callers with a token or a certificate.
    Callers,
    /// Programs of this machine without credentials, too.
    Everybody,
}

/// What becomes of cards whose signature is missing or does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// Nobody looks.
    Ignore,
    /// What does not hold is refused; cards without a signature are taken.
    Check,
    /// Only cards whose signature holds are taken.
    Require,
}

/// Where an agent is known from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// It serves its card there.
    CardUrl(String),
    /// Its card is this file.
    CardFile(PathBuf),
    /// Its card stands in the configuration.
    Card(serde_json::Value),
    /// It has no card: the gateway writes one (draft, *agent registration*).
    Address {
        /// Its URL.
        address: String,
        /// What it speaks there.
        protocol: Protocol,
        /// What it can do.
        skills: Vec<Skill>,
    },
}

/// What an agent without a card speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A2A 1.0, `JSONRPC`.
    JsonRpc,
    /// A2A 1.0, `HTTP+JSON`.
    Http,
    /// A2A 1.0, `GRPC`.
    Grpc,
    /// A2A 0.3, `JSONRPC`.
    JsonRpcV03,
}

/// A skill of an agent without a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skill {
    /// Its id.
    pub id: String,
    /// Its name; the id if none was given.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Sentences that ask for it.
    pub examples: Vec<String>,
}

/// A further running copy of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its label: the instance's id is `name@label`.
    pub label: String,
    /// Where it is.
    pub at: InstanceAt,
    /// Its share of the work.
    pub weight: u32,
    /// Its own zone.
    pub zone: Option<String>,
}

/// Where a copy of an agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceAt {
    /// It serves its card there.
    CardUrl(String),
    /// It is reached there and speaks as the agent's first copy does.
    Address(String),
}

/// The adapter that reaches an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// A2A over HTTP, in any of its three bindings.
    Http,
}

/// Whose capabilities a card names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capabilities {
    /// All that the gateway can offer for the agent.
    Offer,
    /// What the agent itself says.
    Agent,
}

/// Who sees an agent's skills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Everyone.
    Public,
    /// Those who may read the extended card.
    Extended,
    /// Nobody; it is reached by its name.
    Hidden,
}

/// A rule that routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// CEL; see `docs/reference/rules.md`.
    pub r#match: String,
    /// Who gets what the rule matches; never empty.
    pub to: Vec<RouteTarget>,
}

/// One agent that a route names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTarget {
    /// Its name, or `name@label` for one instance.
    pub agent: String,
    /// Its share.
    pub weight: u32,
}

/// A rule that narrows what callers may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name in refusals and in the record; `policy[n]` if none was given, counted from 0.
    pub name: String,
    /// What happens to a request that it matches.
    pub verdict: Verdict,
    /// CEL; see `docs/reference/rules.md`.
    pub rule: String,
    /// How a person is asked, if it asks one.
    pub asks: Asks,
}

/// How people are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asks {
    /// How much is at stake.
    pub class: Class,
    /// How many have to say yes.
    pub people: u8,
    /// How long they may take.
    pub wait: Duration,
}

/// What happens to a request that a rule of policy matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, even if a `confirm` matches too.
    Allow,
    /// A person must say yes.
    Confirm,
    /// It is refused.
    Deny,
}
