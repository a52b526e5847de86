"""`nearfield bench`: our index kinds on one data set, or beside every installed peer."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearfield.commands import Subparsers
    from nearfield.evaluate import Report

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "bench",
        help="compare the index kinds on one data set, or with other libraries",
        description="Index the vectors of DATA with every kind and print recall, speed, memory "
        "and build time of each. Without DATA, take what the demo takes: this Python's docstrings "
        "and a Korean corpus as passages, their titles as queries (extra 'demo'). "
        "With --against, run the full comparison of a source checkout "
        "(benchmarks/compare.py), every library in a process of its own.",
    )
    parser.add_argument(
        "data", type=Path, nargs="?", metavar="DATA", help=".npy, .fvecs or .jsonl file"
    )
    parser.add_argument("--queries", type=Path, metavar="FILE", help="file of the queries")
    parser.add_argument(
        "--metric", choices=("cosine", "dot", "l2"), default="cosine", help="(default: cosine)"
    )
    parser.add_argument(
        "-k", "--k", type=int, default=10, help="neighbours of a query (default: 10)"
    )
    parser.add_argument("--threads", type=int, default=0, help="0, the default, means all")
    parser.add_argument(
        "--against", metavar="NAMES", help="other libraries, comma-separated, or 'all'"
    )
    parser.add_argument(
        "--peer-python", default=sys.executable, help="interpreter that has them installed"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a kind")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    if arguments.data is not None:
        _bench(arguments)
        return
    if arguments.queries is not None:
        raise ValueError(f"--queries must come with DATA, got {arguments.queries} alone")
    import numpy as np

    from nearfield.demo.run import demo_vectors

    vectors, queries = demo_vectors()
    with tempfile.TemporaryDirectory() as folder:
        arguments.data = Path(folder, "python-docs.npy")
        arguments.queries = Path(folder, "queries.npy")
        np.save(arguments.data, vectors)
        np.save(arguments.queries, queries)
        _bench(arguments)


def _bench(arguments: argparse.Namespace) -> None:
    if arguments.against is not None:
        _compare(arguments)
        return
    from nearfield.commands.evaluation import index_of
    from nearfield.formats import read_vectors
    from nearfield.kinds import available

    data = read_vectors(arguments.data)
    queries = None if arguments.queries is None else read_vectors(arguments.queries).vectors
    if not arguments.json:
        print(_HEAD.format(k=arguments.k))
    for kind in available():
        index = index_of(data, kind, arguments.metric, arguments.threads)
        report = index.evaluate(queries, arguments.k, threads=arguments.threads)
        print(report.to_json(indent=None) if arguments.json else _row(report), flush=True)


_HEAD = (
    "kind    setting        recall@{k:<3}  QPS, 1 thread     p50 ms     p99 ms  "
    "bytes a vector    build s"
)


def _row(report: Report) -> str:
    setting = " ".join(f"{name} {value}" for name, value in report.setting.items())
    return (
        f"{report.kind:<6}  {setting:<13}  {report.recall.mean:10.4f}  {report.qps[1]:13,.0f}  "
        f"{report.latency.p50:9.3f}  {report.latency.p99:9.3f}  "
        f"{report.bytes_per_vector:14,.1f}  {report.build_seconds or 0:9.2f}"
    )


def _compare(arguments: argparse.Namespace) -> None:
    script = Path(__file__).resolve().parents[3] / "benchmarks" / "compare.py"
    if not script.exists():
        raise ValueError("against must run in a source checkout, got an installed package")
    command = [sys.executable, str(script), "--data", str(arguments.data)]
    command += ["--metric", arguments.metric, "--peer-python", arguments.peer_python]
    if arguments.queries is not None:
        command += ["--queries-file", str(arguments.queries)]
    if arguments.against != "all":
        command += ["--peers", f"nearfield,{arguments.against}"]
    if subprocess.run(command, check=False).returncode != 0:
        raise RuntimeError("the comparison failed; its own lines say why")
