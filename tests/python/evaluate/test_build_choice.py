"""nearfield.build measures a graph and lists, and keeps what is faster."""

import sys

import numpy as np
import pytest

import nearfield as nf


@pytest.fixture
def build():
    nf.evaluate  # noqa: B018 - imports the module, which shares its name with the function
    return sys.modules["nearfield.evaluate.build"]


@pytest.fixture
def vectors(rng):
    return rng.standard_normal((6000, 16), dtype=np.float32)


@pytest.mark.parametrize(
    ("batch", "alone", "chosen"),
    [(2.0, 1.0, nf.IVFPQ), (2.0, 0.5, nf.HNSW), (1.1, 1.0, nf.HNSW), (0.5, 0.4, nf.HNSW)],
)
@pytest.mark.parametrize("given", [False, True])
def test_lists_are_chosen_where_they_are_clearly_faster(
    batch, alone, chosen, given, build, vectors, monkeypatch
):
    def faster(search, by):
        return by if isinstance(search.func.__self__, nf.IVFPQ) else 1.0

    class Took:
        def __init__(self, milliseconds):
            self.p50 = milliseconds

    monkeypatch.setattr(build, "measure_qps", lambda search, *_, **__: faster(search, batch))
    monkeypatch.setattr(
        build, "measure_latency", lambda search, *_, **__: Took(1 / faster(search, alone))
    )
    queries = vectors[:100] + 0.1 if given else None
    index = nf.build(vectors, "l2", 0.8, queries=queries)
    assert type(index) is chosen
    assert len(index) == 6000
    assert index.ids.tolist() == list(range(6000))
    first, second = index.choice.split("; ")
    assert first.startswith(chosen.__name__)
    assert second.startswith(("HNSW(", "IVFPQ("))
    setting = "nprobe" if chosen is nf.IVFPQ else "ef_search"
    assert f"{setting}={getattr(index, setting)}" in first


def test_a_kind_that_misses_the_recall_is_not_chosen_however_fast(build, vectors, monkeypatch):
    settings = sys.modules["nearfield.evaluate.tune"]
    real = settings.setting_range

    def one_list(index, k):
        return (1, 1) if isinstance(index, nf.IVFPQ) else real(index, k)

    monkeypatch.setattr(settings, "setting_range", one_list)
    index = nf.build(vectors, "l2", 0.9)
    assert isinstance(index, nf.HNSW)
    assert "IVFPQ(bits=8, nprobe=1)" in index.choice


def test_a_kind_that_is_named_is_the_only_one_built(build, vectors):
    for kind in ("hnsw", "ivfpq"):
        assert "; " not in nf.build(vectors, "l2", 0.8, kind=kind).choice
