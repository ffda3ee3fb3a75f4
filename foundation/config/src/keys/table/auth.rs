//! The rows of `auth` in `[[agents]]`.

use super::{Applied, Key, Kind, Section, key, open};

/// What an agent is shown.
pub(crate) static AUTH: Section = Section {
    name: "agents.auth",
    doc: "What the gateway shows to the agent to be let in: one of `bearer`, `api_key`, `oauth` and `exchange`. What a caller sent never goes on.",
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
        open(
            "exchange",
            Kind::Table(&EXCHANGE),
            "",
            Applied,
            "Tokens of the agent's own authorization server for each caller (OAuth 2.0 token exchange).",
        ),
    ],
};

/// The gateway as a client of the agent's authorization server, whatever it asks for there.
const TOKEN_URL: Key = open(
    "token_url",
    Kind::Url,
    "\"https://idp.lights.example/token\"",
    Applied,
    "Its token endpoint: https, or http on loopback.",
);
const CLIENT_ID: Key = open("client_id", Kind::Text, "\"gateway\"", Applied, "Who the gateway is there.");
const CLIENT_SECRET: Key = open(
    "client_secret",
    Kind::Secret,
    "{ env = \"LIGHTS_SECRET\" }",
    Applied,
    "Its secret there, sent as the password of HTTP Basic.",
);
const PRIVATE_KEY: Key = open(
    "private_key",
    Kind::Path,
    "\"lights.key.pem\"",
    Applied,
    "In place of a secret, the private key that signs for it (`private_key_jwt`, RFC 7523): P-256, Ed25519 or RSA, in PEM.",
);
const KEY_ID: Key = open("key_id", Kind::Text, "\"gateway-1\"", Applied, "What the server calls that key (`kid`).");
const SCOPE: Key = open(
    "scope",
    Kind::Text,
    "\"lights.use\"",
    Applied,
    "What the token shall be good for; several with blanks between.",
);
const AUDIENCE: Key = open(
    "audience",
    Kind::Text,
    "\"https://lights.example\"",
    Applied,
    "Whom it is meant for, as some servers want it said.",
);
const RESOURCE: Key = open(
    "resource",
    Kind::Text,
    "\"https://lights.example/\"",
    Applied,
    "Whom it is meant for, in the words of RFC 8707.",
);

static OAUTH: Section = Section {
    name: "agents.auth.oauth",
    doc: "Tokens of the agent's own authorization server (RFC 6749 §4.4). The gateway proves itself there by `client_secret` or by \
          `private_key`.",
    keys: &[TOKEN_URL, CLIENT_ID, CLIENT_SECRET, PRIVATE_KEY, KEY_ID, SCOPE, AUDIENCE, RESOURCE],
};

static EXCHANGE: Section = Section {
    name: "agents.auth.exchange",
    doc: "Tokens of the agent's own authorization server for each caller (RFC 8693). The gateway proves itself there by \
          `client_secret` or by `private_key`; what comes must be an access token with the asked `scope`, or less.",
    keys: &[
        key(
            "subject",
            Kind::Word(&["token", "assertion"]),
            "\"token\"",
            Applied,
            "What is exchanged: `token`, the caller's own access token, which goes to `token_url` and nowhere else; or `assertion`, the gateway's signed word for whoever asks, which wants a `public_url`, and an authorization server that takes the keys at `/.well-known/jwks.json` for it.",
        ),
        TOKEN_URL,
        CLIENT_ID,
        CLIENT_SECRET,
        PRIVATE_KEY,
        KEY_ID,
        SCOPE,
        AUDIENCE,
        RESOURCE,
    ],
};
