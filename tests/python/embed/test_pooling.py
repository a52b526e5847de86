import numpy as np
import pytest
from tiny_models import reference_pooling

from nearfield.embed import POOLINGS, pool
from nearfield.embed.batching import by_tokens
from nearfield.embed.pooling import check_pooling, layer_weights, mix_layers

LENGTHS = (3, 7, 1, 5)


def padded(rng, side):
    """Tokens of four texts, nonsense where there is padding, and the mask."""
    tokens = 100 * rng.standard_normal((4, 7, 6))
    mask = np.zeros((4, 7))
    for row, length in enumerate(LENGTHS):
        mask[row, slice(0, length) if side == "right" else slice(7 - length, 7)] = 1
    return tokens, mask


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", POOLINGS)
def test_pool_agrees_with_the_definition_whatever_side_is_padded(rng, name, side, library):
    tokens, mask = padded(rng, side)
    expected = [
        reference_pooling(text[kept > 0], name) for text, kept in zip(tokens, mask, strict=True)
    ]
    given = [tokens.astype(np.float32), mask.astype(np.int64)]
    if library == "torch":
        torch = pytest.importorskip("torch", reason="needs the extra embed")
        given = [torch.from_numpy(array) for array in given]
    found = pool(*given, name)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-5, atol=1e-4)


def test_poolings_are_put_end_to_end_in_the_order_given(rng):
    tokens, mask = padded(rng, "right")
    found = pool(tokens, mask, ("max", "cls"))
    np.testing.assert_array_equal(found[:, :6], pool(tokens, mask, "max"))
    np.testing.assert_array_equal(found[:, 6:], pool(tokens, mask, "cls"))


def test_half_precision_is_added_up_in_float32():
    tokens = np.full((1, 4000, 1), 0.1, dtype=np.float16)
    found = pool(tokens, np.ones((1, 4000)), "mean")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.float32(np.float16(0.1)), rtol=1e-5)


@pytest.mark.parametrize("name", POOLINGS)
def test_a_text_without_tokens_is_zero(name):
    assert (pool(np.ones((1, 3, 2)), np.zeros((1, 3)), name) == 0).all()


def test_unknown_pooling_is_refused_with_the_list_of_those_known():
    with pytest.raises(ValueError, match=r"'cls', 'mean', 'max', .*'lasttoken', got 'median'"):
        check_pooling(("mean", "median"))
    assert check_pooling("mean_sqrt_len_tokens") == ("mean_sqrt_len",)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (-1, {6: 1.0}), (0, {0: 1.0}), (-7, {0: 1.0}), (3, {3: 1.0}),
        ("last4", {3: 0.25, 4: 0.25, 5: 0.25, 6: 0.25}),
        ([-1, 1], {1: 0.5, 6: 0.5}), ({-1: 3, 0: 1}, {0: 0.25, 6: 0.75}), ([6, -1], {6: 1.0}),
    ],
)  # fmt: skip
def test_layer_weights_count_layers_from_both_ends_and_sum_to_one(layer, expected):
    assert layer_weights(layer, 6) == expected


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (7, r"layer must be in -7\.\.6 \(0 is the embedding layer\), got 7"),
        (-8, r"layer must be in -7\.\.6 .*, got -8"),
        ("last5", "layer must be an int, 'last4', a list or a dict, got 'last5'"),
        ({1: 0.0}, "layer must have positive weights, got 0.0 for 1"),
        ([], "layer must name at least one layer, got none"),
    ],
)
def test_a_layer_that_does_not_exist_is_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        layer_weights(layer, 6)


def test_mix_layers_adds_up_by_weight(rng):
    hidden = [rng.standard_normal((2, 3, 4)).astype(np.float16) for _ in range(3)]
    found = mix_layers(hidden, {0: 0.25, 2: 0.75})
    expected = 0.25 * hidden[0].astype(np.float64) + 0.75 * hidden[2].astype(np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_by_tokens_keeps_to_the_budget_and_leaves_no_text_out(rng):
    lengths = rng.integers(0, 90, 500)
    batches = list(by_tokens(lengths, budget=256, most=20))
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    for rows in batches:
        assert len(rows) <= 20
        assert len(rows) == 1 or lengths[rows].max() * len(rows) <= 256
    assert [len(rows) for rows in by_tokens([1000], budget=10, most=5)] == [1]
    padding = sum(lengths[rows].max() * len(rows) - lengths[rows].sum() for rows in batches)
    assert padding < 0.1 * lengths.sum()
