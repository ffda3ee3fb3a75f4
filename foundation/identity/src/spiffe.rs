//! Whom a certificate names: exactly one URI, `spiffe://TRUST-DOMAIN/PATH` (SPIFFE ID §2, X.509-SVID §2–§5.2).
//!
//! What is read here is unverified: it says which domain's authorities have to vouch for it, nothing more. The common name is
//! never looked at.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// The longest id that is accepted (SPIFFE ID §2.3).
const LONGEST: usize = 2048;
/// The longest trust domain (SPIFFE ID §2.1).
const LONGEST_DOMAIN: usize = 255;

/// A SPIFFE id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiffeId {
    text: String,
    domain: usize,
}

impl SpiffeId {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("its URI is longer than 2048 bytes");
        }
        let rest = text.strip_prefix("spiffe://").ok_or("its URI is not one of spiffe://")?;
        let (domain, path) = rest.split_once('/').ok_or("its URI has no path")?;
        let of_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if domain.is_empty() || domain.len() > LONGEST_DOMAIN || !domain.bytes().all(of_domain) {
            return Err("its URI names no trust domain in lower case");
        }
        let of_path = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let segment = |one: &str| !matches!(one, "" | "." | "..") && one.bytes().all(of_path);
        if !path.split('/').all(segment) {
            return Err("the path of its URI is empty, or has segments that no id has");
        }
        Ok(Self { text: text.to_owned(), domain: domain.len() })
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain.
    pub fn domain(&self) -> &str {
        let start = "spiffe://".len();
        self.text.get(start..start + self.domain).unwrap_or_default()
    }

    /// Reads the one that a certificate has, and sees that the certificate is a leaf's.
    ///
    /// # Errors
    /// What is wrong with the certificate.
    pub fn of(certificate: &X509Certificate<'_>) -> Result<Self, &'static str> {
        let names = certificate.subject_alternative_name().map_err(|_| "its alternative names cannot be read")?;
        let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        let mut uris = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
        let id = match (uris.next(), uris.next()) {
            (Some(uri), None) => Self::parse(uri)?,
            (None, _) => return Err("it has no URI among its alternative names"),
            (Some(_), Some(_)) => return Err("it has more than one URI among its alternative names"),
        };
        is_leaf(certificate)?;
        Ok(id)
    }
}

/// Whether a certificate may stand for somebody, and not for an authority (X.509-SVID §4).
fn is_leaf(certificate: &X509Certificate<'_>) -> Result<(), &'static str> {
    let constraints = certificate.basic_constraints().map_err(|_| "its basic constraints cannot be read")?;
    if constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err("it is the certificate of an authority");
    }
    let usage = certificate.key_usage().map_err(|_| "its key usage cannot be read")?;
    let usage = usage.ok_or("it does not say what its key is for")?.value;
    if !usage.digital_signature() || usage.key_cert_sign() || usage.crl_sign() {
        return Err("its key is not for signatures, or for those of an authority");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_with_their_domain() {
        let id = SpiffeId::parse("spiffe://car.example/gw/front-1").unwrap();
        assert_eq!((id.domain(), id.as_str()), ("car.example", "spiffe://car.example/gw/front-1"));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let long = format!("spiffe://a/{}", "x".repeat(2040));
        let wide = format!("spiffe://{}/x", "a".repeat(256));
        for text in [
            "",
            "spiffe://",
            "spiffe:///x",
            "spiffe://car.example",
            "spiffe://car.example/",
            "spiffe://car.example/a/",
            "spiffe://car.example//a",
            "spiffe://car.example/./a",
            "spiffe://car.example/a/..",
            "spiffe://Car.example/a",
            "spiffe://car.example:443/a",
            "spiffe://user@car.example/a",
            "spiffe://car.example/a?x=1",
            "spiffe://car.example/a#b",
            "spiffe://car.example/a%2fb",
            "spiffe://car.example/ü",
            "SPIFFE://car.example/a",
            "https://car.example/a",
            " spiffe://car.example/a",
            &long,
            &wide,
        ] {
            assert!(SpiffeId::parse(text).is_err(), "{text}");
        }
    }
}
