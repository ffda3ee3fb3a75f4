"""Those who are told that something waits: `python3 testkit/grid/notify.py --moongate PATH`.

Letters go to PyPI aiosmtpd under TLS 1.3, and not under TLS 1.2; events to Debian's mosquitto under TLS 1.3, and to a webhook whose
signatures PyPI standardwebhooks verifies; push messages to a stub that PyPI http-ece decrypts and whose sender PyPI py-vapid verifies
(`clients/notify_receivers.py`). Chromium is the telephone (`clients/notify_browser.mjs`).
Exit 0: every case ran and passed. 1: something is red. 2: it could not start.
"""

import base64
import contextlib
import email
import email.policy
import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import driver
import install
from oauth import Operator
from peers import AGENTS
from processes import Failed, RunningAgent, RunningGateway, free_ports, stop

ENVIRONMENT, RECEIVERS = "notify", "notify_receivers.py"
BROWSER, SCRIPT = "js-browser", "notify_browser.mjs"
AGENT = "py1-jsonrpc"
SECONDS = 240
# As many cases as there are: one that did not run is red.
CASES = 8 + 12
PASSWORD = "a password, with: everything"


def call(*words: object, **members) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, **members)
    if done.returncode:
        raise Failed(f"`{words[0]}` ended with {done.returncode}:\n{(done.stdout + done.stderr).strip()[-600:]}")
    return done.stdout


def certificates(folder: Path) -> tuple[Path, Path]:
    """An authority that the gateway trusts, and what it has signed for this machine."""
    authority = folder / "ca"
    authority.mkdir()
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    call("openssl", "req", "-x509", *curve, "-subj", "/CN=home", "-keyout", authority / "ca.key", "-out", authority / "ca.pem")
    cert, key, wish, more = (folder / name for name in ("peer.pem", "peer.key", "peer.csr", "peer.ext"))
    more.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    call("openssl", "req", *curve[:-2], "-subj", "/CN=localhost", "-keyout", key, "-out", wish)
    signed = ("-CA", authority / "ca.pem", "-CAkey", authority / "ca.key", "-CAcreateserial", "-days", "2", "-extfile", more)
    call("openssl", "x509", "-req", "-in", wish, *signed, "-out", cert)
    return cert, key


@contextlib.contextmanager
def broker(folder: Path, cert: Path, key: Path) -> Iterator[tuple[int, Path]]:
    """A broker that wants TLS 1.3 and a password, and everything that it is told, line by line."""
    [port] = free_ports(1)
    passwords, config, heard = folder / "passwords", folder / "mosquitto.conf", folder / "heard"
    passwords.touch(mode=0o600)
    call("mosquitto_passwd", "-b", passwords, "gate", PASSWORD)
    user = "user root\n" if os.geteuid() == 0 else ""
    config.write_text(
        f"{user}listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\npersistence false\n"
        f"certfile {cert}\nkeyfile {key}\ncafile {folder / 'ca' / 'ca.pem'}\ntls_version tlsv1.3\n"
    )
    words = ["mosquitto_sub", "-h", "localhost", "-p", str(port), "--cafile", str(folder / "ca" / "ca.pem"), "-u", "gate",
             "-P", PASSWORD, "-V", "mqttv5", "-q", "1", "-t", "home/#", "-F", "%t\t%r\t%q\t%E\t%p"]
    with (folder / "mosquitto.log").open("w") as log, heard.open("w") as out:
        server = subprocess.Popen(["mosquitto", "-c", str(config)], stdout=log, stderr=log)
        listener = None
        try:
            until("the broker", lambda: listens(port))
            listener = subprocess.Popen(words, stdout=out, stderr=log)
            yield port, heard
        finally:
            stop(server)
            if listener:
                stop(listener)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def until(what: str, found: Callable[[], object]) -> object:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.1)
    raise Failed(f"{what}: not in time")


def channels(ports: dict, mqtt: int, secret: str) -> str:
    mail = f'user = "gate"\npassword = "{PASSWORD}"\nfrom = "gate@home.example"\nto = ["ann@home.example", "bob@home.example"]\n'
    return (
        '\n[tls]\nca_dir = "ca"\n[oauth]\nscopes = ["a2a:*:*"]\n[[policy]]\nname = "all"\nconfirm = \'operation == "send"\'\n'
        f'[[notify]]\nname = "mail"\nkind = "mail"\nurl = "smtps://localhost:{ports["tls13"]}"\n{mail}'
        f'[[notify]]\nname = "old"\nkind = "mail"\nurl = "smtps://localhost:{ports["tls12"]}"\n{mail}'
        f'[[notify]]\nname = "hub"\nkind = "mqtt"\nurl = "mqtts://localhost:{mqtt}"\nuser = "gate"\npassword = "{PASSWORD}"\n'
        'topic = "home/gate"\n'
        f'[[notify]]\nname = "badge"\nkind = "mqtt"\nurl = "mqtts://localhost:{mqtt}"\nuser = "gate"\npassword = "wrong"\n'
        'topic = "home/gate"\n'
        f'[[notify]]\nname = "hook"\nkind = "webhook"\nurl = "http://127.0.0.1:{ports["web"]}/hook"\nsecret = "{secret}"\n'
        '[[notify]]\nname = "phones"\nkind = "push"\nservices = ["127.0.0.1"]\n'
    )


