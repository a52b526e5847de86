"""Searching: one query a call, all queries in one call; with the recall of the same settings."""

from __future__ import annotations

from itertools import cycle

from .common import SEARCHES, Arrays, K, make_index, prepare, recall


class Search:
    params = (list(SEARCHES),)
    param_names = ("search",)
    timeout = 600

    def setup_cache(self) -> Arrays:
        return prepare()

    def setup(self, data: Arrays, search: str) -> None:
        kind, self.options = SEARCHES[search]
        self.index = make_index(kind, data)
        self.next_query = cycle(data["queries"])

    def time_one_query(self, data: Arrays, search: str) -> None:
        self.index.search(next(self.next_query), k=K, threads=1, **self.options)

    def time_batch_one_thread(self, data: Arrays, search: str) -> None:
        self.index.search(data["queries"], k=K, threads=1, **self.options)

    def time_batch_all_threads(self, data: Arrays, search: str) -> None:
        self.index.search(data["queries"], k=K, **self.options)

    def track_recall_at_10(self, data: Arrays, search: str) -> float:
        return recall(self.index.search(data["queries"], k=K, **self.options).ids, data)

    track_recall_at_10.unit = "recall"
