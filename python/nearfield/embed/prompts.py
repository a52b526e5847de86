"""What well-known models expect before queries and documents."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping

__all__ = ["known_prompts", "resolve_prompts"]

_PASSAGES = "Represent this sentence for searching relevant passages: "
# The first pattern found in the name or path decides. From the models' cards.
_FAMILIES: tuple[tuple[str, dict[str, str]], ...] = (
    (r"e5[-_].*instruct", {
        "query": "Instruct: Given a web search query, retrieve relevant passages that answer the "
                 "query\nQuery: "}),
    (r"(^|[-_/])(multilingual-)?e5[-_](small|base|large)", {
        "query": "query: ", "document": "passage: "}),
    (r"bge-(small|base|large)-en", {"query": _PASSAGES}),
    (r"mxbai-embed", {"query": _PASSAGES}),
    (r"arctic-embed.*v2", {"query": "query: "}),
    (r"arctic-embed", {"query": _PASSAGES}),
    (r"nomic-embed-text", {"query": "search_query: ", "document": "search_document: "}),
    (r"modernbert-embed", {"query": "search_query: ", "document": "search_document: "}),
    (r"embeddinggemma", {
        "query": "task: search result | query: ", "document": "title: none | text: "}),
    (r"qwen3-embedding", {
        "query": "Instruct: Given a web search query, retrieve relevant passages that answer the "
                 "query\nQuery:"}),
)  # fmt: skip
_DOCUMENT_NAMES = ("document", "passage", "corpus")


def known_prompts(name: str) -> dict[str, str]:
    """Prompts of the family that `name` belongs to; empty if it belongs to none."""
    for pattern, prompts in _FAMILIES:
        if re.search(pattern, name.lower()):
            return prompts
    return {}


def resolve_prompts(
    prompts: Mapping[str, str] | str | None, name: str, configured: Mapping[str, str]
) -> dict[str, str]:
    """Decide what stands before queries and documents.

    Parameters
    ----------
    prompts : mapping, "auto" or None
        A mapping has the keys ``"query"`` and ``"document"``, or one of them. ``"auto"`` takes
        the model's own configuration, else its family's. None uses none, and warns where the
        model is known to expect them.
    name : str
        The model's name or path.
    configured : mapping
        Prompts of the model's own configuration.
    """
    expected = _named(configured) or known_prompts(name)
    if prompts is None:
        if expected:
            shown = ", ".join(f"{kind}: {text!r}" for kind, text in sorted(expected.items()))
            message = f"{name} was trained with prompts ({shown}); prompts=None leaves them out"
            warnings.warn(message, UserWarning, stacklevel=3)
        return {}
    if isinstance(prompts, str):
        if prompts != "auto":
            raise ValueError(f"prompts must be 'auto', None or a mapping, got {prompts!r}")
        return expected
    for kind, text in prompts.items():
        if kind not in ("query", "document"):
            raise ValueError(f"prompts must have the keys 'query' and 'document', got {kind!r}")
        if not isinstance(text, str):
            raise TypeError(f"prompts[{kind!r}] must be a str, got {type(text).__name__}")
    return {kind: text for kind, text in prompts.items() if text}


def _named(configured: Mapping[str, str]) -> dict[str, str]:
    """The prompts for queries and documents among those that a model's files name."""
    found = {"query": configured.get("query") or ""}
    found["document"] = next((configured[n] for n in _DOCUMENT_NAMES if configured.get(n)), "")
    return {kind: text for kind, text in found.items() if text}
