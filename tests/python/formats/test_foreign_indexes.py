"""Index files of hnswlib and faiss: golden ones, fresh ones where possible, broken ones."""

from pathlib import Path

import numpy as np
import pytest

import nearfield as nf

FOREIGN = Path(__file__).parents[2] / "golden" / "foreign"
FAISS = sorted(path.stem for path in FOREIGN.glob("*.faiss"))
NAMED = np.arange(60) * 10 + 3
REFUSALS = (nf.CorruptIndex, nf.IncompatibleVersion, ValueError)


def exact(name):
    """Keep float32 where the file's graph would by default be stored as float16."""
    return {"rerank": "float32"} if "hnsw" in name else {}


@pytest.mark.parametrize("name", FAISS)
def test_a_faiss_file_gives_the_vectors_that_faiss_decodes(name):
    index = nf.read_faiss(FOREIGN / f"{name}.faiss", **exact(name))
    ids = NAMED if name.startswith(("map", "ivf")) else np.arange(60)
    expected = np.load(FOREIGN / "decoded.npz")[name]
    np.testing.assert_allclose(index.get(ids), expected, atol=2e-6)
    assert sorted(index.ids.tolist()) == ids.tolist()
    assert isinstance(index, nf.HNSW if "hnsw" in name else nf.Flat)
    assert index.metric == ("dot" if name == "flat-ip" else "l2")
    index.validate()


def test_a_faiss_graph_passes_on_its_parameters_and_may_become_flat():
    path = FOREIGN / "hnsw.faiss"
    assert nf.read_faiss(path).stats()["M"] == 6
    assert nf.read_faiss(path, M=12, ef_search=99).ef_search == 99
    flat = nf.read_faiss(path, metric="cosine", kind="flat")
    assert (type(flat), flat.metric) == (nf.Flat, "cosine")
    with pytest.raises(ValueError, match="kind must be 'flat', 'hnsw' or None, got 'ivf'"):
        nf.read_faiss(path, kind="ivf")


def test_an_hnswlib_file_gives_its_live_vectors_under_their_labels():
    index = nf.read_hnswlib(FOREIGN / "l2.hnswlib", "l2", rerank="float32")
    vectors = np.load(FOREIGN / "vectors.npy")
    left = np.delete(np.arange(60), 7)
    np.testing.assert_array_equal(index.get(NAMED[left]), vectors[left])
    assert NAMED[7] not in index
    assert (index.stats()["M"], index.stats()["ef_construction"]) == (6, 40)
    np.testing.assert_array_equal(index.search(vectors[left], k=1).ids[:, 0], NAMED[left])
    with pytest.raises(ValueError, match=r"dim must be that of the file \(8\), got 9"):
        nf.read_hnswlib(FOREIGN / "l2.hnswlib", "l2", dim=9)


@pytest.mark.parametrize("name", ["l2.hnswlib", *(f"{name}.faiss" for name in FAISS)])
def test_a_foreign_file_cut_at_any_length_is_refused(name, tmp_path):
    whole = (FOREIGN / name).read_bytes()
    read = nf.read_faiss if name.endswith("faiss") else lambda path: nf.read_hnswlib(path, "l2")
    path = tmp_path / "cut"
    for n in [*range(0, min(len(whole), 300), 5), *range(300, len(whole), 331)]:
        path.write_bytes(whole[:n])
        with pytest.raises(nf.CorruptIndex) as caught:
            read(path)
        assert caught.value.path == str(path)
        assert 0 <= caught.value.offset <= n
    path.write_bytes(whole + b"\0")
    with pytest.raises(nf.CorruptIndex, match="follow the index"):
        read(path)


