"""Signed cards of PyPI a2a-sdk: agents' cards that its signer signed, and its verifier on the cards of a gateway.

`serve` prints `READY PORT` and then serves, below /NAME, a card for each case, good and hostile, with the key set at
/jwks.json (and another one, of keys that do not count, at a port of its own). `cases --port N` prints what each is: a JSON line
`{"name", "good", "require"}`. `verify --root URL --agents a,b` reads the gateway's cards as a client does and prints a JSON line
for each check: `{"case", "ok", "detail"}`.
"""

import argparse
import asyncio
import base64
import json
import socket
from collections.abc import Callable

import httpx
import jwt
import uvicorn
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from google.protobuf.json_format import ParseDict
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from a2a.client import A2ACardResolver, ClientConfig, create_client
from a2a.client.errors import AgentCardResolutionError
from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.types.a2a_pb2 import (
    AgentCapabilities, AgentCard, AgentCardSignature, AgentExtension, AgentInterface, AgentSkill, GetExtendedAgentCardRequest,
    HTTPAuthSecurityScheme, MutualTlsSecurityScheme, SecurityRequirement, SecurityScheme, StringList,
)
from a2a.utils.signing import (
    InvalidSignaturesError, NoSignatureError, _canonicalize_agent_card, create_agent_card_signer, create_signature_verifier,
)

ALGORITHMS = ["ES256", "ES384", "EdDSA", "PS256", "RS256"]
CARD, KEYS = "/.well-known/agent-card.json", "/.well-known/jwks.json"


