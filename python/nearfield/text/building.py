"""Documents into a collection, passage by passage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.embed.chunk import Chunk, Chunker
from nearfield.embed.pipeline import encode_while
from nearfield.progress import Progress
from nearfield.text.documents import Document

__all__ = ["add_documents", "passages_of"]


def passages_of(
    documents: Iterable[Document], chunker: Callable[[str], list[Chunk]] | None = None
) -> Iterator[Document]:
    """Split documents into passages.

    A passage's id is the document's, with ``#2``, ``#3`` ... for the second and later ones; its
    metadata are the document's with ``document``, ``start`` and ``end``, its place in the text.
    """
    split = chunker or Chunker(200)
    for document in documents:
        for number, part in enumerate(split(document.text), start=1):
            name = document.id if number == 1 else f"{document.id}#{number}"
            place = {"document": document.id, "start": part.start, "end": part.end}
            yield Document(name, part.text, document.metadata | place)


def add_documents(
    collection: Any,
    encoder: Any,
    documents: Iterable[Document],
    chunker: Callable[[str], list[Chunk]] | None = None,
    *,
    block: int = 512,
    progress: Progress = False,
) -> int:
    """Add documents' passages, storing and indexing some while the next are encoded.

    Parameters
    ----------
    collection : Collection
        Passages whose ids it holds are replaced.
    encoder : Encoder
        The collection's.
    documents : iterable of Document
    chunker : callable, optional
        How documents are split; passages of up to 200 words where not given.
    block : int, default 512
        Passages of a transaction.
    progress : bool or callable, default False

    Returns
    -------
    int
        Passages added.
    """

    def store(passages: list[Document], vectors: NDArray[np.float32]) -> None:
        collection.upsert(
            [passage.id for passage in passages],
            texts=[passage.text for passage in passages],
            vectors=vectors,
            metadata=[passage.metadata for passage in passages],
        )

    return encode_while(
        encoder, passages_of(documents, chunker), store, text=lambda passage: passage.text,
        block=block, progress=progress,
    )  # fmt: skip
