//! The gateway under measurement, with a configuration that says no more than it must.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::plain;
use crate::fault::Fault;
use crate::process::Process;

/// How long a gateway may take to be ready.
const READY: Duration = Duration::from_secs(60);

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
    /// The operators' listener.
    pub(crate) admin: SocketAddr,
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
        there_is(binary)?;
        let mut command = Command::new(binary);
        Self::start_as(&mut command, folder, agents, more, (store, READY))
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
        let text = configuration("off", &plain.to_string(), admin, more, store) + &listed(agents);
        Ok(Self { process: launch(command, folder, &text, admin, limit)?, plain, admin })
    }

    /// Starts `binary` in `folder` with nothing but the listener for TLS at `main`, and the operators' own.
    pub(crate) fn start_main(binary: &Path, folder: &Path, main: SocketAddr, more: &str) -> Result<Process, Fault> {
        there_is(binary)?;
        let failed = |error| Fault::new("gateway", format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, plain::free_port().map_err(failed)?));
        let text = configuration(&main.to_string(), "off", admin, more, "memory:");
        launch(&mut Command::new(binary), folder, &text, admin, READY)
    }
}

fn there_is(binary: &Path) -> Result<(), Fault> {
    match binary.is_file() {
        true => Ok(()),
        false => Err(Fault::new("moongate-missing", format!("there is no {}", binary.display()))
            .hint("build it with `cargo build --release -p moongate`, or say --without-moongate")),
    }
}

/// Starts a gateway with this configuration and waits until it says at `admin` that it is ready.
fn launch(
    command: &mut Command,
    folder: &Path,
    configuration: &str,
    admin: SocketAddr,
    limit: Duration,
) -> Result<Process, Fault> {
    let failed = |error| Fault::new("gateway", format!("{}: {error}", folder.display()));
    let file = folder.join("moongate.toml");
    std::fs::write(&file, configuration).map_err(failed)?;
    let log = std::fs::File::create(folder.join("moongate.log")).map_err(failed)?;
    command.arg("--config").arg(&file).arg("run").stdin(Stdio::null());
    command.stdout(log.try_clone().map_err(failed)?).stderr(log);
    let mut process = Process::start("moongate", command)?;
    process
        .wait_for(limit, || plain::is_ok(admin, "/readyz"))
        .map_err(|fault| fault.hint(format!("see {}", folder.join("moongate.log").display())))?;
    Ok(process)
}

fn configuration(main: &str, plain: &str, admin: SocketAddr, more: &str, store: &str) -> String {
    format!(
        "[listen]\nmain = \"{main}\"\nplain = \"{plain}\"\nadmin = \"{admin}\"\n\n[store]\nurl = \"{store}\"\n\n[log]\nlevel = \"error\"\n\n{more}"
    )
}

fn listed(agents: &[Entry]) -> String {
    let mut text = String::new();
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
        let admin = "127.0.0.1:2".parse().unwrap();
        let text = configuration("off", "127.0.0.1:1", admin, "[routing]\nprobe_seconds = 3600\n", "memory:")
            + &listed(&[Entry::new("fixture", agent, "message")]);
        assert_eq!(
            text,
            "[listen]\nmain = \"off\"\nplain = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\n\n[store]\nurl = \"memory:\"\n\n\
             [log]\nlevel = \"error\"\n\n[routing]\nprobe_seconds = 3600\n\n[[agents]]\nname = \"fixture\"\n\
             card_url = \"http://127.0.0.1:3/message/.well-known/agent-card.json\"\n"
        );
    }
}
