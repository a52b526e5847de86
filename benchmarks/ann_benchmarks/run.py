"""Run module.py and config.yml here, by ann-benchmarks' own protocol, without its containers.

    python benchmarks/ann_benchmarks/run.py --data fashion-mnist --count 10

One query a call on one core (with --batch: all in one call on all), after `fit` and
`set_query_arguments`; the best of the runs counts. Results are laid out as its own are, so that
its plotting scripts read them: ``results/<data>/<count>/<name>/<arguments>.hdf5``.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import re
import sys
import time
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

import datasets
import measure

HERE = Path(__file__).parent
DISTANCES = {"cosine": "angular", "l2": "euclidean", "dot": "ip"}


@dataclass(frozen=True)
class Definition:
    """One build of the config, with the query arguments to try on it."""

    name: str
    constructor: str
    arguments: list[Any]
    query_arguments: list[list[Any]]


class BaseANN:
    """What ann-benchmarks' base class gives its algorithms, as far as they use it here."""

    name = ""

    def get_memory_usage(self) -> float:
        """Resident memory in kilobytes."""
        return measure.resident() / 1024

    def get_additional(self) -> dict[str, Any]:
        """More attributes for the result; none."""
        return {}

    def done(self) -> None:
        """Nothing to clean up."""

    def __str__(self) -> str:
        return self.name


def load_module() -> types.ModuleType:
    """module.py under the name it has in ann-benchmarks, where its base class is found."""
    for name in ("ann_benchmarks", "ann_benchmarks.algorithms", "ann_benchmarks.algorithms.base"):
        package = types.ModuleType(name)
        package.__path__ = []
        sys.modules[name] = package
    base = types.ModuleType("ann_benchmarks.algorithms.base.module")
    base.BaseANN = BaseANN  # type: ignore[attr-defined]
    sys.modules[base.__name__] = base
    name = "ann_benchmarks.algorithms.nearfield.module"
    spec = importlib.util.spec_from_file_location(name, HERE / "module.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def definitions(metric: str) -> Iterator[Definition]:
    """Every build that config.yml asks for."""
    import yaml

    config = yaml.safe_load((HERE / "config.yml").read_text())
    for entry in config["float"]["any"]:
        first = [metric if argument == "@metric" else argument for argument in entry["base_args"]]
        for group in entry["run_groups"].values():
            asked = [list(chosen) for chosen in itertools.product(*group["query_args"])]
            for chosen in itertools.product(*group["args"]):
                yield Definition(entry["name"], entry["constructor"], [*first, *chosen], asked)


def run(
    algorithm: Any,
    query_arguments: list[Any],
    queries: datasets.Floats,
    count: int,
    batch: bool,
    runs: int,
) -> tuple[float, NDArray[np.float64], list[Any]]:
    """Seconds a query of the best run, each query's seconds then, and its neighbours."""
    if query_arguments:
        algorithm.set_query_arguments(*query_arguments)
    best: tuple[float, NDArray[np.float64], list[Any]] | None = None
    for _ in range(runs):
        times = np.empty(len(queries))
        if batch:
            start = time.perf_counter()
            algorithm.batch_query(queries, count)
            times[:] = (time.perf_counter() - start) / len(queries)
            found = list(algorithm.get_batch_results())
        else:
            found = []
            for place, query in enumerate(queries):
                start = time.perf_counter()
                found.append(algorithm.query(query, count))
                times[place] = time.perf_counter() - start
        if best is None or times.mean() < best[0]:
            best = (float(times.mean()), times, found)
    assert best is not None
    return best


def store(
    path: Path,
    attributes: dict[str, Any],
    times: NDArray[np.float64],
    neighbors: NDArray[np.int64],
    distances: NDArray[np.float64],
) -> None:
    """Write one result file in ann-benchmarks' layout."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, value in attributes.items():
            file.attrs[key] = value
        file.create_dataset("times", data=times.astype("f"))
        file.create_dataset("neighbors", data=neighbors.astype("i"))
        file.create_dataset("distances", data=distances.astype("f"))


def run_definition(
    definition: Definition, data: datasets.Dataset, asked: argparse.Namespace, module: Any
) -> None:
    """Build once, then run every query argument and store each."""
    algorithm = getattr(module, definition.constructor)(*definition.arguments)
    before = algorithm.get_memory_usage()
    start = time.perf_counter()
    algorithm.fit(data.vectors)
    built = time.perf_counter() - start
    grown = algorithm.get_memory_usage() - before
    kth = datasets.ground_truth(data, data.reporting, asked.count)[1][:, -1]
    cores = measure.all_cores()
    for query_arguments in definition.query_arguments:
        measure.pin(cores if asked.batch else {min(cores)})
        best, times, found = run(
            algorithm, query_arguments, data.reporting, asked.count, asked.batch, asked.runs
        )
        measure.pin(cores)
        neighbors = measure.as_rows(found, len(data.reporting), asked.count)
        distances = datasets.distances_to(
            data.reporting, data.vectors, np.maximum(neighbors, 0), data.metric
        )
        distances[neighbors < 0] = np.inf
        recall = measure.recall_at_k(neighbors, data.reporting, data.vectors, kth, data.metric)
        attributes = {
            "algo": definition.name, "name": str(algorithm), "dataset": data.name,
            "distance": DISTANCES[data.metric], "count": asked.count, "batch_mode": asked.batch,
            "build_time": built, "index_size": grown, "best_search_time": best,
            "candidates": float((neighbors >= 0).sum(axis=1).mean()), "expect_extra": False,
            "run_count": asked.runs, **algorithm.get_additional(),
        }  # fmt: skip
        words = json.dumps([*definition.arguments, query_arguments], sort_keys=True)
        name = re.sub(r"\W+", "_", words).strip("_")
        folder = definition.name + ("-batch" if asked.batch else "")
        path = asked.results / data.name / str(asked.count) / folder / f"{name}.hdf5"
        store(path, attributes, times, neighbors, distances)
        print(f"{algorithm}: recall {recall.mean():.4f}, {1 / best:,.0f} queries/s -> {path}")
    algorithm.done()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every definition of config.yml."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--limit", type=int, help="index at most so many vectors")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--count", type=int, default=10, help="neighbours asked for")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--batch", action="store_true")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    asked = parser.parse_args(arguments)
    try:
        data = datasets.load(
            asked.data, data_dir=asked.data_dir, limit=asked.limit, queries=asked.queries
        )
    except datasets.UnavailableError as why:
        print(f"{asked.data}: {why}", file=sys.stderr)
        return 2
    module = load_module()
    for definition in definitions(DISTANCES[data.metric]):
        run_definition(definition, data, asked, module)
    return 0


if __name__ == "__main__":
    sys.exit(main())
