"""Distances of one query to many rows, against float64."""

import numpy as np
import pytest

from nearfield._core import kernels

# Every tail round every register width, and the dims that models have.
DIMS = [*range(1, 261), 384, 512, 768, 1024, 1536, 2048]
METRICS = ["l2", "dot", "cosine"]
SCALARS = ["f32", "f16", "bf16", "i8", "u8"]
DTYPES = {"f32": "f4", "f16": "f2", "bf16": "u2", "i8": "i1", "u8": "u1"}


def encode(values, scalar):
    """Rows of a scalar type from float32 values of size about 1."""
    if scalar == "f16":
        return values.astype(np.float16)
    if scalar == "bf16":
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    if scalar == "i8":
        return np.clip(values * 50, -128, 127).astype(np.int8)
    if scalar == "u8":
        return np.clip(values * 50 + 128, 0, 255).astype(np.uint8)
    return values


def decode(rows, scalar):
    if scalar == "bf16":
        rows = (rows.astype(np.uint32) << 16).view(np.float32)
    return rows.astype(np.float64)


def exact(query, rows, metric):
    """The distances in float64, and the size of the terms summed: the unit of rounding errors."""
    products = rows * query
    if metric == "l2":
        squares = (rows - query) ** 2
        return squares.sum(1), squares.sum(1)
    if metric == "dot":
        return -products.sum(1), np.abs(products).sum(1)
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
    safe = np.where(norms > 0, norms, 1)
    return np.where(norms > 0, 1 - products.sum(1) / safe, 1.0), np.ones(len(rows))


def query_for(values, scalar):
    return encode(values, scalar) if scalar in ("i8", "u8") else values


def assert_close(layer, scalar, metric, query, rows):
    got = kernels.distances(layer, scalar, metric, query, rows)
    plain_query = query.astype(np.float64)
    want, size = exact(plain_query, decode(rows, scalar), metric)
    if scalar in ("i8", "u8") and metric != "cosine":
        np.testing.assert_array_equal(got, want.astype(np.float32))
    else:
        bound = 1e-6 * np.sqrt(rows.shape[1]) * size + np.finfo(np.float32).tiny
        assert np.all(np.abs(got - want) <= bound), np.max(np.abs(got - want) / bound)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scalar", SCALARS)
def test_distances_agree_with_float64_at_every_dim(layer, scalar, metric, rng):
    values = rng.standard_normal((7, 2048), dtype=np.float32)
    query = query_for(rng.standard_normal(2048, dtype=np.float32), scalar)
    rows = encode(values, scalar)
    for dim in DIMS:
        assert_close(layer, scalar, metric, query[:dim], rows[:, :dim])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scalar", SCALARS)
def test_distances_take_unaligned_rows_at_odd_strides(layer, scalar, metric, rng):
    dtype = np.dtype(DTYPES[scalar])
    for dim, offset, gap in [(3, 1, 1), (64, 3, 5), (100, 7, 13), (260, 1, 63)]:
        stride = dim * dtype.itemsize + gap
        memory = np.zeros(offset + 9 * stride, np.uint8)
        rows = np.ndarray((9, dim), dtype, memory, offset, (stride, dtype.itemsize))
        rows[:] = encode(rng.standard_normal((9, dim), dtype=np.float32), scalar)
        query = query_for(rng.standard_normal(dim, dtype=np.float32), scalar)
        unaligned = np.ndarray(dim, query.dtype, bytearray(query.nbytes + 1), 1)
        unaligned[:] = query
        assert_close(layer, scalar, metric, unaligned, rows)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scalar", SCALARS)
def test_a_distance_does_not_depend_on_the_rows_beside_it(layer, scalar, metric, rng):
    rows = encode(rng.standard_normal((23, 133), dtype=np.float32), scalar)
    query = query_for(rng.standard_normal(133, dtype=np.float32), scalar)
    together = kernels.distances(layer, scalar, metric, query, rows)
    for n in range(1, 8):
        apart = kernels.distances(layer, scalar, metric, query, rows[-n:])
        np.testing.assert_array_equal(apart, together[-n:])
    for n in (0, 1, 2, 3, 4, 5, 31, 64):
        slots = rng.integers(0, len(rows), n).astype(np.uint32)
        gathered = kernels.distances(layer, scalar, metric, query, rows, slots)
        np.testing.assert_array_equal(gathered, together[slots])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 63, 64, 65, 1000, 8192])
def test_integer_distances_are_exact_at_the_ends_of_their_range(layer, metric, dim):
    for scalar, low, high in [("i8", -128, 127), ("u8", 0, 255)]:
        dtype = DTYPES[scalar]
        rows = np.array([[low], [high], [low // 2], [0]], dtype).repeat(dim, 1)
        rows[3, ::2] = low
        rows[3, 1::2] = high
        for value in (low, high, 1):
            assert_close(layer, scalar, metric, np.full(dim, value, dtype), rows)


@pytest.mark.parametrize("scalar", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("metric", ["l2", "dot"])
def test_float_distances_survive_huge_tiny_and_signed_zero_values(layer, scalar, metric):
    huge = {"f32": 1e17, "f16": 6e4, "bf16": 1e17}[scalar]
    tiny = {"f32": 1e-40, "f16": 6e-8, "bf16": 1e-39}[scalar]
    values = np.array([huge, -huge, tiny, -tiny, 0.0, -0.0, 1.0, -1.0], np.float32)
    rows = encode(np.stack([np.resize(np.roll(values, i), 77) for i in range(8)]), scalar)
    for query in (np.resize(values, 77), np.full(77, -0.0, np.float32), rows[2]):
        as_floats = decode(np.asarray(query), scalar if query is rows[2] else "f32")
        assert_close(layer, scalar, metric, as_floats.astype(np.float32), rows)


@pytest.mark.parametrize("scalar", SCALARS)
def test_cosine_of_a_zero_row_or_query_is_distance_one(layer, scalar):
    rows = np.zeros((5, 40), DTYPES[scalar])
    rows[2:] = encode(np.ones((3, 40), np.float32), scalar)
    query = query_for(np.ones(40, np.float32), scalar)
    got = kernels.distances(layer, scalar, "cosine", query, rows)
    np.testing.assert_allclose(got, [1, 1, 0, 0, 0], atol=1e-6)
    zero = np.zeros_like(query)
    assert kernels.distances(layer, scalar, "cosine", zero, rows).tolist() == [1.0] * 5


def test_dot_of_a_float_query_with_int8_rows_agrees_with_float64(layer, rng):
    query = rng.standard_normal(2048, dtype=np.float32)
    rows = rng.integers(-128, 128, (6, 2048), np.int8)
    for dim in DIMS:
        products = rows[:, :dim] * query[:dim].astype(np.float64)
        got = kernels.dot_f32_i8(layer, query[:dim], rows[:, :dim])
        error = np.abs(got - products.sum(1))
        assert np.all(error <= 1e-6 * np.sqrt(dim) * np.abs(products).sum(1))
        slots = np.array([5, 0, 3, 3, 1], np.uint32)
        gathered = kernels.dot_f32_i8(layer, query[:dim], rows[:, :dim], slots)
        np.testing.assert_array_equal(gathered, got[slots])
