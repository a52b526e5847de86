import numpy as np
import pytest
import tiny_models

from nearfield.embed import Encoder, encode_while, probe


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    pytest.importorskip("sentence_transformers", reason="needs the extra embed")
    return Encoder(tiny_models.bert(tmp_path_factory.mktemp("probe") / "model"))


PAIRS = [("quick fox", "the quick brown fox"), ("lazy dog", "over the lazy dog"),
         ("one two", "one two three four"), ("five", "five five")]  # fmt: skip


@pytest.mark.filterwarnings("ignore:::transformers")
def test_probe_scores_each_way_as_an_encoder_of_that_way_would(bert):
    found = probe(bert, PAIRS, layers=[0, 2, -1, "last4"], poolings=["mean", "cls"], k=2)
    assert len(found.rows) == 4 * 2 * 3
    assert found.n_queries == 4
    assert [row.ndcg for row in found.rows] == sorted((r.ndcg for r in found.rows), reverse=True)
    assert found.best == found.rows[0]
    documents = [document for _, document in PAIRS]
    for layer in (0, 2):
        encoder = Encoder(bert.model._loaded.sentence, layer=layer, pooling="mean")
        near = encoder.encode_query([q for q, _ in PAIRS]) @ encoder.encode_document(documents).T
        order = np.argsort(-near, axis=1)
        places = [int(np.flatnonzero(row == i)[0]) for i, row in enumerate(order)]
        mrr = np.mean([1 / (place + 1) if place < 2 else 0 for place in places])
        (row,) = [r for r in found.rows if r[:3] == (str(layer), "mean", "cosine")]
        assert row.mrr == pytest.approx(mrr)


@pytest.mark.filterwarnings("ignore:::transformers")
def test_probe_takes_a_corpus_with_grades_and_draws_a_picture(bert, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra viz")
    documents = [document for _, document in PAIRS]
    found = probe(bert, ["fox", "dog"], documents, [{0: 2, 1: 1}, [1]], layers=[1, 3], k=3)
    assert "layer  pooling" in str(found)
    found.plot(tmp_path / "probe.png")
    assert (tmp_path / "probe.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("ignore:::transformers")
def test_probe_refuses_what_it_cannot_score(bert):
    with pytest.raises(ValueError, match=r"layer must be in -4\.\.3"):
        probe(bert, PAIRS, layers=[9])
    with pytest.raises(ValueError, match="pooling must be of 'cls'"):
        probe(bert, PAIRS, poolings=["median"])
    with pytest.raises(ValueError, match="documents and relevant must be given together"):
        probe(bert, ["a"], ["b"])
    with pytest.raises(ValueError, match=r"queries must be \(query, document\) pairs .* got 'ab'"):
        probe(bert, ["ab"])
    with pytest.raises(TypeError, match="encoder must be of a transformer run by torch"):
        probe(Encoder(lambda texts: np.ones((len(texts), 2))), PAIRS)


def counting_encoder():
    return Encoder(lambda texts: np.array([[float(len(text)), 1.0] for text in texts]))


def test_encode_while_uses_blocks_in_order_and_reads_items_as_needed():
    seen, told = [], []

    def items():
        for number in range(25):
            yield f"text {number}"

    done = encode_while(
        counting_encoder(), items(), lambda rows, vectors: seen.append((rows, vectors)),
        block=10, total=25, progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert done == 25
    assert [len(rows) for rows, _ in seen] == [10, 10, 5]
    assert [row for rows, _ in seen for row in rows] == list(items())
    assert all(vectors.shape == (len(rows), 2) for rows, vectors in seen)
    assert told == [(10, 25), (20, 25), (25, 25)]


def test_encode_while_works_on_both_at_the_same_time():
    import threading

    storing = threading.Event()
    answered = []

    def encode(texts):
        if "b" in texts:  # the second block is encoded while the first is stored
            answered.append(storing.wait(10))
            finish.set()
        return np.ones((len(texts), 2))

    finish = threading.Event()

    def store(rows, vectors):
        storing.set()
        if rows == ["a"]:
            answered.append(finish.wait(10))

    encode_while(Encoder(encode), ["a", "b"], store, block=1)
    assert answered == [True, True]


def test_encode_while_raises_what_the_use_raised():
    def fail(rows, vectors):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        encode_while(counting_encoder(), ["a"] * 5, fail, block=2)
    with pytest.raises(ValueError, match="block must be at least 1, got 0"):
        encode_while(counting_encoder(), [], fail, block=0)
