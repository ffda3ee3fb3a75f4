//! The authority at work, judged by OpenSSL and by our own verifiers.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use moongate_core::{Code, Time};
use moongate_identity::Ca;
use moongate_identity::ca::{Entry, Office, Reason, Request};
use moongate_identity::revocation::{Authorities, CertificateId, Crl, Lists, Policy};
use moongate_identity::spiffe::SpiffeId;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::{DAY_MS, Folder, NOW};

const DOMAIN: &str = "home.example";
const HOUR_MS: u64 = 3_600_000;

/// Runs OpenSSL in the folder; its words, or what it complains of.
fn openssl(folder: &Folder, words: &[&str]) -> Result<String, String> {
    let output = Command::new("openssl").current_dir(folder.path()).args(words).output();
    let output = output.expect("the Debian package `openssl` is needed");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text) } else { Err(text) }
}

fn seconds(time: Time) -> String {
    (time.0 / 1000).to_string()
}

fn client(name: &str) -> Request {
    Request {
        name: name.to_owned(),
        client: true,
        spiffe: Some(format!("spiffe://{DOMAIN}/{name}")),
        ..Request::default()
    }
}

fn office(folder: &Folder) -> Office {
    Office::found(folder.path(), DOMAIN, NOW).unwrap()
}

fn issue(office: &mut Office, folder: &Folder, name: &str) -> Entry {
    office.issue(&client(name), folder.path(), false, NOW).unwrap().entry
}

fn certificate(folder: &Folder, name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(folder.join(&format!("{name}.pem"))).unwrap()
}

#[test]
fn openssl_accepts_what_is_issued_and_refuses_what_was_taken_back() {
    let folder = Folder::new();
    let mut office = office(&folder);
    issue(&mut office, &folder, "lamp");
    let stolen = issue(&mut office, &folder, "stolen");
    office.revoke_named("stolen", Reason::KeyCompromise, NOW).unwrap();
    office.publish(7, None, false, NOW).unwrap();
    let at = seconds(NOW);
    let words =
        ["verify", "-attime", &at, "-x509_strict", "-purpose", "sslclient", "-crl_check", "-CRLfile", "crl.pem"];
    let verify = |name: &str| openssl(&folder, &[&words[..], &["-CAfile", "ca.pem", name]].concat());
    verify("lamp.pem").unwrap();
    let refused = verify("stolen.pem").unwrap_err();
    assert!(refused.contains("certificate revoked"), "{refused}");
    let list = openssl(&folder, &["crl", "-in", "crl.pem", "-CAfile", "ca.pem", "-verify", "-noout", "-text"]).unwrap();
    assert!(list.contains("verify OK") && list.contains(&stolen.serial), "{list}");
    assert!(list.contains("Key Compromise"), "{list}");
    // The serial numbers are the ones that OpenSSL prints.
    let printed = openssl(&folder, &["x509", "-in", "stolen.pem", "-noout", "-serial"]).unwrap();
    assert_eq!(printed.trim(), format!("serial={}", stolen.serial));
}

#[test]
fn our_own_cache_accepts_the_lists_one_after_the_other() {
    let folder = Folder::new();
    let mut office = office(&folder);
    let authorities = Arc::new(Authorities::new(&[office.ca().certificate().clone()]).unwrap());
    issue(&mut office, &folder, "lamp");
    let mut lists = Lists::none(DOMAIN, authorities.clone(), Policy::Hard);
    let lamp = CertificateId::of(&certificate(&folder, "lamp")).unwrap();
    for (round, der) in [false, true, false].into_iter().enumerate() {
        let now = Time(NOW.0 + round as u64 * HOUR_MS);
        if round == 1 {
            office.revoke_named("lamp", Reason::Unspecified, now).unwrap();
        }
        let published = office.publish(7, None, der, now).unwrap();
        assert_eq!(published.number, round as u64 + 1);
        let bytes = std::fs::read(&published.path).unwrap();
        let list = Crl::accept(&bytes, &authorities, now, lists.all()).unwrap();
        lists = lists.with(Arc::new(list));
        assert_eq!(lists.revoked(&lamp.issuer, &lamp.serial), round >= 1, "{round}");
    }
}

