//! The seams: traits by which rooms that must not know each other are joined in `moongate/src/wire_up.rs`.
//!
//! Slow seams box their futures by hand ([`Later`]); hot ones are synchronous.

pub mod credential;
pub mod notary;
pub mod notifier;
pub mod records;
pub mod tasks;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use crate::entry::{Deed, Entry, Intent, Line};
use crate::envelope::Arrival;
use crate::principal::Principal;
use crate::problem::Problem;
use crate::time::{Mono, Time};

/// A boxed future, for seams that are not on the hot path.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The only source of time.
pub trait Clock: Send + Sync {
    /// Wall time.
    fn now(&self) -> Time;
    /// Monotonic time.
    fn mono(&self) -> Mono;
}

/// Takes one entry for each request that ended, and one for each deed that was none. Must not block.
///
/// Who keeps a record that counts says so by the last two; numbers and logs need neither.
pub trait Recorder: Send + Sync {
    /// Writes it down. Whoever calls it has waited for [`Recorder::room`] before.
    fn record(&self, entry: Entry, trace: Option<&TraceContext>);

    /// Writes down what was no request.
    fn note(&self, deed: Deed) {
        let _ = deed;
    }

    /// Writes down what was no request; durable when the future is ready. `None` where no such record is kept.
    fn keep(&self, deed: Deed) -> Option<Later<'_, Result<(), Problem>>> {
        let _ = deed;
        None
    }

    /// Ready once there is room for one more entry; `None` if there is.
    fn room(&self) -> Option<Later<'_, Result<(), Problem>>> {
        None
    }

    /// Writes down what is about to happen; durable when the future is ready. `None` where no such record is kept.
    fn intend(&self, line: Line) -> Option<Later<'_, Result<Intent, Problem>>> {
        let _ = line;
        None
    }
}

/// Says who stands behind a connection and its credential.
pub trait Verifier: Send + Sync {
    /// Judges the arrival and the value of its `Authorization` header, if it has one.
    ///
    /// # Errors
    /// `Unauthenticated` when the credential is missing where one is needed, or does not hold.
    fn verify<'a>(
        &'a self,
        arrival: &'a Arrival,
        credential: Option<&'a str>,
    ) -> Later<'a, Result<Arc<Principal>, Problem>>;

    /// The same at once, where nobody has to be asked; `None` where [`Verifier::verify`] has to be waited for.
    fn known(&self, arrival: &Arrival, credential: Option<&str>) -> Option<Result<Arc<Principal>, Problem>>;

    /// Whether whoever owns a task would still be let in: the caller of this id is known to somebody here.
    ///
    /// # Errors
    /// The store cannot be read.
    fn stands<'a>(&'a self, owner: &'a str) -> Later<'a, Result<bool, Problem>>;

    /// Ready once credentials may be worth something else than at the moment of this call.
    fn changes(&self) -> Later<'static, ()>;
}

/// Says who stands behind an arrival, without waiting where that is possible.
///
/// # Errors
/// As [`Verifier::verify`].
pub async fn identify(
    verifier: &dyn Verifier,
    arrival: &Arrival,
    credential: Option<&str>,
) -> Result<Arc<Principal>, Problem> {
    match verifier.known(arrival, credential) {
        Some(judged) => judged,
        None => verifier.verify(arrival, credential).await,
    }
}

/// W3C trace context of one request: where it came from and the span that stands for our part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The caller's span, if the request named one.
    pub parent: Option<[u8; 8]>,
    /// Our span; its id travels on to the agent.
    pub span: [u8; 8],
    /// Whether the trace is recorded.
    pub sampled: bool,
}

/// One row of the agent registry as it is stored: an entry that came over the API. Configured entries are not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryRow {
    /// `name`, or `name@label`.
    pub id: String,
    /// The principal that made it.
    pub owner: String,
    /// The entry itself, as the gateway that owns it wrote it (JSON).
    pub document: Vec<u8>,
    /// When it last beat; `None` if it never did.
    pub beat_at: Option<Time>,
    /// When it was made or last replaced.
    pub updated_at: Time,
}

