"""LlamaIndex's vector store over a collection, with its filters, MMR and hybrid search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nearfield._optional import import_extra
from nearfield.collection import Collection, Hit, Item
from nearfield.integrations._filters import both
from nearfield.integrations._rows import Rows, similarity

__all__ = ["NearfieldVectorStore"]

_USE = "the LlamaIndex vector store"
_types: Any = import_extra("llama_index.core.vector_stores.types", "llama-index", _USE)
_nodes: Any = import_extra("llama_index.core.vector_stores.utils", "llama-index", _USE)
_fields: Any = import_extra("llama_index.core.bridge.pydantic", "llama-index", _USE)
BasePydanticVectorStore: Any = _types.BasePydanticVectorStore
Result: Any = _types.VectorStoreQueryResult

_ID, _EMPTY = "_nearfield_id", "_nearfield_empty"
_COMPARISONS = {
    "==": "==", "!=": "!=", ">": ">", "<": "<", ">=": ">=", "<=": "<=", "in": "in",
    "nin": "not in", "contains": "contains", "text_match": "contains",
}  # fmt: skip


class NearfieldVectorStore(BasePydanticVectorStore):
    """Nodes with their texts and embeddings in a `nearfield.Collection`.

    Parameters
    ----------
    path : path-like or Collection, optional
        A folder that keeps the nodes, made if it does not exist, or an open collection with str
        ids. Without one they go when the store goes.
    metric : {"cosine", "dot", "l2"}, default "cosine"
        Of a collection that is made.
    **options
        Of `nearfield.Collection`: index, index_params, fields ...

    Notes
    -----
    A node whose id is held is replaced. Queries honour similarity_top_k, doc_ids and node_ids
    (empty lists limit nothing, as retrievers send them), nested filters of every operator but
    text_match_insensitive, and the modes DEFAULT, MMR (`mmr_threshold` is what nearness counts,
    0.5 unless given) and HYBRID (needs query_str and the extra ``text``; alpha 1 is vectors
    alone). Similarities grow with nearness: the cosine, the
    inner product, or 1 / (1 + distance) under l2; of hybrid queries the fused scores.
    """

    stores_text: bool = True
    is_embedding_query: bool = True
    _rows: Rows = _fields.PrivateAttr()

    def __init__(
        self,
        path: str | Path | Collection | None = None,
        metric: str = "cosine",
        **options: Any,
    ) -> None:
        super().__init__(stores_text=True)
        self._rows = Rows(path, metric=metric, **options)

    @classmethod
    def class_name(cls) -> str:
        """Name under which LlamaIndex knows the class."""
        return "NearfieldVectorStore"

    @property
    def client(self) -> Any:
        """The collection; None as long as nothing has been added to a new store."""
        return self._rows.collection

    def add(self, nodes: Sequence[Any], **add_kwargs: Any) -> list[str]:
        """Store nodes, which must have embeddings. Gives their ids."""
        ids = [node.node_id for node in nodes]
        metadata = [_metadata(node) for node in nodes]
        texts = [node.get_content(metadata_mode="none") or "" for node in nodes]
        self._rows.upsert(ids, texts, [node.get_embedding() for node in nodes], metadata)
        return ids

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document."""
        found = self._rows.items({"ref_doc_id": ref_doc_id})
        self._rows.delete([item.id for item in found])

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: Any = None,
        **delete_kwargs: Any,
    ) -> None:
        """Delete nodes that have one of the ids and meet the filters; either may be left out."""
        self._rows.delete([item.id for item in self._items(node_ids, filters)])

    def clear(self) -> None:
        """Delete all nodes."""
        self._rows.clear()

    def get_nodes(self, node_ids: list[str] | None = None, filters: Any = None) -> list[Any]:
        """Give nodes that have one of the ids and meet the filters, with their embeddings."""
        return [_node(item) for item in self._items(node_ids, filters)]

    def query(self, query: Any, **kwargs: Any) -> Any:
        """Answer a VectorStoreQuery.

        Raises
        ------
        ValueError
            If its mode or a filter is none of those above, or it lacks what its mode needs.
        """
        if query.query_embedding is None:
            raise ValueError("query must have a query_embedding, got None")
        where = both(
            _where(query.filters) if query.filters is not None else None,
            {"ref_doc_id": {"in": list(query.doc_ids)}} if query.doc_ids else None,
            {_ID: {"in": list(query.node_ids)}} if query.node_ids else None,
        )
        hits, of_fusion = self._hits(query, where, kwargs)
        metric = self._rows.metric
        return Result(
            nodes=[_node(hit) for hit in hits],
            similarities=[
                hit.score if of_fusion else similarity(metric, hit.distance) for hit in hits
            ],
            ids=[str(hit.id) for hit in hits],
        )

    def _hits(
        self, query: Any, where: dict[str, Any] | None, options: dict[str, Any]
    ) -> tuple[list[Hit], bool]:
        mode, k, vector = query.mode.value, query.similarity_top_k, query.query_embedding
        threshold = options.pop("mmr_threshold", None)
        if mode == "default":
            return self._rows.search(vector, k, where, **options), False
        if mode == "mmr":
            given = query.mmr_threshold if threshold is None else threshold
            weight = 0.5 if given is None else float(given)
            fetch = options.pop("mmr_prefetch_k", None) or max(20, 4 * k)
            hits = self._rows.search(vector, fetch, where, **options)
            return self._rows.diverse(vector, hits, k, 1 - weight), False
        if mode == "hybrid":
            if not query.query_str:
                raise ValueError("query must have a query_str in mode hybrid, got none")
            alpha = 0.5 if query.alpha is None else query.alpha
            k = query.hybrid_top_k or k
            return self._rows.hybrid(query.query_str, vector, k, alpha, where, **options), True
        raise ValueError(f"mode must be default, mmr or hybrid, got {mode!r}")

    def persist(self, persist_path: str, fs: Any = None) -> None:
        """Copy the nodes into the folder `persist_path`, unless they are kept in one anyway."""
        folder = Path(persist_path)
        if self._rows.temporary:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._rows.copy_to(folder)

    @classmethod
    def from_persist_path(cls, persist_path: str, fs: Any = None) -> NearfieldVectorStore:
        """Open what `persist`, or a store with this `path`, has left."""
        if not (Path(persist_path) / "rows.db").exists():
            raise ValueError(f"persist_path must be a saved store, got {persist_path}")
        return cls(persist_path)

    @classmethod
    def from_persist_dir(
        cls, persist_dir: str = "./storage", namespace: str = "default", fs: Any = None
    ) -> NearfieldVectorStore:
        """Open what a StorageContext has saved in `persist_dir`."""
        return cls.from_persist_path(str(Path(persist_dir) / f"{namespace}__vector_store.json"))

    def close(self) -> None:
        """Close the collection."""
        self._rows.close()

    def _items(self, node_ids: list[str] | None, filters: Any) -> list[Item]:
        where = None if filters is None else _where(filters)
        if node_ids is not None:
            where = both(where, {_ID: {"in": list(node_ids)}})
        return self._rows.items(where)


