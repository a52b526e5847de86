"""LlamaIndex has no suite for vector stores: queries, filters of every operator, persistence."""

import numpy as np
import pytest
from libraries import library

library("llama_index.core")

from llama_index.core import MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from nearfield.integrations.llama_index import NearfieldVectorStore

DIM, N = 8, 30


@pytest.fixture
def nodes(rng):
    vectors = rng.standard_normal((N, DIM))
    made = []
    for i in range(N):
        metadata = {"n": i, "tags": ["a", "b"] if i % 3 else ["c"], "title": f"Part {i}"}
        metadata |= {"rare": i} if i % 5 == 0 else {"empty": []}
        parent = RelatedNodeInfo(node_id=f"doc{i % 2}")
        made.append(
            TextNode(
                id_=f"node{i}", text=f"text {i}", embedding=vectors[i].tolist(), metadata=metadata,
                relationships={NodeRelationship.SOURCE: parent},
            )
        )  # fmt: skip
    return made


@pytest.fixture
def store(nodes):
    made = NearfieldVectorStore()
    assert made.add(nodes) == [node.node_id for node in nodes]
    yield made
    made.close()


def filtered(*filters, condition=FilterCondition.AND):
    return MetadataFilters(filters=list(filters), condition=condition)


def one(key, value, operator):
    return filtered(MetadataFilter(key=key, value=value, operator=operator))


def ranked(nodes, query, k):
    rows = np.array([node.embedding for node in nodes]).reshape(len(nodes), DIM)
    cos = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
    order = np.argsort(-cos)[:k]
    return [nodes[i].node_id for i in order], cos[order]


def test_it_is_what_llama_index_calls_a_vector_store():
    assert issubclass(NearfieldVectorStore, BasePydanticVectorStore)
    assert NearfieldVectorStore().class_name() == "NearfieldVectorStore"


def test_a_query_gives_whole_nodes_best_first(store, nodes, rng):
    query = rng.standard_normal(DIM)
    found = store.query(VectorStoreQuery(query_embedding=query.tolist(), similarity_top_k=4))
    ids, cos = ranked(nodes, query, 4)
    assert found.ids == ids
    np.testing.assert_allclose(found.similarities, cos, atol=1e-3)
    by_id = {node.node_id: node for node in nodes}
    for node in found.nodes:
        expected = by_id[node.node_id].model_copy(update={"embedding": None})
        assert node == expected
        assert node.ref_doc_id == expected.ref_doc_id


@pytest.mark.parametrize(
    "key,value,operator",
    [
        ("n", 7, FilterOperator.EQ), ("n", 7, FilterOperator.NE), ("n", 20, FilterOperator.GT),
        ("n", 20, FilterOperator.GTE), ("n", 5, FilterOperator.LT), ("n", 5, FilterOperator.LTE),
        ("n", [1, 2], FilterOperator.IN), ("n", [1, 2], FilterOperator.NIN),
        ("rare", 5, FilterOperator.NE), ("rare", [5], FilterOperator.NIN),
        ("tags", "c", FilterOperator.CONTAINS), ("tags", ["z", "c"], FilterOperator.ANY),
        ("tags", ["a", "b"], FilterOperator.ALL), ("title", "Part 1", FilterOperator.TEXT_MATCH),
        ("rare", None, FilterOperator.IS_EMPTY), ("empty", None, FilterOperator.IS_EMPTY),
    ],
)  # fmt: skip
def test_a_filter_means_what_llama_index_means_by_it(store, nodes, key, value, operator, rng):
    filters = one(key, value, operator)
    by_id = {node.node_id: node for node in nodes}
    holds = build_metadata_filter_fn(lambda id: by_id[id].metadata, filters)
    matching = [node for node in nodes if holds(node.node_id)]
    assert 0 < len(matching) < N or key == "empty"
    query = rng.standard_normal(DIM)
    asked = VectorStoreQuery(query_embedding=query.tolist(), similarity_top_k=3, filters=filters)
    assert store.query(asked).ids == ranked(matching, query, 3)[0]
    assert {node.node_id for node in store.get_nodes(filters=filters)} == {
        node.node_id for node in matching
    }


