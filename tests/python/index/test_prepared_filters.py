"""A prepared filter means what the filter it was made of meant, until vectors are removed."""

import numpy as np
import pytest

import nearfield as nf

KINDS = {"flat": nf.Flat, "hnsw": nf.HNSW}


@pytest.fixture(params=sorted(KINDS))
def index(request, rng):
    index = KINDS[request.param](8, "l2")
    index.add(rng.standard_normal((700, 8), dtype=np.float32), ids=np.arange(700) * 3)
    return index


@pytest.mark.parametrize("holes", [False, True])
def test_it_answers_like_the_filter_it_was_made_of(index, holes, rng):
    if holes:
        index.remove([0, 30, 2097])
    queries = rng.standard_normal((5, 8), dtype=np.float32)
    mask = rng.random(len(index)) < 0.3
    for made_of in (mask, index.ids[mask], nf.exclude(index.ids[~mask]), None):
        prepared = index.prepare(made_of)
        assert len(prepared) == (mask.sum() if made_of is not None else len(index))
        expected = index.search(queries, k=20, filter=made_of)
        for _ in range(2):
            hits = index.search(queries, k=20, filter=prepared)
            np.testing.assert_array_equal(hits.ids, expected.ids)
            np.testing.assert_array_equal(hits.distances, expected.distances)


def test_vectors_added_later_are_not_in_it(index, rng):
    prepared = index.prepare(None)
    index.add(rng.standard_normal((200, 8), dtype=np.float32), ids=np.arange(200) + 9000)
    hits = index.search(np.zeros(8), k=900, filter=prepared)
    assert (hits.ids >= 0).sum() == 700
    assert hits.ids.max() < 9000


def test_a_removal_or_another_index_ends_it(index, rng):
    prepared = index.prepare(None)
    other = nf.Flat(8, "l2")
    other.add(rng.standard_normal((700, 8), dtype=np.float32))
    with pytest.raises(ValueError, match="filter must be prepared by this index"):
        other.search(np.zeros(8), filter=prepared)
    index.remove([3])
    with pytest.raises(ValueError, match="filter must be prepared by this index and after its las"):
        index.search(np.zeros(8), filter=prepared)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 63, 64, 65, 130])
def test_masks_of_every_length_are_packed_bit_by_bit(n, rng):
    index = nf.Flat(2, "l2")
    index.add(rng.standard_normal((n, 2), dtype=np.float32))
    for _ in range(20):
        mask = rng.integers(0, 2, n).astype(bool)
        hits = index.search(np.zeros(2), k=max(n, 1), filter=mask)
        assert sorted(hits.ids[hits.ids >= 0].tolist()) == np.flatnonzero(mask).tolist()


def test_excluding_a_prepared_filter_is_refused_with_what_to_write_instead(index):
    with pytest.raises(TypeError, match=r"ids must be ids, got a PreparedFilter; index\.prepare"):
        nf.exclude(index.prepare([3, 6]))
    prepared = index.prepare(nf.exclude([3, 6]))
    assert len(prepared) == 698


class Column:
    """Has an array, as columns of data frames do."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


def test_a_column_of_a_data_frame_is_a_mask_or_ids(index, rng):
    mask = rng.integers(0, 2, 700).astype(bool)
    expected = index.search(np.zeros(8), k=30, filter=mask)
    for given in (Column(mask), Column(np.arange(700)[mask] * 3)):
        np.testing.assert_array_equal(
            index.search(np.zeros(8), k=30, filter=given).ids, expected.ids
        )


@pytest.mark.parametrize(
    "filter,message",
    [
        (lambda id: id > 3, "filter must be ids, a bool mask in the order of index.ids, or nf.exc"),
        ({"year": 2020}, "filter must be ids, a bool mask in .* got dict"),
        (np.where(np.arange(700) > 3), "filter must be ids or a bool mask, got a tuple of arrays"),
    ],
)
def test_what_is_no_filter_is_refused_with_what_is_one(filter, message, index):
    with pytest.raises(TypeError, match=message):
        index.search(np.zeros(8), filter=filter)


def test_excluding_a_mask_is_refused_with_what_to_write_instead(index):
    with pytest.raises(TypeError, match="ids must be ids, got a bool mask; its inverse, ~mask"):
        nf.exclude(np.ones(700, bool))
