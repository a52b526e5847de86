"""faiss's constants and the kinds of numbers they stand for."""

from __future__ import annotations

__all__ = [
    "IO_FLAG_MMAP",
    "IO_FLAG_ONDISK_SAME_DIR",
    "IO_FLAG_READ_ONLY",
    "IO_FLAG_SKIP_PRECOMPUTE_TABLE",
    "IO_FLAG_SKIP_STORAGE",
    "METRIC_GOWER",
    "METRIC_INNER_PRODUCT",
    "METRIC_L1",
    "METRIC_L2",
    "METRIC_BrayCurtis",
    "METRIC_Canberra",
    "METRIC_Jaccard",
    "METRIC_JensenShannon",
    "METRIC_Linf",
    "METRIC_Lp",
    "METRIC_NaNEuclidean",
    "native_metric",
]

METRIC_INNER_PRODUCT = 0
METRIC_L2 = 1
METRIC_L1 = 2
METRIC_Linf = 3
METRIC_Lp = 4
METRIC_Canberra = 20
METRIC_BrayCurtis = 21
METRIC_JensenShannon = 22
METRIC_Jaccard = 23
METRIC_NaNEuclidean = 24
METRIC_GOWER = 25

IO_FLAG_SKIP_STORAGE = 1
IO_FLAG_READ_ONLY = 2
IO_FLAG_ONDISK_SAME_DIR = 4
IO_FLAG_MMAP = 0x646F0000 | 8
IO_FLAG_SKIP_PRECOMPUTE_TABLE = 16

_NATIVE = {METRIC_INNER_PRODUCT: "dot", METRIC_L2: "l2"}


def native_metric(metric: int) -> str:
    """Our name of a metric. NotImplementedError for those that only faiss has."""
    if metric not in _NATIVE:
        raise NotImplementedError(
            "metric must be METRIC_L2 or METRIC_INNER_PRODUCT in nearfield's faiss layer, "
            f"got {metric!r}"
        )
    return _NATIVE[metric]
