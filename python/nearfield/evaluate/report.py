"""What an evaluation found, to read in a terminal, to keep as JSON and to look at as a plot."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nearfield.evaluate.latency import Latency
from nearfield.evaluate.recall import Interval
from nearfield.evaluate.sweep import SweepRow, pareto_front

__all__ = ["Report", "table"]


@dataclass(frozen=True)
class Report:
    """How good an index is.

    print() shows a table, `to_json()` keeps it, `plot(path)` draws it.
    """

    kind: str
    metric: str
    n: int
    dim: int
    k: int
    n_queries: int
    queries_from: str
    """'given', or 'held out' from the index."""
    setting: dict[str, int]
    """The search setting that was measured, such as {"ef_search": 64}; empty for an exact index."""
    recall: Interval
    """Mean recall@k and its 95 % interval."""
    recalls: np.ndarray[Any, np.dtype[np.float64]]
    """Recall of each query, (n_queries,)."""
    latency: Latency
    """Single queries on one thread, in milliseconds."""
    qps: dict[int, float]
    """Number of threads -> queries a second of a batch."""
    bytes: dict[str, int]
    """Memory of the index by part, and "total"."""
    build_seconds: float | None
    """Time spent in add(); None for an index that was loaded."""
    peak_rss: int | None
    """The most memory that the process ever held, in bytes."""
    work: dict[str, float] = field(default_factory=dict)
    """Why: distances, exact_distances, hops and bytes read per query."""
    sweep: list[SweepRow] = field(default_factory=list)
    """Recall and QPS on one thread at other settings."""
    machine: dict[str, Any] = field(default_factory=dict)
    """Processor, kernels in use, threads, version."""

    @property
    def bytes_per_vector(self) -> float:
        """Bytes of the index for each vector, everything counted."""
        return self.bytes["total"] / max(self.n, 1)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, ready for JSON; of the latencies only the summary."""
        low, median = np.percentile(self.recalls, [5, 50])
        return {
            "kind": self.kind,
            "metric": self.metric,
            "n": self.n,
            "dim": self.dim,
            "k": self.k,
            "n_queries": self.n_queries,
            "queries_from": self.queries_from,
            "setting": dict(self.setting),
            "recall": {
                "mean": self.recall.mean,
                "low": self.recall.low,
                "high": self.recall.high,
                "p5": float(low),
                "p50": float(median),
                "min": float(self.recalls.min()),
            },
            "latency_ms": {
                name: getattr(self.latency, name) for name in ("p50", "p95", "p99", "max")
            },
            "qps": {str(threads): value for threads, value in self.qps.items()},
            "bytes": dict(self.bytes),
            "bytes_per_vector": self.bytes_per_vector,
            "build_seconds": self.build_seconds,
            "peak_rss": self.peak_rss,
            "work": dict(self.work),
            "sweep": [{**row.setting, "recall": row.recall, "qps": row.qps} for row in self.sweep],
            "machine": dict(self.machine),
        }

    def to_json(self, path: str | Path | None = None, *, indent: int | None = 2) -> str:
        """Give the report as JSON, and write it to `path` if one is given."""
        text = json.dumps(self.to_dict(), indent=indent)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def plot(self, path: str | Path) -> None:
        """Draw recall against speed, latency, and memory by part; PNG, SVG or PDF by the suffix.

        Raises
        ------
        ImportError
            If matplotlib is not installed (the extra nearfield[viz]).
        """
        from nearfield.evaluate.plot import draw

        draw(self, path)

    def __str__(self) -> str:
        facts = self.to_dict()
        recall, latency = facts["recall"], facts["latency_ms"]
        title = f"{self.kind}, {self.n:,} x {self.dim} {self.metric}"
        title += "".join(f", {name} {value}" for name, value in self.setting.items())
        rows = [
            (
                f"recall@{self.k}",
                f"{recall['mean']:.4f}",
                "every neighbor of every query"
                if recall["min"] == 1
                else f"95 % in {recall['low']:.4f} .. {recall['high']:.4f}; "
                f"worst query {recall['min']:.2f}, 5th percentile {recall['p5']:.2f}",
            ),
            (
                "latency",
                f"{latency['p50']:.3g} ms",
                f"median; p95 {latency['p95']:.3g}, p99 {latency['p99']:.3g}, "
                f"max {latency['max']:.3g} ms, one query at a time",
            ),
        ]
        rows += [
            (f"QPS, {threads} thread{'s' if threads > 1 else ''}", f"{value:,.0f}", "a batch")
            for threads, value in self.qps.items()
        ]
        parts = ", ".join(
            f"{name} {part / max(self.n, 1):,.1f}"
            for name, part in self.bytes.items()
            if name != "total" and part
        )
        rows.append(("bytes a vector", f"{self.bytes_per_vector:,.1f}", parts))
        if self.build_seconds is not None:
            rate = self.n / max(self.build_seconds, 1e-9)
            rows.append(("build", f"{self.build_seconds:,.2f} s", f"{rate:,.0f} vectors a second"))
        if self.peak_rss is not None:
            rows.append(("peak RSS", f"{self.peak_rss / 2**20:,.0f} MiB", "of the whole process"))
        if self.work:
            rows.append(("a query's work", *_work(self.work)))
        source = "given" if self.queries_from == "given" else "vectors held out of the index"
        lines = [title, *_aligned(rows), f"{self.n_queries:,} queries, {source}"]
        if self.sweep and self.setting:
            lines += ["", table(self.sweep, self.setting)]
        return "\n".join(lines)


def table(rows: list[SweepRow], chosen: Mapping[str, int] | None = None) -> str:
    """Show recall and QPS by setting, aligned; '*' marks the chosen, '-' what others beat."""
    front = {id(row) for row in pareto_front(rows)}
    name = next(iter(rows[0].setting), "setting")
    lines = []
    for row in sorted(rows, key=lambda row: row.setting.get(name, 0)):
        mark = "*" if chosen is not None and row.setting == chosen else " "
        mark = "-" if id(row) not in front and mark == " " else mark
        value = row.setting.get(name, "")
        lines.append(f"{mark} {value:>10}  {row.recall:8.4f}  {row.qps:14,.0f}")
    marks = {"*": "* chosen", "-": "- another is as good and faster"}
    legend = ", ".join(
        text for mark, text in marks.items() if any(line[0] == mark for line in lines)
    )
    head = f"  {name:>10}  {'recall':>8}  {'QPS, 1 thread':>14}"
    return "\n".join([f"{head}  ({legend})" if legend else head, *lines])


def _aligned(rows: list[tuple[str, str, str]]) -> list[str]:
    first = max(len(row[0]) for row in rows)
    second = max(len(row[1]) for row in rows)
    return [f"  {name:<{first}}  {value:>{second}}  {note}" for name, value, note in rows]


def _work(work: Mapping[str, float]) -> tuple[str, str]:
    read = work.get("bytes", 0.0)
    size = f"{read / 2**20:,.2f} MiB" if read >= 2**20 else f"{read / 2**10:,.1f} KiB"
    notes = [f"{work.get('exact_distances', 0):,.0f} of them exact"]
    if work.get("hops"):
        notes.append(f"{work['hops']:,.0f} hops")
    notes.append(f"{size} read")
    return f"{work.get('distances', 0):,.0f}", "distances, " + ", ".join(notes)
