//! Everything that touches a socket: listeners, draining, the pool of connections to agents and the one dialer.
//!
//! It decides how bytes travel (HTTP/1.1 and HTTP/2, TLS 1.3 or loopback plaintext), how long a peer may dawdle and how
//! many may come. It does not decide who is trusted: TLS configurations and egress rules come in from outside
//! (`moongate-identity`), and it never reads a body.
//!
//! - [`listen`]: [`bind`] and [`serve`] run a [`Handler`] on one port for h1, h2 and h2c.
//! - [`certified`]: connections whose other side has shown a certificate, and their end when it holds no more.
//! - [`cores`]: a runtime for each core; a connection stays on the one that it was given.
//! - [`drain`]: one [`Drain`] for all listeners ends them without breaking what is in flight.
//! - [`pool`]: the hot path out. An HTTP/1.1 exchange is driven by the task that waits for it, so no request crosses
//!   tasks.
//! - [`NameServer`]: names to addresses by a DNS server that the operator chose.
//! - [`stream`]: a connection for a protocol that is not HTTP, such as that of mail.
//! - [`websocket`]: messages in both directions on a connection that a listener let in.
//! - [`dialer`]: small whole requests for rooms that must not open sockets, with the egress guard applied.

pub mod certified;
mod connect;
pub mod cores;
pub mod dialer;
pub mod drain;
pub mod listen;
mod name_server;
mod origin;
pub mod pool;
mod socket;
pub mod stream;
pub mod websocket;

pub use certified::{Certified, Naming};
pub use connect::{Resolve, SystemResolver};
pub use cores::Cores;
pub use dialer::HttpDialer;
pub use drain::{Drain, Ticket};
pub use listen::{Bound, Handler, Listen, ListenLimits, Peer, TlsSlot, bind, serve};
pub use name_server::NameServer;
pub use origin::{InvalidOrigin, Origin};
pub use pool::{OriginPool, Pool, PoolBody, PoolConfig, SendError, Stage};
pub use stream::Stream;

/// Any error, as bodies may fail in any way.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