def browse(gateway: RunningGateway, operator: Operator, ports: dict) -> list[driver.Case]:
    link = operator("users", "add", "alice", "--scope", "approve")["invitation"]["url"]
    given = {
        "base": link.split("/oauth/")[0], "root": gateway.root, "link": link, "web": ports["web"],
        "subscription": ports["subscription"], "chromium": shutil.which("chromium"),
    }
    command, variables = install.command(BROWSER, SCRIPT)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, input=json.dumps(given), env={**os.environ, **variables},
    )
    if done.returncode:
        raise Failed(f"{SCRIPT} failed:\n{done.stdout[-800:]}\n{done.stderr.strip()[-800:]}")
    return driver.lines(done.stdout)


def judged(report: dict, heard: list[list[str]], status: dict) -> Iterator[driver.Case]:
    """What came, by the foreign libraries' word."""
    question = json.loads(report["pushes"][0]["said"])["id"]
    letter = report["letters"]["tls13"][0]
    parsed = email.message_from_string(letter["text"], policy=email.policy.default)
    body = parsed.get_content()
    yield "a letter comes under TLS 1.3", letter["tls"] == "TLSv1.3", letter["tls"]
    own = (parsed["from"], parsed["message-id"], parsed["auto-submitted"])
    expected = ("Moongate <gate@home.example>", f"<{question}.pending@home.example>", "auto-generated")
    yield "its headers are those of the gateway", own == expected and letter["to"][1] == "bob@home.example", own
    yield "it carries the link", f"/approvals/{question}" in body and "maiden" not in letter["text"], body
    troubles = {one["name"]: (one["told"], one["trouble"]) for one in status["notifications"]}
    yield "nothing is sent under TLS 1.2", report["letters"]["tls12"] == [] and troubles["old"][0] == 0, troubles["old"]
    events = [json.loads(line[4]) for line in heard if line[0] == "home/gate/approval"]
    mine = [event for event in events if event["id"] == question]
    fits = len(mine) == 1 and mine[0]["type"] == "approval.asked" and all(line[2] == "1" for line in heard)
    yield "a broker has the event, at QoS 1", fits, heard
    numbers = [line[4] for line in heard if line[0] == "home/gate/open"]
    yield "and the number of open questions", numbers[:2] == ["0", "1"], numbers
    refused = troubles["badge"][0] == 0 and "not authorized" in (troubles["badge"][1] or "")
    yield "a broker that refuses is named as one", refused, troubles["badge"]
    hook = report["hooks"][0]
    yield "a webhook's signature holds", hook["holds"] and hook["said"]["id"] == question, hook
    yield "and holds for nothing else", not hook["changed"] and not hook["other"], hook
    push = report["pushes"][0]
    said = json.loads(push["said"])
    yield "a push message is read by its browser", said == {"id": question, "class": "sensitive"}, said
    yield "and by no other", push["stranger"] is None, push["stranger"]
    yield "its sender is proved", push["vapid"] and not push["forged"] and push["claims"]["aud"].startswith("http://127."), push


def run(moongate: Path, folder: Path) -> int:
    for program in ("chromium", "mosquitto", "mosquitto_sub", "openssl"):
        if not shutil.which(program):
            raise Failed(f"{program} is missing; run `apt-get install -y chromium mosquitto mosquitto-clients openssl`")
    cert, key = certificates(folder)
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    words, variables = install.command(ENVIRONMENT, RECEIVERS)
    receivers = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **variables},
    )
    agent = gateway = None
    try:
        receivers.stdin.write(json.dumps({"cert": str(cert), "key": str(key), "secret": secret, "password": PASSWORD}) + "\n")
        receivers.stdin.flush()
        ports = json.loads(receivers.stdout.readline() or "null")
        if not ports:
            raise Failed(f"{RECEIVERS} did not start")
        with broker(folder, cert, key) as (mqtt, heard):
            agent = RunningAgent(next(one for one in AGENTS if one.name == AGENT), folder)
            gateway = RunningGateway(moongate, [agent], folder, more=channels(ports, mqtt, secret))
            cases = browse(gateway, Operator(moongate, folder), ports)
            report = json.loads(fetched(ports["web"], "/report"))
            status = json.loads(fetched(gateway.admin, "/api/v1/status"))
            said = [line.split("\t", 4) for line in heard.read_text().splitlines()]
            cases += list(judged(report, said, status))
    finally:
        for process in (gateway and gateway.process, agent and agent.process, receivers):
            if process:
                stop(process)
    return driver.told("those who are told", cases, CASES)


def fetched(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    return connection.getresponse().read()


if __name__ == "__main__":
    driver.main(
        "notify", "Those who are told that something waits.", {ENVIRONMENT, BROWSER, "py-1.x"},
        lambda flags, folder: run(flags.moongate, folder),
    )
