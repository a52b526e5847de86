"""Heads: a few bits of a row's principal directions, read before its code."""

import numpy as np
import pytest
from oracle import exact_distances

import nearfield as nf

N = 6000


def shaped(rng, n, dim):
    """Vectors that vary in their first directions most, turned so that no dimension tells."""
    weights = np.exp(-8 * np.arange(dim) / dim)
    turn = np.linalg.qr(np.random.default_rng(7).standard_normal((dim, dim)))[0]
    return ((rng.standard_normal((n, dim)) * weights) @ turn + 0.1).astype(np.float32)


def made(vectors, metric="cosine", nlist=1, bits=5, rerank=None, **kwargs):
    threads = kwargs.pop("threads", 0)
    index = nf.IVFPQ(
        vectors.shape[1], metric, nlist, nprobe=nlist, bits=bits, rerank=rerank, **kwargs
    )
    index.train(vectors, threads=threads)
    index.add(vectors, threads=threads)
    return index


def has_heads(index, path):
    index.save(path)
    return "heads.margin" in [part.name for part in nf.persistence.file_info(path).sections]


def common(a, b):
    return np.mean([len(np.intersect1d(x, y)) for x, y in zip(a, b, strict=True)])


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
@pytest.mark.parametrize(("bits", "dim", "nlist"), [(3, 200, 1), (5, 384, 1), (5, 128, 3)])
def test_heads_read_little_and_rule_out_hardly_any_of_the_nearest(
    metric, bits, dim, nlist, rng, tmp_path
):
    vectors, queries = shaped(rng, N, dim), shaped(rng, 40, dim)
    index = made(vectors, metric, nlist, bits)
    assert has_heads(index, tmp_path / "a.nf")
    every = index.search(queries, k=N)  # nothing is ruled out
    few = index.search(queries, k=10)
    alone = np.vstack([index.search(query, k=10).ids for query in queries])
    assert common(every.ids[:, :10], few.ids) > 9.6
    assert common(every.ids[:, :10], alone) > 9.6
    found = np.sort(few.distances, axis=1)
    np.testing.assert_array_equal(found, few.distances)
    exact = exact_distances(vectors, queries, metric)
    nearest = np.argsort(exact, axis=1)[:, :10]
    assert common(nearest, few.ids) > (7.5 if bits == 3 else 9)
    assert common(nearest, few.ids) > common(nearest, every.ids[:, :10]) - 0.3
    assert index.count_work(queries, 10)["bytes"] < 0.8 * N * (bits * dim / 8)


def test_estimates_behind_heads_are_those_of_whole_codes(rng):
    vectors, queries = shaped(rng, N, 200), shaped(rng, 8, 200)
    short = made(vectors[:900])  # too few to learn heads from
    long = made(vectors)
    for index, n in ((short, 900), (long, N)):
        hits = index.search(queries, k=n)
        exact = np.take_along_axis(exact_distances(vectors, queries, "cosine"), hits.ids, 1)
        assert np.abs(hits.distances - exact).max() < 0.02
        assert np.abs((hits.distances - exact).mean()) < 0.0005
    hits = long.search(long.get(np.arange(50)), k=1)
    np.testing.assert_array_equal(hits.ids[:, 0], np.arange(50))


def test_vectors_alike_in_all_directions_have_no_heads(rng, tmp_path):
    vectors = rng.standard_normal((N, 200)).astype(np.float32)
    assert not has_heads(made(vectors), tmp_path / "a.nf")
    assert not has_heads(made(shaped(rng, N, 100)), tmp_path / "b.nf")
    assert not has_heads(made(shaped(rng, N, 200), bits=4), tmp_path / "c.nf")


