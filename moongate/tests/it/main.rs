//! The program as its users see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]
#![allow(clippy::disallowed_methods, reason = "tests stand outside the program, with sockets of their own")]

mod approvals;
mod audit;
mod authority;
mod balancing;
mod ca;
mod callbacks;
mod cards_signed;
mod cli;
mod config;
mod console;
mod demo;
mod discovery;
mod durability;
mod explain;
mod hostile;
mod lifecycle;
mod lists;
mod live;
mod mtls;
mod notary;
mod notify;
mod notify_home;
mod notify_push;
mod oauth;
mod outbound;
mod outbound_exchange;
mod people;
mod queue;
mod rates;
mod registry;
mod routing;
mod skills;
mod stage;
mod strangers;
mod subscribers;
mod supply;
mod support;
mod surface;
mod telemetry;
mod tokens;
mod translation;
mod walk;
mod websocket;
mod witness;
