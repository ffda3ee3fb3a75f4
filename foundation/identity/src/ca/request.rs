//! What a certificate is asked to be, and whether this authority makes such.

use std::net::IpAddr;
use std::time::Duration;

use moongate_core::{Code, Problem, Time};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};

use super::make::{serial, validity};
use crate::spiffe::SpiffeId;

/// The longest life of a certificate. Some clients refuse more than 398 days (CA/Browser Forum).
pub const LONGEST_DAYS: u32 = 397;
/// A client's certificate, unless another life is asked for: where nobody fetches lists, it ends by itself.
const CLIENT_DAYS: u32 = 30;
const SERVER_DAYS: u32 = 90;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Names that files of the authority and of the gateway have.
const OWN: [&str; 4] = ["ca", "crl", "issued", "gateway"];

/// A certificate that somebody wants.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// What it is called here, and its files.
    pub name: String,
    /// Whether its holder calls others.
    pub client: bool,
    /// Whom it names.
    pub spiffe: Option<String>,
    /// Hosts that it names; with one of them, or an address, its holder is called by others.
    pub dns: Vec<String>,
    /// Addresses that it names.
    pub ip: Vec<String>,
    /// How long it holds.
    pub days: Option<u32>,
}

impl Request {
    /// Whether its holder is called by others.
    pub fn server(&self) -> bool {
        !self.dns.is_empty() || !self.ip.is_empty()
    }

    /// What is to be signed, and until when it holds.
    pub(super) fn params(&self, domain: &str, now: Time, latest: Time) -> Result<(CertificateParams, Time), Problem> {
        self.check(domain)?;
        let days = self.days.unwrap_or(if self.client { CLIENT_DAYS } else { SERVER_DAYS });
        if days == 0 || days > LONGEST_DAYS {
            return Err(refuse(format!("{days} days; a certificate holds for 1 to {LONGEST_DAYS}")));
        }
        let until = now.plus(DAY * days).min(latest);
        let mut params = CertificateParams::default();
        params.serial_number = Some(serial().map_err(|error| refuse(error.to_string()))?);
        (params.not_before, params.not_after) = validity(now, until);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.name.as_str());
        params.subject_alt_names = self.names()?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if self.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        if self.server() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.use_authority_key_identifier_extension = true;
        Ok((params, until))
    }

    fn check(&self, domain: &str) -> Result<(), Problem> {
        check_name(&self.name)?;
        match &self.spiffe {
            Some(text) => {
                let id = SpiffeId::parse(text).map_err(|why| refuse(format!("{text} is no SPIFFE id: {why}")))?;
                if id.domain() != domain {
                    let other = "is of another trust domain; this authority answers for";
                    return Err(refuse(format!("{text} {other} {domain}")));
                }
            }
            None if self.client => return Err(refuse(format!("a client wants a SPIFFE id: spiffe://{domain}/…"))),
            None => {}
        }
        if !self.client && !self.server() {
            return Err(refuse("a server wants a name (a host or an address)".to_owned()));
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<SanType>, Problem> {
        let mut names = Vec::new();
        if let Some(id) = &self.spiffe {
            let uri = id.as_str().try_into().map_err(|_| refuse(format!("{id} is no SPIFFE id")))?;
            names.push(SanType::URI(uri));
        }
        for host in &self.dns {
            if !is_host(host) {
                return Err(refuse(format!("{host} is not the name of a host")));
            }
            let host = host.as_str().try_into().map_err(|_| refuse(format!("{host} is not the name of a host")))?;
            names.push(SanType::DnsName(host));
        }
        for address in &self.ip {
            let ip: IpAddr = address.parse().map_err(|_| refuse(format!("{address} is no IP address")))?;
            names.push(SanType::IpAddress(ip));
        }
        Ok(names)
    }
}

/// Whether files may be called so, and no file of the authority is.
fn check_name(name: &str) -> Result<(), Problem> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let starts_well = name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    if !starts_well || name.len() > 64 || !name.bytes().all(allowed) {
        return Err(refuse(format!("{name:?} is no name: 1 to 64 letters, digits, `.`, `-`, `_`, the first no sign")));
    }
    if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(refuse(format!("{name} is what a file of the authority, or of the gateway, is called")));
    }
    Ok(())
}

/// Labels of letters, digits and hyphens; no wildcard: what is issued stands for one host.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        let allowed = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !label.is_empty() && label.len() <= 63 && allowed && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn refuse(detail: String) -> Problem {
    Problem::new(Code::CertificateRefused, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_788_220_800_000);

    fn client() -> Request {
        let spiffe = Some("spiffe://home.example/lamp".to_owned());
        Request { name: "lamp".to_owned(), client: true, spiffe, ..Request::default() }
    }

    fn refused(request: &Request) -> String {
        let problem = request.params("home.example", NOW, Time(u64::MAX)).unwrap_err();
        assert_eq!(problem.code, Code::CertificateRefused);
        problem.detail.into_owned()
    }

    #[test]
    fn a_life_is_thirty_days_or_what_is_asked_for_and_never_beyond_the_authority() {
        let life = |days: Option<u32>, latest: Time| {
            let (_, until) = Request { days, ..client() }.params("home.example", NOW, latest).unwrap();
            (until.0 - NOW.0) / 86_400_000
        };
        assert_eq!(life(None, Time(u64::MAX)), 30);
        assert_eq!(life(Some(397), Time(u64::MAX)), 397);
        assert_eq!(life(Some(397), NOW.plus(DAY * 7)), 7);
        for days in [0, 398, u32::MAX] {
            assert!(refused(&Request { days: Some(days), ..client() }).contains("days"));
        }
    }

    #[test]
    fn ids_of_other_domains_and_malformed_ones_are_refused() {
        for (id, reason) in [
            ("spiffe://car.example/lamp", "another trust domain"),
            ("spiffe://sub.home.example/lamp", "another trust domain"),
            ("spiffe://home.example", "no SPIFFE id"),
            ("spiffe://home.example/../x", "no SPIFFE id"),
            ("https://home.example/lamp", "no SPIFFE id"),
        ] {
            let told = refused(&Request { spiffe: Some(id.to_owned()), ..client() });
            assert!(told.contains(reason), "{told}");
        }
        assert!(refused(&Request { spiffe: None, ..client() }).contains("SPIFFE"));
    }

    #[test]
    fn names_that_are_paths_or_the_authoritys_own_are_refused() {
        let long = "x".repeat(65);
        for name in
            ["", ".", "..", "../lamp", "a/b", "a\\b", ".lamp", "-lamp", "ca", "CA", "crl", "issued", "küche", &long]
        {
            refused(&Request { name: name.to_owned(), ..client() });
        }
    }

    #[test]
    fn hosts_are_hosts_and_addresses_are_addresses() {
        let server = |dns: &[&str], ip: &[&str]| Request {
            name: "gw".to_owned(),
            dns: dns.iter().map(|host| (*host).to_owned()).collect(),
            ip: ip.iter().map(|ip| (*ip).to_owned()).collect(),
            ..Request::default()
        };
        server(&["gw.home.example", "localhost"], &["127.0.0.1", "::1"])
            .params("home.example", NOW, NOW.plus(DAY))
            .unwrap();
        for host in ["*.home.example", "", "a..b", "-a.example", "a b", "küche.example", "spiffe://x/y"] {
            refused(&server(&[host], &[]));
        }
        for address in ["localhost", "1.2.3", "::g", ""] {
            refused(&server(&[], &[address]));
        }
        refused(&server(&[], &[]));
    }
}
