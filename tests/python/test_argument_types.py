"""A number, flag or word of the wrong type is named with the value it had."""

import re

import numpy as np
import pytest

import nearfield as nf
from nearfield import quantize

KINDS = [nf.Flat, nf.HNSW, nf.IVFPQ]
NO_INTEGER = [3.0, "3", [3], float("nan"), np.float32(3), np.array([3, 4]), True, np.False_]
QUERY = np.ones(4, np.float32)


def filled(kind):
    rows = np.random.default_rng(0).standard_normal((40, 4), dtype=np.float32)
    index = kind(4, nlist=1) if kind is nf.IVFPQ else kind(4)
    if kind is nf.IVFPQ:
        index.train(rows)
    index.add(rows)
    return index


def refused(name, kind, value):
    return pytest.raises(TypeError, match=f"^{name} must be {kind}, got {re.escape(repr(value))}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", NO_INTEGER, ids=repr)
def test_what_is_no_integer_is_refused_for_one(kind, value):
    index = filled(kind)
    calls = {
        "dim": lambda: kind(value),
        "k": lambda: index.search(QUERY, value),
        "threads": lambda: index.search(QUERY, 3, threads=value),
    }
    if kind is nf.HNSW:
        calls |= {
            "M": lambda: kind(4, M=value),
            "ef_construction": lambda: kind(4, ef_construction=value),
            "ef_search": lambda: index.search(QUERY, 3, ef_search=value),
            "bits": lambda: kind(4, bits=value),
            "max_memory": lambda: kind(4, max_memory=value),
            "seed": lambda: kind(4, seed=value),
        }
    for name, call in calls.items():
        with refused(name, "an int", value):
            call()
    for call in (
        lambda: index.add(QUERY, threads=value),
        lambda: index.remove(3, threads=value),
        lambda: index.search(QUERY[None, :], 3, threads=value),
    ):
        with refused("threads", "an int", value):
            call()
    assert len(index) == 40


# What else each needs, and its numbers.
MADE = {
    nf.Flat: ({}, "dim"),
    nf.HNSW: ({}, "dim M ef_construction ef_search bits code_dim max_memory seed"),
    nf.IVFPQ: ({"codes": "pq"}, "dim nlist nprobe bits pq_m candidates seed"),
    nf.KMeans: ({"n_clusters": 2}, "n_clusters max_iter n_init sample_per_centroid seed"),
    quantize.ProductQuantizer: ({"pq_m": 2}, "dim pq_m bits seed"),
    quantize.RaBitQuantizer: ({}, "dim bits seed"),
    quantize.ScalarQuantizer: ({}, "dim bits"),
}


@pytest.mark.parametrize("flag", [True, False, np.True_], ids=repr)
@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.__name__)
def test_a_bool_is_no_integer_to_any_constructor(kind, flag):
    needed, names = MADE[kind]
    if "dim" in names.split():
        needed = {"dim": 8, **needed}
    for name in names.split():
        with refused(name, "an int", flag):
            kind(**{**needed, name: flag})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [None, 3, b"l2", ["l2"], "\ud800"], ids=ascii)
def test_what_is_no_text_is_refused_for_a_word(kind, value):
    with refused("metric", "a str", value):
        kind(4, metric=value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [None, "1", [1.0], np.array([1.0, 2.0]), {}], ids=repr)
def test_what_is_no_number_is_refused_for_a_radius(kind, value):
    index = filled(kind)
    with refused("radius", "a number", value):
        index.range_search(QUERY, value)


def test_what_is_no_bool_is_refused_for_a_flag():
    with refused("prefilter", "a bool", "yes"):
        nf.Flat(4, prefilter="yes")
    assert nf.Flat(4, prefilter=np.True_).dim == 4


