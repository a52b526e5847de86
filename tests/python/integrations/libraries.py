"""Other people's libraries, which tests of integrations need and not everybody has."""

import importlib
import os

import pytest


def library(name):
    """Import a library; skip where it is absent, unless the environment was made to have it."""
    if os.environ.get("NEARFIELD_REQUIRE_LIBRARIES"):
        return importlib.import_module(name)
    return pytest.importorskip(name)
