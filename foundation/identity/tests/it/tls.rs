//! TLS configurations, by handshakes in memory.

use std::sync::Arc;

use moongate_core::{Code, Time};
use moongate_identity::{Ca, ServerIdentity, client_config, read_roots, server_config};
use rustls::{ClientConnection, ProtocolVersion, ServerConfig, ServerConnection};

use crate::support::{Folder, NOW};

/// Passes what each side says to the other until neither has more to say.
fn shake(
    mut client: ClientConnection,
    mut server: ServerConnection,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    while client.wants_write() || server.wants_write() {
        let mut said = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut said).unwrap();
        }
        let mut heard = &said[..];
        while !heard.is_empty() {
            server.read_tls(&mut heard).unwrap();
            server.process_new_packets()?;
        }
        said.clear();
        while server.wants_write() {
            server.write_tls(&mut said).unwrap();
        }
        let mut heard = &said[..];
        while !heard.is_empty() {
            client.read_tls(&mut heard).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok((client, server))
}

/// The moment that the certificates of these tests hold, as rustls asks the real clock.
fn today() -> Time {
    let now = rustls_pki_types::UnixTime::now();
    Time(now.as_secs() * 1000)
}

fn configured(folder: &Folder) -> (Ca, Arc<ServerConfig>) {
    let ca = Ca::load_or_make(folder.path(), "home.example", today()).unwrap();
    let identity = ca.issue_server(&["localhost".to_owned(), "127.0.0.1".to_owned()], today()).unwrap();
    let config = server_config(identity, None).unwrap();
    (ca, Arc::new(config))
}

#[test]
fn both_sides_meet_in_tls_1_3_with_alpn_and_without_early_data() {
    let folder = Folder::new();
    let (ca, server) = configured(&folder);
    assert_eq!(server.max_early_data_size, 0);
    let client = client_config(&[ca.certificate().clone()]).unwrap();
    assert!(!client.enable_early_data);
    for (name, protocol) in [("localhost", &b"h2"[..]), ("127.0.0.1", b"http/1.1")] {
        let mut config = (*client).clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        let client = ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap();
        let server = ServerConnection::new(Arc::clone(&server)).unwrap();
        let (client, server) = shake(client, server).unwrap();
        assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(server.alpn_protocol(), Some(protocol));
        let group = client.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    }
}

#[test]
fn no_cipher_suite_of_tls_1_2_is_there() {
    let folder = Folder::new();
    let (_, server) = configured(&folder);
    assert!(server.crypto_provider().cipher_suites.iter().all(|suite| suite.tls13().is_some()));
}

#[test]
fn a_client_that_does_not_know_the_authority_refuses() {
    let folder = Folder::new();
    let (_, server) = configured(&folder);
    let client = client_config(&[]).unwrap();
    let client = ClientConnection::new(client, "localhost".try_into().unwrap()).unwrap();
    assert!(shake(client, ServerConnection::new(server).unwrap()).is_err());
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let folder = Folder::new();
    let (ca, server) = configured(&folder);
    let client = client_config(&[ca.certificate().clone()]).unwrap();
    let client = ClientConnection::new(client, "gw.other.example".try_into().unwrap()).unwrap();
    assert!(shake(client, ServerConnection::new(server).unwrap()).is_err());
}

#[test]
fn certificates_from_files_serve_as_well() {
    let folder = Folder::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    crate::support::set_mode(&folder.join("key.pem"), 0o600);
    let identity = ServerIdentity::read(&folder.join("cert.pem"), &folder.join("key.pem")).unwrap();
    server_config(identity, None).unwrap();
    assert_eq!(read_roots(&folder.join("cert.pem")).unwrap(), [certificate.der().clone()]);
}

#[test]
fn a_key_that_others_may_read_is_not_used() {
    let folder = Folder::new();
    let ca = Ca::load_or_make(folder.path(), "home.example", NOW).unwrap();
    std::fs::write(folder.join("cert.pem"), ca.pem()).unwrap();
    for (mode, why) in
        [(0o644, "others may read it (mode 0644)"), (0o640, "(mode 0640)"), (0o620, "others may change it")]
    {
        crate::support::set_mode(&folder.join("ca.key"), mode);
        let problem = ServerIdentity::read(&folder.join("cert.pem"), &folder.join("ca.key")).unwrap_err();
        assert_eq!(problem.code, Code::KeyUnusable);
        assert!(problem.detail.contains(why) && problem.detail.contains("run `chmod 600` on it"), "{problem}");
    }
    crate::support::set_mode(&folder.join("ca.key"), 0o600);
    ServerIdentity::read(&folder.join("cert.pem"), &folder.join("ca.key")).unwrap();
}

#[test]
fn files_that_do_not_fit_are_named() {
    let folder = Folder::new();
    let ca = Ca::load_or_make(folder.path(), "home.example", NOW).unwrap();
    std::fs::write(folder.join("cert.pem"), ca.pem()).unwrap();
    std::fs::write(folder.join("empty.pem"), "nothing\n").unwrap();
    crate::support::set_mode(&folder.join("empty.pem"), 0o600);
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(folder.join("other.pem"), key.serialize_pem()).unwrap();
    crate::support::set_mode(&folder.join("other.pem"), 0o600);
    let read = |certificate: &str, key: &str| ServerIdentity::read(&folder.join(certificate), &folder.join(key));
    for (certificate, key, named) in [
        ("gone.pem", "ca.key", "gone.pem"),
        ("empty.pem", "ca.key", "empty.pem"),
        ("cert.pem", "empty.pem", "empty.pem"),
    ] {
        let problem = read(certificate, key).unwrap_err();
        assert_eq!(problem.code, Code::KeyUnusable);
        assert!(problem.detail.contains(named), "{problem}");
    }
    let mismatched = server_config(read("cert.pem", "other.pem").unwrap(), None).unwrap_err();
    assert_eq!(mismatched.code, Code::KeyUnusable);
}
