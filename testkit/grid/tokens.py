"""Access tokens of a real library against the gateway: `python3 testkit/grid/tokens.py --moongate PATH`.

PyPI joserfc makes keys of every kind, good tokens and hostile ones (`clients/tokens_joserfc.py`); the gateway must let each good
one in to a real agent, and refuse each hostile one. Exit 0: every case ran and passed. 1: something is red. 2: it could not start.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import install
from peers import AGENTS
from processes import Failed, RunningAgent, RunningGateway, stop

ENVIRONMENT, SCRIPT = "py-1.x", "tokens_joserfc.py"
SECONDS = 120
ISSUER = """
[[issuers]]
name = "joserfc"
issuer = "https://idp.grid.example"
jwks = "jwks.json"
audience = ["https://gateway.grid.example"]
scopes = ["a2a:*:*"]
algorithms = ["ES256", "ES384", "EdDSA", "PS256", "RS256"]
"""
# As many cases as there are: one that did not run is red.
CASES = 31


def peer(*words: str) -> str:
    command, variables = install.command(ENVIRONMENT, SCRIPT)
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=SECONDS, env={**os.environ, **variables}
    )
    if done.returncode:
        raise Failed(f"{SCRIPT} {words[0]} failed:\n{done.stderr.strip()[-800:]}")
    return done.stdout


def run(moongate: Path, folder: Path) -> int:
    peer("keys", "--folder", str(folder))
    running = []
    try:
        agent = RunningAgent(next(one for one in AGENTS if one.name == "py1-jsonrpc"), folder)
        running.append(agent.process)
        gateway = RunningGateway(moongate, [agent], folder, more=ISSUER)
        running.append(gateway.process)
        told = peer("check", "--folder", str(folder), "--base", gateway.base(agent.agent))
    finally:
        for process in reversed(running):
            stop(process)
    cases = [json.loads(line) for line in told.splitlines()]
    red = [case for case in cases if not case["ok"]]
    for case in red:
        print(f"  {case['case']}: {case['detail']}")
    print(f"tokens of joserfc: {len(cases) - len(red)} ok, {len(red)} red, {CASES - len(cases)} not run")
    return 0 if not red and len(cases) == CASES else 1


def main() -> int:
    parser = argparse.ArgumentParser(description="Access tokens of a real library against the gateway.")
    parser.add_argument("--moongate", type=Path, required=True)
    flags = parser.parse_args()
    failed = install.install({ENVIRONMENT})
    if failed:
        print(failed[ENVIRONMENT])
        return 2
    with tempfile.TemporaryDirectory(dir=install.TARGET, prefix="tokens-") as folder:
        try:
            return run(flags.moongate.resolve(), Path(folder))
        except (Failed, subprocess.TimeoutExpired) as reason:
            print(reason)
            return 2


if __name__ == "__main__":
    sys.exit(main())
