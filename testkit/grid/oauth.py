"""A real OAuth library against the gateway's authorization server: `python3 testkit/grid/oauth.py --moongate PATH`.

npm openid-client (`clients/oauth_openid.mjs`) discovers the server, gets tokens by every grant, refreshes, revokes and
introspects them, and uses each at a real agent. Clients and people are registered as an operator does, by the command line.
Exit 0: every case ran and passed. 1: something is red. 2: it could not start.
"""

import json
import os
import secrets
import subprocess
from pathlib import Path

import driver
import install
from peers import AGENTS
from processes import Failed, RunningAgent, RunningGateway, stop

ENVIRONMENT, SCRIPT, AGENT = "js-oauth", "oauth_openid.mjs", "py1-jsonrpc"
SECONDS = 600
OAUTH = '\n[oauth]\nscopes = ["a2a:*:*"]\n'
# As many cases as there are: one that did not run is red.
CASES = 15 + 14


class Operator:
    """Whoever runs the gateway, at its command line."""

    def __init__(self, moongate: Path, folder: Path) -> None:
        self.moongate, self.folder = moongate, folder

    def __call__(self, *words: str, given: str | None = None) -> dict:
        command = [str(self.moongate), "--config", str(self.folder / "moongate.toml"), "--json", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, input=given)
        if done.returncode:
            raise Failed(f"`moongate {' '.join(words)}` failed:\n{done.stderr.strip()}")
        return json.loads(done.stdout)


def signer(operator: Operator, folder: Path, name: str, kind: str) -> dict:
    """A client that signs; its private key."""
    script = (
        "import { createRequire } from 'node:module'; import { pathToFileURL } from 'node:url';"
        "const load = createRequire(process.env.GRID_PACKAGES + '/');"
        "const jose = await import(pathToFileURL(load.resolve('jose')).href);"
        f"const pair = await jose.generateKeyPair('{kind}', {{ extractable: true }});"
        "const [own, shown] = [await jose.exportJWK(pair.privateKey), await jose.exportJWK(pair.publicKey)];"
        "own.kid = shown.kid = await jose.calculateJwkThumbprint(shown);"
        "console.log(JSON.stringify({ own, shown }));"
    )
    command, variables = install.command(ENVIRONMENT, SCRIPT)
    done = subprocess.run(
        [command[0], "--input-type=module", "-e", script], capture_output=True, text=True, timeout=60,
        env={**os.environ, **variables},
    )
    if done.returncode:
        raise Failed(f"no key could be made:\n{done.stderr.strip()[-800:]}")
    pair = json.loads(done.stdout)
    (folder / f"{name}.json").write_text(json.dumps({"keys": [pair["shown"]]}))
    operator("clients", "add", name, "--jwks", str(folder / f"{name}.json"), "--scope", "a2a:*:send")
    return pair["own"]


def register(operator: Operator, folder: Path) -> dict:
    """The clients; what the peer must know of them."""
    secret = operator("clients", "add", "robot", "--scope", "a2a:*:send", "--scope", "a2a:*:get")["secret"]
    kinds = {"signer-es256": "ES256", "signer-eddsa": "EdDSA"}
    keys = {name: signer(operator, folder, name, kind) for name, kind in kinds.items()}
    return {"secret": secret, "keys": keys, "people": people(operator)}


def people(operator: Operator) -> dict:
    """Alice, a television that she may let in, and a program in her browser."""
    person = {"name": "alice", "password": secrets.token_urlsafe(16), "redirect_uri": "https://app.grid.example/back"}
    operator("users", "add", "alice", "--scope", "a2a:*:send", "--password", given=person["password"] + "\n")
    operator("clients", "add", "tv", "--name", "Television", "--public", "--grant", "device", "--scope", "a2a:*:send",
             "--scope", "a2a:*:get")
    operator("clients", "add", "app", "--public", "--grant", "code", "--redirect-uri", person["redirect_uri"],
             "--scope", "a2a:*:send")
    return person


def play(given: dict) -> str:
    command, variables = install.command(ENVIRONMENT, SCRIPT)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, input=json.dumps(given),
        env={**os.environ, **variables},
    )
    if done.returncode:
        raise Failed(f"{SCRIPT} failed:\n{done.stdout[-800:]}\n{done.stderr.strip()[-800:]}")
    return done.stdout


def run(moongate: Path, folder: Path) -> int:
    running = []
    try:
        agent = RunningAgent(next(one for one in AGENTS if one.name == AGENT), folder)
        running.append(agent.process)
        gateway = RunningGateway(moongate, [agent], folder, more=OAUTH)
        running.append(gateway.process)
        given = register(Operator(moongate, folder), folder)
        told = play({**given, "issuer": gateway.root, "agent": gateway.base(agent.agent)})
    finally:
        for process in reversed(running):
            stop(process)
    return driver.told("openid-client", driver.lines(told), CASES)


if __name__ == "__main__":
    driver.main(
        "oauth", "A real OAuth library against the gateway's authorization server.", {ENVIRONMENT, "py-1.x"},
        lambda flags, folder: run(flags.moongate, folder),
    )
