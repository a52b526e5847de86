import numpy as np
import pytest

import nearfield as nf
from nearfield._optional import MissingExtraError
from nearfield.text import Hybrid, Keywords, compare_retrieval
from nearfield.text.fusion import by_ranks, by_scores

pytest.importorskip("bm25s", reason="needs the extra text")

TEXTS = [
    "Sort a list in place.", "Compress a file with gzip.", "Send an e-mail by SMTP.",
    "리스트를 정렬하는 방법", "The zlib module compresses data.", "A list of files",
]  # fmt: skip


class LetterEncoder:
    """A text is the counts of its letters: near where letters are shared."""

    dim = 30
    fingerprint = "letters"

    def encode_document(self, texts):
        single = isinstance(texts, str)
        rows = np.full((1 if single else len(texts), 30), 0.1, np.float32)
        for row, text in enumerate([texts] if single else texts):
            for letter in text.lower():
                rows[row, ord(letter) % 30] += 1
        return rows[0] if single else rows

    encode_query = encode_document


@pytest.fixture
def docs(tmp_path):
    with nf.Collection(tmp_path / "docs", encoder=LetterEncoder()) as collection:
        collection.add(
            ids=[f"d{i}" for i in range(6)], texts=TEXTS,
            metadata=[{"even": i % 2 == 0} for i in range(6)],
        )  # fmt: skip
        yield collection


def reference_bm25(query, texts, k1=1.5, b=0.75):
    """Lucene's BM25 from its formula."""
    split = [text.lower().replace(".", "").split() for text in texts]
    mean = sum(map(len, split)) / len(split)
    scores = np.zeros(len(texts))
    for word in query.lower().split():
        df = sum(word in words for words in split)
        idf = np.log(1 + (len(split) - df + 0.5) / (df + 0.5))
        for i, words in enumerate(split):
            tf = words.count(word)
            scores[i] += idf * tf / (tf + k1 * (1 - b + b * len(words) / mean))
    return scores


def test_keywords_score_as_the_formula_of_bm25_says():
    texts = ["sort a list", "a list of a list", "send mail", "sort sort sort", "empty"]
    keywords = Keywords("words")
    keywords.add(range(5), texts)
    expected = reference_bm25("sort list", texts)
    found = keywords.scores("sort list")
    assert list(np.argsort(-found, kind="stable")) == list(np.argsort(-expected, kind="stable"))
    np.testing.assert_allclose(found / found.max(), expected / expected.max(), atol=1e-5)


def test_keywords_follow_what_is_added_and_removed():
    keywords = Keywords()
    assert keywords.scores("fox").shape == (0,)
    keywords.add([7, 3], ["a fox", None])
    assert keywords.keys.tolist() == [3, 7]
    assert (keywords.scores("fox") > 0).tolist() == [False, True]
    keywords.add([3], ["fox fox"])
    assert (keywords.scores("fox") > 0).all()
    keywords.remove([7, 99])
    assert keywords.keys.tolist() == [3]
    keywords.remove([3])
    assert keywords.scores("fox").shape == (0,)


def test_auto_tokens_meet_korean_words_without_their_endings():
    split = nf.text.tokenizer_of()
    assert split("Sort THE list's 리스트를") == ["sort", "the", "list's", "리스", "스트", "트를"]
    assert set(split("정렬하는")) & set(split("정렬"))
    with pytest.raises(ValueError, match="tokenizer must be 'auto', 'words', .* got 'nltk'"):
        nf.text.tokenizer_of("nltk")
    assert nf.text.tokenizer_of(str.split)("a b") == ["a", "b"]


def test_korean_tokens_are_morphemes_without_particles():
    pytest.importorskip("kiwipiepy", reason="needs the extra text")
    split = nf.text.tokenizer_of("korean")
    assert split("리스트를 정렬하였습니다") == ["리스트", "정렬"]
    assert "sort" in split("sort로 정렬")


def test_fusion_by_ranks_adds_reciprocal_ranks():
    first = np.array([5, 6, 7]), np.array([0.9, 0.8, 0.1], np.float32)
    second = np.array([6, 8]), np.array([12.0, 3.0], np.float32)
    keys, scores = by_ranks([first, second], [0.5, 0.5], constant=60)
    assert keys.tolist() == [6, 5, 8, 7]
    best = 1 / 61
    expected = [(0.5 / 62 + 0.5 / 61) / best, 0.5, (0.5 / 62) / best, (0.5 / 63) / best]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_fusion_by_scores_stretches_each_side_and_weighs_it():
    first = np.array([5, 6]), np.array([0.9, 0.5], np.float32)
    second = np.array([6]), np.array([12.0], np.float32)
    keys, scores = by_scores([first, second], [0.6, 0.4])
    assert keys.tolist() == [5, 6]
    np.testing.assert_allclose(scores, [0.6, 0.6 * 0.1 / 1.1 + 0.4], rtol=1e-5)
    empty = np.empty(0, np.int64), np.empty(0, np.float32)
    assert by_scores([empty, second], [0.5, 0.5])[1].tolist() == [0.5]


