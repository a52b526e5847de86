"""Codes in panels of 16 rows and in blocks of 32, on every layer, against plain integers."""

import numpy as np
import pytest

from nearfield._core import kernels

BITS = (1, 2, 4, 8)
DIMS = (1, 3, 4, 31, 32, 33, 64, 100, 128, 255, 257, 768, 1024, 1030, 2048)


def padded(value, to):
    return -(-value // to) * to


def into_panels(codes, bits):
    """Panels, (n / 16, lines * 64), of codes (n, dim) of whole values; n a multiple of 16."""
    parts = 8 // bits
    width = padded(codes.shape[1], 4 * parts)
    wide = np.zeros((len(codes), width), np.uint8)
    wide[:, : codes.shape[1]] = codes
    # (panel, row, line, part, value) -> (panel, line, row, value), the parts one above the other
    units = wide.reshape(-1, 16, width // (4 * parts), parts, 4)
    lines = np.zeros((len(units), units.shape[2], 16, 4), np.uint8)
    for part in range(parts):
        lines |= units[:, :, :, part].transpose(0, 2, 1, 3) << np.uint8(part * bits)
    return lines.reshape(len(units), -1)


def query_for(panels, bits, values):
    query = np.zeros(panels.shape[1] // 64 * 32 // bits, np.int8)
    query[: len(values)] = values
    return query


@pytest.mark.parametrize("bits", BITS)
def test_panel_dots_agree_with_integers_at_every_dim(layer, bits, rng):
    for dim in DIMS:
        codes = rng.integers(0, 2**bits, (16 * 9, dim)).astype(np.uint8)
        values = rng.integers(-127, 128, dim).astype(np.int8)
        panels = into_panels(codes, bits)
        got = kernels.panel_dots(layer, bits, query_for(panels, bits, values), panels)
        np.testing.assert_array_equal(got, codes.astype(np.int64) @ values.astype(np.int64))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("value", [127, -127])
def test_panel_dots_hold_the_largest_codes_and_queries(layer, bits, value):
    for dim in (64, 1030, 65536):
        codes = np.full((16, dim), 2**bits - 1, np.uint8)
        panels = into_panels(codes, bits)
        got = kernels.panel_dots(
            layer, bits, query_for(panels, bits, np.full(dim, value, np.int8)), panels
        )
        assert (got == dim * (2**bits - 1) * value).all()


@pytest.mark.parametrize("bits", BITS)
def test_unpacked_panels_hold_the_codes_and_zeros(layer, bits, rng):
    for dim in DIMS:
        codes = rng.integers(0, 2**bits, (32, dim)).astype(np.uint8)
        lines = padded(dim, 64) // 4
        got = kernels.panel_unpack(layer, bits, into_panels(codes, bits), lines)
        rows = got.reshape(2, lines, 16, 4).transpose(0, 2, 1, 3).reshape(32, -1)
        np.testing.assert_array_equal(rows[:, :dim], codes)
        assert not rows[:, dim:].any()


def into_blocks(codes):
    """Blocks, (n / 32, pairs * 32), of codes (n, m) of 4 bits; m a multiple of 4."""
    pairs = codes[:, ::2] | codes[:, 1::2] << np.uint8(4)
    return np.ascontiguousarray(pairs.reshape(len(codes) // 32, 32, -1).transpose(0, 2, 1)).reshape(
        len(codes) // 32, -1
    )


@pytest.mark.parametrize("m", [4, 8, 12, 64, 100, 252, 256, 260, 512, 768, 1024, 1536])
def test_lookup_sums_agree_with_integers(layer, m, rng):
    codes = rng.integers(0, 16, (32 * 7, m)).astype(np.uint8)
    tables = rng.integers(0, 256, (m, 16)).astype(np.uint8)
    expected = tables[np.arange(m), codes].astype(np.int64).sum(1)
    got = kernels.lookup_sums(layer, tables, into_blocks(codes))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("m", [256, 260, 1028, 2048])
def test_lookup_sums_of_the_largest_entries_do_not_overflow(layer, m):
    codes = np.full((32, m), 15, np.uint8)
    got = kernels.lookup_sums(layer, np.full((m, 16), 255, np.uint8), into_blocks(codes))
    assert (got == 255 * m).all()


@pytest.mark.parametrize("n_bytes", [2, 4, 6, 8, 16, 32, 48, 50, 96, 400, 1000])
@pytest.mark.parametrize("largest", [False, True])
def test_lookups_by_six_bits_agree_with_integers(layer, n_bytes, largest, rng):
    steps = -(-n_bytes // 3)
    codes = rng.integers(0, 256, (32 * 19, n_bytes)).astype(np.uint8)
    tables = rng.integers(0, 128, (4 * steps, 64)).astype(np.uint8)
    if largest:
        codes[:], tables[:] = 255, 127
    wide = np.zeros((len(codes), 3 * steps), np.uint8)
    wide[:, :n_bytes] = codes
    triples = wide.reshape(len(codes), steps, 3)
    upper = triples >> 6
    fourth = upper[..., 0] | upper[..., 1] << np.uint8(2) | upper[..., 2] << np.uint8(4)
    places = np.concatenate([triples & 63, fourth[..., None]], axis=2).reshape(len(codes), -1)
    expected = tables[np.arange(4 * steps), places].sum(axis=1, dtype=np.int64)
    for n_blocks in (1, 2, 3, 8, 19):
        blocks = codes[: 32 * n_blocks].reshape(n_blocks, 32, n_bytes).transpose(0, 2, 1)
        blocks = np.ascontiguousarray(blocks).reshape(n_blocks, -1)
        for ahead in (False, True):
            got = kernels.lookup6_sums(layer, tables, blocks, ahead)
            if got is not None:  # the layer has other look-ups
                np.testing.assert_array_equal(got, expected[: 32 * n_blocks])
