"""Building an index: seconds, and the memory it reports."""

from __future__ import annotations

from .common import KINDS, Arrays, make_index, prepare


class Build:
    params = (list(KINDS),)
    param_names = ("kind",)
    timeout = 600

    def setup_cache(self) -> Arrays:
        return prepare()

    def setup(self, data: Arrays, kind: str) -> None:
        self.index = make_index(kind, data)

    def time_add(self, data: Arrays, kind: str) -> None:
        make_index(kind, data)

    def track_bytes_per_vector(self, data: Arrays, kind: str) -> float:
        return self.index.stats()["bytes"]["total"] / len(self.index)

    track_bytes_per_vector.unit = "bytes"