/// The facet of the store that keeps registered agents.
pub trait Registry: Send + Sync {
    /// Makes or replaces a row; durable when the future is ready.
    fn upsert(&self, row: RegistryRow) -> Later<'_, Result<(), Problem>>;
    /// Removes a row; whether there was one.
    fn remove(&self, id: String) -> Later<'_, Result<bool, Problem>>;
    /// Notes heartbeats, a batch at a time.
    fn beat(&self, beats: Vec<(String, Time)>) -> Later<'_, Result<(), Problem>>;
    /// All rows, by id.
    fn rows(&self) -> Later<'_, Result<Vec<RegistryRow>, Problem>>;
}

/// What keeps state across restarts, in facets.
pub trait Store: Send + Sync {
    /// Registered agents.
    fn registry(&self) -> &dyn Registry;
    /// Tasks.
    fn tasks(&self) -> &dyn tasks::Tasks;
    /// Small rows: users, clients, grants, keys, revocation lists.
    fn records(&self) -> &dyn records::Records;
    /// Looks the whole store over, and says what it found, a line each; an empty list is a clean bill.
    fn inspect(&self) -> Later<'_, Result<Vec<String>, Problem>>;
    /// Writes a consistent copy of the whole store to a new file while it goes on working.
    fn backup(&self, to: std::path::PathBuf) -> Later<'_, Result<(), Problem>>;
    /// Whether writes succeed at present; the reason if not.
    fn health(&self) -> Result<(), Problem>;
}

/// Keeps secrets from whoever reads the store's files, and signs in the gateway's name. Its key never leaves it.
pub trait Vault: Send + Sync {
    /// Encrypts; the same text never looks the same twice.
    fn seal(&self, plain: &[u8]) -> Vec<u8>;
    /// Decrypts what [`Vault::seal`] made with the same key; `None` for anything else.
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>>;
    /// A secret for one purpose, the same at each call.
    fn derive(&self, purpose: &str) -> [u8; 32];
    /// HMAC-SHA256 under the secret of that purpose.
    fn mac(&self, purpose: &str, message: &[u8]) -> [u8; 32];
}

/// Judges addresses that strangers chose, before anything connects to them.
pub trait Egress: Send + Sync {
    /// Judges the URL's literal parts: scheme, port and, if the host is an address, the address.
    ///
    /// # Errors
    /// A problem with the code `EgressRefused` that says which rule refuses it.
    fn judge_url(&self, url: &str) -> Result<(), Problem>;
    /// Whether one resolved address may be connected to.
    fn allows(&self, address: SocketAddr, secure: bool) -> bool;
}

/// Resolves and connects; implemented by `transport`, used by rooms that must not open sockets themselves.
pub trait Dialer: Send + Sync {
    /// Sends one whole HTTP request and reads the whole answer, at most `limit` bytes of it.
    fn fetch(&self, request: Fetch) -> Later<'_, Result<Fetched, Problem>>;
}

/// A small, whole HTTP request that is not on the hot path (cards, callbacks, telemetry).
#[derive(Clone, Debug)]
pub struct Fetch {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// Absolute `http` or `https` URL.
    pub url: String,
    /// Headers, lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: bytes::Bytes,
    /// How long it may take altogether, in milliseconds.
    pub timeout_ms: u64,
    /// The most bytes of answer to read.
    pub limit: usize,
    /// Whether the answer's body matters. If not, one that is too large is cut off and no error.
    pub body_wanted: bool,
    /// The guard that judges the URL and every resolved address; `None` for addresses that the operator chose.
    pub egress: Option<Arc<dyn Egress>>,
}

impl std::fmt::Debug for dyn Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Egress")
    }
}

/// The answer to a [`Fetch`].
#[derive(Clone, Debug)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// Headers, lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: bytes::Bytes,
}

impl Fetched {
    /// The first value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
