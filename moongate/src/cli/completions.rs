//! `moongate completions`: scripts for shells.

use clap::Args;
use clap_complete::Shell;

use super::{Ending, Failure};

/// Arguments.
#[derive(Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub(crate) fn completions(arguments: &Completions, mut command: clap::Command) -> Result<Ending, Failure> {
    clap_complete::generate(arguments.shell, &mut command, "moongate", &mut std::io::stdout());
    Ok(Ending::Yes)
}
