"""Stand-ins for other libraries: the same names and results, our indexes behind them.

`nearfield.compat.hnswlib` takes the place of hnswlib by one changed import, and says in its
docstring where it differs.
"""

__all__ = ["hnswlib"]


def __getattr__(name: str) -> object:
    if name in __all__:
        import importlib

        return importlib.import_module(f"nearfield.compat.{name}")
    raise AttributeError(f"module 'nearfield.compat' has no attribute {name!r}")
