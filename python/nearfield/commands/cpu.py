"""`nearfield cpu`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearfield.commands import Subparsers

__all__ = ["add_parser"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "cpu",
        help="show this processor's features and the kernels chosen for it",
        description="Show how nearfield was built, what this processor can do and which kernels "
        "were chosen. NEARFIELD_ISA in the environment forces another choice.",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    import nearfield

    config = nearfield.build_config()
    if arguments.json:
        print(json.dumps(config, indent=2))
        return
    width = max(map(len, config))
    for name, value in config.items():
        print(f"{name.ljust(width)}  {_shown(value)}")


def _shown(value: object) -> str:
    if isinstance(value, dict):  # layers: name -> whether this processor has it
        return "  ".join(f"{name} {'yes' if has else 'no'}" for name, has in value.items())
    return "none" if value is None else str(value)
