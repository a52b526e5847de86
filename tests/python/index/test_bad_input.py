"""What is wrong is refused with a sentence that names it, and nothing has changed then."""

import threading

import numpy as np
import pytest

import nearfield as nf


def index_of(rng, n=20, metric="cosine", **options):
    index = nf.Flat(4, metric, **options)
    index.add(rng.standard_normal((n, 4), dtype=np.float32))
    return index


def with_value(value, row=1, column=2):
    vectors = np.ones((3, 4), np.float32)
    vectors[row, column] = value
    return vectors


BAD_VECTORS = [
    (np.ones((2, 5)), ValueError, r"must have shape \(n, 4\), got \(2, 5\)"),
    (np.ones((2, 2, 4)), ValueError, r"must be a \(n, dim\) array, got shape \(2, 2, 4\)"),
    (np.array(1.0), ValueError, r"must be a \(n, dim\) array, got shape \(\)"),
    ([[1, 2, 3, 4], [1, 2]], ValueError, r"must be a \(n, dim\) array, got rows of unequal"),
    (with_value(np.nan), ValueError, "must be finite, got nan at row 1, column 2"),
    (with_value(np.inf), ValueError, "must be finite, got inf at row 1, column 2"),
    (with_value(-np.inf), ValueError, "must be finite, got -inf at row 1, column 2"),
    (np.full((3, 4), 1e300), ValueError, "must be finite, got inf at row 0, column 0"),
    (np.eye(4)[[0, 1]] * [[1], [0]], ValueError, "must not have norm 0 under cosine.*at row 1"),
    (np.array([["a"] * 4]), TypeError, "must be numbers, got dtype <U1"),
    (np.array([[None] * 4]), TypeError, "must be numbers, got dtype object"),
    (np.ones((1, 4), complex), TypeError, "must be numbers, got dtype complex128"),
    (np.ones((1, 4), bool), TypeError, "must be numbers, got dtype bool"),
    ("text", TypeError, "must be numbers, got dtype <U4"),
    (
        np.ma.masked_array(np.ones((1, 4), np.float32), mask=[[0, 1, 0, 0]]),
        ValueError,
        "must have no masked values, got 1",
    ),
]


@pytest.mark.parametrize("vectors,error,message", BAD_VECTORS)
def test_bad_vectors_are_refused_everywhere_and_change_nothing(vectors, error, message, rng):
    index = index_of(rng)
    before = index.get(index.ids)
    with pytest.raises(error, match="vectors " + message):
        index.add(vectors)
    with pytest.raises(error, match="queries " + message):
        index.search(vectors)
    with pytest.raises(error, match="queries " + message):
        index.range_search(vectors, 0.5)
    n_rows = len(vectors) if isinstance(vectors, list) or np.ndim(vectors) > 0 else 1
    with pytest.raises(error, match="vectors " + message):
        index.update(list(range(n_rows)), vectors)
    np.testing.assert_array_equal(index.get(index.ids), before)
    index.validate()


def test_a_norm_beyond_float_is_refused_under_l2(rng):
    index = index_of(rng, metric="l2")
    with pytest.raises(ValueError, match="vectors must have a squared norm below 3e38"):
        index.add(np.full((1, 4), 1e19, np.float32))


def test_values_beyond_float16_are_refused(rng):
    index = index_of(rng, metric="l2", dtype="float16")
    with pytest.raises(ValueError, match=r"vectors must be within \+-65504 .* got 70000"):
        index.add(with_value(70000.0))
    assert len(index) == 20


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(k, rng):
    with pytest.raises(ValueError, match=f"k must be at least 1, got {k}"):
        index_of(rng).search(np.ones(4), k=k)


def test_ids_are_new_distinct_and_as_many_as_vectors(rng):
    index = index_of(rng)
    two = np.ones((2, 4), np.float32)
    with pytest.raises(ValueError, match="ids must be distinct, got 77 more than once"):
        index.add(two, ids=[77, 77])
    with pytest.raises(ValueError, match="ids must be new, got 3, which the index holds"):
        index.add(two, ids=[50, 3])
    with pytest.raises(ValueError, match=r"ids must have one entry a vector \(2\), got 3"):
        index.add(two, ids=[50, 51, 52])
    with pytest.raises(TypeError, match="ids must be int or str, got dtype float64"):
        index.add(two, ids=[1.5, 2.5])
    with pytest.raises(TypeError, match="ids must be all int or all str, got str and int"):
        index.add(two, ids=["a", 1])
    with pytest.raises(TypeError, match="ids must be int, as this index has int ids, got str"):
        index.add(two, ids=["a", "b"])
    with pytest.raises(ValueError, match="ids must be one-dimensional"):
        index.add(two, ids=[[60], [61]])
    assert len(index) == 20
    assert 50 not in index


def test_string_ids_follow_the_same_rules(rng):
    index = nf.Flat(4)
    index.add(rng.standard_normal((2, 4)), ids=["a", "b"])
    two = np.ones((2, 4), np.float32)
    with pytest.raises(ValueError, match="ids must be distinct, got 'c' more than once"):
        index.add(two, ids=["c", "c"])
    with pytest.raises(ValueError, match="ids must be new, got 'a', which the index holds"):
        index.add(two, ids=["c", "a"])
    with pytest.raises(TypeError, match="ids must be given as str, as this index has string ids"):
        index.add(two)
    with pytest.raises(TypeError, match="string ids"):
        index.add(two, ids=[5, 6])
    with pytest.raises(ValueError, match="vectors must be finite"):
        index.add(with_value(np.nan), ids=["x", "y", "z"])
    assert "x" not in index
    assert index.ids.tolist() == ["a", "b"]
    index.add(with_value(1.0), ids=["x", "y", "z"])
    assert len(index) == 5


