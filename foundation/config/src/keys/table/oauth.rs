//! The rows of `[oauth]`.

use super::{Applied, DAY, Kind, Section, YEAR, key};

pub(super) static OAUTH: Section = Section {
    name: "oauth",
    doc: "The gateway's own authorization server (OAuth 2.0): on where this section stands, even if it is empty. Programs are registered with `moongate clients`. Its issuer is `public_url`, or the main listener's own address.",
    keys: &[
        key(
            "token_seconds",
            Kind::Seconds(60.0, DAY),
            "3600",
            Applied,
            "How long an access token is valid; a day at most.",
        ),
        key(
            "refresh_seconds",
            Kind::Seconds(300.0, YEAR),
            "2592000",
            Applied,
            "How long a program may go on after a person has let it in; then the person is asked again.",
        ),
        key(
            "device_seconds",
            Kind::Seconds(30.0, 600.0),
            "600",
            Applied,
            "How long a device waits until a person has typed its code.",
        ),
        key(
            "scopes",
            Kind::Texts,
            "[\"a2a:*:*\"]",
            Applied,
            "What its tokens may give at most: `a2a:SKILL:VERB` with the verbs send, get, list, cancel, subscribe and push; `*` is any skill or verb.",
        ),
    ],
};
