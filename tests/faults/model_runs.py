"""Random operations on a collection, each compared with a dict and exact search.

    python model_runs.py --operations 200000 --restarts 400

A restart closes the collection and opens it, or goes on with a copy of its files as they lie on the
disk that moment, which is what a killed process leaves.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import nearfield as nf

DIMS = {"flat": 8, "hnsw": 64}  # from 48 on a tail is searched by signs first
IDS = 1000
LANGUAGES = ("ko", "en", "ja")


class Model:
    """A collection's twin in plain Python. Small integers keep every distance exact."""

    def __init__(self, names, dim):
        self.names = names
        self.place = {name: i for i, name in enumerate(names)}
        self.vectors = np.zeros((len(names), dim), np.float32)
        self.live = np.zeros(len(names), bool)
        self.rows = {}

    def put(self, name, vector, text, metadata):
        at = self.place[name]
        self.vectors[at], self.live[at] = vector, True
        self.rows[name] = (text, metadata)

    def drop(self, name):
        self.live[self.place[name]] = False
        del self.rows[name]

    def allowed(self, where):
        out = self.live.copy()
        if where:
            for name, (_, metadata) in self.rows.items():
                out[self.place[name]] = (
                    metadata.get("lang") == where["lang"]
                    and "year" in metadata
                    and metadata["year"] >= where["year"][">="]
                )
        return out

    def distances(self, query, k, where):
        far = ((self.vectors[self.allowed(where)] - query) ** 2).sum(axis=1)
        return np.sort(far)[:k]


class Run:
    """One sequence of operations, with counts of what was done and found wrong."""

    def __init__(self, scratch, seed, kind):
        self.rng = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.scratch, self.kind = scratch, kind
        self.folder = scratch / f"docs-{seed}-0"
        names = [f"doc-{i}" for i in range(IDS)] if seed % 2 else list(range(IDS))
        self.dim = DIMS[kind]
        self.model = Model(names, self.dim)
        self.docs = self.open()
        self.done = {"restarts": 0}
        self.found = self.wanted = 0

    def open(self):
        return nf.Collection(
            self.folder, dim=self.dim, metric="l2", index=self.kind, fields=["lang"],
            seal_rows=self.rng.choice([64, 200, 1000]), threads=1,
            cache_bytes=self.rng.choice([0, 20_000, 1 << 20]),
        )  # fmt: skip

    def vectors(self, n):
        return self.numbers.integers(-8, 9, (n, self.dim)).astype(np.float32)

    def rows(self, names):
        vectors = self.vectors(len(names))
        texts = [f"text {self.rng.random()}" for _ in names]
        metadata = [
            {"lang": self.rng.choice(LANGUAGES), "year": self.rng.randrange(2000, 2026)}
            if self.rng.random() < 0.9
            else {}
            for _ in names
        ]
        return {"vectors": vectors, "texts": texts, "metadata": metadata}

    def pick(self):
        return self.rng.sample(self.model.names, self.rng.choice([1, 1, 2, 5, 30]))

    def upsert(self):
        names = self.pick()
        rows = self.rows(names)
        self.docs.upsert(names, **rows)
        self.store(names, rows)

    def store(self, names, rows):
        for i, name in enumerate(names):
            self.model.put(name, rows["vectors"][i], rows["texts"][i], rows["metadata"][i])

    def add(self):
        names = self.pick()
        rows = self.rows(names)
        held = [name for name in names if name in self.model.rows]
        try:
            self.docs.add(names, **rows)
        except ValueError as error:
            assert held, error
            assert repr(held[0]) in str(error), (held, error)
        else:
            assert not held, held
            self.store(names, rows)

    def delete(self):
        names = self.pick()
        gone = self.docs.delete(names, missing="ignore")
        held = [name for name in names if name in self.model.rows]
        assert gone == len(held), (gone, held)
        for name in held:
            self.model.drop(name)

    def get(self):
        name = self.rng.choice(self.model.names)
        if name not in self.model.rows:
            assert name not in self.docs
            return
        item = self.docs.get(name)
        assert (item.text, item.metadata) == self.model.rows[name], name
        np.testing.assert_array_equal(item.vector, self.model.vectors[self.model.place[name]])

    def search(self):
        where = None
        if self.rng.random() < 0.5:
            year = {">=": self.rng.randrange(2000, 2026)}
            where = {"lang": self.rng.choice(LANGUAGES), "year": year}
        query, k = self.vectors(1)[0], self.rng.choice([1, 10, 10, 50])
        hits = self.docs.search(query, k=k, where=where)
        right = self.model.distances(query, k, where)
        allowed = self.model.allowed(where)
        assert len(hits) == len(right), (len(hits), len(right))
        assert len({hit.id for hit in hits}) == len(hits), "an id came twice"
        for hit in hits:
            place = self.model.place[hit.id]
            assert allowed[place], f"{hit.id} may not be a result"
            assert hit.distance == ((self.model.vectors[place] - query) ** 2).sum(), hit.id
            assert (hit.text, hit.metadata) == self.model.rows[hit.id], hit.id
        near = sum(hit.distance <= right[-1] for hit in hits)
        assert self.kind != "flat" or near == len(right), "exact search is not exact"
        self.found += near
        self.wanted += len(right)

    def count(self):
        assert len(self.docs) == len(self.model.rows)
        where = {"lang": "ko", "year": {">=": 2010}}
        assert self.docs.count(where) == self.model.allowed(where).sum()

    def restart(self):
        self.done["restarts"] += 1
        if self.rng.random() < 0.5:
            self.docs.close()
        else:  # while a build may be under way
            copy = self.scratch / f"{self.folder.name.rsplit('-', 1)[0]}-{self.done['restarts']}"
            with self.docs._open.store.writing:  # files cannot be copied all at one moment
                shutil.copytree(self.folder, copy, ignore=shutil.ignore_patterns("*.tmp-*"))
            self.docs.close()
            shutil.rmtree(self.folder)
            self.folder = copy
        self.docs = self.open()
        check = self.docs.check(deep=True)
        assert check.ok, check.findings
        assert {item.id for item in self.docs} == set(self.model.rows)

    def step(self):
        kind = self.rng.random()
        for name, share in (
            ("upsert", 0.3), ("add", 0.42), ("delete", 0.55), ("get", 0.65), ("search", 0.97),
            ("count", 0.999), ("compact", 0.9995), ("snapshot", 1.0),
        ):  # fmt: skip
            if kind < share:
                work = getattr(self, name, None) or getattr(self.docs, name)
                work()
                self.done[name] = self.done.get(name, 0) + 1
                return


def run(operations, restarts, seed, kind):
    """Do so many operations; gives the counts, or raises AssertionError at the first fault."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as scratch:
        this = Run(Path(scratch), seed, kind)
        try:
            every = max(1, operations // max(1, restarts))
            for i in range(operations):
                this.step()
                if i % every == every - 1:
                    this.restart()
        finally:
            this.docs.close()
    return dict(this.done, recall=round(this.found / max(1, this.wanted), 4))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.monotonic()
    half = options.operations // 2, options.restarts // 2
    result = {
        "flat": run(*half, 2 * options.seed, "flat"),
        "hnsw": run(*half, 2 * options.seed + 1, "hnsw"),
        "operations": 2 * half[0],
        "seconds": 0.0,
    }
    result["seconds"] = round(time.monotonic() - started, 1)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
