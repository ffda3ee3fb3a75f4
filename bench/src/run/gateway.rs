//! The gateway under measurement, with a configuration that says no more than it must.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::plain;
use crate::fault::Fault;
use crate::process::Process;

/// An agent in the configuration.
pub(crate) struct Entry {
    name: String,
    card_url: String,
}

impl Entry {
    /// The fixture agent's `base` under a name of its own.
    pub(crate) fn new(name: &str, agent: SocketAddr, base: &str) -> Self {
        Self { name: name.to_owned(), card_url: format!("http://{agent}/{base}/.well-known/agent-card.json") }
    }
}

/// A running gateway.
pub(crate) struct Gateway {
    /// The process.
    pub(crate) process: Process,
    /// The listener in clear text.
    pub(crate) plain: SocketAddr,
}

impl Gateway {
    /// Starts `binary` in `folder` and waits until it is ready. `more` is put into the configuration as it is.
    pub(crate) fn start(binary: &Path, folder: &Path, agents: &[Entry], more: &str) -> Result<Self, Fault> {
        Self::start_with_store(binary, folder, agents, more, "memory:")
    }

    /// The same with a store of this URL.
    pub(crate) fn start_with_store(
        binary: &Path,
        folder: &Path,
        agents: &[Entry],
        more: &str,
        store: &str,
    ) -> Result<Self, Fault> {
        if !binary.is_file() {
            return Err(Fault::new("moongate-missing", format!("there is no {}", binary.display()))
                .hint("build it with `cargo build --release -p moongate`, or say --without-moongate"));
        }
        let mut command = Command::new(binary);
        Self::start_as(&mut command, folder, agents, more, (store, Duration::from_secs(60)))
    }

    /// The same with a command that the gateway's arguments are added to, a store, and `limit` until it must be ready.
    pub(crate) fn start_as(
        command: &mut Command,
        folder: &Path,
        agents: &[Entry],
        more: &str,
        (store, limit): (&str, Duration),
    ) -> Result<Self, Fault> {
        let failed = |error| Fault::new("gateway", format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let plain = SocketAddr::from((Ipv4Addr::LOCALHOST, plain::free_port().map_err(failed)?));
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, plain::free_port().map_err(failed)?));
        let file = folder.join("moongate.toml");
        std::fs::write(&file, configuration(plain, admin, agents, more, store)).map_err(failed)?;
        let log = std::fs::File::create(folder.join("moongate.log")).map_err(failed)?;
        command.arg("--config").arg(&file).arg("run").stdin(Stdio::null());
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        let mut process = Process::start("moongate", command)?;
        process
            .wait_for(limit, || plain::is_ok(admin, "/readyz"))
            .map_err(|fault| fault.hint(format!("see {}", folder.join("moongate.log").display())))?;
        Ok(Self { process, plain })
    }
}

fn configuration(plain: SocketAddr, admin: SocketAddr, agents: &[Entry], more: &str, store: &str) -> String {
    let mut text = format!(
        "[listen]\nmain = \"off\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n\n[store]\nurl = \"{store}\"\n\n[log]\nlevel = \"error\"\n\n{more}"
    );
    for Entry { name, card_url } in agents {
        let _ = write!(text, "\n[[agents]]\nname = \"{name}\"\ncard_url = \"{card_url}\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_listeners_and_agents() {
        let agent = "127.0.0.1:3".parse().unwrap();
        let text = configuration(
            "127.0.0.1:1".parse().unwrap(),
            "127.0.0.1:2".parse().unwrap(),
            &[Entry::new("fixture", agent, "message")],
            "[routing]\nprobe_seconds = 3600\n",
            "memory:",
        );
        assert_eq!(
            text,
            "[listen]\nmain = \"off\"\nplain = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\n\n[store]\nurl = \"memory:\"\n\n\
             [log]\nlevel = \"error\"\n\n[routing]\nprobe_seconds = 3600\n\n[[agents]]\nname = \"fixture\"\n\
             card_url = \"http://127.0.0.1:3/message/.well-known/agent-card.json\"\n"
        );
    }
}
