"""What Haystack's own suite does not ask: retrieval, filters in it, serialization."""

import numpy as np
import pytest
from libraries import library

library("haystack")

from haystack import Document, Pipeline
from haystack.dataclasses import ByteStream
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.utils.filters import document_matches_filter

from nearfield.integrations._haystack_filters import as_where
from nearfield.integrations.haystack import NearfieldDocumentStore, NearfieldEmbeddingRetriever

DIM = 8


@pytest.fixture
def docs(rng):
    vectors = rng.standard_normal((40, DIM))
    return [
        Document(
            id=str(i), content=f"text {i}", embedding=vectors[i].tolist(),
            meta={"n": i, "lang": "ko" if i % 2 else "en", "date": f"20{10 + i}-01-01"},
        )
        for i in range(40)
    ] + [Document(id="bare", content="no embedding", meta={"n": 99})]  # fmt: skip


@pytest.fixture
def store(docs):
    made = NearfieldDocumentStore(embedding_dim=DIM)
    made.write_documents(docs)
    yield made
    made.close()


FILTERS = [
    None,
    {"field": "meta.lang", "operator": "==", "value": "ko"},
    {"field": "meta.lang", "operator": "!=", "value": "ko"},
    {"field": "meta.n", "operator": ">=", "value": 30},
    {"field": "n", "operator": "in", "value": [3, 4, 5.0]},
    {"field": "meta.missing", "operator": "==", "value": None},
    {"field": "meta.missing", "operator": "not in", "value": [None, 7]},
    {"field": "id", "operator": "in", "value": ["7", "8"]},
    {"field": "meta.date", "operator": ">", "value": "2040-01-01"},
    {"field": "meta.date", "operator": "==", "value": "2040-01-01T00:00:00"},
    {"field": "content", "operator": "==", "value": "text 9"},
    {"operator": "NOT", "conditions": [
        {"field": "meta.n", "operator": "<", "value": 30},
        {"operator": "OR", "conditions": [
            {"field": "meta.lang", "operator": "==", "value": "ko"},
            {"field": "meta.n", "operator": "==", "value": 1}]}]},
]  # fmt: skip


@pytest.mark.parametrize("filters", FILTERS)
def test_retrieval_finds_the_nearest_of_those_that_match(store, docs, filters, rng):
    query = rng.standard_normal(DIM)
    matching = [
        doc
        for doc in docs
        if doc.embedding is not None and (not filters or document_matches_filter(filters, doc))
    ]
    rows = np.array([doc.embedding for doc in matching]).reshape(len(matching), DIM)
    cos = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
    order = np.argsort(-cos)[:5]
    found = store.embedding_retrieval(query.tolist(), filters, top_k=5)
    assert [doc.id for doc in found] == [matching[i].id for i in order]
    np.testing.assert_allclose([doc.score for doc in found], cos[order], atol=1e-3)
    assert all(doc.embedding is None for doc in found)
    scaled = store.embedding_retrieval(query.tolist(), filters, 5, True, return_embedding=True)
    np.testing.assert_allclose([doc.score for doc in scaled], (1 + cos[order]) / 2, atol=1e-3)
    for doc, i in zip(scaled, order, strict=True):
        np.testing.assert_allclose(doc.embedding, rows[i], rtol=1e-6)


def test_filters_on_numbers_and_words_need_no_look_at_every_document():
    answered = [filters for filters in FILTERS if filters and as_where(filters) is not None]
    assert len(answered) == 7
    assert as_where({"field": "meta.done", "operator": "==", "value": True}) is None


def test_documents_come_back_whole(store):
    doc = Document(
        id="blob", content=None, blob=ByteStream(b"\x00\xff", mime_type="x/y"), meta={"a": {"b": 1}}
    )
    store.write_documents([doc])
    assert store.filter_documents({"field": "id", "operator": "==", "value": "blob"}) == [doc]


def test_policies_decide_about_ids_within_one_call_too(store):
    twice = [Document(id="new", content="a"), Document(id="new", content="b")]
    assert store.write_documents(twice, DuplicatePolicy.SKIP) == 1
    only = {"field": "id", "operator": "==", "value": "new"}
    assert store.filter_documents(only)[0].content == "a"
    assert store.write_documents(twice, DuplicatePolicy.OVERWRITE) == 2
    assert store.filter_documents(only)[0].content == "b"


def test_the_retriever_runs_in_a_pipeline_and_survives_yaml(tmp_path, docs):
    store = NearfieldDocumentStore(str(tmp_path / "docs"), embedding_dim=DIM)
    store.write_documents(docs)
    pipeline = Pipeline()
    pipeline.add_component(
        "find", NearfieldEmbeddingRetriever(store, top_k=2, filter_policy="merge")
    )
    query = docs[3].embedding
    found = pipeline.run({"find": {"query_embedding": query}})["find"]["documents"]
    assert found[0].id == "3"
    text = pipeline.dumps()
    store.close()
    again = Pipeline.loads(text, allowed_modules=["nearfield.integrations.haystack"])
    assert again.run({"find": {"query_embedding": query}})["find"]["documents"] == found


async def test_the_retriever_may_be_awaited(store, docs):
    retriever = NearfieldEmbeddingRetriever(store, {"field": "n", "operator": "<", "value": 9})
    found = await retriever.run_async(docs[3].embedding, top_k=1)
    assert [doc.id for doc in found["documents"]] == ["3"]


@pytest.mark.parametrize(
    "call,error,message",
    [
        (lambda s: s.embedding_retrieval([1.0] * DIM, top_k=-1), ValueError, "top_k must be at"),
        (lambda s: s.embedding_retrieval([1.0] * 3), ValueError, "queries must have shape"),
        (
            lambda s: s.embedding_retrieval([1.0] * DIM, {"operator": "AND"}),
            FilterError, "'conditions' key missing",
        ),
        (
            lambda s: s.write_documents([Document(content="x", embedding=[1.0])]),
            ValueError, "embedding must have shape",
        ),
        (lambda s: NearfieldEmbeddingRetriever(s, top_k=0), ValueError, "top_k must be at least 1"),
        (lambda s: NearfieldEmbeddingRetriever({}), TypeError, "must be a NearfieldDocumentStore"),
    ],
)  # fmt: skip
def test_haystack_calls_that_are_wrong_are_refused(store, call, error, message):
    with pytest.raises(error, match=message):
        call(store)
    assert store.count_documents() == 41
