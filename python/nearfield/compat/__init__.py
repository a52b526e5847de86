"""Stand-ins for other libraries: the same names and results, our indexes behind them.

`nearfield.compat.hnswlib`, `nearfield.compat.faiss` and `nearfield.compat.usearch` take the place
of these packages by one changed import, and say in their docstrings where they differ.
"""

__all__ = ["faiss", "hnswlib", "usearch"]


def __getattr__(name: str) -> object:
    if name in __all__:
        import importlib

        return importlib.import_module(f"nearfield.compat.{name}")
    raise AttributeError(f"module 'nearfield.compat' has no attribute {name!r}")
