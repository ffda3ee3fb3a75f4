"""What PyPI aics-tlog makes of an exported log, of a served one, and of one line's proof; and a thief who has the key.

    tlog.py verify --dir FOLDER --vkey FILE [--saved CHECKPOINT]
    tlog.py served --url URL --vkey FILE
    tlog.py prove --proof FILE --vkey FILE
    tlog.py cosigned --proof NOTE --witness FILE --vkey FILE
    tlog.py forge --dir FOLDER --key FILE --from LINE --out FOLDER

Prints one JSON object: `ok`, and `why` not.
"""

import argparse
import base64
import json
import shutil
from pathlib import Path

import aics_tlog as tlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def checkpoint(note: bytes, key: tlog.VKey):
    """What the note says, if the key has signed it: `size`, `root`."""
    result = tlog.verify_checkpoint(tlog.parse_note(note), key, expected_origin=key.name)
    if not result.log_ok:
        raise ValueError(f"the checkpoint does not hold: {result.error}")
    return result


def verify(flags: argparse.Namespace, key: tlog.VKey) -> dict:
    folder = Path(flags.dir)
    head = checkpoint((folder / "checkpoint").read_bytes(), key)
    reader = tlog.FileSystemTileReader(folder)
    report = tlog.audit_tiles(reader, head.size, head.root)
    if flags.saved:
        before = checkpoint(Path(flags.saved).read_bytes(), key)
        if before.size > head.size:
            raise ValueError(f"the saved checkpoint covers {before.size} lines, and there are {head.size}")
        proof = tlog.consistency_proof_from_tiles(reader, before.size, head.size)
        if not tlog.verify_consistency(before.size, head.size, before.root, head.root, proof):
            raise ValueError("it is not the saved one grown")
    return {"ok": True, "size": head.size, "tiles": report.tiles, "bundles": report.bundles}


def served(flags: argparse.Namespace, key: tlog.VKey) -> dict:
    reader = tlog.HttpTileReader([flags.url])
    head = checkpoint(reader.read_checkpoint(), key)
    report = tlog.audit_tiles(reader, head.size, head.root, entries=False)
    return {"ok": True, "size": head.size, "tiles": report.tiles}


def prove(flags: argparse.Namespace, key: tlog.VKey) -> dict:
    proof = json.loads(Path(flags.proof).read_text())
    head = checkpoint(proof["checkpoint"].encode(), key)
    path = [base64.b64decode(one) for one in proof["path"]]
    line = proof["line"].encode()
    if not tlog.verify_leaf_inclusion(line, proof["index"], head.size, path, head.root):
        raise ValueError("the line is not in the log")
    if tlog.verify_leaf_inclusion(line + b" ", proof["index"], head.size, path, head.root):
        raise ValueError("another line is in the log, too")
    return {"ok": True, "size": head.size}


def cosigned(flags: argparse.Namespace, key: tlog.VKey) -> dict:
    note = tlog.parse_note(Path(flags.proof).read_bytes())
    witness = tlog.parse_vkey(Path(flags.witness).read_text().strip())
    result = tlog.verify_checkpoint(note, key, [witness], quorum=1, expected_origin=key.name)
    return {"ok": result.ok, "size": result.size, "why": result.error}


def lines(folder: Path, size: int) -> list[bytes]:
    found = []
    for index in range((size + 255) // 256):
        name = "/".join([f"x{index // 1000:03d}"] * (index >= 1000) + [f"{index % 1000:03d}"])
        path = folder / "tile" / "entries" / name
        data = path.read_bytes() if path.is_file() else (folder / "tile" / "entries" / f"{name}.p" / f"{size % 256}").read_bytes()
        while data:
            length = int.from_bytes(data[:2], "big")
            found.append(data[2 : 2 + length])
            data = data[2 + length :]
    return found


def forge(flags: argparse.Namespace, key: tlog.VKey) -> dict:
    """The log as someone with its key would rewrite it: every line from one on says something else."""
    folder, out = Path(flags.dir), Path(flags.out)
    head = checkpoint((folder / "checkpoint").read_bytes(), key)
    told = lines(folder, head.size)
    told = [line if at < flags.since else line.replace(b'"local"', b'"other"') for at, line in enumerate(told)]
    store = tlog.DirectoryTileStore(out)
    writer = tlog.IncrementalTileWriter(store, size=0)
    writer.append(told)
    secret = Ed25519PrivateKey.from_private_bytes(base64.b64decode(Path(flags.key).read_text()))
    note = tlog.sign_checkpoint(tlog.Checkpoint(key.name, writer.size, writer.root()), secret, key.name)
    store.write_checkpoint(note.to_bytes())
    shutil.copy(folder / "vkey", out / "vkey")
    return {"ok": True, "size": writer.size}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("verify", "served", "prove", "cosigned", "forge"))
    for name in ("dir", "vkey", "saved", "url", "proof", "key", "out", "witness"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--from", dest="since", type=int)
    flags = parser.parse_args()
    key = tlog.parse_vkey(Path(flags.vkey).read_text().strip())
    commands = {"verify": verify, "served": served, "prove": prove, "cosigned": cosigned, "forge": forge}
    try:
        print(json.dumps(commands[flags.what](flags, key)))
    except (ValueError, OSError, tlog.TileMissingError, tlog.TileVerificationError) as reason:
        print(json.dumps({"ok": False, "why": f"{type(reason).__name__}: {reason}"}))


if __name__ == "__main__":
    main()
