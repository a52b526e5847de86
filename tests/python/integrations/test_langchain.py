"""What LangChain's own suite does not ask of a vector store."""

import numpy as np
import pytest
from libraries import library

import nearfield as nf

library("langchain_core")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from nearfield.integrations.langchain import NearfieldVectorStore

WORDS = [f"word {i}" for i in range(60)]


@pytest.fixture
def embedding():
    return DeterministicFakeEmbedding(size=16)


@pytest.fixture
def store(embedding):
    metadatas = [{"n": i, "lang": "ko" if i % 2 else "en"} for i in range(len(WORDS))]
    made = NearfieldVectorStore.from_texts(
        WORDS, embedding, metadatas, ids=[str(i) for i in range(len(WORDS))]
    )
    yield made
    made.close()


def nearest(embedding, query, k, among=range(60)):
    """Cosine similarities by numpy, best first."""
    rows = np.array(embedding.embed_documents([WORDS[i] for i in among]))
    asked = np.array(embedding.embed_query(query))
    cos = rows @ asked / np.linalg.norm(rows, axis=1) / np.linalg.norm(asked)
    order = np.argsort(-cos)[:k]
    return [str(list(among)[i]) for i in order], cos[order]


def test_scores_are_distances_and_relevance_lies_between_0_and_1(store, embedding):
    ids, cos = nearest(embedding, "word 7", 5)
    found = store.similarity_search_with_score("word 7", k=5)
    assert [doc.id for doc, _ in found] == ids
    np.testing.assert_allclose([far for _, far in found], 1 - cos, atol=1e-3)
    relevant = store.similarity_search_with_relevance_scores("word 7", k=5)
    np.testing.assert_allclose([score for _, score in relevant], (1 + cos) / 2, atol=1e-3)
    kept = store.similarity_search_with_relevance_scores("word 7", k=5, score_threshold=0.99)
    assert [doc.id for doc, _ in kept] == ["7"]


@pytest.mark.parametrize(
    "filter,holds",
    [
        ({"lang": "ko"}, lambda n: n % 2 == 1),
        ({"n": {"$gte": 50}}, lambda n: n >= 50),
        ({"n": {">=": 50}, "lang": "en"}, lambda n: n >= 50 and n % 2 == 0),
        ({"$or": [{"n": {"$in": [1, 2]}}, {"n": 9}]}, lambda n: n in (1, 2, 9)),
        ({"$not": {"n": {"$lt": 55}}}, lambda n: n >= 55),
        (lambda doc: doc.metadata["n"] % 20 == 3, lambda n: n % 20 == 3),
    ],
)
def test_filters_take_dicts_of_either_style_and_functions(store, embedding, filter, holds):
    among = [i for i in range(len(WORDS)) if holds(i)]
    expected, _ = nearest(embedding, "word 7", 4, among)
    assert [doc.id for doc in store.similarity_search("word 7", k=4, filter=filter)] == expected


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_mmr_chooses_what_langchain_chooses(store, embedding, weight):
    asked = embedding.embed_query("word 7")
    near = store.similarity_search_by_vector(asked, k=20)
    rows = embedding.embed_documents([doc.page_content for doc in near])
    chosen = maximal_marginal_relevance(np.array(asked), rows, lambda_mult=weight, k=5)
    found = store.max_marginal_relevance_search("word 7", k=5, fetch_k=20, lambda_mult=weight)
    assert [doc.id for doc in found] == [near[i].id for i in chosen]


async def test_async_answers_are_those_of_sync(store, embedding):
    wanted = store.similarity_search_with_score("word 3", k=3)
    assert await store.asimilarity_search_with_score("word 3", k=3) == wanted
    mmr = store.max_marginal_relevance_search("word 3", k=3)
    assert await store.amax_marginal_relevance_search("word 3", k=3) == mmr
    other = await NearfieldVectorStore.afrom_texts(["a", "b"], embedding, ids=["x", "y"])
    assert [doc.id for doc in await other.asimilarity_search("a", k=1)] == ["x"]
    assert await other.adelete(["x"])
    assert [doc.id for doc in await other.asimilarity_search("a", k=2)] == ["y"]


def test_a_store_in_a_folder_is_there_again(embedding, tmp_path):
    store = NearfieldVectorStore(embedding, tmp_path / "docs")
    store.add_documents([Document(page_content="한국어", metadata={"n": [1, {"a": None}]}, id="k")])
    store.close()
    again = NearfieldVectorStore(embedding, tmp_path / "docs")
    expected = [Document(page_content="한국어", metadata={"n": [1, {"a": None}]}, id="k")]
    assert again.similarity_search("x", k=3) == again.get_by_ids(["no", "k"]) == expected
    again.save_local(tmp_path / "copy")
    again.close()
    assert NearfieldVectorStore.load_local(tmp_path / "copy", embedding).get_by_ids(["k"])
    with pytest.raises(FileNotFoundError, match="folder_path must be a saved store"):
        NearfieldVectorStore.load_local(tmp_path / "nothing", embedding)


def test_an_open_collection_is_taken_as_it_is(embedding, tmp_path):
    with nf.Collection(tmp_path / "c", dim=16, metric="dot") as docs:
        store = NearfieldVectorStore(embedding, docs)
        assert store.collection is docs
        store.add_texts(["a"], ids=["1"])
        assert docs.get("1").text == "a"


def test_delete_without_ids_empties_the_store(store):
    assert store.delete()
    assert store.similarity_search("word 1") == []
    store.add_texts(iter(["new"]))
    assert [doc.page_content for doc in store.similarity_search("new")] == ["new"]


def test_a_store_as_a_retriever(store):
    assert store.as_retriever(search_kwargs={"k": 2}).invoke("word 5")[0].id == "5"
    mmr = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "fetch_k": 9})
    assert mmr.invoke("word 5")[0].id == "5"


def test_of_equal_ids_in_one_call_the_last_is_kept(embedding):
    store = NearfieldVectorStore(embedding)
    assert store.add_texts(["old", "new"], ids=["a", "a"]) == ["a", "a"]
    assert [doc.page_content for doc in store.similarity_search("new")] == ["new"]


@pytest.mark.parametrize(
    "call,error,message",
    [
        (lambda s: s.add_texts(["a"], ids=["1", "2"]), ValueError, r"ids must have one .* \(1\)"),
        (lambda s: s.add_texts(["a"], [{}, {}]), ValueError, "metadatas must have one entry"),
        (lambda s: s.add_texts(["a"], [{"x": {1}}]), TypeError, "must be JSON"),
        (lambda s: s.similarity_search("a", k=0), ValueError, "k must be at least 1, got 0"),
        (lambda s: s.similarity_search("a", filter=3), TypeError, "filter must be a dict"),
        (lambda s: s.similarity_search("a", filter={"n": {"$like": 1}}), ValueError, "compare by"),
        (
            lambda s: s.max_marginal_relevance_search("a", lambda_mult=2),
            ValueError, "lambda_mult must be in",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_and_changes_nothing(store, call, error, message):
    with pytest.raises(error, match=message):
        call(store)
    assert len(store.collection) == len(WORDS)
