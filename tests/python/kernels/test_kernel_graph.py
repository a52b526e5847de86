"""Walking a graph: unseen links, estimates, and the pool of candidates."""

import numpy as np
import pytest

from nearfield._core import kernels

NO_LINK = np.uint32(0xFFFFFFFF)


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


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_estimate_agrees_with_float64_and_has_the_same_bits_on_every_layer(layer, bits, rng):
    parts = 8 // bits
    for n in (*range(20), 63, 64, 65, 130):
        size = 32 * int(rng.integers(1, 9))
        query = rng.integers(-127, 128, size * parts).astype(np.int8)
        codes = rng.integers(0, 256, (n, size)).astype(np.uint8)
        add, scale = rng.standard_normal((2, n)).astype(np.float16)
        factors = add.view(np.uint16).astype(np.uint32) | (
            scale.view(np.uint16).astype(np.uint32) << np.uint32(16)
        )
        got = kernels.estimate(layer, bits, query, codes, factors, (0.5, 1e-4, 777))
        entries = [codes >> (part * bits) & (2**bits - 1) for part in range(parts)]
        dots = np.concatenate(entries, 1).astype(np.int64) @ query.astype(np.int64)
        expected = 0.5 * add + 1e-4 * scale.astype(np.float64) * (dots - 777)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-4)
        scalar = kernels.estimate("scalar", bits, query, codes, factors, (0.5, 1e-4, 777))
        np.testing.assert_array_equal(got, scalar)


@pytest.mark.parametrize("capacity", [1, 7, 10, 64, 200, 900, 1500])
def test_pool_insert_keeps_the_nearest_in_order_and_of_equals_the_earlier(layer, capacity, rng):
    pool, nodes = np.empty(0, np.float32), np.empty(0, np.uint32)
    slot = 0
    for n in [1, 64, 3, 17, 40, 1, 64, 8, 9, 0, 33] * 8:
        distances = rng.standard_normal(n).astype(np.float32)
        distances[rng.random(n) < 0.2] = 0.25
        slots = np.arange(slot, slot + n, dtype=np.uint32)
        slot += n
        order = np.argsort(np.concatenate([pool, distances]), kind="stable")[:capacity]
        merged = np.concatenate([pool, distances])[order]
        merged_nodes = np.concatenate([nodes, 2 * slots])[order]
        same = np.flatnonzero(merged_nodes[: len(nodes)] != nodes[: len(merged_nodes)])
        first = same[0] if same.size else len(nodes)
        changed = len(merged) > len(pool) or same.size > 0
        pool, nodes, lowest = kernels.pool_insert(layer, pool, nodes, capacity, distances, slots)
        np.testing.assert_array_equal(pool, merged)
        np.testing.assert_array_equal(nodes, merged_nodes)
        assert lowest == first if changed else lowest >= min(capacity, first)


def test_pool_insert_takes_two_links_to_one_node(layer, rng):
    # As a damaged file may have them.
    for n in (2, 5, 16, 32):
        slots = np.repeat(rng.choice(1000, n, replace=False), 2)[:n].astype(np.uint32)
        distances = np.round(rng.standard_normal(1000), 1).astype(np.float32)[slots]
        none = np.empty(0, np.float32), np.empty(0, np.uint32)
        pool, nodes, _ = kernels.pool_insert(layer, *none, 64, distances, slots)
        order = np.argsort(distances, kind="stable")
        np.testing.assert_array_equal(pool, distances[order])
        np.testing.assert_array_equal(nodes, 2 * slots[order])
