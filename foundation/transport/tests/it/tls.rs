//! TLS 1.3 and nothing below.

use std::sync::Arc;

use moongate_transport::{Listen, Pool, PoolConfig, Stage, TlsSlot};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Running, client_config, get, pool, soon, text};

/// A server configuration for `localhost`, and the authority to trust.
fn authority() -> (Arc<rustls::ServerConfig>, CertificateDer<'static>) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = ca.self_signed(&ca_key).unwrap().der().clone();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (Arc::new(config), root)
}

fn trusting(root: &CertificateDer<'static>) -> Pool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    Pool::new(PoolConfig::default(), Arc::new(client_config(roots)))
}

fn secured(config: &Arc<rustls::ServerConfig>) -> Listen {
    Listen { tls: Some(Arc::new(TlsSlot::new(Arc::clone(config)))), ..Listen::default() }
}

#[tokio::test]
async fn alpn_chooses_the_version_of_http() {
    let (config, root) = authority();
    let running = Running::start(secured(&config));
    let pool = trusting(&root);
    for _ in 0..2 {
        let h1 = soon(pool.send(&running.origin("https", false), get("/hello"))).await.unwrap();
        assert_eq!(text(h1).await, "hello HTTP/1.1");
        let h2 = soon(pool.send(&running.origin("https", true), get("/hello"))).await.unwrap();
        assert_eq!(text(h2).await, "hello HTTP/2.0");
    }
    assert_eq!(running.open(), 2);
    let peer = soon(pool.send(&running.origin("https", false), get("/peer"))).await.unwrap();
    assert_eq!(text(peer).await, "127.0.0.1 true");
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_refused() {
    let (config, _) = authority();
    let running = Running::start(secured(&config));
    let error = soon(pool(PoolConfig::default()).send(&running.origin("https", false), get("/"))).await.unwrap_err();
    assert_eq!(error.stage, Stage::Tls, "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (config, root) = authority();
    let running = Running::start(secured(&config));
    let mut origin = running.origin("https", false);
    origin.host = "127.0.0.1".to_owned();
    let error = soon(trusting(&root).send(&origin, get("/"))).await.unwrap_err();
    assert_eq!(error.stage, Stage::Tls, "{error}");
}

#[tokio::test]
async fn a_client_of_tls_1_2_gets_the_alert_protocol_version() {
    let (config, _) = authority();
    let running = Running::start(secured(&config));
    let mut tcp = TcpStream::connect(running.address).await.unwrap();
    tcp.write_all(&client_hello_of_tls_1_2()).await.unwrap();
    let mut answer = Vec::new();
    soon(tcp.read_to_end(&mut answer)).await.unwrap();
    // Record: alert (21), version, length 2; alert: fatal (2), protocol_version (70).
    assert_eq!((answer[0], &answer[3..]), (21, &[0, 2, 2, 70][..]), "{answer:?}");
}

/// RFC 5246 §7.4.1.2, with the extensions that servers want: groups, signatures, name.
fn client_hello_of_tls_1_2() -> Vec<u8> {
    let mut extensions = Vec::new();
    let mut extension = |kind: u16, data: &[u8]| {
        extensions.extend_from_slice(&kind.to_be_bytes());
        extensions.extend_from_slice(&(data.len() as u16).to_be_bytes());
        extensions.extend_from_slice(data);
    };
    extension(0, b"\x00\x0c\x00\x00\x09localhost");
    extension(10, &[0, 4, 0, 29, 0, 23]);
    extension(11, &[1, 0]);
    extension(13, &[0, 6, 4, 3, 8, 4, 4, 1]);
    extension(23, &[]);
    let mut hello = vec![3, 3];
    hello.extend_from_slice(&[0x5a; 32]);
    hello.push(0);
    // ECDHE-ECDSA and ECDHE-RSA with AES-128-GCM.
    hello.extend_from_slice(&[0, 4, 0xc0, 0x2b, 0xc0, 0x2f]);
    hello.extend_from_slice(&[1, 0]);
    hello.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    hello.extend_from_slice(&extensions);
    let mut record = vec![22, 3, 1];
    record.extend_from_slice(&(hello.len() as u16 + 4).to_be_bytes());
    record.extend_from_slice(&[1, 0]);
    record.extend_from_slice(&(hello.len() as u16).to_be_bytes());
    record.extend_from_slice(&hello);
    record
}

#[tokio::test]
async fn plaintext_to_a_tls_listener_gets_no_answer() {
    let (config, _) = authority();
    let running = Running::start(secured(&config));
    let error = soon(pool(PoolConfig::default()).send(&running.origin("http", false), get("/"))).await.unwrap_err();
    assert_eq!(error.stage, Stage::Request, "{error}");
}

#[tokio::test]
async fn a_replaced_certificate_serves_the_next_connection() {
    let ((old, old_root), (new, new_root)) = (authority(), authority());
    let slot = Arc::new(TlsSlot::new(old));
    let running = Running::start(Listen { tls: Some(Arc::clone(&slot)), ..Listen::default() });
    let before = trusting(&old_root);
    let origin = running.origin("https", false);
    assert_eq!(text(soon(before.send(&origin, get("/hello"))).await.unwrap()).await, "hello HTTP/1.1");
    slot.replace(new);
    assert_eq!(text(soon(trusting(&new_root).send(&origin, get("/hello"))).await.unwrap()).await, "hello HTTP/1.1");
    // The open connection goes on with the certificate that it was opened under.
    assert_eq!(text(soon(before.send(&origin, get("/hello"))).await.unwrap()).await, "hello HTTP/1.1");
}