@pytest.mark.parametrize("name", ["l2.hnswlib", *(f"{name}.faiss" for name in FAISS)])
def test_a_foreign_file_with_changed_numbers_is_refused_or_harmless(name, tmp_path, rng):
    whole = (FOREIGN / name).read_bytes()
    faiss = name.endswith("faiss")
    path = tmp_path / "changed"
    values = [b"\xff" * 8, b"\0" * 8, (1 << 62).to_bytes(8, "little"), b"\xff\xff\xff\x7f\0\0\0\0"]
    for at in [*range(0, min(160, len(whole) - 8), 8), *rng.integers(0, len(whole) - 8, 20)]:
        changed = bytearray(whole)
        changed[at : at + 8] = values[at // 4 % 4]
        path.write_bytes(changed)
        try:
            index = nf.read_faiss(path) if faiss else nf.read_hnswlib(path, "l2")
        except REFUSALS:
            continue
        index.search(np.ones((2, index.dim), np.float32))


def test_a_faiss_type_that_is_not_read_is_named(tmp_path):
    (tmp_path / "x.faiss").write_bytes(b"IxPT" + b"\0" * 100)
    with pytest.raises(nf.IncompatibleVersion, match="'IxPT'") as caught:
        nf.read_faiss(tmp_path / "x.faiss")
    assert caught.value.found == "IxPT"
    assert "IwFl" in caught.value.supported
    assert caught.value.path == str(tmp_path / "x.faiss")


def test_nesting_in_a_faiss_file_has_an_end(tmp_path):
    head = b"\x08\0\0\0" + b"\0" * 24 + b"\x01" + b"\x01\0\0\0"
    (tmp_path / "deep.faiss").write_bytes((b"IxMp" + head) * 5000)
    with pytest.raises(nf.CorruptIndex, match="nested at most 5 deep"):
        nf.read_faiss(tmp_path / "deep.faiss")


@pytest.mark.parametrize("n", [0, 1, 700])
@pytest.mark.parametrize("space", ["l2", "ip", "cosine"])
def test_a_fresh_hnswlib_file_answers_as_hnswlib_does(space, n, tmp_path, rng):
    hnswlib = pytest.importorskip("hnswlib")
    vectors = rng.standard_normal((n, 24), dtype=np.float32)
    theirs = hnswlib.Index(space, 24)
    theirs.init_index(1000, M=12, ef_construction=100)
    labels = rng.permutation(5000)[:n]
    if n:
        theirs.add_items(vectors, labels)
    theirs.save_index(str(tmp_path / "a.bin"))
    metric = {"l2": "l2", "ip": "dot", "cosine": "cosine"}[space]
    ours = nf.read_hnswlib(tmp_path / "a.bin", metric, rerank="float32", ef_search=200)
    assert sorted(ours.ids.tolist()) == sorted(labels.tolist())
    if n > 10:
        theirs.set_ef(200)
        found, distances = theirs.knn_query(vectors[:50], k=5)
        hits = ours.search(vectors[:50], k=5)
        assert (hits.ids == found).mean() > 0.98
        same = hits.ids == found
        offset = 1 if space == "ip" else 0  # theirs is 1 - q.x
        np.testing.assert_allclose(hits.distances[same], distances[same] - offset, atol=2e-4)


@pytest.mark.parametrize(
    "factory", ["Flat", "SQ8", "HNSW16,Flat", "IVF8,Flat", "IVF8,PQ8x8np", "IDMap,Flat"]
)
@pytest.mark.parametrize("metric", ["l2", "dot"])
def test_a_fresh_faiss_file_gives_the_vectors_that_faiss_reconstructs(
    factory, metric, tmp_path, rng
):
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(1)  # its threads and ours wait for each other on few cores
    vectors = rng.standard_normal((900, 16), dtype=np.float32)
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    theirs = faiss.index_factory(16, factory, kind)
    theirs.train(vectors)
    ids = np.arange(900)
    if "IDMap" in factory:
        ids = ids * 3 + 1
        theirs.add_with_ids(vectors, ids)
    else:
        theirs.add(vectors)
    faiss.write_index(theirs, str(tmp_path / "a.faiss"))
    ours = nf.read_faiss(
        tmp_path / "a.faiss", **({"rerank": "float32"} if "HNSW" in factory else {})
    )
    inner = theirs.index if "IDMap" in factory else theirs
    if "IVF" in factory:
        inner.make_direct_map()
    np.testing.assert_allclose(ours.get(ids), inner.reconstruct_n(0, 900), atol=2e-6)
    assert ours.metric == metric
