"""LangChain's vector store over a collection: durable, filtered, exact about deletes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nearfield._optional import import_extra
from nearfield.collection import Collection, Hit
from nearfield.collection.hits import score
from nearfield.integrations._filters import as_where
from nearfield.integrations._rows import Rows

__all__ = ["NearfieldVectorStore"]

_USE = "the LangChain vector store"
VectorStore: Any = import_extra("langchain_core.vectorstores", "langchain", _USE).VectorStore
Document: Any = import_extra("langchain_core.documents", "langchain", _USE).Document
_in_thread: Any = import_extra("langchain_core.runnables.config", "langchain", _USE).run_in_executor


class NearfieldVectorStore(VectorStore):
    """Documents with their embeddings in a `nearfield.Collection`.

    Parameters
    ----------
    embedding : langchain_core.embeddings.Embeddings
    path : path-like or Collection, optional
        A folder that keeps the documents, made if it does not exist, or an open collection with
        str ids. Without one they go when the store goes.
    metric : {"cosine", "dot", "l2"}, default "cosine"
        Of a collection that is made.
    **options
        Of `nearfield.Collection`: index, index_params, fields, durability ...

    Notes
    -----
    Adding an id that is held replaces its document. Scores of ``..._with_score`` are distances in
    the metric's units (smaller is nearer), relevance scores lie in [0, 1] and grow with nearness.
    ``filter=`` is a condition as `Collection.search` has it, with `$gt` and the like understood
    too, or a function of a Document. Other keywords of searches (``ef_search``, ``threads``) go to
    `Collection.search`. Metadata must be JSON. Threads may share a store.

    Examples
    --------
    >>> from langchain_core.embeddings import DeterministicFakeEmbedding
    >>> store = NearfieldVectorStore(DeterministicFakeEmbedding(size=8))
    >>> store.add_texts(["red", "green"], [{"n": 1}, {"n": 2}], ids=["a", "b"])
    ['a', 'b']
    >>> store.similarity_search("red", k=1, filter={"n": {"$gte": 1}})[0].id
    'a'
    """

    def __init__(
        self,
        embedding: Any,
        path: str | Path | Collection | None = None,
        *,
        metric: str = "cosine",
        **options: Any,
    ) -> None:
        self._embedding = embedding
        self._rows = Rows(path, metric=metric, **options)

    @property
    def embeddings(self) -> Any:
        """The embeddings that texts and queries go through."""
        return self._embedding

    @property
    def collection(self) -> Collection | None:
        """The collection; None as long as nothing has been added to a new store."""
        return self._rows.collection

    # Changes

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embed and store texts; those with ids that are held are replaced. Gives the ids."""
        listed = list(texts)
        return self._write(listed, metadatas, ids, self._embedding.embed_documents(listed))

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """As `add_texts`."""
        listed = list(texts)
        vectors = await self._embedding.aembed_documents(listed)
        done: list[str] = await _in_thread(None, self._write, listed, metadatas, ids, vectors)
        return done

    def add_documents(
        self, documents: list[Any], ids: Sequence[str | None] | None = None, **kwargs: Any
    ) -> list[str]:
        """As `add_texts`; documents without an id get one."""
        return self.add_texts(*_parts(documents), ids=ids or [doc.id for doc in documents])

    async def aadd_documents(
        self, documents: list[Any], ids: Sequence[str | None] | None = None, **kwargs: Any
    ) -> list[str]:
        """As `add_documents`."""
        return await self.aadd_texts(*_parts(documents), ids=ids or [doc.id for doc in documents])

    def add_embeddings(
        self,
        text_embeddings: Iterable[tuple[str, Sequence[float]]],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """Store texts with vectors that are known already."""
        pairs = list(text_embeddings)
        return self._write([text for text, _ in pairs], metadatas, ids, [v for _, v in pairs])

    def _write(
        self,
        texts: list[str],
        metadatas: Sequence[Mapping[str, Any]] | None,
        ids: Sequence[str | None] | None,
        vectors: Sequence[Sequence[float]],
    ) -> list[str]:
        for name, given in (("metadatas", metadatas), ("ids", ids)):
            if given and len(given) != len(texts):
                raise ValueError(
                    f"{name} must have one entry a text ({len(texts)}), got {len(given)}"
                )
        named = [id or str(uuid.uuid4()) for id in ids or [None] * len(texts)]
        self._rows.upsert(named, texts, vectors, metadatas or [{}] * len(texts))
        return named

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents, those that are held; all of them where `ids` is None."""
        if ids is None:
            self._rows.clear()
        else:
            self._rows.delete(ids)
        return True

    # Reading

    def get_by_ids(self, ids: Sequence[str], /) -> list[Any]:
        """Give documents by id; ids that are not held are passed over."""
        return [
            Document(id=str(item.id), page_content=item.text or "", metadata=item.metadata)
            for item in self._rows.get(ids)
        ]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Any]:
        """Give the k nearest documents."""
        return self.similarity_search_by_vector(self._embedding.embed_query(query), k, **kwargs)

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Any]:
        """As `similarity_search`."""
        vector = await self._embedding.aembed_query(query)
        found: list[Any] = await _in_thread(
            None, partial(self.similarity_search_by_vector, vector, k, **kwargs)
        )
        return found

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Any, float]]:
        """Give the k nearest documents with their distances."""
        vector = self._embedding.embed_query(query)
        return self.similarity_search_with_score_by_vector(vector, k, **kwargs)

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Any, float]]:
        """As `similarity_search_with_score`."""
        vector = await self._embedding.aembed_query(query)
        found: list[tuple[Any, float]] = await _in_thread(
            None, partial(self.similarity_search_with_score_by_vector, vector, k, **kwargs)
        )
        return found

    def similarity_search_by_vector(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> list[Any]:
        """Give the k documents nearest to a vector."""
        return [_document(hit) for hit in self._search(embedding, k, **kwargs)]

    def similarity_search_with_score_by_vector(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> list[tuple[Any, float]]:
        """Give the k documents nearest to a vector, with their distances."""
        return [(_document(hit), hit.distance) for hit in self._search(embedding, k, **kwargs)]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Any]:
        """Choose k of the `fetch_k` nearest documents, near to the query and unlike each other.

        `lambda_mult` is what nearness counts; the rest is what likeness to those chosen costs.
        """
        vector = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, **kwargs
        )

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Any]:
        """As `max_marginal_relevance_search`."""
        vector = await self._embedding.aembed_query(query)
        search = self.max_marginal_relevance_search_by_vector
        found: list[Any] = await _in_thread(
            None, partial(search, vector, k, fetch_k, lambda_mult, **kwargs)
        )
        return found

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Any]:
        """As `max_marginal_relevance_search`, for a vector."""
        if not 0 <= lambda_mult <= 1:
            raise ValueError(f"lambda_mult must be in [0, 1], got {lambda_mult}")
        hits = self._search(embedding, max(k, fetch_k), **kwargs)
        return [_document(hit) for hit in self._rows.diverse(embedding, hits, k, 1 - lambda_mult)]

    def _search(
        self,
        embedding: Sequence[float],
        k: int,
        filter: Mapping[str, Any] | Callable[[Any], bool] | None = None,
        **options: Any,
    ) -> list[Hit]:
        if callable(filter):
            keep = filter
            return self._rows.search_where(
                embedding, k, lambda hit: keep(_document(hit)), **options
            )
        where = None if filter is None else as_where(filter)
        return self._rows.search(embedding, k, where, **options)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return partial(score, self._rows.metric)

    # Making and keeping

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Any,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> NearfieldVectorStore:
        """Make a store of texts; other keywords (``path=``) are those of the class."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Any,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> NearfieldVectorStore:
        """As `from_texts`."""
        store: NearfieldVectorStore = await _in_thread(None, partial(cls, embedding, **kwargs))
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store

    def save_local(self, folder_path: str | Path) -> None:
        """Copy the documents into a folder; a store with a `path` keeps them there anyway."""
        self._rows.copy_to(Path(folder_path))

    @classmethod
    def load_local(cls, folder_path: str | Path, embeddings: Any, **kwargs: Any) -> Any:
        """Open what `save_local` or a store with this `path` has left."""
        if not (Path(folder_path) / "rows.db").exists():
            raise FileNotFoundError(f"folder_path must be a saved store, got {folder_path}")
        return cls(embeddings, folder_path, **kwargs)

    def close(self) -> None:
        """Close the collection."""
        self._rows.close()


def _document(hit: Hit) -> Any:
    return Document(id=str(hit.id), page_content=hit.text or "", metadata=hit.metadata)


def _parts(documents: Sequence[Any]) -> tuple[list[str], list[dict[str, Any]]]:
    return [doc.page_content for doc in documents], [doc.metadata for doc in documents]
