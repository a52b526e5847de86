"""hnswlib's Python interface, version 0.8, on `nearfield.HNSW` and `nearfield.Flat`.

>>> from nearfield.compat import hnswlib

Names, arguments, results, exceptions (RuntimeError) and files are hnswlib's: `save_index` writes
what hnswlib loads, with our graph in it, and `load_index` reads what hnswlib saved. It differs in
that

- where fewer than k elements are to be found, rows end in label 2**64 - 1 and distance inf;
  `Index(..., strict=True)` raises hnswlib's RuntimeError instead;
- bad input is refused whole, before anything changes: NaN, infinity, zero vectors in the cosine
  space, more rows than fit;
- the same data and calls give the same answers, whatever the number of threads;
- a filter is asked about candidates first and about every label only where few pass; it never
  loses recall, and it is called from the calling thread alone;
- M below 4 searches like 4, and above 128 like 128;
- `load_index` builds our graph from the vectors, which takes as long as adding them.
"""

from nearfield.compat.hnswlib.brute_force import BFIndex
from nearfield.compat.hnswlib.index import Index

__all__ = ["BFIndex", "Index"]
