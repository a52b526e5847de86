"""What an IVFPQ cannot do is refused with a sentence that says why."""

import numpy as np
import pytest

import nearfield as nf

DIM = 12


@pytest.fixture
def sample(rng):
    return rng.standard_normal((400, DIM), dtype=np.float32)


def test_searching_and_adding_before_training_is_refused(sample):
    index = nf.IVFPQ(DIM, "l2", 4)
    assert not index.trained
    for name, arguments in {
        "add": (sample,), "search": (sample,), "range_search": (sample, 1.0),
        "count_work": (sample,),
    }.items():  # fmt: skip
        with pytest.raises(nf.NotTrained, match=rf"not trained; call train\(\) before {name}\(\)"):
            getattr(index, name)(*arguments)
    assert len(index) == 0


def test_more_lists_than_training_vectors_are_refused(sample):
    with pytest.raises(
        ValueError, match=r"nlist must be at most the number of training vectors \(400\), got 401"
    ):
        nf.IVFPQ(DIM, nlist=401).train(sample)


@pytest.mark.parametrize("nlist", [0, -3, 2_000_000])
def test_nlist_out_of_range_is_refused(nlist):
    with pytest.raises(ValueError, match=f"nlist must be .*, got {nlist}"):
        nf.IVFPQ(DIM, nlist=nlist)


@pytest.mark.parametrize("pq_m", [5, 24])
def test_pq_m_must_divide_dim_and_the_divisors_are_named(pq_m):
    with pytest.raises(
        ValueError,
        match=rf"pq_m must divide dim \(12\), so be one of 1, 2, 3, 4, 6, 12, got {pq_m}",
    ):
        nf.IVFPQ(DIM, codes="pq", pq_m=pq_m)


@pytest.mark.parametrize(
    ("codes", "bits", "offered"),
    [
        ("rabitq", 7, "1, 2, 3, 4, 5 or 8"),
        ("rabitq", 16, "1, 2, 3, 4, 5 or 8"),
        ("pq", 2, "4 or 8"),
    ],
)
def test_bits_that_are_not_offered_are_refused(codes, bits, offered):
    with pytest.raises(ValueError, match=f"bits must be {offered} for {codes} codes, got {bits}"):
        nf.IVFPQ(DIM, codes=codes, bits=bits)


def test_unknown_codes_and_rerank_are_refused():
    with pytest.raises(ValueError, match="codes must be 'rabitq' or 'pq', got 'lsh'"):
        nf.IVFPQ(DIM, codes="lsh")
    with pytest.raises(ValueError, match="rerank must be None or one of .* got 'int4'"):
        nf.IVFPQ(DIM, rerank="int4")


def test_too_small_a_sample_is_warned_of(sample):
    with pytest.warns(UserWarning, match=r"30 vectors for each of 20 lists \(600\), got 400"):
        nf.IVFPQ(DIM, nlist=20).train(sample)


@pytest.mark.parametrize("codes", ["rabitq", "pq"])
def test_a_sample_of_identical_rows_leaves_empty_lists_and_works(codes, rng):
    rows = np.tile(rng.standard_normal(DIM, dtype=np.float32), (300, 1))
    index = nf.IVFPQ(DIM, "l2", 8, codes=codes, rerank="float32")
    index.train(rows)
    index.add(rows)
    index.validate()
    assert index.stats()["empty_lists"] == 7
    hits = index.search(rows[:2], k=300, nprobe=1)
    assert (np.sort(hits.ids, axis=1) == np.arange(300)).all()
    assert (hits.distances == 0).all()


def test_nprobe_beyond_the_lists_is_refused(sample):
    index = nf.IVFPQ(DIM, nlist=8)
    index.train(sample)
    index.add(sample)
    for nprobe in (9, 0, -1):
        with pytest.raises(ValueError, match=rf"nprobe must be in 1\.\.8, the lists, got {nprobe}"):
            index.search(sample, nprobe=nprobe)
        with pytest.raises(ValueError, match=rf"nprobe must be in 1\.\.8, the lists, got {nprobe}"):
            index.nprobe = nprobe
    with pytest.raises(ValueError, match="nprobe must be at least 1, got 0"):
        nf.IVFPQ(DIM).nprobe = 0


@pytest.mark.parametrize("name", ["nlist", "nprobe", "bits", "pq_m", "candidates", "seed"])
@pytest.mark.parametrize("value", [2.5, 4.0, "4"])
def test_what_is_no_integer_is_refused_by_name(name, value, sample):
    with pytest.raises(TypeError, match=rf"^{name} must be an int, got {value!r}$"):
        nf.IVFPQ(DIM, **{"codes": "pq", name: value})


def test_a_broken_nprobe_of_a_search_is_refused(sample):
    index = nf.IVFPQ(DIM, nlist=8)
    index.train(sample)
    index.add(sample)
    with pytest.raises(TypeError, match=r"nprobe must be an int, got 2\.5"):
        index.search(sample, nprobe=2.5)
    with pytest.raises(ValueError, match=r"seed must be in 0\.\.2\*\*64 - 1, got -1"):
        nf.IVFPQ(DIM, seed=-1)


