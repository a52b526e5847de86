"""An index of known recall: the chance to find a neighbour grows with ef_search."""

import numpy as np

import nearfield as nf


class Graded(nf.Flat):
    """Exact, but forgets a neighbour of a query with probability `hardness / ef_search`."""

    def __init__(self, dim, metric="cosine", hardness=1.0):
        super().__init__(dim, metric)
        self.ef_search = 64
        self.hardness = hardness
        self._params = {"dim": dim, "metric": metric, "hardness": hardness}

    def search(self, queries, k=10, *, ef_search=None, filter=None, threads=0):
        ef_search = ef_search or self.ef_search
        assert ef_search >= k
        hits = super().search(queries, k, filter=filter, threads=threads)
        ids = hits.ids.copy()
        for query, row in zip(np.atleast_2d(queries), np.atleast_2d(ids), strict=True):
            draws = np.random.default_rng(abs(hash(query.tobytes()))).random(k)
            row[draws < self.hardness / ef_search] = -1
        return nf.Neighbors(ids, hits.distances)

    def count_work(self, queries, k=10, *, ef_search=None, filter=None):
        return super().count_work(queries, k, filter=filter)
