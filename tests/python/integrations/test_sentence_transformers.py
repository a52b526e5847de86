"""semantic_search beside the one of sentence-transformers."""

import numpy as np
import pytest
from libraries import library

import nearfield as nf
from nearfield.integrations.sentence_transformers import semantic_search


@pytest.fixture
def embeddings(rng):
    return rng.standard_normal((200, 24), dtype=np.float32)


@pytest.mark.parametrize("name", ["cos_sim", "dot_score", "euclidean_sim"])
def test_answers_are_those_of_sentence_transformers(embeddings, name):
    torch = library("torch")
    util = library("sentence_transformers").util
    function = getattr(util, name)
    queries, corpus = torch.tensor(embeddings[:9]), torch.tensor(embeddings)
    expected = util.semantic_search(queries, corpus, top_k=4, score_function=function)
    found = semantic_search(queries, corpus, top_k=4, score_function=function)
    for ours, theirs in zip(found, expected, strict=True):
        assert [hit["corpus_id"] for hit in ours] == [hit["corpus_id"] for hit in theirs]
        np.testing.assert_allclose(
            [hit["score"] for hit in ours], [hit["score"] for hit in theirs], atol=5e-3
        )


def test_an_index_answers_with_its_ids_and_short_corpora_with_what_they_have(embeddings):
    index = nf.HNSW(24)
    index.add(embeddings, ids=np.arange(200) + 1000)
    assert semantic_search(embeddings[5], index, top_k=1)[0][0]["corpus_id"] == 1005
    assert len(semantic_search(list(embeddings[:2]), embeddings[:3], top_k=10)[0]) == 3
    with pytest.raises(ValueError, match="score_function must be one of"):
        semantic_search(embeddings, embeddings, score_function="manhattan_sim")
