//! A strict reading of URLs: what two parsers could read in two ways is no URL here.
//!
//! Browsers forgive a lot (WHATWG URL): backslashes, tabs, full-width digits, `0x7f.1`. A stranger's URL needs none of
//! it, and each is a way to make the judge see another host than the caller of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a URL leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) secure: bool,
    pub(super) host: Host,
    pub(super) port: u16,
}

/// What the host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Address(IpAddr),
    /// `localhost` and what lies under it (RFC 6761 §6.3).
    Local,
    Name,
}

pub(super) fn parse(text: &str) -> Result<Target, &'static str> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            "it has characters beyond printable ASCII; write the host in punycode and the rest in percent-encoding",
        );
    }
    if text.contains('\\') {
        return Err("it has a backslash");
    }
    let (scheme, rest) = text.split_once("://").ok_or("it is not an absolute URL")?;
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return Err("its scheme is not https"),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or_default();
    if authority.contains('@') {
        return Err("it has a user name");
    }
    let (host, port) = split(authority)?;
    Ok(Target { secure, host: classify(host)?, port: number(port, secure)? })
}

fn split(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or("its host has no closing bracket")?;
        let (host, rest) = authority.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("something stands between its host and port"),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn number(port: Option<&str>, secure: bool) -> Result<u16, &'static str> {
    let Some(text) = port else { return Ok(if secure { 443 } else { 80 }) };
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if digits { text.parse().ok().filter(|port| *port != 0) } else { None };
    port.ok_or("its port is not a number from 1 to 65535")
}

fn classify(host: &str) -> Result<Host, &'static str> {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| "its host is not an IPv6 address")?;
        return Ok(Host::Address(IpAddr::V6(address)));
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let labels_fit = name.split('.').all(|label| !label.is_empty() && label.len() <= 63);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if name.len() > 253 || !labels_fit || !name.bytes().all(plain) {
        return Err("its host is not a name");
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if looks_like_a_number(last) {
        // Strict: four decimal numbers without leading zeros, and no dot after them.
        let address: Ipv4Addr = host.parse().map_err(|_| "its host is an IPv4 address in an odd form")?;
        return Ok(Host::Address(IpAddr::V4(address)));
    }
    Ok(if last == "localhost" { Host::Local } else { Host::Name })
}

/// As parsers that follow inet_aton see it: `1`, `0177`, `0x7f`, `0x`.
fn looks_like_a_number(label: &str) -> bool {
    label.bytes().all(|byte| byte.is_ascii_digit())
        || label.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
