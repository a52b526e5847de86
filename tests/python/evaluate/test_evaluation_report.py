"""Reports: what they measure, how they read."""

import json

import numpy as np
import pytest
from graded_index import Graded

import nearfield as nf
from nearfield.evaluate import measure_latency, measure_qps, peak_rss

QUICK = {"seconds": 0.05}


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(2).standard_normal((1200, 16), dtype=np.float32)


@pytest.fixture(scope="module")
def report(vectors):
    index = Graded(16, hardness=10)
    index.add(vectors)
    return index.evaluate(vectors[:300] + 0.1, k=5, **QUICK)


def test_a_flat_index_has_recall_one_of_what_it_stores(vectors):
    index = nf.Flat(16, dtype="float16")
    index.add(vectors)
    report = index.evaluate(k=10, **QUICK)
    assert report.recall.mean == 1.0
    assert report.queries_from == "held out"
    assert report.n == 1200
    assert report.n_queries == 120
    assert report.sweep == []
    assert report.work["exact_distances"] > 0
    assert report.bytes["total"] == index.stats()["bytes"]["total"]
    assert report.build_seconds > 0


def test_given_truth_shows_what_rounding_loses(vectors):
    rounded = nf.Flat(16, dtype="int8")
    rounded.add(vectors)
    truth = nf.evaluate.ground_truth(vectors, vectors[:200], 10)
    lost = rounded.evaluate(vectors[:200], truth=truth, **QUICK).recall.mean
    assert 0.9 < lost < 1.0


def test_recall_is_that_of_the_present_setting(report):
    assert report.setting == {"ef_search": 64}
    assert report.recall.mean == pytest.approx(1 - 10 / 64, abs=0.04)
    assert report.recall.low < report.recall.mean < report.recall.high


def test_duplicates_beyond_the_truth_count_as_found():
    vectors = np.ones((300, 4), np.float32)
    index = nf.Flat(4)
    index.add(vectors)
    assert index.evaluate(vectors[:20], **QUICK).recall.mean == 1.0


def test_string_ids_are_evaluated_as_well(vectors):
    index = nf.Flat(16)
    index.add(vectors, ids=[f"v{i}" for i in range(1200)])
    assert index.evaluate(vectors[:50], **QUICK).recall.mean == 1.0


def test_the_json_holds_what_the_report_says(report, tmp_path):
    text = report.to_json(tmp_path / "report.json")
    kept = json.loads((tmp_path / "report.json").read_text())
    assert kept == json.loads(text) == report.to_dict()
    assert kept["recall"]["mean"] == report.recall.mean
    assert kept["latency_ms"]["p50"] <= kept["latency_ms"]["p95"] <= kept["latency_ms"]["max"]
    assert kept["bytes_per_vector"] == pytest.approx(report.bytes["total"] / 1200)
    assert set(kept["qps"]) >= {"1"}
    assert len(kept["sweep"]) == len(report.sweep) > 3


def test_the_table_fits_a_terminal_and_names_every_measure(report):
    text = str(report)
    for word in ("recall@5", "latency", "QPS, 1 thread", "bytes a vector", "build", "peak RSS"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 110


def test_the_plot_is_a_picture(report, tmp_path, vectors):
    pytest.importorskip("matplotlib")
    report.plot(tmp_path / "curve.png")
    flat = nf.Flat(16)
    flat.add(vectors)
    flat.evaluate(vectors[:30], **QUICK).plot(tmp_path / "flat.png")
    for name in ("curve.png", "flat.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": 0}, r"k must be in 1\.\.1200"),
        ({"k": 2000}, r"k must be in 1\.\.1200.* got 2000"),
        ({"queries": np.ones((2, 3))}, r"\(n, 3\)|\(n, 16\)"),
        ({"queries": np.empty((0, 16))}, "queries must hold at least one row"),
        ({"truth": [[1, 2]], "k": 1}, "found must have one row for each row of truth"),
        ({"queries": None, "truth": [[1]]}, "truth must come with its queries"),
    ],
)
def test_evaluate_refuses_what_makes_no_sense(options, says, vectors):
    index = nf.Flat(16)
    index.add(vectors)
    with pytest.raises(ValueError, match=says):
        index.evaluate(**{"queries": vectors[:5], **QUICK, **options})


def test_an_empty_index_cannot_be_evaluated():
    with pytest.raises(ValueError, match="index must hold vectors"):
        nf.Flat(4).evaluate()


def test_latency_is_of_single_queries_after_a_warm_up():
    shapes = []
    latency = measure_latency(
        lambda query: shapes.append(query.shape), np.ones((7, 3), np.float32), seconds=0.05
    )
    assert set(shapes) == {(3,)}
    assert 0 < latency.p50 <= latency.p95 <= latency.p99 <= latency.max
    assert len(shapes) > len(latency.samples)


def test_qps_is_of_whole_batches():
    sizes = []
    qps = measure_qps(lambda queries: sizes.append(len(queries)), np.ones((50, 3)), seconds=0.02)
    assert set(sizes) == {50}
    assert qps > 1000


def test_peak_rss_is_at_least_what_numpy_takes():
    peak = peak_rss()
    assert peak is None or peak > 10 * 2**20


def test_a_loaded_index_does_not_claim_to_have_been_built_in_no_time(vectors, tmp_path):
    index = nf.HNSW(vectors.shape[1])
    index.add(vectors)
    assert index.evaluate(vectors[:20]).build_seconds > 0
    index.save(tmp_path / "index.nf")
    for queries in (vectors[:20], None):
        report = nf.load(tmp_path / "index.nf").evaluate(queries)
        assert report.build_seconds is None
        assert "vectors a second" not in str(report)
