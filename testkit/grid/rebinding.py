"""Names that lead inside, against the gateway: `python3 testkit/grid/rebinding.py --moongate PATH`.

The gateway asks a DNS server that lies (`clients/dns_hostile.py`, PyPI dnslib): names that mean this machine, a metadata service or
another place inside, at once, later, in turn, beside a rightful address, by aliases. Strangers name them in callbacks, and programs
of this machine register agents there. Only `RIGHTFUL` is allowed; listeners on 127.0.0.1 and ::1 with the same port must never see a
connection. A rightful name works in the same run, and a reload changes whom the gateway asks. Exit 0: every case ran and passed. 1:
something is red. 2: it could not start.
"""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import driver
import install
from peers import AGENTS
from processes import Failed, RunningAgent, RunningGateway, stop

ENVIRONMENT, SCRIPT = "judges", "dns_hostile.py"
RIGHTFUL = "127.0.0.5"
AGENT = "py1-jsonrpc"
PATIENCE = 30
# As many cases as there are: one that did not run is red.
CASES = 65
# So often each name is asked for at least before it is judged; a callback that fails is tried again, a rightful name is asked for
# once a callback.
LEAST = 2


class Names:
    """A DNS server, and how often each name was asked for."""

    def __init__(self, folder: Path, *more: str) -> None:
        words, variables = install.command(ENVIRONMENT, SCRIPT)
        self.asked: Counter[str] = Counter()
        with (folder / "dns.log").open("a") as log:
            self.process = subprocess.Popen(
                [*words, "--rightful", RIGHTFUL, *more], stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, **variables},
            )
        ready = self.process.stdout.readline().split()
        if ready[:1] != ["READY"]:
            raise Failed(f"the DNS server did not start:\n{(folder / 'dns.log').read_text()[-800:]}")
        self.address = f"127.0.0.1:{ready[1]}"
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        for line in self.process.stdout:
            self.asked[line.strip()] += 1


