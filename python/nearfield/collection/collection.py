"""The public face of a collection: opening, changing, keeping. Reading is in the class below it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from nearfield.collection import check as checking
from nearfield.collection.inputs import as_ids, as_texts, as_vectors, make_batch
from nearfield.collection.opening import open_collection
from nearfield.collection.publishing import publish_view
from nearfield.collection.reading import Reading
from nearfield.errors import UnknownId
from nearfield.progress import Progress, reporting

__all__ = ["Collection"]


class Collection(Reading):
    """Rows of id, vector, text and metadata that survive, in a folder.

    What `add`, `upsert` or `delete` has returned from is on the disk, and the next search sees it.

    Parameters
    ----------
    path : str or Path
        A folder; made if it does not exist.
    encoder : optional
        Turns texts into vectors: `nearfield.embed.Encoder`, or any object with
        ``encode_document(texts)``, ``encode_query(texts)``, ``dim`` and ``fingerprint``. The
        fingerprint is stored, and another encoder is refused from then on.
    dim : int, in 1..65536, optional
        Dimensions of a vector. Needed to make a collection without an encoder.
    metric : {"cosine", "dot", "l2"}, optional
        "cosine" for a new collection.
    index : {"hnsw", "flat", ...}, optional
        The kind of index; "hnsw" for a new collection.
    index_params : dict, optional
        What its constructor takes: ``{"M": 32, "bits": 8}``.
    fields : sequence of str, optional
        Metadata fields whose columns are made once the collection is open, in the background. Any
        other field gets a column when a `where` first asks for it. Either takes a pass over all
        rows, some 4 s a million, for which writers wait.
    partition_by : str, optional
        A metadata field, of int or str, that divides the collection: a search with
        ``partition="acme"``, or with a `where` that demands it, touches only that part.
    durability : {"full", "os"}, default "full"
        "full" syncs each batch before it returns. "os" leaves that to the system: a power cut may
        take the last batches, the crash of a process nothing; batches stay whole.
    read_only : bool, default False
        Read the last `snapshot` while another process may be writing.
    seal_rows : int, at least 64, default 16384
        Rows gather in a tail that is scanned; from this many on they are moved into the index.
        Fewer make searches beside writes a little faster, and steady writing slower.
    max_waiting : int, at least seal_rows, optional
        Rows of a part that may wait for the index before writers wait too; 4 * seal_rows by
        default. Searches scan them: fewer keep searches fast beside a writer that is faster than
        the index is built, and hold that writer back. From three quarters of it on writers go
        slower, as they do while segments are many.
    cache_bytes : int, default 256 MiB
        Memory for ids, texts and metadata of rows met lately.
    threads : int, default 0
        Threads that build the index in the background; 0 means half of the cores. One of them
        makes room for writers, another merges what is there: with 1 they mostly take turns.
    progress : bool or callable, default False
        Shows rebuilding at opening, where that is needed.

    Raises
    ------
    LockedError
        If it is open elsewhere; names the process.
    EncoderMismatch
        If `encoder` is not the collection's; names both fingerprints.
    DataLossDetected
        If acknowledged changes are missing from its files.
    CorruptCollection
        If a file is damaged or not ours.
    StorageError
        If the disk refuses.
    ValueError
        If an argument contradicts what the collection was made with.

    Notes
    -----
    Any thread may call anything; writers take turns, searches wait for nobody. In a child made by
    fork every call raises ForkError.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        encoder: Any = None,
        dim: int | None = None,
        metric: str | None = None,
        index: str | None = None,
        index_params: Mapping[str, Any] | None = None,
        fields: Sequence[str] | None = None,
        partition_by: str | None = None,
        durability: str = "full",
        read_only: bool = False,
        seal_rows: int = 16_384,
        max_waiting: int | None = None,
        cache_bytes: int = 256 << 20,
        threads: int = 0,
        progress: Progress = False,
    ) -> None:
        super().__init__(encoder)
        wanted = {
            "dim": dim, "metric": metric, "index": index, "index_params": index_params,
            "fields": fields, "partition_by": partition_by,
        }  # fmt: skip
        with reporting(progress, "rebuild") as report:
            self._open = open_collection(
                _as_path(path, "path"), wanted, encoder, durability=durability, read_only=read_only,
                seal_rows=seal_rows, max_waiting=max_waiting, cache_bytes=cache_bytes,
                threads=threads, progress=report,
            )  # fmt: skip

    # Changes

    def add(
        self,
        ids: Any = None,
        texts: Any = None,
        vectors: ArrayLike | None = None,
        metadata: Any = None,
    ) -> list[int | str]:
        """Add rows that are new; all of them or, on any error, none.

        Parameters
        ----------
        ids : int, str or sequence of them, optional
            New and distinct. None numbers them on from the largest int id ever held, from 0.
        texts : str or sequence of str, optional
            Stored, and embedded by the encoder where `vectors` are not given; where they are, None
            for a row without a text.
        vectors : array_like, shape (n, dim), optional
            Any float or integer array.
        metadata : dict or sequence of dict or None, optional
            JSON: at most 32 levels deep and 1 MiB a row.

        Returns
        -------
        list of int or str
            The ids.

        Raises
        ------
        ValueError, TypeError
            The message names the argument, the rule and the value; nothing has changed.
        StorageError
            If the disk refuses. After a full disk later writes may be tried; after any other
            fault they raise PoisonedError until the collection is opened again.

        Notes
        -----
        A call is a transaction with one sync: 100 rows a call are some 30 times faster than one.
        """
        return self._write(ids, texts, vectors, metadata, replace=False)

    def upsert(
        self,
        ids: Any,
        texts: Any = None,
        vectors: ArrayLike | None = None,
        metadata: Any = None,
    ) -> list[int | str]:
        """Add rows, in the place of those whose ids are held; arguments as for `add`.

        A row is replaced whole. To change its metadata alone, give the rest as it is::

            rows = docs.get([1, 2])
            docs.upsert(
                [row.id for row in rows],
                texts=[row.text for row in rows],
                vectors=[row.vector for row in rows],
                metadata=[{**row.metadata, "read": True} for row in rows],
            )
        """
        return self._write(ids, texts, vectors, metadata, replace=True)

    def delete(self, ids: Any, *, missing: str = "raise") -> int:
        """Delete rows; all or none.

        Parameters
        ----------
        ids : int, str or sequence of them
            Distinct. Those of a condition: ``[row.id for row in docs.iterate({"year": 2020})]``.
        missing : {"raise", "ignore"}
            What to do about an id that is not held.

        Returns
        -------
        int
            How many were deleted.

        Raises
        ------
        UnknownId
            If an id is not held and `missing` is "raise".
        """
        if missing not in ("raise", "ignore"):
            raise ValueError(f"missing must be 'raise' or 'ignore', got {missing!r}")
        opened = self._ready(writing=True)
        listed = as_ids(ids)
        if len(set(listed)) < len(listed):
            twice = next(id for id in listed if listed.count(id) > 1)
            raise ValueError(f"ids must be distinct, got {twice!r} more than once")
        with opened.store.writing:
            held = opened.store.rows.slots_of(listed)
            if missing == "raise" and None in held:
                unknown = listed[held.index(None)]
                raise UnknownId(f"ids must be in the collection, got {unknown!r}")
            return len(opened.store.write(listed, None).removed)

    def _write(
        self, ids: Any, texts: Any, vectors: Any, metadata: Any, *, replace: bool
    ) -> list[int | str]:
        opened = self._ready(writing=True)
        store = opened.store
        listed = None if texts is None else as_texts(texts, gaps=vectors is not None)
        if vectors is not None:
            matrix = as_vectors(vectors, ids)
        elif listed is None:
            whole = "; a row is replaced whole, and get() gives what it holds" if replace else ""
            raise ValueError(f"texts or vectors must be given, got neither{whole}")
        else:
            matrix = self._encode(listed, "document")
        if listed is not None and len(listed) != len(matrix):
            raise ValueError(
                f"texts must have one entry a vector ({len(matrix)}), got {len(listed)}"
            )
        store.settings.check_vectors(matrix)
        with store.writing:
            next_id = store.rows.state.next_id
            if ids is None:
                if replace:
                    raise ValueError("ids must be given to upsert, got None")
                named: list[int | str] = list(range(next_id, next_id + len(matrix)))
            else:
                named = as_ids(ids)
            if len(named) != len(matrix):
                raise ValueError(f"ids must have one entry a row ({len(matrix)}), got {len(named)}")
            batch = make_batch(named, listed, matrix, metadata, store.settings.partition_by)
            if not named:
                return []
            store.wait_for_room(batch)
            known, next_id = next_id, store.rows.state.next_id
            if ids is None and next_id != known:  # others wrote meanwhile
                named = list(range(next_id, next_id + len(matrix)))
                batch = batch.renamed(named)
            store.check_kind(named)
            if isinstance(named[0], int):
                next_id = max(next_id, min(max(map(int, named)) + 1, 2**63 - 1))
            store.write(named if replace else (), batch, next_id)
        return named

    # Keeping

    def catch_up(self, timeout: float | None = None) -> bool:
        """Wait until the background threads have indexed and merged what they should.

        Returns
        -------
        bool
            False if `timeout` (seconds) came first, or building failed: see `stats`.
        """
        opened = self._ready(writing=True)
        deadline = None if timeout is None else time.monotonic() + timeout
        return opened.catch_up is not None and opened.catch_up.finish(deadline)

    def snapshot(self) -> Path:
        """Publish the present rows and index for readers in other processes (`read_only=True`).

        Writers wait meanwhile, searches do not. The index is part of it; texts and metadata are
        copied. Two snapshots are kept.

        Returns
        -------
        Path
            Of the file that readers begin with.
        """
        opened = self._ready(writing=True)
        return publish_view(opened.folder, opened.store, opened.generations)

    def compact(self, *, progress: Progress = False) -> None:
        """Build one index without dead rows for each part, and give free disk space back.

        Needs memory for the vectors of the largest part twice over.
        """
        opened = self._ready(writing=True)
        opened.store.check_writable()
        if opened.catch_up is not None:
            with reporting(progress, "compact") as report:
                opened.catch_up.seal_everything(report)
        with opened.store.writing:
            opened.store.rows.database.all("PRAGMA incremental_vacuum")
            opened.store.rows.database.checkpoint()

    def check(self, *, deep: bool = False) -> checking.Check:
        """Look for damage: in the database, the rows' set hash, the index, and between them.

        Parameters
        ----------
        deep : bool, default False
            Also read every row, compare its hash and vector, and ask the index for samples of its
            own rows.

        Returns
        -------
        Check
            `ok`, and `findings`: a sentence for each fault.
        """
        return checking.check(self._ready(), deep=deep)

    @classmethod
    def salvage(cls, path: str | Path, into: str | Path) -> checking.Salvage:
        """Copy what is readable of a damaged collection into a new one.

        Parameters
        ----------
        path : str or Path
            The damaged one; nothing in it is changed, except that SQLite may replay its log.
        into : str or Path
            A folder that does not exist or is empty.

        Returns
        -------
        Salvage
            How many rows came from the rows and from snapshots, and how many were damaged.

        Raises
        ------
        ValueError
            If there is something in `into`.
        StorageError
            If there is no collection at `path`.
        """
        return checking.salvage(_as_path(path, "path"), _as_path(into, "into"), cls)


def _as_path(path: Any, name: str) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name} must be a str or a Path, got {type(path).__name__}")
    return Path(path)
