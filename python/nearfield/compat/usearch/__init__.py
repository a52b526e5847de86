"""What dependants use of usearch's Python interface (2.x), on `nearfield.HNSW`.

>>> from nearfield.compat.usearch import Index, search

Arguments, results, exceptions and files are usearch's: `save` writes what usearch loads, with our
graph in it. It differs in that

- metrics are cos, ip, l2sq and hamming; dtypes f32, f16, bf16, i8, b1, and f64, kept as f32;
  `dtype=None` is f16 (b1 for hamming), where usearch asks the processor;
- keys are distinct (`multi=True` raises NotImplementedError), and below 2**64 - 1;
- NaN, infinity and zero vectors under cos are refused (ValueError); a call is refused whole;
- `get` gives vectors of norm 1 under cos;
- `load` and `view` build our graph from the vectors; a viewed index refuses changes (RuntimeError);
- a search finds min(count, len(index)) matches, always;
- there are no joins, clusters, metrics of one's own or progress callbacks.
"""

from nearfield.compat.usearch.index import Index
from nearfield.compat.usearch.kinds import MetricKind, ScalarKind
from nearfield.compat.usearch.matches import BatchMatches, Match, Matches
from nearfield.compat.usearch.matrix_search import search

__all__ = [
    "BatchMatches",
    "Index",
    "Match",
    "Matches",
    "MetricKind",
    "ScalarKind",
    "search",
]
