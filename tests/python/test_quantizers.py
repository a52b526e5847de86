"""Quantizers on their own: what they promise about errors, checked in float64."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nearfield as nf
from nearfield.quantize import ProductQuantizer, RaBitQuantizer, ScalarQuantizer

DIM = 24


@pytest.fixture
def rows(rng):
    mixing = rng.standard_normal((DIM, DIM))
    return (rng.standard_normal((2000, DIM)) @ mixing).astype(np.float32)


QUANTIZERS = [
    lambda **o: ProductQuantizer(DIM, 6, 4, **o),
    lambda **o: ProductQuantizer(DIM, 6, 8, **o),
    lambda **o: ProductQuantizer(DIM, 6, 4, opq=True, **o),
    lambda **o: ProductQuantizer(DIM, 6, 4, parallel_weight=4.0, **o),
    *[lambda b=b, **o: RaBitQuantizer(DIM, b, **o) for b in range(1, 9)],
]
SCALARS = [lambda b=b: ScalarQuantizer(DIM, b) for b in (4, 8)]


def relative_error(quantizer, rows):
    back = quantizer.decode(quantizer.encode(rows))
    spread = ((rows - rows.mean(0)) ** 2).sum()
    return float(((back - rows) ** 2).sum() / spread)


@pytest.mark.parametrize("make", QUANTIZERS + SCALARS)
@pytest.mark.parametrize("metric", ["l2", "dot"])
def test_distances_from_a_table_are_those_to_the_decoded_vectors_nearly(make, metric, rows):
    quantizer = make()
    quantizer.train(rows)
    codes = quantizer.encode(rows)
    assert codes.shape == (len(rows), quantizer.code_size)
    query = rows[7] + 1
    found = quantizer.distances(quantizer.distance_table(query, metric), codes)
    back = quantizer.decode(codes).astype(np.float64)
    exact = ((back - query) ** 2).sum(1) if metric == "l2" else -back @ query
    if isinstance(quantizer, RaBitQuantizer):  # unbiased estimates are not those of decoded vectors
        assert np.corrcoef(found, exact)[0, 1] > 0.93
    else:
        np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-3 * np.abs(exact).max())


@pytest.mark.parametrize("make", QUANTIZERS + SCALARS)
def test_codes_do_not_depend_on_threads(make, rows):
    one, many = make(), make()
    one.train(rows, threads=1)
    many.train(rows, threads=3)
    np.testing.assert_array_equal(one.encode(rows, threads=1), many.encode(rows, threads=3))


@pytest.mark.parametrize("make", QUANTIZERS)
def test_the_seed_decides_the_codes(make, rows):
    one, other = make(seed=1), make(seed=2)
    one.train(rows)
    other.train(rows)
    assert (one.encode(rows) != other.encode(rows)).any()


def test_each_bit_about_halves_the_error_of_rabitq(rows):
    errors = []
    for bits in range(1, 9):
        quantizer = RaBitQuantizer(DIM, bits)
        quantizer.train(rows)
        errors.append(np.sqrt(relative_error(quantizer, rows)))
    assert all(after < 0.7 * before for before, after in pairwise(errors))
    assert errors[3] < 0.12
    assert errors[7] < 0.008


@given(
    seed=st.integers(0, 2**32), bits=st.integers(1, 8), dim=st.integers(8, 160),
    stretch=st.floats(0, 3),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_rabitq_estimates_are_unbiased_over_rotations_and_keep_their_bound(
    seed, bits, dim, stretch
):
    rng = np.random.default_rng(seed)
    # Whatever the vectors: a few long dimensions, or all alike.
    weights = np.exp(-stretch * np.arange(dim) / dim * 4)
    rows = (rng.standard_normal((200, dim)) * weights).astype(np.float32)
    query = (rng.standard_normal(dim) * weights).astype(np.float32)
    exact = ((rows.astype(np.float64) - query) ** 2).sum(1)
    errors, inside = [], []
    for rotation in range(24):
        quantizer = RaBitQuantizer(dim, bits, seed=seed % 1000 + rotation)
        quantizer.train(rows)
        codes = quantizer.encode(rows)
        table = quantizer.distance_table(query)
        off = quantizer.distances(table, codes) - exact
        lower, upper = quantizer.bounds(table, codes, 3)
        reach = np.maximum((upper - lower) / 2, 1e-6 * np.abs(exact).max())
        errors.append(off / reach)
        inside.append((np.abs(off) <= reach).mean())
    errors = np.stack(errors)
    # A mean of 24 errors of a third each, over 200 vectors that share rotations.
    assert np.abs(errors.mean(0)).mean() < 3 * (1 / 3) / np.sqrt(24)
    assert abs(errors.mean()) < 0.12
    assert np.mean(inside) > 0.97


def test_rabitq_bounds_hold_about_as_often_as_they_say(rng):
    rows = rng.standard_normal((4000, 128), dtype=np.float32)
    for bits in (1, 2, 4, 7):
        quantizer = RaBitQuantizer(128, bits)
        quantizer.train(rows)
        codes = quantizer.encode(rows)
        kept = []
        for query in rows[:20] + rows[100:120]:
            exact = ((rows.astype(np.float64) - query) ** 2).sum(1)
            lower, upper = quantizer.bounds(quantizer.distance_table(query), codes)
            kept.append(((lower <= exact) & (exact <= upper)).mean())
        assert 0.9 < np.mean(kept) < 0.98


def test_a_learned_rotation_lowers_the_error_of_product_codes(rows):
    errors = []
    for opq in (False, True):
        quantizer = ProductQuantizer(DIM, 6, 4, opq=opq)
        quantizer.train(rows)
        errors.append(relative_error(quantizer, rows))
    assert errors[1] < 0.85 * errors[0]
    rotation = quantizer.rotation
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(DIM), atol=1e-4)


def test_anisotropic_codes_give_better_products_of_near_vectors(rng):
    rows = rng.standard_normal((3000, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    off = []
    for weight in (1.0, 6.0):
        quantizer = ProductQuantizer(DIM, 6, 4, parallel_weight=weight)
        quantizer.train(rows)
        back = quantizer.decode(quantizer.encode(rows))
        off.append((((back - rows) * rows).sum(1) ** 2).mean())
    assert off[1] < 0.5 * off[0]


@pytest.mark.parametrize("bits", [4, 8])
def test_scalar_codes_are_within_half_a_step(bits, rows):
    quantizer = ScalarQuantizer(DIM, bits)
    quantizer.train(rows)
    step = (rows.max(0) - rows.min(0)) / (2**bits - 1)
    off = np.abs(quantizer.decode(quantizer.encode(rows)) - rows)
    assert (off <= step * 0.5001 + 1e-5).all()


@pytest.mark.parametrize("make", QUANTIZERS + SCALARS)
def test_untrained_quantizers_and_bad_rows_are_refused(make, rows):
    quantizer = make()
    assert not quantizer.trained
    with pytest.raises(nf.NotTrained, match="not trained"):
        quantizer.encode(rows)
    with pytest.raises(ValueError, match="vectors must have shape"):
        quantizer.train(rows[:, 1:])
    bad = rows.copy()
    bad[3, 4] = np.nan
    with pytest.raises(ValueError, match="vectors must be finite, got nan at row 3, column 4"):
        quantizer.train(bad)
    quantizer.train(rows)
    with pytest.raises(ValueError, match="codes must be a uint8 array of shape"):
        quantizer.decode(np.zeros((2, 99), np.uint8))
    with pytest.raises(ValueError, match="metric must be 'l2' or 'dot', got 'cosine'"):
        quantizer.distance_table(rows[0], "cosine")


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ValueError, match="pq_m must divide dim"):
        ProductQuantizer(DIM, 7)
    with pytest.raises(ValueError, match="bits must be 4 or 8 for pq codes, got 6"):
        ProductQuantizer(DIM, 6, 6)
    with pytest.raises(ValueError, match=r"bits must be in 1\.\.8, got 9"):
        RaBitQuantizer(DIM, 9)
    with pytest.raises(ValueError, match="bits must be 4 or 8, got 5"):
        ScalarQuantizer(DIM, 5)


def test_constant_rows_are_coded_exactly():
    rows = np.full((300, DIM), 2.5, np.float32)
    for make in [*QUANTIZERS, *SCALARS]:
        quantizer = make()
        quantizer.train(rows)
        np.testing.assert_allclose(quantizer.decode(quantizer.encode(rows)), rows, rtol=1e-5)


@pytest.mark.parametrize("make", QUANTIZERS + SCALARS)
def test_a_pickle_is_the_same_quantizer(make, rows):
    quantizer = make()
    fresh = pickle.loads(pickle.dumps(quantizer))
    quantizer.train(rows)
    fresh.train(rows)
    other = pickle.loads(pickle.dumps(quantizer))
    codes = quantizer.encode(rows)
    np.testing.assert_array_equal(other.encode(rows), codes)
    np.testing.assert_array_equal(fresh.encode(rows), codes)
    np.testing.assert_array_equal(other.decode(codes), quantizer.decode(codes))
