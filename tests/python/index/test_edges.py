"""Where one step too far or too short would answer a little wrongly, and nobody would notice."""

import numpy as np
import pytest

import nearfield as nf

DIM = 32
KINDS = {
    "flat": lambda metric: nf.Flat(DIM, metric, prefilter=False),
    "prefilter": lambda metric: nf.Flat(DIM, metric, prefilter=True),
    "int8": lambda metric: nf.Flat(DIM, metric, dtype="int8"),
    "hnsw": lambda metric: nf.HNSW(DIM, metric, rerank="float32"),
    "ivfpq": lambda metric: nf.IVFPQ(DIM, metric, nlist=4, nprobe=4, rerank="float32"),
}


def filled(kind, metric, vectors, ids=None):
    index = KINDS[kind](metric)
    if hasattr(index, "train"):
        index.train(vectors)
    index.add(vectors, ids)
    return index


@pytest.fixture
def grid(rng):
    """Small whole numbers: all distances are whole, and many are alike."""
    return rng.integers(-3, 4, (600, DIM)).astype(np.float32)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("metric", ["l2", "dot"])
def test_the_radius_itself_lies_inside(kind, metric, grid):
    index = filled(kind, metric, grid)
    query = grid[5]
    exact = np.square(grid - query).sum(axis=1) if metric == "l2" else -grid @ query
    radius = float(np.sort(exact)[20])
    assert (exact == radius).any()
    found = index.range_search(query, radius=radius)
    assert set(found.ids.tolist()) == set(np.flatnonzero(exact <= radius).tolist())
    below = index.range_search(query, radius=np.nextafter(np.float32(radius), np.float32(-1e9)))
    assert set(below.ids.tolist()) == set(np.flatnonzero(exact < radius).tolist())


@pytest.mark.parametrize("kind", ["flat", "prefilter", "int8"])
@pytest.mark.parametrize("nq", [1, 20])
def test_of_equal_distances_at_the_end_those_added_first_are_kept(kind, nq, grid):
    index = filled(kind, "l2", grid)
    exact = np.square(grid[:nq, None] - grid[None]).sum(axis=2)
    order = np.argsort(exact, axis=1, kind="stable")
    for k in (1, 7, 50):
        hits = index.search(grid[:nq], k=k)
        np.testing.assert_array_equal(hits.ids, order[:, :k])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_prepared_filter_ends_with_compact_too(kind, grid):
    index = filled(kind, "l2", grid)
    index.remove(np.arange(0, 600, 2))
    prepared = index.prepare(np.arange(1, 100))
    assert index.search(grid[0], k=3, filter=prepared).ids.max() < 100
    index.compact()
    with pytest.raises(ValueError, match="after its last removal"):
        index.search(grid[0], k=3, filter=prepared)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_ids_are_numbered_on_after_the_largest_was_removed_and_all_is_compact(kind, grid):
    index = filled(kind, "l2", grid)
    index.remove(np.arange(300, 600))
    index.compact()
    assert index.add(grid[:2]).tolist() == [600, 601]
    assert 300 not in index


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_updated_rows_are_found_where_they_are_now_and_not_where_they_were(kind, rng):
    rows = rng.standard_normal((3000, DIM)).astype(np.float32)  # more than are scanned at once
    index = filled(kind, "l2", rows)
    last = np.arange(2960, 3000)
    moved = rng.permutation(rows[last] * 20 + 30)  # of another scale, too
    index.update(last, moved)
    hits = index.search(moved, k=1)
    np.testing.assert_array_equal(hits.ids[:, 0], last)
    np.testing.assert_array_equal(index.search(moved[7], k=1).ids, [last[7]])
    np.testing.assert_allclose(index.get(last), moved, atol=0.5)
    assert index.search(rows[last], k=5).ids.max() < 2960
    back = rng.permutation(rows[last])
    index.update(last, back)
    np.testing.assert_array_equal(index.search(back, k=1).ids[:, 0], last)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_row_is_found_at_its_place_after_compact(kind, rng):
    rows = rng.standard_normal((3000, DIM)).astype(np.float32)
    index = filled(kind, "l2", rows)
    index.remove(np.arange(0, 2000, 2))
    kept = index.ids
    index.compact()
    np.testing.assert_array_equal(index.ids, kept)
    hits = index.search(rows[kept], k=1)
    np.testing.assert_array_equal(hits.ids[:, 0], kept)
    for id in kept[::401]:
        assert index.search(rows[id], k=1).ids[0] == id


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("norm", [0.9996, 1.0004, 1.00001])
def test_cosine_scales_vectors_that_are_nearly_of_norm_one(kind, norm, rng):
    rows = rng.standard_normal((200, DIM))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = filled(kind, "cosine", (rows * norm).astype(np.float32))
    tolerance = 1e-2 if kind == "int8" else 2e-6
    stored = index.get(index.ids).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(stored, axis=1), 1, atol=tolerance)
    hits = index.search((rows[:5] * norm).astype(np.float32), k=1)
    np.testing.assert_allclose(hits.distances[:, 0], 0, atol=tolerance)


@pytest.mark.parametrize("number", [1, 2, 50])
def test_float16_has_one_limit_for_one_vector_and_for_many(number):
    index = nf.Flat(DIM, "l2", dtype="float16")
    vectors = np.ones((number, DIM), np.float32)
    vectors[-1, 3] = 65_504
    index.add(vectors)
    vectors[-1, 3] = 65_505
    with pytest.raises(ValueError, match="must be within"):
        index.add(vectors)
    assert np.isfinite(index.get(index.ids)).all()


@pytest.mark.parametrize("largest", [126, 127, 128, 129, 255])
def test_int8_keeps_whole_numbers_up_to_127_and_scales_those_beyond(largest, rng):
    row = rng.integers(-100, 101, DIM).astype(np.float32)
    row[4] = largest
    index = nf.Flat(DIM, "l2", dtype="int8")
    index.add(row[None])
    stored = index.get(0)
    if largest <= 127:
        np.testing.assert_array_equal(stored, row)
    else:
        np.testing.assert_allclose(stored[4], largest, rtol=1e-6)
        np.testing.assert_allclose(stored, row, atol=largest / 254 + 1e-4)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_ids_that_agree_in_their_low_bits_are_different_ids(kind, grid):
    ids = (np.arange(600, dtype=np.int64) % 6) * 2**32 + np.arange(600) // 6
    index = filled(kind, "l2", grid, ids)
    for id in ids[::37]:
        assert int(id) in index and int(id) + 7 * 2**32 not in index
    np.testing.assert_allclose(index.get(ids[::-1]), grid[::-1])
    index.remove(ids[ids >= 2**32])
    assert sorted(index.ids.tolist()) == list(range(100))
