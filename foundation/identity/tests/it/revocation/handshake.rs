//! Handshakes in memory, at a moment of the test's choice, with verifiers of both directions.

use std::sync::Arc;

use moongate_core::Time;
use moongate_identity::revocation::{ChainVerifier, Event, Lists, Names};
use parking_lot::Mutex;
use rustls::crypto::aws_lc_rs;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::zoo::Zoo;

#[derive(Debug)]
struct At(Time);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_millis(self.0.0)))
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

/// A client with the certificate of `name` comes to a server that judges it by these lists.
pub(crate) fn client_comes(zoo: &Zoo, chain: &[&str], lists: &Arc<Lists>, now: Time) -> Result<Vec<Event>, Refusal> {
    let (heard, hook) = listener();
    let verifier = Arc::new(ChainVerifier::new(lists.clone(), Names::Checked, hook));
    let server = server(zoo, &["host"], now, Some(verifier));
    let trusting = Arc::new(ChainVerifier::new(Arc::new(super::unwatched(zoo)), Names::Checked, listener().1));
    let client = client(zoo, chain, now, trusting);
    shake(client, server).map_err(|(side, refusal)| {
        assert_eq!(side, Side::Server, "{refusal:?}");
        refusal
    })?;
    Ok(heard.lock().clone())
}

/// A client calls a server with the certificate of `chain`, and judges it by these lists.
pub(crate) fn server_called(
    zoo: &Zoo,
    chain: &[&str],
    lists: &Arc<Lists>,
    name: &str,
    names: Names,
    now: Time,
) -> Result<(), Refusal> {
    let verifier = Arc::new(ChainVerifier::new(lists.clone(), names, listener().1));
    let server = server(zoo, chain, now, None);
    let client = client_to(name, zoo, &["host"], now, verifier);
    shake(client, server).map_err(|(side, refusal)| {
        assert_eq!(side, Side::Client, "{refusal:?}");
        refusal
    })
}

fn certificates(zoo: &Zoo, chain: &[&str]) -> Vec<CertificateDer<'static>> {
    chain.iter().map(|name| zoo.certificate(name)).collect()
}

fn server(zoo: &Zoo, chain: &[&str], now: Time, verifier: Option<Arc<ChainVerifier>>) -> ServerConnection {
    let builder = ServerConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), Arc::new(At(now)))
        .with_protocol_versions(&[&TLS13])
        .unwrap();
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(certificates(zoo, chain), zoo.key(chain[0])).unwrap();
    ServerConnection::new(Arc::new(config)).unwrap()
}

fn client(zoo: &Zoo, chain: &[&str], now: Time, verifier: Arc<ChainVerifier>) -> ClientConnection {
    client_to("localhost", zoo, chain, now, verifier)
}

fn client_to(name: &str, zoo: &Zoo, chain: &[&str], now: Time, verifier: Arc<ChainVerifier>) -> ClientConnection {
    let config = ClientConfig::builder_with_details(Arc::new(aws_lc_rs::default_provider()), Arc::new(At(now)))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(certificates(zoo, chain), zoo.key(chain[0]))
        .unwrap();
    ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap()
}

#[derive(Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// Passes what each side says to the other until neither has more to say, or one refuses.
fn shake(mut client: ClientConnection, mut server: ServerConnection) -> Result<(), (Side, Refusal)> {
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
