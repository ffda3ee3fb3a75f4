//! The egress guard, by a table of the forms in which an address may come.

use std::net::SocketAddr;

use moongate_config::Prefix;
use moongate_core::Code;
use moongate_core::seam::Egress;
use moongate_identity::EgressGuard;
use proptest::prelude::*;

fn guard(allow: &[&str]) -> EgressGuard {
    EgressGuard::new(allow.iter().map(|text| text.parse::<Prefix>().unwrap()).collect())
}

/// URLs that no stranger may name, each with why.
const REFUSED: &[(&str, &str)] = &[
    // schemes and forms
    ("http://public.example/", "plain http"),
    ("http://public.example:443/", "plain http on the port of https"),
    ("ftp://public.example/", "another scheme"),
    ("file:///etc/passwd", "a file"),
    ("gopher://public.example/", "another scheme"),
    ("javascript:alert(1)", "no host"),
    ("data:text/plain,x", "no host"),
    ("//public.example/", "no scheme"),
    ("/hook", "no host"),
    ("", "nothing"),
    ("https://", "no host"),
    ("https:///hook", "no host"),
    ("https:public.example/", "no slashes"),
    (" https://public.example/", "a space before"),
    ("https://public.example/ ", "a space after"),
    ("https://public.example/a b", "a space inside"),
    ("https://public.example/\thook", "a tab"),
    ("https://public.example/\r\nx: y", "a line break"),
    ("https://public\u{0}.example/", "a zero"),
    // ports
    ("https://public.example:80/", "another port"),
    ("https://public.example:22/", "another port"),
    ("https://public.example:6379/", "another port"),
    ("https://public.example:0/", "no port"),
    ("https://public.example:/", "an empty port"),
    ("https://public.example:65979/", "443 modulo 65536"),
    ("https://public.example:+443/", "a sign"),
    ("https://public.example:443x/", "no number"),
    // user names and separators
    ("https://user@public.example/", "a user name"),
    ("https://user:password@public.example/", "a password"),
    ("https://public.example@127.0.0.1/", "a user name that looks like the host"),
    ("https://public.example:443@127.0.0.1/", "the same with a port"),
    ("https://127.0.0.1\\@public.example/", "a backslash"),
    ("https:\\\\public.example\\", "backslashes"),
    ("https://public.example\\.evil.example/", "a backslash in the host"),
    ("https://public.example%2f@127.0.0.1/", "a user name with an escape"),
    ("https://127.0.0.1%00.public.example/", "an escape in the host"),
    ("https://%31%32%37.0.0.1/", "an escaped address"),
    ("https://public.example,127.0.0.1/", "a comma in the host"),
    ("https://public..example/", "an empty label"),
    ("https://.public.example/", "an empty label"),
    // this machine by name
    ("https://localhost/", "localhost"),
    ("https://LOCALHOST/", "localhost in capitals"),
    ("https://localhost./", "localhost with a dot"),
    ("https://a.localhost/", "under localhost"),
    // IPv4 and its odd forms
    ("https://127.0.0.1/", "loopback"),
    ("https://127.0.0.1:8443/", "loopback"),
    ("https://127.1/", "short"),
    ("https://127.0.1/", "short"),
    ("https://2130706433/", "decimal"),
    ("https://0x7f000001/", "hexadecimal"),
    ("https://0x7f.0.0.1/", "hexadecimal part"),
    ("https://0X7F.0x0.0x0.0x1/", "hexadecimal parts"),
    ("https://017700000001/", "octal"),
    ("https://0177.0.0.1/", "octal part"),
    ("https://0177.0.0.01/", "octal parts"),
    ("https://127.0.0.1./", "a dot after"),
    ("https://127.0.0.256/", "out of range"),
    ("https://8.8.8.8.8/", "five parts"),
    ("https://0x/", "an empty hexadecimal number"),
    ("https://a.0x7f/", "a last label that is a number"),
    ("https://\u{ff11}\u{ff12}\u{ff17}.0.0.1/", "full-width digits"),
    ("https://127\u{3002}0\u{3002}0\u{3002}1/", "ideographic dots"),
    ("https://\u{24ea}.0.0.0/", "circled digits"),
    ("https://b\u{fc}cher.example/", "not punycode"),
    ("https://0.0.0.0/", "this network"),
    ("https://10.0.0.1/", "private"),
    ("https://100.64.0.1/", "a carrier's"),
    ("https://100.100.100.200/", "metadata"),
    ("https://169.254.169.254/latest/meta-data/", "metadata"),
    ("https://168.63.129.16/", "metadata"),
    ("https://172.16.0.1/", "private"),
    ("https://172.31.255.255/", "private"),
    ("https://192.0.0.8/", "reserved"),
    ("https://192.0.2.1/", "documentation"),
    ("https://192.88.99.1/", "6to4 relays"),
    ("https://192.168.1.1/", "private"),
    ("https://198.18.0.1/", "benchmarks"),
    ("https://198.51.100.1/", "documentation"),
    ("https://203.0.113.1/", "documentation"),
    ("https://224.0.0.1/", "multicast"),
    ("https://255.255.255.255/", "broadcast"),
    // IPv6
    ("https://[::]/", "unspecified"),
    ("https://[::1]/", "loopback"),
    ("https://[0:0:0:0:0:0:0:1]/", "loopback, long"),
    ("https://[::ffff:127.0.0.1]/", "mapped"),
    ("https://[::ffff:7f00:1]/", "mapped, in hexadecimal"),
    ("https://[::127.0.0.1]/", "compatible"),
    ("https://[64:ff9b::127.0.0.1]/", "NAT64"),
    ("https://[64:ff9b::a9fe:a9fe]/", "NAT64 to metadata"),
    ("https://[64:ff9b:1::1]/", "local NAT64"),
    ("https://[2002:7f00:1::]/", "6to4"),
    ("https://[2002:c0a8:101::1]/", "6to4 to a private network"),
    ("https://[2001::1]/", "Teredo"),
    ("https://[2001:db8::1]/", "documentation"),
    ("https://[3fff::1]/", "documentation"),
    ("https://[fc00::1]/", "private"),
    ("https://[fd00:ec2::254]/", "metadata"),
    ("https://[fe80::1]/", "link"),
    ("https://[fe80::1%25eth0]/", "link with a zone"),
    ("https://[fec0::1]/", "site"),
    ("https://[ff02::1]/", "multicast"),
    ("https://[100::1]/", "discard"),
    ("https://[5f00::1]/", "segment routing"),
    ("https://[::1/", "no closing bracket"),
    ("https://[::1]x:443/", "something after the bracket"),
    ("https://[v1.fe80]/", "a future form"),
    ("https://::1/", "no brackets"),
];

