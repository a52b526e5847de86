"""Haystack's document store over a collection, and the retriever that goes with it."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nearfield._optional import import_extra
from nearfield.arrays import as_matrix
from nearfield.collection import Hit, Item
from nearfield.collection.hits import score
from nearfield.integrations._haystack_filters import as_where
from nearfield.integrations._rows import Rows, exact, similarity

__all__ = ["NearfieldDocumentStore", "NearfieldEmbeddingRetriever"]

_USE = "the Haystack document store"
_haystack: Any = import_extra("haystack", "haystack", _USE)
_types: Any = import_extra("haystack.document_stores.types", "haystack", _USE)
_errors: Any = import_extra("haystack.document_stores.errors", "haystack", _USE)
_matches: Any = import_extra("haystack.utils.filters", "haystack", _USE).document_matches_filter
Document: Any = _haystack.Document
DuplicatePolicy: Any = _types.DuplicatePolicy
FilterPolicy: Any = _types.FilterPolicy
component: Any = _haystack.component

Filters = Mapping[str, Any]
_WITHOUT, _WITH = 0, 1  # parts of the collection: documents without and with an embedding


def _threaded(method: Callable[..., Any]) -> Any:
    """The same method to be awaited; it runs in a thread."""

    @functools.wraps(method)
    async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(method, self, *args, **kwargs)

    run.__name__ = f"{method.__name__}_async"
    run.__doc__ = f"As `{method.__name__}`, in a thread."
    return run


class NearfieldDocumentStore:
    """Documents with their embeddings in a `nearfield.Collection`.

    Parameters
    ----------
    path : path-like, optional
        A folder that keeps the documents, made if it does not exist. Without one they go when the
        store goes.
    embedding_dim : int, default 768
    metric : {"cosine", "dot", "l2"}, default "cosine"
    index : {"hnsw", "flat", "ivfpq"}, default "hnsw"
    index_params : dict, optional
        Both as `nearfield.Collection` has them.

    Notes
    -----
    Embeddings are kept as float32. Metadata must be JSON. A document without an embedding is
    stored and filtered, and never retrieved by embedding. `DuplicatePolicy.NONE` means FAIL. Every
    method has a twin ``..._async``.
    """

    def __init__(
        self,
        path: str | None = None,
        embedding_dim: int = 768,
        metric: str = "cosine",
        index: str = "hnsw",
        index_params: dict[str, Any] | None = None,
    ) -> None:
        self._arguments = {
            "path": None if path is None else str(path), "embedding_dim": embedding_dim,
            "metric": metric, "index": index, "index_params": index_params,
        }  # fmt: skip
        self._rows = Rows(
            None if path is None else Path(path), metric=metric, dim=embedding_dim, index=index,
            index_params=index_params, partition_by="part",
        )  # fmt: skip
        self._nowhere = np.eye(1, embedding_dim, dtype=np.float32)[0]

    def to_dict(self) -> dict[str, Any]:
        """Give what `from_dict` makes the store of; the documents are in the folder."""
        found: dict[str, Any] = _haystack.default_to_dict(self, **self._arguments)
        return found

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> NearfieldDocumentStore:
        """Make the store that `to_dict` was called of."""
        made: NearfieldDocumentStore = _haystack.default_from_dict(cls, data)
        return made

    def close(self) -> None:
        """Close the collection."""
        self._rows.close()

    # Changes

    def write_documents(self, documents: list[Any], policy: Any = DuplicatePolicy.NONE) -> int:
        """Write documents, all or none; tells how many.

        Raises
        ------
        DuplicateDocumentError
            If an id is held and the policy is FAIL or NONE.
        ValueError
            If they are no list of documents, or an embedding does not fit.
        """
        if not isinstance(documents, list) or not all(isinstance(d, Document) for d in documents):
            raise ValueError("documents must be a list of haystack Documents")
        chosen: dict[str, Any] = {}
        held = {item.id for item in self._rows.get([doc.id for doc in documents])}
        for doc in documents:
            if doc.id in held or doc.id in chosen:
                if policy == DuplicatePolicy.SKIP:
                    continue
                if policy != DuplicatePolicy.OVERWRITE:
                    raise _errors.DuplicateDocumentError(f"ids must be new, got {doc.id!r}")
            chosen[doc.id] = doc
        docs = list(chosen.values())
        self._rows.upsert(
            list(chosen),
            [doc.content or "" for doc in docs],
            self._vectors(docs),
            [_row(doc) for doc in docs],
        )
        return len(documents) if policy == DuplicatePolicy.OVERWRITE else len(docs)

    def _vectors(self, docs: list[Any]) -> Any:
        rows = [
            self._nowhere if doc.embedding is None else as_matrix(doc.embedding, "embedding")
            for doc in docs
        ]
        for doc, row in zip(docs, rows, strict=True):
            if row.shape != self._nowhere.shape:
                raise ValueError(
                    f"embedding must have shape ({len(self._nowhere)},), got {row.shape} of the "
                    f"document {doc.id!r}"
                )
        return np.stack(rows) if rows else self._nowhere[:0]

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete documents; ids that are not held are passed over."""
        self._rows.delete(document_ids)

    def delete_all_documents(self) -> None:
        """Delete all documents."""
        self._rows.clear()

    def delete_by_filter(self, filters: Filters) -> int:
        """Delete the documents that match; tells how many."""
        return self._rows.delete([item.id for item, _ in self._matching(filters)])

    def update_by_filter(self, filters: Filters, meta: dict[str, Any]) -> int:
        """Merge `meta` into the metadata of the documents that match; tells how many."""
        docs = [doc for _, doc in self._matching(filters)]
        for doc in docs:
            doc.meta.update(meta)
        return self.write_documents(docs, DuplicatePolicy.OVERWRITE)

    # Reading

    def count_documents(self) -> int:
        """Tell how many documents there are."""
        return len(self._rows)

    def filter_documents(self, filters: Filters | None = None) -> list[Any]:
        """Give the documents that match, in the order in which they were written.

        Raises
        ------
        FilterError
            If the filter is malformed, or compares what has no order.
        """
        return [doc for _, doc in self._matching(filters)]

    def embedding_retrieval(
        self,
        query_embedding: list[float],
        filters: Filters | None = None,
        top_k: int = 10,
        scale_score: bool = False,
        return_embedding: bool = False,
    ) -> list[Any]:
        """Give the documents nearest to a vector, each with its score.

        Parameters
        ----------
        query_embedding : list of float, shape (embedding_dim,)
        filters : dict, optional
            Those on equality and on numbers choose rows in the index; of others, such as dates,
            all documents are looked at, and those that match are measured.
        top_k : int, at least 0, default 10
        scale_score : bool, default False
            Scores in [0, 1]; else the cosine, the inner product, or 1 / (1 + distance) under l2.
        return_embedding : bool, default False
        """
        if top_k < 0:
            raise ValueError(f"top_k must be at least 0, got {top_k}")
        if top_k == 0:
            return []
        where = None
        if filters:
            _matches(filters, Document(content=""))  # refuses what is malformed
            where = as_where(filters)
        if filters and where is None:
            found: list[tuple[Hit | Item, float]] = self._scan(query_embedding, filters, top_k)
        else:
            hits = self._rows.search(query_embedding, top_k, where, partition=_WITH)
            found = [(hit, hit.distance) for hit in hits]
        vectors = {}
        if return_embedding:
            items = self._rows.get([str(row.id) for row, _ in found])
            vectors = {item.id: item.vector.tolist() for item in items}
        scored = score if scale_score else similarity
        metric = self._rows.metric
        return [
            _document(row, embedding=vectors.get(row.id), score=scored(metric, distance))
            for row, distance in found
        ]

    def _scan(self, query: list[float], filters: Filters, k: int) -> list[tuple[Hit | Item, float]]:
        items = [item for item, doc in self._matching(filters) if doc.embedding is not None]
        if not items:
            return []
        places, distances = exact(query, items, self._rows.metric, k)
        return [(items[i], far) for i, far in zip(places.tolist(), distances.tolist(), strict=True)]

    def _matching(self, filters: Filters | None) -> Iterator[tuple[Item, Any]]:
        if filters:
            _matches(filters, Document(content=""))
        for item in self._rows.items():
            has_vector = item.metadata["part"] == _WITH
            doc = _document(item, embedding=item.vector.tolist() if has_vector else None)
            if not filters or _matches(filters, doc):
                yield item, doc

    # Facts about metadata

    def count_documents_by_filter(self, filters: Filters) -> int:
        """Tell how many documents match."""
        return sum(1 for _ in self._matching(filters))

    def count_unique_metadata_by_filter(
        self, filters: Filters, metadata_fields: list[str]
    ) -> dict[str, int]:
        """Tell how many distinct values each field has among the documents that match."""
        docs = [doc for _, doc in self._matching(filters)]
        names = [name.removeprefix("meta.") for name in metadata_fields]
        return {name: len(_distinct(docs, name)) for name in names}

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """Tell the fields there are and their types: boolean, int, float or keyword."""
        kinds = {bool: "boolean", int: "int", float: "float"}
        return {
            name: {"type": kinds.get(type(value), "keyword")}
            for _, doc in self._matching(None)
            for name, value in doc.meta.items()
            if value is not None
        }

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """Tell the least and the greatest value of a field; None where it has no order."""
        name = metadata_field.removeprefix("meta.")
        docs = [doc for _, doc in self._matching(None)]
        values = [v for v in _distinct(docs, name) if isinstance(v, (int, float, str))]
        try:
            return {"min": min(values), "max": max(values)}
        except (TypeError, ValueError):
            return {"min": None, "max": None}

    def get_metadata_field_unique_values(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int = 10,
        filters: Filters | None = None,
    ) -> tuple[list[Any], int]:
        """Give a page of the distinct values of a field, and how many there are.

        `search_term` keeps values that hold it, whatever the case; they are ordered as text.
        """
        docs = [doc for _, doc in self._matching(filters)]
        values = _distinct(docs, metadata_field.removeprefix("meta."))
        if search_term:
            values = [v for v in values if search_term.lower() in str(v).lower()]
        values.sort(key=lambda value: (str(value), type(value).__name__))
        return values[from_ : from_ + size], len(values)

    write_documents_async = _threaded(write_documents)
    delete_documents_async = _threaded(delete_documents)
    delete_all_documents_async = _threaded(delete_all_documents)
    delete_by_filter_async = _threaded(delete_by_filter)
    update_by_filter_async = _threaded(update_by_filter)
    count_documents_async = _threaded(count_documents)
    filter_documents_async = _threaded(filter_documents)
    embedding_retrieval_async = _threaded(embedding_retrieval)
    count_documents_by_filter_async = _threaded(count_documents_by_filter)
    count_unique_metadata_by_filter_async = _threaded(count_unique_metadata_by_filter)
    get_metadata_fields_info_async = _threaded(get_metadata_fields_info)
    get_metadata_field_min_max_async = _threaded(get_metadata_field_min_max)
    get_metadata_field_unique_values_async = _threaded(get_metadata_field_unique_values)


