//! What is started: nginx with two servers, and two gateways; one of each looks into a revocation list.
//!
//! Both show the same server certificate and trust the same authority of clients. nginx keeps and issues no sessions, as
//! Moongate does where certificates may come.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moongate_testkit::pki::{Authority, Caller, Group};

use super::Options;
use super::summary::Target;
use crate::fault::Fault;
use crate::process::Process;
use crate::run::gateway::Gateway;
use crate::run::{folder, nginx, plain};

/// What is asked for at either.
pub(super) const PATH: &str = "/healthz";
/// The callers' domain.
const DOMAIN: &str = "callers.example";
/// Callers that come in turn: more than the gateway remembers, so that it has to look at each chain whenever it comes.
const CALLERS: usize = 5000;
/// How many certificates the list revokes; none of them is a caller's.
const REVOKED: u64 = 100;
const DAY: i64 = 24 * 3600;

/// The servers, and who calls them.
pub(super) struct Places {
    nginx: Process,
    gateway: Process,
    gateway_with_list: Process,
    /// nginx, nginx with a list, Moongate, Moongate with a list.
    addresses: [SocketAddr; 4],
    callers: Callers,
}

impl Places {
    /// Makes certificates in `work` and starts everything.
    pub(super) fn start(options: &Options, work: &Path) -> Result<Self, Fault> {
        let authority = Authority::root("Callers");
        let files = Files::write(work, &authority)?;
        let free = || plain::free_port().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let free = || free().map_err(|error| Fault::new("handshakes", error));
        let addresses = [free()?, free()?, free()?, free()?];
        let [open, listed, main, main_listed] = addresses;
        let nginx_folder = folder(&work.join("nginx"))?;
        folder(&nginx_folder.join("temp"))?;
        let text = nginx_configuration(&files, open, listed, &options.nginx_workers);
        let nginx = nginx::launch(&options.nginx, &nginx_folder, &text, || std::net::TcpStream::connect(open).is_ok())?;
        let start = |name: &str, main, revocation: &str| {
            let more = gateway_configuration(&files, revocation);
            Gateway::start_main(&options.moongate, &work.join(name), main, &more)
        };
        let gateway = start("moongate", main, "revocation = \"off\"")?;
        let list = format!("revocation = \"hard\"\ncrl = [{:?}]", files.list.display().to_string());
        let gateway_with_list = start("moongate-list", main_listed, &list)?;
        Ok(Self { nginx, gateway, gateway_with_list, addresses, callers: Callers::of(&authority) })
    }

    /// Where a target listens.
    pub(super) fn address(&self, target: Target) -> SocketAddr {
        let [open, listed, main, main_listed] = self.addresses;
        match target {
            Target::Nginx => open,
            Target::NginxList => listed,
            Target::Moongate | Target::MoongateKnown | Target::MoongateHybrid => main,
            Target::MoongateList => main_listed,
        }
    }

    /// Who calls it.
    pub(super) fn caller(&self, target: Target) -> Arc<Caller> {
        match target {
            Target::MoongateKnown => self.callers.known.clone(),
            Target::MoongateHybrid => self.callers.hybrid.clone(),
            _ => self.callers.curve.clone(),
        }
    }

    /// Processor time that a target has used.
    pub(super) fn cpu_us(&self, target: Target) -> f64 {
        let process = match target {
            Target::Nginx | Target::NginxList => &self.nginx,
            Target::Moongate | Target::MoongateKnown | Target::MoongateHybrid => &self.gateway,
            Target::MoongateList => &self.gateway_with_list,
        };
        process.usage().cpu_us
    }

    /// Fails if one of them has ended.
    pub(super) fn check(&mut self) -> Result<(), Fault> {
        self.nginx.check()?;
        self.gateway.check()?;
        self.gateway_with_list.check()
    }
}

