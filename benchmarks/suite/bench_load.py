"""What a program waits for before its first search: the import, and a saved index."""

from __future__ import annotations

import nearfield as nf

from .common import KINDS, Arrays, K, make_index, prepare


class Import:
    def timeraw_import(self) -> str:
        return "import nearfield"


class Load:
    """Opening a saved index and asking it once; skipped in versions that cannot save."""

    params = (list(KINDS), [False, True])
    param_names = ("kind", "mmap")
    timeout = 600

    def setup_cache(self) -> Arrays:
        return prepare()

    def setup(self, data: Arrays, kind: str, mmap: bool) -> None:
        if not hasattr(nf, "load"):
            raise NotImplementedError("this version does not save")
        make_index(kind, data).save("saved.nf")

    def time_load_and_search(self, data: Arrays, kind: str, mmap: bool) -> None:
        nf.load("saved.nf", mmap=mmap).search(data["queries"][0], k=K)