class Canary(threading.Thread):
    """Listeners where nobody may come."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.seen: list[str] = []
        self.listeners = [socket.create_server(("127.0.0.1", port))]
        if socket.has_ipv6:
            self.listeners.append(socket.create_server(("::1", port), family=socket.AF_INET6))
        for listener in self.listeners:
            threading.Thread(target=self._listen, args=(listener,), daemon=True).start()

    def _listen(self, listener: socket.socket) -> None:
        while True:
            caller, _ = listener.accept()
            caller.settimeout(2)
            try:
                self.seen.append(repr(caller.recv(300)))
            except OSError:
                self.seen.append("nothing")
            caller.close()


class Rightful(BaseHTTPRequestHandler):
    """The place where names may lead: takes callbacks, and is an agent that says one thing."""

    came: Counter[str] = Counter()

    def do_GET(self) -> None:
        host = self.headers["host"]
        card = {
            "name": host.split(".")[0], "description": "says one thing", "version": "1",
            "supportedInterfaces": [{"url": f"http://{host}/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
            "capabilities": {}, "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            "skills": [{"id": "say", "name": "say", "description": "says one thing", "tags": ["say"]}],
        }
        self._answer(card)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.came[f"{self.path} {self.headers['host'].split('.')[0]}"] += 1
        asked = json.loads(body)
        said = {"message": {"messageId": os.urandom(6).hex(), "role": "ROLE_AGENT", "parts": [{"text": "hello"}]}}
        self._answer({"jsonrpc": "2.0", "id": asked.get("id"), "result": said})

    def _answer(self, answer: dict) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


class Bed:
    def __init__(self, moongate: Path, folder: Path) -> None:
        self.told: list[driver.Case] = []
        self.running: list[subprocess.Popen] = []
        self.folder = folder
        self.place = ThreadingHTTPServer((RIGHTFUL, 0), Rightful)
        threading.Thread(target=self.place.serve_forever, daemon=True).start()
        self.port = self.place.server_address[1]
        self.canary = Canary(self.port)
        self.names = self.server()
        agent = RunningAgent(next(one for one in AGENTS if one.name == AGENT), folder)
        self.running.append(agent.process)
        egress = f'allow = ["{RIGHTFUL}/32"]\ndns = "{self.names.address}"'
        self.gateway = RunningGateway(moongate, [agent], folder, egress=egress)
        self.running.append(self.gateway.process)

    def server(self, *more: str) -> Names:
        names = Names(self.folder, *more)
        self.running.append(names.process)
        return names

    def end(self) -> None:
        for process in reversed(self.running):
            stop(process)
        self.place.shutdown()

    def tell(self, case: str, ok: bool, detail: object = "") -> None:
        self.told.append((case, ok, detail))

    def post(self, path: str, body: dict) -> tuple[int, dict]:
        connection = HTTPConnection("127.0.0.1", self.gateway.port, timeout=PATIENCE)
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json", "a2a-version": "1.0"})
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")

    def says(self, agent: str, **configuration) -> tuple[bool, dict]:
        message = {"messageId": os.urandom(8).hex(), "role": "ROLE_USER", "parts": [{"text": "echo hello"}]}
        call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        if configuration:
            call["params"]["configuration"] = configuration
        status, answer = self.post(f"/agents/{agent}", call)
        return status == 200 and "result" in answer, answer

    def url(self, name: str, path: str) -> str:
        return f"http://{name}.rebind.test:{self.port}{path}"

    def calls_back(self, name: str) -> None:
        ok, answer = self.says(AGENT, taskPushNotificationConfig={"url": self.url(name, "/hook")})
        if not ok:
            raise Failed(f"a message with a callback to {name} is refused: {answer}")

    def registers(self, name: str) -> tuple[bool, dict]:
        status, answer = self.post("/api/v1/agents", {"name": name, "card_url": self.url(name, "/card.json"), "insecure": True})
        return status in (200, 201), answer

    def reload(self, dns: str) -> None:
        text = self.gateway.config.read_text()
        before = next(line for line in text.splitlines() if line.startswith("dns ="))
        self.gateway.config.write_text(text.replace(before, f'dns = "{dns}"'))
        self.gateway.process.send_signal(signal.SIGHUP)


def until(holds) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def callbacks(bed: Bed, names: list[str]) -> None:
    for name in names * LEAST:
        bed.calls_back(name)
    for name in names:
        asked = until(lambda: bed.names.asked[name] >= LEAST)
        if name == "rightful" or name.startswith("both"):
            bed.tell(f"callback, {name}: arrives", until(lambda: Rightful.came[f"/hook {name}"] >= LEAST), Rightful.came)
        elif name.startswith(("later", "in-turn")):
            bed.tell(f"callback, {name}: is asked for again", asked, bed.names.asked[name])
        else:
            bed.tell(f"callback, {name}: goes nowhere", asked and not Rightful.came[f"/hook {name}"], bed.names.asked[name])


def agents(bed: Bed, names: list[str]) -> None:
    for name in names:
        before = bed.names.asked[name]
        # What the DNS server says of its questions comes a little later than its answers.
        asked = lambda name=name, before=before: until(lambda: bed.names.asked[name] > before)
        taken, answer = bed.registers(name)
        if name.startswith(("later", "in-turn")):
            # It may be in its rightful mood or not; what follows is the same name, asked again and again.
            said = [bed.says(name)[0] for _ in range(4)] if taken else [bed.registers(name)[0] for _ in range(4)]
            bed.tell(f"agent, {name}: is asked for again", asked(), (taken, said))
        elif name == "rightful" or name.startswith("both"):
            said = taken and bed.says(name)
            bed.tell(f"agent, {name}: is taken and speaks", bool(said) and said[0], (taken, answer, said))
        else:
            bed.tell(f"agent, {name}: is not taken", not taken and asked(), answer)


def reloads(bed: Bed) -> None:
    other = bed.server("--honest")
    bed.reload(other.address)
    bed.tell("another server is asked after a reload", until(lambda: bed.registers("inside")[0]) and other.asked["inside"] > 0)
    before = other.asked.copy()
    bed.reload("no address")
    refused = until(lambda: "MG-0104" in bed.gateway.log.read_text() or "egress.dns" in bed.gateway.log.read_text())
    bed.tell("a server that is no address is not taken over", refused and bed.registers("rightful")[0] and other.asked != before)
    bed.reload("127.0.0.1:9")
    bed.tell("a server that is not there", until(lambda: not bed.registers("rightful")[0]))
    bed.reload("system")
    bed.tell("the system knows none of these names", until(lambda: not bed.registers("rightful")[0]))


def run(moongate: Path, folder: Path) -> int:
    words, variables = install.command(ENVIRONMENT, SCRIPT)
    listed = subprocess.run([*words, "--rightful", RIGHTFUL, "--names"], capture_output=True, text=True, check=True,
                            env={**os.environ, **variables})
    names = listed.stdout.split()
    bed = Bed(moongate, folder)
    try:
        callbacks(bed, names)
        agents(bed, names)
        bed.tell("nobody came where nobody may come", not bed.canary.seen, bed.canary.seen[:3])
        reloads(bed)
        bed.tell("nobody came later either", not bed.canary.seen, bed.canary.seen[:3])
        bed.tell("the gateway is still there", bed.gateway.process.poll() is None)
    finally:
        bed.end()
    return driver.told("names that lead inside", bed.told, CASES)


if __name__ == "__main__":
    driver.main(
        "rebinding", "Names that lead inside, against the gateway.", {ENVIRONMENT, "py-1.x"},
        lambda flags, folder: run(flags.moongate, folder),
    )