/// Who calls.
struct Callers {
    /// Another one each time, by X25519.
    curve: Arc<Caller>,
    /// One and the same, by X25519.
    known: Arc<Caller>,
    /// Another one each time, none of the others, by X25519MLKEM768.
    hybrid: Arc<Caller>,
}

impl Callers {
    fn of(authority: &Authority) -> Self {
        let named = |name: &str, count: usize| -> Vec<_> {
            (0..count).map(|index| authority.client(&format!("spiffe://{DOMAIN}/{name}/{index}"))).collect()
        };
        let caller = |name, count, group| Arc::new(Caller::new(authority.der(), &named(name, count), group));
        Self {
            curve: caller("curve", CALLERS, Group::X25519),
            known: caller("known", 1, Group::X25519),
            hybrid: caller("hybrid", CALLERS, Group::X25519MlKem768),
        }
    }
}

/// What both servers read.
struct Files {
    root: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    list: PathBuf,
}

impl Files {
    fn write(work: &Path, authority: &Authority) -> Result<Self, Fault> {
        let [certificate, key] = authority.host("localhost").pem();
        let list = authority.crl(1, &(1..=REVOKED).collect::<Vec<_>>(), DAY);
        let put = |name: &str, text: String| {
            use std::os::unix::fs::PermissionsExt;
            let path = work.join(name);
            // The gateway takes no key that others may read.
            std::fs::write(&path, text)
                .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)))
                .map_err(|error| Fault::new("handshakes", format!("{}: {error}", path.display())))?;
            Ok::<_, Fault>(path)
        };
        Ok(Self {
            root: put("root.pem", authority.pem())?,
            certificate: put("server.pem", certificate)?,
            key: put("server.key", key)?,
            list: put("list.pem", list)?,
        })
    }
}

fn gateway_configuration(files: &Files, revocation: &str) -> String {
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    format!(
        "[tls]\ncert = {}\nkey = {}\n\n[[peers]]\ndomain = \"{DOMAIN}\"\nbundle = {}\nscopes = [\"a2a:*:*\"]\n{revocation}\n",
        quoted(&files.certificate),
        quoted(&files.key),
        quoted(&files.root),
    )
}

fn nginx_configuration(files: &Files, open: SocketAddr, listed: SocketAddr, workers: &str) -> String {
    let server = |address: SocketAddr, more: &str| {
        format!(
            "    server {{\n        listen {address} ssl;\n{more}        location = {PATH} {{ return 200 \"ok\\n\"; }}\n    }}\n"
        )
    };
    let list = format!("        ssl_crl {};\n", files.list.display());
    format!(
        r#"daemon off;
worker_processes {workers};
pid nginx.pid;
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    tcp_nodelay on;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    ssl_certificate {};
    ssl_certificate_key {};
    ssl_client_certificate {};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_ecdh_curve X25519;
    ssl_session_cache off;
    ssl_session_tickets off;
{}{}}}
"#,
        files.certificate.display(),
        files.key.display(),
        files.root.display(),
        server(open, ""),
        server(listed, &list),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ask_for_certificates_of_the_same_authority_and_one_of_each_looks_into_the_list() {
        let work = std::env::temp_dir().join(format!("moongate-bench-handshakes-{}", std::process::id()));
        std::fs::create_dir_all(&work).unwrap();
        let files = Files::write(&work, &Authority::root("Callers")).unwrap();
        let root = files.root.display().to_string();
        let (open, listed) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let text = nginx_configuration(&files, open, listed, "2");
        assert!(text.contains(&format!("ssl_client_certificate {root};\n    ssl_verify_client on;")), "{text}");
        assert!(text.contains("listen 127.0.0.1:1 ssl;\n        location"), "{text}");
        assert!(text.contains("listen 127.0.0.1:2 ssl;\n        ssl_crl "), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
        let text = gateway_configuration(&files, "revocation = \"off\"");
        assert!(text.contains(&format!("bundle = {root:?}\n")) && text.ends_with("revocation = \"off\"\n"), "{text}");
        std::fs::remove_dir_all(&work).unwrap();
    }
}
