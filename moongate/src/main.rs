//! Moongate: one binary that is the trust boundary between agents.
//!
//! This crate contains the command line ([`cli`]), the demonstration ([`demo`]) and the place where all rooms are joined
//! ([`wire_up`]); what the gateway does is in the other crates.

mod cli;
mod demo;
mod surface;
mod wire_up;

/// Agents' traffic is many small allocations. Without transparent huge pages, which would cost a hub some ten megabytes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
