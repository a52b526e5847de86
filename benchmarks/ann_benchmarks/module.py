"""nearfield for ann-benchmarks: copy this folder to ``ann_benchmarks/algorithms/nearfield``."""

import numpy as np

import nearfield as nf

from ..base.module import BaseANN

METRICS = {"angular": "cosine", "euclidean": "l2", "ip": "dot"}


class _Nearfield(BaseANN):
    def __init__(self, metric, name):
        self.metric = METRICS[metric]
        self.name = name
        self.options = {}

    def fit(self, X):
        vectors = np.ascontiguousarray(X, dtype=np.float32)
        self.index = self.make(vectors.shape[1])
        self.index.add(vectors)

    def query(self, v, n):
        return self.index.search(v, k=n, threads=1, **self.options).ids

    def batch_query(self, X, n):
        self.res = self.index.search(X, k=n, **self.options).ids

    def get_batch_results(self):
        return self.res


class NearfieldHNSW(_Nearfield):
    def __init__(self, metric, M, bits, ef_construction):
        super().__init__(metric, f"nearfield-hnsw(M={M}, bits={bits})")
        self.build = {"M": M, "bits": bits, "ef_construction": ef_construction}

    def make(self, dim):
        return nf.HNSW(dim=dim, metric=self.metric, **self.build)

    def set_query_arguments(self, ef_search):
        self.options = {"ef_search": ef_search}
        self.name = f"{self.name.partition(' ef=')[0]} ef={ef_search}"


class NearfieldFlat(_Nearfield):
    def __init__(self, metric):
        super().__init__(metric, "nearfield-flat")

    def make(self, dim):
        return nf.Flat(dim=dim, metric=self.metric)
