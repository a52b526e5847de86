"""The faiss layer beside faiss: the same calls, the same answers, each other's files."""

import numpy as np
import pytest
from differential import assert_same_neighbors, outcome

from nearfield.compat import faiss as ours

theirs = pytest.importorskip("faiss")

DIM = 8
METRICS = (theirs.METRIC_L2, theirs.METRIC_INNER_PRODUCT)
# What is learned differs (k-means, codebooks, ranges round other centroids): answers are compared
# through each other's files.
LEARNED = [
    "IVF4,Flat",
    "IVF4,SQ8",
    "IVF4,PQ4x4",
    "PQ4x4",
    "PQ4np",
    "IVF4,PQ4np",
    "OPQ4_8,IVF4,PQ4x4",
]
EXACT = [
    "Flat",
    "SQ8", "SQ4", "SQfp16", "HNSW16", "HNSW16,SQ8", "Flat,RFlat", "L2norm,Flat", "PCA4,Flat",
    "RR8,Flat", "IDMap,Flat", "IDMap2,Flat", "IDMap2,HNSW16",
]  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    theirs.omp_set_num_threads(1)  # its threads and ours wait for each other on few cores


def filled(module, factory, metric, vectors):
    index = module.index_factory(DIM, factory, metric)
    index.train(vectors)
    if factory.startswith("IDMap"):
        index.add_with_ids(vectors, np.arange(len(vectors)) * 7 + 2)
    else:
        index.add(vectors)
    return index


def widen(module, index, factory):
    for part, name in (("IVF", "nprobe"), ("HNSW", "efSearch")):
        if part in factory:
            value = 4 if name == "nprobe" else 300
            module.ParameterSpace().set_index_parameter(index, name, value)
    return index


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("factory", [*EXACT, *LEARNED])
def test_answers_agree_and_each_reads_the_others_file(factory, metric, tmp_path, rng):
    vectors = rng.standard_normal((600, DIM), dtype=np.float32)
    queries = rng.standard_normal((40, DIM), dtype=np.float32)
    a = widen(ours, filled(ours, factory, metric, vectors), factory)
    b = widen(theirs, filled(theirs, factory, metric, vectors), factory)
    D, labels = a.search(queries, 6)
    if factory in EXACT:
        # Half precision is rounded up at other ties than numpy's.
        tolerance = 1e-2 if "fp16" in factory else 1e-4
        assert_same_neighbors((labels, D), b.search(queries, 6)[::-1], tolerance)
    path = str(tmp_path / "x")
    ours.write_index(a, path)
    c = widen(theirs, theirs.read_index(path), factory)
    assert type(c).__name__.removesuffix("L2").removesuffix("IP") == type(a).__name__
    assert (c.ntotal, c.d, c.metric_type, c.is_trained) == (600, DIM, metric, True)
    same = (c.search(queries, 6)[1] == labels).mean()
    assert same > (0.98 if "HNSW" in factory or "x4" in factory else 0.995)
    if same == 1:
        np.testing.assert_allclose(c.search(queries, 6)[0], D, atol=1e-4)
    theirs.write_index(b, path)
    d = widen(ours, ours.read_index(path), factory)
    D, labels = b.search(queries, 6)
    D2, I2 = d.search(queries, 6)
    same = labels == I2
    assert same.mean() > 0.99
    np.testing.assert_allclose(D2[same], D[same], atol=2e-4)
    c.add(vectors[:3]) if not factory.startswith("IDMap") else None  # it can go on from here


@pytest.mark.parametrize("factory", ["HNSW16", "HNSW32,SQ8"])
def test_a_graph_that_we_write_is_searched_well_by_faiss(factory, tmp_path, rng):
    vectors = rng.standard_normal((5000, DIM), dtype=np.float32)
    queries = rng.standard_normal((200, DIM), dtype=np.float32)
    a = filled(ours, factory, ours.METRIC_L2, vectors)
    ours.write_index(a, str(tmp_path / "x"))
    b = theirs.read_index(str(tmp_path / "x"))
    b.hnsw.efSearch = a.hnsw.efSearch = 64
    exact = ours.knn(queries, a.reconstruct_n(), 10)[1]
    for index in (a, b):
        found = index.search(queries, 10)[1]
        assert ours.eval_intersection(found, exact) > 0.98 * exact.size


@pytest.mark.parametrize("factory", ["IVF16,Flat", "IVF16,PQ4np", "PQ4x4", "IVF16,SQ4"])
def test_what_is_learned_is_as_good_as_faisss(factory, rng):
    spots = rng.standard_normal((60, DIM)) * 3
    vectors = (spots[rng.integers(0, 60, 3000)] + rng.standard_normal((3000, DIM))).astype("f4")
    exact = ours.knn(vectors[:200], vectors, 10)[1]
    recall = {}
    for module in (ours, theirs):
        index = filled(module, factory, module.METRIC_L2, vectors)
        if "IVF" in factory:
            index.nprobe = 4
        recall[module] = ours.eval_intersection(index.search(vectors[:200], 10)[1], exact) / 2000
    assert recall[ours] > recall[theirs] - 0.03


