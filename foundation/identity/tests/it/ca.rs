//! The certificate authority.

use moongate_core::{Code, Time};
use moongate_identity::Ca;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::support::{DAY_MS, Folder, NOW};

fn names() -> Vec<String> {
    ["localhost", "127.0.0.1", "::1", "gw.home.example"].map(str::to_owned).to_vec()
}

#[test]
fn the_authority_survives_a_restart() {
    let folder = Folder::new();
    let made = Ca::load_or_make(folder.path(), "home.example", NOW).unwrap();
    let read = Ca::load_or_make(folder.path(), "home.example", Time(NOW.0 + DAY_MS)).unwrap();
    assert_eq!(made.certificate(), read.certificate());
    assert_eq!(std::fs::read_to_string(folder.join("ca.pem")).unwrap(), read.pem());
    #[cfg(unix)]
    {
        assert_eq!(crate::support::mode(&folder.join("ca.key")), 0o600);
        assert_eq!(crate::support::mode(&folder.join("ca.pem")), 0o644);
    }
}

#[test]
fn the_authority_signs_leaves_and_no_further_authorities() {
    let folder = Folder::new();
    let ca = Ca::load_or_make(folder.path(), "home.example", NOW).unwrap();
    let (_, root) = X509Certificate::from_der(ca.certificate()).unwrap();
    let constraints = root.basic_constraints().unwrap().unwrap().value;
    assert!(constraints.ca && constraints.path_len_constraint == Some(0));
    assert!(root.key_usage().unwrap().unwrap().value.key_cert_sign());
    assert!(root.subject().to_string().contains("home.example"));
}

#[test]
fn a_listener_gets_a_certificate_of_its_names_only() {
    let folder = Folder::new();
    let ca = Ca::load_or_make(folder.path(), "home.example", NOW).unwrap();
    let identity = ca.issue_server(&names(), NOW).unwrap();
    let (_, leaf) = X509Certificate::from_der(&identity.chain()[0]).unwrap();
    let (_, root) = X509Certificate::from_der(ca.certificate()).unwrap();
    assert_eq!(leaf.issuer(), root.subject());
    assert!(!leaf.is_ca());
    assert!(leaf.extended_key_usage().unwrap().unwrap().value.server_auth);
    let san = leaf.subject_alternative_name().unwrap().unwrap();
    let listed: Vec<String> = san
        .value
        .general_names
        .iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            GeneralName::IPAddress(octets) => format!("{octets:?}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(listed[0], "localhost");
    assert_eq!(listed[1], "[127, 0, 0, 1]");
    assert_eq!(listed.len(), 4);
    let (from, to) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
    let now = i64::try_from(NOW.0 / 1000).unwrap();
    assert!(from < now && to > now && to - from < 398 * 24 * 3600);
}

#[test]
fn serials_are_random_and_positive() {
    let folder = Folder::new();
    let ca = Ca::load_or_make(folder.path(), "home.example", NOW).unwrap();
    let mut serials: Vec<Vec<u8>> = (0..32)
        .map(|_| {
            let identity = ca.issue_server(&names(), NOW).unwrap();
            let (_, leaf) = X509Certificate::from_der(&identity.chain()[0]).unwrap();
            leaf.raw_serial().to_vec()
        })
        .collect();
    assert!(serials.iter().all(|serial| serial.len() == 20 && serial[0] < 0x80));
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), 32);
}

#[test]
fn a_lost_certificate_is_made_again_from_the_key() {
    let folder = Folder::new();
    Ca::load_or_make(folder.path(), "home.example", NOW).unwrap();
    std::fs::remove_file(folder.join("ca.pem")).unwrap();
    let again = Ca::load_or_make(folder.path(), "home.example", NOW).unwrap();
    again.issue_server(&names(), NOW).unwrap();
    assert!(folder.join("ca.pem").exists());
}

#[test]
fn a_lost_key_is_an_error_and_not_a_new_authority() {
    let folder = Folder::new();
    Ca::load_or_make(folder.path(), "home.example", NOW).unwrap();
    std::fs::remove_file(folder.join("ca.key")).unwrap();
    let problem = Ca::load_or_make(folder.path(), "home.example", NOW).unwrap_err();
    assert_eq!(problem.code, Code::KeyUnusable);
    assert!(problem.detail.contains("ca.key"), "{problem}");
}

#[test]
fn a_key_of_another_authority_is_refused() {
    let (one, two) = (Folder::new(), Folder::new());
    Ca::load_or_make(one.path(), "one.example", NOW).unwrap();
    Ca::load_or_make(two.path(), "two.example", NOW).unwrap();
    std::fs::copy(one.join("ca.key"), two.join("ca.key")).unwrap();
    let problem = Ca::load_or_make(two.path(), "two.example", NOW).unwrap_err();
    assert!(problem.detail.contains("does not belong"), "{problem}");
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_refused() {
    let folder = Folder::new();
    Ca::load_or_make(folder.path(), "home.example", NOW).unwrap();
    crate::support::set_mode(&folder.join("ca.key"), 0o644);
    assert!(Ca::load_or_make(folder.path(), "home.example", NOW).unwrap_err().detail.contains("chmod 600"));
}

#[test]
fn an_expired_authority_is_named() {
    let folder = Folder::new();
    Ca::load_or_make(folder.path(), "home.example", NOW).unwrap();
    let problem = Ca::load_or_make(folder.path(), "home.example", Time(NOW.0 + 3651 * DAY_MS)).unwrap_err();
    assert!(problem.detail.contains("expired"), "{problem}");
}

#[test]
fn a_certificate_without_a_name_or_with_a_bad_one_is_refused() {
    let folder = Folder::new();
    let ca = Ca::load_or_make(folder.path(), "home.example", NOW).unwrap();
    assert_eq!(ca.issue_server(&[], NOW).unwrap_err().code, Code::KeyUnusable);
    assert_eq!(ca.issue_server(&["küche.example".to_owned()], NOW).unwrap_err().code, Code::KeyUnusable);
}
