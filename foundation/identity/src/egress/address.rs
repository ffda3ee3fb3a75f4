//! Which addresses are not the public network's: the special-purpose registries of IANA (RFC 6890 and its updates).
//!
//! Addresses that carry another inside are judged by the inner one: mapped (RFC 4291 §2.5.5.2), NAT64 (RFC 6052) and
//! 6to4 (RFC 3056).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const V4: [(Ipv4Addr, u32, &str); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "the address means this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, PRIVATE),
    (Ipv4Addr::new(100, 64, 0, 0), 10, CARRIER),
    (Ipv4Addr::new(127, 0, 0, 0), 8, LOOPBACK),
    (Ipv4Addr::new(168, 63, 129, 16), 32, METADATA),
    (Ipv4Addr::new(169, 254, 0, 0), 16, LINK),
    (Ipv4Addr::new(172, 16, 0, 0), 12, PRIVATE),
    (Ipv4Addr::new(192, 0, 0, 0), 24, RESERVED),
    (Ipv4Addr::new(192, 0, 2, 0), 24, EXAMPLE),
    (Ipv4Addr::new(192, 88, 99, 0), 24, RESERVED),
    (Ipv4Addr::new(192, 168, 0, 0), 16, PRIVATE),
    (Ipv4Addr::new(198, 18, 0, 0), 15, RESERVED),
    (Ipv4Addr::new(198, 51, 100, 0), 24, EXAMPLE),
    (Ipv4Addr::new(203, 0, 113, 0), 24, EXAMPLE),
    (Ipv4Addr::new(224, 0, 0, 0), 4, MULTICAST),
    (Ipv4Addr::new(240, 0, 0, 0), 4, RESERVED),
    (Ipv4Addr::new(255, 255, 255, 255), 32, RESERVED),
];

const V6: [(Ipv6Addr, u32, &str); 9] = [
    (Ipv6Addr::LOCALHOST, 128, LOOPBACK),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, PRIVATE),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, LINK),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, PRIVATE),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, MULTICAST),
    // Teredo, ORCHID, benchmarking and other protocol assignments.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, RESERVED),
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32, EXAMPLE),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, EXAMPLE),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, PRIVATE),
];

const PRIVATE: &str = "the address belongs to a private network";
const CARRIER: &str = "the address belongs to a carrier's inside";
const LOOPBACK: &str = "the address means this machine";
const LINK: &str = "the address belongs to the local link";
const MULTICAST: &str = "the address is a multicast address";
const EXAMPLE: &str = "the address is kept for documentation";
const RESERVED: &str = "the address is reserved";
const METADATA: &str = "the address is a cloud's metadata service";

/// An IPv4 address mapped into IPv6 as what it is; any other unchanged.
pub(super) fn plain(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Services that hand out credentials to whoever asks from the machine.
pub(super) fn metadata(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => matches!(ip.octets(), [169, 254, 169, 254] | [100, 100, 100, 200] | [168, 63, 129, 16]),
        IpAddr::V6(ip) => match ip.segments() {
            [0xfd00, 0xec2, ..] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] | [0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe] => {
                true
            }
            _ => within_v6(ip).is_some_and(|inner| metadata(IpAddr::V4(inner))),
        },
    }
}

/// The IPv4 address that NAT64 (RFC 6052) or 6to4 (RFC 3056) leads to.
fn within_v6(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let inner = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(inner(high, low)),
        _ => None,
    }
}

/// Why the address is not one of the public network; `None` if it is.
pub(super) fn reserved(ip: IpAddr) -> Option<&'static str> {
    match plain(ip) {
        IpAddr::V4(ip) => reserved_v4(ip),
        IpAddr::V6(ip) => reserved_v6(ip),
    }
}

/// Why no name should lead there, whoever chose it: what is neither the public network's nor a private one's.
pub(super) fn unnamed(ip: IpAddr) -> Option<&'static str> {
    let ip = plain(ip);
    if metadata(ip) { Some(METADATA) } else { reserved(ip).filter(|reason| ![PRIVATE, CARRIER].contains(reason)) }
}

fn reserved_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let own = u32::from(ip);
    let within = |base: Ipv4Addr, length: u32| (own ^ u32::from(base)).leading_zeros() >= length;
    V4.iter().find(|(base, length, _)| within(*base, *length)).map(|(_, _, reason)| *reason)
}

fn reserved_v6(ip: Ipv6Addr) -> Option<&'static str> {
    if let Some(inner) = within_v6(ip) {
        return reserved_v4(inner);
    }
    let own = u128::from(ip);
    let within = |base: Ipv6Addr, length: u32| (own ^ u128::from(base)).leading_zeros() >= length;
    if let Some((_, _, reason)) = V6.iter().find(|(base, length, _)| within(*base, *length)) {
        return Some(reason);
    }
    // Only 2000::/3 is given out (RFC 4291 §2.4).
    let [first, ..] = ip.segments();
    (first >> 13 != 1).then_some(RESERVED)
}
