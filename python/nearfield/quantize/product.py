"""Product quantization."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield import _core
from nearfield.progress import Progress, reporting
from nearfield.quantize.packing import (
    Codes,
    as_codes,
    as_query,
    as_rows,
    check_metric,
    pack,
    require,
    unpack,
)
from nearfield.scalars import as_int

__all__ = ["ProductQuantizer"]


class ProductQuantizer:
    """A vector as one of 2**bits learned centroids in each of pq_m groups of dimensions.

    Parameters
    ----------
    dim : int
    pq_m : int, a divisor of dim
        Groups; a code takes pq_m * bits / 8 bytes.
    bits : {4, 8}, default 8
    opq : bool, default False
        Learn a rotation as well, so that the groups suit the data (OPQ).
    parallel_weight : float, at least 1, default 1
        How much more errors along a vector count than those across it; above 1 inner products of
        near vectors come out better (anisotropic loss).
    seed : int, default 0
        The same data, parameters and seed give the same codes, whatever the number of threads.

    References
    ----------
    .. [1] Jegou, Douze & Schmid, PAMI 2011. [2] Ge, He, Ke & Sun, OPQ, CVPR 2013. [3] Guo et al.,
       Accelerating large-scale inference with anisotropic vector quantization, ICML 2020.
    """

    def __init__(
        self,
        dim: int,
        pq_m: int,
        bits: int = 8,
        *,
        opq: bool = False,
        parallel_weight: float = 1.0,
        seed: int = 0,
    ) -> None:
        for name, value in (("dim", dim), ("pq_m", pq_m), ("bits", bits)):
            as_int(value, name)
        as_int(seed, "seed", 0, 2**64 - 1)
        self._params = (dim, pq_m, bits, parallel_weight, seed)
        self._core = _core.ProductQuantizer(*self._params)
        self.dim, self.pq_m, self.bits, self.opq, self.seed = dim, pq_m, bits, opq, seed
        self._rotation: NDArray[np.float32] | None = None

    @property
    def trained(self) -> bool:
        """Whether `train` has been called."""
        return self._core.trained

    @property
    def code_size(self) -> int:
        """Bytes of a code."""
        return -(-self.pq_m * self.bits // 8)

    @property
    def codebooks(self) -> NDArray[np.float32]:
        """Centroids, (pq_m, 2**bits, dim / pq_m)."""
        require(self.trained)
        return self._core.codebooks()

    @property
    def rotation(self) -> NDArray[np.float32] | None:
        """The learned rotation, (dim, dim), or None."""
        return self._rotation

    def train(self, vectors: ArrayLike, *, threads: int = 0, progress: Progress = False) -> None:
        """Learn from vectors (n, dim), n >= 2**bits."""
        rows = as_rows(vectors, self.dim)
        rotation = None
        if self.opq:
            rotation = _core.product_rotation(rows, self.pq_m, self.bits, self.seed, threads)
            rows = np.ascontiguousarray(rows @ rotation.T)
        with reporting(progress, "train", "groups") as report:
            self._core.train(rows, threads, report)
        self._rotation = rotation

    def encode(self, vectors: ArrayLike, *, threads: int = 0) -> Codes:
        """Give the codes, (n, code_size) uint8, of vectors (n, dim)."""
        require(self.trained)
        return pack(self._core.encode(self._turned(as_rows(vectors, self.dim)), threads), self.bits)

    def decode(self, codes: Any, *, threads: int = 0) -> NDArray[np.float32]:
        """Give the vectors, (n, dim), that codes stand for."""
        require(self.trained)
        rows = self._core.decode(self._groups(codes), threads)
        return rows if self._rotation is None else rows @ self._rotation

    def distance_table(self, query: ArrayLike, metric: str = "l2") -> NDArray[np.float32]:
        """Give what each group adds to a distance, (pq_m, 2**bits).

        Parameters
        ----------
        query : array_like, shape (dim,)
        metric : {"l2", "dot"}
            Squared Euclidean distance, or minus the dot product.
        """
        require(self.trained)
        check_metric(metric)
        row = self._turned(as_query(query, self.dim)[None])[0]
        table = self._core.table(row, metric == "l2")
        return table if metric == "l2" else -table

    def distances(self, table: NDArray[np.float32], codes: Any) -> NDArray[np.float32]:
        """Estimate the distances to codes (n, code_size), from a distance table."""
        picked = table[np.arange(self.pq_m), self._groups(codes)]
        return picked.sum(axis=1, dtype=np.float32)  # type: ignore[no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_core": self._core.codebooks() if self.trained else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._core = _core.ProductQuantizer(*self._params)
        if state["_core"] is not None:
            self._core.restore(state["_core"])

    def _turned(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._rotation is None:
            return rows
        return np.ascontiguousarray(rows @ self._rotation.T)

    def _groups(self, codes: Any) -> Codes:
        return unpack(as_codes(codes, self.code_size), self.pq_m, self.bits)