@pytest.mark.parametrize(("name", "value"), [("pq_m", 4), ("opq", True)])
def test_what_product_codes_alone_have_is_refused_for_others(name, value):
    with pytest.raises(ValueError, match=f"{name} must come with codes='pq', got codes='rabitq'"):
        nf.IVFPQ(DIM, **{name: value})


def test_training_twice_with_vectors_held_is_refused(sample):
    index = nf.IVFPQ(DIM, nlist=8)
    index.train(sample)
    index.add(sample)
    with pytest.raises(ValueError, match=r"train\(\) must come before add\(\)"):
        index.train(sample)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_samples_are_refused(value, sample):
    index = nf.IVFPQ(DIM, nlist=8)
    sample[5, 2] = value
    with pytest.raises(
        ValueError, match=r"sample must be finite, got (nan|inf) at row 5, column 2"
    ):
        index.train(sample)
    with pytest.raises(ValueError, match=r"sample must have shape \(n, 12\)"):
        index.train(np.ones((400, 5)))
    assert not index.trained


def test_an_array_to_rank_by_keeps_in_step_with_ids_or_is_refused(sample):
    index = nf.IVFPQ(DIM, nlist=8, rerank_from=sample)
    index.train(sample)
    index.add(sample)
    index.remove([0, 7])
    with pytest.raises(ValueError, match="where vectors were removed, give the __getitem__"):
        index.search(sample[1])
    # As many rows as vectors, but row 0 is that of id 1.
    with pytest.raises(ValueError, match=r"ids must be rows of rerank_from \(0\.\.397\), got 398"):
        index.rerank_from = np.delete(sample, [0, 7], axis=0)
    assert index.rerank_from is sample
    index.add(sample[[0, 7]])  # as ids 400 and 401
    with pytest.raises(
        ValueError, match=r"ids must be rows of rerank_from \(0\.\.399\), got 40[01]"
    ):
        index.search(sample[0])
    index.rerank_from = np.vstack([sample, sample[[0, 7]]]).__getitem__
    hits = index.search(sample[[0, 1]], k=1)
    assert hits.ids.tolist() == [[400], [1]]


def test_a_rerank_source_of_another_length_is_refused(sample):
    index = nf.IVFPQ(DIM, nlist=8, rerank_from=sample[:399])
    index.train(sample)
    with pytest.raises(ValueError, match=r"ids must be rows of rerank_from \(0\.\.398\), got 399"):
        index.add(sample, ids=np.arange(400))
    index.add(sample[:300])
    with pytest.raises(
        ValueError, match=r"rerank_from must have one row a vector \(300\), got 399; where"
    ):
        index.search(sample)
    with pytest.raises(ValueError, match=r"rerank_from must have shape \(n, 12\), got \(400, 11\)"):
        nf.IVFPQ(DIM, rerank_from=sample[:, 1:])
    short = nf.IVFPQ(DIM, nlist=8, rerank_from=lambda ids: sample[ids][:-1])
    short.train(sample)
    short.add(sample)
    with pytest.raises(ValueError, match="rerank_from must give shape"):
        short.search(sample[:1])


@pytest.mark.parametrize("by_call", [False, True])
def test_rows_kept_elsewhere_go_by_int_ids(by_call, sample):
    source = (lambda ids: sample[ids]) if by_call else sample
    index = nf.IVFPQ(DIM, nlist=8, rerank_from=source)
    index.train(sample)
    with pytest.raises(TypeError, match="ids must be int with rerank_from, got str"):
        index.add(sample[:2], ids=["a", "b"])
    assert len(index) == 0


def test_max_memory_holds_at_least_a_vector(sample):
    index = nf.IVFPQ(DIM, nlist=8)
    index.train(sample)
    with pytest.raises(ValueError, match="max_memory must be at least 48, one vector, got 40"):
        index.add(sample, max_memory=40)


def test_ids_of_pieces_are_as_many_as_the_vectors(sample):
    index = nf.IVFPQ(DIM, nlist=8)
    index.train(sample)
    for ids in (range(399), range(401)):
        with pytest.raises(ValueError, match=rf"one entry a vector \(400\), got {len(ids)}"):
            index.add(sample, ids=list(ids), max_memory=4800)
    assert len(index) == 0
    with pytest.raises(ValueError, match=r"ids must have one entry a vector \(20\), got 30"):
        index.add(iter([sample[:10], sample[10:20]]), ids=list(range(30)))


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ([[1.0] * DIM], TypeError, "must be an array or a callable, got list"),
        (np.full((3, DIM), "a"), TypeError, "must be numbers, got dtype"),
    ],
)
def test_a_rerank_source_that_is_no_array_of_numbers_is_refused(source, error, message):
    with pytest.raises(error, match=f"rerank_from {message}"):
        nf.IVFPQ(DIM, rerank_from=source)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_rows_that_cannot_be_ranked_by_are_refused(value, sample):
    index = nf.IVFPQ(DIM, "cosine", 8, rerank_from=lambda ids: np.full((len(ids), DIM), value))
    index.train(sample)
    index.add(sample)
    with pytest.raises(ValueError, match=r"rows that are finite and not of norm 0, got .* for id"):
        index.search(sample[0])
