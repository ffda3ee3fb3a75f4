//! URLs of the configuration: just enough of RFC 3986 to judge them before anything connects.

use std::net::IpAddr;

/// A URL in its parts, those that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) secure: bool,
    pub(crate) host: Host,
    pub(crate) port: Option<u16>,
    /// Whether anything follows the authority.
    pub(crate) path: bool,
}

/// Where a URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Name(String),
    Address(IpAddr),
}

/// How far away an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This machine.
    Loopback,
    /// A private network.
    Private,
    /// The internet.
    Public,
    /// A name, which only a look-up could tell.
    Unknown,
}

impl Url {
    /// An `http` or `https` URL.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::of(text, ("http", "https"))
    }

    /// A URL of a scheme for clear text, or of one for TLS.
    pub(crate) fn of(text: &str, (plain, tls): (&str, &str)) -> Result<Self, String> {
        let after = |scheme: &str| text.strip_prefix(scheme)?.strip_prefix("://");
        let (secure, rest) = match (after(tls), after(plain)) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(format!("it does not begin with {tls}:// or {plain}://")),
        };
        if let Some(bad) = text.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '\\') {
            return Err(format!("it contains {bad:?}"));
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("it contains a user name; use `authorization` for credentials".to_owned());
        }
        if text.contains('#') {
            return Err("it contains a fragment, `#…`".to_owned());
        }
        let (host, port) = split_port(authority)?;
        let number = |port: &str| {
            port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| format!("{port:?} is not a port"))
        };
        let port = port.map(number).transpose()?;
        Ok(Self { secure, host: parse_host(host)?, port, path: authority.len() < rest.len() })
    }

    pub(crate) fn reach(&self) -> Reach {
        match &self.host {
            Host::Name(name) if name == "localhost" || name.ends_with(".localhost") => Reach::Loopback,
            Host::Name(_) => Reach::Unknown,
            Host::Address(address) => reach(*address),
        }
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("its `[` is never closed")?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(format!("{after:?} follows the address")),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn parse_host(host: &str) -> Result<Host, String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(Host::Address(address));
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if !name.split('.').all(is_label) {
        return Err(format!("{host:?} is not a host name"));
    }
    if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x")) {
        return Err(format!("{host:?} is not an address; write IPv4 addresses as four decimal numbers"));
    }
    Ok(Host::Name(name))
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            if address.is_loopback() {
                Reach::Loopback
            } else if address.is_private() || address.is_link_local() || (first == 100 && second & 0xC0 == 64) {
                Reach::Private
            } else {
                Reach::Public
            }
        }
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => reach(IpAddr::V4(mapped)),
            None if address.is_loopback() => Reach::Loopback,
            None if address.is_unique_local() || address.is_unicast_link_local() => Reach::Private,
            None => Reach::Public,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reach_is_told_from_the_address() {
        for (url, expected) in [
            ("http://127.0.0.1:9001/x", Reach::Loopback),
            ("http://[::1]:9001", Reach::Loopback),
            ("http://localhost/", Reach::Loopback),
            ("http://10.1.2.3", Reach::Private),
            ("http://192.168.0.9:80/", Reach::Private),
            ("http://100.64.0.1", Reach::Private),
            ("http://100.128.0.1", Reach::Public),
            ("http://[fd00::1]/", Reach::Private),
            ("http://[::ffff:10.0.0.1]/", Reach::Private),
            ("http://8.8.8.8?x", Reach::Public),
            ("https://agent.example", Reach::Unknown),
        ] {
            assert_eq!(Url::parse(url).unwrap().reach(), expected, "{url}");
        }
    }

    #[test]
    fn odd_urls_are_refused() {
        for url in [
            "",
            "ftp://a",
            "a.example",
            "http://",
            "http:///x",
            "https://a b/",
            "https://u:p@a/",
            "https://a:0/",
            "https://a:99999",
            "https://a:x/",
            "https://[::1/",
            "https://[::1]x/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://127.1/",
            "https://a/#b",
            "https://a..b/",
            "https://\u{e4}/",
        ] {
            assert!(Url::parse(url).is_err(), "{url}");
        }
    }
}
