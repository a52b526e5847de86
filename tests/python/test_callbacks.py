"""What a long call calls may come back to the object: it gets an answer or an error, no hang."""

import threading

import numpy as np
import pytest

import nearfield as nf

N, DIM = 12_000, 48


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(0).standard_normal((N, DIM), dtype=np.float32)


def finished(call, seconds=120):
    """What `call` gave or raised; a call that waits for itself fails here rather than hangs."""
    outcome = []

    def run():
        try:
            outcome.append((call(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert outcome, f"the call did not end within {seconds} seconds"
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def errors_of(calls):
    """A callback that makes each call once, and the errors that the calls raised, by name."""
    found = {}

    def progress(done, total):
        for name, call in calls.items():
            if name in found:
                continue
            try:
                call()
                found[name] = None
            except RuntimeError as error:
                found[name] = str(error)

    return progress, found


@pytest.mark.parametrize("named", [False, True], ids=["int", "str"])
def test_a_callback_of_add_may_ask_for_length_and_ids_but_nothing_else(named, vectors):
    index = nf.HNSW(DIM, "l2")
    ids = [f"row {i}" for i in range(N)] if named else None
    first = ids[0] if named else 0
    index.add(vectors[:100], ids and ids[:100])
    seen = []

    def look(done, total):
        seen.append((len(index), first in index, len(index.ids)))

    finished(lambda: index.add(vectors[100:6000], ids and ids[100:6000], progress=look))
    assert seen and set(seen) == {(100, True, 100)}

    progress, found = errors_of({
        "search": lambda: index.search(vectors[0]),
        "search_many": lambda: index.search(vectors[:3], filter=nf.exclude([first])),
        "range_search": lambda: index.range_search(vectors[0], radius=1.0),
        "get": lambda: index.get(first),
        "stats": index.stats,
        "validate": index.validate,
        "ef_search": lambda: setattr(index, "ef_search", 50),
        "add": lambda: index.add(vectors[:1], ids and ["new"]),
        "update": lambda: index.update(first, vectors[0]),
        "remove": lambda: index.remove(first),
        "compact": index.compact,
    })  # fmt: skip
    finished(lambda: index.add(vectors[6000:], ids and ids[6000:], progress=progress))
    assert len(found) == 11
    for name, message in found.items():
        assert message is not None and message.startswith("an index must not be"), name
        assert "from inside" in message, name
    assert len(index) == N
    assert (index.search(vectors[:5], k=1).ids[:, 0] == (ids or list(range(N)))[:5]).all()


def test_a_callback_of_save_may_search_and_may_not_change(vectors, tmp_path):
    index = nf.Flat(DIM, "l2")
    index.add(np.tile(vectors, (40, 1)))
    hits = []
    progress, found = errors_of({
        "search": lambda: hits.append(index.search(vectors[7], k=1).ids[0]),
        "len": lambda: hits.append(len(index)),
        "add": lambda: index.add(vectors[:1]),
        "save": lambda: index.save(tmp_path / "other.nf"),
    })  # fmt: skip

    for _ in range(20):  # until a save has lasted long enough for a callback
        finished(lambda: index.save(tmp_path / "index.nf", progress=progress))
        if found:
            break
    assert hits == [7, 40 * N]
    assert found["search"] is found["len"] is None
    assert found["add"].startswith("an index must not be changed or saved from inside")
    assert found["save"] == found["add"]
    assert len(nf.load(tmp_path / "index.nf")) == 40 * N


def test_a_callback_of_train_may_not_add(vectors):
    index = nf.IVFPQ(DIM, "l2", nlist=1600)
    sample = np.tile(vectors, (4, 1))  # takes long enough for callbacks
    progress, found = errors_of({
        "add": lambda: index.add(vectors[:1]),
        "nprobe": lambda: setattr(index, "nprobe", 3),
        "len": lambda: len(index),
    })  # fmt: skip
    finished(lambda: index.train(sample, progress=progress))
    assert found["len"] is None
    assert found["add"].startswith("an index must not be") and "from inside" in found["add"]
    assert found["nprobe"].startswith("an index must not be used")
    assert index.trained


def test_a_callback_may_use_another_index(vectors):
    one, other = nf.HNSW(DIM, "l2"), nf.Flat(DIM, "l2")
    other.add(vectors[:1000])
    found = []

    def progress(done, total):
        found.append(other.search(vectors[3], k=1).ids[0])

    finished(lambda: one.add(vectors, progress=progress))
    assert found and set(found) == {3}


def test_a_callback_of_a_collections_compact_may_read_and_may_not_change(vectors, tmp_path):
    with nf.Collection(tmp_path / "docs", dim=DIM, metric="l2") as docs:
        docs.add(vectors=vectors)
        nearest = []
        progress, found = errors_of({
            "search": lambda: nearest.append(docs.search(vectors[5], k=1)[0].id),
            "get": lambda: docs.get([1]),
            "add": lambda: docs.add(vectors=vectors[:1]),
            "delete": lambda: docs.delete([1]),
            "compact": docs.compact,
            "catch_up": docs.catch_up,
            "snapshot": docs.snapshot,
        })  # fmt: skip
        finished(lambda: docs.compact(progress=progress))
        assert nearest == [5] and found["get"] is None
        for name in ("add", "delete", "compact", "catch_up", "snapshot"):
            assert found[name].startswith("a collection must not be changed or compacted"), name
        assert len(docs) == N and docs.check().ok
