//! The rows of `[[notify]]`.

use super::Effect::Applied;
use super::table::open;
use super::{Kind, Section};

pub(crate) static NOTIFY: Section = Section {
    name: "notify",
    doc: "A channel by which people learn that something waits for their yes: a title and a link, never what the requester said. See docs/guide/approvals.md.",
    keys: &[
        open("name", Kind::Text, "\"phone\"", Applied, "What it is called in the log, in numbers and in the status."),
        open("kind", Kind::Word(&["ntfy", "webhook", "mail", "mqtt", "push"]), "\"ntfy\"", Applied, "What it is."),
        open(
            "url",
            Kind::Text,
            "\"https://ntfy.home.example/doors\"",
            Applied,
            "Where it is: a topic of ntfy; a URL that takes JSON; a mail server as `smtps://host`; a broker as `mqtts://host`.",
        ),
        open("token", Kind::Secret, "\"${NTFY_TOKEN}\"", Applied, "Of `ntfy`: the access token."),
        open(
            "secret",
            Kind::Secret,
            "{ file = \"webhook.secret\" }",
            Applied,
            "Of `webhook`: signs each message (Standard Webhooks), as `whsec_` and 24 to 64 bytes in base64.",
        ),
        open(
            "user",
            Kind::Text,
            "\"gate@home.example\"",
            Applied,
            "Of `mail` and `mqtt`: the name there, with `password`.",
        ),
        open(
            "password",
            Kind::Secret,
            "{ file = \"mail.password\" }",
            Applied,
            "Of `mail` and `mqtt`: the password that goes with `user`.",
        ),
        open("from", Kind::Text, "\"gate@home.example\"", Applied, "Of `mail`: the address that letters are from."),
        open("to", Kind::Texts, "[\"ann@home.example\"]", Applied, "Of `mail`: whom letters are written to."),
        open(
            "topic",
            Kind::Text,
            "\"home/moongate\"",
            Applied,
            "Of `mqtt`: events go to TOPIC/approval, the number of open questions to TOPIC/open.",
        ),
        open(
            "services",
            Kind::Texts,
            "[\"fcm.googleapis.com\", \"*.push.services.mozilla.com\"]",
            Applied,
            "Of `push`: the push services that browsers may name; those of Chrome, Firefox, Safari and Edge unless set.",
        ),
        open(
            "contact",
            Kind::Text,
            "\"mailto:ann@home.example\"",
            Applied,
            "Of `push`: whom a push service writes to in case of trouble; `public_url` unless set.",
        ),
        open(
            "insecure",
            Kind::Flag,
            "true",
            Applied,
            "Allows clear text to another machine of a private, trusted network.",
        ),
        open(
            "class",
            Kind::Word(&["sensitive", "critical"]),
            "\"critical\"",
            Applied,
            "Tells of questions of this class only; of both unless set.",
        ),
        open(
            "rules",
            Kind::Texts,
            "[\"doors\"]",
            Applied,
            "Tells of questions of these [[policy]] rules only, by their names; of all unless set.",
        ),
    ],
};
