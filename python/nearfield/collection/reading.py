"""The half of a collection's face that changes nothing: facts, searches, reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nearfield import _core
from nearfield.arrays import as_matrix
from nearfield.collection.hits import Hit, Item, score
from nearfield.collection.inputs import as_ids, as_texts, as_vectors
from nearfield.collection.metadata import scan_json
from nearfield.collection.opening import Opened
from nearfield.collection.where import Where, parse
from nearfield.errors import UnknownId
from nearfield.ids import is_single
from nearfield.scalars import as_int

__all__ = ["EVERY", "Reading"]

_MAX_EF = 65_536
EVERY: Any = object()
"""No partition was named."""


class Reading:
    """What a `Collection` can do without writing."""

    def __init__(self, encoder: Any) -> None:
        self._open: Opened | None = None
        self._encoder = encoder
        self._word_sides: dict[Any, Any] = {}  # by tokenizer; made by the first hybrid search

    @property
    def path(self) -> Path:
        """The folder."""
        return self._ready().folder

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return self._ready().store.settings.dim

    @property
    def metric(self) -> str:
        """'cosine', 'dot' or 'l2'."""
        return self._ready().store.settings.metric

    def __len__(self) -> int:
        return self._ready().store.rows.state.n

    def __contains__(self, id: object) -> bool:
        opened = self._ready()
        if not isinstance(id, (int, str, np.integer)) or isinstance(id, bool):
            return False
        try:
            listed = as_ids(id)
        except ValueError:  # what no row can be named: an int beyond int64, a str that is no text
            return False
        store = opened.store
        return store.settled(lambda: store.rows.slots_of(listed))[0] is not None

    def __reduce__(self) -> Any:
        raise TypeError(
            "a Collection must be opened by its path, not copied or pickled; other processes open "
            "its snapshot: nf.Collection(path, read_only=True)"
        )

    def __repr__(self) -> str:
        if self._open is None:
            return "Collection(closed)"
        facts = f"n={len(self):,}, dim={self.dim}, metric={self.metric!r}"
        return f"Collection({str(self.path)!r}, {facts})"

    def stats(self) -> dict[str, Any]:
        """Tell facts: rows, rows that wait for the index, segments, changes, failures."""
        opened = self._ready()
        store = opened.store
        views = list(store.view.segments())
        sealed = [view for view in views if view.segment.sealed]
        error = None
        if opened.catch_up is not None:
            error = opened.catch_up.error or opened.catch_up.save_error
        return {
            "n": store.rows.state.n,
            "dim": store.settings.dim,
            "metric": store.settings.metric,
            "last_seq": store.rows.state.last_seq,
            "waiting": sum(view.live for view in views if not view.segment.sealed),
            "segments": [view.live for view in sealed],
            "dead": sum(view.n_dead for view in views),
            "partitions": sum(
                any(view.live for view in part) for part in store.view.parts.values()
            ),
            "fields": {name: field.distinct for name, field in store.fields.items()},
            "index_bytes": sum(view.segment.index.stats()["bytes"]["total"] for view in views),
            "catch_up_error": None if error is None else str(error),
        }

    def search(
        self,
        query: Any,
        k: int = 10,
        *,
        where: Mapping[str, Any] | None = None,
        partition: Any = EVERY,
        ef_search: int | None = None,
        threads: int = 0,
        hybrid: Any = False,
        rerank: Any = None,
        vector: Any = None,
    ) -> Any:
        """Find the nearest rows.

        Parameters
        ----------
        query : str, sequence of str, or array_like of shape (dim,) or (nq, dim)
            Texts need the encoder.
        k : int, at least 1, default 10
        where : dict, optional
            A condition on metadata: ``{"lang": "ko", "year": {">=": 2023}}``. Comparisons:
            ``== != < <= > >= in "not in" contains exists``; ``$and``, ``$or`` (lists) and
            ``$not``. Values of different types are never equal or ordered, except int and float;
            ``!=`` and ``not in`` hold where the field is missing; ``contains`` looks for an
            element of a list or a part of a text; ``a.b`` looks into a dict.
        partition : int, str or None, optional
            Only this part of a collection with `partition_by`; None is the part of rows without
            the field.
        ef_search : int, in 1..65536, optional
            For an index that has it: of each segment. By default the index's own, and less of a
            segment with a small share of the rows.
        threads : int, default 0
            0 means all.
        hybrid : bool or nearfield.text.Hybrid, default False
            Rank by meaning and by shared words (BM25) together; for queries that are texts. Needs
            the extra ``text``. Scores are then those of the fusion, in [0, 1].
        rerank : callable, optional
            From a query and a list of texts to their scores, such as `nearfield.embed.Reranker`:
            orders the best candidates anew. Scores are then its own.
        vector : array_like, shape (dim,) or (nq, dim), optional
            Of queries that are texts, where it is known: they need no encoder then.

        Returns
        -------
        list of Hit, or list of lists of Hit for many queries
            At most k, nearest first, or best first where `hybrid` or `rerank` rank; fewer where
            fewer rows may be results.

        Raises
        ------
        ValueError, TypeError
            If the query, k or `where` is malformed.
        """
        vectors, single = self._as_queries(query, vector)
        condition, part = self._as_condition(where, partition)
        options: dict[str, Any] = {"threads": as_int(threads, "threads", 0, 1024)}
        if ef_search is not None:
            options["ef_search"] = as_int(ef_search, "ef_search", 1, _MAX_EF)
        if hybrid is not False or rerank is not None:
            found = self._ranked(query, vectors, k, (condition, part, options), hybrid, rerank)
            return found[0] if single else found
        for _attempt in range(8):
            slots, distances = self._nearest(vectors, k, condition, part, options)
            hits = self._hits(slots, distances)
            if hits is not None:
                return hits[0] if single else hits
        with self._ready().store.writing:  # rows were replaced under each attempt
            hits = self._hits(*self._nearest(vectors, k, condition, part, options))
        return (hits or [[]])[0] if single else hits

    def _ranked(
        self,
        query: Any,
        vectors: NDArray[np.float32],
        k: int,
        scope: tuple[Where | None, Any, dict[str, Any]],
        hybrid: Any,
        rerank: Any,
    ) -> list[list[Hit]]:
        """Search by words too, or let a reranker decide; each query by itself."""
        from nearfield.text.hybrid import Hybrid, Scope, WordSide, hybrid_hits

        if not isinstance(hybrid, (bool, Hybrid)):
            raise TypeError(f"hybrid must be a bool or a Hybrid, got {type(hybrid).__name__}")
        how, k = hybrid if isinstance(hybrid, Hybrid) else Hybrid(), as_int(k, "k", 1)
        texts = [query] if isinstance(query, str) else list(query)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("query must be text for hybrid and rerank, got vectors")
        store, (condition, part, options) = self._ready().store, scope
        words = None
        if hybrid is not False:
            words = self._word_sides.setdefault(how.tokenizer, WordSide(how.tokenizer))
        limits = Scope(condition, part, part is EVERY, options)

        def answer(text: str, vector: NDArray[np.float32]) -> list[Hit] | None:
            def nearest(most: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
                found = self._nearest(vector[None, :], most, condition, part, options)
                return found[0][0], found[1][0]

            return hybrid_hits(store, words, nearest, (text, vector), k, how, rerank, limits)

        answers = []
        for text, vector in zip(texts, vectors, strict=True):
            tries = (answer(text, vector) for _ in range(8))
            found = next((hits for hits in tries if hits is not None), None)
            if found is None:  # rows were replaced under each attempt
                with store.writing:
                    found = answer(text, vector)
            answers.append(found or [])
        return answers

    def _nearest(
        self,
        vectors: NDArray[np.float32],
        k: int,
        where: Where | None,
        part: Any,
        options: Mapping[str, Any],
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Slots and distances, (nq, k) each, padded with -1 and +inf."""
        k = as_int(k, "k", 1)
        store = self._ready().store
        fields = store.fields if where is None else store.ensure_fields(where.fields)
        return store.view.chosen(part, part is EVERY).search(vectors, k, where, fields, options)

    def _hits(
        self, slots: NDArray[np.int64], distances: NDArray[np.float32]
    ) -> list[list[Hit]] | None:
        """Rows of these slots, None if one of them is held no more."""
        store = self._ready().store
        metric = store.settings.metric
        cached: list[list[Hit]] | None = _core.make_hits(
            Hit, store.cache.entries, slots, distances, metric, scan_json
        )
        if cached is not None:
            return cached
        out = []
        for row, far in zip(slots.tolist(), distances.tolist(), strict=True):
            found = store.entries(row if row[-1] >= 0 else [slot for slot in row if slot >= 0])
            if found is None:
                return None
            out.append(
                [
                    Hit(id, distance, score(metric, distance), text, metadata)
                    for (id, text, metadata), distance in zip(found, far, strict=False)
                ]
            )
        return out

    def get(self, ids: Any, *, missing: str = "raise") -> Any:
        """Give rows by id: an Item for one id, a list of them for many.

        Parameters
        ----------
        ids : int, str or sequence of them
        missing : {"raise", "ignore"}
            "ignore" leaves ids out that are not held.

        Raises
        ------
        UnknownId
            If an id is not held and `missing` is "raise".
        """
        if missing not in ("raise", "ignore"):
            raise ValueError(f"missing must be 'raise' or 'ignore', got {missing!r}")
        store = self._ready().store
        listed = as_ids(ids)
        found = store.settled(lambda: store.rows.rows_of(listed))
        if missing == "raise":
            for id, row in zip(listed, found, strict=True):
                if row is None:
                    raise UnknownId(f"ids must be in the collection, got {id!r}")
        items = [store.as_item(row) for row in found if row is not None]
        return items[0] if is_single(ids) and items else items

    def count(self, where: Mapping[str, Any] | None = None, *, partition: Any = EVERY) -> int:
        """Count rows that meet a condition; arguments as for `search`."""
        condition, part = self._as_condition(where, partition)
        store = self._ready().store
        fields = store.fields if condition is None else store.ensure_fields(condition.fields)
        return sum(
            view.count(condition, fields) for view in store.view.segments(part, part is EVERY)
        )

    def iterate(
        self, where: Mapping[str, Any] | None = None, *, partition: Any = EVERY
    ) -> Iterator[Item]:
        """Go through the rows that meet a condition, in the order in which they were written.

        Rows written meanwhile do not come; rows deleted meanwhile may be missing.
        """
        condition, part = self._as_condition(where, partition)
        store = self._ready().store
        fields = store.fields if condition is None else store.ensure_fields(condition.fields)
        views = list(store.view.segments(part, part is EVERY))
        chosen = [
            view.segment.slots.view(view.n)[view.matching(condition, fields)] for view in views
        ]
        slots = np.sort(np.concatenate(chosen)).tolist() if chosen else []
        for start in range(0, len(slots), 256):
            some = slots[start : start + 256]
            self._ready()
            for row in store.settled(lambda some=some: store.rows.rows(some)):  # type: ignore[misc]
                if row is not None:
                    yield store.as_item(row)

    def __iter__(self) -> Iterator[Item]:
        return self.iterate()

    def close(self) -> None:
        """Stop the background threads, tidy the log up and let go of the lock. May be repeated."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_open", None) is not None:
            self.close()

    def _ready(self, *, writing: bool = False) -> Opened:
        opened = self._open
        if opened is None:
            raise ValueError("the collection must be open, got a call after close()")
        opened.check_process()
        if writing:
            opened.check_writable()
        return opened

    def _encode(self, texts: list[str], kind: str) -> NDArray[np.float32]:
        opened = self._ready()
        encoder, settings = self._encoder, opened.store.settings
        if encoder is None:
            made = f", made with the encoder {settings.encoder!r}" if settings.encoder else ""
            if kind == "query":
                rule = f"query must be a vector, or come with one, where there is no encoder{made}"
                raise ValueError(f"{rule}, got a text")
            raise ValueError(f"texts must come with vectors or an encoder{made}, got neither")
        encode = encoder.encode_document if kind == "document" else encoder.encode_query
        vectors = as_vectors(encode(texts), None)
        if vectors.shape != (len(texts), settings.dim):
            raise ValueError(
                f"encoder must give vectors of shape ({len(texts)}, {settings.dim}), "
                f"got {vectors.shape}"
            )
        return vectors

    def _as_queries(self, query: Any, vector: Any) -> tuple[NDArray[np.float32], bool]:
        """Queries as (nq, dim), and whether the user put one."""
        if vector is not None:
            matrix = np.atleast_2d(as_matrix(vector, "vector"))
            n = 1 if isinstance(query, str) else len(query)
            if len(matrix) != n:
                raise ValueError(f"vector must have one row a query ({n}), got {len(matrix)}")
            return matrix, isinstance(query, str)
        if isinstance(query, str):
            return self._encode(as_texts(query, "query"), "query"), True
        if isinstance(query, (list, tuple)) and query and isinstance(query[0], str):
            return self._encode(as_texts(query, "query"), "query"), False
        matrix = as_matrix(query, "query")
        return (matrix[None, :], True) if matrix.ndim == 1 else (matrix, False)

    def _as_condition(self, where: Any, partition: Any) -> tuple[Where | None, Any]:
        condition = None if where is None else parse(where)
        field = self._ready().store.settings.partition_by
        if partition is not EVERY and field is None:
            raise ValueError("partition must be left out, as the collection has no partition_by")
        if condition is not None and field is not None and partition is EVERY:
            only = condition.equals(field)
            if isinstance(only, (int, str)) and not isinstance(only, bool):
                partition = only
        return condition, partition
