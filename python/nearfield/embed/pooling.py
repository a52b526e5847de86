"""From the vectors of tokens to the vector of a text: which layer, and how tokens are joined.

Everything here works alike on numpy arrays and on torch tensors, on any device.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["POOLINGS", "Layer", "Pooling", "check_pooling", "layer_weights", "mix_layers", "pool"]

POOLINGS = ("cls", "mean", "max", "mean_sqrt_len", "weightedmean", "lasttoken")
_ALIASES = {"mean_sqrt_len_tokens": "mean_sqrt_len", "last": "lasttoken"}

Pooling = str | Sequence[str]
Layer = int | str | Sequence[int] | Mapping[int, float]


def check_pooling(pooling: Pooling) -> tuple[str, ...]:
    """The names of `pooling` as a tuple; those of sentence-transformers are understood.

    Raises
    ------
    ValueError
        If a name is unknown; the message lists those known.
    """
    names = (pooling,) if isinstance(pooling, str) else tuple(pooling)
    found = tuple(_ALIASES.get(name, name) for name in names)
    for name in found:
        if name not in POOLINGS:
            known = ", ".join(repr(known) for known in POOLINGS)
            raise ValueError(f"pooling must be of {known}, got {name!r}")
    if not found:
        raise ValueError("pooling must name at least one way, got an empty sequence")
    return found


def pool(tokens: Any, mask: Any, pooling: Pooling = "mean") -> Any:
    """Join the vectors of each text's tokens into one.

    Parameters
    ----------
    tokens : ndarray or tensor, shape (n, length, dim)
        Half precision is added up in float32.
    mask : ndarray or tensor, shape (n, length)
        1 where there is a token, 0 where there is padding, left or right.
    pooling : str or sequence of str
        ``"cls"``: the first token. ``"lasttoken"``: the last. ``"mean"``. ``"max"``, of each
        dimension. ``"mean_sqrt_len"``: the sum over the square root of the number of tokens.
        ``"weightedmean"``: token i weighs i, counted from 1. Several are put end to end.

    Returns
    -------
    ndarray or tensor, shape (n, dim * number of poolings), float32
        Zero for a text without tokens.
    """
    names = check_pooling(pooling)
    xp = np if isinstance(tokens, np.ndarray) else sys.modules["torch"]
    tokens = _float32(tokens, xp)
    mask = _float32(mask, xp)
    parts = []
    for name in names:
        if name == "max":
            shut = xp.where(mask[:, :, None] > 0, tokens, -xp.inf)
            parts.append(xp.where(mask.sum(1)[:, None] > 0, xp.amax(shut, 1), 0.0))
        else:
            parts.append(xp.matmul(_weights(mask, name, xp)[:, None, :], tokens)[:, 0])
    return parts[0] if len(parts) == 1 else xp.concatenate(parts, 1)


def _weights(mask: Any, name: str, xp: Any) -> Any:
    """What each token counts, (n, length) float32."""
    places = xp.cumsum(mask, 1) * mask  # 1, 2, 3 ... at tokens, 0 at padding
    count = mask.sum(1)[:, None]
    if name == "cls":
        return _float32(places == 1, xp)
    if name == "lasttoken":
        return _float32((places == count) & (mask > 0), xp)
    if name == "weightedmean":
        return places / xp.clip(places.sum(1)[:, None], 1, None)
    count = xp.clip(count, 1, None)
    return mask / (count if name == "mean" else xp.sqrt(count))


def _float32(array: Any, xp: Any) -> Any:
    return array.astype(np.float32) if xp is np else array.to(xp.float32)


def layer_weights(layer: Layer, layers: int) -> dict[int, float]:
    """What each layer counts, by its number from 0, the embedding layer, to `layers`.

    Parameters
    ----------
    layer : int, "last4", sequence of int, or mapping from int to weight
        A sequence is averaged; weights are scaled to the sum 1. Negative numbers count from the
        end.
    layers : int
        Transformer layers of the model.

    Raises
    ------
    ValueError
        If a layer does not exist, or weights are not positive.
    """
    if isinstance(layer, str):
        if layer != "last4":
            raise ValueError(f"layer must be an int, 'last4', a list or a dict, got {layer!r}")
        layer = list(range(-min(4, layers), 0))
    if isinstance(layer, Mapping):
        wanted = {int(number): float(weight) for number, weight in layer.items()}
    else:
        numbers = [layer] if isinstance(layer, (int, np.integer)) else list(layer)
        wanted = dict.fromkeys((int(number) for number in numbers), 1.0)
    for number, weight in wanted.items():
        if not -layers - 1 <= number <= layers:
            rule = f"layer must be in {-layers - 1}..{layers} (0 is the embedding layer)"
            raise ValueError(f"{rule}, got {number}")
        if not (weight > 0 and np.isfinite(weight)):
            raise ValueError(f"layer must have positive weights, got {weight} for {number}")
    total = sum(wanted.values())
    if not wanted:
        raise ValueError("layer must name at least one layer, got none")
    found: dict[int, float] = {}
    for number, weight in wanted.items():
        place = number % (layers + 1)
        found[place] = found.get(place, 0.0) + weight / total
    return dict(sorted(found.items()))


def mix_layers(hidden: Sequence[Any], weights: Mapping[int, float]) -> Any:
    """The weighted sum of the layers' token vectors, in float32 where there are several."""
    if len(weights) == 1:
        return hidden[next(iter(weights))]
    xp = np if isinstance(hidden[0], np.ndarray) else sys.modules["torch"]
    return sum(_float32(hidden[number], xp) * weight for number, weight in weights.items())
