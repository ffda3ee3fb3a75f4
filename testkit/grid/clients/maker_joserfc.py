"""How PyPI joserfc signs: whole tokens as it makes them, and odd ones whose parts are written by hand and signed by its algorithms."""

import base64
import json
import time
import uuid
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

ISSUER, AUDIENCE = "https://idp.grid.example", "https://gateway.grid.example"
ALL = list(JWSRegistry.algorithms)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text(part: dict | bytes | str) -> bytes:
    """A part of a token as it is to stand there."""
    if isinstance(part, dict):
        return json.dumps(part).encode()
    return part.encode() if isinstance(part, str) else part


def left_over(part: str) -> str:
    """The same bytes, written with bits that mean nothing."""
    assert len(part) % 4 in (2, 3), "no bits are left over"
    return part[:-1] + LETTERS[LETTERS.index(part[-1]) + 1]


class Maker:
    def __init__(self, folder: Path, canary: str) -> None:
        held = KeySet.import_key_set(json.loads((folder / "private-joserfc.json").read_text()))
        self.keys = {key.kid: key for key in held.keys}
        self.published = {key["kid"]: key for key in json.loads((folder / "jwks-joserfc.json").read_text())["keys"]}
        self.canary = canary

    def claims(self, **changes) -> dict:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "app", "iat": now, "exp": now + 300,
                  "jti": str(uuid.uuid4()), "scope": "a2a:*:*"}
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    def head(self, **changes) -> dict:
        head = {"alg": "ES256", "typ": "at+jwt", "kid": "es256", **changes}
        return {name: value for name, value in head.items() if value is not None}

    def token(self, algorithm: str = "ES256", kid: str = "es256", key=None, header: dict | None = None, **changes) -> str:
        """As the library makes it."""
        head = self.head(**({"alg": algorithm, "kid": kid} | (header or {})))
        if set(head) - {"alg", "typ", "kid", "jwk", "jku", "x5c", "x5u", "cty"}:
            return self.raw(head, self.claims(**changes), algorithm, key or self.keys[kid])
        return jwt.encode(head, self.claims(**changes), key or self.keys[kid], algorithms=ALL)

    def raw(self, header, claims, algorithm: str = "ES256", key=None, parts=lambda part: encoded(part), ends=encoded) -> str:
        """A token of these parts to the byte, with a true signature; `parts` and `ends` write parts and signature."""
        signed = f"{parts(text(header))}.{parts(text(claims))}"
        return f"{signed}.{ends(self.sign(signed.encode(), algorithm, key))}"

    def sign(self, signed: bytes, algorithm: str = "ES256", key=None) -> bytes:
        return JWSRegistry.algorithms[algorithm].sign(signed, key or self.keys["es256"])