def random_calls(rng, n, trained):
    for _ in range(n):
        rows = rng.standard_normal((int(rng.integers(1, 30)), DIM), dtype=np.float32)
        ids = rng.integers(0, 10**6, len(rows)) * 1000 + np.arange(len(rows))
        old = rng.integers(0, 80, 5)
        yield [
            ("add", (rows,)),
            ("add", (rows,)),
            ("add", (rows[0],)),
            ("add", (rows[:, :3],)),
            ("add_with_ids", (rows, ids)),
            ("add_with_ids", (rows, ids)),
            ("add_with_ids", (rows, ids[:-1])),
            ("remove_ids", (old,)),
            ("remove_ids", (old[None],)),
            ("search", (rows, 0)),
            ("search", (rows[:, :3], 2)),
            ("reset", ()),
        ][int(rng.integers(0, 12 if rng.random() < 0.1 else 11))]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "factory", ["Flat", "SQ8", "HNSW16", "IDMap,Flat", "IDMap2,Flat", "IVF2,Flat"]
)
def test_random_calls_give_the_same_answers_and_errors(factory, metric, rng):
    sample = rng.standard_normal((300, DIM), dtype=np.float32)
    a, b = ours.index_factory(DIM, factory, metric), theirs.index_factory(DIM, factory, metric)
    for call in (lambda x: x.add(sample), lambda x: x.search(sample, 1)):
        assert outcome(lambda: call(a))[0] == outcome(lambda: call(b))[0]  # noqa: B023
        a.reset()
        b.reset()
    for index in (a, b):
        index.train(sample)
    widen(ours, a, factory)
    widen(theirs, b, factory)
    if "IVF" in factory:
        a.nprobe = b.nprobe = 2
    for name, args in random_calls(rng, 60, a.is_trained):
        if name == "remove_ids" and "IVF" in factory:
            continue  # faiss then gives new vectors ids that others have
        mine = outcome(lambda: getattr(a, name)(*args))  # noqa: B023
        other = outcome(lambda: getattr(b, name)(*args))  # noqa: B023
        assert mine[0] == other[0], (name, args, mine, other)
        if mine[0] == "error":
            assert mine[1] is other[1], (name, mine, other)
        elif name == "remove_ids":
            assert mine[1] == other[1]
        assert a.ntotal == b.ntotal
        queries = rng.standard_normal((4, DIM), dtype=np.float32)
        D, labels = b.search(queries, 5)
        assert_same_neighbors(a.search(queries, 5)[::-1], (labels, D))
        if b.ntotal == 0:
            continue  # with a selector faiss crashes
        some = rng.choice(a._ids(), 3)
        wide = [m.IDSelectorNot(m.IDSelectorBatch(some)) for m in (ours, theirs)]
        kind = "SearchParametersIVF" if "IVF" in factory else "SearchParameters"
        more = {"nprobe": 2} if "IVF" in factory else {}
        if "HNSW" in factory:
            kind, more = "SearchParametersHNSW", {"efSearch": 300}
        mine = a.search(queries, 5, params=getattr(ours, kind)(sel=wide[0], **more))
        other = b.search(queries, 5, params=getattr(theirs, kind)(sel=wide[1], **more))
        assert_same_neighbors(mine[::-1], other[::-1])


def test_binary_and_kmeans_agree(tmp_path, rng):
    codes = rng.integers(0, 256, (200, 4), dtype=np.uint8)
    a, b = ours.IndexBinaryFlat(32), theirs.IndexBinaryFlat(32)
    for index in (a, b):
        index.add(codes)
    np.testing.assert_array_equal(a.search(codes[:9], 5)[0], b.search(codes[:9], 5)[0])
    ours.write_index_binary(a, str(tmp_path / "a"))
    theirs.write_index_binary(b, str(tmp_path / "b"))
    c = theirs.read_index_binary(str(tmp_path / "a"))
    d = ours.read_index_binary(str(tmp_path / "b"))
    np.testing.assert_array_equal(c.search(codes[:9], 5)[0], d.search(codes[:9], 5)[0])
    vectors = rng.standard_normal((1000, DIM), dtype=np.float32)
    objective = [m.Kmeans(DIM, 10, niter=20, seed=1).train(vectors) for m in (ours, theirs)]
    assert objective[0] < 1.03 * objective[1]
    D, labels = theirs.knn(vectors[:9], vectors, 4)
    assert_same_neighbors(ours.knn(vectors[:9], vectors, 4)[::-1], (labels, D))


def test_names_and_constants_are_faisss():
    ours_only = {"install", "Index", "names"}
    for name in set(ours.__all__) - ours_only:
        if name == "ClusteringParameters" or hasattr(theirs, name):
            continue
        pytest.fail(f"faiss has no {name}")
    for name in ours.__all__:
        if name.startswith(("METRIC_", "IO_FLAG_")):
            assert getattr(ours, name) == getattr(theirs, name), name
    for name in dir(ours.ScalarQuantizer):
        if name.startswith("QT_"):
            assert getattr(ours.ScalarQuantizer, name) == getattr(theirs.ScalarQuantizer, name)
