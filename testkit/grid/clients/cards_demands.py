"""PyPI a2a-sdk 1.x at a gateway with an agent whose card demands scopes for the skill `locked`.

The client reads the gateway's cards, verifies them, and sends messages with tokens of joserfc that hold just the scopes that the
cards name for a skill, and others. `--root URL --ca FILE --folder F --agent NAME --demand a,b`; F holds the keys that
`tokens_joserfc.py keys` made. Prints a JSON line for each case: `{"case", "ok", "detail"}`.
"""

import argparse
import asyncio
import json
import ssl
import uuid
from pathlib import Path

import httpx
import jwt
from google.protobuf.json_format import ParseDict
from maker_joserfc import Maker

from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import a2a_pb2 as pb
from a2a.utils.signing import create_signature_verifier

ROUTING = "https://w3id.org/moongate/extensions/skill-routing/v1"


def tell(case: str, ok: bool, detail: object = "") -> None:
    print(json.dumps({"case": case, "ok": ok, "detail": str(detail)[:300]}), flush=True)


def needed(card: pb.AgentCard, skill: str, scheme: str = "token") -> list[list[str]]:
    """The scopes that a token needs for a skill, by each of the alternatives."""
    entry = next(one for one in card.skills if one.id == skill)
    return [list(one.schemes[scheme].list) for one in entry.security_requirements if scheme in one.schemes]


def message(skill: str) -> pb.SendMessageRequest:
    said = {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": [{"text": "echo hello"}],
            "metadata": {ROUTING: {"skillId": skill}}}
    return ParseDict({"message": said}, pb.SendMessageRequest())


async def said(card: pb.AgentCard, trust: ssl.SSLContext, token: str, skill: str) -> str:
    """`ok`, or what refused the client: the status and the challenge."""
    seen: list[httpx.Response] = []

    async def look(response: httpx.Response) -> None:
        seen.append(response)

    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(verify=trust, timeout=20, headers=headers, event_hooks={"response": [look]}) as http:
        client = ClientFactory(ClientConfig(httpx_client=http, streaming=False)).create(card)
        try:
            events = [event async for event in client.send_message(message(skill))]
        except Exception as refused:  # noqa: BLE001: whatever the library makes of it, the answer is what counts
            return f"{seen[-1].status_code} {seen[-1].headers.get('www-authenticate')}" if seen else repr(refused)
    return "ok" if "TASK_STATE_COMPLETED" in str(events) else str(events)


async def main() -> None:
    flags = argparse.ArgumentParser()
    for name in ("root", "ca", "agent", "demand"):
        flags.add_argument(f"--{name}", required=True)
    flags.add_argument("--folder", type=Path, required=True)
    given = flags.parse_args()
    trust = ssl.create_default_context(cafile=given.ca)
    maker = Maker(given.folder, "")
    async with httpx.AsyncClient(verify=trust, timeout=20) as http:
        published = (await http.get(given.root + "/.well-known/jwks.json")).json()
        check = create_signature_verifier(lambda kid, jku: jwt.PyJWKSet.from_dict(published)[kid], ["ES256"])
        cards = [await A2ACardResolver(http, base).get_agent_card(signature_verifier=check)
                 for base in (given.root, f"{given.root}/agents/{given.agent}")]
    wanted = ["a2a:locked:send", *sorted(given.demand.split(","))]
    for base, card in zip(("all", "one"), cards):
        tell(f"needed for the locked skill, in the card of {base}", needed(card, "locked") == [wanted], needed(card, "locked"))
        tell(f"needed for the other one, in the card of {base}", needed(card, "script") == [["a2a:script:send"]])
        tell(f"the scheme stands in the card of {base}", card.security_schemes["token"].HasField("http_auth_security_scheme"))
        flows = card.security_schemes["oauth"].oauth2_security_scheme.flows
        found = (needed(card, "locked", "oauth"), flows.client_credentials.token_url)
        tell(f"the gateway's own server, in the card of {base}", found == ([wanted], f"{given.root}/oauth/token"), found)
        tell(f"the agent's own schemes do not, in the card of {base}", "own.invalid" not in str(card) and "mtls" not in str(card), card)

        def token(scopes: list[str]) -> str:
            return maker.token("ES256", "es256", scope=" ".join(scopes))

        for skill in ("locked", "script"):
            told = await said(card, trust, token(needed(card, skill)[0]), skill)
            tell(f"just what is needed opens {skill}, by the card of {base}", told == "ok", told)
        if base == "all":
            for missing in wanted:
                held = ["a2a:script:send", *(one for one in wanted if one != missing)]
                told = await said(card, trust, token(held), "locked")
                tell(f"without {missing} it stays shut", told.startswith(f'403 Bearer error="insufficient_scope", scope="{missing}", '), told)
            told = await said(card, trust, token(["a2a:*:*"]), "locked")
            tell("every scope of the gateway is not enough", told.startswith("403") and "locks:read locks:write" in told, told)


if __name__ == "__main__":
    asyncio.run(main())
