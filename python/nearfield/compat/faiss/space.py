"""`ParameterSpace`: settings of searches by name."""

from __future__ import annotations

from typing import Any

from nearfield.compat.faiss.graph import IndexHNSW
from nearfield.compat.faiss.lists import IndexIVF
from nearfield.compat.faiss.wrappers import IndexRefine

__all__ = ["ParameterSpace"]


class ParameterSpace:
    """Sets nprobe, efSearch, k_factor_rf and verbose of an index and of what is in it."""

    verbose = 1

    def initialize(self, index: Any) -> None:
        """Do nothing: there is no table of values to try; see `nearfield`'s `index.tune`."""

    def set_index_parameters(self, index: Any, description_in: str) -> None:
        """Set what a text such as "nprobe=16,efSearch=64" says."""
        for part in filter(None, description_in.replace(" ", ",").split(",")):
            name, _, value = part.partition("=")
            if not value:
                raise RuntimeError(f"parameter must be name=value, got {part!r}")
            self.set_index_parameter(index, name, float(value))

    def set_index_parameter(self, index: Any, name: str, val: float) -> None:
        """Set one. RuntimeError where the index has no such parameter."""
        if name == "verbose":
            index.verbose = bool(val)
        elif not self._set(index, name, val):
            raise RuntimeError(f"could not set parameter {name!r} of {type(index).__name__}")

    def _set(self, index: Any, name: str, val: float) -> bool:
        if name == "nprobe" and isinstance(index, IndexIVF):
            index.nprobe = int(val)
            return True
        if name == "efSearch" and isinstance(index, IndexHNSW):
            index.hnsw.efSearch = int(val)
            return True
        if name == "k_factor_rf" and isinstance(index, IndexRefine):
            index.k_factor = val
            return True
        if name == "max_codes" and isinstance(index, IndexIVF):
            return True  # lists are never left half way
        inner = getattr(index, "index", None) or getattr(index, "base_index", None)
        if name.startswith("quantizer_"):
            inner, name = getattr(index, "quantizer", None), name.removeprefix("quantizer_")
        return inner is not None and self._set(inner, name, val)
