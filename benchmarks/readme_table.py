"""Result files as tables for a README: `python benchmarks/readme_table.py results/NAME.json ...`"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import report


def readme_table(result: dict[str, Any]) -> str:
    """The heading, a row a peer by falling batch speed, and the paired ratios."""
    data, rows = result["data"], []
    for peer, entries in report.by_peer(result).items():
        entry = report.chosen(entries, 0.95) or report.chosen(entries, 0.90) or entries[0]
        size = entry["index_bytes"]
        strong = "**" if peer == report.OURS else ""
        cells = [
            f"{strong}{peer}{strong} {entry['version']} {entry['variant']}",
            *(strong + _speeds(entries, mode) + strong for mode in ("single", "batch")),
            f"{entry['build_seconds']:.1f}",
            "-" if size is None else f"{size / data['n']:.0f}",
        ]
        speed = report.qps_at(report.curve(entry, "batch"), 0.95) or 0
        rows.append((-speed, f"| {' | '.join(cells)} |"))
    lines = [
        f"`{data['name']}`: {data['n']:,} x {data['dim']}, {data['metric']}, {data['queries']:,} "
        f"held-out queries, recall@{data['k']}, {result['started'][:10]}.",
        "",
        "| peer | one query a call | all queries in one call | build s | bytes/vector |",
        "|---|---|---|---|---|",
        *(row for _, row in sorted(rows)),
    ]
    rivals = dict.fromkeys(row["second"] for row in result["paired"])
    if rivals:
        lines += [
            "",
            "| paired, ours / | one query a call | all queries in one call |",
            "|---|---|---|",
        ]
    for rival in rivals:
        cells = [_ratios(result["paired"], rival, mode) for mode in ("single", "batch")]
        lines.append(f"| {rival} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"{note}." for note in result["notes"])]).rstrip() + "\n"


def _speeds(entries: list[dict[str, Any]], mode: str) -> str:
    """Thousands of queries per second at each recall."""
    cells = []
    for target in report.TARGETS:
        entry = report.chosen(entries, target, mode)
        qps = None if entry is None else report.qps_at(report.curve(entry, mode), target)
        cells.append("-" if qps is None else f"{qps / 1000:.1f}k")
    return " / ".join(cells)


def _ratios(paired: list[dict[str, Any]], rival: str, mode: str) -> str:
    """The median ratio at each recall."""
    found = {row["target"]: row for row in paired if (row["second"], row["mode"]) == (rival, mode)}
    return " / ".join(f"{found[t]['ratio']:.2f}" if t in found else "-" for t in report.TARGETS)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(readme_table(json.loads(Path(path).read_text())))
