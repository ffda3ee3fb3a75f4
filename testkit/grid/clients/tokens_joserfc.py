"""Access tokens made with PyPI joserfc: keys for the gateway to trust, and tokens for it to judge.

`keys --folder F` writes `private-joserfc.json` and the key set `jwks-joserfc.json`; `token --folder F` prints a good token. `make
--folder F --canary URL` prints good and hostile tokens, a JSON line for each: `{"kind": …, "good": …, "token": …}`. URLs in hostile
headers lead to the canary.
"""

import argparse
import json
from pathlib import Path

from hostile_joserfc import good, hostile
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from maker_joserfc import Maker


def make(kid: str) -> dict:
    return {"kid": kid, "use": "sig"}


def keys(folder: Path) -> None:
    made = [
        ECKey.generate_key("P-256", make("es256")), ECKey.generate_key("P-384", make("es384")),
        ECKey.generate_key("P-384", make("es384-too")), OKPKey.generate_key("Ed25519", make("eddsa")),
        RSAKey.generate_key(2048, make("rsa")), RSAKey.generate_key(1024, make("small")),
        ECKey.generate_key("P-521", make("es512")), ECKey.generate_key("P-256", make("enc")),
        ECKey.generate_key("P-256", make("derive")), OKPKey.generate_key("Ed448", make("ed448")),
        ECKey.generate_key("secp256k1", make("es256k")), ECKey.generate_key("P-256", make("of-joserfc")),
    ]
    held = KeySet(made)
    (folder / "private-joserfc.json").write_text(json.dumps(held.as_dict(private=True)))
    public = held.as_dict(private=False)
    for key in public["keys"]:
        if key["kid"] == "enc":
            key["use"] = "enc"
        if key["kid"] == "derive":
            del key["use"]
            key["key_ops"] = ["deriveKey"]
    (folder / "jwks-joserfc.json").write_text(json.dumps(public))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["keys", "token", "make"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--canary", default="")
    flags = parser.parse_args()
    if flags.what == "keys":
        keys(flags.folder)
        return
    maker = Maker(flags.folder, flags.canary)
    if flags.what == "token":
        print(maker.token("ES256", "es256"))
        return
    for kind, token in good(maker).items():
        print(json.dumps({"kind": kind, "good": True, "token": token}))
    for kind, tokens in hostile(maker).items():
        for token in tokens:
            print(json.dumps({"kind": kind, "good": False, "token": token}))


if __name__ == "__main__":
    main()
