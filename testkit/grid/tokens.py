"""Access tokens of real libraries against the gateway: `python3 testkit/grid/tokens.py --moongate PATH`.

PyPI joserfc (`clients/tokens_joserfc.py`) and npm jose (`clients/tokens_jose.mjs`) make keys, good tokens and hostile ones of the kinds
in `hostile.py`, each as an issuer of its own. The gateway must let each good one in to a real agent, before all hostile ones and after
them, and refuse each hostile one with 401, a challenge and the reason it was made for; it may call no URL in a token. Then npm
oidc-provider issues tokens (`clients/issuer_oidc.mjs`) and changes its key twice while they are used, without a refused request. Exit
0: every case ran and passed. 1: something is red. 2: it could not start.
"""

import base64
import http.client
import json
import os
import socket
import subprocess
from collections import defaultdict
from pathlib import Path

import driver
import hostile
import install
from peers import AGENTS
from processes import Failed, RunningAgent, RunningGateway, stop

AGENT = "py1-jsonrpc"
SECONDS = 120
SCRIPTS = {"joserfc": ("py-1.x", "tokens_joserfc.py"), "jose": ("js-oauth", "tokens_jose.mjs")}
ISSUER = """
[[issuers]]
name = "{maker}"
issuer = "{issuer}"
jwks = "jwks-{maker}.json"
audience = ["https://gateway.grid.example"]
scopes = ["a2a:*:*"]
algorithms = ["ES256", "ES384", "EdDSA", "PS256", "RS256"]
"""
ISSUERS = {"joserfc": "https://idp.grid.example", "jose": "https://jose.grid.example"}
# As many cases as there are: one that did not run is red.
CASES = sum(2 * len(hostile.GOOD) + len(hostile.kinds_of(maker)) for maker in hostile.MAKERS) + 2
OIDC_ENVIRONMENT, OIDC_SCRIPT, OIDC_CASES = "js-oidc", "issuer_oidc.mjs", 5
OIDC_ISSUER = """
[[issuers]]
name = "oidc"
issuer = "http://127.0.0.1:{port}"
jwks = "http://127.0.0.1:{port}/jwks"
audience = ["https://gateway.grid.example"]
scopes = ["a2a:*:*"]
"""


class Canary:
    """A server that nobody may call."""

    def __enter__(self) -> "Canary":
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        return self

    def __exit__(self, *_) -> None:
        self.listener.close()

    def was_called(self) -> bool:
        try:
            self.listener.accept()
        except BlockingIOError:
            return False
        return True


def peer(maker: str, *words: str) -> str:
    environment, script = SCRIPTS[maker]
    command, variables = install.command(environment, script)
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=SECONDS, env={**os.environ, **variables}
    )
    if done.returncode:
        raise Failed(f"{script} {words[0]} failed:\n{done.stderr.strip()[-800:]}")
    return done.stdout


def made(maker: str, folder: Path, canary: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """A maker's good tokens and its hostile ones, by kind."""
    good, bad = {}, defaultdict(list)
    for line in peer(maker, "make", "--folder", str(folder), "--canary", canary).splitlines():
        said = json.loads(line)
        if said["good"]:
            good[said["kind"]] = said["token"]
        else:
            bad[said["kind"]].append(said["token"])
    for what, given, wanted in (("good", set(good), set(hostile.GOOD)), ("hostile", set(bad), hostile.kinds_of(maker))):
        if given != wanted:
            raise Failed(f"{maker} makes other {what} kinds than the table has: {given ^ wanted}")
    return good, bad


def send(port: int, token: str) -> tuple[int, str, str]:
    """Says hello with this token: the status, the challenge and the answer."""
    message = {"messageId": os.urandom(8).hex(), "role": "ROLE_USER", "parts": [{"text": "echo hello"}]}
    call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
    headers = {"content-type": "application/json", "a2a-version": "1.0", "authorization": f"Bearer {token}".encode()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", f"/agents/{AGENT}", json.dumps(call), headers)
    response = connection.getresponse()
    return response.status, response.getheader("www-authenticate") or "", response.read().decode()


def is_let_in(port: int, token: str) -> tuple[bool, object]:
    status, _, body = send(port, token)
    return status == 200 and "TASK_STATE_COMPLETED" in body, (status, body[:300])


def is_refused(port: int, token: str, why: str) -> tuple[bool, object]:
    status, challenge, body = send(port, token)
    code = (json.loads(body).get("error", {}).get("data") or [{}])[0].get("metadata", {}).get("code")
    ok = status == 401 and code == "MG-0401" and challenge.startswith("Bearer") and why in body and token not in body
    return ok, (status, challenge, body[:300])


def judged(port: int, folder: Path, canary: Canary) -> list[driver.Case]:
    told: list[driver.Case] = []
    for when in ("before", "after"):
        tokens = {maker: made(maker, folder, canary.url) for maker in hostile.MAKERS}
        for maker, (good, _) in tokens.items():
            told.extend((f"{maker}, good, {when}: {kind}", *is_let_in(port, token)) for kind, token in good.items())
        for maker, (_, bad) in tokens.items() if when == "before" else ():
            for kind, each in bad.items():
                seen = [is_refused(port, token, hostile.KINDS[kind]) for token in each]
                told.append((f"{maker}: {kind}", all(ok for ok, _ in seen), [detail for ok, detail in seen if not ok]))
    told.append(("no URL in a token was called", not canary.was_called(), ""))
    return told


def run(moongate: Path, folder: Path) -> int:
    for maker in hostile.MAKERS:
        peer(maker, "keys", "--folder", str(folder))
    running = []
    try:
        with Canary() as canary:
            agent = RunningAgent(next(one for one in AGENTS if one.name == AGENT), folder)
            running.append(agent.process)
            issuers = "".join(ISSUER.format(maker=maker, issuer=issuer) for maker, issuer in ISSUERS.items())
            gateway = RunningGateway(moongate, [agent], folder, more=issuers)
            running.append(gateway.process)
            told = judged(gateway.port, folder, canary)
            told.append(("the gateway is still there", gateway.process.poll() is None, ""))
    finally:
        for process in reversed(running):
            stop(process)
    print(f"{len(hostile.KINDS)} kinds of hostile tokens")
    return driver.told("tokens of joserfc and jose", told, CASES)


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
        agent = RunningAgent(next(one for one in AGENTS if one.name == AGENT), folder)
        running.append(agent.process)
        gateway = RunningGateway(moongate, [agent], folder, more=OIDC_ISSUER.format(port=port))
        running.append(gateway.process)

        def said(access: str) -> str:
            message = {"messageId": os.urandom(8).hex(), "role": "ROLE_USER", "parts": [{"text": "echo hello"}]}
            call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
            headers = {"content-type": "application/json", "a2a-version": "1.0", "authorization": f"Bearer {access}"}
            status, answer = fetch(gateway.port, "POST", f"/agents/{AGENT}", headers, json.dumps(call))
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
        "tokens", "Access tokens of real libraries against the gateway.",
        {OIDC_ENVIRONMENT, *(environment for environment, _ in SCRIPTS.values())},
        lambda flags, folder: max(run(flags.moongate, folder), rotation(flags.moongate, folder)),
    )
