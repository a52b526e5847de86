"""Selection by threshold, conversions and the Hadamard transform."""

import numpy as np
import pytest

from nearfield._core import kernels

LENGTHS = [*range(1, 70), 127, 1000]


def test_select_below_keeps_indices_in_order_at_every_length(layer, rng):
    for n in [0, *LENGTHS]:
        values = rng.standard_normal(n, dtype=np.float32)
        for threshold in (-np.inf, -1.0, 0.0, 1.0, np.inf):
            got = kernels.select_below(layer, values, threshold)
            np.testing.assert_array_equal(got, np.flatnonzero(values < threshold))


def test_select_below_never_keeps_nan_or_the_threshold_itself(layer):
    values = np.array([np.nan, 1, -0.0, 0.0, -1, np.inf, -np.inf, np.nan] * 5, np.float32)
    for threshold in (0.0, -0.0, np.inf, np.nan):
        got = kernels.select_below(layer, values, threshold)
        np.testing.assert_array_equal(got, np.flatnonzero(values < np.float32(threshold)))


def test_select_bound_keeps_the_rows_whose_bound_is_at_most_the_threshold(layer, rng):
    for n in [0, *LENGTHS]:
        dots = rng.integers(-(2**24), 2**24, n).astype(np.int32)
        add, scale, error = rng.standard_normal((3, n), dtype=np.float32)
        shift, a, b, c = 12345, 1e-7, 0.5, 0.25
        want = add - scale * a * (dots.astype(np.float64) - shift) - error * b - c
        threshold = float(np.float32(np.median(want))) if n else 0.0
        kept, bounds = kernels.select_bound(
            layer, dots, add, scale, error, (shift, a, b, c), threshold
        )
        np.testing.assert_allclose(bounds, want[kept], atol=1e-5)
        assert np.all(bounds <= threshold)
        assert np.all(np.diff(kept.astype(np.int64)) > 0)
        clear = np.flatnonzero(want < threshold - 1e-5)
        assert set(clear) <= set(kept)
        assert set(kept) <= set(np.flatnonzero(want <= threshold + 1e-5))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_select_bound_without_errors_keeps_rows_and_tells_no_bounds(layer, share, rng):
    no_errors = np.empty(0, np.float32)
    for n in [*LENGTHS, 2048]:
        dots = rng.integers(-1000, 1000, n).astype(np.int32)
        add, scale = np.zeros(n, np.float32), np.ones(n, np.float32)
        threshold = float(np.quantile(-dots, share)) if share else -1001.0
        kept, _ = kernels.select_bound(
            layer, dots, add, scale, no_errors, (0, 1.0, 0.0, 0.0), threshold
        )
        np.testing.assert_array_equal(kept, np.flatnonzero(-dots <= threshold))


def test_select_bound_never_keeps_nan(layer):
    ones = np.ones(37, np.float32)
    add = ones.copy()
    add[::3] = np.nan
    kept, _ = kernels.select_bound(
        layer, np.zeros(37, np.int32), add, ones, ones, (0, 1.0, 1.0, 1.0), 100.0
    )
    np.testing.assert_array_equal(kept, np.flatnonzero(~np.isnan(add)))


def test_mark_closer_marks_what_is_nearer_to_the_chosen_than_the_limit(layer, rng):
    for n in [0, *LENGTHS]:
        dots = rng.integers(-(2**20), 2**20, n).astype(np.int32)
        terms, limits = rng.integers(0, 2**22, (2, n)).astype(np.float32)
        shift, term, slack = 12345, 54321.0, 1.1025
        distances = np.float32(term) + terms - 2 * (dots - shift).astype(np.float32)
        marked = kernels.mark_closer(layer, dots, terms, limits, (shift, term, slack))
        np.testing.assert_array_equal(marked, np.float32(slack) * distances < limits)
        assert n < 8 or marked.any()


def awkward_floats(rng):
    """Every float16 and its neighbours, ties, subnormals, infinities, and random bit patterns."""
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32)
    finite = halves[np.isfinite(halves)]
    between = (finite + np.nextafter(finite, np.float32(np.inf))) / 2
    middles = (np.sort(finite)[1:] + np.sort(finite)[:-1]) / 2
    random = rng.integers(0, 2**32, 50_000, np.uint32).view(np.float32)
    edges = np.array([65504, 65519.996, 65520, -65520, 3.4e38, 1e-45, 6e-8, 2.9e-8], np.float32)
    return np.concatenate([halves, between, middles, random, edges])


def test_to_f16_rounds_to_nearest_even_like_numpy(layer, rng):
    values = awkward_floats(rng)
    got = kernels.to_half(layer, "f16", values)
    nan = np.isnan(values)
    with np.errstate(over="ignore"):
        want = values[~nan].astype(np.float16).view(np.uint16)
    np.testing.assert_array_equal(got[~nan], want)
    assert np.isnan(got[nan].view(np.float16)).all()


def test_to_bf16_rounds_to_nearest_even(layer, rng):
    values = awkward_floats(rng)
    bits = values.view(np.uint32).astype(np.uint64)
    nan = np.isnan(values)
    want = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    got = kernels.to_half(layer, "bf16", values)
    np.testing.assert_array_equal(got[~nan], want[~nan])
    assert np.isnan((got[nan].astype(np.uint32) << 16).view(np.float32)).all()


def test_from_half_is_exact_for_every_bit_pattern(layer):
    bits = np.arange(65536, dtype=np.uint16)
    want = bits.view(np.float16).astype(np.float32)
    np.testing.assert_array_equal(kernels.from_half(layer, "f16", bits), want)
    want = (bits.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(kernels.from_half(layer, "bf16", bits), want)


def test_to_i8_rounds_to_nearest_even_and_saturates(layer, rng):
    values = np.concatenate(
        [
            np.arange(-300, 300, dtype=np.float32) / 2,
            rng.standard_normal(1001, dtype=np.float32) * 80,
            np.array([np.inf, -np.inf, 3e38, -3e38, -0.0, 0.49999997, 126.5, 127.5], np.float32),
        ]
    )
    for factor in (1.0, 0.37, -2.5):
        with np.errstate(over="ignore"):
            scaled = values * np.float32(factor)
        want = np.clip(np.rint(scaled), -127, 127).astype(np.int8)
        np.testing.assert_array_equal(kernels.to_i8(layer, values, factor), want)


@pytest.mark.parametrize("name", ["f16", "bf16"])
def test_conversions_write_exactly_their_length(layer, name, rng):
    for n in range(1, 70):
        values = rng.standard_normal(n, dtype=np.float32)
        half = kernels.to_half(layer, name, values)
        whole = kernels.to_half(layer, name, np.concatenate([values, values]))
        np.testing.assert_array_equal(half, whole[:n])
        back = kernels.from_half(layer, name, half)
        np.testing.assert_allclose(back, values, rtol=1e-2)
        as_bytes = kernels.to_i8(layer, values, 10.0)
        np.testing.assert_array_equal(as_bytes, np.rint(values * np.float32(10)))


def hadamard(values):
    """The same stages in float32: every output is one addition or subtraction."""
    x, h = values.copy(), 1
    while h < len(x):
        pairs = x.reshape(-1, 2, h)
        x = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], 1).ravel()
        h *= 2
    return x


def test_hadamard_gives_the_same_bits_on_every_layer(layer, rng):
    for stage in range(14):
        values = rng.standard_normal(1 << stage, dtype=np.float32)
        got = values.copy()
        kernels.hadamard(layer, got)
        np.testing.assert_array_equal(got, hadamard(values))
