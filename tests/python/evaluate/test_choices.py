"""Estimates before a build, builds that choose, and metrics compared."""

import numpy as np
import pytest

import nearfield as nf


@pytest.mark.parametrize(
    ("n", "dim", "params"),
    [
        (30_000, 64, {}),
        (30_000, 64, {"prefilter": False}),
        (50_000, 16, {"dtype": "float16"}),
        (20_000, 100, {"dtype": "int8", "metric": "l2"}),
        (100, 32, {}),
    ],
)
@pytest.mark.parametrize("own_ids", [False, True])
def test_flat_takes_what_was_estimated(n, dim, params, own_ids):
    told = nf.estimate(n, dim, kind="flat", own_ids=own_ids, **params)
    index = nf.Flat(dim, **params)
    ids = np.arange(n) * 3 + 1 if own_ids else None
    index.add(np.random.default_rng(0).standard_normal((n, dim), dtype=np.float32), ids=ids)
    measured = index.stats()["bytes"]
    assert told.bytes["total"] == pytest.approx(measured["total"], rel=0.1)
    for part in ("vectors", "codes"):
        assert told.bytes[part] == pytest.approx(measured[part], rel=0.1)


def test_an_estimate_says_that_it_is_one():
    text = str(nf.estimate(1_000_000, 128, kind="flat"))
    for word in ("estimate", "vectors", "codes", "on disk", "build", "extrapolated"):
        assert word in text


def test_nothing_takes_nothing():
    told = nf.estimate(0, 8, kind="flat")
    assert told.bytes["total"] == 0
    assert told.build_seconds == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((-1, 8), "n must be at least 0, got -1"),
        ((10, 0), r"dim must be in 1\.\.65536, got 0"),
        ((10, 8, "tree"), "kind must be one of 'flat'.*, got 'tree'"),
    ],
)
def test_estimate_refuses_what_makes_no_sense(arguments, says):
    with pytest.raises(ValueError, match=says):
        nf.estimate(*arguments, **({} if len(arguments) > 2 else {"kind": "flat"}))


def test_build_scans_few_vectors_and_says_so(rng):
    vectors = rng.standard_normal((500, 8), dtype=np.float32)
    index = nf.build(vectors, metric="l2", ids=[f"v{i}" for i in range(500)])
    assert isinstance(index, nf.Flat)
    assert index.choice == "Flat: exact, and 500 vectors are few enough to scan"
    assert index.search(vectors[3], k=1).ids.tolist() == ["v3"]


def test_build_is_exact_when_recall_one_is_asked_for(rng):
    index = nf.build(rng.standard_normal((6000, 8), dtype=np.float32), recall=1)
    assert isinstance(index, nf.Flat)
    assert "recall 1" in index.choice


def test_an_index_made_by_hand_was_not_chosen():
    assert nf.Flat(3).choice is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"vectors": np.empty((0, 4))}, "vectors must have at least one row"),
        ({"recall": 0.0}, r"recall must be in \(0, 1\], got 0.0"),
        ({"queries": np.ones((2, 5))}, r"queries must have shape \(nq, 4\), got \(2, 5\)"),
        ({"metric": "l9"}, "metric must be one of"),
    ],
)
def test_build_refuses_what_makes_no_sense(options, says):
    with pytest.raises(ValueError, match=says):
        nf.build(**{"vectors": np.ones((10, 4)), **options})


@pytest.fixture
def questions(rng):
    """Answers lie in the direction of the question, at any length."""
    vectors = rng.standard_normal((400, 24))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[:60] + 0.05 * rng.standard_normal((60, 24))
    return vectors * rng.lognormal(0, 1, (400, 1)), queries


def test_compare_metrics_finds_the_metric_that_ranks_the_answers_first(questions):
    compared = nf.compare_metrics(*questions, relevant=list(range(60)), k=5)
    assert compared.best == "cosine"
    assert compared.scores[0].recall > 0.95
    assert [score.ndcg for score in compared.scores] == sorted(
        (score.ndcg for score in compared.scores), reverse=True
    )
    assert str(compared).splitlines()[1].startswith("cosine")


def test_scores_are_those_of_the_definitions():
    vectors = np.array([[1, 0], [0.9, 0.1], [0.5, 0.5], [0, 1]], np.float32)
    compared = nf.compare_metrics(vectors, [[1, 0]], [{1: 2.0, 2: 1.0, 3: 0}], k=2)
    cosine = next(score for score in compared.scores if score.metric == "cosine")
    assert cosine.recall == 0.5
    assert cosine.mrr == 0.5
    gain, best = 2 / np.log2(3), 2 + 1 / np.log2(3)
    assert cosine.ndcg == pytest.approx(gain / best)


def test_queries_without_answers_are_left_out(questions):
    vectors, queries = questions
    relevant = [[i] if i % 2 else [] for i in range(60)]
    assert nf.compare_metrics(vectors, queries, relevant, k=3).n_queries == 30


@pytest.mark.parametrize(
    ("relevant", "says"),
    [
        ([0], r"relevant must have one entry a query \(60\), got 1"),
        ([400] * 60, r"relevant must name rows in 0\.\.399, got 400 for query 0"),
        ([[]] * 60, "relevant must name at least one row, got none"),
    ],
)
def test_compare_metrics_refuses_what_makes_no_sense(questions, relevant, says):
    with pytest.raises(ValueError, match=says):
        nf.compare_metrics(*questions, relevant)