def test_filters_nest_and_join(store):
    low = MetadataFilter(key="n", value=3, operator=FilterOperator.LT)
    high = MetadataFilter(key="n", value=27, operator=FilterOperator.GT)
    tagged = MetadataFilter(key="tags", value="c", operator=FilterOperator.CONTAINS)
    ends = filtered(low, high, condition=FilterCondition.OR)
    assert len(store.get_nodes(filters=ends)) == 5
    assert len(store.get_nodes(filters=filtered(ends, tagged))) == 1
    neither = filtered(ends, tagged, condition=FilterCondition.NOT)
    assert len(store.get_nodes(filters=neither)) == N - 14
    with pytest.raises(ValueError, match="operator must be one of"):
        store.get_nodes(filters=one("title", "p", FilterOperator.TEXT_MATCH_INSENSITIVE))


def test_node_ids_and_doc_ids_limit_a_query(store, nodes, rng):
    query = rng.standard_normal(DIM)
    some = VectorStoreQuery(
        query_embedding=query.tolist(), similarity_top_k=9, node_ids=["node4", "node5", "none"],
        doc_ids=["doc0"],
    )  # fmt: skip
    assert store.query(some).ids == ["node4"]
    assert [node.node_id for node in store.get_nodes(["node5"])] == ["node5"]
    np.testing.assert_allclose(store.get_nodes(["node5"])[0].embedding, nodes[5].embedding, 1e-6)


def test_mmr_and_hybrid_queries(store, nodes):
    asked = VectorStoreQuery(
        query_embedding=nodes[7].embedding, similarity_top_k=3, mode=VectorStoreQueryMode.MMR
    )
    near = store.query(asked, mmr_threshold=1.0).ids
    assert near == ranked(nodes, np.array(nodes[7].embedding), 3)[0]
    far = store.query(asked, mmr_threshold=0.1).ids
    assert far[0] == near[0] == "node7"
    assert far != near
    library("bm25s")
    words = VectorStoreQuery(
        query_embedding=nodes[7].embedding, similarity_top_k=2, query_str="text 21",
        mode=VectorStoreQueryMode.HYBRID, alpha=0.0,
    )  # fmt: skip
    assert store.query(words).ids[0] == "node21"
    words.alpha = 1.0
    assert store.query(words).ids[0] == "node7"
    with pytest.raises(ValueError, match="mode must be default, mmr or hybrid, got 'svm'"):
        store.query(VectorStoreQuery(query_embedding=[1.0] * DIM, mode=VectorStoreQueryMode.SVM))
    with pytest.raises(ValueError, match="query must have a query_embedding"):
        store.query(VectorStoreQuery())


def test_documents_nodes_and_everything_can_be_deleted(store):
    store.delete("doc0")
    assert len(store.get_nodes()) == N // 2
    store.delete_nodes(["node1", "node2"])
    store.delete_nodes(filters=one("n", 20, FilterOperator.GT))
    assert len(store.get_nodes()) == 9
    store.clear()
    assert store.get_nodes() == []
    assert store.query(VectorStoreQuery(query_embedding=[1.0] * DIM)).ids == []


async def test_llama_index_awaits_it(nodes):
    store = NearfieldVectorStore()
    assert len(await store.async_add(nodes)) == N
    asked = VectorStoreQuery(query_embedding=nodes[3].embedding)
    assert (await store.aquery(asked)).ids == ["node3"]


def test_an_index_over_it_is_persisted_and_found_again(tmp_path):
    embedding = MockEmbedding(embed_dim=DIM)
    context = StorageContext.from_defaults(vector_store=NearfieldVectorStore(metric="l2"))
    texts = [TextNode(text="first", id_="1"), TextNode(text="second", id_="2")]
    index = VectorStoreIndex(texts, storage_context=context, embed_model=embedding)
    assert len(index.as_retriever(similarity_top_k=5).retrieve("x")) == 2
    context.persist(str(tmp_path))
    again = NearfieldVectorStore.from_persist_dir(str(tmp_path))
    found = VectorStoreIndex.from_vector_store(again, embed_model=embedding)
    assert len(found.as_retriever(similarity_top_k=5).retrieve("x")) == 2
    with pytest.raises(ValueError, match="persist_path must be a saved store"):
        NearfieldVectorStore.from_persist_path(str(tmp_path / "none"))
