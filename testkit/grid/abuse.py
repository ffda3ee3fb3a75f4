"""What floods and bombs do to the gateway: `python3 testkit/grid/abuse.py --moongate PATH`.

Debian's slowhttptest, PyPI h2 (`clients/floods_h2.py`) and requests made by hand (`clients/bombs.py`) attack the main
listener, over TLS and with a good token, and the plain one. Meanwhile another caller sends messages to a real agent over
both: none of its requests may fail, and the gateway's resident memory may grow by no more than `GROWTH_MIB`. How long
that caller waits is printed and never judged. Exit 0: every case ran and passed. 1: something is red. 2: it could not
start.
"""

import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import driver
import install
from peers import AGENTS
from processes import Failed, RunningAgent, RunningGateway, stop

GROWTH_MIB = 64
HELD_MIB = 512
"""What bodies may hold together, 16 of 16 MiB, and as much again for the room in which their pieces are joined."""
HELD_BODIES = 32
SECONDS = 3
SLOW_SECONDS = 6
PATIENCE = 90
LEAST = 5
# As many cases as there are: one that did not run is red.
CASES = 115
"""Requests of the other caller on each listener during an attack; fewer say nothing."""
FLOODS = (
    "rapid_reset", "made_you_reset", "continuation", "empty_continuation", "empty_data", "settings", "ping",
    "hpack_bomb", "many_streams", "shut_window", "priority",
)
CUT_OFF = {"rapid_reset", "made_you_reset", "continuation", "empty_continuation", "empty_data", "hpack_bomb"}
"""Floods that the gateway must end with GOAWAY, saying why."""
SLOW = {
    "slow headers": ("-H",), "slow bodies": ("-B", "-s", "65536", "-f", "application/json"), "ranges": ("-R",),
    "slow readers": ("-X", "-w", "10", "-y", "20", "-n", "1", "-z", "8"),
}
ISSUER = """
[[issuers]]
name = "joserfc"
issuer = "https://idp.grid.example"
jwks = "jwks-joserfc.json"
audience = ["https://gateway.grid.example"]
scopes = ["a2a:*:*"]
"""


def peer(environment: str, script: str, *words: object) -> subprocess.Popen:
    command, variables = install.command(environment, script)
    words = [*command, *(str(word) for word in words)]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables}
    )


def told(process: subprocess.Popen) -> str:
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise Failed(f"{process.args[:3]} does not end:\n{err[-800:]}") from None
    if process.returncode:
        raise Failed(f"{process.args[:3]} ended with {process.returncode}:\n{err[-800:]}")
    return out


class Caller(threading.Thread):
    """Somebody else, with one request after another over one listener until told to stop."""

    def __init__(self, port: int, path: str, token: str, context: ssl.SSLContext | None) -> None:
        super().__init__(daemon=True)
        self.port, self.path, self.context = port, path, context
        self.headers = {"content-type": "application/json", "a2a-version": "1.0", "authorization": f"Bearer {token}"}
        self.over = threading.Event()
        self.waits: list[float] = []
        self.failures: list[str] = []

    def run(self) -> None:
        text = json.dumps({
            "jsonrpc": "2.0", "id": 1, "method": "SendMessage",
            "params": {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "message hello"}]}},
        })
        while not self.over.is_set():
            began = time.monotonic()
            try:
                # Each on a connection of its own: whether one is let in is part of the question.
                connection = self.connection()
                connection.request("POST", self.path, body=text, headers=self.headers)
                answer = connection.getresponse()
                body = answer.read()
                connection.close()
                if answer.status != 200 or b'"message"' not in body or b'"error"' in body:
                    self.failures.append(f"{answer.status} {body[:200]!r}")
            except OSError as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            except http.client.HTTPException as error:
                self.failures.append(type(error).__name__)
            self.waits.append(time.monotonic() - began)

    def connection(self) -> http.client.HTTPConnection:
        if self.context:
            return http.client.HTTPSConnection("localhost", self.port, timeout=30, context=self.context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)


