//! nginx as the measure: a plain reverse proxy with keep-alive on both sides and nothing else to do.
//!
//! Its defaults would close a connection every 1,000 requests; here it may keep them, as Moongate does. It has a folder
//! of its own and no daemon, and is stopped by its process id, so that an nginx of the system is never touched.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::plain;
use crate::fault::Fault;
use crate::process::Process;

/// How long nginx may take to begin.
const READY: Duration = Duration::from_secs(10);

/// A running nginx.
pub(crate) struct Nginx {
    /// The master process.
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

/// What `nginx -v` says.
pub(crate) fn version(binary: &Path) -> Result<String, Fault> {
    let output = Command::new(binary).arg("-v").output().map_err(|error| {
        Fault::new("nginx-missing", format!("{} cannot be started: {error}", binary.display()))
            .hint("`apt-get install nginx` (its service is not needed), or say --nginx PATH or --without-nginx")
    })?;
    let text = String::from_utf8_lossy(&output.stderr);
    Ok(text.trim().trim_start_matches("nginx version: ").to_owned())
}

impl Nginx {
    /// Starts `binary` in `folder` before the agent; it serves `card` as a file.
    pub(crate) fn start(
        binary: &Path,
        folder: &Path,
        agent: SocketAddr,
        workers: &str,
        card: &[u8],
    ) -> Result<Self, Fault> {
        let failed = |error| Fault::new("nginx", format!("{}: {error}", folder.display()));
        let cards = folder.join("html/.well-known");
        std::fs::create_dir_all(&cards).map_err(failed)?;
        std::fs::create_dir_all(folder.join("temp")).map_err(failed)?;
        std::fs::write(cards.join("agent-card.json"), card).map_err(failed)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, plain::free_port().map_err(failed)?));
        let text = configuration(address, agent, workers);
        let process = launch(binary, folder, &text, || plain::is_ok(address, "/.well-known/agent-card.json"))?;
        Ok(Self { process, address })
    }
}

/// Starts `binary` with this configuration in `folder`, where its folders stand, and waits until it is `ready`.
pub(crate) fn launch(
    binary: &Path,
    folder: &Path,
    configuration: &str,
    ready: impl Fn() -> bool,
) -> Result<Process, Fault> {
    let failed = |error| Fault::new("nginx", format!("{}: {error}", folder.display()));
    let file = folder.join("nginx.conf");
    // As root its workers would become a user who may not read this folder.
    let is_root = std::fs::metadata("/proc/self").map_err(failed)?.uid() == 0;
    let user = if is_root { "user root;\n" } else { "" };
    std::fs::write(&file, format!("{user}{configuration}")).map_err(failed)?;
    let log = folder.join("error.log");
    let mut process = Process::start(
        "nginx",
        Command::new(binary)
            .arg("-p")
            .arg(folder)
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    )?;
    process.wait_for(READY, ready).map_err(|fault| fault.hint(format!("see {}", log.display())))?;
    Ok(process)
}

fn configuration(address: SocketAddr, agent: SocketAddr, workers: &str) -> String {
    let proxied: String = [
        ("/agents/fixture", "/message", "on"),
        ("/agents/fixture-task", "/task", "on"),
        ("/streams/fixture", "/message", "off"),
        ("/streams/fixture-paced", "/paced", "off"),
    ]
    .into_iter()
    .map(|(path, base, buffering)| {
        format!("        location = {path} {{ proxy_pass http://agent{base}; proxy_buffering {buffering}; }}\n")
    })
    .collect();
    format!(
        r#"daemon off;
worker_processes {workers};
pid nginx.pid;
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    upstream agent {{
        server {agent};
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}
    server {{
        listen {address};
        root html;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
{proxied}    }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_not_buffered_and_the_rest_is() {
        let (address, agent) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let text = configuration(address, agent, "2");
        assert!(text.starts_with("daemon off;\nworker_processes 2;\n"));
        assert!(text.contains("listen 127.0.0.1:1;") && text.contains("server 127.0.0.1:2;"));
        assert!(text.contains("location = /agents/fixture { proxy_pass http://agent/message; proxy_buffering on; }"));
        assert!(text.contains("location = /streams/fixture { proxy_pass http://agent/message; proxy_buffering off; }"));
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
