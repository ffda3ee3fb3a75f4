//! Handshakes in memory, at a moment of the test's choice, with the configurations that the gateway uses in both directions.

use std::sync::Arc;

use moongate_core::seam::Clock;
use moongate_core::{Mono, Time};
use moongate_identity::mtls::{self, Snapshot, Standing, Trust};
use moongate_identity::revocation::{Event, Hook, Lists};
use moongate_identity::{ServerIdentity, server_config};
use parking_lot::Mutex;
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use super::zoo::Zoo;

/// A clock that stands.
struct At(Time);

impl Clock for At {
    fn now(&self) -> Time {
        self.0
    }

    fn mono(&self) -> Mono {
        Mono(0)
    }
}

/// Who was judged, what the judge said, and the alert that the other side got.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: rustls::Error,
    pub(crate) alert: AlertDescription,
}

impl Refusal {
    pub(crate) fn certificate(&self) -> &CertificateError {
        let rustls::Error::InvalidCertificate(error) = &self.error else { panic!("{:?}", self.error) };
        error
    }
}

/// Events that happened.
pub(crate) type Heard = Arc<Mutex<Vec<Event>>>;

/// A hook that keeps what it hears.
pub(crate) fn listener() -> (Heard, moongate_identity::revocation::Hook) {
    let heard = Heard::default();
    let kept = heard.clone();
    (heard, Arc::new(move |event| kept.lock().push(event.clone())))
}

/// A client with the certificate of `chain` comes to a server that judges it by these lists.
pub(crate) fn client_comes(zoo: &Zoo, chain: &[&str], lists: &Arc<Lists>, now: Time) -> Result<Vec<Event>, Refusal> {
    let (heard, hook) = listener();
    let server = server_config(identity(zoo, &["host"]), Some(trust(lists, now, hook))).unwrap();
    let trusting = trust(&Arc::new(super::unwatched(zoo)), now, listener().1);
    let client = mtls::client_config(&trusting, &id("host"), Some(identity(zoo, chain))).unwrap();
    shake(client, server).map_err(|(side, refusal)| {
        assert_eq!(side, Side::Server, "{refusal:?}");
        refusal
    })?;
    Ok(heard.lock().clone())
}

/// A client calls a server that has the certificate of `chain` and should be `name`, and judges it by these lists.
pub(crate) fn server_called(
    zoo: &Zoo,
    chain: &[&str],
    lists: &Arc<Lists>,
    name: &str,
    now: Time,
) -> Result<(), Refusal> {
    let server = server_config(identity(zoo, chain), None).unwrap();
    let client = mtls::client_config(&trust(lists, now, listener().1), &id(name), None).unwrap();
    shake(client, server).map_err(|(side, refusal)| {
        assert_eq!(side, Side::Client, "{refusal:?}");
        refusal
    })
}

fn id(name: &str) -> String {
    format!("spiffe://home.example/{name}")
}

/// Trusts the domain of these lists, as they are.
fn trust(lists: &Arc<Lists>, now: Time, hook: Hook) -> Arc<Trust> {
    let lists = lists.clone();
    trust_as_it_is(Arc::new(move || lists.clone()), now, hook)
}

/// Trusts the domain by the lists that there are whenever it is asked.
pub(crate) fn trust_as_it_is(lists: Snapshot, now: Time, hook: Hook) -> Arc<Trust> {
    let trust = Trust::new("own.example", Arc::new(At(now)), hook);
    trust.replace(Standing::new([("home.example".into(), lists)], &[]));
    Arc::new(trust)
}

fn identity(zoo: &Zoo, chain: &[&str]) -> ServerIdentity {
    let pem: Vec<String> =
        chain.iter().map(|name| std::fs::read_to_string(zoo.path(&format!("{name}.pem"))).unwrap()).collect();
    let path = zoo.path("chain.pem");
    std::fs::write(&path, pem.concat()).unwrap();
    ServerIdentity::read(&path, &zoo.path(&format!("{}.key", chain[0]))).unwrap()
}

#[derive(Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// Passes what each side says to the other until neither has more to say, or one refuses.
fn shake(client: Arc<ClientConfig>, server: ServerConfig) -> Result<(), (Side, Refusal)> {
    let mut client = ClientConnection::new(client, "localhost".try_into().unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut said = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut said).unwrap();
        }
        let mut heard = &said[..];
        while !heard.is_empty() {
            server.read_tls(&mut heard).unwrap();
            if let Err(error) = server.process_new_packets() {
                let mut alert = Vec::new();
                while server.wants_write() {
                    server.write_tls(&mut alert).unwrap();
                }
                return Err((
                    Side::Server,
                    Refusal {
                        error,
                        alert: alerted(|| {
                            let mut rest = &alert[..];
                            while !rest.is_empty() {
                                client.read_tls(&mut rest).unwrap();
                                client.process_new_packets()?;
                            }
                            Ok(())
                        }),
                    },
                ));
            }
        }
        said.clear();
        while server.wants_write() {
            server.write_tls(&mut said).unwrap();
        }
        let mut heard = &said[..];
        while !heard.is_empty() {
            client.read_tls(&mut heard).unwrap();
            if let Err(error) = client.process_new_packets() {
                let mut alert = Vec::new();
                while client.wants_write() {
                    client.write_tls(&mut alert).unwrap();
                }
                return Err((
                    Side::Client,
                    Refusal {
                        error,
                        alert: alerted(|| {
                            let mut rest = &alert[..];
                            while !rest.is_empty() {
                                server.read_tls(&mut rest).unwrap();
                                server.process_new_packets()?;
                            }
                            Ok(())
                        }),
                    },
                ));
            }
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(())
}

fn alerted(hear: impl FnOnce() -> Result<(), rustls::Error>) -> AlertDescription {
    match hear() {
        Err(rustls::Error::AlertReceived(alert)) => alert,
        other => panic!("no alert came: {other:?}"),
    }
}
