"""Integer dot products of codes and Hamming distances: exact, so compared for equality."""

import numpy as np
import pytest

from nearfield._core import kernels

BITS = [8, 4, 2, 1]
LENGTHS = [*range(32, 513, 32), 768, 1024, 2048]


def unpack(codes, bits):
    """The code values in the order of the query: parts lie `bytes` apart, lowest bits first."""
    parts = [(codes >> (p * bits)) & ((1 << bits) - 1) for p in range(8 // bits)]
    return np.concatenate(parts, axis=1).astype(np.int64)


@pytest.mark.parametrize("bits", BITS)
def test_code_products_are_exact_at_every_length(layer, bits, rng):
    for length in LENGTHS:
        codes = rng.integers(0, 256, (11, length), np.uint8)
        query = rng.integers(-128, 128, length * 8 // bits).astype(np.int8)
        want = unpack(codes, bits) @ query.astype(np.int64)
        np.testing.assert_array_equal(kernels.codes(layer, bits, query, codes), want)
        slots = rng.integers(0, 11, 19).astype(np.uint32)
        np.testing.assert_array_equal(kernels.codes(layer, bits, query, codes, slots), want[slots])


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("length", [32, 64, 96, 8192])
def test_code_products_are_exact_at_the_ends_of_their_range(layer, bits, length):
    codes = np.array([[255], [0], [85], [170], [128]], np.uint8).repeat(length, 1)
    for value in (-128, 127, 1):
        query = np.full(length * 8 // bits, value, np.int8)
        want = unpack(codes, bits) @ query.astype(np.int64)
        np.testing.assert_array_equal(kernels.codes(layer, bits, query, codes), want)


@pytest.mark.parametrize("bits", BITS)
def test_code_products_take_unaligned_codes_at_odd_strides(layer, bits, rng):
    memory = rng.integers(0, 256, 5000, np.uint8)
    for length, stride, offset in [(32, 33, 1), (96, 101, 3), (128, 195, 63)]:
        codes = np.ndarray((6, length), np.uint8, memory, offset, (stride, 1))
        query = rng.integers(-128, 128, length * 8 // bits).astype(np.int8)
        want = unpack(codes, bits) @ query.astype(np.int64)
        np.testing.assert_array_equal(kernels.codes(layer, bits, query, codes), want)


def test_hamming_counts_differing_bits_at_every_length(layer, rng):
    rows = rng.integers(0, 256, (9, 2048), np.uint8)
    rows[0], rows[1] = 0, 255
    query = rng.integers(0, 256, 2048).astype(np.uint8)
    for length in [*range(1, 261), 384, 1024, 2048]:
        want = np.unpackbits(rows[:, :length] ^ query[:length], axis=1).sum(1)
        got = kernels.hamming(layer, query[:length], rows[:, :length])
        np.testing.assert_array_equal(got, want)
        slots = np.array([8, 1, 1, 0, 5], np.uint32)
        got = kernels.hamming(layer, query[:length], rows[:, :length], slots)
        np.testing.assert_array_equal(got, want[slots])


def test_hamming_of_opposite_rows_counts_every_bit(layer):
    rows = np.full((4, 4096), 255, np.uint8)
    assert kernels.hamming(layer, np.zeros(4096, np.uint8), rows).tolist() == [8 * 4096] * 4
