"""Turns results into words: the grid, the list of what is red, the closing line."""

import json
from collections import Counter
from pathlib import Path

RED = ("failed", "missing")


def counts(result: dict[str, dict]) -> Counter:
    return Counter(entry["state"] for entry in result.values())


def short(result: dict[str, dict] | None) -> str:
    """A cell's text: how many passed, then what did not."""
    if result is None:
        return "."
    seen = counts(result)
    words = [f"{seen['ok']} ok"]
    for state, word in (("failed", "FAILED"), ("missing", "NOT RUN"), ("na", "n/a")):
        if seen[state]:
            words.append(f"{seen[state]} {word}")
    return ", ".join(words)


def cell_line(client, agent, result: dict[str, dict]) -> str:
    bad = [name for name, entry in result.items() if entry["state"] in RED]
    return f"{client.name} → {agent.name}: {short(result)}" + (f" ({', '.join(bad)})" if bad else "")


def grid(title: str, clients: list, agents: list, results: dict) -> str:
    """Rows are clients, columns are agents."""
    rows = [["", *(agent.name for agent in agents)]]
    rows += [[c.name, *(short(results.get((c.name, a.name))) for a in agents)] for c in clients]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join(["", title, *lines, ""])


def causes(result: dict[str, dict], baseline: dict[str, dict]) -> dict[str, list[str]]:
    """What is red in a cell, by reason in one line; with the baseline's verdict where there is one."""
    found: dict[str, list[str]] = {}
    for name, entry in result.items():
        if entry["state"] in RED:
            without = f" [directly: {baseline[name]['state']}]" if name in baseline else ""
            found.setdefault(" ".join(entry["detail"].split())[:500] + without, []).append(name)
    return found


def close(results: dict, direct: dict, path: Path | None) -> int:
    """Prints what is red and the totals; 0 if nothing is."""
    total: Counter = Counter()
    for (client, agent), result in sorted(results.items()):
        total += counts(result)
        for detail, names in causes(result, direct.get((client, agent), {})).items():
            print(f"RED {client} → {agent} {', '.join(names)}: {detail}")
    if path:
        flat = [
            {"client": client, "agent": agent, "scenario": name, **entry}
            for (client, agent), result in sorted(results.items())
            for name, entry in result.items()
        ]
        path.write_text(json.dumps(flat, indent=1) + "\n")
    red = total["failed"] + total["missing"]
    print(f"cells: {len(results)}; not run: {total['missing']}; not applicable: {total['na']}")
    print(f"{total['ok']} passed, {red} failed")
    return 1 if red or not total["ok"] else 0
