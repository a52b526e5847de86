# cython: auto_pickle=False, language_level=3, boundscheck=False, wraparound=False
"""Loops made short: string ids <-> the int64 keys the core knows, codes to masks."""

import numpy as np

from cpython.ref cimport Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint8_t, uint32_t, uint64_t

from nearfield.errors import CorruptIndex


cdef uint32_t _NOBODY = 0xffffffffU


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
        """As a file keeps the names of int64 `keys`: where each begins, their UTF-8, and a table.

        Keys that are not listed have an empty text, so removed names are not written.
        """
        cdef Py_ssize_t i
        sizes = np.zeros(len(self.names) + 1, dtype=np.uint64)
        cdef uint64_t[::1] size = sizes
        cdef list parts = []
        cdef list names = self.names
        ordered = np.sort(keys)
        cdef const int64_t[::1] flat = ordered
        for i in range(flat.shape[0]):
            part = names[flat[i]].encode("utf-8", "surrogatepass")
            size[flat[i] + 1] = len(part)
            parts.append(part)
        offsets = np.cumsum(sizes, dtype=np.uint64)
        heap = np.frombuffer(b"".join(parts), dtype=np.uint8)
        return offsets, heap, _table(offsets, heap, ordered)

    @staticmethod
    def unpacked(offsets, heap, table, keys):
        """Undoes packed(). Raises ValueError where the arrays do not fit together."""
        cdef Py_ssize_t i, n = len(offsets) - 1
        rises = n >= 0 and offsets[0] == 0 and offsets[n] == len(heap)
        if not rises or (np.diff(offsets.astype(np.int64)) < 0).any():
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
        if not np.array_equal(_table(offsets, heap, np.sort(keys)), table):
            raise ValueError("must agree with names.table")
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


cdef uint64_t _hash(const uint8_t* text, Py_ssize_t n) noexcept nogil:
    """FNV-1a, its bits mixed once more. Part of the file format."""
    cdef uint64_t h = 0xcbf29ce484222325ULL
    cdef Py_ssize_t i
    for i in range(n):
        h = (h ^ text[i]) * 0x100000001b3ULL
    h = (h ^ (h >> 32)) * 0x9e3779b97f4a7c15ULL
    return h ^ (h >> 32)


cdef object _table(offsets, heap, keys):
    """Keys by the hash of their text, at least two places for each, 2^32 - 1 where there is none."""
    cdef Py_ssize_t i, places = 2, n = len(keys)
    while places < 2 * n:
        places *= 2
    table = np.full(places, _NOBODY, dtype=np.uint32)
    cdef uint32_t[::1] out = table
    cdef const uint64_t[::1] begin = offsets
    cdef const uint8_t[::1] text = heap if len(heap) else np.zeros(1, np.uint8)
    cdef const int64_t[::1] flat = keys
    cdef uint64_t at, mask = places - 1
    cdef int64_t key
    for i in range(n):
        key = flat[i]
        at = _hash(&text[0] + begin[key], begin[key + 1] - begin[key]) & mask
        while out[at] != _NOBODY:
            at = (at + 1) & mask
        out[at] = <uint32_t>key
    return table


cdef class MappedNames:
    """String ids in a mapped file, looked up where they lie. Offers what an index reads of StringIds.

    The file may change at any time: every number is compared before it is used.
    """

    cdef readonly object offsets, heap, table
    cdef const uint64_t[::1] begin
    cdef const uint8_t[::1] text
    cdef const uint32_t[::1] place

    def __init__(self, offsets, heap, table):
        if len(offsets) < 1 or len(table) < 2 or len(table) & (len(table) - 1):
            raise ValueError(f"must go with a table of 2^i places, got {len(table)}")
        self.offsets, self.heap, self.table = offsets, heap, table
        self.begin = offsets
        self.text = heap
        self.place = table

    def __len__(self):
        return self.begin.shape[0] - 1

    @property
    def names(self):
        return self

    cdef bytes at(self, int64_t key):
        cdef uint64_t first, last
        if not 0 <= key < self.begin.shape[0] - 1:
            raise CorruptIndex(f"the mapped file has changed: it names id {key}")
        first, last = self.begin[key], self.begin[key + 1]
        if first > last or last > <uint64_t>self.text.shape[0]:
            error = CorruptIndex(f"section names.offsets must rise, got {first}, {last}")
            error.section = "names.offsets"
            raise error
        return self.heap[first:last].tobytes()

    def find(self, list ids, unknown=None):
        """As StringIds.find."""
        cdef Py_ssize_t i, tries, n = len(ids)
        cdef uint64_t at, mask = self.place.shape[0] - 1
        cdef uint32_t key
        cdef bytes wanted
        found = np.empty(n, dtype=np.int64)
        cdef int64_t[::1] view = found
        for i in range(n):
            wanted = ids[i].encode("utf-8", "surrogatepass")
            at = _hash(wanted, len(wanted)) & mask
            for tries in range(self.place.shape[0]):
                key = self.place[at]
                if key == _NOBODY or self.at(key) == wanted:
                    break
                at = (at + 1) & mask
            else:
                key = _NOBODY
            if key != _NOBODY:
                view[i] = key
            elif unknown is None:
                raise KeyError(ids[i])
            else:
                view[i] = unknown
        return found

    def resolve(self, keys):
        """As StringIds.resolve."""
        cdef const int64_t[::1] flat = np.ascontiguousarray(keys).reshape(-1)
        cdef Py_ssize_t i, n = flat.shape[0]
        out = np.empty(n, dtype=object)
        for i in range(n):
            if flat[i] >= 0:
                out[i] = self.at(flat[i]).decode("utf-8", "backslashreplace")
        return out.reshape(np.shape(keys))

    def packed(self, keys):
        """As StringIds.packed."""
        return self.offsets, self.heap, self.table


def spread(table, codes):
    """Bool array of table[codes[i]], without the GIL; False for a code beyond the table.

    `table` is a bool array, `codes` an int32 array. A million codes take half a millisecond.
    """
    cdef const uint8_t[::1] known = np.ascontiguousarray(table).view(np.uint8)
    cdef const int32_t[::1] rows = codes
    out = np.empty(rows.shape[0], np.uint8)
    cdef uint8_t[::1] answers = out
    cdef Py_ssize_t i, n = rows.shape[0], size = known.shape[0]
    cdef int32_t code
    with nogil:
        for i in range(n):
            code = rows[i]
            answers[i] = known[code] if 0 <= code < size else 0
    return out.view(np.bool_)
