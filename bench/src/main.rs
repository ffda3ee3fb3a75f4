//! Measures Moongate against nginx and against nothing at all.
//!
//! - [`agent`]: an agent that answers at once, so that it is not what is measured.
//! - [`load`]: a closed-loop load generator that checks every answer.
//! - [`run`]: the comparison: starts everything, takes turns, writes `bench/results`.
//! - [`approvals`]: how long after a person's yes a request goes out.
//! - [`audit`]: how many lines of the audit log are durable in a second, and what it costs.
//! - [`tasks`]: how fast durable tasks are accepted, against the disk, and what a store full of them costs.
//! - [`handshakes`]: full handshakes with client certificates a second, in turn with nginx.
//! - [`abuse`]: what a caller feels while somebody attacks, against an equally heavy, harmless load.
//! - [`instructions`]: instructions a request under callgrind, with one agent and with a thousand.
//!
//! This crate shares no code with the gateway: a mistake there must not hide itself here. Exit 0 is yes, 1 is a gate
//! that was missed, 2 is an error.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool that measures opens its own sockets, reads the clocks and prints"
)]

mod abuse;
mod agent;
mod approvals;
mod audit;
mod fault;
mod handshakes;
mod histogram;
mod instructions;
mod load;
mod machine;
mod process;
mod run;
mod tasks;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use fault::Fault;

/// Measures Moongate against nginx and against nothing at all.
#[derive(Parser)]
#[command(name = "moongate-bench", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the fixture agent; prints `READY port` once it listens.
    Agent(agent::Options),
    /// Load one address and print what came of it as JSON.
    Load(load::options::Options),
    /// Compare direct, nginx and Moongate, in turns, and write the results.
    Run(run::Options),
    /// Durable tasks: how fast they are accepted, and what many of them cost.
    Tasks(tasks::Options),
    /// From a person's yes to the agent, as a distribution.
    Approvals(approvals::Options),
    /// The audit log: durable lines a second, and what it costs.
    Audit(audit::Options),
    /// Full TLS handshakes with client certificates, in turn with nginx.
    Handshakes(handshakes::Options),
    /// A caller's waits beside attacks, and beside harmless loads as heavy.
    Abuse(abuse::Options),
    /// Count the gateway's instructions a request, with one agent and with many.
    Instructions(instructions::Options),
}

/// What a command ends with.
enum Ending {
    /// It worked.
    Yes,
    /// It worked, and a gate was missed.
    No,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Agent(options) => agent::main(&options),
        Command::Load(options) => load::options::main(&options),
        Command::Abuse(options) => abuse::main(options),
        Command::Run(options) => run::main(options),
        Command::Instructions(options) => instructions::main(options),
        Command::Handshakes(options) => handshakes::main(options),
        Command::Tasks(options) => tasks::main(options),
        Command::Approvals(options) => approvals::main(options),
        Command::Audit(options) => audit::main(options),
    };
    match result {
        Ok(Ending::Yes) => ExitCode::SUCCESS,
        Ok(Ending::No) => ExitCode::from(1),
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::from(2)
        }
    }
}

/// A runtime of so many threads; one thread is a runtime without hand-over between threads.
fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Fault> {
    let mut builder = match threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(threads.max(1)).enable_all().build().map_err(|error| Fault::new("runtime", error))
}
