"""The gateway as a client of a real authorization server: `python3 testkit/grid/outbound.py --moongate PATH`.

npm oidc-provider gives tokens to the gateway (client credentials), which proves itself by a secret or by keys of three kinds, and
exchanges callers' tokens and the gateway's word for them (RFC 8693), both verified with the gateway's own keys by jose; agents let in
only who shows one of these tokens, made for them (`clients/outbound_oidc.mjs`). Exit 0: every case ran and passed. 1:
something is red. 2: it could not start.
"""

import base64
import http.client
import json
import os
import subprocess
import time
from pathlib import Path

import driver
import install
from oauth import Operator
from processes import Failed, RunningGateway, stop

ENVIRONMENT, SCRIPT = "js-oidc", "outbound_oidc.mjs"
SECRET = "s:e&c+r%t ~/=?"
# As many cases as there are: one that did not run is red.
CASES = 11 + 9
PUBLIC = "https://gw.grid.example"


def call(port: int, method: str, path: str, body: dict | None = None, bearer: str = "") -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Content-Type": "application/json", "A2A-Version": "1.0"} if body else {}
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    connection.request(method, path, json.dumps(body) if body else None, headers)
    return json.loads(connection.getresponse().read())


def say(gateway: RunningGateway, name: str, bearer: str = "") -> str:
    """What the agent answered, or the gateway's code and words."""
    message = {"messageId": f"m-{time.monotonic_ns()}", "role": "ROLE_USER", "parts": [{"text": "hello"}]}
    request = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
    answer = call(gateway.port, "POST", f"/agents/{name}", request, bearer)
    if "result" in answer:
        return answer["result"]["message"]["parts"][0]["text"]
    error = answer["error"]
    return f"{error['data'][0]['metadata'].get('code')} {error['message']}"


def entry(name: str, agent: str, port: int, proof: str, scope: str = "lights.use") -> str:
    base = f"http://127.0.0.1:{port}"
    return (
        f'\n[[agents]]\nname = "{name}"\ncard_url = "{base}/agents/{agent}/.well-known/agent-card.json"\nqueue = false\n'
        f'[agents.auth.oauth]\ntoken_url = "{base}/token"\nclient_id = "{agent}"\n{proof}\nscope = "{scope}"\n'
        f'resource = "{base}/agents/{agent}"\n'
    )


def exchanging(name: str, agent: str, port: int, subject: str) -> str:
    entry_ = entry(name, agent, port, f'client_secret = "{SECRET}"\nsubject = "{subject}"')
    return entry_.replace("[agents.auth.oauth]", "[agents.auth.exchange]")


