//! The transport over real sockets on the loopback interface.
#![allow(clippy::disallowed_methods, reason = "the tests play the foreign side of each connection")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod cores;
mod dialer;
mod listen;
mod name_server;
mod pool;
mod support;
mod tls;
