//! Revocation lists as OpenSSL makes them, and handshakes that obey them.

mod cache;
mod handshake;
mod zoo;

use std::sync::Arc;
use std::time::Duration;

use moongate_core::Time;
use moongate_identity::revocation::{
    Authorities, CertificateId, Crl, CrlRefused, Event, LARGEST, Lists, Policy, State,
};
use parking_lot::Mutex;
use rustls::{AlertDescription, CertificateError};

use crate::support::{DAY_MS, NOW};
use handshake::{client_comes, server_called, trust_as_it_is};
use zoo::{FRESH, Made, Zoo};

const SOFT: Policy = Policy::Soft { grace: Duration::from_secs(2 * 24 * 3600) };
/// Until 1 August: expired since 31 days.
const OLD: Made<'_> = Made { from: "20260701000000Z", to: "20260801000000Z", extensions: "list" };

fn authorities(zoo: &Zoo) -> Arc<Authorities> {
    Arc::new(Authorities::new(&[zoo.certificate("root"), zoo.certificate("below")]).unwrap())
}

/// The domain, without looking at lists.
fn unwatched(zoo: &Zoo) -> Lists {
    Lists::none("home.example", authorities(zoo), Policy::Off)
}

/// The domain with these lists, all of which are accepted.
fn lists(zoo: &Zoo, policy: Policy, all: &[Vec<u8>]) -> Arc<Lists> {
    let authorities = authorities(zoo);
    let none = Lists::none("home.example", authorities.clone(), policy);
    let with = |lists: Lists, bytes: &Vec<u8>| {
        let list = Crl::accept(bytes, &authorities, NOW, lists.all()).unwrap();
        lists.with(Arc::new(list))
    };
    Arc::new(all.iter().fold(none, with))
}

fn refused(zoo: &Zoo, bytes: &[u8]) -> CrlRefused {
    Crl::accept(bytes, &authorities(zoo), NOW, []).unwrap_err()
}

/// A zoo with a host, a lamp under the root and a lock under the authority below.
fn home() -> Zoo {
    let zoo = Zoo::new();
    zoo.issue("host", "root");
    zoo.issue("lamp", "root");
    zoo.issue("lock", "below");
    zoo
}

#[test]
fn a_revoked_certificate_is_refused_with_alert_44_and_others_are_not() {
    let zoo = home();
    zoo.issue("stolen", "root");
    zoo.revoke("stolen", "root");
    let lists = lists(&zoo, Policy::Hard, &[zoo.list("root", FRESH), zoo.list("below", FRESH)]);
    client_comes(&zoo, &["lamp"], &lists, NOW).unwrap();
    client_comes(&zoo, &["lock", "below"], &lists, NOW).unwrap();
    let refusal = client_comes(&zoo, &["stolen"], &lists, NOW).unwrap_err();
    assert_eq!(refusal.certificate(), &CertificateError::Revoked);
    assert_eq!(refusal.alert, AlertDescription::CertificateRevoked);
}

#[test]
fn a_verdict_is_not_remembered_beyond_the_lists_that_it_was_given_by() {
    let zoo = home();
    let held = Arc::new(Mutex::new(lists(&zoo, Policy::Hard, &[zoo.list("root", FRESH)])));
    let asked = held.clone();
    // Its clock stands: nothing is forgotten by age.
    let trust = trust_as_it_is(Arc::new(move || asked.lock().clone()), NOW, Arc::new(|_| {}));
    let chain = [zoo.certificate("lamp")];
    for _ in 0..2 {
        assert!(trust.holder(&chain).is_some());
    }
    zoo.revoke("lamp", "root");
    *held.lock() = lists(&zoo, Policy::Hard, &[zoo.list("root", FRESH)]);
    assert!(trust.holder(&chain).is_none());
}

