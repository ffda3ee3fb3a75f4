//! `moongate demo`: a home on this machine.

use clap::Args;

use crate::cli::{Context, Ending, Failure};

/// Arguments.
#[derive(Args)]
pub(crate) struct Demo {
    /// End after the scene instead of waiting for Ctrl-C.
    #[arg(long)]
    pub(crate) once: bool,
}

/// Arguments of one agent of the demonstration.
#[derive(Args)]
pub(crate) struct DemoAgent {
    /// Which agent.
    pub(crate) role: String,
}

/// Plays the scene.
pub(crate) fn demo(_context: &Context, _arguments: &Demo) -> Result<Ending, Failure> {
    Ok(Ending::No)
}

/// Runs one agent.
pub(crate) fn agent(_arguments: &DemoAgent) -> Result<Ending, Failure> {
    Ok(Ending::No)
}
