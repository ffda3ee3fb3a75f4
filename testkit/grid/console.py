"""The console in Chromium, in front of a small home: part of `browser.py`, and alone `python3 testkit/grid/console.py --moongate PATH`.

The browser comes in by the operator's link, visits each page as a phone and a desk see it, dark and light, is attacked from
another site, and comes back by passkey (`clients/console_browser.mjs`). With `--shots`, each page is photographed.
"""

import json
import os
import shutil
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import driver
import install
from oauth import Operator
from processes import Failed, RunningGateway, free_ports, stop

ENVIRONMENT, SCRIPT = "js-browser", "console_browser.mjs"
SECONDS = 240
# As many cases as there are: one that did not run is red.
CASES = 12
# What a stranger may call a skill: markup, and text that runs backwards.
NASTY = "Dim <img src=x onerror=alert(1)> \u202egnp.thgil"
HOME = {
    "lights": ("The lights of every room.", {"lights.set": "Set the lights", "lights.dim": NASTY}),
    "lock": ("The front door's lock.", {"lock.open": "Open the front door", "lock.close": "Close the front door"}),
    "heating": ("Radiators and the boiler.", {"heating.set": "Set a room's temperature"}),
}
ROUTING = "https://w3id.org/moongate/extensions/skill-routing/v1"
MORE = """
[[agents]]
name = "dishwasher"
card_url = "http://127.0.0.1:1/.well-known/agent-card.json"

[audit]
on = true

[oauth]
scopes = ["a2a:*:*"]

[[policy]]
name = "doors"
confirm = 'skill.id == "lock.open"'
"""


class Home(BaseHTTPRequestHandler):
    """Agents that answer everything, at `/NAME`."""

    def do_GET(self) -> None:  # noqa: N802
        name = self.path.split("/")[1]
        about, skills = HOME[name]
        host, port = self.server.server_address
        self._answer({
            "name": name, "description": about, "version": "1.0.0", "capabilities": {},
            "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            "supportedInterfaces": [
                {"url": f"http://{host}:{port}/{name}", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
            ],
            "skills": [{"id": id, "name": said, "description": said, "tags": []} for id, said in skills.items()],
        })

    def do_POST(self) -> None:  # noqa: N802
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "fail" in json.dumps(asked["params"]):
            error = {"code": -32603, "message": "the bulb is broken"}
            return self._answer({"jsonrpc": "2.0", "id": asked["id"], "error": error})
        message = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "done"}]}
        self._answer({"jsonrpc": "2.0", "id": asked["id"], "result": {"message": message}})

    def _answer(self, document: dict) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def entry(name: str, port: int) -> str:
    return f'[[agents]]\nname = "{name}"\ncard_url = "http://127.0.0.1:{port}/{name}/card"\n\n'


def say(root: str, skill: str, words: str) -> None:
    """A message to a skill."""
    message = {"messageId": words, "role": "ROLE_USER", "parts": [{"text": words}], "metadata": {ROUTING: {"skillId": skill}}}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
    headers = {"content-type": "application/json", "a2a-version": "1.0"}
    request = urllib.request.Request(f"{root}/a2a", json.dumps(asked).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        answer.read()


def a_day(root: str) -> None:
    """What a home asks for: lights, warmth, something that fails, and a door that waits for a yes."""
    for turn in range(12):
        say(root, "lights.set", f"kitchen to {turn * 5} %")
        say(root, "heating.set", f"bedroom to {16 + turn / 4} degrees")
    say(root, "lights.dim", "fail once")
    say(root, "lock.open", "let the plumber in")


def run(moongate: Path, folder: Path, shots: Path | None) -> int:
    chromium = shutil.which("chromium")
    if not chromium:
        raise Failed("chromium is missing; run `apt-get install -y chromium`")
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    home = ThreadingHTTPServer(("127.0.0.1", 0), Home)
    threading.Thread(target=home.serve_forever, daemon=True).start()
    agents = "".join(entry(name, home.server_address[1]) for name in HOME)
    gateway = RunningGateway(moongate, [], folder, more=f"\n{agents}{MORE}")
    try:
        a_day(gateway.root)
        [port] = free_ports(1)
        given = {
            "link": Operator(moongate, folder)("console")["url"], "root": gateway.root, "port": port, "chromium": chromium,
            "shots": str(shots) if shots else None,
        }
        command, variables = install.command(ENVIRONMENT, SCRIPT)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, input=json.dumps(given), env={**os.environ, **variables}
        )
    finally:
        stop(gateway.process)
        home.shutdown()
    if done.returncode:
        raise Failed(f"{SCRIPT} failed:\n{done.stdout[-800:]}\n{done.stderr.strip()[-800:]}")
    return driver.told("console", driver.lines(done.stdout), CASES)


if __name__ == "__main__":
    driver.main(
        "console", "Chromium at the console.", {ENVIRONMENT},
        lambda flags, folder: run(flags.moongate, folder, flags.shots and flags.shots.resolve()),
        lambda parser: parser.add_argument("--shots", type=Path),
    )
