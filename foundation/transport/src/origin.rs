//! Where an agent lives: scheme, host, port and the version of HTTP it is spoken to in.

use std::fmt;

use http::Uri;
use http::uri::Scheme;

/// One place to connect to. Equal origins share connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whether TLS is spoken.
    pub secure: bool,
    /// A name, an IPv4 address or an IPv6 address without brackets; lower case.
    pub host: String,
    /// The port.
    pub port: u16,
    /// HTTP/2 (over plaintext: with prior knowledge) instead of HTTP/1.1.
    pub h2: bool,
}

/// Why a URL names no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// It is not an absolute URL.
    #[error("not an absolute URL")]
    NotAbsolute,
    /// Its scheme is neither `http` nor `https`.
    #[error("the scheme is neither http nor https")]
    Scheme,
    /// It carries a user name.
    #[error("user names in URLs are not accepted")]
    UserInfo,
    /// The host is empty or has characters that no host has.
    #[error("the host is not a name or address in ASCII")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl Origin {
    /// The origin of an absolute URL; path and query are ignored.
    ///
    /// # Errors
    /// [`InvalidOrigin`] says what is wrong with the URL.
    pub fn parse(url: &str, h2: bool) -> Result<Self, InvalidOrigin> {
        let uri: Uri = url.parse().map_err(|_| InvalidOrigin::NotAbsolute)?;
        Self::of(&uri, h2)
    }

    pub(crate) fn of(uri: &Uri, h2: bool) -> Result<Self, InvalidOrigin> {
        let authority = uri.authority().ok_or(InvalidOrigin::NotAbsolute)?;
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(InvalidOrigin::Scheme),
        };
        if authority.as_str().contains('@') {
            return Err(InvalidOrigin::UserInfo);
        }
        let written = authority.host();
        let port = match authority.as_str().strip_prefix(written).ok_or(InvalidOrigin::Host)? {
            "" => {
                if secure {
                    443
                } else {
                    80
                }
            }
            text => number(text).ok_or(InvalidOrigin::Port)?,
        };
        Ok(Self { secure, host: host(written).ok_or(InvalidOrigin::Host)?, port, h2 })
    }

    /// `host`, or `host:port` if the port is not the scheme's own; IPv6 in brackets.
    pub fn authority(&self) -> String {
        let usual = if self.secure { 443 } else { 80 };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        if self.port == usual {
            format!("{open}{}{close}", self.host)
        } else {
            format!("{open}{}{close}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }
}

fn number(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(':')?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok().filter(|port| *port != 0) } else { None }
}

fn host(written: &str) -> Option<String> {
    if let Some(inner) = written.strip_prefix('[') {
        let address: std::net::Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (!written.is_empty() && written.bytes().all(plain)).then(|| written.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_give_their_origin() {
        let origin = Origin::parse("http://Lamp.local:9001/a2a?x=1", false).unwrap();
        assert_eq!(origin, Origin { secure: false, host: "lamp.local".into(), port: 9001, h2: false });
        assert_eq!(Origin::parse("https://[2001:DB8::1]/", true).unwrap().authority(), "[2001:db8::1]");
        assert_eq!(Origin::parse("https://a.example:443/", false).unwrap().to_string(), "https://a.example");
    }

    #[test]
    fn odd_urls_are_refused_with_their_reason() {
        let reason = |url| Origin::parse(url, false).unwrap_err();
        assert_eq!(reason("/a2a"), InvalidOrigin::NotAbsolute);
        assert_eq!(reason("ftp://a.example/"), InvalidOrigin::Scheme);
        assert_eq!(reason("http://user@a.example/"), InvalidOrigin::UserInfo);
        assert_eq!(reason("http://a.example:0/"), InvalidOrigin::Port);
        assert_eq!(reason("http://a.example:/"), InvalidOrigin::Port);
        assert_eq!(reason("http://a!b/"), InvalidOrigin::Host);
    }
}
