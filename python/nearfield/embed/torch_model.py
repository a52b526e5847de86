"""Encoders of transformers and sentence-transformers, run by torch."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.embed.batching import by_tokens
from nearfield.embed.images import open_image
from nearfield.embed.model import Batch, Work, batches_of, prompted
from nearfield.embed.pooling import check_pooling, layer_weights, mix_layers, pool
from nearfield.embed.settings import Settings
from nearfield.embed.torch_load import Loaded

__all__ = ["TorchModel"]

_BLOCK = 4096  # texts held as tokens at a time
# Tokens in a batch, padding counted: where a batch fills the machine and its rows fit the cache.
_BUDGET = {"cpu": 4096, "cuda": 65536, "mps": 16384}


class TorchModel:
    """A transformer read at any layer, its tokens pooled in any way.

    Texts are sorted by their number of tokens and batched by a budget of tokens, so that little
    of a batch is padding. Batches are padded on the right whatever the tokenizer would do: with a
    mask that is right for every architecture, and pooling goes by the mask.

    A model of sentence-transformers with modules beyond pooling and normalising, such as a dense
    layer, runs whole in sentence-transformers as long as layer and pooling are its own.
    """

    def __init__(self, loaded: Loaded, settings: Settings) -> None:
        self._loaded = loaded
        self.name = loaded.name
        self.prompts: Mapping[str, str] = loaded.prompts
        self._locking = threading.Lock()  # fast tokenizers may not truncate on two threads at once
        own = settings.layer == -1 and settings.pooling == "auto"
        self._whole = own and loaded.poolings is None
        if self._whole:
            self.dim = int(loaded.sentence.get_embedding_dimension())
            self.poolings: tuple[str, ...] = ()
            how = "whole"
        else:
            if loaded.transformer is None:
                settings.refuse(self.name, "layer", "pooling")
            wanted = loaded.poolings or ("mean",)
            self.poolings = (
                wanted if settings.pooling == "auto" else check_pooling(settings.pooling)
            )
            layer_weights(settings.layer, self.layers)
            self.dim = loaded.hidden_size * len(self.poolings)
            how = f"layer={settings.layer_name} pooling={'+'.join(self.poolings)}"
        self._layer = settings.layer
        self.fingerprint = f"{loaded.weights} {how} max_length={self.max_length}"

    @property
    def layers(self) -> int:
        """Transformer layers; 0 is the number of the embedding layer before them."""
        return self._loaded.layers

    @property
    def max_length(self) -> int:
        """Tokens after which a text is cut."""
        return self._loaded.max_length

    @property
    def device(self) -> str:
        """Where the model runs: "cpu", "cuda", "cuda:1" or "mps", as asked for."""
        return self._loaded.device

    def encode(self, texts: Sequence[str], work: Work) -> Iterator[Batch]:
        """Yield batches, the longest texts of each block of texts first."""
        with self._threads(work.threads):
            if self._whole:
                yield from self._encode_whole(texts, work)
                return
            weights = layer_weights(self._layer, self.layers)
            for rows, hidden, mask in self._hidden(texts, work, weights):
                tokens = mix_layers(hidden, weights)
                yield rows, _to_numpy(pool(tokens, mask, self.poolings))

    def encode_grid(
        self, texts: Sequence[str], work: Work, layers: Sequence[Any], poolings: Sequence[str]
    ) -> Iterator[tuple[Sequence[int], dict[tuple[str, str], NDArray[np.float32]]]]:
        """Yield each batch under every layer and pooling, from one pass through the model.

        The keys are the layer as str and the pooling.
        """
        weights = {str(layer): layer_weights(layer, self.layers) for layer in layers}
        needed = {place: 1.0 for each in weights.values() for place in each}
        with self._threads(work.threads):
            for rows, hidden, mask in self._hidden(texts, work, needed):
                found = {}
                for name, each in weights.items():
                    tokens = mix_layers(hidden, each)
                    for pooling in poolings:
                        found[name, pooling] = _to_numpy(pool(tokens, mask, pooling))
                yield rows, found

    def encode_tokens(
        self, texts: Sequence[str], work: Work
    ) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.int64], list[str]]]:
        """Yield each text's token vectors, their places in the text, and the tokens' names.

        Gives (number of text, (t, dim) float32, (t, 2) int64, names); special tokens are left out.
        The places of the prompt's tokens lie before 0 and are left out too.
        """
        weights = layer_weights(self._layer, self.layers)
        tokenizer = self._tokenizer()
        for block in batches_of(len(texts), _BLOCK):
            encoded = self._tokenize([work.prompt + texts[row] for row in block], offsets=True)
            with self._threads(work.threads):
                for rows, hidden, _ in self._forward(encoded, work, weights):
                    tokens = _to_numpy(mix_layers(hidden, weights).float())
                    for row, vectors in zip(rows, tokens, strict=True):
                        length = len(encoded["input_ids"][row])
                        offsets = np.array(encoded["offset_mapping"][row], dtype=np.int64)
                        offsets = offsets.reshape(-1, 2) - len(work.prompt)
                        special = np.array(encoded["special_tokens_mask"][row], dtype=bool)
                        kept = np.flatnonzero(~special & (offsets[:, 1] > 0))
                        ids = [encoded["input_ids"][row][place] for place in kept]
                        names = tokenizer.convert_ids_to_tokens(ids)
                        found = np.maximum(offsets[kept], 0)
                        yield block[row], vectors[:length][kept], found, names

    def token_offsets(self, text: str) -> NDArray[np.int64]:
        """Where each token of the whole text begins and ends, (t, 2), special tokens left out."""
        with self._locking:
            found = self._tokenizer()(
                text, add_special_tokens=False, return_offsets_mapping=True, truncation=False,
                verbose=False,
            )["offset_mapping"]  # fmt: skip
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def _tokenizer(self) -> Any:
        if self._loaded.tokenizer is None:
            raise ValueError(f"model must have a tokenizer that tells offsets, got {self.name}")
        return self._loaded.tokenizer

    def _hidden(
        self, texts: Sequence[str], work: Work, weights: Mapping[int, float]
    ) -> Iterator[tuple[list[int], Any, Any]]:
        """Yield numbers of texts, hidden states by layer, and mask, batch by batch."""
        for block in batches_of(len(texts), _BLOCK):
            encoded = self._tokenize(prompted([texts[row] for row in block], work.prompt))
            for rows, hidden, mask in self._forward(encoded, work, weights):
                yield [block[row] for row in rows], hidden, mask

    def _tokenize(self, texts: Sequence[str], offsets: bool = False) -> dict[str, list[Any]]:
        with self._locking:
            return dict(
                self._tokenizer()(
                    list(texts), truncation=True, max_length=self.max_length, padding=False,
                    return_attention_mask=False, return_offsets_mapping=offsets,
                    return_special_tokens_mask=offsets, verbose=False,
                )
            )  # fmt: skip

    def _forward(
        self, encoded: dict[str, list[Any]], work: Work, weights: Mapping[int, float]
    ) -> Iterator[tuple[list[int], Any, Any]]:
        import torch

        ids = encoded["input_ids"]
        budget = work.token_budget or _BUDGET[self.device.partition(":")[0]]
        last_alone = set(weights) == {self.layers}
        for rows in by_tokens([len(row) for row in ids], budget, work.batch_size):
            inputs = {"input_ids": _padded(ids, rows, self._loaded.pad_id)}
            if "token_type_ids" in encoded:
                inputs["token_type_ids"] = _padded(encoded["token_type_ids"], rows, 0)
            lengths = np.array([len(ids[row]) for row in rows])
            mask = np.arange(inputs["input_ids"].shape[1]) < lengths[:, None]
            inputs["attention_mask"] = mask.astype(np.int64)
            moved = {
                name: torch.from_numpy(array).to(self.device, non_blocking=True)
                for name, array in inputs.items()
            }
            with torch.inference_mode():
                out = self._loaded.transformer(
                    **moved, output_hidden_states=not last_alone, return_dict=True
                )
            hidden = {self.layers: out.last_hidden_state} if last_alone else out.hidden_states
            yield rows.tolist(), hidden, moved["attention_mask"]

    def _encode_whole(self, texts: Sequence[str], work: Work) -> Iterator[Batch]:
        """Let sentence-transformers run all its modules, batches sorted by characters."""
        order = np.argsort([-len(text) for text in texts], kind="stable")
        for batch in batches_of(len(texts), min(work.batch_size, 32)):
            rows = order[batch.start : batch.stop].tolist()
            yield rows, self._run_whole([texts[row] for row in rows], work.prompt)

    def encode_images(self, images: Sequence[Any], work: Work) -> Iterator[Batch]:
        """Yield batches in order; raises TypeError if the model reads text alone."""
        if not self._loaded.sentence.supports("image"):
            raise TypeError(f"model must take images, got {self.name!r}, which reads text alone")
        if not self._whole:
            raise ValueError("layer and pooling must be the model's own for images")
        with self._threads(work.threads):
            for batch in batches_of(len(images), min(work.batch_size, 32)):
                opened = [open_image(images[row], row) for row in batch]
                yield batch, self._run_whole(opened, "")

    def _run_whole(self, inputs: list[Any], prompt: str) -> NDArray[np.float32]:
        import torch

        sentence = self._loaded.sentence
        with self._locking:
            features = sentence.preprocess(inputs, prompt=prompt or None)
        moved = {
            name: value.to(self.device) if hasattr(value, "to") else value
            for name, value in features.items()
        }
        with torch.inference_mode():
            return _to_numpy(sentence(moved)["sentence_embedding"].float())

    @contextmanager
    def _threads(self, threads: int) -> Iterator[None]:
        """Have torch use so many threads meanwhile; 0 leaves its own choice."""
        import torch

        before = torch.get_num_threads()
        if threads in (0, before):
            yield
            return
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _padded(lists: Sequence[Sequence[int]], rows: NDArray[np.int64], pad: int) -> NDArray[np.int64]:
    """The lists of `rows` as a rectangle, filled up on the right."""
    longest = max(1, max(len(lists[row]) for row in rows))
    filled = np.full((len(rows), longest), pad, dtype=np.int64)
    for place, row in enumerate(rows):
        filled[place, : len(lists[row])] = lists[row]
    return filled


def _to_numpy(tensor: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().cpu().numpy()
    return array
