"""What the adapters of nearfield.integrations add to a query.

Each is asked the same single queries as what lies under it, in turn, and the medians are compared:
LangChain, LlamaIndex and Haystack over `Collection.search`, txtai and vicinity over `HNSW.search`.
Libraries that are not installed are left out.

    python benchmarks/integrations.py --folder DIR --prepare   # stores and indexes, once
    python benchmarks/integrations.py --folder DIR
    python benchmarks/integrations.py --beside       # scikit-learn, sentence-transformers

The second table is of what does the work itself: the graph of 10 neighbours of all rows, and 2,000
queries on them, beside what is replaced, with the share of its neighbours that ours found.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def medians(
    calls: dict[str, Callable[[Any], Any]], queries: Any, seconds: float
) -> dict[str, float]:
    """Microseconds a query of each call, which take turns so that all meet the same machine."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for query in queries[:50]:
            call(query)
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        for query in queries:
            for name, call in calls.items():
                started = time.perf_counter()
                call(query)
                times[name].append(time.perf_counter() - started)
    return {name: 1e6 * float(np.median(found)) for name, found in times.items()}


class Known:
    """Embeddings of LangChain's kind that look vectors up: what remains is the store's time."""

    def __init__(self, vectors: Any) -> None:
        self.vectors = vectors

    def embed_documents(self, texts: list[str]) -> Any:
        return self.vectors[[int(text) for text in texts]]

    def embed_query(self, text: str) -> Any:
        return self.vectors[int(text)]


def stores(folder: Path, vectors: Any, k: int) -> dict[str, tuple[Callable, Callable]]:
    """(adapter, what lies under it) by library; both take a vector."""
    ids = [str(i) for i in range(len(vectors))]
    metadata = [{"n": i, "lang": "ko" if i % 2 else "en"} for i in range(len(ids))]
    made: dict[str, tuple[Callable, Callable]] = {}
    try:
        from nearfield.integrations.langchain import NearfieldVectorStore as LangChainStore

        chain = LangChainStore(Known(vectors), folder / "langchain", durability="os")
        if not chain.collection:
            chain.add_texts(ids, metadata, ids=ids)
        chain.collection.catch_up()
        made["langchain"] = (
            lambda q: chain.similarity_search_by_vector(q, k),
            lambda q, docs=chain.collection: docs.search(q, k),
        )
        where = {"lang": "ko"}
        made["langchain, filter"] = (
            lambda q: chain.similarity_search_by_vector(q, k, filter=where),
            lambda q, docs=chain.collection: docs.search(q, k, where=where),
        )
    except ImportError:
        pass
    try:
        from llama_index.core.schema import TextNode
        from llama_index.core.vector_stores.types import VectorStoreQuery

        from nearfield.integrations.llama_index import NearfieldVectorStore as LlamaStore

        llama = LlamaStore(folder / "llama", durability="os")
        if not llama.client:
            llama.add(
                [
                    TextNode(id_=id, text=id, embedding=row.tolist(), metadata=fields)
                    for id, row, fields in zip(ids, vectors, metadata, strict=True)
                ]
            )
        llama.client.catch_up()
        made["llama-index"] = (
            lambda q: llama.query(VectorStoreQuery(query_embedding=q, similarity_top_k=k)),
            lambda q, docs=llama.client: docs.search(q, k),
        )
    except ImportError:
        pass
    try:
        from haystack import Document

        from nearfield.integrations.haystack import NearfieldDocumentStore

        hay = NearfieldDocumentStore(str(folder / "haystack"), embedding_dim=vectors.shape[1])
        if not hay.count_documents():
            hay.write_documents(
                [
                    Document(id=id, content=id, embedding=row.tolist(), meta=fields)
                    for id, row, fields in zip(ids, vectors, metadata, strict=True)
                ]
            )
        under = hay._rows.collection
        under.catch_up()
        made["haystack"] = (
            lambda q: hay.embedding_retrieval(q, top_k=k),
            lambda q: under.search(q, k, partition=1),
        )
    except ImportError:
        pass
    return made | indexes(folder, vectors, k)