def _metadata(node: Any) -> dict[str, Any]:
    """Fields to filter by, and the node as LlamaIndex writes it, without its text."""
    metadata: dict[str, Any] = _nodes.node_to_metadata_dict(node, remove_text=True)
    empty = [key for key, value in metadata.items() if value in ("", [])]
    return {**metadata, _ID: node.node_id, **({_EMPTY: empty} if empty else {})}


def _node(row: Hit | Item) -> Any:
    node = _nodes.metadata_dict_to_node(row.metadata, text=row.text)
    if isinstance(row, Item):
        node.embedding = row.vector.tolist()
    return node


def _where(filters: Any) -> dict[str, Any]:
    """MetadataFilters, nested ones too, as a condition."""
    if not hasattr(filters, "filters"):
        return _comparison(filters.key, filters.operator.value, filters.value)
    parts = [_where(part) for part in filters.filters]
    condition = "and" if filters.condition is None else filters.condition.value
    if condition == "not":
        return {"$not": {"$or": parts}}
    return {f"${condition}": parts} if parts else {}


def _comparison(key: str, op: str, value: Any) -> dict[str, Any]:
    if op == "is_empty":
        missing = {"$not": {key: {"exists": True}}}
        return {"$or": [missing, {key: None}, {_EMPTY: {"contains": key}}]}
    if op in ("any", "all"):
        parts = [{key: {"contains": one}} for one in value]
        return {"$or" if op == "any" else "$and": parts}
    if op not in _COMPARISONS:
        known = ", ".join([*_COMPARISONS, "any", "all", "is_empty"])
        raise ValueError(f"operator must be one of {known}, got {op!r}")
    return {key: {_COMPARISONS[op]: value}}
