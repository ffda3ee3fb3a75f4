"""Runs what the grid is made of: an agent, the gateway, and one client against one agent.

All of it listens on 127.0.0.1 and on ports that the system picks. Every process is one this driver started, and is
ended by its own handle.
"""

import http.client
import json
import os
import selectors
import socket
import subprocess
import time
from pathlib import Path

import install
from peers import SCENARIOS, Agent, Client, cannot

START_SECONDS = 40
CELL_SECONDS = 240


class Failed(Exception):
    """A process of the grid did not come up."""


def _tail(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""


def stop(process: subprocess.Popen) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _first_line(process: subprocess.Popen, seconds: float) -> str:
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline() if waiting.select(seconds) else ""


class RunningAgent:
    """An agent's process and where its card is."""

    def __init__(self, agent: Agent, logs: Path, *more: str) -> None:
        words, variables = install.command(agent.environment, agent.script)
        self.agent = agent
        self.log = logs / f"agent-{agent.name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*words, "--port", "0", "--binding", agent.binding, *more],
                stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **variables},
            )
        ready, _, port = _first_line(self.process, START_SECONDS).strip().partition(" ")
        if ready != "READY":
            stop(self.process)
            raise Failed(f"agent {agent.name} did not start:\n{_tail(self.log)}")
        self.base = f"http://127.0.0.1:{port}"
        self.card_url = f"{self.base}/.well-known/agent-card.json"


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class RunningGateway:
    """The gateway under test, in front of all agents."""

    def __init__(
        self, program: Path, agents: list[RunningAgent], folder: Path, more: str = "", secure: bool = False,
        egress: str = 'allow = ["127.0.0.0/8"]', open_to_all: bool = False, top: str = "", domain: str = "grid.example",
    ) -> None:
        """`secure`: with the main listener, over TLS; `open_to_all`: so that other machines reach it, and need to prove themselves."""
        self.port, admin, self.secure_port = free_ports(3)
        self.admin = admin
        host = "0.0.0.0" if open_to_all else "127.0.0.1"
        main = f"{host}:{self.secure_port}" if secure or open_to_all else "off"
        public = f'public_url = "https://127.0.0.1:{self.secure_port}"\n' if open_to_all else ""
        self.secure_root = f"https://127.0.0.1:{self.secure_port}"
        self.root = f"http://127.0.0.1:{self.port}"
        config = self.config = folder / "moongate.toml"
        entries = [f'[[agents]]\nname = "{one.agent.name}"\ncard_url = "{one.card_url}"\n' for one in agents]
        config.write_text(
            f'domain = "{domain}"\n{public}{top}\n[listen]\nmain = "{main}"\nplain = "127.0.0.1:{self.port}"\n'
            f'admin = "127.0.0.1:{admin}"\n\n[store]\nurl = "memory:"\n\n'
            f"[egress]\n{egress}\n\n" + "\n".join(entries) + more
        )
        self.log = folder / "moongate.log"
        with self.log.open("w") as log:
            words = [str(program), "run", "--config", config.name]
            self.process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        self._wait_until_ready(admin)

    def _wait_until_ready(self, admin: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=2)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        stop(self.process)
        raise Failed(f"the gateway is not ready:\n{_tail(self.log)}")

    def base(self, agent: Agent) -> str:
        return f"{self.root}/agents/{agent.name}"


def run_client(client: Client, agent: Agent, base: str, *, proxied: bool, only: set[str]) -> dict[str, dict]:
    """One cell: each scenario's name to {state, detail}; state is ok, failed, na or missing."""
    result: dict[str, dict] = {}
    wanted = []
    for scenario in (one for one in SCENARIOS if not only or one in only):
        why = cannot(client, agent, scenario)
        result[scenario] = {"state": "na" if why else "missing", "detail": why or "not run"}
        if not why:
            wanted.append(scenario)
    if not wanted:
        return result
    card = "agent.json" if proxied and client.version == "0.3" else "agent-card.json"
    words, variables = install.command(client.environment, client.script)
    words += ["--base", base, "--card-url", f"{base}/.well-known/{card}", "--transport", client.transport]
    words += ["--only", ",".join(wanted)] + (["--proxied"] if proxied else [])
    words += [f"--patient={'cancel' if proxied else 'all'}"] if agent.patient else []
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables}
    )
    try:
        out, err = process.communicate(timeout=CELL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    for line in out.splitlines():
        _take(line, result, wanted)
    for scenario in wanted:
        if result[scenario]["state"] == "missing" and result[scenario]["detail"] == "not run" and err.strip():
            result[scenario]["detail"] = f"not run: {err.strip().splitlines()[-1][:300]}"
    return result


def _take(line: str, result: dict[str, dict], wanted: list[str]) -> None:
    """Reads one line of a client's output into the cell."""
    try:
        said = json.loads(line)
    except ValueError:
        return
    if said.get("start") is False:
        for scenario in wanted:
            result[scenario]["detail"] = f"not run: {said.get('detail')}"
    elif said.get("scenario") in wanted:
        # A client's own "not applicable" counts only where `peers.CANNOT` agrees: here it does not.
        detail = said.get("detail", "")
        result[said["scenario"]] = {"state": "ok" if said.get("ok") else "failed", "detail": detail}
