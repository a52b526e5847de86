"""Kernels alone, on rows that stay in the second-level cache: arithmetic, not memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfield import _core

ROWS = 512
TYPES: dict[str, Any] = {
    "f32": np.float32,
    "f16": np.uint16,
    "bf16": np.uint16,
    "i8": np.int8,
    "u8": np.uint8,
}


class Distances:
    """One query against 512 rows in the layer that this machine uses."""

    params = (list(TYPES), ["l2", "dot"], [96, 384, 1536])
    param_names = ("scalar", "metric", "dim")

    def setup(self, scalar: str, metric: str, dim: int) -> None:
        kernels = _core.kernels
        self.layer = kernels.active_layer()
        rng = np.random.default_rng(0)
        values = rng.standard_normal((ROWS + 1, dim)).astype(np.float32)
        if scalar in ("i8", "u8"):
            rows = rng.integers(0, 120, (ROWS + 1, dim)).astype(TYPES[scalar])
            self.query, self.rows = rows[0].copy(), rows[1:].copy()
        elif scalar == "f32":
            self.query, self.rows = values[0].copy(), values[1:].copy()
        else:
            halves = kernels.to_half(self.layer, scalar, values[1:].ravel())
            self.query, self.rows = values[0].copy(), halves.reshape(ROWS, dim)
        self.slots = rng.permutation(ROWS).astype(np.uint32)
        self.out = np.empty(ROWS, np.float32)
        self.run = kernels.distances

    def time_rows(self, scalar: str, metric: str, dim: int) -> None:
        self.run(self.layer, scalar, metric, self.query, self.rows, None, self.out)

    def time_gather(self, scalar: str, metric: str, dim: int) -> None:
        self.run(self.layer, scalar, metric, self.query, self.rows, self.slots, self.out)


class Codes:
    """One 8-bit query against packed codes."""

    params = ([4, 8], [128, 384, 1536])
    param_names = ("bits", "dim")

    def setup(self, bits: int, dim: int) -> None:
        self.layer = _core.kernels.active_layer()
        rng = np.random.default_rng(0)
        self.query = rng.integers(-127, 128, dim).astype(np.int8)
        self.rows = rng.integers(0, 256, (ROWS, dim * bits // 8)).astype(np.uint8)
        self.slots = rng.permutation(ROWS).astype(np.uint32)
        self.out = np.empty(ROWS, np.int32)
        self.run = _core.kernels.codes

    def time_rows(self, bits: int, dim: int) -> None:
        self.run(self.layer, bits, self.query, self.rows, None, self.out)

    def time_gather(self, bits: int, dim: int) -> None:
        self.run(self.layer, bits, self.query, self.rows, self.slots, self.out)
