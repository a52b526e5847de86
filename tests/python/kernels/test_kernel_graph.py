"""Walking a graph: unseen links, estimates, and the pool of candidates."""

import numpy as np
import pytest

from nearfield._core import kernels

NO_LINK = np.uint32(0xFFFFFFFF)


def keys_of(distances, slots):
    bits = np.asarray(distances, np.float32).view(np.uint32)
    flip = np.where(bits >> 31, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))
    return ((bits ^ flip).astype(np.uint64) << np.uint64(32)) | (
        np.asarray(slots, np.uint64) << np.uint64(1)
    )


@pytest.mark.parametrize("width", [16, 32, 48, 256])
def test_visit_gives_unseen_links_once_and_marks_them(layer, width, rng):
    for count in (0, 1, width - 1, width):
        links = rng.choice(5000, count, replace=False).astype(np.uint32)
        factors = rng.integers(0, 2**32, width, dtype=np.uint32)
        row = np.full(2 * width, NO_LINK)
        row[:count] = links
        row[width:] = factors
        visited = rng.integers(0, 2**63, 5000 // 64 + 1).astype(np.uint64)
        seen = (visited[links // 64] >> (links % 64).astype(np.uint64)) & np.uint64(1) == 1
        slots, found, after = kernels.visit(layer, row, visited)
        np.testing.assert_array_equal(slots, links[~seen])
        np.testing.assert_array_equal(found, factors[:count][~seen])
        expected = visited.copy()
        for link in links.tolist():
            expected[link // 64] |= np.uint64(1) << np.uint64(link % 64)
        np.testing.assert_array_equal(after, expected)
        assert kernels.visit(layer, row, after)[0].size == 0


def test_estimate_agrees_with_float64_at_every_length(layer, rng):
    for n in range(70):
        add, scale = rng.standard_normal((2, n)).astype(np.float16)
        factors = add.view(np.uint16).astype(np.uint32) | (
            scale.view(np.uint16).astype(np.uint32) << np.uint32(16)
        )
        dots = rng.integers(-(2**23), 2**23, n).astype(np.int32)
        got = kernels.estimate(layer, dots, factors, 0.5, 1e-4, 777)
        dot_terms = scale.astype(np.float64) * (dots.astype(np.float64) - 777)
        np.testing.assert_allclose(got, 0.5 * add + 1e-4 * dot_terms, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("capacity", [1, 7, 10, 64, 200, 900])
def test_pool_insert_keeps_the_smallest_sorted(layer, capacity, rng):
    pool = np.empty(0, np.uint64)
    slot = 0
    for n in [1, 64, 3, 17, 40, 1, 64, 8, 9, 0, 33] * 8:
        distances = rng.standard_normal(n).astype(np.float32)
        distances[rng.random(n) < 0.2] = 0.25  # equal ones go by slot
        slots = np.arange(slot, slot + n, dtype=np.uint32)
        slot += n
        merged = np.sort(np.concatenate([pool, keys_of(distances, slots)]))[:capacity]
        same = np.flatnonzero(merged[: len(pool)] != pool[: len(merged)])
        first = same[0] if same.size else len(pool)
        changed = len(merged) > len(pool) or same.size > 0
        pool, lowest = kernels.pool_insert(layer, pool, capacity, distances, slots)
        np.testing.assert_array_equal(pool, merged)
        if changed:
            assert lowest == first
        else:
            assert lowest >= min(capacity, first)


def test_pool_insert_keeps_equal_keys_apart(layer, rng):
    # Two links to one node, as a damaged file may have them.
    for n in (2, 5, 16, 32):
        slots = np.repeat(rng.choice(1000, n, replace=False), 2)[:n].astype(np.uint32)
        distances = np.round(rng.standard_normal(1000), 1).astype(np.float32)[slots]
        pool, _ = kernels.pool_insert(layer, np.empty(0, np.uint64), 64, distances, slots)
        np.testing.assert_array_equal(pool, np.sort(keys_of(distances, slots)))
