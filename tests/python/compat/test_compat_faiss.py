"""The faiss layer on its own: its rules, its errors, its files."""

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.compat import faiss
from nearfield.compat.damage import DamagedFile, UnknownFile

FOREIGN = Path(__file__).parents[2] / "golden" / "foreign"
FILES = sorted(path.name for path in FOREIGN.glob("*.faiss"))
FACTORIES = [
    "Flat", "SQ8", "SQ4", "SQfp16", "SQbf16", "HNSW8", "HNSW8,SQ8", "IVF4,Flat", "IVF4,SQ8",
    "IVF4,PQ4x4", "PQ4x4", "Flat,RFlat", "IVF4,PQ4x4,RFlat", "PCA4,Flat", "L2norm,Flat",
    "PCAR4,IVF4,SQ8", "RR8,Flat", "IDMap,Flat", "IDMap2,IVF4,Flat", "IDMap,HNSW8",
]  # fmt: skip
LARGEST = np.finfo(np.float32).max


@pytest.fixture
def vectors(rng):
    return rng.standard_normal((400, 8), dtype=np.float32)


def filled(factory, vectors, metric=faiss.METRIC_L2):
    index = faiss.index_factory(vectors.shape[1], factory, metric)
    index.train(vectors)
    if factory.startswith("IDMap"):
        index.add_with_ids(vectors, np.arange(len(vectors)) * 3 + 1)
    else:
        index.add(vectors)
    for name in ("nprobe", "efSearch"):
        try:
            faiss.ParameterSpace().set_index_parameter(index, name, 4 if name == "nprobe" else 99)
        except RuntimeError:
            continue
    return index


@pytest.mark.parametrize("metric", [faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT])
def test_flat_is_exact_with_faisss_signs_and_padding(metric, vectors):
    index = filled("Flat", vectors, metric)
    D, labels = index.search(vectors[:5], 3)
    products = vectors[:5] @ vectors.T
    exact = (
        products
        if metric == faiss.METRIC_INNER_PRODUCT
        else (-((vectors[:5, None] - vectors[None]) ** 2).sum(axis=2))
    )
    np.testing.assert_array_equal(labels, np.argsort(-exact, axis=1)[:, :3])
    best = -np.sort(-exact, axis=1)[:, :3]
    np.testing.assert_allclose(D, best if metric == 0 else -best, atol=1e-4)
    D, labels = index.search(vectors[:2], 402)
    assert (labels[:, 400:] == -1).all()
    assert (D[:, 400:] == (LARGEST if metric == faiss.METRIC_L2 else -LARGEST)).all()


@pytest.mark.parametrize("metric", [faiss.METRIC_L2, faiss.METRIC_INNER_PRODUCT])
@pytest.mark.parametrize("factory", FACTORIES)
def test_an_index_survives_its_file_its_bytes_and_pickle(factory, metric, vectors, tmp_path):
    index = filled(factory, vectors, metric)
    D, labels = index.search(vectors[:20], 5)
    path = str(tmp_path / "a.faiss")
    faiss.write_index(index, path)
    written = io.BytesIO()
    stream = faiss.BufferedIOWriter(faiss.PyCallbackIOWriter(written.write, 100))
    faiss.write_index(index, stream)
    written.seek(0)
    assert written.getvalue() == faiss.serialize_index(index).tobytes()
    for other in (
        faiss.read_index(path),
        faiss.deserialize_index(faiss.serialize_index(index)),
        faiss.read_index(faiss.BufferedIOReader(faiss.PyCallbackIOReader(written.read))),
        pickle.loads(pickle.dumps(index)),
        faiss.clone_index(index),
    ):
        assert (other.d, other.ntotal, other.metric_type) == (8, 400, metric)
        D2, I2 = other.search(vectors[:20], 5)
        assert (labels == I2).mean() > 0.98
        same = labels == I2
        np.testing.assert_allclose(D[same], D2[same], atol=1e-4)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_faiss_cut_anywhere_or_changed_is_corrupt_or_harmless(name, tmp_path, rng):
    whole = (FOREIGN / name).read_bytes()
    path = tmp_path / "cut"
    for end in [*range(0, 200, 11), *range(200, len(whole), 997), len(whole) - 1]:
        path.write_bytes(whole[:end])
        with pytest.raises(DamagedFile) as caught:
            faiss.read_index(str(path))
        assert isinstance(caught.value, nf.CorruptIndex)
        assert isinstance(caught.value, RuntimeError)
    for at in rng.integers(0, len(whole) - 8, 12):
        changed = bytearray(whole)
        changed[at : at + 8] = bytes(rng.integers(0, 256, 8, dtype=np.uint8))
        try:
            index = faiss.deserialize_index(np.frombuffer(bytes(changed), np.uint8))
        except RuntimeError:
            continue
        if index.is_trained:
            index.search(np.ones((2, index.d), np.float32), 3)


