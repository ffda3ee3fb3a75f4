//! Ranges of addresses in CIDR notation (RFC 4632, RFC 4291 §2.3).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of IPv4 or IPv6 addresses, as `10.0.0.0/8`. An address without a slash is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// A range of the addresses that share the first `length` bits of `address`.
    ///
    /// # Errors
    /// A sentence, if the length exceeds the family's or if bits after it are set.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, String> {
        let widest = if address.is_ipv4() { 32 } else { 128 };
        if length > widest {
            return Err(format!("the length of {address}/{length} is more than {widest}"));
        }
        let prefix = Self { address, length };
        let base = prefix.base();
        if base == address {
            Ok(prefix)
        } else {
            Err(format!("{address}/{length} has bits set after the prefix; the range begins at {base}/{length}"))
        }
    }

    /// The first address of the range.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits count.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether the range holds the address. Families never mix: an IPv4 range holds no mapped IPv6 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                u32::from(own) & mask32(self.length) == u32::from(other) & mask32(self.length)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                u128::from(own) & mask128(self.length) == u128::from(other) & mask128(self.length)
            }
            _ => false,
        }
    }

    fn base(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(own) => IpAddr::V4((u32::from(own) & mask32(self.length)).into()),
            IpAddr::V6(own) => IpAddr::V6((u128::from(own) & mask128(self.length)).into()),
        }
    }
}

fn mask32(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0)
}

fn mask128(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0)
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr =
            address.parse().map_err(|_| format!("{text:?} is not a range of addresses, as 10.0.0.0/8 or fd00::/8"))?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => widest,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| format!("the length of {text:?} is more than {widest}"))?
            }
            Some(_) => return Err(format!("{text:?} has no number after the slash")),
        };
        Self::new(address, length)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(prefix: &str, address: &str) -> bool {
        prefix.parse::<Prefix>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_range_holds_its_first_and_last_address_and_no_neighbour() {
        assert!(holds("10.0.0.0/8", "10.0.0.0") && holds("10.0.0.0/8", "10.255.255.255"));
        assert!(!holds("10.0.0.0/8", "9.255.255.255") && !holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("fd00::/8", "fdff::1") && !holds("fd00::/8", "fe00::1"));
        assert!(holds("0.0.0.0/0", "255.255.255.255") && holds("::/0", "ffff::"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
    }

    #[test]
    fn families_never_mix() {
        assert!(!holds("0.0.0.0/0", "::ffff:10.0.0.1"));
        assert!(!holds("::/0", "10.0.0.1"));
    }

    #[test]
    fn malformed_ranges_are_refused() {
        for text in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
            "10.0.0.1/8",
            "a/8",
            "1.2.3.4/999",
        ] {
            assert!(text.parse::<Prefix>().is_err(), "{text:?}");
        }
        let error = "10.1.2.3/8".parse::<Prefix>().unwrap_err();
        assert!(error.contains("10.0.0.0/8"), "{error}");
    }

    #[test]
    fn printing_and_parsing_agree() {
        for text in ["10.0.0.0/8", "::1/128", "fd00::/8", "0.0.0.0/0"] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
    }
}