#[test]
fn servers_are_judged_as_clients_are() {
    let zoo = home();
    zoo.revoke("lamp", "root");
    let lists = lists(&zoo, Policy::Hard, &[zoo.list("root", FRESH), zoo.list("below", FRESH)]);
    server_called(&zoo, &["lock", "below"], &lists, "lock", NOW).unwrap();
    let refusal = server_called(&zoo, &["lamp"], &lists, "lamp", NOW).unwrap_err();
    assert_eq!(refusal.alert, AlertDescription::CertificateRevoked);
    let refusal = server_called(&zoo, &["host"], &lists, "lamp", NOW).unwrap_err();
    assert_eq!(refusal.certificate(), &CertificateError::NotValidForName);
    server_called(&zoo, &["host"], &lists, "host", NOW).unwrap();
}

#[test]
fn nobody_below_a_revoked_authority_comes_in() {
    let zoo = home();
    let before = lists(&zoo, Policy::Hard, &[zoo.list("root", FRESH), zoo.list("below", FRESH)]);
    client_comes(&zoo, &["lock", "below"], &before, NOW).unwrap();
    zoo.revoke("below", "root");
    let after = lists(&zoo, Policy::Hard, &[zoo.list("root", FRESH), zoo.list("below", FRESH)]);
    let refusal = client_comes(&zoo, &["lock", "below"], &after, NOW).unwrap_err();
    assert_eq!(refusal.certificate(), &CertificateError::Revoked);
    let chain: Vec<CertificateId> =
        ["lock", "below"].iter().map(|name| CertificateId::of(&zoo.certificate(name)).unwrap()).collect();
    assert!(after.any_revoked(&chain) && !before.any_revoked(&chain));
}

#[test]
fn a_chain_whose_intermediate_is_not_sent_is_completed_from_the_bundle() {
    let zoo = home();
    let lists = lists(&zoo, Policy::Hard, &[zoo.list("root", FRESH), zoo.list("below", FRESH)]);
    client_comes(&zoo, &["lock"], &lists, NOW).unwrap();
}

#[test]
fn without_a_list_nobody_comes_in_unless_lists_are_off() {
    let zoo = home();
    for policy in [Policy::Hard, SOFT] {
        let none = lists(&zoo, policy, &[]);
        let refusal = client_comes(&zoo, &["lamp"], &none, NOW).unwrap_err();
        assert_eq!(refusal.certificate(), &CertificateError::UnknownRevocationStatus);
        assert_eq!(refusal.alert, AlertDescription::UnknownCA);
        assert!(none.standing(NOW).iter().all(|(_, state)| *state == State::Missing));
        // One authority's list says nothing of another's certificates.
        let half = lists(&zoo, policy, &[zoo.list("root", FRESH)]);
        client_comes(&zoo, &["lamp"], &half, NOW).unwrap();
        client_comes(&zoo, &["lock", "below"], &half, NOW).unwrap_err();
    }
    client_comes(&zoo, &["lamp"], &lists(&zoo, Policy::Off, &[]), NOW).unwrap();
}

#[test]
fn an_expired_list_refuses_everybody_of_its_authority_only() {
    let zoo = home();
    let lists = lists(&zoo, Policy::Hard, &[zoo.list("root", FRESH), zoo.list("below", OLD)]);
    client_comes(&zoo, &["lamp"], &lists, NOW).unwrap();
    let refusal = client_comes(&zoo, &["lock", "below"], &lists, NOW).unwrap_err();
    assert!(matches!(refusal.certificate(), CertificateError::ExpiredRevocationListContext { .. }), "{refusal:?}");
    assert_eq!(refusal.alert, AlertDescription::UnknownCA);
    // It expires by itself, between two refreshes.
    client_comes(&zoo, &["lamp"], &lists, Time(NOW.0 + 31 * DAY_MS)).unwrap_err();
}