def token_of(gateway: RunningGateway, client: str, secret: str) -> str:
    """A token of the gateway's own authorization server."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    pair = base64.b64encode(f"{client}:{secret}".encode()).decode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Basic {pair}"}
    connection.request("POST", "/oauth/token", "grant_type=client_credentials", headers)
    return json.loads(connection.getresponse().read())["access_token"]


def exchanges(moongate: Path, gateway: RunningGateway, folder: Path, port: int) -> list[driver.Case]:
    """What agents learn of callers for whom the gateway has exchanged a token."""
    operator = Operator(moongate, folder)
    tokens = {}
    for name in ("robot", "toaster"):
        secret = operator("clients", "add", name, "--scope", "a2a:*:send")["secret"]
        tokens[name] = token_of(gateway, name, secret)
    told: list[driver.Case] = []

    def expect(case: str, words: list[str], agent: str, caller: str = "") -> None:
        said = say(gateway, agent, tokens.get(caller, ""))
        told.append((case, all(word in said for word in words), said))

    expect("a server that trusts nobody", ["MG-0439", "invalid_grant"], "for-word")
    call(port, "GET", f"/trust?root={gateway.root}&issuer={PUBLIC}")
    expect("a caller's token", ["let in as for-token, nobody for robot"], "for-token", "robot")
    expect("another caller's", ["let in as for-token, nobody for toaster"], "for-token", "toaster")
    expect("no token to exchange", ["MG-0438"], "for-token")
    expect("the gateway's word for a caller", ["let in as for-word, grid.example for grid.example/robot"], "for-word", "robot")
    # The refusal of a moment ago is remembered for some seconds.
    until, said = time.monotonic() + 20, ""
    while time.monotonic() < until and not said.startswith("let in"):
        said = say(gateway, "for-word")
        time.sleep(0.5)
    told.append(("its word for a program without a token", said == "let in as for-word, grid.example for local", said))
    expect("more than was asked for", ["MG-0440"], "wide", "robot")
    seen = [one for one in call(port, "GET", "/seen") if one["name"] in ("for-token", "for-word", "wide")]
    tails = {one["token"] for one in seen}
    told.append(("each caller's token is its own", len(tails) == 4 and all(one["ok"] for one in seen), seen))
    log = gateway.log.read_text()
    hidden = not any(token[-8:] in tails or token in log for token in tokens.values())
    told.append(("callers' tokens reach no agent and no log", hidden and not any(tail in log for tail in tails), ""))
    return told


def run(moongate: Path, folder: Path) -> int:
    words, variables = install.command(ENVIRONMENT, SCRIPT)
    log = (folder / "oidc.log").open("w")
    serving = subprocess.Popen(
        [*words, "--folder", str(folder)], stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **variables}
    )
    running = [serving]
    told: list[tuple[str, bool, object]] = []
    try:
        lines = iter(serving.stdout.readline, "")
        ready = next((line for line in lines if line.startswith("READY")), "")
        if not ready:
            raise Failed(f"the authorization server did not start:\n{(folder / 'oidc.log').read_text()[-1200:]}")
        port = int(ready.split()[1])
        secret = f'client_secret = "{SECRET}"'
        keys = ["key-ec", "key-ed", "key-rsa"]
        more = "".join(entry(name, name, port, secret) for name in ("secret", "short", "revoked"))
        more += "".join(
            entry(name, name, port, f'private_key = "{folder}/{name}.pem"\nkey_id = "{name}"') for name in keys
        )
        more += entry("wrong-secret", "secret", port, 'client_secret = "guess"')
        more += entry("wrong-key", "key-ec", port, f'private_key = "{folder}/key-rsa.pem"\nkey_id = "key-ec"')
        more += entry("wrong-scope", "scope", port, secret, scope="doors.open")
        more += exchanging("for-token", "for-token", port, "token") + exchanging("for-word", "for-word", port, "assertion")
        more += exchanging("wide", "wide", port, "token")
        more += '\n[oauth]\nscopes = ["a2a:*:*"]\n'
        gateway = RunningGateway(moongate, [], folder, more=more, top=f'public_url = "{PUBLIC}"\n')
        running.append(gateway.process)
        for name in ["secret", *keys]:
            said = say(gateway, name)
            told.append((f"let in: {name}", said == f"let in as {name}", said))
        # The server gives a token without the scope that it does not know; the agent does not accept that.
        refusals = {"wrong-secret": ("MG-0418", "invalid_client"), "wrong-key": ("MG-0418", "invalid_client"),
                    "wrong-scope": ("MG-0507", "did not accept")}
        for name, words in refusals.items():
            said = say(gateway, name)
            told.append((f"refused: {name}", all(word in said for word in words) and SECRET not in said, said))
        until = time.monotonic() + 9
        said = set()
        while time.monotonic() < until:
            said.add(say(gateway, "short"))
            time.sleep(0.2)
        seen = call(port, "GET", "/seen")
        tokens = {one["token"] for one in seen if one["name"] == "short"}
        told.append(("short: never refused over three lifetimes", said == {"let in as short"}, said))
        told.append(("short: several tokens, few", 3 <= len(tokens) <= 5, tokens))
        first = say(gateway, "revoked")
        call(port, "GET", "/revoke/revoked")
        second = say(gateway, "revoked")
        told.append(("revoked: another token at once", first == second == "let in as revoked", (first, second)))
        told += exchanges(moongate, gateway, folder, port)
        shown = gateway.log.read_text()
        told.append(("no secret in the log", SECRET not in shown and not any(token in shown for token in tokens), ""))
    finally:
        for process in reversed(running):
            stop(process)
    if not all(ok for _, ok, _ in told):
        print((folder / "oidc.log").read_text()[-1500:])
    return driver.told("tokens of oidc-provider", told, CASES)


if __name__ == "__main__":
    driver.main(
        "outbound", "The gateway as a client of a real authorization server.", {ENVIRONMENT},
        lambda flags, folder: run(flags.moongate, folder),
    )
