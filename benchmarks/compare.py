"""Compare nearfield with every installed peer on one data set.

    python benchmarks/compare.py --data fashion-mnist
    python benchmarks/compare.py --data minilm-qa --data-dir DIR --peers nearfield,rabitq --quick
    python benchmarks/compare.py --show benchmarks/results/fashion-mnist.json

Every variant of every peer is built and measured in a process of its own, with a time limit; one
that crashes, hangs or is not installed becomes a line of the report. Variants are chosen on
tuning queries and reported on others. The leaders are then measured again in turn, so that a
machine that slows down half-way does not decide the order. README.md says how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np

import datasets
import peers
import report
from budget import Budget
from measure import MODES, all_cores
from process import GoneError, Process

K = 10
SLOWEST_SWEEP = 45.0  # seconds spent on the tuning sweep of one variant
NEAR_ENOUGH = 0.9985  # recall beyond which a sweep stops
PAIRED = ("single", "batch")  # modes in which the leaders are measured again in turn


@dataclass(frozen=True)
class Options:
    """How thoroughly to measure.

    Attributes
    ----------
    quick : bool
        Smaller grids and shorter passes.
    finalists : int
        Rivals measured again side by side with us, at each recall.
    rounds : int
        Turns that each takes then.
    build_timeout, search_timeout : float
        Seconds after which a peer is given up.
    minutes : float
        Time of the whole run. A peer whose share of it is used up is given up.
    peer_python : str
        Interpreter that has the peers; ours runs in this one.
    """

    quick: bool = False
    finalists: int = 2
    rounds: int = 7
    build_timeout: float = 400
    search_timeout: float = 90
    minutes: float = 30
    peer_python: str = sys.executable

    @property
    def seconds(self) -> float:
        """Length of one reported measurement."""
        return 0.25 if self.quick else 0.6

    @property
    def points(self) -> int:
        """Most settings reported of a variant."""
        return 6 if self.quick else 10


class Comparison:
    """One run over one data set; `result` is what the result file holds."""

    def __init__(
        self, data: datasets.Dataset, options: Options, folder: Path, seed: int, n_peers: int
    ) -> None:
        n, dim = data.vectors.shape
        self.options, self.folder = options, folder
        self.budget = Budget(options.minutes, n_peers)
        self.problem = peers.Problem(n, dim, K, data.metric, options.quick)
        self.alive: dict[tuple[str, str], Process] = {}
        self.result: dict[str, Any] = {
            "data": {"name": data.name, "n": n, "dim": dim, "metric": data.metric, "k": K,
                     "queries": len(data.reporting)},
            "machine": machine(),
            "started": _now(),
            "seed": seed,
            "options": {**asdict(options), "peer_python": Path(options.peer_python).name},
            "entries": [],
            "paired": [],
            "notes": [],
        }  # fmt: skip
        np.save(folder / "vectors.npy", data.vectors)
        for half in ("tuning", "reporting"):
            queries = getattr(data, half)
            np.save(folder / f"{half}.npy", queries)
            kth = datasets.ground_truth(data, queries, K)[1][:, -1]
            np.save(folder / f"{half}-kth.npy", kth)

    def keep(self, earlier: dict[str, Any], names: Sequence[str]) -> None:
        """Take over from an earlier result what this run will not measure again."""
        if any(earlier[part] != self.result[part] for part in ("data", "machine")):
            raise ValueError("result to add to must be of the same data and machine")
        self.result["entries"] += [e for e in earlier["entries"] if e["peer"] not in names]
        again = set(names)
        self.result["notes"] += [n for n in earlier["notes"] if n.split()[0] not in again]
        self.result["paired"] += [
            row
            for row in earlier["paired"]
            if row["first"] == report.OURS and not again & {row["first"], row["second"]}
        ]

    def run_peer(self, name: str) -> None:
        """Build and sweep a peer's variants, then report those that lead at some recall.

        A peer that reaches none of the recalls is reported all the same.
        """
        self.budget.next_peer()
        try:
            variants = peers.load(name).variants(self.problem)
        except peers.UnsupportedError as why:
            self._note(name, f"skipped: {why}")
            return
        entries = []
        for variant in variants:
            try:
                entries.append(self._sweep(name, variant))
            except GoneError as why:
                self._close((name, variant.name))
                absent = str(why).startswith("skipped: not installed")
                self._note(name if absent else f"{name} {variant.name}", str(why))
                if absent:
                    break
        leaders = [e for t in report.TARGETS for e in report.contenders(entries, t)]
        for entry in entries:
            if not leaders or any(entry is leader for leader in leaders):
                try:
                    self._report(entry)
                except GoneError as why:
                    self._note(f"{name} {entry['variant']}", str(why))
            if entry["reporting"]:
                self.result["entries"].append(entry)
            else:
                self._close(_key(entry))
        self._close_outrun()

    def run_paired(self) -> None:
        """Measure the leaders again in turn, at settings on both sides of each recall."""
        for target in report.TARGETS:
            for mode in PAIRED:
                leaders = self._leaders(target, mode)
                rates: dict[str, list[float]] = {e["peer"]: [] for e in leaders}
                for turn in range(self.options.rounds):
                    for entry in leaders[turn % 2 :] + leaders[: turn % 2]:
                        if rate := self._rate_at(entry, target, mode):
                            rates[entry["peer"]].append(rate)
                self._add_ratios(target, mode, rates)

    def close(self) -> None:
        """End all processes."""
        for key in list(self.alive):
            self._close(key)

    def _sweep(self, name: str, variant: peers.Variant) -> dict[str, Any]:
        python = sys.executable if name == report.OURS else self.options.peer_python
        process = Process(python, self.folder, name, self.problem)
        self.alive[name, variant.name] = process
        entry = {
            "peer": name,
            "variant": variant.name,
            "measured": _now(),
            "build": variant.build,
            **process.ask(
                "build",
                self.budget.limit(self.options.build_timeout, sweeping=True),
                settings=variant.build,
            ),
            "index_bytes": None,
            "tuning": [],
            "reporting": [],
        }
        started = time.monotonic()
        patience = self.budget.limit(SLOWEST_SWEEP, sweeping=True)
        for sweep in variant.sweeps:
            recalls = [0.0]
            for setting in sweep:
                point = self._measure(entry, "tuning", setting, "batch", self.options.seconds / 2)
                entry["tuning"].append(point)
                recalls.append(point["recall"])
                stalled = len(recalls) > 4 and recalls[-1] - recalls[-4] < 3e-4
                late = time.monotonic() - started > patience
                if point["recall"] >= NEAR_ENOUGH or stalled or late:
                    break
        try:
            size = process.ask("size", self._patience())
            entry["index_bytes"] = size["index_bytes"]
        except GoneError as why:
            self._note(f"{name} {variant.name}", f"says no size: {why}")
        speeds = [report.qps_at(report.curve(entry, "batch", "tuning"), t) for t in report.TARGETS]
        said = " / ".join("-" if qps is None else f"{qps:,.0f}" for qps in speeds)
        _say(f"{name} {variant.name}: built in {entry['build_seconds']:.1f} s, QPS {said}")
        return entry

    def _report(self, entry: dict[str, Any]) -> None:
        for setting in _worth_reporting(entry["tuning"], self.options.points):
            for mode in MODES:
                entry["reporting"].append(
                    self._measure(entry, "reporting", setting, mode, self.options.seconds)
                )

    def _measure(
        self,
        entry: dict[str, Any],
        half: str,
        setting: dict[str, Any],
        mode: str,
        seconds: float,
        *,
        limit: float | None = None,
    ) -> dict[str, Any]:
        figures = self.alive[_key(entry)].ask(
            "measure",
            self._patience() if limit is None else limit,
            half=half,
            setting=setting,
            mode=mode,
            seconds=seconds,
        )
        return {"setting": setting, "mode": mode, **figures}

    def _patience(self) -> float:
        return self.budget.limit(self.options.search_timeout, sweeping=False)

    def _rate_at(self, entry: dict[str, Any], target: float, mode: str) -> float | None:
        points = [p for p in entry["reporting"] if p["mode"] == mode]
        try:
            again = [
                self._measure(entry, "reporting", setting, mode, self.options.seconds / 3,
                              limit=self.options.search_timeout)
                for setting in _around(points, target)
            ]  # fmt: skip
        except GoneError as why:
            self._note(f"{entry['peer']} {entry['variant']}", str(why))
            return None
        return report.qps_at([(p["recall"], p["qps"]) for p in again], target)

    def _leaders(self, target: float, mode: str) -> list[dict[str, Any]]:
        """Ours and the fastest rivals still running at a recall, ours first."""
        running = [e for e in self.result["entries"] if _key(e) in self.alive]
        ranked = []
        for peer, entries in report.by_peer({"entries": running}).items():
            entry = report.chosen(entries, target, mode)
            qps = None if entry is None else report.qps_at(report.curve(entry, mode), target)
            if entry is not None and qps is not None:
                ranked.append((peer != report.OURS, -qps, len(ranked), entry))
        ranked.sort(key=lambda row: row[:3])
        ours = [row[3] for row in ranked if not row[0]]
        return ours + [row[3] for row in ranked if row[0]][: self.options.finalists]

    def _add_ratios(self, target: float, mode: str, rates: dict[str, list[float]]) -> None:
        first, *others = rates or [""]
        for other in others:
            ratios = [a / b for a, b in zip(rates[first], rates[other], strict=False)]
            if ratios:
                self.result["paired"].append(
                    {"target": target, "mode": mode, "first": first, "second": other,
                     "ratio": median(ratios), "lowest": min(ratios), "highest": max(ratios),
                     "rounds": len(ratios)}
                )  # fmt: skip

    def _close_outrun(self) -> None:
        """End the processes that lead nowhere, so that only finalists hold memory."""
        kept = {_key(e) for t in report.TARGETS for m in PAIRED for e in self._leaders(t, m)}
        for key in set(self.alive) - kept:
            self._close(key)

    def _close(self, key: tuple[str, str]) -> None:
        if key in self.alive:
            self.alive.pop(key).close()

    def _note(self, who: str, what: str) -> None:
        self.result["notes"].append(f"{who} {what}")
        _say(f"{who} {what}")


def run(
    data: datasets.Dataset,
    names: Sequence[str] = peers.NAMES,
    options: Options | None = None,
    *,
    seed: int = 0,
    save_to: Path | None = None,
    earlier: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Compare the named peers on a data set.

    Parameters
    ----------
    data : Dataset
    names : sequence of str
        Peers to run, of `peers.NAMES`.
    options : Options, optional
    seed : int
        The data set's, for the record.
    save_to : path, optional
        Result file, written after each peer so that a run that is stopped leaves what it has.
    earlier : dict, optional
        Result of a run on the same data and machine; its other peers are taken over.

    Returns
    -------
    dict
        What the result file holds; `report.table` and `report.plot` read it.
    """
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(data, options or Options(), Path(folder), seed, len(names))
        if earlier is not None:
            comparison.keep(earlier, names)
        try:
            for name in names:
                comparison.run_peer(name)
                _save(comparison.result, save_to)
            comparison.run_paired()
            _save(comparison.result, save_to)
        finally:
            comparison.close()
    return comparison.result


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    cpu, flags = platform.processor() or platform.machine(), ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            cpu = value.strip() if key.strip() == "model name" else cpu
            flags = value if key.strip() == "flags" else flags
    except OSError:
        pass
    told = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
    return {
        "cpu": cpu,
        "instructions": [flag for flag in told if flag in flags.split()],
        "cores": len(all_cores()),
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _worth_reporting(points: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Settings on the Pareto front, those round the wanted recalls before any other."""
    front, best = [], -1.0
    for point in sorted(points, key=lambda p: (-p["recall"], -p["qps"])):
        if point["qps"] > best:
            front.append(point)
            best = point["qps"]
    # Other queries may find less: beyond the highest recall, one that misses half as much.
    targets = (*report.TARGETS, (1 + report.TARGETS[-1]) / 2)
    kept = [p for target in targets for p in _nearest(front, target)]
    # Or more: the points before those too, so that none far off stands in for a nearer one.
    kept += [after for p, after in pairwise(front) if p in kept and after not in kept]
    spare = [p for p in front if p not in kept]
    step = max(1, len(spare) // max(1, most - len(kept)))
    kept += spare[::step][: max(0, most - len(kept))]
    return [p["setting"] for p in front if p in kept]


def _around(points: Sequence[dict[str, Any]], target: float) -> list[dict[str, Any]]:
    return [p["setting"] for p in _nearest(points, target)]


def _nearest(points: Sequence[dict[str, Any]], target: float) -> list[dict[str, Any]]:
    """The last point below a recall and the first at or above it, where there are such."""
    below = [p for p in points if p["recall"] < target]
    above = [p for p in points if p["recall"] >= target]
    return [
        *([max(below, key=lambda p: p["recall"])] if below else []),
        *([max(above, key=lambda p: p["qps"])] if above else []),
    ]


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _key(entry: dict[str, Any]) -> tuple[str, str]:
    return entry["peer"], entry["variant"]


def _save(result: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(result, indent=1) + "\n")
        partial.replace(path)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; the exit status is 0 when something was measured."""
    asked = _parser().parse_args(arguments)
    if asked.show is not None:
        result = json.loads(asked.show.read_text())
        path = asked.show
    else:
        try:
            data = datasets.load(
                asked.data, data_dir=asked.data_dir, queries_file=asked.queries_file,
                metric=asked.metric, limit=asked.limit, queries=asked.queries, seed=asked.seed,
            )  # fmt: skip
        except datasets.UnavailableError as why:
            print(f"{asked.data}: {why}", file=sys.stderr)
            return 2
        asked.results.mkdir(parents=True, exist_ok=True)
        path = asked.results / f"{data.name}{'-quick' if asked.quick else ''}.json"
        options = Options(quick=asked.quick, peer_python=asked.peer_python,
                          build_timeout=asked.build_timeout, minutes=asked.minutes)  # fmt: skip
        names = asked.peers.split(",") if asked.peers else peers.NAMES
        earlier = json.loads(path.read_text()) if asked.add and path.exists() else None
        result = run(data, names, options, seed=asked.seed, save_to=path, earlier=earlier)
    print(report.table(result))
    if not result["entries"]:
        return 1
    try:
        report.plot(result, path.with_suffix(".png"))
    except ImportError:
        print("no plot: pip install matplotlib", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--data", default="fashion-mnist", help=f"a file, or one of {', '.join(datasets.names())}")
    add("--data-dir", help="folder of the project's own sets (else NEARFIELD_DATA)")
    add("--queries-file", help="queries for a .npy, .fvecs or .bvecs file")
    add("--metric", choices=("cosine", "l2", "dot"), help="instead of the set's own")
    add("--limit", type=int, help="index at most so many vectors")
    add("--queries", type=int, default=1000, help="tuning queries, and as many to report")
    add("--seed", type=int, default=0)
    add("--peers", help=f"of {','.join(peers.NAMES)}")
    add("--peer-python", default=sys.executable, help="interpreter that has the peers installed")
    add("--quick", action="store_true", help="smaller grids")
    add("--build-timeout", type=float, default=400, help="seconds a build may take")
    add("--minutes", type=float, default=30, help="time of the whole run (30)")
    add("--add", action="store_true", help="keep the other peers of the earlier result file")
    add("--results", type=Path, default=Path(__file__).parent / "results")
    add("--show", type=Path, help="print and plot a result file again, measure nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
