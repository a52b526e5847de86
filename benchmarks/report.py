"""From measured points to what a person reads: interpolation, the table, the plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

TARGETS = (0.90, 0.95, 0.99)
OURS = "nearfield"
TOO_CLOSE = 0.85  # of the best speed, on a machine whose speed swings by a tenth
HIGHLIGHTED = 3  # rivals drawn in colour
GREY = "#b5b5b5"

Point = tuple[float, float]  # recall, queries per second


def pareto(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in both recall and speed, by rising recall."""
    front: list[Point] = []
    for recall, qps in sorted(points, key=lambda point: (-point[0], -point[1])):
        if not front or qps > front[-1][1]:
            front.append((recall, qps))
    return front[::-1]


def qps_at(points: Sequence[Point], target: float) -> float | None:
    """Speed at a recall, linear in log QPS between the two points round it.

    Below the lowest recall measured it is the speed measured there, which is a lower bound.
    None when the recall was not reached.
    """
    front = pareto(points)
    if not front or front[-1][0] < target:
        return None
    for (r0, q0), (r1, q1) in pairwise(front):
        if r0 <= target <= r1:
            share = (target - r0) / (r1 - r0)
            return math.exp((1 - share) * math.log(q0) + share * math.log(q1))
    return front[0][1]


def curve(entry: dict[str, Any], mode: str, half: str = "reporting") -> list[Point]:
    """(recall, QPS) of one variant in one mode."""
    return [(p["recall"], p["qps"]) for p in entry[half] if p["mode"] == mode]


def contenders(entries: Sequence[dict[str, Any]], target: float) -> list[dict[str, Any]]:
    """The variants that lead at `target` on the tuning queries, too close to tell apart."""
    speeds = [(qps_at(curve(e, "batch", "tuning"), target), e) for e in entries]
    best = max((qps for qps, _ in speeds if qps is not None), default=0.0)
    return [e for qps, e in speeds if qps is not None and qps >= TOO_CLOSE * best]


def chosen(
    entries: Sequence[dict[str, Any]], target: float, mode: str = "batch"
) -> dict[str, Any] | None:
    """The variant reported for `target`: of those too close to tell, the fastest as reported.

    The choice among them helps every peer alike, and a rival is not shown at less than it can do
    for a few points of recall that differ between two halves of the queries.
    """
    speeds = [(qps_at(curve(e, mode), target), e) for e in contenders(entries, target)]
    reached = [(qps, e) for qps, e in speeds if qps is not None]
    return max(reached, key=lambda pair: pair[0])[1] if reached else None


def by_peer(result: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The measured variants under their peer's name, in the order of the run."""
    peers: dict[str, list[dict[str, Any]]] = {}
    for entry in result["entries"]:
        peers.setdefault(entry["peer"], []).append(entry)
    return peers


def table(result: dict[str, Any]) -> str:
    """The report as text."""
    data = result["data"]
    machine = result["machine"]
    lines = [
        f"{data['name']}: {data['n']:,} vectors of {data['dim']} dimensions, {data['metric']}, "
        f"{data['queries']:,} queries, recall@{data['k']}",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB, "
        f"Python {machine['python']}",
        "",
    ]
    for mode, title in (
        ("single", "QPS, one query a call, one core"),
        ("batch", "QPS, all queries in one call, one core"),
        ("batch_all", f"QPS, all queries in one call, all {machine['cores']} cores"),
    ):
        lines += [title, *_speed_rows(result, mode), ""]
    lines += ["Cost of the variant used at recall 0.95 (or the nearest)", *_cost_rows(result), ""]
    if paired := result.get("paired"):
        lines += ["Measured again side by side, in turn (median ratio, lowest to highest)"]
        lines += [_paired_row(row) for row in paired] + [""]
    lines += [f"- {note}" for note in result["notes"]]
    return "\n".join(lines)


def _speed_rows(result: dict[str, Any], mode: str) -> list[str]:
    head = f"  {'peer':<13}" + "".join(f"{f'recall {t:.2f}':>14}" for t in TARGETS)
    rows, speeds = [], {}
    for peer, entries in by_peer(result).items():
        cells = []
        for target in TARGETS:
            entry = chosen(entries, target, mode)
            speeds[peer, target] = None if entry is None else qps_at(curve(entry, mode), target)
            cells.append(speeds[peer, target])
        names = dict.fromkeys(e["variant"] for t in TARGETS if (e := chosen(entries, t, mode)))
        text = "".join(f"{'-' if c is None else format(c, ',.0f'):>14}" for c in cells)
        rows.append((cells[1] or 0, f"  {peer:<13}{text}   {'; '.join(names)}"))
    rows.sort(key=lambda row: -row[0])
    ratios = []
    for target in TARGETS:
        rivals = [q for (p, t), q in speeds.items() if p != OURS and t == target and q]
        ours = speeds.get((OURS, target))
        ratios.append(f"{ours / max(rivals):.2f}" if ours and rivals else "-")
    last = f"  {'ours / best':<13}" + "".join(f"{ratio:>14}" for ratio in ratios)
    return [head, *(row for _, row in rows), last]


def _cost_rows(result: dict[str, Any]) -> list[str]:
    rows = [
        f"  {'peer':<13}{'build s':>9}{'peak MB':>9}{'bytes/vector':>14}{'p50 ms':>9}{'p99 ms':>9}"
    ]
    for peer, entries in by_peer(result).items():
        entry = chosen(entries, 0.95) or chosen(entries, 0.90) or entries[0]
        single = [p for p in entry["reporting"] if p["mode"] == "single"]
        enough = [p for p in single if p["recall"] >= 0.95] or single[-1:]
        point = max(enough, key=lambda p: p["qps"], default={})
        size = entry["index_bytes"]
        rows.append(
            f"  {peer:<13}{entry['build_seconds']:>9.1f}{entry['peak_rss'] / 1e6:>9.0f}"
            f"{'-' if size is None else format(size / result['data']['n'], '.0f'):>14}"
            f"{point.get('p50_ms', math.nan):>9.3f}{point.get('p99_ms', math.nan):>9.3f}"
            f"   {entry['variant']} {entry['version']}"
        )
    return rows


def _paired_row(row: dict[str, Any]) -> str:
    return (
        f"  recall {row['target']:.2f} {row['mode']:<7} {row['first']} / {row['second']}: "
        f"{row['ratio']:.2f} ({row['lowest']:.2f} to {row['highest']:.2f}, {row['rounds']} rounds)"
    )


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw recall against QPS, for single calls and for batches, to a PNG file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(13, 6), sharey=True)
    titles = {"single": "One query a call, one core", "batch": "All queries in one call, one core"}
    curves = {mode: _curves(result, mode) for mode in titles}
    colours = _colours(curves)
    for axis, (mode, title) in zip(axes, titles.items(), strict=True):
        _panel(axis, curves[mode], colours)
        axis.set_title(title, fontsize=12, loc="left")
        axis.set_xlabel(f"recall@{result['data']['k']}")
    axes[0].set_ylabel("queries per second")
    data = result["data"]
    figure.suptitle(
        f"{data['name']}: {data['n']:,} x {data['dim']}, {data['metric']} (up and right is better)",
        fontsize=14, x=0.01, ha="left",
    )  # fmt: skip
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _curves(result: dict[str, Any], mode: str) -> dict[str, list[Point]]:
    """Each peer's front over all its variants, from recall 0.8 up."""
    curves = {}
    for peer, entries in by_peer(result).items():
        points = [point for entry in entries for point in curve(entry, mode)]
        if kept := [point for point in pareto(points) if point[0] >= 0.8]:
            curves[peer] = kept
    return curves


