//! The rows about callers of other machines.

use super::Effect::Applied;
use super::table::{key, open};
use super::{Kind, Section};

pub(crate) static ISSUER: Section = Section {
    name: "issuers",
    doc: "An issuer of access tokens (RFC 9068), such as an identity provider. Whoever sends a token that holds may do what the token's scopes and `scopes` both allow. Callers of other machines need such a token, or a client certificate.",
    keys: &[
        open("name", Kind::Text, "\"idp\"", Applied, "What it is called here; the names of its callers begin with it."),
        open("issuer", Kind::Url, "\"https://idp.home.example\"", Applied, "The claim `iss` of its tokens, exactly."),
        open(
            "jwks",
            Kind::Text,
            "\"https://idp.home.example/jwks\"",
            Applied,
            "Its public keys: an https URL (http on loopback), or the path of a file.",
        ),
        open(
            "audience",
            Kind::Texts,
            "[\"https://agents.home.example\"]",
            Applied,
            "Of these its tokens must name one in the claim `aud`.",
        ),
        open(
            "scopes",
            Kind::Texts,
            "[\"a2a:*:send\", \"a2a:*:get\"]",
            Applied,
            "What its tokens may give at most: `a2a:SKILL:VERB` with the verbs send, get, list, cancel, subscribe and push; `*` is any skill or verb. Scopes that agents' cards demand for a skill are named as they stand there.",
        ),
        open(
            "domain",
            Kind::Text,
            "\"car.example\"",
            Applied,
            "The trust domain of its callers, if it is not this gateway's. Their tokens count only on connections with a client certificate of that domain ([[peers]]).",
        ),
        key(
            "algorithms",
            Kind::Texts,
            "[\"ES256\", \"EdDSA\"]",
            Applied,
            "The algorithms that it signs with: of ES256, ES384, EdDSA, PS256 and RS256.",
        ),
    ],
};

pub(crate) static PEER: Section = Section {
    name: "peers",
    doc: "A trust domain whose client certificates are accepted (mutual TLS). A certificate names its domain by one URI, spiffe://DOMAIN/PATH, and only the authorities of that domain's `bundle` may vouch for it. Callers of other domains need one, whatever else they have.",
    keys: &[
        open("domain", Kind::Text, "\"car.example\"", Applied, "The trust domain."),
        open(
            "bundle",
            Kind::Path,
            "\"peers/car.example.pem\"",
            Applied,
            "A PEM file with the certificates of its authorities.",
        ),
        open(
            "scopes",
            Kind::Texts,
            "[\"a2a:route.plan:send\", \"a2a:route.plan:get\"]",
            Applied,
            "What its callers may do at most, as in [[issuers]]; nothing unless set.",
        ),
        open(
            "agents",
            Kind::Tables(&PEER_AGENT),
            "[{ spiffe = \"spiffe://car.example/radio\", scopes = [\"a2a:route.plan:get\"] }]",
            Applied,
            "Agents of the domain that may do less. Others may do what the domain may.",
        ),
        open(
            "crl",
            Kind::Texts,
            "[\"http://ca.car.example/car.crl\"]",
            Applied,
            "Where its authorities' certificate revocation lists are: URLs (http too, as lists are signed) or paths of files.",
        ),
        key(
            "revocation",
            Kind::Word(&["hard", "soft", "off"]),
            "\"hard\"",
            Applied,
            "Whether revoked certificates are refused: `hard` refuses everybody of an authority whose list is missing or overdue; `soft` goes on with an overdue list for `grace_seconds`; `off` asks nobody, and a revoked certificate is accepted until it runs out.",
        ),
        key(
            "grace_seconds",
            Kind::Seconds(0.0, 2_678_400.0),
            "86400",
            Applied,
            "How long `soft` goes on with a list that should have been replaced.",
        ),
    ],
};

pub(crate) static PEER_AGENT: Section = Section {
    name: "peers.agents",
    doc: "One agent of a trust domain that may do less than the domain.",
    keys: &[
        open(
            "spiffe",
            Kind::Text,
            "\"spiffe://car.example/radio\"",
            Applied,
            "The id that its certificate names, of this domain.",
        ),
        open(
            "scopes",
            Kind::Texts,
            "[\"a2a:route.plan:get\"]",
            Applied,
            "What it may do: of the domain's `scopes` those that stand here too; nothing unless set.",
        ),
    ],
};

pub(crate) static DEVICE: Section = Section {
    name: "devices",
    doc: "A device of this domain that is known by the key of its client certificate, whoever signed that.",
    keys: &[
        open(
            "name",
            Kind::Text,
            "\"hall-panel\"",
            Applied,
            "What it is called; its requests are those of device/NAME.",
        ),
        open(
            "pin",
            Kind::Text,
            "\"sha256:q0r8bXLEMq2tmlxHWrrJVZXc7RCTKV0Z8d3RTr1ZxGo=\"",
            Applied,
            "SHA-256 of its public key (SubjectPublicKeyInfo), in base64 or hex.",
        ),
        open(
            "scopes",
            Kind::Texts,
            "[\"a2a:lights.set:send\"]",
            Applied,
            "What it may do, as in [[issuers]]; nothing unless set.",
        ),
    ],
};
