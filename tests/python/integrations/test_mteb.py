"""MTEB's search backend: the protocol by itself, and MTEB's own wrapper around it."""

import numpy as np
import pytest
from libraries import library

from nearfield.integrations.mteb import NearfieldSearchIndex


@pytest.fixture
def corpus(rng):
    return rng.standard_normal((500, 16), dtype=np.float32)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_scores_and_places_are_those_by_numpy(corpus, similarity, kind):
    backend = NearfieldSearchIndex(similarity, index=kind)
    backend.add_documents(corpus[:300], [f"d{i}" for i in range(300)])
    backend.add_documents(corpus[300:], [f"d{i}" for i in range(300, 500)])
    queries = corpus[:20] + 0.01
    exact = queries @ corpus.T
    if similarity == "cosine":
        norms = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(corpus, axis=1)
        exact = exact / norms
    elif similarity == "euclidean":
        exact = -np.linalg.norm(queries[:, None] - corpus, axis=2)
    scores, places = backend.search(queries, 5, None)
    order = np.argsort(-exact, axis=1)[:, :5]
    assert (np.array(places) == order).mean() > 0.98
    np.testing.assert_allclose(scores, np.sort(-exact, axis=1)[:, :5] * -1, atol=5e-3, rtol=2e-3)
    ranked = {"q0": ["d3", "d400", "d0"], "q1": ["d9"]}
    near, local = backend.search(queries[:2], 2, None, ranked, {0: "q0", 1: "q1"})
    best = np.argsort(-exact[0, [3, 400, 0]])[:2]
    assert local == [best.tolist(), [0]]
    np.testing.assert_allclose(near[0], exact[0, [3, 400, 0]][best], rtol=1e-4)
    backend.clear()
    with pytest.raises(ValueError, match="documents must be added before the search"):
        backend.search(queries, 5)


def test_arguments_of_the_backend_are_checked(corpus):
    with pytest.raises(ValueError, match="similarity must be one of .* got 'max_sim'"):
        NearfieldSearchIndex("max_sim")
    backend = NearfieldSearchIndex("dot")
    with pytest.raises(ValueError, match=r"idxs must have one entry a row \(500\), got 1"):
        backend.add_documents(corpus, ["a"])
    backend.add_documents(corpus, [str(i) for i in range(500)])
    with pytest.raises(ValueError, match="query_idx_to_id must be given"):
        backend.search(corpus[:1], 1, None, {"q": ["1"]})


def test_mteb_ranks_through_it(corpus):
    library("mteb")
    from mteb.models import SearchEncoderWrapper
    from mteb.models.model_meta import ScoringFunction

    from datasets import Dataset

    class Model:
        """Embeds the text '7' as row 7."""

        class mteb_model_meta:  # noqa: N801
            similarity_fn_name = ScoringFunction.COSINE

        def encode(self, inputs, **kwargs):
            return np.stack([corpus[int(t)] for batch in inputs for t in batch["text"]])

        def similarity(self, a, b):
            raise AssertionError("the backend measures")

    import mteb

    task = mteb.get_task("SciFact").metadata
    wrapper = SearchEncoderWrapper(Model(), index_backend=NearfieldSearchIndex(Model()))
    rows = Dataset.from_dict(
        {"id": [f"d{i}" for i in range(500)], "text": [str(i) for i in range(500)],
         "title": [""] * 500}
    )  # fmt: skip
    where = {"task_metadata": task, "hf_split": "test", "hf_subset": "default",
             "encode_kwargs": {"batch_size": 32}}  # fmt: skip
    wrapper.index(rows, **where)
    queries = Dataset.from_dict({"id": ["q1", "q2"], "text": ["12", "77"]})
    found = wrapper.search(queries, top_k=3, **where)
    assert max(found["q1"], key=found["q1"].get) == "d12"
    assert max(found["q2"], key=found["q2"].get) == "d77"
    assert found["q1"]["d12"] == pytest.approx(1, abs=1e-3)
