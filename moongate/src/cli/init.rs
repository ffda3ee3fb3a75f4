//! `moongate init`: a configuration file that is its own manual.

use std::io::Write;

use clap::Args;
use moongate_core::{Code, Problem};
use serde_json::json;

use super::output::{data, talk};
use super::{Context, Ending, Failure};

/// Arguments.
#[derive(Args)]
pub(crate) struct Init {
    /// Overwrite a file that is there.
    #[arg(long)]
    force: bool,
}

/// Writes the file.
pub(crate) fn init(context: &Context, arguments: &Init) -> Result<Ending, Failure> {
    let path = &context.config;
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if arguments.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(path).and_then(|mut file| file.write_all(moongate_config::SAMPLE.as_bytes()));
    if let Err(error) = written {
        let code =
            if error.kind() == std::io::ErrorKind::AlreadyExists { Code::FileExists } else { Code::ConfigUnreadable };
        return Err(Problem::new(code, format!("{} cannot be written: {error}", path.display())).into());
    }
    if context.json {
        data(&json!({"written": path}).to_string());
    } else {
        data(&format!("{}", path.display()));
        talk("Next: `moongate run`, and in another terminal `moongate agents add http://127.0.0.1:9001`.");
    }
    Ok(Ending::Yes)
}
