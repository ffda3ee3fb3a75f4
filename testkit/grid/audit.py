"""The audit log under foreign eyes: `python3 testkit/grid/audit.py --moongate PATH [--lines N]`.

The gateway writes a log under load (50,000 lines; `--lines` for more), serves it, and exports it while it runs. Go's
`x/mod/sumdb` (from Debian packages, `judges/tlog.go`), PyPI aics-tlog (`judges/tlog.py`) and `moongate audit verify` must accept
it as it is, and find each of: a changed byte, a deleted line, two lines swapped, a tail cut off, and a suffix that someone with
the key wrote anew and signed, which only a checkpoint from before gives away, or a witness: PyPI aics-witness cosigns the log as it
grows, and refuses the other one. The gateway asks for that by itself, too, and another Moongate beside aics-witness: aics-tlog reads
what both have signed. Exit 0: every case ran and passed. 1: something is
red. 2: it could not start.
"""

import argparse
import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import driver
import install
from peers import AGENTS
from processes import Failed, RunningAgent, RunningGateway, free_ports, stop

ENVIRONMENT = "tlog"
SECONDS = 300
# As many cases as there are: one that did not run is red.
CASES = 38
LINES = 50_000
CLIENTS, PIPELINED, SENDS = 4, 64, 400
AUDIT = "\n[audit]\non = true\n"


def call(*words: object, good: tuple[int, ...] = (0,), **members) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=SECONDS, **members)
    if done.returncode not in good:
        raise Failed(f"`{words[0]}` ended with {done.returncode}:\n{(done.stdout + done.stderr).strip()[-800:]}")
    return done.stdout


# --- load ---------------------------------------------------------------------------------------------------------------


def request(port: int, method: str, params: dict) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    head = f"POST /a2a HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\na2a-version: 1.0\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def message(number: int) -> dict:
    return {"message": {"messageId": f"m-{number}", "role": "ROLE_USER", "parts": [{"text": "message hello"}]}}


