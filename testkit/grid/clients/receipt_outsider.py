"""Whoever checks later what people said yes to: PyPI rfc8785 writes the document down, PyPI fido2 plays the site that a passkey answers,
and the program of the guide is run as it stands there. One JSON line a case: {case, ok, detail}.

Input is a JSON document on standard input: {questions: {yes, remembered, alike, critical}, shown, keys, origin, guide, folder}. The
questions are as the gateway shows them, `keys` the public keys that the authenticator itself holds, by credential: what the receipts
say of keys is the gateway's word and is checked against those.
"""

import base64
import copy
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from fido2.cose import ES256, EdDSA
from fido2.server import Fido2Server
from fido2.webauthn import Aaguid, AttestedCredentialData, PublicKeyCredentialRpEntity

GIVEN = json.load(sys.stdin)
QUESTIONS, ORIGIN = GIVEN["questions"], GIVEN["origin"]
SIGNED = {"yes": "", "remembered": "remember=900", "critical": ""}
# What differs between two requests that are the very same but for their moment.
MOMENT = ("nonce", "created", "expires", "body_sha256")


def plain(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def written(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def own_key(credential: str) -> tuple[object, bytes]:
    """The authenticator's own key, and its bytes as receipts write keys."""
    key = load_pem_public_key(GIVEN["keys"][credential].encode())
    if isinstance(key, ec.EllipticCurvePublicKey):
        return ES256.from_cryptography_key(key), key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return EdDSA.from_cryptography_key(key), key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def hashed(question: dict) -> bytes:
    return hashlib.sha256(rfc8785.dumps(question["document"])).digest()


def challenge(question: dict, more: str) -> bytes:
    return hashlib.sha256(hashed(question) + question["document"]["nonce"].encode() + more.encode()).digest()


def holds(question: dict, more: str, origin: str = ORIGIN) -> str:
    """Nothing, or what a WebAuthn server says against the first receipt."""
    signed = question["receipts"][0]["signed"]
    site = PublicKeyCredentialRpEntity(name="home", id=urlsplit(origin).hostname)
    server = Fido2Server(site, verify_origin=lambda one: one == origin)
    key, _ = own_key(signed["credential"])
    known = AttestedCredentialData.create(Aaguid(bytes(16)), plain(signed["credential"]), key)
    members = {"clientDataJSON": "client_data", "authenticatorData": "authenticator_data", "signature": "signature"}
    answer = {
        "id": signed["credential"], "rawId": signed["credential"], "type": "public-key", "clientExtensionResults": {},
        "response": {theirs: signed[ours] for theirs, ours in members.items()},
    }
    state = {"challenge": written(challenge(question, more)), "user_verification": "required"}
    try:
        server.authenticate_complete(state, [known], answer)
    except ValueError as why:
        return str(why)
    return ""


def changed(question: dict, change) -> dict:
    """The question as a liar shows it, with the hash put right."""
    other = copy.deepcopy(question)
    change(other)
    other["hash"] = hashed(other).hex()
    return other


def same(question: dict) -> dict:
    """The document without what belongs to its moment."""
    document = {name: member for name, member in copy.deepcopy(question["document"]).items() if name not in MOMENT}
    document["target"].pop("task")
    document["params"]["message"].pop("messageId")
    return document


def by_the_guide(question: dict, *words: str) -> tuple[bool, str]:
    """Whether the guide's program is content, and what it prints."""
    folder = Path(GIVEN["folder"])
    program, shown = folder / "check_receipt.py", folder / "question.json"
    program.write_text(GIVEN["guide"])
    shown.write_text(json.dumps(question))
    command = [sys.executable, "-I", program, shown, *(words or (ORIGIN,))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def lies(name: str) -> dict[str, dict]:
    """A yes, each time with something else than what was signed."""
    yes, signed = QUESTIONS[name], QUESTIONS[name]["receipts"][0]["signed"]
    others = next(QUESTIONS[other]["receipts"] for other in SIGNED if other != name)

    def flipped(member: str, place: int) -> str:
        raw = bytearray(plain(signed[member]))
        raw[place] ^= 1
        return written(bytes(raw))

    def of(**members: str):
        return lambda other: other["receipts"][0]["signed"].update(members)

    return {
        "words": changed(yes, lambda other: other["document"]["params"]["message"]["parts"][0].update(text="let the burglar in")),
        "requester": changed(yes, lambda other: other["document"].update(requester="home:alice")),
        "nonce": changed(yes, lambda other: other["document"].update(nonce="0" * 32)),
        "signature": changed(yes, of(signature=flipped("signature", -1))),
        "signature of another yes": changed(yes, of(signature=others[0]["signed"]["signature"])),
        "counter": changed(yes, of(authenticator_data=flipped("authenticator_data", -1))),
        "flags": changed(yes, of(authenticator_data=flipped("authenticator_data", 32))),
        "receipt of another yes": changed(yes, lambda other: other.update(receipts=others)),
    }


def forged(host: str = "", kind: str = "webauthn.get", flags: int = 5) -> dict:
    """A yes that a liar has signed with a key of his own, right in all but what is given."""
    yes, own = copy.deepcopy(QUESTIONS["yes"]), ec.generate_private_key(ec.SECP256R1())
    client = json.dumps({"type": kind, "challenge": written(challenge(yes, "")), "origin": ORIGIN}).encode()
    data = hashlib.sha256((host or urlsplit(ORIGIN).hostname).encode()).digest() + bytes((flags, 0, 0, 0, 1))
    point = own.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    signature = own.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
    yes["receipts"][0]["signed"].update(
        key={"algorithm": "ES256", "key": written(point)}, client_data=written(client), authenticator_data=written(data),
        signature=written(signature),
    )
    return yes


def cases():
    found = {name: (hashed(one).hex(), one["hash"]) for name, one in QUESTIONS.items()}
    yield "the hash is that of the document's canonical form", all(ours == theirs for ours, theirs in found.values()), found
    differ = {name for name, one in GIVEN["shown"].items() if one != QUESTIONS[name]}
    yield "the command line shows the very same", not differ and GIVEN["shown"].keys() == QUESTIONS.keys(), sorted(differ)
    for name in ("yes", "critical"):
        why = holds(QUESTIONS[name], SIGNED[name])
        means = [vote["means"] for vote in QUESTIONS[name]["votes"]]
        yield f"a passkey has signed just this ({name})", not why and means == ["passkey"], [why, means]
    whys = [holds(QUESTIONS["remembered"], more) for more in ("remember=900", "", "remember=901")]
    said = QUESTIONS["remembered"]["receipts"][0].get("remember_seconds")
    just = [not why for why in whys] == [True, False, False] and said == 900
    yield "a remembered yes was signed with its time, and none other", just, [whys, said]
    receipts = [QUESTIONS[name]["receipts"] for name in SIGNED]
    keys = [(one[0]["signed"]["key"]["key"], written(own_key(one[0]["signed"]["credential"])[1])) for one in receipts]
    kinds = {one[0]["signed"]["key"]["algorithm"] for one in receipts}
    own = all(len(one) == 1 for one in receipts) and all(told == held for told, held in keys)
    yield "a receipt holds the authenticator's own key, of either kind", own and kinds == {"EdDSA", "ES256"}, [keys, sorted(kinds)]
    alike, first = QUESTIONS["alike"], QUESTIONS["remembered"]
    leads = [one.get("remembered") for one in alike["receipts"]] == [first["id"]]
    yield "what was answered alike leads to what was signed, and is the same", leads and same(alike) == same(first), alike
    within = first["votes"][0]["at"] <= alike["votes"][0]["at"] <= first["votes"][0]["at"] + 900_000
    yield "and was asked within its time", within, [first["votes"], alike["votes"]]
    for name in ("yes", "critical"):
        whys = {what: holds(lie, "") for what, lie in lies(name).items()}
        yield f"whatever is changed is found ({name})", all(whys.values()), whys
    origins = ("https://evil.example", ORIGIN.replace("localhost", "127.0.0.1"))
    whys = {origin: holds(QUESTIONS["yes"], "", origin) for origin in origins}
    yield "another site's name and origin are found", all(whys.values()), whys
    why = holds(forged(), "")
    yield "somebody else's key is found by whoever knows the right one", why == "Invalid signature.", why
    yield "the guide's program says the same", *guided()


def guided() -> tuple[bool, object]:
    """That the guide's program takes what holds, and nothing else."""
    told = {name: by_the_guide(QUESTIONS[name]) for name in (*SIGNED, "alike")}
    refused = {f"{what} ({name})": by_the_guide(lie) for name in SIGNED for what, lie in lies(name).items()}
    yes, port = QUESTIONS["yes"], urlsplit(ORIGIN).port
    refused |= {what: by_the_guide(lie) for what, lie in {
        "hash": {**yes, "hash": "0" * 64}, "stale hash": {**yes, "document": lies("yes")["words"]["document"]},
        "too few": {**yes, "needed": 2}, "no receipt": {**yes, "receipts": []},
        "longer": changed(QUESTIONS["remembered"], lambda other: other["receipts"][0].update(remember_seconds=86400)),
        "host": forged(host="evil.example"), "kind": forged(kind="webauthn.create"), "not verified": forged(flags=1),
        "not there": forged(flags=4),
    }.items()}
    refused |= {one: by_the_guide(yes, one) for one in ("https://evil.example", ORIGIN.replace(f":{port}", ":1"))}
    # Without a key to compare with, a liar's own is as good: the guide says so.
    told["forged"] = by_the_guide(forged())
    # What was answered alike was signed elsewhere: the program names that question, and is not content with this one alone.
    leads = not told["alike"][0] and QUESTIONS["remembered"]["id"] in told["alike"][1]
    good = all(told[name][0] and "alice" in told[name][1] for name in (*SIGNED, "forged"))
    # A program that breaks down refuses nothing.
    broke = [text for _, text in (*told.values(), *refused.values()) if "Traceback" in text]
    return good and leads and not broke and not any(ok for ok, _ in refused.values()), [told, refused]


for name, passed, detail in cases():
    print(json.dumps({"case": name, "ok": bool(passed), "detail": "" if passed else json.dumps(detail)[:1500]}))
