"""PyPI a2a-sdk 0.3 reads in a gateway's card which scopes the skill `locked` needs: `--root URL --ca FILE --agent NAME --demand a,b`.

Prints a JSON line for each case: `{"case", "ok", "detail"}`.
"""

import argparse
import json
import ssl
import urllib.request

from a2a.types import AgentCard


def main() -> None:
    flags = argparse.ArgumentParser()
    for name in ("root", "ca", "agent", "demand"):
        flags.add_argument(f"--{name}", required=True)
    given = flags.parse_args()
    trust = ssl.create_default_context(cafile=given.ca)
    scopes = ["a2a:locked:send", *sorted(given.demand.split(","))]
    url = f"{given.root}/agents/{given.agent}/.well-known/agent.json"
    with urllib.request.urlopen(url, context=trust, timeout=20) as answer:
        card = AgentCard.model_validate(json.load(answer))
    found = next(skill.security for skill in card.skills if skill.id == "locked")
    wanted = [{"oauth": scopes}, {"token": scopes}]
    print(json.dumps({"case": "0.3 reads what is needed", "ok": found == wanted, "detail": str(found)}))
    server = card.security_schemes["oauth"].root
    flow = server.flows.client_credentials if server.type == "oauth2" else None
    ok = flow is not None and flow.token_url == f"{given.root}/oauth/token" and scopes[1] in flow.scopes
    print(json.dumps({"case": "0.3 reads the gateway's own server", "ok": ok, "detail": str(server)}))


if __name__ == "__main__":
    main()