def test_files_of_other_kinds_and_missing_ones_are_told_apart(tmp_path):
    (tmp_path / "x").write_bytes(b"IxLa" + b"\0" * 100)
    with pytest.raises(UnknownFile, match="'IxLa'") as caught:
        faiss.read_index(str(tmp_path / "x"))
    assert isinstance(caught.value, nf.IncompatibleVersion)
    with pytest.raises(RuntimeError, match="could not open"):
        faiss.read_index(str(tmp_path / "none"))
    with pytest.raises(RuntimeError, match="could not open"):
        faiss.write_index(faiss.IndexFlatL2(2), str(tmp_path / "no" / "folder"))


def test_a_transform_of_a_file_must_be_finite(vectors):
    index = filled("PCA4,Flat", vectors)
    index.chain[0].A[1, 2] = np.nan
    with pytest.raises(DamagedFile, match="A must be finite"):
        faiss.deserialize_index(faiss.serialize_index(index))


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "IVF4,Flat", "PQ4x4", "IDMap,Flat"])
def test_selectors_let_in_what_they_say(factory, vectors):
    index = filled(factory, vectors)
    ids = index._ids()
    bits = np.zeros(151, np.uint8)
    bits[[0, 5, 90]] = 0b1010
    few = faiss.IDSelectorBatch(ids[:9])
    wide = faiss.IDSelectorRange(10, 300)
    selectors = [
        few, wide, faiss.IDSelectorArray(ids[3:5]), faiss.IDSelectorBitmap(bits),
        faiss.IDSelectorNot(wide), faiss.IDSelectorAnd(few, wide), faiss.IDSelectorOr(few, wide),
        faiss.IDSelectorXOr(few, wide), faiss.IDSelectorAll(),
    ]  # fmt: skip
    kind = (
        faiss.SearchParametersIVF if "IVF" in factory
        else faiss.SearchParametersHNSW if "HNSW" in factory else faiss.SearchParameters
    )  # fmt: skip
    for selector in selectors:
        allowed = {id for id in ids.tolist() if selector.is_member(id)}
        found = index.search(vectors[:4], 12, params=kind(sel=selector))[1]
        for row in found:
            got = {id for id in row.tolist() if id >= 0}
            assert got <= allowed
            assert len(got) == min(12, len(allowed))


