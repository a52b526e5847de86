"""What dependants use of faiss's Python interface (1.15), on nearfield's indexes.

>>> from nearfield.compat import faiss

or, for code that says ``import faiss`` itself,

>>> import nearfield.compat.faiss
>>> nearfield.compat.faiss.install()  # doctest: +SKIP

Names, arguments, results and exceptions are faiss's, and so are the files, both ways: graphs are
written with our links, inverted lists with their centroids, product codes with their codebooks. A
name that is not here raises AttributeError with the list of those that are. It differs in that

- NaN and infinity are refused (RuntimeError), and ids of an index that keeps ids must be distinct;
- `IndexIVF*` opens more than nprobe lists where these hold fewer than k vectors; a selector never
  starves a graph or lists;
- `IndexHNSW*` ranks by the vectors what it finds by 4-bit codes; a graph from a file is built anew;
- `IndexIVFFlat` ranks by 8-bit codes, then by the vectors: it may miss a neighbor in ten thousand;
- `IndexIVFPQ` and `IndexPQ` take 4 or 8 bits; distances are estimates as there, rounded a little
  more (about 1e-3 of them);
- scalar-quantized indexes keep decoded values: faiss's answers, more memory;
- k-means, PCA signs, OPQ and random rotations find other, equally good numbers;
- there is no OpenMP: `omp_set_num_threads` sets the threads of nearfield's pool.
"""

import sys
from typing import Any

from nearfield.compat.faiss import names
from nearfield.compat.faiss.binary import IndexBinary, IndexBinaryFlat
from nearfield.compat.faiss.factory import index_binary_factory, index_factory
from nearfield.compat.faiss.flat import IndexFlat, IndexFlatIP, IndexFlatL2, IndexScalarQuantizer
from nearfield.compat.faiss.functions import (
    clone_index,
    downcast_index,
    downcast_VectorTransform,
    eval_intersection,
    extract_index_ivf,
    get_compile_options,
    get_num_gpus,
    kmax,
    kmin,
    knn,
    normalize_L2,
    omp_get_max_threads,
    omp_set_num_threads,
    pairwise_distances,
    rand,
    randn,
    try_extract_index_ivf,
    vector_to_array,
)
from nearfield.compat.faiss.graph import IndexHNSW, IndexHNSWFlat, IndexHNSWSQ
from nearfield.compat.faiss.index import Index
from nearfield.compat.faiss.kmeans import ClusteringParameters, Kmeans
from nearfield.compat.faiss.lists import (
    IndexIVF,
    IndexIVFFlat,
    IndexIVFPQ,
    IndexIVFScalarQuantizer,
    IndexPQ,
)
from nearfield.compat.faiss.names import *  # noqa: F403 (METRIC_* and IO_FLAG_*)
from nearfield.compat.faiss.parameters import (
    IndexRefineSearchParameters,
    IVFPQSearchParameters,
    IVFSearchParameters,
    SearchParameters,
    SearchParametersHNSW,
    SearchParametersIVF,
    SearchParametersPQ,
    SearchParametersPreTransform,
)
from nearfield.compat.faiss.reading import (
    deserialize_index,
    deserialize_index_binary,
    read_index,
    read_index_binary,
)
from nearfield.compat.faiss.scalar import ScalarQuantizer
from nearfield.compat.faiss.selectors import (
    IDSelector,
    IDSelectorAll,
    IDSelectorAnd,
    IDSelectorArray,
    IDSelectorBatch,
    IDSelectorBitmap,
    IDSelectorNot,
    IDSelectorOr,
    IDSelectorRange,
    IDSelectorXOr,
)
from nearfield.compat.faiss.space import ParameterSpace
from nearfield.compat.faiss.streams import (
    BufferedIOReader,
    BufferedIOWriter,
    IOReader,
    IOWriter,
    PyCallbackIOReader,
    PyCallbackIOWriter,
    VectorIOReader,
    VectorIOWriter,
)
from nearfield.compat.faiss.transforms import (
    CenteringTransform,
    LinearTransform,
    NormalizationTransform,
    OPQMatrix,
    PCAMatrix,
    RandomRotationMatrix,
    VectorTransform,
)
from nearfield.compat.faiss.wrappers import (
    IndexIDMap,
    IndexIDMap2,
    IndexPreTransform,
    IndexRefine,
    IndexRefineFlat,
)
from nearfield.compat.faiss.writing import (
    serialize_index,
    serialize_index_binary,
    write_index,
    write_index_binary,
)

__all__ = [
    "BufferedIOReader",
    "BufferedIOWriter",
    "CenteringTransform",
    "ClusteringParameters",
    "IDSelector",
    "IDSelectorAll",
    "IDSelectorAnd",
    "IDSelectorArray",
    "IDSelectorBatch",
    "IDSelectorBitmap",
    "IDSelectorNot",
    "IDSelectorOr",
    "IDSelectorRange",
    "IDSelectorXOr",
    "IOReader",
    "IOWriter",
    "IVFPQSearchParameters",
    "IVFSearchParameters",
    "Index",
    "IndexBinary",
    "IndexBinaryFlat",
    "IndexFlat",
    "IndexFlatIP",
    "IndexFlatL2",
    "IndexHNSW",
    "IndexHNSWFlat",
    "IndexHNSWSQ",
    "IndexIDMap",
    "IndexIDMap2",
    "IndexIVF",
    "IndexIVFFlat",
    "IndexIVFPQ",
    "IndexIVFScalarQuantizer",
    "IndexPQ",
    "IndexPreTransform",
    "IndexRefine",
    "IndexRefineFlat",
    "IndexRefineSearchParameters",
    "IndexScalarQuantizer",
    "Kmeans",
    "LinearTransform",
    "NormalizationTransform",
    "OPQMatrix",
    "PCAMatrix",
    "ParameterSpace",
    "PyCallbackIOReader",
    "PyCallbackIOWriter",
    "RandomRotationMatrix",
    "ScalarQuantizer",
    "SearchParameters",
    "SearchParametersHNSW",
    "SearchParametersIVF",
    "SearchParametersPQ",
    "SearchParametersPreTransform",
    "VectorIOReader",
    "VectorIOWriter",
    "VectorTransform",
    "clone_index",
    "deserialize_index",
    "deserialize_index_binary",
    "downcast_VectorTransform",
    "downcast_index",
    "eval_intersection",
    "extract_index_ivf",
    "get_compile_options",
    "get_num_gpus",
    "index_binary_factory",
    "index_factory",
    "install",
    "kmax",
    "kmin",
    "knn",
    "normalize_L2",
    "omp_get_max_threads",
    "omp_set_num_threads",
    "pairwise_distances",
    "rand",
    "randn",
    "read_index",
    "read_index_binary",
    "serialize_index",
    "serialize_index_binary",
    "try_extract_index_ivf",
    "vector_to_array",
    "write_index",
    "write_index_binary",
]
__all__ += [name for name in names.__all__ if name.isupper() or name[:7] == "METRIC_"]

__version__ = "1.15.1"
"""The version of the interface."""


def install() -> None:
    """Let ``import faiss`` mean this module from now on, in this process.

    Raises
    ------
    RuntimeError
        If faiss itself has been imported already.
    """
    held = sys.modules.get("faiss")
    if held is not None and held is not sys.modules[__name__]:
        raise RuntimeError("install() must come before the first import of faiss")
    sys.modules["faiss"] = sys.modules[__name__]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    raise AttributeError(
        f"nearfield's faiss layer has no {name!r}; it has {', '.join(sorted(__all__))}"
    )
