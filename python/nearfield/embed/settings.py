"""Everything an `Encoder` may be told about its model, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nearfield.embed.pooling import Layer, Pooling, check_pooling

__all__ = ["Settings"]

_DTYPES = ("auto", "float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Settings:
    """How a model is loaded and read; `Encoder` documents each.

    A backend refuses what it cannot do, by `refuse`, instead of leaving it aside.
    """

    layer: Layer = -1
    pooling: Pooling = "auto"
    max_length: int | None = None
    device: str = "auto"
    dtype: str = "auto"
    revision: str | None = None

    def __post_init__(self) -> None:
        if self.pooling != "auto":
            check_pooling(self.pooling)
        if self.max_length is not None and self.max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {self.max_length}")
        if self.dtype not in _DTYPES:
            known = ", ".join(repr(name) for name in _DTYPES)
            raise ValueError(f"dtype must be one of {known}, got {self.dtype!r}")

    def refuse(self, model: str, *names: str) -> None:
        """Raise ValueError if one of the settings named is not its default."""
        default = Settings()
        for name in names:
            if getattr(self, name) != getattr(default, name):
                rule = f"{name} must be {getattr(default, name)!r} for the {model} encoder"
                raise ValueError(f"{rule}, which has no choice there, got {getattr(self, name)!r}")

    @property
    def layer_name(self) -> str:
        """The layer as a fingerprint shows it."""
        if isinstance(self.layer, Mapping):
            return "{" + ",".join(f"{k}:{v:g}" for k, v in sorted(self.layer.items())) + "}"
        return str(self.layer).replace(" ", "")