def test_what_faiss_refuses_is_refused_with_its_classes(vectors):
    index = faiss.IndexFlatL2(8)
    for call in (
        lambda: index.add(vectors[:, :3]), lambda: index.search(vectors, 0),
        lambda: index.search(vectors[:, :2], 1), lambda: index.remove_ids(np.zeros((1, 1))),
        lambda: faiss.SearchParametersIVF(nprobes=3),
        lambda: filled("IDMap,Flat", vectors).add_with_ids(vectors, np.arange(3)),
        lambda: faiss.knn(vectors, vectors[:, :2], 1),
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            call()
    untrained = faiss.index_factory(8, "IVF4,Flat")
    bad = vectors.copy()
    bad[3, 3] = np.inf
    for call in (
        lambda: untrained.add(vectors), lambda: untrained.search(vectors, 1),
        lambda: untrained.train(vectors[:3]), lambda: index.add(bad),
        lambda: filled("HNSW8", vectors).remove_ids(np.array([1])),
        lambda: filled("IDMap,Flat", vectors).add(vectors),
        lambda: filled("Flat", vectors).add_with_ids(vectors, np.arange(400)),
        lambda: filled("IDMap,Flat", vectors).reconstruct(1),
        lambda: index.reconstruct(5), lambda: faiss.index_factory(8, "NSG32"),
        lambda: faiss.index_factory(8, "PQ3"), lambda: faiss.IndexIDMap(filled("Flat", vectors)),
        lambda: filled("IVF4,Flat", vectors).search(
            vectors, 1, params=faiss.SearchParametersHNSW()
        ),
    ):  # fmt: skip
        with pytest.raises(RuntimeError):
            call()
    with pytest.raises(ValueError):
        index.add(vectors[0])
    for call in (lambda: setattr(index, "nprobes", 3), lambda: faiss.Kmeans(8, 3, iterations=3)):
        with pytest.raises(AttributeError):
            call()
    for call in (lambda: faiss.IndexFlat(8, faiss.METRIC_L1), lambda: faiss.IndexPQ(8, 4, 6)):
        with pytest.raises(NotImplementedError):
            call()
    assert index.ntotal == 0


def test_unknown_names_are_answered_with_those_that_are_known():
    with pytest.raises(AttributeError, match=r"has no 'IndexNSG'; it has .*IndexHNSWFlat"):
        faiss.IndexNSG  # noqa: B018
    for name in faiss.__all__:
        assert getattr(faiss, name) is not None


def test_install_stands_in_for_faiss_and_never_silently():
    code = (
        "import nearfield.compat.faiss as ours; ours.install(); import faiss;"
        "assert faiss is ours; ours.install(); print(faiss.IndexFlatL2(3).d)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "3"


def test_positions_move_up_and_ids_stay(vectors):
    for factory in ("Flat", "PQ4x4"):
        index = filled(factory, vectors)
        kept = index.reconstruct_n(5, 3)
        assert index.remove_ids(np.array([0, 2, 999])) == 2
        assert index.ntotal == 398
        np.testing.assert_allclose(index.reconstruct_n(3, 3), kept, atol=1e-5)
    for factory in ("IVF4,Flat", "IDMap2,Flat", "IDMap2,IVF4,Flat"):
        index = filled(factory, vectors)
        ids = np.sort(index._ids())
        assert index.remove_ids(faiss.IDSelectorRange(0, int(ids[10]))) == 10
        np.testing.assert_array_equal(index.reconstruct(int(ids[12])), vectors[12])
        D, labels = index.search(vectors[12:13], 1)
        assert (labels[0, 0], D[0, 0]) == (ids[12], 0)
        other = filled(factory, vectors)
        other.reset()
        assert other.ntotal == 0


def test_merge_range_reconstruct_and_output_arrays(vectors):
    index, other = filled("Flat", vectors[:200]), filled("Flat", vectors[200:])
    index.merge_from(other)
    assert (index.ntotal, other.ntotal) == (400, 0)
    lims, D, labels = index.range_search(vectors[:3], 4.0)
    exact = ((vectors[:3, None] - vectors[None]) ** 2).sum(axis=2)
    for row in range(3):
        assert set(labels[lims[row] : lims[row + 1]]) == set(np.flatnonzero(exact[row] < 4.0))
    assert (D < 4.0).all()
    D, labels = np.empty((2, 4), np.float32), np.empty((2, 4), np.int64)
    back = index.search(vectors[:2], 4, D=D, I=labels)
    assert back[0] is D
    assert back[1] is labels
    D, labels, R = index.search_and_reconstruct(vectors[:2], 2)
    np.testing.assert_array_equal(R, vectors[labels])
    np.testing.assert_array_equal(index.assign(vectors[:2], 1)[:, 0], [0, 1])
    products = filled("Flat", vectors, faiss.METRIC_INNER_PRODUCT)
    lims, D, _ = products.range_search(vectors[:3], 5.0)
    assert lims[-1] == (vectors[:3] @ vectors.T > 5.0).sum()
    assert (D > 5.0).all()


def test_functions_and_kmeans(vectors, rng):
    rows = vectors.copy()
    rows[3] = 0
    faiss.normalize_L2(rows)
    norms = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(np.delete(norms, 3), 1, atol=1e-6)
    assert norms[3] == 0
    D, _ = faiss.knn(vectors[:3], vectors, 2, faiss.METRIC_INNER_PRODUCT)
    np.testing.assert_allclose(D, -np.sort(-(vectors[:3] @ vectors.T), axis=1)[:, :2], atol=1e-5)
    model = faiss.Kmeans(8, 5, niter=10, seed=3)
    objective = model.train(vectors)
    D, _ = model.assign(vectors)
    assert model.centroids.shape == (5, 8)
    assert abs(D.sum() - objective) < 1e-2 * objective
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    assert faiss.omp_get_max_threads() == nf.get_num_threads() == 1
    faiss.omp_set_num_threads(before)
    assert faiss.get_num_gpus() == 0
    index = faiss.IndexPreTransform(faiss.PCAMatrix(8, 4), faiss.index_factory(4, "IVF4,Flat"))
    faiss.ParameterSpace().set_index_parameters(index, "nprobe=3")
    assert faiss.extract_index_ivf(index).nprobe == 3
    assert faiss.try_extract_index_ivf(faiss.IndexFlatL2(3)) is None


def test_centroids_that_are_given_are_kept(vectors, rng):
    quantizer = faiss.IndexFlatL2(8)
    centroids = rng.standard_normal((6, 8), dtype=np.float32)
    quantizer.add(centroids)
    index = faiss.IndexIVFFlat(quantizer, 8, 6)
    index.train(vectors)
    index.add(vectors)
    np.testing.assert_array_equal(index.quantizer.reconstruct_n(), centroids)
    owner = ((vectors[:, None] - centroids[None]) ** 2).sum(axis=2).argmin(axis=1)
    from nearfield.compat.faiss.states import read_state

    for number, ids in enumerate(read_state(index._native).lists()):
        assert (owner[ids] == number).all()


def test_binary_flat_counts_bits(rng, tmp_path):
    codes = rng.integers(0, 256, (90, 4), dtype=np.uint8)
    index = faiss.IndexBinaryFlat(32)
    index.add(codes)
    D, labels = index.search(codes[:5], 3)
    bits = np.unpackbits(codes, axis=1).astype(int)
    exact = np.abs(bits[:5, None] - bits[None]).sum(axis=2)
    np.testing.assert_array_equal(D, np.sort(exact, axis=1)[:, :3])
    assert D.dtype == np.int32
    assert (labels[:, 0] == np.arange(5)).all()
    np.testing.assert_array_equal(index.reconstruct_n(), codes)
    faiss.write_index_binary(index, str(tmp_path / "b"))
    other = faiss.read_index_binary(str(tmp_path / "b"))
    np.testing.assert_array_equal(other.search(codes[:5], 3)[0], D)
    lims, _, _ = index.range_search(codes[:5], 9)
    assert lims[-1] == (exact < 9).sum()
    assert index.remove_ids(np.array([0])) == 1
    with pytest.raises(TypeError):
        index.add(codes.astype(np.float32))
    with pytest.raises(RuntimeError):
        faiss.IndexBinaryFlat(9)
