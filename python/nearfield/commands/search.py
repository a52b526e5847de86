"""`nearfield search`: vectors in a file, or texts in a collection."""

from __future__ import annotations

import argparse
import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield.commands.paths import check_collection
from nearfield.commands.text import add_model, encoder_of

if TYPE_CHECKING:
    from nearfield.commands import Subparsers

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "search",
        help="ask a collection a question, or find the nearest vectors of a file",
        description="Where DATA is a folder made by `nearfield build --text`, QUERY is a question; "
        "the passages nearest to it are printed: score, id, the part that answers. Else compare "
        "every vector of QUERY with every vector of DATA and print the "
        "nearest, one line each: query, rank, id, distance. Files: .npy, .fvecs, .bvecs, .jsonl "
        'with lines like [0.1, 0.2] or {"id": "a", "vector": [0.1, 0.2]}, .safetensors, .parquet, '
        ".arrow. Where DATA is an index (.nf), that is searched, without reading it whole.",
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of texts, file of vectors")
    parser.add_argument("queries", metavar="QUERY", help="question, or file of the queries")
    parser.add_argument(
        "--hybrid", action="store_true", help="a question: count shared words too (BM25)"
    )
    add_model(parser)
    parser.add_argument(
        "-k", "--k", type=int, default=10, help="neighbours of a query (default: 10)"
    )
    parser.add_argument(
        "--metric", choices=("cosine", "dot", "l2"), help="(default: cosine, or the index's)"
    )
    parser.add_argument("--threads", type=int, default=0, help="0, the default, means all")
    parser.add_argument("--json", action="store_true", help="print one JSON object a query")
    parser.set_defaults(run=_run)


def _as_index(arguments: argparse.Namespace) -> Any:
    from nearfield.flat import Flat
    from nearfield.formats import read_vectors
    from nearfield.persistence import load

    if arguments.data.suffix == ".nf":
        index = load(arguments.data, mmap=True)
        if arguments.metric not in (None, index.metric):
            raise ValueError(f"metric must be the index's, {index.metric}, got {arguments.metric}")
        return index
    data = read_vectors(arguments.data)
    index = Flat(data.vectors.shape[1], metric=arguments.metric or "cosine")
    index.add(data.vectors, ids=data.ids, threads=arguments.threads)
    return index


def _run(arguments: argparse.Namespace) -> None:
    if arguments.data.is_dir():
        _ask(arguments)
    else:
        _compare(arguments)


def _ask(arguments: argparse.Namespace) -> None:
    import nearfield
    from nearfield.text import snippets

    check_collection(arguments.data, "DATA")
    encoder = encoder_of(arguments)
    with nearfield.Collection(arguments.data, encoder=encoder) as collection:
        hits = collection.search(
            arguments.queries, k=arguments.k, threads=arguments.threads, hybrid=arguments.hybrid
        )
    parts = snippets(arguments.queries, hits, encoder)
    if arguments.json:
        rows = [
            {"id": hit.id, "score": hit.score, "distance": hit.distance, "text": hit.text,
             "snippet": part and [part.start, part.end], "metadata": hit.metadata}
            for hit, part in zip(hits, parts, strict=True)
        ]  # fmt: skip
        print(json.dumps({"query": arguments.queries, "hits": rows}, ensure_ascii=False))
        return
    for hit, part in zip(hits, parts, strict=True):
        shown = " ".join(part.text.split()) if part else ""
        print(f"{hit.score:.3f}  {hit.id}\n       {shown}")


def _compare(arguments: argparse.Namespace) -> None:
    from nearfield.formats import read_vectors

    if not arguments.data.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(arguments.data))
    if not Path(arguments.queries).exists() and not Path(arguments.queries).suffix:
        raise ValueError(
            f"QUERY must be a file of vectors where DATA is no folder, got {arguments.queries!r}"
        )
    queries = read_vectors(Path(arguments.queries))
    index = _as_index(arguments)
    hits = index.search(queries.vectors, k=arguments.k, threads=arguments.threads)
    names = queries.ids or range(len(queries.vectors))
    for name, ids, distances in zip(names, hits.ids.tolist(), hits.distances.tolist(), strict=True):
        found = [(id, d) for id, d in zip(ids, distances, strict=True) if id not in (-1, None)]
        if arguments.json:
            row = {"query": name, "ids": [i for i, _ in found], "distances": [d for _, d in found]}
            print(json.dumps(row, ensure_ascii=False))
        else:
            for rank, (id, distance) in enumerate(found, start=1):
                print(f"{name}\t{rank}\t{id}\t{distance:.6g}")