#[test]
fn a_clients_certificate_names_one_id_and_is_for_clients_only() {
    let folder = Folder::new();
    let mut office = office(&folder);
    let entry = issue(&mut office, &folder, "lamp");
    let der = certificate(&folder, "lamp");
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(SpiffeId::of(&leaf).unwrap().as_str(), "spiffe://home.example/lamp");
    let purposes = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.client_auth && !purposes.server_auth && !purposes.any);
    let usage = leaf.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign());
    assert!(!leaf.is_ca());
    assert_eq!(leaf.raw_serial().len(), 20);
    let days = (leaf.validity().not_after.timestamp() - i64::try_from(NOW.0 / 1000).unwrap()) / 86_400;
    assert_eq!(days, 30);
    let digest = openssl(&folder, &["pkey", "-in", "lamp.key", "-pubout", "-outform", "DER", "-out", "lamp.spki"])
        .and_then(|_| openssl(&folder, &["dgst", "-sha256", "lamp.spki"]));
    assert!(digest.unwrap().trim().ends_with(&entry.key_sha256), "the pin is that of the key in the file");
    #[cfg(unix)]
    {
        assert_eq!(crate::support::mode(&folder.join("lamp.key")), 0o600);
        assert_eq!(crate::support::mode(&folder.join("lamp.pem")), 0o644);
        assert_eq!(crate::support::mode(&folder.join("issued.json")), 0o600);
    }
}

#[test]
fn a_gateways_certificate_serves_both_directions() {
    let folder = Folder::new();
    let mut office = office(&folder);
    let request =
        Request { dns: vec!["gw.home.example".to_owned()], ip: vec!["192.168.1.2".to_owned()], ..client("gw") };
    office.issue(&request, folder.path(), false, NOW).unwrap();
    let at = seconds(NOW);
    for purpose in ["sslclient", "sslserver"] {
        let words =
            ["verify", "-attime", &at, "-x509_strict", "-purpose", purpose, "-verify_hostname", "gw.home.example"];
        openssl(&folder, &[&words[..], &["-CAfile", "ca.pem", "gw.pem"]].concat()).unwrap();
    }
}

#[test]
fn an_authority_is_never_replaced_and_a_missing_one_is_named() {
    let folder = Folder::new();
    let problem = Office::open(folder.path(), DOMAIN, NOW).map(|_| ()).unwrap_err();
    assert_eq!(problem.code, Code::KeyUnusable);
    assert!(problem.detail.contains("moongate ca init"), "{problem}");
    office(&folder);
    let before = std::fs::read(folder.join("ca.pem")).unwrap();
    let problem = Office::found(folder.path(), DOMAIN, NOW).map(|_| ()).unwrap_err();
    assert_eq!(problem.code, Code::FileExists);
    assert_eq!(std::fs::read(folder.join("ca.pem")).unwrap(), before);
}

#[test]
fn the_authority_that_the_gateway_made_itself_issues_and_publishes_too() {
    let folder = Folder::new();
    Ca::load_or_make(folder.path(), DOMAIN, NOW).unwrap();
    let mut office = Office::open(folder.path(), DOMAIN, NOW).unwrap();
    issue(&mut office, &folder, "lamp");
    office.publish(7, None, false, NOW).unwrap();
}

#[test]
fn an_authority_without_the_right_to_sign_lists_says_so() {
    let folder = Folder::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    std::fs::write(folder.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.join("ca.key"), key.serialize_pem()).unwrap();
    #[cfg(unix)]
    crate::support::set_mode(&folder.join("ca.key"), 0o600);
    let mut office = Office::open(folder.path(), DOMAIN, NOW).unwrap();
    issue(&mut office, &folder, "lamp");
    let problem = office.publish(7, None, false, NOW).unwrap_err();
    assert!(problem.detail.contains("cRLSign"), "{problem}");
    assert!(!folder.join("crl.pem").exists());
}

#[test]
fn files_are_replaced_only_when_that_is_meant() {
    let folder = Folder::new();
    let mut office = office(&folder);
    let first = issue(&mut office, &folder, "lamp");
    let before = std::fs::read(folder.join("lamp.key")).unwrap();
    let problem = office.issue(&client("lamp"), folder.path(), false, NOW).unwrap_err();
    assert_eq!(problem.code, Code::FileExists);
    assert_eq!(std::fs::read(folder.join("lamp.key")).unwrap(), before);
    assert_eq!(office.entries().len(), 1, "what was not issued is not written down");
    let second = office.issue(&client("lamp"), folder.path(), true, NOW).unwrap().entry;
    assert_ne!(std::fs::read(folder.join("lamp.key")).unwrap(), before);
    // Both hold, so both are taken back with the name.
    let taken = office.revoke_named("lamp", Reason::Superseded, NOW).unwrap();
    let serials: Vec<&str> = taken.iter().map(|entry| entry.serial.as_str()).collect();
    assert_eq!(serials, [&first.serial, &second.serial]);
    assert_eq!(office.revoke_named("lamp", Reason::Superseded, NOW).unwrap_err().code, Code::NotIssued);
}