def test_hybrid_search_finds_words_that_the_vectors_miss(docs):
    hits = docs.search("SMTP", k=3, hybrid=Hybrid(weight=0))
    assert [hit.id for hit in hits] == ["d2"]
    hits = docs.search("SMTP", k=6, hybrid=True)
    assert len(hits) == 6
    assert all(0 <= hit.score <= 1 for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    alone = {hit.id: hit.distance for hit in docs.search("SMTP", k=6)}
    for hit in [*hits, *docs.search("SMTP", k=1, hybrid=Hybrid(weight=0))]:
        assert hit.distance == pytest.approx(alone[hit.id], abs=2e-3)


def test_hybrid_with_all_weight_on_vectors_ranks_as_the_vectors_do(docs):
    expected = [hit.id for hit in docs.search("list", k=6)]
    for fusion in ("rrf", "weighted"):
        assert [h.id for h in docs.search("list", k=6, hybrid=Hybrid(fusion, 1))] == expected


def test_hybrid_search_follows_changes_and_conditions(docs):
    words = Hybrid(weight=0)
    assert [hit.id for hit in docs.search("list", hybrid=words)] == ["d5", "d0"]
    docs.add(ids=["d6"], texts=["another list"])
    docs.delete("d0")
    docs.upsert(["d5"], texts=["nothing of the kind"])
    assert [hit.id for hit in docs.search("list", hybrid=words)] == ["d6"]
    found = docs.search("the", hybrid=words, where={"even": True})
    assert [hit.id for hit in found] == ["d4"]
    assert docs.search("unknownword", hybrid=words) == []


def test_hybrid_search_answers_many_questions_and_rows_without_text(docs):
    docs.add(ids=["bare"], vectors=np.ones((1, 30)))
    answers = docs.search(["gzip", "SMTP"], k=1, hybrid=Hybrid("weighted", 0.3))
    assert [hits[0].id for hits in answers] == ["d1", "d2"]
    assert any(hit.text is None for hit in docs.search("gzip", k=10, hybrid=True))


def test_hybrid_search_in_partitions_keeps_to_the_part(tmp_path):
    with nf.Collection(tmp_path / "c", encoder=LetterEncoder(), partition_by="team") as docs:
        docs.add(texts=["a list", "a list too"], metadata=[{"team": "a"}, {"team": "b"}])
        assert [hit.id for hit in docs.search("list", hybrid=True, partition="b")] == [1]


@pytest.mark.parametrize(
    ("query", "options", "error", "message"),
    [
        (np.ones(30), {"hybrid": True}, TypeError, "query must be text for hybrid and rerank"),
        ("a", {"hybrid": True, "k": 0}, ValueError, "k must be at least 1, got 0"),
        ("a", {"hybrid": "yes"}, TypeError, "hybrid must be a bool or a Hybrid, got str"),
        ("a", {"rerank": lambda q, t: [1]}, ValueError, "rerank must give 6 finite scores"),
    ],
)
def test_hybrid_search_rejects_what_it_cannot_do(docs, query, options, error, message):
    with pytest.raises(error, match=message):
        docs.search(query, **options)


def test_hybrid_settings_are_checked():
    with pytest.raises(ValueError, match="fusion must be 'rrf' or 'weighted', got 'max'"):
        Hybrid("max")
    with pytest.raises(ValueError, match=r"weight must be in \[0, 1\], got 2"):
        Hybrid(weight=2)
    with pytest.raises(ValueError, match="candidates must be at least 1, got 0"):
        Hybrid(candidates=0)


def test_rerank_orders_candidates_by_its_own_scores(docs):
    seen = []

    def by_length(query, texts):
        seen.append((query, list(texts)))
        return [1 / len(text) for text in texts]

    hits = docs.search("list", k=2, rerank=by_length)
    assert seen[0][0] == "list"
    assert len(seen[0][1]) == 6
    assert [hit.text for hit in hits] == sorted(TEXTS, key=len)[:2]
    assert hits[0].score == pytest.approx(1 / len(hits[0].text))


def test_compare_retrieval_scores_each_way(docs):
    table = compare_retrieval(docs, ["gzip", "SMTP"], ["d1", ["d2", "d0"]], k=3)
    by_name = {score.name: score for score in table.scores}
    assert by_name["BM25"].mrr == 1
    assert by_name["BM25"].recall == 0.75
    assert by_name["BM25"].ndcg == pytest.approx((1 + 1 / (1 + 1 / np.log2(3))) / 2)
    assert "hybrid, RRF" in str(table)
    with pytest.raises(ValueError, match=r"relevant must have one entry a question \(1\), got 2"):
        compare_retrieval(docs, ["a"], [1, 2])
    with pytest.raises(ValueError, match=r"relevant\[0\] must name at least one row"):
        compare_retrieval(docs, ["a"], [[]])


def test_words_name_their_extra_when_bm25s_is_absent(docs, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bm25s", None)
    with pytest.raises(MissingExtraError, match=r"needs the package bm25s.*nearfield\[text\]"):
        docs.search("a", hybrid=True)