@pytest.mark.parametrize("call", ["remove", "get", "update"])
def test_an_unknown_id_is_named_and_nothing_changes(call, rng):
    index = index_of(rng)
    arguments = ([0, 99],) if call != "update" else ([0, 99], np.ones((2, 4)))
    before = index.get(index.ids)
    with pytest.raises(nf.UnknownId) as caught:
        getattr(index, call)(*arguments)
    assert str(caught.value) == "ids must be in the index, got 99"
    assert isinstance(caught.value, KeyError)
    np.testing.assert_array_equal(index.get(index.ids), before)
    assert index.remove([0, 99], missing="ignore") == 1
    with pytest.raises(ValueError, match="missing must be 'raise' or 'ignore', got 'skip'"):
        index.remove([1], missing="skip")


def test_constructor_arguments_are_checked():
    with pytest.raises(ValueError, match="metric must be one of 'l2', 'dot', 'cosine', got 'l1'"):
        nf.Flat(4, "l1")
    with pytest.raises(ValueError, match="dtype must be one of .* got 'float64'"):
        nf.Flat(4, dtype="float64")
    with pytest.raises(ValueError, match="dim must be in 1..65536, got 0"):
        nf.Flat(0)
    with pytest.raises(
        ValueError, match="prefilter must be False or None unless dtype is 'float32'"
    ):
        nf.Flat(4, dtype="int8", prefilter=True)
    with pytest.raises(TypeError):
        nf.Flat("4")


def test_filters_are_checked(rng):
    index = index_of(rng)
    with pytest.raises(ValueError, match=r"filter must have one value a vector \(20\), got 3"):
        index.search(np.ones(4), filter=np.ones(3, bool))
    with pytest.raises(ValueError, match="filter must be a 1-D mask"):
        index.search(np.ones(4), filter=np.ones((20, 1), bool))
    with pytest.raises(TypeError, match="ids must be int"):
        index.search(np.ones(4), filter=["a"])


@pytest.mark.parametrize("threads", [-1, 1025])
def test_threads_out_of_range_are_refused(threads, rng):
    with pytest.raises(ValueError, match=f"threads must be in 0..1024, got {threads}"):
        index_of(rng).search(np.ones(4), threads=threads)


def _variants(vectors):
    frozen = vectors.copy()
    frozen.flags.writeable = False
    wide = np.zeros((len(vectors), 12), np.float32)
    wide[:, ::3] = vectors
    return {
        "float64": vectors.astype(np.float64),
        "fortran": np.asfortranarray(vectors),
        "read-only": frozen,
        "strided": wide[:, ::3],
        "reversed": vectors[::-1].copy()[::-1],
        "list": vectors.tolist(),
        "int": vectors.astype(np.int64),
        "int8": vectors.astype(np.int8),
        "uint8": vectors.astype(np.uint8),
        "float16": vectors.astype(np.float16),
        "big-endian": vectors.astype(">f4"),
    }


def test_every_kind_of_array_means_the_same(rng, tmp_path):
    vectors = rng.integers(1, 9, (30, 4)).astype(np.float32)
    expected = nf.Flat(4, "l2")
    expected.add(vectors)
    variants = _variants(vectors)
    mapped = np.memmap(tmp_path / "vectors.f32", np.float32, "w+", shape=vectors.shape)
    mapped[:] = vectors
    variants["memmap"] = mapped
    for name, variant in variants.items():
        index = nf.Flat(4, "l2")
        index.add(variant)
        np.testing.assert_array_equal(index.get(index.ids), vectors, err_msg=name)
        np.testing.assert_array_equal(index.search(variant).ids, expected.search(vectors).ids)


class _Dlpack:
    """An array of another library that speaks DLPack only."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **kwargs):
        return self._array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def test_dlpack_arrays_are_accepted(rng):
    vectors = rng.standard_normal((10, 4)).astype(np.float32)
    index = nf.Flat(4, "l2")
    index.add(_Dlpack(vectors))
    np.testing.assert_array_equal(index.get(index.ids), vectors)


def test_torch_tensors_are_accepted(rng):
    torch = pytest.importorskip("torch")
    vectors = rng.integers(-4, 5, (10, 4)).astype(np.float32)
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8):
        index = nf.Flat(4, "l2")
        index.add(torch.from_numpy(vectors).to(dtype).requires_grad_(dtype.is_floating_point))
        np.testing.assert_array_equal(index.get(index.ids), vectors)


def test_searches_beside_changes_never_see_half_of_one(rng):
    index = nf.Flat(16, "l2")
    base = rng.standard_normal((500, 16), dtype=np.float32)
    index.add(base, ids=np.arange(500))
    extra = rng.standard_normal((200, 16), dtype=np.float32) + 50
    extra_ids = np.arange(1000, 1200)
    stop = threading.Event()
    faults = []

    def read():
        while not stop.is_set():
            hits = index.search(extra[:5] * 0 + 50, k=200)
            high = int((hits.ids[0] >= 1000).sum())
            if high not in (0, 200):
                faults.append(high)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(40):
        index.add(extra, ids=extra_ids)
        index.remove(extra_ids)
    stop.set()
    for reader in readers:
        reader.join()
    assert faults == []
