//! Revocation lists, as far as they are read before anybody's signature is checked.

// The file alone: the room that it lives in builds aws-lc, which this workspace must not.
#[allow(dead_code, unreachable_pub)]
#[path = "../../foundation/identity/src/revocation/facts.rs"]
mod facts;

use facts::{Facts, unwrap_pem};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use webpki::{BorrowedCertRevocationList, CertRevocationList};

/// What is read of a list that `webpki` reads too is what `webpki` reads: the same issuer, the same scope. What is signed
/// lies in the list as it came, and the signature does not belong to it.
pub fn crl(data: &[u8]) {
    let Ok(der) = unwrap_pem(data) else { return };
    if data.first() != Some(&0x30) {
        let first = CertificateRevocationListDer::from_pem_slice(data).expect("a list in PEM");
        assert_eq!(*first, *der);
    }
    let Ok(facts) = Facts::read(&der) else { return };
    let at = der.windows(facts.signed.len()).position(|window| window == facts.signed).expect("what is signed came so");
    assert!(at <= 6 && at + facts.signed.len() + facts.algorithm.len() + facts.signature.len() < der.len());
    let Ok(list) = BorrowedCertRevocationList::from_der(&der) else { return };
    let Ok(list) = list.to_owned().map(CertRevocationList::from) else { return };
    assert!(facts.issuer.ends_with(list.issuer()));
    assert!(facts.issuer.len() - list.issuer().len() <= 6, "nothing but the head stands before it");
    assert_eq!(facts.scope, list.issuing_distribution_point().unwrap_or_default());
    if let Some(number) = &facts.number {
        assert!(number <= number && number.to_string().len() <= 42);
    }
}