/// URLs that a stranger may name.
const ACCEPTED: &[&str] = &[
    "https://public.example/",
    "https://public.example",
    "https://public.example:443/hook?token=a@b#part",
    "https://public.example:8443/",
    "HTTPS://Public.Example/",
    "https://public.example./",
    "https://xn--bcher-kva.example/",
    "https://a_b.example/",
    "https://1.example/",
    "https://8.8.8.8/",
    "https://172.32.0.1/",
    "https://100.63.255.255/",
    "https://[2606:4700::1111]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[64:ff9b::8.8.8.8]/",
    "https://[2002:808:808::1]/",
    "https://public.example/redirect?to=http://127.0.0.1/",
];

#[test]
fn urls_that_lead_inside_or_could_be_read_in_two_ways_are_refused() {
    assert!(REFUSED.len() >= 60);
    let guard = guard(&[]);
    let passed: Vec<_> = REFUSED.iter().filter(|(url, _)| guard.judge_url(url).is_ok()).collect();
    assert!(passed.is_empty(), "{passed:#?}");
    for (url, _) in REFUSED {
        assert_eq!(guard.judge_url(url).unwrap_err().code, Code::EgressRefused);
    }
}

#[test]
fn public_urls_pass() {
    let guard = guard(&[]);
    let refused: Vec<_> = ACCEPTED.iter().filter_map(|url| Some((url, guard.judge_url(url).err()?))).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn an_allowed_range_allows_http_and_any_port_there_and_nowhere_else() {
    let guard = guard(&["127.0.0.0/8", "192.168.1.0/24"]);
    for url in [
        "http://127.0.0.1:9001/",
        "http://192.168.1.20/hook",
        "https://[::ffff:127.0.0.1]:9/",
        "http://localhost:9001/",
    ] {
        guard.judge_url(url).unwrap();
    }
    for url in [
        "http://192.168.2.20/",
        "https://10.0.0.1/",
        "http://8.8.8.8/",
        "https://8.8.8.8:22/",
        "http://[::1]/",
        "http://127.1/",
    ] {
        assert!(guard.judge_url(url).is_err(), "{url}");
    }
}

#[test]
fn every_address_of_a_name_is_judged_on_its_own() {
    let guard = guard(&["192.168.1.0/24"]);
    // A name may lead into the allowed range, so its URL passes; its addresses decide.
    guard.judge_url("http://lamp.example:9001/").unwrap();
    let allows = |address: &str, secure| guard.allows(address.parse::<SocketAddr>().unwrap(), secure);
    assert!(allows("192.168.1.7:9001", false));
    assert!(allows("[::ffff:192.168.1.7]:9001", false));
    assert!(allows("8.8.8.8:443", true));
    for (address, secure) in [
        ("8.8.8.8:443", false),
        ("8.8.8.8:9001", true),
        ("192.168.2.7:443", true),
        ("127.0.0.1:443", true),
        ("[::1]:443", true),
        ("[::ffff:10.0.0.1]:443", true),
        ("[64:ff9b::10.0.0.1]:443", true),
    ] {
        assert!(!allows(address, secure), "{address}");
    }
}

#[test]
fn metadata_services_want_to_be_named_exactly() {
    let metadata: SocketAddr = "169.254.169.254:80".parse().unwrap();
    assert!(!guard(&["0.0.0.0/0"]).allows(metadata, false));
    assert!(!guard(&["169.254.0.0/16"]).allows(metadata, false));
    assert!(guard(&["169.254.169.254/32"]).allows(metadata, false));
}

#[test]
fn our_own_listeners_are_refused_inside_an_allowed_range() {
    let guard = guard(&["127.0.0.0/8", "::1/128"])
        .without_own(["127.0.0.1:7444".parse().unwrap(), "[::]:7443".parse().unwrap()]);
    assert!(guard.judge_url("http://127.0.0.1:7444/api/v1/agents").is_err());
    assert!(guard.judge_url("http://[::ffff:127.0.0.1]:7444/").is_err());
    assert!(guard.judge_url("https://127.0.0.1:7443/").is_err());
    guard.judge_url("http://127.0.0.1:9001/").unwrap();
}

#[test]
fn a_name_leads_to_the_public_and_to_private_networks_and_nowhere_else() {
    let judged = |allow: &[&str], ip: &str| guard(allow).judge_named(ip.parse().unwrap()).is_ok();
    for ip in
        ["93.184.216.34", "192.168.1.7", "10.0.0.1", "100.64.3.3", "fd00::7", "2606:4700::1111", "::ffff:10.0.0.1"]
    {
        assert!(judged(&[], ip), "{ip}");
    }
    let inside = [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "169.254.0.9",
        "::ffff:169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "192.0.2.1",
    ];
    for ip in inside {
        assert!(!judged(&["10.0.0.0/8", "100.64.0.0/10"], ip), "{ip}");
    }
    assert!(judged(&["127.0.0.1/32"], "::ffff:127.0.0.1") && !judged(&["127.0.0.1/32"], "127.0.0.2"));
    assert!(!judged(&["169.254.0.0/16"], "169.254.169.254"), "a metadata service must be meant alone");
    assert!(judged(&["169.254.169.254/32"], "169.254.169.254"));
}

#[test]
fn the_reason_names_the_rule_and_not_the_url() {
    let problem = guard(&[]).judge_url("https://10.0.0.1/secret-token").unwrap_err();
    assert!(problem.detail.contains("private network"), "{problem}");
    assert!(!problem.detail.contains("secret-token"), "{problem}");
}

proptest! {
    #[test]
    fn no_text_makes_the_guard_fail(url in "\\PC{0,80}") {
        let _ = guard(&["10.0.0.0/8"]).judge_url(&url);
    }

    #[test]
    fn a_literal_is_judged_as_its_address_is(octets: [u8; 4], mapped: bool) {
        let [a, b, c, d] = octets;
        let (url, address) = if mapped {
            (format!("https://[::ffff:{a}.{b}.{c}.{d}]/"), format!("[::ffff:{a}.{b}.{c}.{d}]:443"))
        } else {
            (format!("https://{a}.{b}.{c}.{d}/"), format!("{a}.{b}.{c}.{d}:443"))
        };
        let guard = guard(&[]);
        prop_assert_eq!(guard.judge_url(&url).is_ok(), guard.allows(address.parse().unwrap(), true));
        let private = std::net::Ipv4Addr::from(octets);
        if private.is_private() || private.is_loopback() || private.is_link_local() || private.is_multicast() {
            prop_assert!(guard.judge_url(&url).is_err());
        }
    }
}
