"""The command line: `nearfield COMMAND`, also `python -m nearfield COMMAND`.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from nearfield import __version__
from nearfield.commands import bench, build, cpu, demo, evaluation, files, search, text

__all__ = ["main"]

# In the order of `nearfield --help`. Each module offers add_parser(subparsers), which sets
# `run`, a function of the parsed arguments, as a default of its parser.
_COMMANDS = (demo, text, build, search, evaluation, files, bench, cpu)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code.

    Parameters
    ----------
    arguments : sequence of str or None, default None
        None takes them from ``sys.argv``.
    """
    parser = _parser()
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        parser.print_help(sys.stderr)
        return 2
    parsed = parser.parse_args(given)
    try:
        parsed.run(parsed)
    except KeyboardInterrupt:
        print("\nnearfield: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `nearfield ... | head` has read enough
        sys.stderr.close()
        return 0
    except (ValueError, TypeError, OSError, ImportError, MemoryError, RuntimeError) as error:
        print("; ".join([f"nearfield: {error}", *getattr(error, "__notes__", [])]), file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nearfield", description="Nearest-neighbour search over embeddings."
    )
    parser.add_argument("--version", action="version", version=f"nearfield {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(subparsers)
    return parser