def _colours(curves: dict[str, dict[str, list[Point]]]) -> dict[str, str]:
    """Black for us, a colour for the fastest rivals at recall 0.95 over all modes, else grey."""
    speed: dict[str, float] = {}
    for peers in curves.values():
        for peer, points in peers.items():
            speed[peer] = speed.get(peer, 1.0) * (qps_at(points, 0.95) or 1.0)
    rivals = sorted((peer for peer in speed if peer != OURS), key=lambda peer: -speed[peer])
    colours = dict.fromkeys(speed, GREY)
    colours |= dict(zip(rivals[:HIGHLIGHTED], ("#0072b2", "#d55e00", "#009e73"), strict=False))
    return colours | {OURS: "black"}


def _panel(axis: Any, curves: dict[str, list[Point]], colours: dict[str, str]) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    labels = []
    for peer, points in curves.items():
        # On this scale 0.9, 0.99 and 0.999 stand equally far apart.
        x = [-math.log10(max(1 - recall, 5e-4)) for recall, _ in points]
        y = [qps for _, qps in points]
        colour = colours[peer]
        rank = 3 if peer == OURS else 1 if colour == GREY else 2
        width = (1.0, 1.9, 3.2)[rank - 1]
        axis.plot(
            x, y, color=colour, linewidth=width, marker="o", markersize=1.6 * width, zorder=rank
        )
        labels.append((x[-1], y[-1], peer, colour))
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(lambda qps, _: f"{qps / 1000:g}k" if qps >= 1000 else f"{qps:g}")
    axis.yaxis.set_minor_locator(NullLocator())
    ticks = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
    axis.set_xticks([-math.log10(1 - tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    axis.set_xlim(-math.log10(0.2), -math.log10(4e-4) + 0.75)
    axis.grid(color="#e6e6e6", linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    _label(axis, labels)


def _label(axis: Any, labels: list[tuple[float, float, str, str]]) -> None:
    """Name the lines in a column at the right, moved apart where they would overlap."""
    low, high = (math.log10(limit) for limit in axis.get_ylim())
    gap = (high - low) / 24
    column = -math.log10(4e-4) + 0.06
    placed = low - gap
    wanted = sorted(labels, key=lambda label: label[1])
    heights = []
    for _, y, *_ in wanted:
        placed = max(placed + gap, math.log10(y))
        heights.append(placed)
    excess = max(0.0, heights[-1] - high) if heights else 0.0
    for (x, y, peer, colour), height in zip(wanted, heights, strict=True):
        height = 10 ** (height - excess)
        ours = peer == OURS
        axis.plot([x, column - 0.02], [y, height], color=colour, linewidth=0.6, alpha=0.6)
        axis.text(column, height, peer, color="#777777" if colour == GREY else colour,
                  fontsize=11 if ours else 9, fontweight="bold" if ours else "normal",
                  va="center")  # fmt: skip