@component
class NearfieldEmbeddingRetriever:
    """Finds the documents of a `NearfieldDocumentStore` that are nearest to an embedding.

    Parameters
    ----------
    document_store : NearfieldDocumentStore
    filters : dict, optional
    top_k : int, at least 1, default 10
    scale_score, return_embedding : bool, default False
        As `NearfieldDocumentStore.embedding_retrieval` has them; `run` may be given others.
    filter_policy : FilterPolicy, default REPLACE
        What filters given to `run` do with those given here.
    """

    def __init__(
        self,
        document_store: NearfieldDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        scale_score: bool = False,
        return_embedding: bool = False,
        filter_policy: Any = FilterPolicy.REPLACE,
    ) -> None:
        if not isinstance(document_store, NearfieldDocumentStore):
            raise TypeError(
                "document_store must be a NearfieldDocumentStore, got "
                f"{type(document_store).__name__}"
            )
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k
        self.scale_score = scale_score
        self.return_embedding = return_embedding
        self.filter_policy = FilterPolicy(filter_policy)

    def to_dict(self) -> dict[str, Any]:
        """Give what `from_dict` makes the component of."""
        found: dict[str, Any] = _haystack.default_to_dict(
            self, document_store=self.document_store.to_dict(), filters=self.filters,
            top_k=self.top_k, scale_score=self.scale_score,
            return_embedding=self.return_embedding, filter_policy=self.filter_policy.value,
        )  # fmt: skip
        return found

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> NearfieldEmbeddingRetriever:
        """Make the component that `to_dict` was called of."""
        given = dict(data["init_parameters"])
        if isinstance(given["document_store"], dict):
            given["document_store"] = NearfieldDocumentStore.from_dict(given["document_store"])
        return cls(**given)

    @component.output_types(documents=list[Document])
    def run(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        scale_score: bool | None = None,
        return_embedding: bool | None = None,
    ) -> dict[str, list[Any]]:
        """Give ``{"documents": [...]}``, nearest first."""
        docs = self.document_store.embedding_retrieval(
            query_embedding,
            _types.apply_filter_policy(self.filter_policy, self.filters, filters),
            self.top_k if top_k is None else top_k,
            self.scale_score if scale_score is None else scale_score,
            self.return_embedding if return_embedding is None else return_embedding,
        )
        return {"documents": docs}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        scale_score: bool | None = None,
        return_embedding: bool | None = None,
    ) -> dict[str, list[Any]]:
        """As `run`, in a thread."""
        found: dict[str, list[Any]] = await asyncio.to_thread(
            self.run, query_embedding, filters, top_k, scale_score, return_embedding
        )
        return found


def _row(doc: Any) -> dict[str, Any]:
    """Metadata of the collection: the id and the document's metadata to filter by, and the rest."""
    kept = {"id", "content", "meta", "embedding", "score"}
    whole = doc.to_dict(flatten=False)
    rest = {name: value for name, value in whole.items() if name not in kept and value is not None}
    part = _WITHOUT if doc.embedding is None else _WITH
    row = {"id": doc.id, "meta": doc.meta, "part": part, "rest": rest}
    return {**row, "no_content": True} if doc.content is None else row


def _document(row: Hit | Item, **more: Any) -> Any:
    stored = row.metadata
    content = None if stored.get("no_content") else row.text
    whole = {"id": row.id, "content": content, "meta": stored["meta"], **stored["rest"], **more}
    return Document.from_dict(whole)


def _distinct(docs: list[Any], name: str) -> list[Any]:
    """Values of a field, of each type its own; None is none."""
    found = {}
    for doc in docs:
        value = doc.meta.get(name)
        if value is not None:
            found[type(value), json.dumps(value, sort_keys=True)] = value
    return list(found.values())
