"""Pictures as models take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nearfield._optional import import_extra

__all__ = ["open_image"]


def open_image(image: Any, number: int) -> Any:
    """Make a PIL image in RGB of a path, an array or a PIL image; `number` is for messages."""
    pil = import_extra("PIL.Image", "embed", "an image encoder")
    rule = f"images[{number}] must be a path, a PIL image or an array of shape (h, w, 3), uint8"
    if isinstance(image, (str, Path)):
        try:
            with pil.open(image) as opened:
                return opened.convert("RGB")
        except (OSError, ValueError) as error:
            raise ValueError(f"{rule}, got {str(image)!r}: {error}") from None
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"{rule}, got {image.dtype} of shape {image.shape}")
        return pil.fromarray(image)
    if isinstance(image, pil.Image):
        return image.convert("RGB")
    raise TypeError(f"{rule}, got {type(image).__name__}")