#[test]
fn with_grace_an_expired_list_serves_a_while_and_says_so() {
    let zoo = home();
    zoo.issue("stolen", "root");
    zoo.revoke("stolen", "root");
    let lists = lists(&zoo, SOFT, &[zoo.list("root", FRESH)]);
    let end = NOW.0 + 30 * DAY_MS;
    assert_eq!(client_comes(&zoo, &["lamp"], &lists, Time(end - 1)).unwrap(), []);
    let told = client_comes(&zoo, &["lamp"], &lists, Time(end)).unwrap();
    let [Event::Grace { since, until, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((since.0, until.0), (end, end + 2 * DAY_MS));
    let refusal = client_comes(&zoo, &["stolen"], &lists, Time(end)).unwrap_err();
    assert_eq!(refusal.certificate(), &CertificateError::Revoked);
    let refusal = client_comes(&zoo, &["lamp"], &lists, Time(end + 2 * DAY_MS)).unwrap_err();
    assert_eq!(refusal.certificate(), &CertificateError::UnknownRevocationStatus);
}

#[test]
fn a_list_that_does_not_hold_yet_is_refused() {
    let zoo = home();
    let begin = Made { from: "20260901000001Z", ..FRESH };
    assert_eq!(refused(&zoo, &zoo.list("root", begin)), CrlRefused::NotYetValid(Time(NOW.0 + 1000)));
    let begun = Made { from: "20260901000000Z", ..FRESH };
    Crl::accept(&zoo.list("root", begun), &authorities(&zoo), NOW, []).unwrap();
}

#[test]
fn lists_of_others_are_refused() {
    let zoo = home();
    // An authority of another domain; one of another domain that has taken our authority's name; and a lamp.
    zoo.authority("foreign", "foreign", "authority");
    assert!(matches!(refused(&zoo, &zoo.list("foreign", FRESH)), CrlRefused::Unsigned(_)));
    let impostor = Zoo::new();
    let forged = impostor.list("root", FRESH);
    assert_eq!(refused(&zoo, &forged), CrlRefused::Unsigned("its signature does not hold"));
    Crl::accept(&forged, &authorities(&impostor), NOW, []).unwrap();
}

#[test]
fn an_authority_that_may_not_sign_lists_has_none() {
    let zoo = home();
    zoo.authority("mute", "root", "mute");
    let authorities = Authorities::new(&[zoo.certificate("root"), zoo.certificate("mute")]).unwrap();
    let list = zoo.list("mute", FRESH);
    let Err(CrlRefused::Unsigned(reason)) = Crl::accept(&list, &authorities, NOW, []) else { panic!() };
    assert!(reason.contains("cRLSign"), "{reason}");
}

#[test]
fn a_list_is_replaced_by_a_newer_one_only() {
    let zoo = home();
    let authorities = authorities(&zoo);
    let number = |next: &str, made: Made<'_>| {
        zoo.number("root", next);
        zoo.list("root", made)
    };
    let held = Crl::accept(&number("2000", FRESH), &authorities, NOW, []).unwrap();
    assert_eq!(held.number().unwrap().to_string(), "0x2000");
    let accept = |bytes: &[u8]| Crl::accept(bytes, &authorities, NOW, [&held]).map(|list| list.number().cloned());
    assert_eq!(accept(&number("1FFF", FRESH)), Err(CrlRefused::RolledBack));
    assert_eq!(accept(&number("2001", Made { from: "20260731235959Z", ..FRESH })), Err(CrlRefused::RolledBack));
    // Numbers are compared as numbers: 0x010000 is more than 0x2000, 0xFF is less.
    assert!(accept(&number("010000", FRESH)).is_ok());
    assert_eq!(accept(&number("FF", FRESH)), Err(CrlRefused::RolledBack));
    assert!(accept(&number("2000", FRESH)).is_ok());
    // Another authority's list has numbers of its own.
    zoo.number("below", "01");
    assert!(accept(&zoo.list("below", FRESH)).is_ok());
}

#[test]
fn delta_and_indirect_lists_are_refused_and_scoped_ones_stand_beside_the_whole() {
    let zoo = home();
    assert_eq!(refused(&zoo, &zoo.list("root", Made { extensions: "delta", ..FRESH })), CrlRefused::Delta);
    assert_eq!(refused(&zoo, &zoo.list("root", Made { extensions: "indirect", ..FRESH })), CrlRefused::Indirect);
    let whole = Crl::accept(&zoo.list("root", FRESH), &authorities(&zoo), NOW, []).unwrap();
    zoo.number("root", "01");
    let users = zoo.list("root", Made { extensions: "users", ..FRESH });
    let users = Crl::accept(&users, &authorities(&zoo), NOW, [&whole]).unwrap();
    assert_ne!(users.place(), whole.place());
}

#[test]
fn garbage_and_cut_and_altered_and_huge_lists_are_refused() {
    let zoo = home();
    zoo.revoke("lamp", "root");
    let pem = zoo.list("root", FRESH);
    let der = rustls_pki_types::pem::PemObject::from_pem_slice(&pem).unwrap();
    let der: rustls_pki_types::CertificateRevocationListDer<'_> = der;
    let authorities = authorities(&zoo);
    Crl::accept(&der, &authorities, NOW, []).unwrap();
    for end in 0..der.len() {
        Crl::accept(&der[..end], &authorities, NOW, []).unwrap_err();
    }
    for at in 0..der.len() {
        let mut altered = der.to_vec();
        altered[at] ^= 0x01;
        Crl::accept(&altered, &authorities, NOW, []).unwrap_err();
    }
    Crl::accept(&[&der[..], &[0]].concat(), &authorities, NOW, []).unwrap_err();
    Crl::accept(b"not a list\n", &authorities, NOW, []).unwrap_err();
    Crl::accept(&[pem.clone(), pem].concat(), &authorities, NOW, []).unwrap_err();
    assert_eq!(refused(&zoo, &vec![0x30; LARGEST + 1]), CrlRefused::TooLarge);
}

#[test]
fn a_serial_is_found_with_and_without_leading_zeros() {
    let zoo = home();
    zoo.revoke("lamp", "root");
    let lists = lists(&zoo, Policy::Hard, &[zoo.list("root", FRESH)]);
    let lamp = CertificateId::of(&zoo.certificate("lamp")).unwrap();
    let digits: Vec<u8> = lamp.serial.iter().copied().skip_while(|byte| *byte == 0).collect();
    let padded = [&[0, 0][..], &digits].concat();
    for serial in [&lamp.serial, &digits, &padded] {
        assert!(lists.revoked(&lamp.issuer, serial));
    }
    assert!(!lists.revoked(&lamp.issuer, &digits[1..]));
    let below = CertificateId::of(&zoo.certificate("lock")).unwrap().issuer;
    assert!(!lists.revoked(&below, &lamp.serial), "another authority's serials are others");
}

#[test]
fn an_authority_that_changes_its_key_keeps_its_name() {
    let (old, new) = (home(), home());
    let both = Arc::new(Authorities::new(&[old.certificate("root"), new.certificate("root")]).unwrap());
    old.issue("stolen", "root");
    new.issue("stolen", "root");
    old.revoke("stolen", "root");
    new.revoke("stolen", "root");
    for policy in [Policy::Hard, SOFT] {
        let lists = [&old, &new].iter().fold(Lists::none("home.example", both.clone(), policy), |lists, zoo| {
            let list = Crl::accept(&zoo.list("root", FRESH), &both, NOW, lists.all()).unwrap();
            lists.with(Arc::new(list))
        });
        let lists = Arc::new(lists);
        for zoo in [&old, &new] {
            client_comes(zoo, &["lamp"], &lists, NOW).unwrap();
            let refusal = client_comes(zoo, &["stolen"], &lists, NOW).unwrap_err();
            assert_eq!(refusal.certificate(), &CertificateError::Revoked);
        }
    }
    // One key's list says nothing of the other key's certificates.
    let none = Lists::none("home.example", both.clone(), Policy::Hard);
    let half = Arc::new(none.with(Arc::new(Crl::accept(&old.list("root", FRESH), &both, NOW, []).unwrap())));
    client_comes(&old, &["lamp"], &half, NOW).unwrap();
    client_comes(&new, &["lamp"], &half, NOW).unwrap_err();
}

#[test]
fn what_is_no_bundle_of_authorities_is_refused() {
    let zoo = home();
    assert!(Authorities::new(&[]).is_err());
    assert!(Authorities::new(&[zoo.certificate("root"), zoo.certificate("lamp")]).is_err());
    assert!(Authorities::new(&[vec![0x30, 0x00].into()]).is_err());
}

#[test]
fn an_authority_whose_issuer_is_not_in_the_bundle_is_trusted_by_itself() {
    let zoo = home();
    let below = Arc::new(Authorities::new(&[zoo.certificate("below")]).unwrap());
    let none = Lists::none("home.example", below.clone(), Policy::Hard);
    let lists = none.with(Arc::new(Crl::accept(&zoo.list("below", FRESH), &below, NOW, []).unwrap()));
    let lists = Arc::new(lists);
    client_comes(&zoo, &["lock"], &lists, NOW).unwrap();
    let refusal = client_comes(&zoo, &["lamp"], &lists, NOW).unwrap_err();
    assert_eq!(refusal.certificate(), &CertificateError::UnknownIssuer);
}

#[test]
fn a_list_of_a_hundred_thousand_is_accepted_and_asked() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    let root = params.self_signed(&key).unwrap().der().clone();
    let issuer = rcgen::Issuer::from_ca_cert_der(&root, key).unwrap();
    let entry = |number: u32| rcgen::RevokedCertParams {
        serial_number: rcgen::SerialNumber::from([&[0x55; 16][..], &number.to_be_bytes()].concat()),
        revocation_time: rcgen::date_time_ymd(2026, 8, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 8, 1),
        next_update: rcgen::date_time_ymd(2026, 10, 1),
        crl_number: rcgen::SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: (0..100_000).map(entry).collect(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let der = list.signed_by(&issuer).unwrap().der().to_vec();
    let authorities = Authorities::new(&[root]).unwrap();
    let list = Crl::accept(&der, &authorities, NOW, []).unwrap();
    for number in [0_u32, 1, 54_321, 99_999] {
        assert!(list.contains(&[&[0x55; 16][..], &number.to_be_bytes()].concat()));
    }
    assert!(!list.contains(&[&[0x55; 16][..], &100_000_u32.to_be_bytes()].concat()));
}

#[test]
fn what_any_list_of_an_authority_names_is_revoked_whatever_else_is_served() {
    let zoo = home();
    zoo.issue("stolen", "root");
    let part = Made { extensions: "part", ..FRESH };
    let (old, old_part) = (zoo.list("root", FRESH), zoo.list("root", part));
    zoo.revoke("stolen", "root");
    let (new, new_part) = (zoo.list("root", FRESH), zoo.list("root", part));
    // In every order, and whichever of the two says so.
    for all in [[&old, &new_part], [&new_part, &old], [&new, &old_part], [&old_part, &new]] {
        let lists = lists(&zoo, Policy::Hard, &all.map(Clone::clone));
        client_comes(&zoo, &["lamp"], &lists, NOW).unwrap();
        let refusal = client_comes(&zoo, &["stolen"], &lists, NOW).unwrap_err();
        assert_eq!(refusal.certificate(), &CertificateError::Revoked);
    }
    // An old list of another scope that runs out shuts nobody out while a newer one holds.
    let stale = zoo.list("root", Made { extensions: "part", ..OLD });
    let lists = lists(&zoo, Policy::Hard, &[stale, new]);
    client_comes(&zoo, &["lamp"], &lists, NOW).unwrap();
    client_comes(&zoo, &["stolen"], &lists, NOW).unwrap_err();
}

#[test]
fn a_list_of_users_says_nothing_of_authorities() {
    let zoo = home();
    let users = Made { extensions: "users", ..FRESH };
    let lists = lists(&zoo, Policy::Hard, &[zoo.list("root", users), zoo.list("below", FRESH)]);
    client_comes(&zoo, &["lamp"], &lists, NOW).unwrap();
    let refusal = client_comes(&zoo, &["lock", "below"], &lists, NOW).unwrap_err();
    assert_eq!(refusal.certificate(), &CertificateError::UnknownRevocationStatus);
}
