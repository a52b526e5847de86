"""The hnswlib layer on its own: its rules, its errors, its files."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from oracle import assert_nearest

import nearfield as nf
from nearfield.compat import hnswlib
from nearfield.compat.damage import DamagedFile
from nearfield.formats.hnswlib_file import read_rows

FOREIGN = Path(__file__).parents[2] / "golden" / "foreign"
SPACES = {"l2": "l2", "ip": "dot", "cosine": "cosine"}
PAD = np.uint64(2**64 - 1)


def made(space, vectors, labels=None, **params):
    index = hnswlib.Index(space, vectors.shape[1])
    index.init_index(max_elements=len(vectors) + 10, **params)
    index.add_items(vectors, labels)
    index.set_ef(200)
    return index


@pytest.mark.parametrize("space", SPACES)
def test_queries_give_labels_and_distances_as_hnswlib_has_them(space, rng):
    vectors = rng.standard_normal((900, 16), dtype=np.float32)
    labels = rng.permutation(10**6)[:900].astype(np.uint64) + np.uint64(2**63)
    index = made(space, vectors, labels)
    found, distances = index.knn_query(vectors[:20], k=5)
    assert found.dtype == np.uint64
    assert distances.dtype == np.float32
    assert (found[:, 0] == labels[:20]).all() or space == "ip"
    rows = nf.Neighbors(np.searchsorted(np.sort(labels), found), distances - (space == "ip"))
    order = np.argsort(labels)
    assert_nearest(rows, vectors[order], vectors[:20], SPACES[space], 5, rtol=1e-4)
    one, near = index.knn_query(vectors[3], k=5)
    assert one.shape == near.shape == (1, 5)
    np.testing.assert_array_equal(one[0], found[3])


def test_fewer_than_k_pads_unless_strict(rng):
    vectors = rng.standard_normal((3, 4), dtype=np.float32)
    labels, distances = made("l2", vectors).knn_query(vectors, k=5)
    assert (labels[:, 3:] == PAD).all()
    assert np.isinf(distances[:, 3:]).all()
    strict = hnswlib.Index("l2", 4, strict=True)
    strict.init_index(9)
    with pytest.raises(RuntimeError, match="contiguous 2D array"):
        strict.knn_query(vectors[0], k=1)
    strict.add_items(vectors)
    assert strict.knn_query(vectors, k=3)[0].shape == (3, 3)
    with pytest.raises(RuntimeError, match="contiguous 2D array"):
        strict.knn_query(vectors, k=3, filter=lambda label: label < 2)


def test_labels_are_numbered_by_rows_added_and_again_means_update(rng):
    vectors = rng.standard_normal((6, 4), dtype=np.float32)
    index = made("l2", vectors[:3])
    index.add_items(vectors[3:5], [1, 1])
    assert index.element_count == 3
    np.testing.assert_array_equal(index.get_items([1])[0], vectors[4])
    index.add_items(vectors[5])
    assert sorted(index.get_ids_list()) == [0, 1, 2, 5]
    assert index.get_items([2], "list") == [vectors[2].tolist()]
    assert index.get_items().shape == (0,)


def test_deleted_elements_stay_counted_and_come_back(rng):
    vectors = rng.standard_normal((400, 8), dtype=np.float32)
    index = made("l2", vectors)
    index.mark_deleted(7)
    assert index.element_count == 400
    assert 7 in index.get_ids_list()
    assert index.knn_query(vectors[7])[0][0, 0] != 7
    for call in (index.mark_deleted, lambda label: index.get_items([label])):
        with pytest.raises(RuntimeError):
            call(7)
    index.unmark_deleted(7)
    assert index.knn_query(vectors[7])[0][0, 0] == 7
    with pytest.raises(RuntimeError, match="not deleted"):
        index.unmark_deleted(7)
    with pytest.raises(RuntimeError, match="Label not found"):
        index.mark_deleted(1000)
    index.mark_deleted(8)
    index.add_items(vectors[9:10], [8])
    np.testing.assert_array_equal(index.get_items([8])[0], vectors[9])


def test_deleted_places_are_taken_where_that_is_allowed(rng):
    vectors = rng.standard_normal((20, 4), dtype=np.float32)
    index = hnswlib.Index("l2", 4)
    index.init_index(10, allow_replace_deleted=True)
    index.add_items(vectors[:10])
    with pytest.raises(RuntimeError, match="exceeds the specified limit"):
        index.add_items(vectors[10:12])
    for label in (2, 3):
        index.mark_deleted(label)
    with pytest.raises(RuntimeError, match="Can't use addPoint"):
        index.add_items(vectors[:1], [2])
    index.add_items(vectors[10:12], [50, 51], replace_deleted=True)
    assert index.element_count == 10
    assert sorted(index.get_ids_list()) == [0, 1, 4, 5, 6, 7, 8, 9, 50, 51]
    with pytest.raises(RuntimeError, match="exceeds the specified limit"):
        index.add_items(vectors[12:13], [60], replace_deleted=True)
    other = made("l2", vectors)
    with pytest.raises(RuntimeError, match="disabled in constructor"):
        other.add_items(vectors[:1], [99], replace_deleted=True)


@pytest.mark.parametrize("share", [0.5, 0.02, 0.001, 0])
def test_a_filter_loses_no_recall_and_asks_about_a_label_once(share, rng):
    vectors = rng.standard_normal((3000, 8), dtype=np.float32)
    index = made("l2", vectors)
    allowed = set(rng.permutation(3000)[: int(3000 * share)].tolist())
    asked = []

    def allow(label):
        asked.append(label)
        return label in allowed

    labels, distances = index.knn_query(vectors[:30], k=4, filter=allow)
    assert len(asked) == len(set(asked))
    kept = np.array(sorted(allowed), int)
    k = min(4, len(kept))
    exact = ((vectors[:30, None] - vectors[kept][None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(distances[:, :k], np.sort(exact, axis=1)[:, :k], atol=1e-4)
    assert (labels[:, k:] == PAD).all()
    if share == 0.5:
        assert len(asked) < 3000


def test_what_hnswlib_refuses_is_a_runtime_error_and_changes_nothing(rng):
    vectors = rng.standard_normal((5, 4), dtype=np.float32)
    with pytest.raises(RuntimeError, match="Space name"):
        hnswlib.Index("l3", 4)
    index = hnswlib.Index("cosine", 4)
    for call in (
        lambda: index.add_items(vectors),
        lambda: index.knn_query(vectors),
        index.save_index,
    ):
        with pytest.raises((RuntimeError, TypeError)):
            call()
    index.init_index(10)
    with pytest.raises(RuntimeError, match="already initiated"):
        index.init_index(10)
    index.add_items(vectors)
    bad = vectors.copy()
    bad[2, 1] = np.nan
    zero = vectors.copy()
    zero[1] = 0
    for data, ids in [
        (vectors[:, :3], None), (vectors[None], None), (vectors, [1, 2]), (bad, [7, 8, 9, 10, 11]),
        (zero, [0, 1, 2, 3, 4]), (np.tile(vectors, (3, 1)), np.arange(100, 115)),
    ]:  # fmt: skip
        with pytest.raises(RuntimeError):
            index.add_items(data, ids)
    assert sorted(index.get_ids_list()) == [0, 1, 2, 3, 4]
    for call in (
        lambda: index.knn_query(vectors[:, :2]), lambda: index.resize_index(4),
        lambda: index.knn_query(bad), lambda: index.get_items([77]),
    ):  # fmt: skip
        with pytest.raises(RuntimeError):
            call()
    for call in (lambda: index.get_items(3), lambda: index.get_items([1], "torch")):
        with pytest.raises(ValueError):
            call()
    for call in (
        lambda: index.set_ef(-1),
        lambda: index.mark_deleted("x"),
        lambda: index.set_ef(1.5),
    ):
        with pytest.raises(TypeError):
            call()


def test_searches_run_beside_changes(rng):
    vectors = rng.standard_normal((1500, 8), dtype=np.float32)
    index = made("l2", vectors[:500])
    index.resize_index(2000)
    with ThreadPoolExecutor(4) as pool:
        searches = [pool.submit(index.knn_query, vectors, 3) for _ in range(20)]
        changes = [
            pool.submit(index.add_items, vectors[at : at + 100], np.arange(at, at + 100))
            for at in range(500, 1500, 100)
        ] + [pool.submit(index.mark_deleted, label) for label in range(100)]
        for job in (*searches, *changes):
            job.result()
    assert index.element_count == 1500
    live = np.arange(100, 1500)
    assert (index.knn_query(vectors[live])[0][:, 0] == live).mean() > 0.99


def test_properties_and_sizes_are_hnswlibs(rng):
    index = hnswlib.Index(space="ip", dim=3)
    assert (index.space, index.dim, index.ef, index.M, index.max_elements) == ("ip", 3, 10, 0, 0)
    index.init_index(max_elements=5, M=20, ef_construction=10)
    assert (index.M, index.ef_construction, index.max_elements, index.element_count) == (
        20,
        20,
        5,
        0,
    )
    index.ef = 33
    index.set_num_threads(2)
    assert (index.ef, index.num_threads, index.get_current_count()) == (33, 2, 0)
    index.resize_index(8)
    assert index.get_max_elements() == 8
    with pytest.raises(AttributeError):
        index.dim = 4
    assert repr(index) == "<hnswlib.Index(space='ip', dim=3)>"


def test_pickles_and_copies_keep_everything(rng):
    vectors = rng.standard_normal((300, 8), dtype=np.float32)
    index = made("cosine", vectors, np.arange(300) * 2, allow_replace_deleted=True)
    index.mark_deleted(10)
    for other in (
        pickle.loads(pickle.dumps(index)), copy.deepcopy(index), hnswlib.Index(index=index),
        hnswlib.Index(params=index.__getstate__()[0]), hnswlib.Index(index),
    ):  # fmt: skip
        assert (other.ef, other.max_elements, other.element_count) == (200, 310, 300)
        for mine, theirs in zip(
            index.knn_query(vectors, 3), other.knn_query(vectors, 3), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
        other.unmark_deleted(10)
        assert other.knn_query(vectors[5])[0][0, 0] == 10
    assert pickle.loads(pickle.dumps(hnswlib.Index("l2", 2))).element_count == 0


@pytest.mark.parametrize("n", [0, 1, 5, 200, 1200])
@pytest.mark.parametrize("space", SPACES)
def test_a_saved_file_is_read_back(space, n, tmp_path, rng):
    vectors = rng.standard_normal((n, 8), dtype=np.float32)
    index = hnswlib.Index(space, 8)
    index.init_index(2000, M=6, ef_construction=50)
    if n:
        index.add_items(vectors, np.arange(n) * 3)
    if n > 1:
        index.mark_deleted(3)
    path = tmp_path / "a.bin"
    index.save_index(path)
    assert path.stat().st_size == index.index_file_size()
    other = hnswlib.Index(space, 8)
    other.load_index(str(path))
    assert (other.M, other.ef_construction) == (6, 50)
    assert other.max_elements == (2000 if n else 0)  # as hnswlib has it
    assert sorted(other.get_ids_list()) == sorted(index.get_ids_list())
    if n > 1:
        np.testing.assert_allclose(other.get_items([0]), index.get_items([0]), atol=1e-6)
        with pytest.raises(RuntimeError):
            other.get_items([3])
        other.unmark_deleted(3)
    other.load_index(path, max_elements=5000)
    assert other.max_elements == 5000
    held = read_rows(path)
    assert held.deleted.sum() == (n > 1)


def test_a_damaged_file_is_corrupt_to_us_and_a_runtime_error_to_callers_of_hnswlib(tmp_path):
    whole = (FOREIGN / "l2.hnswlib").read_bytes()
    index = hnswlib.Index("l2", 8)
    index.load_index(FOREIGN / "l2.hnswlib")
    path = tmp_path / "cut"
    for end in [0, 50, 96, 500, len(whole) - 1]:
        path.write_bytes(whole[:end])
        with pytest.raises(DamagedFile) as caught:
            index.load_index(path)
        assert isinstance(caught.value, nf.CorruptIndex)
        assert isinstance(caught.value, RuntimeError)
        assert caught.value.path == str(path)
    assert index.element_count == 60
    with pytest.raises(RuntimeError, match="Cannot open file"):
        index.load_index(tmp_path / "none")
    with pytest.raises(RuntimeError, match="dim must be that of the file"):
        hnswlib.Index("l2", 9).load_index(FOREIGN / "l2.hnswlib")


def test_bfindex_is_exact_and_has_its_own_file(tmp_path, rng):
    vectors = rng.standard_normal((50, 6), dtype=np.float32)
    index = hnswlib.BFIndex("l2", 6)
    with pytest.raises(RuntimeError):
        index.get_current_count()
    index.init_index(60)
    index.add_items(vectors, np.arange(50) + 5)
    index.add_items(vectors[:1] + 1, [5])
    index.delete_vector(6)
    index.delete_vector(999)
    assert (index.get_current_count(), index.get_max_elements()) == (49, 60)
    labels, distances = index.knn_query(vectors[2:4], k=2)
    assert labels[:, 0].tolist() == [7, 8]
    odd = index.knn_query(vectors[2:4], k=2, filter=lambda label: label % 2 == 1)[0]
    assert (odd % 2 == 1).all()
    with pytest.raises(RuntimeError, match="exceeds"):
        index.add_items(vectors, np.arange(100, 150))
    path = tmp_path / "bf"
    index.save_index(path)
    assert path.stat().st_size == 24 + 60 * 32
    other = hnswlib.BFIndex("l2", 6)
    other.load_index(path)
    np.testing.assert_array_equal(other.knn_query(vectors[2:4], k=2)[1], distances)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFile):
        other.load_index(path)
    with pytest.raises(RuntimeError, match="already initiated"):
        other.init_index(3)