class Keys:
    """A key for each algorithm; the id of each is its algorithm."""

    def __init__(self) -> None:
        small = rsa.generate_private_key(65537, 2048)
        self.private = {
            "ES256": ec.generate_private_key(ec.SECP256R1()), "ES384": ec.generate_private_key(ec.SECP384R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(), "PS256": small, "RS256": small,
        }

    def pem(self, kid: str) -> bytes:
        return self.private[kid].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def public_pem(self, kid: str) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private[kid].public_key().public_bytes(serialization.Encoding.PEM, form)

    def jwks(self) -> dict:
        kinds = {"ES256": ECAlgorithm, "ES384": ECAlgorithm, "EdDSA": OKPAlgorithm, "PS256": RSAAlgorithm, "RS256": RSAAlgorithm}
        made = [(kid, json.loads(kinds[kid].to_jwk(key.public_key()))) for kid, key in self.private.items()]
        return {"keys": [{**jwk, "kid": kid, "use": "sig", "key_ops": ["verify"]} for kid, jwk in made]}


def plain(name: str, port: int) -> AgentCard:
    return AgentCard(
        name=name, description=f"The agent {name}.", version="1.0.0",
        supported_interfaces=[AgentInterface(url=f"http://127.0.0.1:{port}/{name}/", protocol_binding="JSONRPC",
                                             protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=True, push_notifications=False),
        default_input_modes=["text/plain"], default_output_modes=["text/plain"],
        skills=[AgentSkill(id=f"{name}.do", name="Do", description="Does it.", tags=["grid"])],
    )


def empty(card: AgentCard) -> None:
    """The library leaves required members out where they are empty; of these the gateway takes this."""
    del card.default_output_modes[:]
    card.icon_url = ""


def wide(card: AgentCard) -> None:
    card.description = "灯光 – é \U0001f4a1 \x7f \u2028 \"quoted\" \\ back\tslash"
    card.skills[0].examples.append("打开厨房的灯")


def rich(card: AgentCard) -> None:
    extension = AgentExtension(uri="https://grid.example/x", required=False)
    extension.params.update({
        "n": [1, 1.5, -0.0, 1e-7, 123456789.125, 0.1, 1e15], "empty": "", "nothing": None, "deep": {"list": [[], {}, ""], "b": False},
        "\ufb33": 1, "\U0001f600": 2, "é": 3,
    })
    card.capabilities.extensions.append(extension)
    card.capabilities.extended_agent_card = False
    card.documentation_url = "https://grid.example/docs"
    card.security_schemes["bearer"].CopyFrom(SecurityScheme(http_auth_security_scheme=HTTPAuthSecurityScheme(scheme="Bearer")))
    card.security_schemes["mtls"].CopyFrom(SecurityScheme(mtls_security_scheme=MutualTlsSecurityScheme()))
    card.security_requirements.append(SecurityRequirement(schemes={"bearer": StringList(list=["a"]), "mtls": StringList()}))
    card.skills[0].security_requirements.append(SecurityRequirement(schemes={"mtls": StringList()}))


def sign(card: AgentCard, keys: Keys, key: str, jku: str | None, **changes) -> None:
    header = {"alg": key, "kid": key, "typ": "JOSE", "jku": jku, **changes}
    create_agent_card_signer(keys.pem(key), {name: value for name, value in header.items() if value is not None})(card)


def by_hand(card: AgentCard, header: dict, make: Callable[[bytes], bytes]) -> None:
    """What the library refuses to make."""
    protected = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=")
    payload = base64.urlsafe_b64encode(_canonicalize_agent_card(card).encode()).rstrip(b"=")
    signature = base64.urlsafe_b64encode(make(protected + b"." + payload)).rstrip(b"=")
    card.signatures.append(AgentCardSignature(protected=protected.decode(), signature=signature.decode()))


def mac(key: bytes) -> Callable[[bytes], bytes]:
    def make(text: bytes) -> bytes:
        with_key = hmac.HMAC(key, hashes.SHA256())
        with_key.update(text)
        return with_key.finalize()
    return make


def cards(port: int, other_port: int) -> dict[str, tuple[bool, bool, dict]]:
    """By name: whether it has to be taken, whether its entry demands a signature, and the card as the library serves it."""
    jku, elsewhere = f"http://127.0.0.1:{port}/jwks.json", f"http://127.0.0.1:{other_port}/jwks.json"
    made: dict[str, tuple[bool, bool, dict]] = {}

    def add(name: str, good: bool, fill: Callable[[AgentCard], None] = lambda card: None,
            seal: Callable[[AgentCard], None] | None = None, spoil: Callable[[AgentCard], None] = lambda card: None,
            require: bool = False) -> None:
        card = plain(name, port)
        fill(card)
        (seal or (lambda card: sign(card, KEYS_OF_AGENTS, "ES256", jku)))(card)
        spoil(card)
        made[name] = (good, good or require, agent_card_to_dict(card))

    for algorithm in ALGORITHMS:
        add(f"good-{algorithm.lower()}", True, seal=lambda card, kid=algorithm: sign(card, KEYS_OF_AGENTS, kid, jku))
    add("good-empty", True, fill=empty)
    add("good-wide", True, fill=wide)
    add("good-rich", True, fill=rich)

    def twice(card: AgentCard) -> None:
        sign(card, STRANGERS, "ES256", elsewhere, kid="stranger")
        sign(card, KEYS_OF_AGENTS, "ES256", jku)
    add("good-second", True, seal=twice)
    add("good-jwt-typ", True, seal=lambda card: sign(card, KEYS_OF_AGENTS, "ES256", jku, typ="JWT"))

    def set_to(**members) -> Callable[[AgentCard], None]:
        def change(card: AgentCard) -> None:
            for name, value in members.items():
                setattr(card, name, value)
        return change
    add("bad-text", False, spoil=set_to(description="Another one."))
    add("bad-flag", False, spoil=lambda card: setattr(card.capabilities, "push_notifications", True))
    add("bad-unset", False, spoil=lambda card: card.capabilities.ClearField("push_notifications"))
    add("bad-skill", False, spoil=lambda card: card.skills.append(AgentSkill(id="x", name="x", description="x", tags=["x"])))
    add("bad-tenant", False, spoil=lambda card: setattr(card.supported_interfaces[0], "tenant", "other"))
    add("bad-key", False, seal=lambda card: sign(card, STRANGERS, "ES256", jku))
    add("bad-kid", False, seal=lambda card: sign(card, KEYS_OF_AGENTS, "ES256", jku, kid="nobody"))
    add("bad-kid-of-other", False, seal=lambda card: sign(card, KEYS_OF_AGENTS, "ES256", jku, kid="ES384"))
    add("bad-crit", False, seal=lambda card: by_hand(
        card, {"alg": "ES256", "kid": "ES256", "jku": jku, "crit": ["exp"]}, lambda text: b"\0" * 64))
    add("bad-none", False, seal=lambda card: by_hand(card, {"alg": "none", "kid": "ES256", "jku": jku}, lambda text: b""))
    add("bad-zeros", False, seal=lambda card: by_hand(
        card, {"alg": "ES256", "kid": "ES256", "jku": jku}, lambda text: b"\0" * 64))
    add("bad-hs256", False, seal=lambda card: by_hand(
        card, {"alg": "HS256", "kid": "RS256", "jku": jku}, mac(KEYS_OF_AGENTS.public_pem("RS256"))))
    add("bad-elsewhere", False, seal=lambda card: sign(card, STRANGERS, "ES256", elsewhere), require=True)
    add("bad-nowhere", False, seal=lambda card: sign(card, KEYS_OF_AGENTS, "ES256", None), require=True)
    add("bad-stripped", False, spoil=lambda card: card.ClearField("signatures"), require=True)
    return made


KEYS_OF_AGENTS, STRANGERS = Keys(), Keys()


def listen() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


async def serve() -> None:
    listener, other = listen(), listen()
    port, other_port = listener.getsockname()[1], other.getsockname()[1]
    asked: list[str] = []

    async def keys(request) -> JSONResponse:
        return JSONResponse(KEYS_OF_AGENTS.jwks())

    async def strangers(request) -> JSONResponse:
        asked.append(str(request.url))
        return JSONResponse(STRANGERS.jwks())

    made = cards(port, other_port)

    async def card(request) -> JSONResponse:
        return JSONResponse(made[request.path_params["name"]][2])

    async def cases(request) -> JSONResponse:
        return JSONResponse({
            "cases": [{"name": name, "good": good, "require": require} for name, (good, require, _) in made.items()],
            "strangers_asked": len(asked),
        })

    app = Starlette(routes=[Route("/jwks.json", keys), Route("/cases", cases), Route("/{name}" + CARD, card)])
    elsewhere = Starlette(routes=[Route("/jwks.json", strangers)])
    servers = [uvicorn.Server(uvicorn.Config(one, log_level="warning", lifespan="off")) for one in (app, elsewhere)]
    print(f"READY {port}", flush=True)
    await asyncio.gather(servers[0].serve(sockets=[listener]), servers[1].serve(sockets=[other]))


def tell(case: str, ok: bool, detail: object = "") -> None:
    print(json.dumps({"case": case, "ok": ok, "detail": str(detail)[:300]}), flush=True)


def verdict(verify: Callable[[AgentCard], None], card: AgentCard) -> str:
    try:
        verify(card)
    except (InvalidSignaturesError, NoSignatureError) as refused:
        return type(refused).__name__
    return "holds"


async def verify(root: str, agents: list[str]) -> None:
    async with httpx.AsyncClient(timeout=20) as http:
        published = (await http.get(root + KEYS)).json()
        looked: list[tuple] = []

        def key(kid: str | None, jku: str | None) -> jwt.PyJWK:
            looked.append((kid, jku))
            return jwt.PyJWKSet.from_dict(published)[kid]

        check = create_signature_verifier(key, ["ES256"])
        for base in [root, *(f"{root}/agents/{name}" for name in agents)]:
            name = base.removeprefix(root) or "/"
            resolver = A2ACardResolver(http, base)
            try:
                card = await resolver.get_agent_card(signature_verifier=check)
            except (AgentCardResolutionError, InvalidSignaturesError, NoSignatureError) as refused:
                tell(f"ours: {name}", False, repr(refused))
                continue
            tell(f"ours: {name}", looked[-1][1] == root + KEYS, looked[-1])
            spoiled = AgentCard()
            spoiled.CopyFrom(card)
            spoiled.skills[0].description += "!"
            found = verdict(check, spoiled)
            tell(f"ours, changed: {name}", found == "InvalidSignaturesError", found)
            raw = (await http.get(base + CARD, headers={"A2A-Version": "1.0"})).json()
            first = ParseDict({**raw, "signatures": raw["signatures"][-1:]}, AgentCard())
            tell(f"ours, its own form alone: {name}", verdict(check, first) == "holds")
        client = await create_client(await A2ACardResolver(http, root).get_agent_card(), ClientConfig(httpx_client=http))
        card = await client.get_extended_agent_card(GetExtendedAgentCardRequest(), signature_verifier=check)
        tell("ours: extended", len(card.signatures) > 0 and verdict(check, card) == "holds", card.signatures)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["serve", "verify"])
    parser.add_argument("--root")
    parser.add_argument("--agents", default="")
    flags = parser.parse_args()
    asyncio.run(serve() if flags.what == "serve" else verify(flags.root, [one for one in flags.agents.split(",") if one]))


if __name__ == "__main__":
    main()