@pytest.mark.parametrize("metric", ["l2", "dot"])
def test_indexes_with_heads_have_the_same_bytes_for_any_number_of_threads(metric, rng, tmp_path):
    vectors = shaped(rng, N, 160)
    for threads in (1, 2, 3):
        index = made(vectors, metric, 2, threads=threads)
        index.save(tmp_path / f"{threads}.nf")
    one = (tmp_path / "1.nf").read_bytes()
    assert b"heads.margin" in one
    assert one == (tmp_path / "2.nf").read_bytes() == (tmp_path / "3.nf").read_bytes()


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
@pytest.mark.parametrize("soar", [False, True])
def test_an_index_with_heads_changes_is_saved_and_mapped_like_any_other(
    metric, soar, rng, tmp_path
):
    vectors, queries = shaped(rng, N, 160), shaped(rng, 20, 160)
    index = made(vectors, metric, 4 if soar else 1, soar=soar)
    index.remove(np.arange(0, N, 3))
    index.update(np.arange(1, N, 30), shaped(rng, N // 30, 160))
    index.compact()
    index.validate()
    hits = index.search(queries, k=10)
    assert (hits.ids % 3 != 0).all()
    assert has_heads(index, tmp_path / "a.nf")
    for mmap in (False, True):
        again = nf.load(tmp_path / "a.nf", mmap=mmap)
        np.testing.assert_array_equal(again.search(queries, k=10).ids, hits.ids)
        again.validate()
    again = nf.load(tmp_path / "a.nf")
    more, new_ids = shaped(rng, 40, 160), np.arange(N, N + 40)
    again.add(more, ids=new_ids)
    if metric != "dot":
        np.testing.assert_array_equal(again.search(more, k=1).ids[:, 0], new_ids)
    assert again.stats()["bytes"]["codes"] > len(again) * 160 * 5 / 8


def test_filters_and_radii_hold_behind_heads(rng):
    vectors, queries = shaped(rng, N, 200), shaped(rng, 10, 200)
    index = made(vectors, "l2", rerank="float32")
    exact = exact_distances(vectors, queries, "l2")
    allowed = np.sort(rng.permutation(N)[: N // 2])
    hits = index.search(queries, k=10, filter=allowed)
    nearest = allowed[np.argsort(exact[:, allowed], axis=1)[:, :10]]
    assert common(nearest, hits.ids) > 9.5
    radius = float(np.sort(exact, axis=1)[:, 30].mean())
    found = index.range_search(queries, radius)
    asked = np.repeat(np.arange(10), np.diff(found.lims))
    assert (exact[asked, found.ids] <= radius * 1.0001).all()
    assert len(found.ids) > 0.97 * (exact <= radius).sum()


def away_from(n, dim, rng):
    """Queries in directions in which shaped vectors hardly vary."""
    turn = np.linalg.qr(np.random.default_rng(7).standard_normal((dim, dim)))[0]
    weights = (np.arange(dim) >= 0.6 * dim).astype(float)
    return ((rng.standard_normal((n, dim)) * weights) @ turn).astype(np.float32)


def test_first_bits_that_rule_a_row_out_are_counted_among_the_bytes_read(rng, tmp_path):
    dim = 384
    index = made(shaped(rng, N, dim), "dot")
    assert has_heads(index, tmp_path / "a.nf")
    parts = {part.name: part for part in nf.persistence.file_info(tmp_path / "a.nf").sections}
    head, first, rest = parts["codes.matrix"].elements // dim // 8, 512 // 8, dim * 4 // 8
    # Heads say nothing about these, so first bits of all rows are read.
    for query in away_from(5, dim, rng):
        completed, beyond = divmod(
            index.count_work(query, k=10)["bytes"] - N * (head + first), rest
        )
        assert beyond == 0
        assert 256 < completed < N
    assert index.count_work(query, k=N)["bytes"] == N * (head + first + rest)


def test_queries_outside_the_principal_directions_lose_nothing(rng):
    dim = 200
    vectors, queries = shaped(rng, N, dim), away_from(20, dim, rng)
    index = made(vectors, "dot")
    every = index.search(queries, k=N)
    assert common(every.ids[:, :10], index.search(queries, k=10).ids) > 8.5
