"""Access tokens made with PyPI joserfc: keys for the gateway to trust, and tokens for it to judge.

`keys --folder F` writes `private.json` and the key set `jwks.json`; `token --folder F` prints a good token. `check --folder F
--base URL` sends messages with good and hostile tokens to an agent at URL, and prints a JSON line for each: `{"case": …, "ok": …,
"detail": …}`.
"""

import argparse
import base64
import hashlib
import hmac
import json
import time
import uuid
from pathlib import Path

import httpx
from joserfc import jwe, jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

ISSUER, AUDIENCE = "https://idp.grid.example", "https://gateway.grid.example"
ALL = ["ES256", "ES384", "EdDSA", "PS256", "RS256", "ES512", "HS256", "none", "ES256K"]


def make(kid: str) -> dict:
    return {"kid": kid, "use": "sig"}


def keys(folder: Path) -> None:
    made = [
        ECKey.generate_key("P-256", make("es256")), ECKey.generate_key("P-384", make("es384")),
        OKPKey.generate_key("Ed25519", make("eddsa")), RSAKey.generate_key(2048, make("rsa")),
        RSAKey.generate_key(1024, make("small")), ECKey.generate_key("P-521", make("es512")),
        ECKey.generate_key("P-256", make("enc")),
    ]
    held = KeySet(made)
    (folder / "private.json").write_text(json.dumps(held.as_dict(private=True)))
    public = held.as_dict(private=False)
    for key in public["keys"]:
        if key["kid"] == "enc":
            key["use"] = "enc"
    (folder / "jwks.json").write_text(json.dumps(public))


def by_hand(header: dict, claims: dict, secret: bytes | None) -> str:
    """What the library refuses to make: a token without a signature, or one that a public key is the secret of."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.digest(secret, b".".join(parts), hashlib.sha256) if secret else b""
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


class Bench:
    def __init__(self, folder: Path, base: str) -> None:
        held = KeySet.import_key_set(json.loads((folder / "private.json").read_text()))
        self.keys = {key.kid: key for key in held.keys}
        self.base = base
        self.client = httpx.Client(timeout=20)

    def claims(self, **changes) -> dict:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "app", "iat": now, "exp": now + 300,
                  "jti": str(uuid.uuid4()), "scope": "a2a:*:*"}
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, algorithm: str, kid: str, key=None, header: dict | None = None, **changes) -> str:
        head = {"alg": algorithm, "typ": "at+jwt", "kid": kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        return jwt.encode(head, self.claims(**changes), key or self.keys[kid], algorithms=ALL)

    def send(self, token: str | None) -> tuple[int, dict]:
        message = {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": [{"text": "echo hello"}]}
        call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        headers = {"A2A-Version": "1.0"} | ({"Authorization": f"Bearer {token}"} if token is not None else {})
        answer = self.client.post(self.base, json=call, headers=headers)
        return answer.status_code, answer.json()


def good(bench: Bench) -> dict:
    return {
        "ES256": bench.token("ES256", "es256"), "ES384": bench.token("ES384", "es384"),
        "EdDSA": bench.token("EdDSA", "eddsa"), "PS256": bench.token("PS256", "rsa"),
        "RS256": bench.token("RS256", "rsa"),
        "several audiences": bench.token("ES256", "es256", aud=["https://other.example", AUDIENCE]),
        "typ in full": bench.token("ES256", "es256", header={"typ": "application/at+jwt"}),
        "a fraction of a second": bench.token("ES256", "es256", exp=time.time() + 200.5),
    }


def hostile(bench: Bench) -> dict:
    now = int(time.time())
    public = bench.keys["rsa"].as_pem(private=False)
    fresh = ECKey.generate_key("P-256", make("es256"))
    encrypted = jwe.encrypt_compact({"alg": "dir", "enc": "A128CBC-HS256"}, b"{}", OctKey.generate_key(256))
    return {
        "alg none": by_hand({"alg": "none", "typ": "at+jwt", "kid": "es256"}, bench.claims(), None),
        "HS256 with the public key as secret": by_hand(
            {"alg": "HS256", "typ": "at+jwt", "kid": "rsa"}, bench.claims(), public),
        "HS256": bench.token("HS256", "es256", key=OctKey.generate_key(256)),
        "ES512, which is not accepted": bench.token("ES512", "es512"),
        "a small RSA key": bench.token("RS256", "small"),
        "a key for encryption": bench.token("ES256", "enc"),
        "another key under a known id": bench.token("ES256", "es256", key=fresh),
        "a key of its own in the header": bench.token(
            "ES256", "es256", key=fresh, header={"jwk": fresh.as_dict(private=False)}),
        "a kid that is a path": bench.token("ES256", "es256", header={"kid": "../../../../dev/null"}),
        "a kid that is SQL": bench.token("ES256", "es256", header={"kid": "' OR '1'='1"}),
        "the key of another algorithm": bench.token("ES256", "es256", header={"kid": "rsa"}),
        "run out": bench.token("ES256", "es256", iat=now - 900, exp=now - 300),
        "not yet": bench.token("ES256", "es256", nbf=now + 300),
        "for a day and more": bench.token("ES256", "es256", exp=now + 90_000),
        "no end": bench.token("ES256", "es256", exp=None),
        "another audience": bench.token("ES256", "es256", aud="https://other.example"),
        "another issuer": bench.token("ES256", "es256", iss="https://idp.grid.example/"),
        "an id token": bench.token("ES256", "es256", header={"typ": "JWT"}),
        "no type": bench.token("ES256", "es256", header={"typ": None}),
        "a nested token": encrypted,
        "bound to a certificate": bench.token("ES256", "es256", cnf={"x5t#S256": "x"}),
        "nobody": bench.token("ES256", "es256", sub=None),
        "another's claims": ".".join(
            [*bench.token("ES256", "es256").split(".")[:1], bench.token("ES256", "es256", sub="root").split(".")[1],
             bench.token("ES256", "es256").split(".")[2]]),
    }


def check(folder: Path, base: str) -> None:
    bench = Bench(folder, base)

    def tell(case: str, ok: bool, detail: object) -> None:
        print(json.dumps({"case": case, "ok": ok, "detail": str(detail)[:300]}), flush=True)

    for name, token in good(bench).items():
        status, body = bench.send(token)
        state = body.get("result", {}).get("task", {}).get("status", {}).get("state")
        tell(f"good: {name}", status == 200 and state == "TASK_STATE_COMPLETED", body)
    for name, token in hostile(bench).items():
        status, body = bench.send(token)
        code = (body.get("error", {}).get("data") or [{}])[0].get("metadata", {}).get("code")
        tell(f"hostile: {name}", status == 401 and code == "MG-0401" and token not in json.dumps(body), body)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["keys", "token", "check"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--base")
    flags = parser.parse_args()
    if flags.what == "keys":
        keys(flags.folder)
    elif flags.what == "token":
        print(Bench(flags.folder, "").token("ES256", "es256"))
    else:
        check(flags.folder, flags.base)


if __name__ == "__main__":
    main()
