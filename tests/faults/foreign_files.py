"""Files of hnswlib, faiss and usearch with changed bytes, through the compat layers.

    python tests/faults/foreign_files.py --count 10000 --seed 1

A changed file is refused with a RuntimeError (a CorruptIndex where its structure is hurt), or read
and searched; anything else is a find.
"""

from __future__ import annotations

import argparse
import collections
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nearfield.compat import faiss, hnswlib, usearch

FACTORIES = [
    "Flat", "SQ8", "SQ4", "HNSW8", "IVF4,Flat", "IVF4,SQ8", "IVF4,PQ4x4", "PQ4x4", "PCA4,Flat",
    "IDMap2,IVF4,Flat", "Flat,RFlat", "OPQ4_8,IVF4,PQ4x4",
]  # fmt: skip
NUMBERS = [
    b"\xff" * 8, b"\0" * 8, (1 << 62).to_bytes(8, "little"), b"\xff\xff\xff\x7f\0\0\0\0",
    (1 << 31).to_bytes(8, "little"), b"\x01" + b"\0" * 7,
]  # fmt: skip
DIM = 8


def whole_files(folder: Path, rows: np.ndarray) -> dict[str, bytes]:
    """One file of each kind."""
    files = {}
    for factory in FACTORIES:
        index = faiss.index_factory(DIM, factory)
        index.train(rows)
        if factory.startswith("IDMap"):
            index.add_with_ids(rows, np.arange(len(rows)))
        else:
            index.add(rows)
        files[factory] = faiss.serialize_index(index).tobytes()
    one = usearch.Index(ndim=DIM, metric="l2sq", dtype="f32")
    one.add(None, rows)
    files["usearch"] = one.save()
    for name, made in (("hnswlib", hnswlib.Index("l2", DIM)), ("bf", hnswlib.BFIndex("l2", DIM))):
        made.init_index(len(rows) + 20)
        made.add_items(rows)
        made.save_index(folder / name)
        files[name] = (folder / name).read_bytes()
    return files


def use(name: str, data: bytes, folder: Path) -> None:
    """Read a file and search it."""
    query = np.ones((2, DIM), np.float32)
    if name == "usearch":
        found = usearch.Index.restore(data)
        if len(found) and found.ndim == DIM and found.dtype is not usearch.ScalarKind.B1:
            found.search(query, 3)
    elif name in ("hnswlib", "bf"):
        (folder / "changed").write_bytes(data)
        index: Any = (hnswlib.Index if name == "hnswlib" else hnswlib.BFIndex)("l2", DIM)
        index.load_index(folder / "changed")
        index.knn_query(query, 3)
    else:
        index = faiss.deserialize_index(np.frombuffer(data, np.uint8))
        if index.is_trained:
            index.search(np.ones((2, index.d), np.float32), 3)


def changed(data: bytes, rng: np.random.Generator) -> bytes:
    """The file with one or two numbers changed, often near its head."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 3)):
        last = min(len(out) - 8, 400) if rng.random() < 0.6 else len(out) - 8
        at, width = int(rng.integers(0, last)), int(rng.integers(1, 9))
        number = NUMBERS[rng.integers(len(NUMBERS))] if rng.random() < 0.6 else rng.bytes(8)
        out[at : at + width] = number[:width]
    return bytes(out)


def run(count: int, seed: int, report: Callable[[str], None] = print) -> None:
    """Change `count` files; what is neither refused nor harmless is raised."""
    rng = np.random.default_rng(seed)
    outcomes: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = whole_files(folder, rng.standard_normal((300, DIM), dtype=np.float32))
        for _ in range(count):
            kind = list(files)[rng.integers(len(files))]
            data = changed(files[kind], rng)
            try:
                use(kind, data, folder)
                outcomes["harmless"] += 1
            except RuntimeError as error:
                outcomes[type(error).__name__] += 1
            except Exception as error:
                raise AssertionError(f"seed {seed}, {kind}: {error!r}") from error
    report(f"{count:,} files: {dict(outcomes)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    run(given.count, given.seed)
