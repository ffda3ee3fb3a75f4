"""Chromium at the gateway's pages: `python3 testkit/grid/browser.py --moongate PATH [--shots FOLDER]`.

First the pages for people, then the console (`console.py`), then the approvals and their receipts (`approvals.py`).

The browser plays an authenticator itself, makes a passkey by an operator's link, signs in with it, answers devices and programs,
and is attacked from another site (`clients/pages_browser.mjs`). With `--shots`, each page is photographed.
Exit 0: every case ran and passed. 1: something is red. 2: it could not start.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import approvals
import console
import driver
import install
from oauth import Operator
from processes import Failed, RunningGateway, free_ports, stop

ENVIRONMENT, SCRIPT = "js-browser", "pages_browser.mjs"
SECONDS = 240
OAUTH = '\n[oauth]\nscopes = ["a2a:*:*"]\n'
# As many cases as there are: one that did not run is red.
CASES = 13
NASTY = "Kitchen panel <img src=x onerror=alert(1)>"


def invite(operator: Operator, name: str, *words: str) -> str:
    return operator("users", "add", name, *words)["invitation"]["url"]


def register(operator: Operator, port: int) -> dict:
    """The people and their links, the programs that ask them."""
    rights = ("--scope", "a2a:*:send", "--scope", "a2a:*:get")
    links = {name: invite(operator, name.lower(), "--display-name", name, *rights) for name in ("Alice", "bob")}
    operator("clients", "add", "panel", "--name", NASTY, "--public", "--grant", "device", *rights, "--scope", "a2a:*:cancel")
    back = f"http://127.0.0.1:{port}/back"
    operator("clients", "add", "app", "--name", "Calendar", "--public", "--grant", "code", "--redirect-uri", back, *rights)
    return {name.lower(): link for name, link in links.items()}


def run(moongate: Path, folder: Path, shots: Path | None) -> int:
    if not shutil.which("chromium"):
        raise Failed("chromium is missing; run `apt-get install -y chromium`")
    if shots:
        shots.mkdir(parents=True, exist_ok=True)
    gateway = RunningGateway(moongate, [], folder, more=OAUTH)
    try:
        [port] = free_ports(1)
        links = register(Operator(moongate, folder), port)
        base = links["alice"].split("/oauth/")[0]
        given = {
            "base": base, "issuer": gateway.root, "links": links, "port": port, "password": "a sentence nobody guesses",
            "chromium": shutil.which("chromium"), "shots": str(shots) if shots else None,
        }
        command, variables = install.command(ENVIRONMENT, SCRIPT)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, input=json.dumps(given),
            env={**os.environ, **variables},
        )
    finally:
        stop(gateway.process)
    if done.returncode:
        raise Failed(f"{SCRIPT} failed:\n{done.stdout[-800:]}\n{done.stderr.strip()[-800:]}")
    return driver.told("chromium", driver.lines(done.stdout), CASES)


def every(moongate: Path, folder: Path, shots: Path | None) -> int:
    """The pages for people, the console, and the approvals."""
    result = 0
    for name, part in {"people": run, "console": console.run, "approvals": approvals.run}.items():
        (folder / name).mkdir()
        result = max(result, part(moongate, folder / name, shots))
    return result


if __name__ == "__main__":
    driver.main(
        "browser", "Chromium at the gateway's pages.", {ENVIRONMENT, approvals.OUTSIDER},
        lambda flags, folder: every(flags.moongate, folder, flags.shots and flags.shots.resolve()),
        lambda parser: parser.add_argument("--shots", type=Path),
    )
