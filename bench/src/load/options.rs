//! `moongate-bench load`: one load by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::call::{Call, Send};
use super::{Length, Load, Spec};
use crate::fault::Fault;
use crate::{Ending, runtime};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// JSON-RPC 1.0 SendMessage.
    Send,
    /// JSON-RPC 1.0 SendStreamingMessage.
    Stream,
    /// JSON-RPC 0.3 message/send.
    Send03,
    /// gRPC 1.0 SendMessage over HTTP/2 in clear text.
    Grpc,
    /// GET of a card.
    Card,
}

/// `moongate-bench load`
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The server.
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: SocketAddr,
    /// What is sent.
    #[arg(long, value_enum, default_value_t = Kind::Send)]
    kind: Kind,
    /// Where to; gRPC has a path of its own.
    #[arg(long, default_value = "/agents/fixture")]
    path: String,
    /// gRPC: the agent.
    #[arg(long, default_value = "fixture")]
    tenant: String,
    /// Ask for this skill.
    #[arg(long)]
    skill: Option<String>,
    /// Streams: how many artifactUpdates the agent sends.
    #[arg(long, default_value_t = 20)]
    artifacts: u32,
    /// Connections, one request at a time on each.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// How long.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// So many requests instead of a time.
    #[arg(long)]
    requests: Option<u64>,
    /// Seconds before counting begins.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Threads that send.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// Loads and prints the outcome; ends with no if there were errors.
pub(crate) fn main(options: &Options) -> Result<Ending, Fault> {
    let seconds = |value: f64| {
        Duration::try_from_secs_f64(value).map_err(|error| Fault::new("usage", format!("{value} seconds: {error}")))
    };
    let skill = options.skill.as_deref();
    let call = match options.kind {
        Kind::Send => Call::json_rpc(&options.path, Send::V1, "load", skill),
        Kind::Stream => Call::json_rpc(&options.path, Send::V1Stream(options.artifacts), "load", skill),
        Kind::Send03 => Call::json_rpc(&options.path, Send::V03, "load", skill),
        Kind::Grpc => Call::grpc(&options.tenant, "load"),
        Kind::Card => Call::card(&options.path),
    };
    let spec = Spec {
        address: options.address,
        call: Arc::new(call),
        connections: options.connections,
        spread: Duration::ZERO,
        warm_up: Length::Time(seconds(options.warm_up)?),
        length: match options.requests {
            Some(count) => Length::Requests(count),
            None => Length::Time(seconds(options.seconds)?),
        },
    };
    let outcome = runtime(options.threads)?.block_on(async { Load::prepare(spec).await?.measure().await })?;
    let text = serde_json::to_string_pretty(&outcome).map_err(|error| Fault::new("output", error))?;
    println!("{text}");
    Ok(if outcome.errors == 0 { Ending::Yes } else { Ending::No })
}
