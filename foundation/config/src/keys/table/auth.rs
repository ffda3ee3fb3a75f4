//! The rows of `auth` in `[[agents]]`.

use super::{Applied, Kind, Section, open};

/// What an agent is shown.
pub(crate) static AUTH: Section = Section {
    name: "agents.auth",
    doc: "What the gateway shows to the agent to be let in: one of `bearer`, `api_key` and `oauth`. What a caller sent never goes on.",
    keys: &[
        open(
            "bearer",
            Kind::Secret,
            "{ env = \"LIGHTS_TOKEN\" }",
            Applied,
            "A token, sent as `Authorization: Bearer …`.",
        ),
        open("api_key", Kind::Secret, "{ env = \"LIGHTS_KEY\" }", Applied, "A key, sent in the header `header`."),
        open("header", Kind::Text, "\"X-API-Key\"", Applied, "The header of `api_key`; `X-API-Key` unless set."),
        open(
            "oauth",
            Kind::Table(&OAUTH),
            "",
            Applied,
            "Tokens of the agent's own authorization server, fetched when they are needed (OAuth 2.0 client credentials).",
        ),
    ],
};

static OAUTH: Section = Section {
    name: "agents.auth.oauth",
    doc: "Tokens of the agent's own authorization server (RFC 6749 §4.4). The gateway proves itself there by `client_secret` or by \
          `private_key`.",
    keys: &[
        open(
            "token_url",
            Kind::Url,
            "\"https://idp.lights.example/token\"",
            Applied,
            "Its token endpoint: https, or http on loopback.",
        ),
        open("client_id", Kind::Text, "\"gateway\"", Applied, "Who the gateway is there."),
        open(
            "client_secret",
            Kind::Secret,
            "{ env = \"LIGHTS_SECRET\" }",
            Applied,
            "Its secret there, sent as the password of HTTP Basic.",
        ),
        open(
            "private_key",
            Kind::Path,
            "\"lights.key.pem\"",
            Applied,
            "In place of a secret, the private key that signs for it (`private_key_jwt`, RFC 7523): P-256, Ed25519 or RSA, in PEM.",
        ),
        open("key_id", Kind::Text, "\"gateway-1\"", Applied, "What the server calls that key (`kid`)."),
        open(
            "scope",
            Kind::Text,
            "\"lights.use\"",
            Applied,
            "What the token shall be good for; several with blanks between.",
        ),
        open(
            "audience",
            Kind::Text,
            "\"https://lights.example\"",
            Applied,
            "Whom it is meant for, as some servers want it said.",
        ),
        open(
            "resource",
            Kind::Text,
            "\"https://lights.example/\"",
            Applied,
            "Whom it is meant for, in the words of RFC 8707.",
        ),
    ],
};
