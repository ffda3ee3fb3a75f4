"""Signed cards, both ways, with the library that most agents use: `python3 testkit/grid/cards.py --moongate PATH`.

PyPI a2a-sdk signs the cards of agents, good ones and hostile ones (`clients/cards_sdk.py`); the gateway must take each good one
as verified and refuse each hostile one. Then the same library's client reads the gateway's cards, and its verifier must accept
their signatures and refuse changed cards; npm @a2a-js/sdk (`clients/cards_js.mjs`) must do so, too. Exit 0: every case ran and
passed. 1: something is red. 2: it could not start.
"""

import http.client
import json
import os
import subprocess
from pathlib import Path

import driver
import install
from processes import Failed, RunningGateway, stop

ENVIRONMENTS = {"py-1.x": "cards_sdk.py", "js-1": "cards_js.mjs"}
SECONDS = 120
# As many cases as there are: one that did not run is red.
CASES = 82
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


if __name__ == "__main__":
    driver.main(
        "cards", "Signed cards, both ways, with the library that most agents use.", ENVIRONMENTS,
        lambda flags, folder: run(flags.moongate, folder),
    )
