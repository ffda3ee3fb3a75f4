"""What the drivers beside the grid share: their command line, their environments, their folder, and how they count.

A driver's `run(flags, folder)` gives the cases that ran: `(name, passed, detail)`. As many as it announces must have run: one that
did not is red. Exit 0: every case ran and passed. 1: something is red. 2: it could not start.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import install
from processes import Failed

Case = tuple[str, bool, object]


def told(what: str, cases: list[Case], expected: int) -> int:
    """Says how it went, red cases first, and whether all is well: 0 or 1."""
    red = [case for case in cases if not case[1]]
    for name, _, detail in red:
        print(f"  {name}: {detail}")
    print(f"{what}: {len(cases) - len(red)} ok, {len(red)} red, {expected - len(cases)} not run")
    return 0 if not red and len(cases) == expected else 1


def lines(text: str) -> list[Case]:
    """Cases as foreign scripts print them, a JSON object a line."""
    cases = [json.loads(line) for line in text.splitlines()]
    return [(case["case"], case["ok"], case["detail"]) for case in cases]


def main(
    name: str,
    about: str,
    environments: Iterable[str],
    run: Callable[[argparse.Namespace, Path], int],
    options: Callable[[argparse.ArgumentParser], None] = lambda _: None,
) -> None:
    """Runs a driver to the end of the process."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--moongate", type=lambda text: Path(text).resolve(), required=True)
    options(parser)
    flags = parser.parse_args()
    failed = install.install(set(environments))
    if failed:
        print("\n".join(failed.values()))
        sys.exit(2)
    with tempfile.TemporaryDirectory(dir=install.TARGET, prefix=f"{name}-") as folder:
        try:
            sys.exit(run(flags, Path(folder)))
        except (Failed, OSError, KeyError, subprocess.TimeoutExpired) as reason:
            print(f"{type(reason).__name__}: {reason}")
            sys.exit(2)
