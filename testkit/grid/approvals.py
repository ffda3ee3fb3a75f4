"""The approval pages in Chromium, and the receipt of a yes checked by an outsider: part of `browser.py`, and alone
`python3 testkit/grid/approvals.py --moongate PATH`.

An agent opens a door and a safe. People are asked at `/approvals`: the browser reads the questions, says no and yes with the passkey of
its own authenticator, and is attacked from other sites (`clients/approvals_browser.mjs`). What the gateway then holds as the proof of
each yes is checked with PyPI rfc8785, fido2 and cryptography, and with the commands of `docs/guide/approvals.md`
(`clients/receipt_outsider.py`). With `--shots`, each page is photographed.
"""

import http.client
import json
import os
import re
import shutil
import subprocess
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import console
import driver
import install
from oauth import Operator
from processes import Failed, RunningGateway, free_ports, stop

ENVIRONMENT, SCRIPT = "js-browser", "approvals_browser.mjs"
OUTSIDER, CHECKER = "receipt", "receipt_outsider.py"
SECONDS = 240
# As many cases as there are: one that did not run is red.
CASES, CHECKS = 17, 13
GUIDE = install.ROOT / "docs" / "guide" / "approvals.md"
SKILLS = {"door.open": "Open the front door", "safe.open": "Open the safe"}
MORE = """
[oauth]
scopes = ["a2a:*:*"]

[[policy]]
name = "safe"
confirm = 'skill.id == "safe.open"'
class = "critical"
"""


class Entrance(console.Home):
    """An agent that does whatever it hears, and says at `/heard` what that was."""

    heard: list[dict] = []

    def do_GET(self) -> None:  # noqa: N802
        if self.path == "/heard":
            return self._answer({"heard": self.heard})
        host, port = self.server.server_address
        self._answer({
            "name": "entrance", "description": "The front door and the safe.", "version": "1.0.0", "capabilities": {},
            "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            "supportedInterfaces": [
                {"url": f"http://{host}:{port}/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
            ],
            "skills": [{"id": id, "name": said, "description": said, "tags": []} for id, said in SKILLS.items()],
        })

    def do_POST(self) -> None:  # noqa: N802
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.heard.append(asked["params"]["message"])
        number = len(self.heard)
        done = {
            "id": f"t-{number}", "contextId": f"c-{number}", "status": {"state": "TASK_STATE_COMPLETED"},
            "artifacts": [{"artifactId": "a", "parts": [{"text": "it is open"}]}],
        }
        self._answer({"jsonrpc": "2.0", "id": asked["id"], "result": {"task": done}})


def fetched(gateway: RunningGateway, secret: str, id: str) -> dict:
    """A question as the operator's secret shows it."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.admin, timeout=10)
    connection.request("GET", f"/api/v1/approvals/{id}", headers={"authorization": f"Bearer {secret}"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise Failed(f"the question {id} cannot be read: {answer.status} {body[:400]!r}")
    return json.loads(body)


def guide() -> str:
    """The program that the guide gives to whoever checks a receipt."""
    found = re.search(r"```python\n(.*?)```", GUIDE.read_text().partition("## Checking a receipt")[2], re.DOTALL)
    if not found:
        raise Failed(f"{GUIDE} has no program under `Checking a receipt`")
    return found[1]


def peer(environment: str, script: str, given: dict) -> list[dict]:
    """What a peer's script prints, line by line."""
    command, variables = install.command(environment, script)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, input=json.dumps(given), env={**os.environ, **variables}
    )
    if done.returncode:
        raise Failed(f"{script} failed:\n{done.stdout[-800:]}\n{done.stderr.strip()[-800:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def told(what: str, lines: list[dict], expected: int) -> int:
    return driver.told(what, [(line["case"], line["ok"], line["detail"]) for line in lines], expected)


def run(moongate: Path, folder: Path, shots: Path | None) -> int:
    chromium = shutil.which("chromium")
    if not chromium:
        raise Failed("chromium is missing; run `apt-get install -y chromium`")
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    agent = ThreadingHTTPServer(("127.0.0.1", 0), Entrance)
    threading.Thread(target=agent.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{agent.server_address[1]}"
    entry = f'\n[[agents]]\nname = "entrance"\ncard_url = "{place}/card"\n'
    gateway = RunningGateway(moongate, [], folder, more=f"{entry}{MORE}")
    try:
        operator = Operator(moongate, folder)
        people = {"alice": ("--scope", "approve"), "bob": ("--scope", "a2a:*:send")}
        links = {name: operator("users", "add", name, *words)["invitation"]["url"] for name, words in people.items()}
        base, [port] = links["alice"].split("/oauth/")[0], free_ports(1)
        secret = (folder / "operator.secret").read_text().strip()
        *cases, kept = peer(ENVIRONMENT, SCRIPT, {
            "base": base, "root": gateway.root, "admin": f"http://127.0.0.1:{gateway.admin}", "links": links, "port": port,
            "secret": secret, "heard": f"{place}/heard", "chromium": chromium,
            "shots": str(shots) if shots else None,
        })
        result = told("approvals", cases, CASES)
        if "kept" not in kept:
            raise Failed(f"{SCRIPT} kept no receipt: {kept}")
        questions = {name: fetched(gateway, secret, id) for name, id in kept["kept"].items()}
        shown = {name: operator("approve", "show", id) for name, id in kept["kept"].items()}
    finally:
        stop(gateway.process)
        agent.shutdown()
    checks = peer(OUTSIDER, CHECKER, {
        "questions": questions, "shown": shown, "keys": kept["keys"], "origin": base, "guide": guide(), "folder": str(folder),
    })
    return max(result, told("receipts", checks, CHECKS))


if __name__ == "__main__":
    driver.main(
        "approvals", "Chromium at the approval pages, and an outsider at the receipts.", {ENVIRONMENT, OUTSIDER},
        lambda flags, folder: run(flags.moongate, folder, flags.shots and flags.shots.resolve()),
        lambda parser: parser.add_argument("--shots", type=Path),
    )
