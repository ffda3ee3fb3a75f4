#!/usr/bin/env python3
"""The interop grid: real A2A clients against real A2A agents, through the gateway.

    grid.py --moongate target/release/moongate           the grid, as `cargo xtask test` runs it
    grid.py --moongate … --direct                        and the same calls without a gateway, as a baseline
    grid.py --direct-only                                the baseline alone
    grid.py --setup                                      install the peers and stop

Narrow it with `--client`, `--agent` (parts of names) and `--scenario` (names). Exit 0: every cell ran and passed;
1: something is red; 2: it could not start. See README.md.
"""

import argparse
import shutil
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import install
import report
from peers import AGENTS, CLIENTS, SCENARIOS, needs_lone_agent, speak_directly
from processes import Failed, RunningAgent, RunningGateway, run_client, stop


def options() -> argparse.Namespace:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--moongate", type=Path, help="the gateway's binary")
    flags.add_argument("--direct", action="store_true", help="also run each pair that can without the gateway")
    flags.add_argument("--direct-only", action="store_true", help="no gateway at all")
    flags.add_argument("--setup", action="store_true", help="install the peers and stop")
    flags.add_argument("--client", default="", help="only clients whose name holds this")
    flags.add_argument("--agent", default="", help="only agents whose name holds this")
    flags.add_argument("--scenario", default="", help="comma list")
    flags.add_argument("--jobs", type=int, default=2, help="cells at a time")
    flags.add_argument("--json", type=Path, help="write every result to this file")
    return flags.parse_args()


def start_agents(agents: list, failed: dict[str, str], folder: Path) -> tuple[list[RunningAgent], dict[str, str]]:
    """Starts what can be started; what cannot has its reason."""
    running, broken = [], {}

    def one(agent) -> None:
        if agent.environment in failed:
            broken[agent.name] = f"{agent.environment} is not installed: {failed[agent.environment]}"
            return
        try:
            running.append(RunningAgent(agent, folder))
        except (Failed, OSError) as reason:
            broken[agent.name] = str(reason)

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(one, agents))
    return sorted(running, key=lambda one: agents.index(one.agent)), broken


def run_cells(cells: list[tuple], jobs: int, run) -> dict:
    """Runs cells side by side, but never two on one agent: they would see each other's tasks."""
    results, waiting, busy = {}, list(cells), set()
    changed = threading.Condition()

    def work() -> None:
        while True:
            with changed:
                while not (ready := next((cell for cell in waiting if cell[1].name not in busy), None)):
                    if not waiting:
                        return
                    changed.wait()
                waiting.remove(ready)
                busy.add(ready[1].name)
            try:
                result = run(*ready)
            except (Failed, OSError) as reason:
                result = {"card": {"state": "missing", "detail": f"not run: {reason}"}}
            with changed:
                results[ready[0].name, ready[1].name] = result
                busy.discard(ready[1].name)
                changed.notify_all()
            print(f"  {report.cell_line(ready[0], ready[1], result)}", file=sys.stderr, flush=True)

    threads = [threading.Thread(target=work, name=f"cells-{number}") for number in range(max(1, jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def run(flags: argparse.Namespace, folder: Path) -> int:
    clients = [client for client in CLIENTS if flags.client in client.name]
    agents = [agent for agent in AGENTS if flags.agent in agent.name]
    only = {name for name in flags.scenario.split(",") if name}
    if only - set(SCENARIOS) or not clients or not agents:
        print(f"nothing to run; scenarios are: {', '.join(SCENARIOS)}", file=sys.stderr)
        return 2
    failed = install.install({peer.environment for peer in (*clients, *agents)})
    for name, reason in failed.items():
        print(f"cannot install {name}: {reason}", file=sys.stderr)
    if flags.setup:
        return 1 if failed else 0
    running, broken = start_agents(agents, failed, folder)
    for reason in broken.values():
        print(reason, file=sys.stderr)
    gateway = None
    try:
        bases = {one.agent.name: one.base for one in running}

        def cell(client, agent, base: str | None, proxied: bool) -> dict:
            why = broken.get(agent.name) or failed.get(client.environment)
            if why or base is None:
                names = [name for name in SCENARIOS if not only or name in only]
                return {name: {"state": "missing", "detail": f"not run: {why}"} for name in names}
            return run_client(client, agent, base, proxied=proxied, only=only)

        direct = {}
        if flags.direct or flags.direct_only:
            pairs = [(c, a) for a in agents for c in clients if speak_directly(c, a)]
            direct = run_cells(pairs, flags.jobs, lambda c, a: cell(c, a, bases.get(a.name), False))
            print(report.grid("directly, without a gateway", clients, agents, direct))
        if flags.direct_only:
            return report.close(direct, {}, flags.json)
        gateway = RunningGateway(flags.moongate.resolve(), running, folder)
        by_name = {one.agent.name: one for one in running}

        def proxied(client, agent) -> dict:
            if not needs_lone_agent(client) or agent.name not in by_name:
                return cell(client, agent, gateway.base(agent), True)
            lone = Path(tempfile.mkdtemp(prefix=f"lone-{client.name}-{agent.name}-", dir=folder))
            own = RunningGateway(flags.moongate.resolve(), [by_name[agent.name]], lone)
            try:
                return cell(client, agent, own.root, True)
            finally:
                stop(own.process)

        pairs = [(c, a) for c in clients for a in agents]
        through = run_cells(pairs, flags.jobs, proxied)
        print(report.grid("through the gateway", clients, agents, through))
        if gateway.process.poll() is not None:
            print(f"the gateway ended by itself with {gateway.process.returncode}; see {gateway.log}", file=sys.stderr)
        return report.close(through, direct, flags.json)
    finally:
        for process in [one.process for one in running] + ([gateway.process] if gateway else []):
            stop(process)


def main() -> int:
    flags = options()
    if not (flags.moongate or flags.direct_only or flags.setup):
        print("--moongate PATH is needed (or --direct-only, or --setup)", file=sys.stderr)
        return 2
    install.TARGET.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=install.TARGET))
    code = 2
    try:
        code = run(flags, folder)
    except Failed as reason:
        print(reason, file=sys.stderr)
        print("0 passed, 1 failed")
    if code == 0:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"logs are in {folder}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
