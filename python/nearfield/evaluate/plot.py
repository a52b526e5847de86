"""A report as a picture: recall against speed, latency, memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.evaluate.sweep import SweepRow, pareto_front

if TYPE_CHECKING:
    from nearfield.evaluate.report import Report

__all__ = ["draw", "draw_curve"]

INK, PAPER, GRID = "#1f2937", "#ffffff", "#e5e7eb"
BLUE, ORANGE, GREY = "#2563eb", "#ea580c", "#9ca3af"
PARTS = ["#2563eb", "#60a5fa", "#93c5fd", "#f59e0b", "#9ca3af", "#d1d5db"]


def draw(report: "Report", path: str | Path) -> None:
    """Write the picture of a report; PNG, SVG or PDF by the suffix."""
    figure, axes = _figure(3, (13, 4.2))
    title = f"{report.kind}, {report.n:,} x {report.dim} {report.metric}, k = {report.k}"
    figure.suptitle(title, color=INK, fontsize=13, x=0.01, ha="left", weight="bold")
    if len(report.sweep) > 1:
        _curve(axes[0], report.sweep, report.setting, report.k)
    else:
        _recalls(axes[0], report)
    _latencies(axes[1], report)
    _memory(axes[2], report)
    figure.savefig(path, dpi=150, facecolor=PAPER)


def draw_curve(
    rows: Sequence[SweepRow], chosen: dict[str, int], k: int, target: float, path: str | Path
) -> None:
    """Write recall against QPS alone, with the recall that was asked for."""
    figure, axes = _figure(1, (6.4, 4.4))
    _curve(axes[0], rows, chosen, k)
    axes[0].axvline(target, color=ORANGE, linewidth=1, linestyle="--")
    axes[0].annotate(
        f"asked: {target:g}", (target, 0.02), xycoords=("data", "axes fraction"),
        xytext=(4, 0), textcoords="offset points", color=ORANGE, fontsize=9,
    )  # fmt: skip
    figure.savefig(path, dpi=150, facecolor=PAPER)


def _figure(panels: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'nearfield[viz]'") from None
    figure = Figure(figsize=size, layout="constrained")
    axes = [figure.add_subplot(1, panels, i + 1) for i in range(panels)]
    for axis in axes:
        axis.grid(color=GRID, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.tick_params(colors=INK, labelsize=9)
        for side in axis.spines.values():
            side.set_visible(False)
    return figure, axes


def _name(axis: Any, title: str, x: str, y: str) -> None:
    axis.set_title(title, loc="left", color=INK, fontsize=11)
    axis.set_xlabel(x, color=INK, fontsize=9)
    axis.set_ylabel(y, color=INK, fontsize=9)


def _curve(axis: Any, rows: Sequence[SweepRow], chosen: dict[str, int], k: int) -> None:
    ordered = sorted(rows, key=lambda row: row.recall)
    front = pareto_front(rows)
    by_setting = sorted(rows, key=lambda row: tuple(row.setting.values()))
    axis.plot([r.recall for r in by_setting], [r.qps for r in by_setting], color=GREY, linewidth=1)
    axis.plot([r.recall for r in front], [r.qps for r in front], color=BLUE, linewidth=2)
    name = next(iter(ordered[0].setting), "")
    for row in ordered:
        mine = row.setting == chosen
        axis.plot(
            row.recall, row.qps, "o", color=ORANGE if mine else BLUE, markersize=8 if mine else 5
        )
        axis.annotate(
            f"{name} {row.setting[name]}" if mine else str(row.setting.get(name, "")),
            (row.recall, row.qps), xytext=(6, 5), textcoords="offset points",
            color=ORANGE if mine else INK, fontsize=9 if mine else 8, annotation_clip=False,
        )  # fmt: skip
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.yaxis.set_minor_formatter("{x:,.0f}")
    axis.tick_params(which="minor", colors=INK, labelsize=9)
    axis.margins(x=0.12, y=0.15)
    _name(axis, f"recall@{k} against speed ({name})", f"recall@{k}", "queries a second, 1 thread")


def _recalls(axis: Any, report: "Report") -> None:
    edges = np.linspace(-0.5 / report.k, 1 + 0.5 / report.k, report.k + 2)
    axis.hist(report.recalls, bins=edges, color=BLUE, rwidth=0.85)
    axis.set_xlim(edges[0], edges[-1])
    _name(axis, f"mean recall@{report.k}: {report.recall.mean:.4f}", "recall of a query", "queries")


def _latencies(axis: Any, report: "Report") -> None:
    samples = np.sort(report.latency.samples)
    axis.plot(samples, np.arange(1, len(samples) + 1) / len(samples) * 100, color=BLUE, linewidth=2)
    marks = {"p50": 50, "p95": 95, "p99": 99}
    for name, share in marks.items():
        value = getattr(report.latency, name)
        axis.plot(value, share, "o", color=ORANGE)
    legend = "\n".join(f"{name}  {getattr(report.latency, name):.3g} ms" for name in marks)
    axis.text(0.97, 0.06, legend, transform=axis.transAxes, ha="right", color=ORANGE, fontsize=10)
    span = report.latency.p99 - samples[0]
    axis.set_xlim(max(0, samples[0] - 0.1 * span), report.latency.p99 + 0.6 * span + 1e-6)
    axis.set_ylim(0, 103)
    _name(axis, "latency of one query, 1 thread", "ms", "% of queries answered")


def _memory(axis: Any, report: "Report") -> None:
    parts = {name: size for name, size in report.bytes.items() if name != "total" and size}
    left = 0.0
    for (name, size), color in zip(parts.items(), PARTS * 3, strict=False):
        each = size / max(report.n, 1)
        axis.barh([0], [each], left=left, color=color, height=0.32, label=f"{name}  {each:,.1f}")
        left += each
    axis.set_ylim(-1, 0.6)
    axis.set_yticks([])
    axis.legend(loc="lower left", frameon=False, fontsize=9, labelcolor=INK, ncols=2)
    _name(axis, f"{report.bytes_per_vector:,.1f} bytes a vector", "bytes", "")