def indexes(folder: Path, vectors: Any, k: int) -> dict[str, tuple[Callable, Callable]]:
    """The adapters that are over an index."""
    made: dict[str, tuple[Callable, Callable]] = {}
    try:
        from nearfield.integrations.txtai import NAME, NearfieldANN

        ann = NearfieldANN({"backend": NAME, "dimensions": vectors.shape[1]})
        if (folder / "txtai.nf").exists():
            ann.load(folder / "txtai.nf")
        else:
            ann.index(vectors)
            ann.save(folder / "txtai.nf")
        made["txtai"] = (lambda q: ann.search(q, k), lambda q: ann.backend.search(q, k))
    except ImportError:
        pass
    try:
        from nearfield.integrations import vicinity

        if not (folder / "vicinity").exists():
            vicinity.make(vectors, list(range(len(vectors)))).save(folder / "vicinity")
        found = vicinity.load(folder / "vicinity")
        made["vicinity"] = (
            lambda q: found.query(q, k),
            lambda q: found.backend.index.search(q, k),
        )
    except ImportError:
        pass
    return made


def beside(vectors: Any, k: int = 10) -> list[dict[str, Any]]:
    """Seconds of what is replaced and of ours."""
    rows: list[dict[str, Any]] = []

    def measure(name: str, theirs: Callable[[], Any], ours: Callable[[], Any]) -> None:
        found, seconds = [], []
        for call in (theirs, ours):
            started = time.perf_counter()
            found.append(np.asarray(call()))
            seconds.append(time.perf_counter() - started)
        same = [len(set(a) & set(b)) / len(a) for a, b in zip(*found, strict=True)]
        rows.append({"what": name, "theirs": seconds[0], "ours": seconds[1],
                     "recall": float(np.mean(same))})  # fmt: skip

    try:
        from sklearn.neighbors import NearestNeighbors

        from nearfield.integrations.sklearn import ANNTransformer

        options = {"n_neighbors": k, "metric": "cosine"}
        brute = NearestNeighbors(**options, algorithm="brute", n_jobs=-1)
        for algorithm in ("flat", "hnsw"):
            ann = ANNTransformer(**options, algorithm=algorithm)
            measure(
                f"sklearn graph, {algorithm}",
                lambda: brute.fit(vectors).kneighbors(return_distance=False),
                lambda ann=ann: ann.fit(vectors).kneighbors(return_distance=False),
            )
    except ImportError:
        pass
    try:
        import torch
        from sentence_transformers.util import semantic_search as theirs

        from nearfield.integrations.sentence_transformers import semantic_search

        corpus = torch.from_numpy(vectors)
        measure(
            "semantic_search",
            lambda: [[h["corpus_id"] for h in row] for row in theirs(corpus[:2000], corpus)],
            lambda: [
                [h["corpus_id"] for h in row] for row in semantic_search(corpus[:2000], corpus)
            ],
        )
    except ImportError:
        pass
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keeps stores and indexes")
    parser.add_argument("--beside", action="store_true", help="the second table")
    parser.add_argument("--prepare", action="store_true", help="make them and measure nothing")
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--k", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4.0, help="a library")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    topics = rng.standard_normal((200, options.dim), dtype=np.float32)
    noise = rng.standard_normal((options.n, options.dim), dtype=np.float32)
    vectors = topics[rng.integers(0, 200, options.n)] + 0.5 * noise
    queries = vectors[:200] + 0.1 * rng.standard_normal((200, options.dim), dtype=np.float32)
    if options.beside:
        for row in beside(vectors):
            print(
                "{what:<24} theirs {theirs:6.2f} s  ours {ours:6.2f} s  recall {recall:.4f}".format(
                    **row
                )
            )
        return
    if options.folder is None:
        parser.error("--folder must be given")
    options.folder.mkdir(parents=True, exist_ok=True)
    made = stores(options.folder, vectors, options.k)
    if options.prepare:
        return
    rows = []
    for name, (adapter, under) in made.items():
        found = medians({"adapter": adapter, "under": under}, queries, options.seconds)
        rows.append({"library": name, **found, "added": found["adapter"] - found["under"]})
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"n={options.n} dim={options.dim} k={options.k}, one query at a time, medians in us")
    print(f"{'library':<20}{'adapter':>10}{'under it':>10}{'added':>10}")
    for row in rows:
        print(
            f"{row['library']:<20}{row['adapter']:>10.1f}{row['under']:>10.1f}{row['added']:>10.1f}"
        )


if __name__ == "__main__":
    main()
