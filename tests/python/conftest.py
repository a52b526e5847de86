"""What the tests share: seeded data."""

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(20_26)