@pytest.mark.parametrize("kind", KINDS)
def test_integers_out_of_range_are_refused_with_the_range(kind):
    index = filled(kind)
    for dim in (0, -1, 65_537):
        with pytest.raises(ValueError, match=rf"^dim must be in 1\.\.65536, got {dim}$"):
            kind(dim)
    with pytest.raises(ValueError, match=f"^k must fit int64, got {2**70}$"):
        index.search(QUERY, 2**70)
    with pytest.raises(ValueError, match=f"^k must be at most {2**24}, got {2**31}$"):
        index.search(QUERY, 2**31)
    for threads in (-1, 1025):
        for call in (index.search, index.add, index.compact):
            arguments = () if call == index.compact else (QUERY,)
            with pytest.raises(ValueError, match=rf"^threads must be in 0\.\.1024, got {threads}$"):
                call(*arguments, threads=threads)
        with pytest.raises(ValueError, match=rf"^threads must be in 0\.\.1024, got {threads}$"):
            index.remove(3, threads=threads)
    with pytest.raises(ValueError, match=r"^seed must be in 0\.\.(2\*\*64 - 1|\d+), got -1$"):
        nf.HNSW(4, seed=-1)


@pytest.mark.parametrize("kind", [nf.HNSW, nf.IVFPQ])
@pytest.mark.parametrize("bits", [-1, 0, 7, 64])
def test_bits_that_there_are_not_are_refused_with_what_was_given(kind, bits):
    with pytest.raises(ValueError, match=f"^bits must be .*, got {bits}$"):
        kind(4, bits=bits)


@pytest.mark.parametrize("ef_search", [-1, 0, 2**70, -(2**70)])
def test_ef_search_out_of_range_is_refused_on_the_short_way_too(ef_search):
    with pytest.raises(ValueError, match=f"^ef_search must be in 1..65536, got {ef_search}$"):
        filled(nf.HNSW).search(QUERY, 3, ef_search=ef_search)


def test_code_dim_beyond_dim_is_refused():
    with pytest.raises(ValueError, match=r"^code_dim must be in 0\.\.4, got 5$"):
        nf.HNSW(4, code_dim=5)


def test_a_mask_of_integers_is_not_taken_for_ids():
    index = filled(nf.Flat)
    with pytest.raises(TypeError, match="^filter must be of dtype bool where it is a mask"):
        index.search(QUERY, 3, filter=np.ones(40, np.uint8))
    with pytest.raises(TypeError, match="^filter must be a bool mask or ids, got bools and others"):
        index.search(QUERY, 3, filter=[True, 3])
    assert set(index.search(QUERY, 2, filter=np.array([0, 1])).ids.tolist()) == {0, 1}


def test_functions_of_an_index_refuse_what_is_none():
    rows = np.eye(4, dtype=np.float32)
    for call in (nf.near_duplicates, nf.recommend, nf.mmr):
        with pytest.raises(
            TypeError, match="^index must be an index, such as nf.HNSW, got ndarray"
        ):
            call(rows, 0.5)


def test_measuring_names_the_argument_that_is_wrong():
    index = filled(nf.HNSW)
    for name, call in {
        "k": lambda: index.evaluate(QUERY, k="3"),
        "n_queries": lambda: index.evaluate(n_queries=2.5),
        "seed": lambda: nf.build(np.eye(4), seed=0.5),
        "n": lambda: nf.estimate(1e6, 4),
    }.items():
        with pytest.raises(TypeError, match=f"^{name} must be an int, got "):
            call()
    with pytest.raises(ValueError, match="^n_queries must be at least 1, got 0"):
        index.tune(n_queries=0)
    for call in (lambda: index.tune(QUERY, recall="x"), lambda: nf.build(np.eye(4), recall="x")):
        with pytest.raises(TypeError, match="^recall must be a number, got 'x'"):
            call()


def test_a_file_that_cannot_be_written_is_named_as_it_was_given(tmp_path):
    target = tmp_path / "missing" / "index.nf"
    with pytest.raises(FileNotFoundError) as raised:
        filled(nf.Flat).save(target)
    assert raised.value.filename == str(target)