class Bed:
    def __init__(self, moongate: Path, folder: Path) -> None:
        told(peer("py-1.x", "tokens_joserfc.py", "keys", "--folder", folder))
        self.token = told(peer("py-1.x", "tokens_joserfc.py", "token", "--folder", folder)).strip()
        self.running = []
        self.cases: dict[str, bool] = {}
        agent = RunningAgent(next(one for one in AGENTS if one.name == "py1-jsonrpc"), folder)
        self.running.append(agent.process)
        self.gateway = RunningGateway(moongate, [agent], folder, more=ISSUER, secure=True)
        self.running.append(self.gateway.process)
        self.path = f"/agents/{agent.agent.name}"
        self.ca = folder / "ca" / "ca.pem"
        self.context = ssl.create_default_context(cafile=str(self.ca))
        self.listeners = {"main": (self.gateway.secure_port, ("--ca", self.ca)), "plain": (self.gateway.port, ())}

    def end(self) -> None:
        for process in reversed(self.running):
            stop(process)

    def resident(self) -> float:
        """MiB of the gateway that are in memory."""
        status = Path(f"/proc/{self.gateway.process.pid}/status").read_text()
        line = next((line for line in status.splitlines() if line.startswith("VmRSS:")), None)
        if line is None:
            raise Failed("the gateway has ended")
        return int(line.split()[1]) / 1024

    def callers(self) -> list[Caller]:
        return [
            Caller(self.gateway.secure_port, self.path, self.token, self.context),
            Caller(self.gateway.port, self.path, self.token, None),
        ]

    def attacked(self, name: str, attackers: list[subprocess.Popen], growth: int = GROWTH_MIB) -> list[str]:
        """Waits for the attackers' end while others call, and judges what these and the gateway suffered."""
        callers, peak = self.callers(), self.resident()
        for caller in callers:
            caller.start()
        while any(attacker.poll() is None for attacker in attackers) or min(len(one.waits) for one in callers) < LEAST:
            peak = max(peak, self.resident())
            time.sleep(0.05)
        for caller in callers:
            caller.over.set()
        for caller in callers:
            caller.join(60)
        peak = max(peak, self.resident())
        failures = [failure for caller in callers for failure in caller.failures]
        waits = sorted(wait for caller in callers for wait in caller.waits)
        self.cases[f"{name}: others go on"] = not failures
        self.cases[f"{name}: memory is bounded"] = peak <= self.idle + growth
        for failure in failures[:3]:
            print(f"  {name}: another caller: {failure}")
        p99 = waits[min(len(waits) - 1, len(waits) * 99 // 100)]
        print(f"  {name}: {len(waits)} requests of others, p99 {p99 * 1000:.0f} ms, {peak - self.idle:+.0f} MiB", flush=True)
        return [told(attacker) for attacker in attackers]

    def harmless(self) -> None:
        """The same callers beside as many connections of the same kind as an attack has, without one."""
        beside = [caller for _ in range(4) for caller in self.callers()]
        for caller in beside:
            caller.start()
        wait = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({SECONDS})"], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        self.attacked("harmless load", [wait])
        for caller in beside:
            caller.over.set()
        for caller in beside:
            caller.join(60)

    def flood(self, name: str) -> None:
        attackers = [
            peer("judges", "floods_h2.py", "--flood", name, "--seconds", SECONDS, "--port", port, "--token", self.token, *more)
            for port, more in self.listeners.values()
        ]
        for listener, line in zip(self.listeners, self.attacked(name, attackers)):
            said = json.loads(line)
            self.cases[f"{name} on {listener}: took place"] = said["connections"] > 0 and said["frames"] > 100
            if name in CUT_OFF:
                self.cases[f"{name} on {listener}: is cut off"] = any(end.startswith("GOAWAY") for end in said["ended"])
            print(f"    {listener}: {said['frames']} frames on {said['connections']} connections; {said['ended']}")

    def bombs(self) -> None:
        for listener, (port, more) in self.listeners.items():
            words = ("--seconds", SECONDS, "--port", port, "--token", self.token, *more)
            lines = self.attacked(f"bombs on {listener}", [peer("judges", "bombs.py", *words)])[0]
            for said in map(json.loads, lines.splitlines()):
                self.cases[f"{said['bomb']} on {listener}: is not taken"] = said["sent"] > 0 and not said["taken"]
                print(f"    {said['bomb']}: {said['sent']} bytes, {said['status']} {said['code']}")

    def held_bodies(self) -> None:
        attackers = [
            peer("judges", "bombs.py", "--hold", HELD_BODIES, "--seconds", SECONDS, "--port", port, "--token", self.token, *more)
            for port, more in self.listeners.values()
        ]
        for listener, line in zip(self.listeners, self.attacked("bodies that are held", attackers, HELD_MIB)):
            said = json.loads(line)
            self.cases[f"{said['bomb']} on {listener}: find no room"] = said["status"] == 429
            print(f"    {listener}: {said['sent']} bytes were taken")

    def slow(self, name: str, words: tuple) -> None:
        attackers = []
        for scheme, (port, _) in zip(("https", "http"), self.listeners.values()):
            url = f"{scheme}://localhost:{port}{self.path}" + ("" if "-B" in words else "/.well-known/agent-card.json")
            command = ("slowhttptest", *words, "-c", "300", "-r", "150", "-i", "1", "-l", str(SLOW_SECONDS), "-u", url)
            attackers.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        for listener, said in zip(self.listeners, self.attacked(name, attackers)):
            plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
            counts = {word: [int(n) for n in re.findall(rf"{word}: *(\d+)", plain)] for word in ("pending", "connected", "closed")}
            most = max((sum(row) for row in zip(*counts.values())), default=0)
            self.cases[f"{name} on {listener}: took place"] = most > 0 and "Exit status" in plain
            print(f"    {listener}: up to {most} connections; {plain.rsplit('Exit status:')[-1].strip()}")


def run(moongate: Path, folder: Path, only: str) -> int:
    bed = Bed(moongate, folder)
    try:
        bed.idle = bed.resident()
        bed.harmless()
        bed.idle = bed.resident()
        print(f"  idle: {bed.idle:.0f} MiB")
        attacks = {name: (bed.flood, name) for name in FLOODS} | {"bombs": (bed.bombs,)}
        attacks |= {name: (bed.slow, name, words) for name, words in SLOW.items()}
        attacks["bodies that are held"] = (bed.held_bodies,)
        for name, (attack, *words) in attacks.items():
            if name.startswith(only):
                attack(*words)
        bed.cases["the gateway is still there"] = bed.gateway.process.poll() is None
    finally:
        bed.end()
    cases = [(case, ok, "") for case, ok in bed.cases.items()]
    return driver.told("floods and bombs", cases, len(cases) if only else CASES)


if __name__ == "__main__":
    driver.main(
        "abuse", "What floods and bombs do to the gateway.", {"judges", "py-1.x"},
        lambda flags, folder: run(flags.moongate, folder, flags.only),
        lambda parser: parser.add_argument("--only", default="", help="attacks whose names begin so"),
    )
