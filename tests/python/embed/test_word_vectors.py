import gzip
import struct

import numpy as np
import pytest

from nearfield.embed import Encoder, WordVectors, read_word_vectors

WORDS = ["king", "queen", "fox", "한국어", "new york"]


@pytest.fixture
def vectors(rng):
    return rng.standard_normal((5, 6)).astype(np.float32)


def text_lines(vectors, head):
    lines = [f"{len(vectors)} {vectors.shape[1]}"] if head else []
    lines += [" ".join([word, *(repr(float(x)) for x in row)])
              for word, row in zip(WORDS, vectors, strict=True)]  # fmt: skip
    return "\n".join(lines).encode() + b"\n"


def binary(vectors, ending=b"\n"):
    words = ["king", "queen", "fox", "한국어", "york"]
    rows = [w.encode() + b" " + v.astype("<f4").tobytes() + ending
            for w, v in zip(words, vectors, strict=True)]  # fmt: skip
    return f"{len(vectors)} {vectors.shape[1]}\n".encode() + b"".join(rows)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("suffix", "make"),
    [
        (".txt", lambda v: text_lines(v, head=False)),
        (".vec", lambda v: text_lines(v, head=True)),
        (".bin", binary),
        (".bin", lambda v: binary(v, ending=b"")),
    ],
)
def test_each_format_gives_words_and_vectors_in_the_files_order(
    tmp_path, vectors, suffix, make, packed
):
    path = tmp_path / (f"words{suffix}" + (".gz" if packed else ""))
    path.write_bytes(gzip.compress(make(vectors)) if packed else make(vectors))
    found = read_word_vectors(path)
    assert found.words[:4] == WORDS[:4]
    np.testing.assert_allclose(found.vectors, vectors, rtol=1e-6)
    assert len(read_word_vectors(path, limit=2)) == 2
    np.testing.assert_array_equal(found["KING"], found["king"])
    assert "queen" in found
    assert "prince" not in found
    with pytest.raises(KeyError, match="'prince' is not among the 5 words"):
        found["prince"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "must hold at least one word, got none"),
        ("a.txt", b"king 1 2\nqueen 3\n", "line 2 must hold a word and 2 numbers"),
        ("a.txt", b"king 1 2\nqueen 3 x\n", "line 2 must hold a word and 2 numbers, got b'queen"),
        ("a.txt", b"king 1 nan\n", "must hold finite numbers, got others for 'king'"),
        ("a.txt", b"king" * 40000, "line 1 must have at most 131,072 bytes"),
        ("a.vec", b"3 2\nking 1 2\n", "must hold the 3 words it announces, got 1"),
        ("a.vec", b"99999999 2\nking 1 2\n", "must hold 1..16,777,216 vectors .* got 99,999,999"),
        ("a.bin", b"", "must begin with the counts of words and dimensions"),
        ("a.bin", b"2 2 2\n", "must begin with the counts"),
        ("a.bin", b"9999999 4000\nking ", "must hold 9,999,999 vectors of 4000, got a file of 18"),
        ("a.bin", b"1 99999\n", "vectors of 1..4,096 dimensions, got 1 of 99,999"),
        ("a.bin", b"1 2\n" + b"k" * 2000, "a word of at most 1024 bytes before vector 0"),
        ("a.bin", b"2 1\nking " + struct.pack("<f", 1) + b"longword", "must hold a word of at"),
        ("a.bin", b"1 2\nk " + struct.pack("<2f", 1, np.inf), "must hold finite numbers"),
        ("a.bin", b"\xba\x16\x4f\x2f\x0c\0\0\0", "got a fastText model: use its .vec file"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_with_the_place(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_word_vectors(tmp_path / name)


def test_every_prefix_of_a_binary_file_is_refused_or_read(tmp_path, vectors):
    whole = binary(vectors)
    for length in range(len(whole) - 1):
        (tmp_path / "cut.bin").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.bin must"):
            read_word_vectors(tmp_path / "cut.bin")


def test_a_text_is_the_mean_of_its_known_words(tmp_path, vectors):
    path = tmp_path / "words.vec"
    path.write_bytes(text_lines(vectors, head=True))
    encoder = Encoder(path, normalize=False)
    np.testing.assert_allclose(
        encoder.encode_document(["The King, the fox!", "한국어"]),
        [(vectors[0] + vectors[2]) / 2, vectors[3]], rtol=1e-6,
    )  # fmt: skip
    assert Encoder(path, pooling=("mean", "max")).dim == 12
    with pytest.raises(ValueError, match=r"texts\[0\] must hold something that the model knows"):
        Encoder(path).encode_document(["unknown words"])


def test_fingerprint_follows_words_and_numbers(vectors):
    from nearfield.embed.word_vectors import WordModel

    first = WordModel(WordVectors(WORDS, vectors)).fingerprint
    assert first == WordModel(WordVectors(list(WORDS), vectors.copy())).fingerprint
    assert first != WordModel(WordVectors(WORDS[::-1], vectors)).fingerprint
    assert first != WordModel(WordVectors(WORDS, vectors + 1)).fingerprint
