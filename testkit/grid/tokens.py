"""Access tokens of real libraries against the gateway: `python3 testkit/grid/tokens.py --moongate PATH`.

PyPI joserfc makes keys of every kind, good tokens and hostile ones (`clients/tokens_joserfc.py`); the gateway must let each good
one in to a real agent, and refuse each hostile one. Then npm oidc-provider issues tokens (`clients/issuer_oidc.mjs`) and changes its
key twice while they are used, without a refused request. Exit 0: every case ran and passed. 1: something is red. 2: it could not start.
"""

import base64
import http.client
import json
import os
import subprocess
from pathlib import Path

import driver
import install
from peers import AGENTS
from processes import Failed, RunningAgent, RunningGateway, stop

ENVIRONMENT, SCRIPT = "py-1.x", "tokens_joserfc.py"
SECONDS = 120
ISSUER = """
[[issuers]]
name = "joserfc"
issuer = "https://idp.grid.example"
jwks = "jwks.json"
audience = ["https://gateway.grid.example"]
scopes = ["a2a:*:*"]
algorithms = ["ES256", "ES384", "EdDSA", "PS256", "RS256"]
"""
# As many cases as there are: one that did not run is red.
CASES = 31
OIDC_ENVIRONMENT, OIDC_SCRIPT, OIDC_CASES = "js-oidc", "issuer_oidc.mjs", 5
OIDC_ISSUER = """
[[issuers]]
name = "oidc"
issuer = "http://127.0.0.1:{port}"
jwks = "http://127.0.0.1:{port}/jwks"
audience = ["https://gateway.grid.example"]
scopes = ["a2a:*:*"]
"""


def peer(*words: str) -> str:
    command, variables = install.command(ENVIRONMENT, SCRIPT)
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=SECONDS, env={**os.environ, **variables}
    )
    if done.returncode:
        raise Failed(f"{SCRIPT} {words[0]} failed:\n{done.stderr.strip()[-800:]}")
    return done.stdout


def run(moongate: Path, folder: Path) -> int:
    peer("keys", "--folder", str(folder))
    running = []
    try:
        agent = RunningAgent(next(one for one in AGENTS if one.name == "py1-jsonrpc"), folder)
        running.append(agent.process)
        gateway = RunningGateway(moongate, [agent], folder, more=ISSUER)
        running.append(gateway.process)
        told = peer("check", "--folder", str(folder), "--base", gateway.base(agent.agent))
    finally:
        for process in reversed(running):
            stop(process)
    return driver.told("tokens of joserfc", driver.lines(told), CASES)


def fetch(port: int, method: str, path: str, headers: dict, body: str = "") -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body or None, headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read() or b"{}")


def token(port: int) -> str:
    """A new access token of oidc-provider."""
    proof = base64.b64encode(b"robot:a%20secret%20of%20the%20grid").decode()
    headers = {"authorization": f"Basic {proof}", "content-type": "application/x-www-form-urlencoded"}
    form = "grant_type=client_credentials&scope=a2a:*:send&resource=https://gateway.grid.example"
    status, answer = fetch(port, "POST", "/token", headers, form)
    if status != 200:
        raise Failed(f"oidc-provider gives no token: {answer}")
    return answer["access_token"]


def signer(access: str) -> str:
    head = access.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]


def rotation(moongate: Path, folder: Path) -> int:
    words, variables = install.command(OIDC_ENVIRONMENT, OIDC_SCRIPT)
    log = (folder / "oidc.log").open("w")
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **variables})]
    told: list[tuple[str, bool, object]] = []
    try:
        ready = next((line for line in iter(running[0].stdout.readline, "") if line.startswith("READY")), "")
        if not ready:
            raise Failed(f"oidc-provider did not start:\n{(folder / 'oidc.log').read_text()[-1200:]}")
        port = int(ready.split()[1])
        agent = RunningAgent(next(one for one in AGENTS if one.name == "py1-jsonrpc"), folder)
        running.append(agent.process)
        gateway = RunningGateway(moongate, [agent], folder, more=OIDC_ISSUER.format(port=port))
        running.append(gateway.process)

        def said(access: str) -> str:
            message = {"messageId": os.urandom(8).hex(), "role": "ROLE_USER", "parts": [{"text": "echo hello"}]}
            call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
            headers = {"content-type": "application/json", "a2a-version": "1.0", "authorization": f"Bearer {access}"}
            status, answer = fetch(gateway.port, "POST", "/agents/py1-jsonrpc", headers, json.dumps(call))
            return "ok" if status == 200 and "result" in answer else f"{status} {answer}"

        def all_said(accesses: list[str]) -> tuple[bool, object]:
            answers = {said(access) for access in accesses}
            return answers == {"ok"}, answers

        before = [token(port) for _ in range(10)]
        told.append(("tokens of the first key", *all_said(before)))
        fetch(port, "GET", "/rotate/both", {})
        after = [token(port) for _ in range(10)]
        told.append(("the key has changed", {signer(one) for one in before + after} == {"old", "fresh"}, ""))
        # Old ones that were never seen before, too, and new ones at once.
        told.append(("tokens of both keys, in turn", *all_said([one for pair in zip(after, before) for one in pair])))
        fetch(port, "GET", "/rotate/new", {})
        told.append(("tokens of the new key alone", *all_said([token(port) for _ in range(10)] + after)))
        forged = after[0].rsplit(".", 1)[0] + "." + before[0].rsplit(".", 1)[1]
        told.append(("another token's signature is refused", said(forged).startswith("401"), said(forged)))
    finally:
        for process in reversed(running):
            stop(process)
    return driver.told("tokens of oidc-provider", told, OIDC_CASES)


if __name__ == "__main__":
    driver.main(
        "tokens", "Access tokens of real libraries against the gateway.", {ENVIRONMENT, OIDC_ENVIRONMENT},
        lambda flags, folder: max(run(flags.moongate, folder), rotation(flags.moongate, folder)),
    )
