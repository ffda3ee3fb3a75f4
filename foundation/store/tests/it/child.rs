//! A test that needs a second process runs itself again: the copy sees a variable and plays the other part.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FOLDER: &str = "MOONGATE_STORE_TEST_CHILD";

/// The folder to work in, if this process is the copy.
#[allow(clippy::disallowed_methods, reason = "the way from a test to its copy; no configuration")]
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from)?;
    // The harness has begun a line with the test's name; what the copy says begins another.
    println!();
    Some(folder)
}

/// A command that runs only `test`, as the copy, from `program` or from this one.
pub(crate) fn command(program: Option<&Path>, test: &str, folder: &Path) -> Command {
    let mut command = Command::new(program.map_or_else(|| std::env::current_exe().unwrap(), PathBuf::from));
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}
