//! What is sealed opens here and nowhere else.

use moongate_core::seam::Vault as _;
use moongate_identity::Vault;

use crate::support::Folder;

#[test]
fn what_is_sealed_opens_with_the_same_key_only() {
    let (here, there) = (Folder::new(), Folder::new());
    let vault = Vault::load_or_make(&Vault::path(here.path())).unwrap();
    let sealed = vault.seal(b"Bearer secret");
    assert!(!sealed.windows(6).any(|part| part == b"secret"));
    assert_ne!(sealed, vault.seal(b"Bearer secret"));
    let again = Vault::load_or_make(&Vault::path(here.path())).unwrap();
    assert_eq!(again.open(&sealed).as_deref(), Some(b"Bearer secret".as_slice()));
    let other = Vault::load_or_make(&Vault::path(there.path())).unwrap();
    assert_eq!(other.open(&sealed), None);
    for at in 0..sealed.len() {
        let mut bent = sealed.clone();
        bent[at] ^= 1;
        assert_eq!(vault.open(&bent), None);
    }
    assert_eq!(vault.open(b""), None);
}

#[test]
fn each_purpose_has_a_secret_of_its_own() {
    let (here, there) = (Folder::new(), Folder::new());
    let vault = Vault::load_or_make(&Vault::path(here.path())).unwrap();
    let other = Vault::load_or_make(&Vault::path(there.path())).unwrap();
    assert_eq!(vault.derive("a"), vault.derive("a"));
    assert_ne!(vault.derive("a"), vault.derive("b"));
    assert_ne!(vault.derive("a"), other.derive("a"));
    assert_eq!(vault.mac("a", b"text"), vault.mac("a", b"text"));
    assert_ne!(vault.mac("a", b"text"), vault.mac("b", b"text"));
    assert_ne!(vault.mac("a", b"text"), vault.mac("a", b"Text"));
}
