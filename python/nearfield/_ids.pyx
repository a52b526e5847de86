# cython: auto_pickle=False, language_level=3, boundscheck=False, wraparound=False
"""String ids <-> the int64 keys the core knows: loops over Python objects, made short."""

import numpy as np

from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t, uint64_t


cdef class StringIds:
    """Each string gets the next key; keys are never used twice, so a key always means one string.

    Reading is safe beside a writer; writers take turns (the index holds a lock).
    """

    cdef dict keys
    cdef public list names

    def __init__(self):
        self.keys = {}
        self.names = []

    def __len__(self):
        return len(self.keys)

    def plan(self, list ids):
        """Keys that new ids will get. Raises ValueError for one that is held or comes twice."""
        cdef set seen = set()
        for name in ids:
            if name in self.keys:
                raise ValueError(
                    f"ids must be new, got {name!r}, which the index holds; update() replaces it"
                )
            if name in seen:
                raise ValueError(f"ids must be distinct, got {name!r} more than once")
            seen.add(name)
        first = len(self.names)
        return np.arange(first, first + len(ids), dtype=np.int64)

    def commit(self, list ids):
        """Gives the keys of plan(ids)."""
        cdef int64_t key = len(self.names)
        self.names.extend(ids)
        for name in ids:
            self.keys[name] = key
            key += 1

    def find(self, list ids, unknown=None):
        """Keys of ids. An unknown id has key `unknown`, or raises KeyError(id) when that is None."""
        cdef Py_ssize_t i, n = len(ids)
        found = np.empty(n, dtype=np.int64)
        cdef int64_t[::1] view = found
        for i in range(n):
            key = self.keys.get(ids[i], unknown)
            if key is None:
                raise KeyError(ids[i])
            view[i] = key
        return found

    def remove(self, list ids):
        for name in ids:
            self.keys.pop(name, None)

    def forget_removed(self):
        """Drops the text of removed ids. Readers that began before keep the old list."""
        cdef list names = [None] * len(self.names)
        for name, key in self.keys.items():
            names[key] = name
        self.names = names

    def packed(self, keys):
        """UTF-8 of the names of int64 `keys`, end to end by key, and where each begins.

        Keys that are not listed have an empty text, so removed names are not written.
        """
        cdef Py_ssize_t i
        sizes = np.zeros(len(self.names) + 1, dtype=np.uint64)
        cdef uint64_t[::1] size = sizes
        cdef list parts = []
        cdef list names = self.names
        cdef const int64_t[::1] flat = np.sort(keys)
        for i in range(flat.shape[0]):
            part = names[flat[i]].encode("utf-8", "surrogatepass")
            size[flat[i] + 1] = len(part)
            parts.append(part)
        return np.cumsum(sizes), np.frombuffer(b"".join(parts), dtype=np.uint8)

    @staticmethod
    def unpacked(offsets, heap, keys):
        """Undoes packed(). Raises ValueError where the arrays do not fit together."""
        cdef Py_ssize_t i, n = len(offsets) - 1
        if n < 0 or offsets[0] != 0 or offsets[n] != len(heap) or (np.diff(offsets.astype(np.int64)) < 0).any():
            raise ValueError(f"must rise from 0 to {len(heap)}")
        if len(keys) and (keys.min() < 0 or keys.max() >= n):
            raise ValueError(f"must have an entry for key {int(keys.max())}")
        cdef const uint64_t[::1] begin = offsets
        cdef bytes text = heap.tobytes()
        cdef list names = [None] * n
        cdef dict held = {}
        cdef const int64_t[::1] flat = keys
        for i in range(flat.shape[0]):
            name = text[begin[flat[i]]:begin[flat[i] + 1]].decode("utf-8", "surrogatepass")
            names[flat[i]] = name
            held[name] = flat[i]
        if len(held) != flat.shape[0]:
            raise ValueError(f"must name {flat.shape[0]} different ids, got {len(held)}")
        cdef StringIds ids = StringIds()
        ids.names = names
        ids.keys = held
        return ids

    @staticmethod
    def resolve(list names, keys):
        """Object array of the names of int64 `keys`, of the same shape; -1 becomes None."""
        cdef const int64_t[::1] flat = np.ascontiguousarray(keys).reshape(-1)
        cdef Py_ssize_t i, n = flat.shape[0]
        out = np.empty(n, dtype=object)
        cdef object[::1] view = out
        for i in range(n):
            if flat[i] >= 0:
                view[i] = names[flat[i]]
        return out.reshape(np.shape(keys))


def keep_for_ever(object value not None):
    """Never let the value be finalized, not even when the interpreter ends."""
    Py_INCREF(value)