def answers(stream, count: int) -> None:
    for _ in range(count):
        length = 0
        while (line := stream.readline().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if not length or not stream.read(length):
            raise Failed("the gateway ended a connection")


def ask(port: int, count: int) -> None:
    """So many questions for tasks that nobody has, many at a time on one connection."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        stream = connection.makefile("rb")
        one = request(port, "GetTask", {"id": "nobody's"})
        while count > 0:
            now = min(count, PIPELINED)
            connection.sendall(one * now)
            answers(stream, now)
            count -= now


def send(port: int, count: int) -> None:
    """So many messages that a real agent answers."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        stream = connection.makefile("rb")
        for number in range(count):
            connection.sendall(request(port, "SendMessage", message(number)))
            answers(stream, 1)


def load(port: int, lines: int) -> None:
    share = (lines - SENDS) // CLIENTS + 1
    jobs = [(ask, share)] * CLIENTS + [(send, SENDS)]
    failed: list[BaseException] = []

    def work(job: Callable[[int, int], None], count: int) -> None:
        try:
            job(port, count)
        except BaseException as reason:
            failed.append(reason)

    threads = [threading.Thread(target=work, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise Failed(f"the load broke off: {failed[0]}")


# --- judges -------------------------------------------------------------------------------------------------------------


class Judges:
    """Three, each of which says of a folder whether it is the log."""

    def __init__(self, moongate: Path, folder: Path, vkey: Path) -> None:
        self.moongate, self.folder, self.vkey = moongate, folder, vkey
        self.go = folder / "tlog"
        source = Path(__file__).parent / "judges" / "tlog.go"
        variables = {**os.environ, "GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOFLAGS": "",
                     "GOCACHE": str(install.TARGET / "go-cache")}
        call("go", "build", "-o", self.go, source, env=variables)
        self.names = {"Go x/mod": self._go, "aics-tlog": self._aics, "moongate": self._own}

    def aics(self, *words: object) -> dict:
        python = install.TARGET / ENVIRONMENT / "bin" / "python"
        return json.loads(call(python, Path(__file__).parent / "judges" / "tlog.py", *words, "--vkey", self.vkey))

    def _go(self, log: Path, saved: Path | None) -> dict:
        more = ("-saved", saved) if saved else ()
        return json.loads(call(self.go, "-dir", log, "-vkey", self.vkey, *more))

    def _aics(self, log: Path, saved: Path | None) -> dict:
        return self.aics("verify", "--dir", log, *(("--saved", saved) if saved else ()))

    def _own(self, log: Path, saved: Path | None) -> dict:
        more = ("--checkpoint", saved) if saved else ()
        told = call(self.moongate, "--json", "audit", "verify", "--dir", log, "--vkey", self.vkey, *more, good=(0, 1))
        shard = json.loads(told)["shards"][0]
        found = shard["findings"][:1]
        return {"ok": shard["ok"], "size": shard["size"], "why": found, "line": next((one["line"] for one in found), None)}


# --- what a thief does --------------------------------------------------------------------------------------------------


def framed(lines: list[bytes]) -> bytes:
    return b"".join(len(line).to_bytes(2, "big") + line for line in lines)


def unframed(data: bytes) -> list[bytes]:
    lines = []
    while data:
        length = int.from_bytes(data[:2], "big")
        lines.append(data[2 : 2 + length])
        data = data[2 + length :]
    return lines


TILE, AT = 50, 100
LINE = TILE * 256 + AT


def change(log: Path, how: Callable[[list[bytes]], list[bytes]]) -> None:
    tile = log / "tile" / "entries" / f"{TILE:03d}"
    tile.write_bytes(framed(how(unframed(tile.read_bytes()))))


def byte(lines: list[bytes]) -> list[bytes]:
    line = bytearray(lines[AT])
    line[len(line) // 2] ^= 1
    return [*lines[:AT], bytes(line), *lines[AT + 1 :]]


def deleted(lines: list[bytes]) -> list[bytes]:
    return [*lines[:AT], *lines[AT + 1 :]]


def swapped(lines: list[bytes]) -> list[bytes]:
    lines[AT], lines[AT + 1] = lines[AT + 1], lines[AT]
    return lines


def cut(log: Path) -> None:
    """The last lines are gone, and their hashes with them."""
    for level in ("entries", "0"):
        last = max((log / "tile" / level).rglob("*"), key=lambda path: (path.is_file(), path.parent.suffix == ".p", path))
        last.unlink()


THEFTS = {
    "a changed byte": lambda log: change(log, byte),
    "a deleted line": lambda log: change(log, deleted),
    "two lines swapped": lambda log: change(log, swapped),
    "a tail cut off": cut,
}


# --- a witness ----------------------------------------------------------------------------------------------------------


class Witness:
    """A foreign witness that knows this log by its key."""

    def __init__(self, folder: Path, vkey: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.vkey = self.folder / "vkey"
        self.port = free_ports(1)[0]
        program = install.TARGET / ENVIRONMENT / "bin" / "aics-witness"
        config = ("--config", self.folder / "witness.json")
        self.vkey.write_text(call(program, "init", *config, "--name", "witness.grid.example/w1"))
        key = vkey.read_text().strip()
        call(program, "add-log", *config, "--origin", key.split("+")[0], "--vkey", key)
        words = [str(word) for word in (program, "serve", *config, "--listen", f"127.0.0.1:{self.port}")]
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log)
        for _ in range(SECONDS):
            try:
                get(self.port, "/healthz")
                return
            except OSError:
                threading.Event().wait(0.1)
        stop(self.process)
        raise Failed(f"the witness does not start:\n{(self.folder / 'log').read_text()[-800:]}")

    def add(self, old: int, proof: list[str], checkpoint: str) -> tuple[int, str]:
        """What it says to a checkpoint (C2SP tlog-witness)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST", "/add-checkpoint", "\n".join([f"old {old}", *proof, "", checkpoint]).encode())
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def witnessed(judges: Judges, saved: Path, own: tuple, forged: Path, folder: Path) -> list[driver.Case]:
    witness = Witness(folder / "witness", judges.vkey)
    try:
        cases = []
        grown = json.loads(call(*own, "prove", "--since", saved))
        steps = (("a witness cosigns the log", 0, [], saved.read_text()),
                 ("a witness cosigns it grown", grown["old"], grown["path"], grown["checkpoint"]))
        for name, old, proof, checkpoint in steps:
            status, line = witness.add(old, proof, checkpoint)
            note = folder / "cosigned"
            note.write_text(checkpoint + line)
            verdict = judges.aics("cosigned", "--proof", note, "--witness", witness.vkey) if status == 200 else {"ok": False}
            cases.append((f"aics-witness: {name}", verdict["ok"], (status, line, verdict)))
        status, line = witness.add(grown["size"], [], (forged / "checkpoint").read_text())
        cases.append(("aics-witness: a suffix written anew is refused", status in (409, 422), (status, line)))
        status, line = witness.add(0, [], saved.read_text())
        cases.append(("aics-witness: a log put back from before is refused", status == 409, (status, line)))
        return cases
    finally:
        stop(witness.process)


# --- the gateway asks by itself -----------------------------------------------------------------------------------------


def say(port: int, path: str, body: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", path, body.encode())
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def until(holds: Callable[[], object], what: str) -> object:
    for _ in range(SECONDS):
        if found := holds():
            return found
        threading.Event().wait(0.5)
    raise Failed(f"{what}: not in time")


def attended(moongate: Path, judges: Judges, agent: RunningAgent, saved: Path, forged: Path, folder: Path) -> list[driver.Case]:
    """The same gateway again, with a foreign witness and another Moongate that it asks."""
    key = judges.vkey.read_text().strip()
    running, cases = [], []
    (folder / "neighbour").mkdir()
    try:
        foreign = Witness(folder / "asked", judges.vkey)
        running.append(foreign.process)
        cosigns = f'{AUDIT}cosigns = [{{ origin = "grid.example/audit", key = "{key}" }}]\n'
        neighbour = RunningGateway(moongate, [], folder / "neighbour", more=cosigns, domain="neighbour.example")
        running.append(neighbour.process)
        own = folder / "neighbour" / "witness.vkey"
        own.write_bytes(get(neighbour.admin, "/audit/witness/vkey"))
        witnesses = "".join(
            f'\n[[audit.witnesses]]\nname = "{name}"\nurl = "{url}"\nkey = "{vkey.read_text().strip()}"\n'
            for name, url, vkey in (
                ("foreign", f"http://127.0.0.1:{foreign.port}", foreign.vkey),
                ("neighbour", f"http://127.0.0.1:{neighbour.admin}/audit/witness", own),
            )
        )
        gateway = RunningGateway(moongate, [agent], folder, more=f"{AUDIT}witness_seconds = 1\n{witnesses}")
        running.append(gateway.process)

        def size() -> int:
            told = json.loads(get(gateway.admin, "/api/v1/status"))["audit"]["witnesses"]
            return min((one["size"] for one in told), default=0) if len(told) == 2 else 0

        first = until(size, "the witnesses sign")
        ask(gateway.port, 100)
        until(lambda: size() >= first + 100, "the witnesses sign what came")
        # Each may be a second ahead of the other: a note that both have signed is waited for.
        both = until(lambda: (note := get(gateway.admin, "/audit/witnessed")).count("\u2014".encode()) == 3 and note, "both sign one")
        note = folder / "witnessed"
        note.write_bytes(both)
        for name, witness in (("aics-witness", foreign.vkey), ("another Moongate", own)):
            verdict = judges.aics("cosigned", "--proof", note, "--witness", witness)
            cases.append((f"aics-tlog: {name} has cosigned what the gateway sent", verdict["ok"], verdict))
        command = (moongate, "--config", folder / "moongate.toml", "--json", "audit", "verify")
        told = json.loads(call(*command, "--witness", own, "--witness", foreign.vkey, good=(0, 1)))
        cases.append(("moongate: both witnesses have signed", told["shards"][0]["ok"], told))
        place, now = "/audit/witness/add-checkpoint", get(gateway.admin, "/audit/checkpoint").decode()
        size_now = int(now.splitlines()[1])
        status, text = say(neighbour.admin, place, f"old {size_now}\n\n{(forged / 'checkpoint').read_text()}")
        cases.append(("another Moongate: a suffix written anew is refused", status in (400, 409, 422), (status, text)))
        status, text = say(neighbour.admin, place, f"old 0\n\n{saved.read_text()}")
        cases.append(("another Moongate: a log put back from before is refused", status == 409, (status, text)))
        told = json.loads(get(neighbour.admin, "/api/v1/status"))["audit"]["attention"]
        cases.append(("another Moongate: it says that there are two histories", bool(told), told))
        words = (moongate, "--config", neighbour.config, "--json", "audit", "search", "--operation", "witness.conflict")
        lines = until(lambda: call(*words, good=(0, 1)), "the conflict is in the neighbour's log")
        cases.append(("another Moongate: it is in its own log", "MG-0859" in lines, lines))
        return cases
    finally:
        for process in reversed(running):
            stop(process)


# --- the cases ----------------------------------------------------------------------------------------------------------


def get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise Failed(f"{path}: {answer.status} {body[:200]!r}")
    return body


def found(verdict: dict) -> bool:
    """Whether the change was found; who names a line names the right one."""
    return not verdict["ok"] and verdict.get("line") in (None, -1, LINE)


def judged(judges: Judges, log: Path, saved: Path, folder: Path, key: Path, size: int) -> list[driver.Case]:
    cases = []
    for name, judge in judges.names.items():
        verdict = judge(log, saved)
        cases.append((f"{name}: the log as it is", verdict["ok"] and verdict["size"] == size, verdict))
    for theft, commit in THEFTS.items():
        stolen = folder / theft.replace(" ", "-")
        shutil.copytree(log, stolen)
        commit(stolen)
        for name, judge in judges.names.items():
            verdict = judge(stolen, saved)
            good = not verdict["ok"] if theft == "a tail cut off" else found(verdict)
            cases.append((f"{name}: {theft}", good, verdict))
        shutil.rmtree(stolen)
    forged = folder / "forged"
    since = int(saved.read_text().splitlines()[1]) // 2
    judges.aics("forge", "--dir", log, "--key", key, "--from", since, "--out", forged)
    for name, judge in judges.names.items():
        verdict = judge(forged, None)
        cases.append((f"{name}: a suffix written anew is a whole log by itself", verdict["ok"], verdict))
        verdict = judge(forged, saved)
        cases.append((f"{name}: a suffix written anew is not the one of a saved checkpoint", not verdict["ok"], verdict))
    return cases


def run(flags: argparse.Namespace, folder: Path) -> int:
    moongate, running = flags.moongate, []
    try:
        agent = RunningAgent(next(one for one in AGENTS if one.name == "py1-jsonrpc"), folder)
        running.append(agent.process)
        gateway = RunningGateway(moongate, [agent], folder, more=AUDIT)
        running.append(gateway.process)
        config = folder / "moongate.toml"
        own = (moongate, "--config", config, "--json", "audit")
        load(gateway.port, flags.lines // 2)
        saved, vkey = folder / "saved", folder / "vkey"
        saved.write_bytes(get(gateway.admin, "/audit/checkpoint"))
        vkey.write_bytes(get(gateway.admin, "/audit/vkey"))
        loading = threading.Thread(target=load, args=(gateway.port, flags.lines // 2 + CLIENTS))
        loading.start()
        early = json.loads(call(*own, "export", "--out", folder / "early"))
        loading.join()
        judges = Judges(moongate, folder, vkey)
        cases: list[driver.Case] = [_early(judges, folder / "early", saved, early["size"])]
        size = grown(gateway.admin, flags.lines)
        verdict = judges.aics("served", "--url", f"http://127.0.0.1:{gateway.admin}/audit/")
        cases.append(("aics-tlog: the log as it is served", verdict["ok"] and verdict["size"] >= size, verdict))
        exported = json.loads(call(*own, "export", "--out", folder / "log"))
        cases.append(("the log has all lines", exported["size"] >= flags.lines, exported))
        proof = folder / "proof.json"
        proof.write_text(call(*own, "prove", LINE))
        verdict = judges.aics("prove", "--proof", proof)
        cases.append(("aics-tlog: one line's proof", verdict["ok"], verdict))
        cases += judged(judges, folder / "log", saved, folder, folder / "audit.key", exported["size"])
        cases += witnessed(judges, saved, own, folder / "forged", folder)
        stop(gateway.process)
        told = json.loads(call(*own, "verify", good=(0, 1)))
        cases.append(("moongate: its own files, stopped", told["shards"][0]["ok"], told))
        cases.append(_sum(call(*own, "search", "--operation", "send", "--limit", "1000000").splitlines()))
        cases += attended(moongate, judges, agent, saved, folder / "forged", folder)
        return driver.told("the audit log under foreign eyes", cases, CASES)
    finally:
        for process in reversed(running):
            stop(process)


def _early(judges: Judges, log: Path, saved: Path, size: int) -> driver.Case:
    verdict = judges.names["Go x/mod"](log, saved)
    return ("Go x/mod: a log exported under load", verdict["ok"] and verdict["size"] == size, verdict)


def _sum(lines: list[str]) -> driver.Case:
    """Every message that was answered has its line."""
    done = sum(json.loads(line)["result"] == "done" for line in lines)
    return ("every answered message has a line", done == 2 * SENDS, f"{done} lines of {2 * SENDS} messages")


def grown(admin: int, lines: int) -> int:
    """Waits until the checkpoint covers so many lines and grows no more: it is made once a second."""
    before = 0
    for _ in range(SECONDS):
        size = int(get(admin, "/audit/checkpoint").splitlines()[1])
        if size >= lines and size == before:
            return size
        before = size
        threading.Event().wait(1.5)
    raise Failed(f"the checkpoint stays at {before}")


if __name__ == "__main__":
    driver.main(
        "audit",
        "The audit log under foreign eyes.",
        {ENVIRONMENT, "py-1.x"},
        run,
        lambda parser: parser.add_argument("--lines", type=int, default=LINES),
    )
