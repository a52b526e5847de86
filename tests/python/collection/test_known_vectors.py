"""Searching by texts whose vectors are known, in a collection without an encoder."""

import numpy as np
import pytest

import nearfield as nf


@pytest.fixture
def docs(tmp_path):
    with nf.Collection(tmp_path / "docs", dim=3) as made:
        made.upsert([1, 2, 3], texts=["red", "green", "blue"], vectors=np.eye(3))
        yield made


def test_a_text_with_its_vector_needs_no_encoder(docs):
    assert docs.search("anything", k=1, vector=[0, 1, 0.1])[0].id == 2
    many = docs.search(["a", "b"], k=1, vector=[[0, 0, 1], [1, 0, 0]])
    assert [hits[0].id for hits in many] == [3, 1]
    with pytest.raises(ValueError, match=r"vector must have one row a query \(2\), got 1"):
        docs.search(["a", "b"], vector=[0, 0, 1])
    with pytest.raises(ValueError, match="query must be a vector, or come with one"):
        docs.search("a")


def test_words_and_known_vectors_are_fused(docs):
    pytest.importorskip("bm25s")
    alone = nf.text.Hybrid("weighted", 0.0)
    assert docs.search("blue", k=1, vector=[1, 0, 0], hybrid=alone)[0].id == 3
    assert docs.search("blue", k=1, vector=[1, 0, 0], hybrid=nf.text.Hybrid("rrf", 1.0))[0].id == 1
