"""What groups of texts are about: the words that set each apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.arrays import as_matrix
from nearfield.explore.clusters import hdbscan
from nearfield.explore.graph import knn_graph
from nearfield.kmeans import KMeans
from nearfield.text.words import Tokenizer, tokenizer_of

__all__ = ["Topics", "topic_words", "topics"]

_STOP = """
a about above after all also an and any are as at be been before being between both but by can could
did do does each for from get given had has have he her his how i if in into is it its itself just
like may more most must my no not of off on one only or other our out over own same set she should
so some such than that the their them then there these they this those to too two under up use used
using very was we were what when where which while who will with would you your
것 수 등 및 이 그 저 때 더 또 또는 그리고 있다 없다 한다 된다 하는 있는 하다 되다
합니다 입니다 있습니다 됩니다 없습니다 때문 경우 위해 대한 통해
"""
_STOP_WORDS = frozenset(_STOP.split())


@dataclass(frozen=True)
class Topics:
    """Groups of texts and their words.

    Attributes
    ----------
    labels : ndarray, shape (n,), int64
        Topic of each text, 0 the largest; -1 for what belongs to none.
    words : list of list of str
        The words that set topic i apart, the strongest first.
    sizes : list of int
        Texts of topic i.
    """

    labels: NDArray[np.int64]
    words: list[list[str]]
    sizes: list[int]

    def name(self, topic: int) -> str:
        """The topic's first three words; "other" for -1."""
        return "other" if topic < 0 else ", ".join(self.words[topic][:3]) or f"topic {topic}"

    def __len__(self) -> int:
        return len(self.words)

    def __str__(self) -> str:
        lines = [f"{'topic':>5}  {'texts':>6}  words"]
        lines += [
            f"{number:>5}  {size:>6,}  {', '.join(words)}"
            for number, (size, words) in enumerate(zip(self.sizes, self.words, strict=True))
        ]
        rest = int((self.labels < 0).sum())
        return "\n".join([*lines, f"{'':>5}  {rest:>6,}  in no topic"] if rest else lines)


def topics(
    texts: Sequence[str],
    vectors: ArrayLike,
    n_topics: int | None = None,
    *,
    space: ArrayLike | None = None,
    min_size: int = 10,
    n_words: int = 8,
    tokenizer: str | Tokenizer = "words",
    seed: int = 0,
) -> Topics:
    """Group texts by their vectors and name each group by its words.

    Parameters
    ----------
    texts : sequence of str, length n
    vectors : array_like, shape (n, dim)
        Compared by cosine.
    n_topics : int, optional
        So many groups by k-means. Where not given, HDBSCAN on the 15 nearest neighbours finds
        their number and leaves texts aside that belong to none.
    space : array_like, shape (n, d), optional
        Where HDBSCAN looks for groups, by l2: the points of `map_points`. Vectors of hundreds of
        dimensions are dense in few places, so that most texts end in no topic; on a map more of
        them are near each other.
    min_size : int, at least 2, default 10
        Texts of a group, at least, for HDBSCAN.
    n_words : int, at least 1, default 8
        Words of a topic.
    tokenizer : str or callable, default "words"
        ``"korean"`` names topics by Korean morphemes: see `nearfield.text.tokenizer_of`.
    seed : int, default 0
        Of k-means.

    Returns
    -------
    Topics

    Raises
    ------
    ValueError
        If `texts` and `vectors` differ in length, or a number is out of range.
    """
    rows = np.atleast_2d(as_matrix(vectors, "vectors"))
    if len(texts) != len(rows):
        raise ValueError(f"texts must have one entry a vector ({len(rows)}), got {len(texts)}")
    if n_words < 1:
        raise ValueError(f"n_words must be at least 1, got {n_words}")
    if n_topics is None:
        graph = knn_graph(rows) if space is None else knn_graph(space, metric="l2")
        if len(graph.neighbors) != len(rows):
            rule = f"space must have one entry a vector ({len(rows)})"
            raise ValueError(f"{rule}, got {len(graph.neighbors)}")
        labels = hdbscan(graph, min_size)
    else:
        labels = KMeans(n_topics, metric="cosine", seed=seed).fit_predict(rows)
        order = np.argsort(-np.bincount(labels, minlength=n_topics), kind="stable")
        labels = np.argsort(order)[labels]
    count = int(labels.max()) + 1 if len(labels) else 0
    sizes = np.bincount(labels[labels >= 0], minlength=count).tolist()
    return Topics(labels, topic_words(texts, labels, n_words, tokenizer), sizes)


def topic_words(
    texts: Sequence[str],
    labels: NDArray[np.int64],
    n_words: int = 8,
    tokenizer: str | Tokenizer = "words",
) -> list[list[str]]:
    """The words of each group by class-based TF-IDF [1]_, the strongest first.

    A word of a group weighs its share of the group's words, times log(1 + A / f), where f is how
    often it occurs in all groups and A the mean number of words of a group. Stop words, numbers
    and words of one letter are left out.

    References
    ----------
    .. [1] Grootendorst, "BERTopic: Neural topic modeling with a class-based TF-IDF procedure",
       arXiv:2203.05794.
    """
    split = tokenizer_of(tokenizer)
    count = int(labels.max()) + 1 if len(labels) else 0
    own: list[dict[str, int]] = [{} for _ in range(count)]
    everywhere: dict[str, int] = {}
    for text, label in zip(texts, labels.tolist(), strict=True):
        if label < 0:
            continue
        for word in split(text):
            if len(word) > 1 and word not in _STOP_WORDS and not word.isdigit():
                own[label][word] = own[label].get(word, 0) + 1
                everywhere[word] = everywhere.get(word, 0) + 1
    mean = sum(everywhere.values()) / max(1, count)
    found = []
    for words in own:
        weights = {word: n * np.log(1 + mean / everywhere[word]) for word, n in words.items()}
        found.append(sorted(weights, key=lambda word: (-weights[word], word))[:n_words])
    return found
