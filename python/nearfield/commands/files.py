"""`nearfield info`, `nearfield verify` and `nearfield convert`: index files and vector files."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield.commands.paths import check_collection

if TYPE_CHECKING:
    from nearfield.commands import Subparsers
    from nearfield.persistence import FileInfo

__all__ = ["add_parser"]

_FOREIGN = {".hnswlib": "hnswlib", ".faiss": "faiss", ".index": "faiss"}


def add_parser(subparsers: Subparsers) -> None:
    """Add the three commands to the parser."""
    parser = subparsers.add_parser(
        "info",
        help="tell what an index file holds",
        description="Tell what an index file says about itself: kind, parameters, sections. The "
        "vectors are not read.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help=".nf file")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=_info)
    parser = subparsers.add_parser(
        "verify",
        help="check index files and collections through and through",
        description="Check every checksum, number and link of index files; of collections every "
        "page, row and index. Exit code 1 if any is damaged; the section and offset, or the row, "
        "are named.",
    )
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help=".nf files and folders of collections"
    )
    parser.add_argument("--threads", type=int, default=0, help="0, the default, means all")
    parser.set_defaults(run=_verify)
    parser = subparsers.add_parser(
        "convert",
        help="turn vectors and indexes of other programs into ours, and back",
        description="Read vectors (.npy, .fvecs, .bvecs, .jsonl, .safetensors, .parquet, .arrow, "
        ".nf) or an index of hnswlib or faiss (--from), and write vectors by the suffix of OUT, or "
        "an index where it is .nf. Graphs are built anew.",
    )
    parser.add_argument("source", type=Path, metavar="IN")
    parser.add_argument("target", type=Path, metavar="OUT")
    parser.add_argument(
        "--from", dest="program", choices=("hnswlib", "faiss"),
        help="program that wrote IN (default: by suffix .hnswlib, .faiss or .index)",
    )  # fmt: skip
    parser.add_argument(
        "--metric", choices=("cosine", "dot", "l2"),
        help="(default: the file's own; cosine for vectors; hnswlib's files do not say theirs)",
    )  # fmt: skip
    parser.add_argument("--kind", choices=("flat", "hnsw"), help="of the index to write")
    parser.add_argument(
        "--no-ids", action="store_true", help="leave ids out, where OUT has no place for them"
    )
    parser.set_defaults(run=_convert)


def _info(arguments: argparse.Namespace) -> None:
    from nearfield.persistence import file_info

    if arguments.file.is_dir():
        raise ValueError(
            f"FILE must be an index file, got the folder {arguments.file}; "
            "`nearfield verify` checks collections"
        )
    info = file_info(arguments.file)
    if arguments.json:
        facts = info._asdict() | {
            "path": str(info.path),
            "sections": [section._asdict() for section in info.sections],
        }
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        print(_table(info))


def _table(info: FileInfo) -> str:
    lines = [
        f"{info.path}: {info.kind}, {info.file_bytes:,} bytes, format {info.version}, "
        f"written by {info.writer}",
        *(f"  {name:<24} {value}" for name, value in info.fields.items()),
        f"  {'section':<24} {'elements':>14}  {'type':<9} {'offset':>14} {'bytes':>16}",
    ]
    lines += [
        f"  {s.name:<24} {s.elements:>14,}  {s.dtype:<9} {s.offset:>14,} {s.bytes:>16,}"
        for s in info.sections
    ]
    return "\n".join(lines)


def _verify(arguments: argparse.Namespace) -> None:
    from nearfield.persistence import verify

    damaged = 0
    for path in arguments.files:
        try:
            if path.is_dir():
                facts = _verify_collection(path)
            else:
                info = verify(path, threads=arguments.threads)
                held = info.fields["vectors"]
                facts = f"{info.kind}, {held:,} vectors, {info.file_bytes:,} bytes"
        except (ValueError, OSError, RuntimeError) as error:
            damaged += 1
            print(f"BAD {error}", flush=True)
        else:
            print(f"ok  {path}: {facts}", flush=True)
    if damaged:
        raise ValueError(f"{damaged} of {len(arguments.files)} did not pass")


def _verify_collection(folder: Path) -> str:
    """What it holds. Raises ValueError, or what opening raises, for any damage."""
    from nearfield.collection import Collection

    check_collection(folder, "FILE")
    with warnings.catch_warnings(record=True) as noted:  # of index files that were left aside
        warnings.simplefilter("always")
        with Collection(folder) as docs:
            found = docs.check(deep=True)
    faults = [*(str(warning.message) for warning in noted), *found.findings]
    if faults:
        raise ValueError(f"{folder}: {'; '.join(faults)}")
    return f"collection, {found.rows:,} rows"


def _convert(arguments: argparse.Namespace) -> None:
    from nearfield.formats import write_vectors

    program = arguments.program or _FOREIGN.get(arguments.source.suffix)
    if arguments.target.suffix == ".nf":
        index = _as_index(arguments, program)
        index.save(arguments.target)
        print(f"wrote {arguments.target}: {index!r}", file=sys.stderr)
        return
    if program is None:
        from nearfield.formats import read_vectors

        vectors, ids = read_vectors(arguments.source)
    else:
        index = _as_index(arguments, program)
        ids = index.ids
        vectors = index.get(ids)
    bare = arguments.target.suffix in (".npy", ".fvecs", ".bvecs")
    if ids is not None and bare and not arguments.no_ids:
        if list(ids) != list(range(len(vectors))):
            suffix = arguments.target.suffix
            raise ValueError(f"--no-ids must be given for {suffix}, which has no place for ids")
        ids = None  # they are the numbers of the rows
    write_vectors(arguments.target, vectors, None if arguments.no_ids else ids)
    print(f"wrote {arguments.target}: {vectors.shape[0]:,} x {vectors.shape[1]}", file=sys.stderr)


def _as_index(arguments: argparse.Namespace, program: str | None) -> Any:
    from nearfield.formats import read_faiss, read_hnswlib, read_vectors
    from nearfield.kinds import make

    if program == "hnswlib":
        if arguments.metric is None:
            raise ValueError("metric must be given for a file of hnswlib, got none")
        if arguments.kind == "flat":
            raise ValueError("kind must be hnsw for a file of hnswlib, got flat")
        return read_hnswlib(arguments.source, arguments.metric)
    if program == "faiss":
        return read_faiss(arguments.source, metric=arguments.metric, kind=arguments.kind)
    vectors, ids = read_vectors(arguments.source)
    index = make(arguments.kind or "flat", vectors.shape[1], metric=arguments.metric or "cosine")
    index.add(vectors, ids=ids)
    return index
