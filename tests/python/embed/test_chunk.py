import itertools

import numpy as np
import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.embed import Chunker, Encoder, chunk, embed_documents
from nearfield.embed.sentences import sentence_spans

ENGLISH = (
    "Dr. Smith paid 3.50 dollars. He left! Did J. Doe see it? \"Yes.\" She said so, e.g. twice\n\n"
    "A new paragraph without a mark\n\nThe end..."
)  # fmt: skip
KOREAN = "리스트를 정렬합니다. 정렬은 안정적입니다! 키를 줄 수 있나요? 네."
NO_MARKS = "오늘 날씨가 좋아요 내일은 비가 온대요 우산을 챙기세요"


def parts(text, spans):
    return [text[start:end] for start, end in spans]


def test_rules_find_sentences_and_pass_over_abbreviations_and_decimals():
    assert parts(ENGLISH, sentence_spans(ENGLISH)) == [
        "Dr. Smith paid 3.50 dollars.", "He left!", "Did J. Doe see it?", '"Yes."',
        "She said so, e.g. twice", "A new paragraph without a mark", "The end...",
    ]  # fmt: skip
    assert parts(KOREAN, sentence_spans(KOREAN)) == [
        "리스트를 정렬합니다.", "정렬은 안정적입니다!", "키를 줄 수 있나요?", "네.",
    ]  # fmt: skip
    assert parts("첫째。둘째！", sentence_spans("첫째。둘째！")) == ["첫째。", "둘째！"]


def test_kiwi_finds_korean_sentences_without_marks():
    pytest.importorskip("kiwipiepy", reason="needs the extra text")
    assert parts(KOREAN, sentence_spans(KOREAN, "kiwi")) == parts(KOREAN, sentence_spans(KOREAN))
    assert len(sentence_spans(NO_MARKS, "kiwi")) == 3
    assert len(sentence_spans(NO_MARKS)) == 1


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(alphabet="ab가 .!?\n\t。", max_size=120),
    size=st.integers(1, 9),
    overlap=st.integers(0, 8),
    unit=st.sampled_from(["tokens", "characters", "sentences"]),
)
def test_chunks_hold_every_character_and_keep_to_size_and_order(text, size, overlap, unit):
    overlap = min(overlap, size - 1)
    found = chunk(text, size, unit=unit, overlap=overlap)
    covered = np.zeros(len(text), bool)
    for part in found:
        assert part.text == text[part.start : part.end]
        assert part.text.strip()
        covered[part.start : part.end] = True
        if unit == "characters":
            assert len(part.text) <= size
        if unit == "tokens":
            assert len(part.text.split()) <= size
    assert all(covered[place] for place, letter in enumerate(text) if not letter.isspace())
    starts = [part.start for part in found]
    assert starts == sorted(set(starts))
    assert all(a.end < b.end for a, b in itertools.pairwise(found))
    if overlap == 0:
        assert all(a.end <= b.start for a, b in itertools.pairwise(found))


def test_overlap_repeats_whole_sentences():
    text = "One. Two. Three. Four. Five."
    found = [part.text for part in chunk(text, 3, unit="sentences", overlap=1)]
    assert found == ["One. Two. Three.", "Three. Four. Five."]


def test_a_sentence_longer_than_a_chunk_is_cut_between_words():
    text = "one two three four five six seven"
    assert [part.text for part in chunk(text, 3)] == ["one two three", "four five six", "seven"]
    found = chunk("abcdefghij klm", 4, unit="characters")
    assert [part.text for part in found] == ["abcd", "efgh", "ij", "klm"]


def test_a_text_of_100_000_characters_is_chunked_at_once():
    assert len(chunk("x" * 100_000, 1000, unit="characters")) == 100
    assert len(chunk("word. " * 17_000, 100)) == 170


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"overlap": 256}, ValueError, r"overlap must be in 0\.\.255, got 256"),
        ({"unit": "words"}, ValueError, "unit must be one of 'tokens', .*, got 'words'"),
        ({"splitter": "nltk"}, ValueError, "splitter must be 'rules', 'kiwi' or .*got 'nltk'"),
        ({"text": 7}, TypeError, "text must be a str, got int"),
    ],
)
def test_chunk_rejects_what_it_cannot_do(options, error, message):
    with pytest.raises(error, match=message):
        chunk(**({"text": "a b"} | options))


def length_encoder():
    return Encoder(lambda texts: np.array([[len(text), 1.0] for text in texts]))


def test_documents_have_vectors_on_two_levels():
    texts = ["One fox. Two dogs ran home.", "Three."]
    found = embed_documents(length_encoder(), texts, Chunker(1, "sentences"))
    assert found.owner.tolist() == [0, 0, 1]
    assert [part.text for part in found.chunks] == ["One fox.", "Two dogs ran home.", "Three."]
    expected = 8 * found.chunk_vectors[0] + 18 * found.chunk_vectors[1]
    np.testing.assert_allclose(
        found.document_vectors[0], expected / np.linalg.norm(expected), rtol=1e-5
    )
    with pytest.raises(ValueError, match=r"texts\[1\] must hold more than blanks, got '  '"):
        embed_documents(length_encoder(), ["a", "  "])
    with pytest.raises(TypeError, match="model must have token vectors"):
        embed_documents(length_encoder(), ["a"], late=True)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    pytest.importorskip("sentence_transformers", reason="needs the extra embed")
    return Encoder(tiny_models.bert(tmp_path_factory.mktemp("bert") / "model"))


@pytest.mark.filterwarnings("ignore:::transformers")
def test_late_chunks_are_the_means_of_their_tokens_in_one_pass(bert):
    text = "the quick fox. the lazy dog."
    found = embed_documents(bert, [text], Chunker(1, "sentences"), late=True)
    tokens = bert.encode_tokens(text)[0]
    for row, span in enumerate([slice(0, 4), slice(4, 8)]):
        expected = tokens.vectors[span].mean(axis=0)
        np.testing.assert_allclose(
            found.chunk_vectors[row], expected / np.linalg.norm(expected), atol=1e-6
        )
    alone = embed_documents(bert, [text], Chunker(1, "sentences"))
    assert not np.allclose(alone.chunk_vectors, found.chunk_vectors, atol=1e-3)


@pytest.mark.filterwarnings("ignore:::transformers")
def test_late_chunks_of_a_text_beyond_the_models_limit_come_from_overlapping_windows(bert):
    text = "the quick brown fox jumps over the lazy dog. " * 20  # 200 tokens, the limit is 32
    found = embed_documents(
        bert, [text, "one two"], Chunker(10, tokens=bert.token_offsets), late=True
    )
    assert len(found.chunks) == 21
    assert np.isfinite(found.chunk_vectors).all()
    np.testing.assert_allclose(np.linalg.norm(found.chunk_vectors, axis=1), 1, rtol=1e-5)
