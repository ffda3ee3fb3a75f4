"""A real OAuth library against the gateway's authorization server: `python3 testkit/grid/oauth.py --moongate PATH`.

npm openid-client (`clients/oauth_openid.mjs`) discovers the server, gets tokens by every grant, refreshes, revokes and
introspects them, and uses each at a real agent; at a second gateway, over TLS, it is known by certificates that openssl has
made (`clients/oauth_certified.mjs`). Clients and people are registered as an operator does, by the command line.
Exit 0: every case ran and passed. 1: something is red. 2: it could not start.
"""

import base64
import hashlib
import json
import os
import secrets
import subprocess
from pathlib import Path

import driver
import install
from peers import AGENTS
from processes import Failed, RunningAgent, RunningGateway, stop

ENVIRONMENT, SCRIPT, CERTIFIED, AGENT = "js-oauth", "oauth_openid.mjs", "oauth_certified.mjs", "py1-jsonrpc"
SECONDS = 600
OAUTH = '\n[oauth]\nscopes = ["a2a:*:*"]\n'
# As many cases as there are: one that did not run is red.
CASES, CERTIFIED_CASES = 17 + 15, 8
CAR = """
[[peers]]
domain = "car.example"
bundle = "car.pem"
scopes = ["a2a:*:*"]
revocation = "off"
"""


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
    relay = operator("clients", "add", "relay", "--grant", "exchange", "--scope", "a2a:*:send")["secret"]
    kinds = {"signer-es256": "ES256", "signer-eddsa": "EdDSA"}
    keys = {name: signer(operator, folder, name, kind) for name, kind in kinds.items()}
    return {"secret": secret, "relay": relay, "keys": keys, "people": people(operator)}


def people(operator: Operator) -> dict:
    """Alice, a television that she may let in, and a program in her browser."""
    person = {"name": "alice", "password": secrets.token_urlsafe(16), "redirect_uri": "https://app.grid.example/back"}
    operator("users", "add", "alice", "--scope", "a2a:*:send", "--password", given=person["password"] + "\n")
    operator("clients", "add", "tv", "--name", "Television", "--public", "--grant", "device", "--scope", "a2a:*:send",
             "--scope", "a2a:*:get")
    operator("clients", "add", "app", "--public", "--grant", "code", "--redirect-uri", person["redirect_uri"],
             "--scope", "a2a:*:send")
    return person


def openssl(folder: Path, *words: str) -> bytes:
    done = subprocess.run(["openssl", *words], capture_output=True, timeout=60, cwd=folder)
    if done.returncode:
        raise Failed(f"`openssl {words[0]}` failed:\n{done.stderr.decode().strip()[-800:]}")
    return done.stdout


def certificates(folder: Path) -> dict:
    """A certification authority of the car's, and what it has issued."""
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(folder, "req", "-x509", *made, "-subj", "/CN=Car CA", "-keyout", "car.key", "-out", "car.pem", "-days", "2")
    issued = {}
    for name, path in (("nav", "nav"), ("renewed", "nav"), ("radio", "radio")):
        (folder / f"{name}.ext").write_text(
            f"subjectAltName = URI:spiffe://car.example/{path}\nextendedKeyUsage = clientAuth\n"
            "basicConstraints = critical,CA:false\nkeyUsage = critical,digitalSignature\n"
        )
        openssl(folder, "req", "-new", *made, "-subj", f"/CN={path}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "car.pem", "-CAkey", "car.key", "-CAcreateserial",
                "-days", "1", "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        issued[name] = {"cert": (folder / f"{name}.pem").read_text(), "key": (folder / f"{name}.key").read_text()}
    return issued


def certified(moongate: Path, folder: Path) -> int:
    """The same library, known by certificates."""
    issued = certificates(folder)
    running = []
    try:
        agent = RunningAgent(next(one for one in AGENTS if one.name == AGENT), folder)
        running.append(agent.process)
        gateway = RunningGateway(moongate, [agent], folder, more=OAUTH + CAR, secure=True)
        running.append(gateway.process)
        operator = Operator(moongate, folder)
        operator("clients", "add", "nav", "--certificate", "spiffe://car.example/nav", "--scope", "a2a:*:send")
        operator("clients", "add", "robot", "--scope", "a2a:*:send")
        root = f"https://127.0.0.1:{gateway.secure_port}"
        digest = hashlib.sha256(openssl(folder, "x509", "-in", "nav.pem", "-outform", "DER")).digest()
        told = play(CERTIFIED, {
            "issuer": root, "agent": f"{root}/agents/{AGENT}/", "root": (folder / "ca" / "ca.pem").read_text(),
            "certificates": issued, "thumbprint": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        })
    finally:
        for process in reversed(running):
            stop(process)
    return driver.told("openid-client by certificate", driver.lines(told), CERTIFIED_CASES)


def play(script: str, given: dict) -> str:
    command, variables = install.command(ENVIRONMENT, script)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, input=json.dumps(given),
        env={**os.environ, **variables},
    )
    if done.returncode:
        raise Failed(f"{script} failed:\n{done.stdout[-800:]}\n{done.stderr.strip()[-800:]}")
    return done.stdout


def below(folder: Path) -> Path:
    """A folder of its own for the second gateway."""
    folder = folder / "certified"
    folder.mkdir()
    return folder


def run(moongate: Path, folder: Path) -> int:
    running = []
    try:
        agent = RunningAgent(next(one for one in AGENTS if one.name == AGENT), folder)
        running.append(agent.process)
        gateway = RunningGateway(moongate, [agent], folder, more=OAUTH)
        running.append(gateway.process)
        given = register(Operator(moongate, folder), folder)
        told = play(SCRIPT, {**given, "issuer": gateway.root, "agent": gateway.base(agent.agent)})
    finally:
        for process in reversed(running):
            stop(process)
    return driver.told("openid-client", driver.lines(told), CASES)


if __name__ == "__main__":
    driver.main(
        "oauth", "A real OAuth library against the gateway's authorization server.", {ENVIRONMENT, "py-1.x"},
        lambda flags, folder: max(run(flags.moongate, folder), certified(flags.moongate, below(folder))),
    )