#[test]
fn a_list_is_written_over_a_list_and_over_nothing_else() {
    let folder = Folder::new();
    let mut office = office(&folder);
    let list = folder.path().join("home.crl");
    for der in [false, true, false] {
        office.publish(7, Some(&list), der, NOW).unwrap();
    }
    let before = office.list_number();
    for name in ["ca.key", "ca.pem", "issued.json", "elsewhere/home.crl"] {
        let place = folder.path().join(name);
        let held = std::fs::read(&place).ok();
        office.publish(7, Some(&place), false, NOW).unwrap_err();
        assert_eq!(std::fs::read(&place).ok(), held, "{name}");
    }
    assert_eq!(office.list_number(), before, "what is refused spends no number");
    office.issue(&client("gateway"), folder.path(), true, NOW).unwrap_err();
}

#[test]
fn a_serial_is_read_in_every_spelling_and_revoked_once() {
    let folder = Folder::new();
    let mut office = office(&folder);
    let entry = issue(&mut office, &folder, "lamp");
    let pairs: Vec<String> =
        entry.serial.as_bytes().chunks(2).map(|two| String::from_utf8_lossy(two).to_lowercase()).collect();
    assert_eq!(office.revoke_serial(&pairs.join(":"), Reason::Unspecified, NOW).unwrap().len(), 1);
    assert_eq!(office.revoke_serial(&entry.serial, Reason::Unspecified, NOW).unwrap().len(), 0);
    assert_eq!(office.revoke_serial("00", Reason::Unspecified, NOW).unwrap_err().code, Code::NotIssued);
}

#[test]
fn a_serial_stays_listed_until_a_list_after_its_certificates_end() {
    let folder = Folder::new();
    let mut office = office(&folder);
    issue(&mut office, &folder, "lamp");
    let mut entries = |days: u64| office.publish(7, None, false, Time(NOW.0 + days * DAY_MS)).unwrap().entries;
    assert_eq!(entries(0), 0);
    drop(office);
    let mut office = Office::open(folder.path(), DOMAIN, NOW).unwrap();
    office.revoke_named("lamp", Reason::Unspecified, Time(NOW.0 + DAY_MS)).unwrap();
    let mut entries = |days: u64| office.publish(7, None, false, Time(NOW.0 + days * DAY_MS)).unwrap().entries;
    assert_eq!([entries(1), entries(29), entries(31), entries(32)], [1, 1, 1, 0]);
}

#[test]
fn numbers_rise_across_processes_even_where_the_file_is_lost() {
    let folder = Folder::new();
    office(&folder);
    for number in 1..4 {
        let mut office = Office::open(folder.path(), DOMAIN, NOW).unwrap();
        assert_eq!(office.publish(7, None, false, NOW).unwrap().number, number);
        std::fs::remove_file(folder.join("crl.pem")).unwrap();
    }
}

#[test]
fn two_processes_at_once_lose_nothing() {
    let folder = Arc::new(Folder::new());
    office(&folder);
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let folder = folder.clone();
            std::thread::spawn(move || {
                for number in 0..5 {
                    let mut office = Office::open(folder.path(), DOMAIN, NOW).unwrap();
                    issue(&mut office, &folder, &format!("d{thread}-{number}"));
                    office.publish(7, None, false, NOW).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let office = Office::open(folder.path(), DOMAIN, NOW).unwrap();
    assert_eq!((office.entries().len(), office.list_number()), (20, 20));
    assert_eq!(drafts(folder.path()), Vec::<String>::new());
}

#[test]
fn a_damaged_register_stops_everything_instead_of_forgetting() {
    let folder = Folder::new();
    office(&folder);
    std::fs::write(folder.join("issued.json"), "{\"list_number\": 3, ").unwrap();
    let problem = Office::open(folder.path(), DOMAIN, NOW).map(|_| ()).unwrap_err();
    assert_eq!(problem.code, Code::KeyUnusable);
    assert!(problem.detail.contains("issued.json"), "{problem}");
}

/// What was not finished.
fn drafts(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("draft")).collect()
}
