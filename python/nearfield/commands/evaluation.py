"""`nearfield eval` and `nearfield tune`: build an index of a file's vectors and measure it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield.commands.paths import check_output

if TYPE_CHECKING:
    from nearfield.commands import Subparsers
    from nearfield.index import Index

__all__ = ["add_parser", "index_of"]


def add_parser(subparsers: Subparsers) -> None:
    """Add both commands to the parser."""
    parser = subparsers.add_parser(
        "eval",
        help="measure recall, latency, speed and memory of an index of a file's vectors",
        description="Index the vectors of DATA and measure recall@k, latency, speed and memory. "
        "Queries are those of --queries, else vectors held out of the index.",
    )
    _add_common(parser)
    parser.set_defaults(run=_evaluate)
    parser = subparsers.add_parser(
        "tune",
        help="find the fastest search setting that reaches a recall",
        description="Index the vectors of DATA and find the least ef_search or nprobe that gives "
        "the mean recall asked for, with the recall-speed table.",
    )
    _add_common(parser)
    parser.add_argument(
        "--recall", type=float, default=0.95, help="mean recall@k to reach (default: 0.95)"
    )
    parser.set_defaults(run=_tune)


def _add_common(parser: argparse.ArgumentParser) -> None:
    from nearfield.kinds import available

    parser.add_argument("data", type=Path, metavar="DATA", help=".npy, .fvecs or .jsonl file")
    parser.add_argument("--queries", type=Path, metavar="FILE", help="file of the queries")
    parser.add_argument(
        "--kind", choices=available(), default="hnsw", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--metric", choices=("cosine", "dot", "l2"), default="cosine", help="(default: cosine)"
    )
    parser.add_argument(
        "-k", "--k", type=int, default=10, help="neighbours of a query (default: 10)"
    )
    parser.add_argument("--threads", type=int, default=0, help="0, the default, means all")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw it, .png or .svg")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def index_of(data: Any, kind: str, metric: str, threads: int) -> Index:
    """Index a VectorFile; progress goes to stderr where that is a terminal."""
    from nearfield.kinds import make

    index: Index = make(kind, data.vectors.shape[1], metric=metric)
    if hasattr(index, "train"):
        index.train(data.vectors, threads=threads)
    index.add(data.vectors, ids=data.ids, threads=threads, progress=sys.stderr.isatty())
    return index


def _prepared(arguments: argparse.Namespace) -> tuple[Index, Any]:
    from nearfield.formats import read_vectors

    if arguments.plot is not None:
        check_output(arguments.plot, "plot", (".png", ".svg", ".pdf"))
    data = read_vectors(arguments.data)
    queries = None if arguments.queries is None else read_vectors(arguments.queries).vectors
    return index_of(data, arguments.kind, arguments.metric, arguments.threads), queries


def _evaluate(arguments: argparse.Namespace) -> None:
    index, queries = _prepared(arguments)
    report = index.evaluate(queries, arguments.k, threads=arguments.threads)
    print(report.to_json() if arguments.json else report)
    _draw(report, arguments)


def _tune(arguments: argparse.Namespace) -> None:
    index, queries = _prepared(arguments)
    found = index.tune(queries, arguments.k, arguments.recall, threads=arguments.threads)
    print(json.dumps(found.to_dict(), indent=2) if arguments.json else found)
    _draw(found, arguments)


def _draw(result: Any, arguments: argparse.Namespace) -> None:
    if arguments.plot is not None:
        result.plot(arguments.plot)
        print(f"wrote {arguments.plot}", file=sys.stderr)
