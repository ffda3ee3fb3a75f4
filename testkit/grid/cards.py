"""Signed cards, both ways, with the library that most agents use: `python3 testkit/grid/cards.py --moongate PATH`.

PyPI a2a-sdk signs the cards of agents, good ones and hostile ones (`clients/cards_sdk.py`); the gateway must take each good one
as verified and refuse each hostile one. Then the same library's client reads the gateway's cards, and its verifier must accept
their signatures and refuse changed cards; npm @a2a-js/sdk (`clients/cards_js.mjs`) must do so, too.

Last, an agent of a2a-sdk whose card demands scopes for a skill: the libraries read in the gateway's cards which scopes a token needs
(a2a-sdk 0.3 in its form), tokens of joserfc with exactly those open the skill, and others do not (`clients/cards_demands.py`). Exit 0: every case ran and
passed. 1: something is red. 2: it could not start.
"""

import http.client
import json
import os
import subprocess
from pathlib import Path

import driver
import install
from peers import AGENTS
from processes import Failed, RunningAgent, RunningGateway, stop

ENVIRONMENTS = {"py-1.x": "cards_sdk.py", "js-1": "cards_js.mjs"}
SECONDS = 120
# As many cases as there are: one that did not run is red.
CASES, DEMANDED = 82, 30
AGENT, DEMAND = "py1-jsonrpc", "locks:write,locks:read"
ISSUER = """
[[issuers]]
name = "joserfc"
issuer = "https://idp.grid.example"
jwks = "jwks-joserfc.json"
audience = ["https://gateway.grid.example"]
scopes = ["a2a:*:*", "locks:write", "locks:read"]

[oauth]
scopes = ["a2a:*:*", "locks:write", "locks:read"]
"""
EXTENDED = '\n[[agents]]\nname = "extended"\nvisibility = "extended"\naddress = "http://127.0.0.1:{port}/"\nskills = ["extended.do"]\n'


def peer(environment: str, *words: str) -> subprocess.Popen:
    command, variables = install.command(environment, ENVIRONMENTS[environment])
    return subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables}
    )


def answers(environment: str, *words: str) -> list[dict]:
    running = peer(environment, *words)
    try:
        out, err = running.communicate(timeout=SECONDS)
    finally:
        stop(running)
    if running.returncode:
        raise Failed(f"{ENVIRONMENTS[environment]} failed:\n{err.strip()[-1200:]}")
    return [json.loads(line) for line in out.splitlines()]


def get(port: int, path: str) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def entry(case: dict, port: int) -> str:
    policy = "require" if case["require"] else "check"
    url = f"http://127.0.0.1:{port}/{case['name']}/.well-known/agent-card.json"
    return f'\n[[agents]]\nname = "{case["name"]}"\ncard_url = "{url}"\nsignature = "{policy}"\n'


def judged(case: dict, seen: dict) -> dict:
    """What the gateway made of an agent's card."""
    code, state = (seen.get("problem") or {}).get("code"), (seen.get("signature") or {}).get("state")
    ok = (code, state) == ((None, "verified") if case["good"] else ("MG-0416", None))
    return {"case": f"theirs: {case['name']}", "ok": ok, "detail": f"{code} {state} {seen.get('problem')}"}


def run(moongate: Path, folder: Path) -> int:
    serving = peer("py-1.x", "serve")
    running = [serving]
    try:
        ready, _, port = serving.stdout.readline().strip().partition(" ")
        if ready != "READY":
            raise Failed(f"the agents did not start:\n{serving.stderr.read()[-1200:]}")
        port = int(port)
        cases = get(port, "/cases")["cases"]
        more = "".join(entry(case, port) for case in cases) + EXTENDED.format(port=port)
        gateway = RunningGateway(moongate, [], folder, more=more)
        running.append(gateway.process)
        seen = {agent["name"]: agent for agent in get(gateway.port, "/api/v1/agents")["agents"]}
        told = [judged(case, seen[case["name"]]) for case in cases]
        asked = get(port, "/cases")["strangers_asked"]
        told.append({"case": "theirs: keys elsewhere are never fetched", "ok": asked == 0, "detail": asked})
        good = ",".join(case["name"] for case in cases if case["good"])
        for environment in ENVIRONMENTS:
            told += answers(environment, "verify", "--root", gateway.root, "--agents", good)
    finally:
        for process in reversed(running):
            stop(process)
    return driver.told("signed cards", [(one["case"], one["ok"], one["detail"]) for one in told], CASES)


def played(environment: str, script: str, *words: str, **variables: str) -> list[driver.Case]:
    command, more = install.command(environment, script)
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=SECONDS, env={**os.environ, **more, **variables}
    )
    if done.returncode:
        raise Failed(f"{script} failed:\n{done.stdout[-600:]}\n{done.stderr.strip()[-1200:]}")
    return driver.lines(done.stdout)


def demands(moongate: Path, folder: Path) -> int:
    played("py-1.x", "tokens_joserfc.py", "keys", "--folder", str(folder))
    running = []
    try:
        agent = RunningAgent(next(one for one in AGENTS if one.name == AGENT), folder, "--demand", DEMAND)
        running.append(agent.process)
        gateway = RunningGateway(moongate, [agent], folder, more=ISSUER, open_to_all=True)
        running.append(gateway.process)
        root, ca = gateway.secure_root, str(folder / "ca" / "ca.pem")
        words = ["--root", root, "--agent", AGENT, "--demand", DEMAND]
        told = played("py-1.x", "cards_demands.py", *words, "--ca", ca, "--folder", str(folder))
        told += played("py-0.3", "cards_demands_03.py", *words, "--ca", ca)
        told += played("js-1", "cards_js.mjs", "demands", *words, NODE_EXTRA_CA_CERTS=ca)
    finally:
        for process in reversed(running):
            stop(process)
    return driver.told("scopes that a card demands", told, DEMANDED)


def both(moongate: Path, folder: Path) -> int:
    (folder / "demands").mkdir()
    return max(run(moongate, folder), demands(moongate, folder / "demands"))


if __name__ == "__main__":
    driver.main(
        "cards", "Signed cards, both ways, with the library that most agents use.", {*ENVIRONMENTS, "py-0.3"},
        lambda flags, folder: both(flags.moongate, folder),
    )
