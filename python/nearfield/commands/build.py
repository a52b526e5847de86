"""`nearfield build`: from vectors to an index file, or from texts to a collection."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nearfield.commands.paths import check_output
from nearfield.commands.text import add_chunk, add_model, build_collection

if TYPE_CHECKING:
    from nearfield.commands import Subparsers

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    from nearfield.kinds import available

    parser = subparsers.add_parser(
        "build",
        help="index a file's vectors and save the index",
        description="Index the vectors of DATA and save the index to OUT. Without --kind the kind "
        "and its settings are chosen on held-out vectors, for --recall. With --text, split the "
        "texts of DATA into passages, embed them and keep them and their index in the folder OUT.",
    )
    parser.add_argument(
        "--text", action="store_true",
        help="DATA is a folder of .txt, .md and .html files, one such file, or .jsonl with texts",
    )  # fmt: skip
    parser.add_argument(
        "data", type=Path, metavar="DATA",
        help=".npy, .fvecs, .bvecs, .jsonl, .safetensors, .parquet or .arrow file",
    )  # fmt: skip
    parser.add_argument("out", type=Path, metavar="OUT", help="index file to write, .nf, or folder")
    parser.add_argument("--kind", choices=available(), help="(default: chosen)")
    parser.add_argument(
        "--metric", choices=("cosine", "dot", "l2"), default="cosine", help="(default: cosine)"
    )
    parser.add_argument(
        "--recall", type=float, default=0.95, help="mean recall@10 to choose for (default: 0.95)"
    )
    parser.add_argument("--threads", type=int, default=0, help="0, the default, means all")
    text = parser.add_argument_group("with --text")
    add_model(text)
    add_chunk(text, 200)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    if arguments.text:
        build_collection(arguments)
    else:
        _build_index(arguments)


def _build_index(arguments: argparse.Namespace) -> None:
    if arguments.data.is_dir():
        raise ValueError(f"DATA must be a file, or a folder with --text, got {arguments.data}")
    check_output(arguments.out, "OUT", (".nf",))
    from nearfield.commands.evaluation import index_of
    from nearfield.evaluate import build
    from nearfield.formats import read_vectors

    data = read_vectors(arguments.data)
    if arguments.kind is None:
        index = build(
            data.vectors, metric=arguments.metric, recall=arguments.recall, ids=data.ids,
            threads=arguments.threads,
        )  # fmt: skip
        print(index.choice, file=sys.stderr)
    else:
        index = index_of(data, arguments.kind, arguments.metric, arguments.threads)
    index.save(arguments.out)
    print(f"wrote {arguments.out}: {index!r}", file=sys.stderr)
