"""Fixtures of the kernel tests: every layer this CPU has, and float64 values of every scalar."""

import numpy as np
import pytest

from nearfield import _core

LAYERS = _core.kernels.layers()


@pytest.fixture(params=[name for name, _ in LAYERS])
def layer(request):
    """The name of a layer, skipped where the CPU lacks it."""
    if not dict(LAYERS)[request.param]:
        pytest.skip(f"this CPU has no {request.param}")
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(7)
