"""Packing into panels and products of many rows with many rows."""

import numpy as np
import pytest

from nearfield._core import kernels

UNIT = {"f32": 1, "bf16": 2, "u8": 4}  # elements in 4 bytes
PAD = {"f32": 1, "bf16": 32, "u8": 64}
LEFT = {"f32": np.float32, "bf16": np.uint16, "u8": np.int8}


def padded(value, to):
    return -(-value // to) * to


def as_floats(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def make(rng, scalar, n, dim, left=False):
    if scalar == "f32":
        return rng.standard_normal((n, dim), dtype=np.float32)
    if scalar == "bf16":
        return (rng.standard_normal((n, dim), dtype=np.float32).view(np.uint32) >> 16).astype("u2")
    low, high, dtype = (-128, 128, np.int8) if left else (0, 256, np.uint8)
    return rng.integers(low, high, (n, dim), dtype)


def multiply(layer, scalar, a, b):
    """The kernel's answer for rows of any dim: pads the left rows and packs the right ones."""
    dim = b.shape[1]
    left = np.zeros((len(a), padded(dim, PAD[scalar])), LEFT[scalar])
    left[:, :dim] = a
    panels = kernels.pack(layer, scalar, b)
    return kernels.tile(layer, scalar, left, panels, len(b), dim)


@pytest.mark.parametrize("scalar", ["f32", "bf16", "u8"])
def test_pack_lays_rows_out_by_panel_then_by_four_bytes(layer, scalar, rng):
    unit = UNIT[scalar]
    for n, dim in [(1, 1), (16, 64), (17, 65), (33, 100), (5, 260), (48, 3), (20, 127)]:
        wide = make(rng, scalar, n, dim + 5)
        rows = wide[:, 2 : dim + 2]
        full = np.zeros((padded(n, 16), padded(dim, PAD[scalar])), rows.dtype)
        full[:n, :dim] = rows
        want = full.reshape(len(full) // 16, 16, -1, unit).transpose(0, 2, 1, 3)
        np.testing.assert_array_equal(kernels.pack(layer, scalar, rows), want.ravel())


SHAPES = [(1, 1, 1), (2, 16, 64), (7, 17, 33), (8, 48, 128), (9, 49, 100), (31, 33, 65)]
SHAPES += [(33, 64, 260), (50, 95, 127), (16, 31, 768), (40, 130, 1536)]


@pytest.mark.parametrize(("m", "n", "dim"), SHAPES)
def test_float_tiles_agree_with_float64(layer, m, n, dim, rng):
    for scalar, unit in (("f32", 1e-6), ("bf16", 2e-6)):
        a, b = make(rng, scalar, m, dim, left=True), make(rng, scalar, n, dim)
        x, y = (a, b) if scalar == "f32" else (as_floats(a), as_floats(b))
        x, y = x.astype(np.float64), y.astype(np.float64)
        out = multiply(layer, scalar, a, b)
        assert out.shape == (m, padded(n, 16))
        bound = unit * np.sqrt(dim) * (np.abs(x) @ np.abs(y).T)
        assert np.all(np.abs(out[:, :n] - x @ y.T) <= bound)
        assert not out[:, n:].any()


@pytest.mark.parametrize(("m", "n", "dim"), SHAPES)
def test_integer_tiles_are_exact(layer, m, n, dim, rng):
    a, b = make(rng, "u8", m, dim, left=True), make(rng, "u8", n, dim)
    out = multiply(layer, "u8", a, b)
    np.testing.assert_array_equal(out[:, :n], a.astype(np.int64) @ b.T.astype(np.int64))
    assert not out[:, n:].any()


def test_integer_tiles_are_exact_at_the_ends_of_their_range(layer):
    a = np.array([[-128], [127]], np.int8).repeat(8192, 1)
    b = np.array([[255], [0], [128]], np.uint8).repeat(8192, 1)
    out = multiply(layer, "u8", a, b)
    np.testing.assert_array_equal(out[:, :3], a.astype(np.int64) @ b.T.astype(np.int64))


@pytest.mark.parametrize("scalar", ["f32", "bf16", "u8"])
def test_a_product_does_not_depend_on_the_block_it_falls_into(layer, scalar, rng):
    a, b = make(rng, scalar, 43, 200, left=True), make(rng, scalar, 100, 200)
    whole = multiply(layer, scalar, a, b)
    for first, last in [(0, 1), (5, 9), (40, 43), (11, 43)]:
        np.testing.assert_array_equal(multiply(layer, scalar, a[first:last], b), whole[first:last])
    np.testing.assert_array_equal(multiply(layer, scalar, a, b[16:49])[:, :33], whole[:, 16:49])


def test_tiles_leave_the_columns_beyond_their_width_alone(layer, rng):
    a, b = make(rng, "f32", 5, 20), make(rng, "f32", 10, 20)
    out = np.full((5, 32), 7, np.float32)
    wide = np.asarray(multiply(layer, "f32", a, b))
    aligned = np.zeros(5 * 16 + 16, np.float32)
    start = -aligned.ctypes.data % 64 // 4
    target = aligned[start : start + 80].reshape(5, 16)
    kernels.tile(layer, "f32", a, kernels.pack(layer, "f32", b), 10, 20, target)
    np.testing.assert_array_equal(target, wide)
    assert (out == 7).all()
