"""One module for each command of `nearfield`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

__all__ = ["Subparsers"]

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
