"""Vectors come from anywhere: whatever holds numbers in rows is taken, and says what it lacks."""

import array
import contextlib
import importlib
import sys

import numpy as np
import pytest

import nearfield as nf
from nearfield.arrays import as_matrix

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


def is_rows(values):
    found = as_matrix(values, "vectors")
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, ROWS)
    return True


class Interface:
    """An object with the array interface alone."""

    def __init__(self, rows):
        self._rows = rows
        self.__array_interface__ = rows.__array_interface__


class OnDevice:
    """An object with DLPack alone, as an array on a device of this type."""

    def __init__(self, rows, device=1, copies=True):
        self._rows, self._device, self._copies = rows, device, copies

    def __dlpack_device__(self):
        return self._device, 0

    def __dlpack__(self, *, dl_device=None, copy=None, **options):
        if self._device != 1 and not (self._copies and dl_device == (1, 0)):
            raise BufferError("cannot copy")
        return self._rows.__dlpack__()


@pytest.mark.parametrize(
    "values",
    [
        ROWS, ROWS.astype(np.float64), ROWS.astype(np.float16), ROWS.astype(np.int8),
        ROWS.astype(np.uint64), np.asfortranarray(ROWS), np.repeat(ROWS, 2, axis=1)[:, ::2],
        ROWS[::-1][::-1], ROWS.astype(">f4"), ROWS.tolist(), list(ROWS), tuple(map(tuple, ROWS)),
        memoryview(ROWS), Interface(ROWS), OnDevice(ROWS), OnDevice(ROWS, device=2),
        [array.array("f", row) for row in ROWS], [memoryview(row) for row in ROWS],
    ],
)  # fmt: skip
def test_arrays_of_every_kind_are_taken(values):
    assert is_rows(values)


def test_float32_in_order_is_not_copied(tmp_path):
    assert as_matrix(ROWS, "vectors") is ROWS
    mapped = np.memmap(tmp_path / "rows", np.float32, "w+", shape=(4, 3))
    mapped[:] = ROWS
    assert np.shares_memory(as_matrix(mapped, "vectors"), mapped)
    assert np.shares_memory(as_matrix(memoryview(ROWS), "vectors"), ROWS)
    assert np.shares_memory(as_matrix(OnDevice(ROWS), "vectors"), ROWS)
    np.testing.assert_array_equal(as_matrix(array.array("d", [1, 2]), "query"), [1, 2])


def test_memory_that_cannot_be_read_is_told():
    with pytest.raises(TypeError, match="vectors must be in memory of the CPU, got DLPack device"):
        as_matrix(OnDevice(ROWS, device=2, copies=False), "vectors")


def test_iterators_of_batches_and_of_rows_are_gathered():
    assert is_rows(iter([ROWS[:1], ROWS[1:].tolist()]))
    assert is_rows(row for row in ROWS)
    assert is_rows(iter([ROWS]))
    index = nf.Flat(3, "l2")
    index.add((ROWS[i : i + 2] for i in (0, 2)), ids=["a", "b", "c", "d"])
    assert index.search(ROWS[3], k=1).ids.tolist() == ["d"]
    index = nf.Flat(3, "l2")
    index.add(ROWS)
    with pytest.raises(ValueError, match="batches of one dim, got 3 in batch 0 and 2 in batch 1"):
        index.add(iter([ROWS, ROWS[:, :2]]))
    with pytest.raises(ValueError, match="at least one batch, got an iterator without any"):
        index.add(iter([]))
    with pytest.raises(ValueError, match=r"vectors\[1\] must be a \(n, dim\) array"):
        index.add(iter([ROWS, ROWS[None]]))
    with pytest.raises(ValueError, match="must be finite, got nan at row 4"):
        index.add(iter([ROWS, ROWS * np.nan]))
    assert len(index) == 4


@pytest.mark.parametrize(
    "values,error,message",
    [
        ([[1, 2], [1]], ValueError, r"rows of unequal length: \(2,\) at row 0 and \(1,\) at row 1"),
        ([[1, 2], None], ValueError, "a vector in every row, got None at row 1"),
        (np.array([[1, 2], None], object), ValueError, "a vector in every row, got None at row 1"),
        ([[1, None]], TypeError, "numbers, got dtype object with None at row 0, column 1"),
        (np.array([ROWS[0], ["a", "b", "c"]], object), TypeError, "must be numbers, got dtype"),
        ([["a"]], TypeError, "must be numbers, got dtype <U1"),
        (b"bytes", TypeError, "must be numbers, got dtype .S5"),
        ({"a": 1}, TypeError, "must be numbers, got dtype object"),
    ],
)
def test_what_is_no_matrix_is_told_with_its_place(values, error, message):
    with pytest.raises(error, match=message):
        as_matrix(values, "vectors")


def test_torch_tensors_of_every_dtype_and_place_are_taken():
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(ROWS)
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int32):
        assert is_rows(tensor.to(dtype))
    assert is_rows(tensor.clone().requires_grad_())
    assert is_rows(tensor.T.contiguous().T)
    assert is_rows(list(tensor))
    assert np.shares_memory(as_matrix(tensor, "vectors"), tensor.numpy())


def test_a_tensor_on_a_device_is_copied_from_it():
    class Tensor:
        """Has of torch's interface what is asked of a tensor that is not on the CPU."""

        dtype, copies = "torch.float32", 0

        def __init__(self, device):
            self.device = type("device", (), {"type": device})

        def detach(self):
            return self

        def cpu(self):
            Tensor.copies += 1
            return Tensor("cpu")

        def numpy(self):
            assert self.device.type == "cpu"
            return ROWS

    assert is_rows(Tensor("cuda"))
    assert Tensor.copies == 1
    assert is_rows(Tensor("cpu"))
    assert Tensor.copies == 1


def test_an_array_on_a_device_that_will_not_become_numpy_s_is_copied_through_dlpack():
    class OnDevice:
        """Has of CuPy's interface what matters: `__array__` that always raises."""

        def __array__(self, *args, **kwargs):
            raise TypeError("implicit conversion is not allowed")

        def __dlpack_device__(self):
            return 2, 0

        def __dlpack__(self, *, dl_device, copy, **kwargs):
            assert dl_device == (1, 0) and copy
            return ROWS.copy().__dlpack__()

    class Older(OnDevice):
        """Has of an older JAX's: no copy through DLPack, but a numpy array of itself."""

        def __array__(self, *args, **kwargs):
            return ROWS

        def __dlpack__(self, **kwargs):
            raise BufferError

    assert is_rows(Older())
    if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
        assert is_rows(OnDevice())


def test_arrays_on_a_gpu_are_taken():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    tensor = torch.tensor(ROWS, device="cuda")
    made = [tensor, tensor.half(), tensor.bfloat16(), list(tensor)]
    for library, make in (("cupy", "asarray"), ("jax.numpy", "asarray")):
        with contextlib.suppress(ImportError):
            made.append(getattr(importlib.import_module(library), make)(ROWS))
    for rows in made:
        assert is_rows(rows)
        index = nf.Flat(3, "l2")
        index.add(rows)
        assert index.search(rows[1], k=1).ids.tolist() == [1]


def arrow_columns(pa):
    flat = pa.array(np.concatenate([[9, 9, 9], ROWS.ravel()]).astype(np.float32))
    fixed = pa.FixedSizeListArray.from_arrays(flat, 3)[1:]
    lists = pa.array([[9.0], *ROWS.tolist()])[1:]
    large = pa.array(ROWS.tolist(), pa.large_list(pa.float64()))
    half = pa.array([np.float16(v) for v in ROWS.ravel()], pa.float16())
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(ROWS)
    return [
        fixed, lists, large, pa.FixedSizeListArray.from_arrays(half, 3), tensor,
        pa.array(ROWS.astype(int).tolist()), pa.chunked_array([fixed]),
        pa.chunked_array([fixed[:1], fixed[1:]]), pa.chunked_array([lists[:3], lists[3:]]),
        pa.table({"x": ROWS[:, 0], "y": ROWS[:, 1], "z": ROWS[:, 2]}),
    ]  # fmt: skip


def test_arrow_columns_are_taken_without_a_copy_where_they_are_one_piece():
    pa = pytest.importorskip("pyarrow")
    for column in arrow_columns(pa):
        assert is_rows(column)
    flat = np.arange(12, dtype=np.float32)
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(flat), 3)
    for column in (fixed, pa.chunked_array([fixed])):
        assert np.shares_memory(as_matrix(column, "vectors"), flat)
    np.testing.assert_array_equal(as_matrix(pa.array([1.0, 2.0]), "query"), [1, 2])


class Stream:
    """Some other library's column, known by Arrow's C interface alone."""

    def __init__(self, column):
        self._column = column

    def __arrow_c_stream__(self, requested_schema=None):
        return self._column.__arrow_c_stream__(requested_schema)


def test_any_library_with_arrow_s_interface_is_read_through_it():
    pa = pytest.importorskip("pyarrow")
    assert is_rows(Stream(pa.chunked_array([pa.array(ROWS.tolist())])))


def test_arrow_columns_that_are_no_matrix_are_told():
    pa = pytest.importorskip("pyarrow")
    fixed = pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2))
    for column, error, message in (
        (fixed, ValueError, "a vector in every row, got 1 nulls"),
        (pa.array([[1.0], None]), ValueError, "a vector in every row, got 1 nulls"),
        (pa.array([[1.0, None]]), ValueError, "numbers without nulls, got 1 nulls"),
        (pa.array([[1.0], [1.0, 2.0]]), ValueError, r"vectors of one length, got \[1, 2\]"),
        (pa.array([["a"]]), TypeError, "must be numbers or lists of numbers, got list"),
        (pa.array(["a"]), TypeError, "must be numbers or lists of numbers, got string"),
    ):
        with pytest.raises(error, match=message):
            as_matrix(column, "vectors")


def test_pandas_columns_and_frames_are_taken():
    pd = pytest.importorskip("pandas")
    assert is_rows(pd.Series(list(ROWS)))
    assert is_rows(pd.Series(ROWS.tolist(), index=list("dcba")))
    assert is_rows(pd.DataFrame(ROWS, columns=list("xyz")))
    np.testing.assert_array_equal(as_matrix(pd.Series([1, 2]), "query"), [1, 2])
    with pytest.raises(ValueError, match="a vector in every row, got None at row 1"):
        as_matrix(pd.Series([[1.0], None]), "vectors")
    pa = pytest.importorskip("pyarrow")
    for kind in (pa.list_(pa.float32()), pa.list_(pa.float32(), 3)):
        column = pd.Series(pd.arrays.ArrowExtensionArray(pa.array(ROWS.tolist(), kind)))
        assert is_rows(column)


def test_polars_columns_and_frames_are_taken():
    pl = pytest.importorskip("polars")
    assert is_rows(pl.Series(ROWS.tolist()))
    assert is_rows(pl.Series(ROWS.tolist(), dtype=pl.Array(pl.Float32, 3)))
    assert is_rows(pl.DataFrame(ROWS, schema=list("xyz")))
    np.testing.assert_array_equal(as_matrix(pl.Series([1.0, 2.0]), "query"), [1, 2])
    for column, message in (
        (pl.Series([[1.0], None]), "a vector in every row, got 1 nulls"),
        (pl.Series([[1.0], [1.0, 2.0]]), r"vectors of one length, got \[1, 2\]"),
        (pl.Series([[1.0, None]]), "numbers without nulls, got 1 nulls"),
    ):
        with pytest.raises(ValueError, match=message):
            as_matrix(column, "vectors")


def found():
    index = nf.Flat(3, "l2")
    index.add(ROWS, ids=["a", "b", "c", "d"])
    return index.search(ROWS[:2], k=5), index.range_search(ROWS[:2], radius=30)


def test_answers_become_arrow_tables_without_what_pads():
    pytest.importorskip("pyarrow")
    hits, near = found()
    table = hits.to_arrow()
    assert table.column_names == ["query", "rank", "id", "distance"]
    assert table.num_rows == 8
    assert table["id"].to_pylist() == list("abcd") + hits.ids[1][:4].tolist()
    assert table["rank"].to_pylist() == [0, 1, 2, 3] * 2
    assert near.to_arrow().to_pydict() == {
        "query": [0, 0, 1, 1, 1], "rank": [0, 1, 0, 1, 2], "id": near.ids.tolist(),
        "distance": near.distances.tolist(),
    }  # fmt: skip
    single = nf.Neighbors(hits.ids[0], hits.distances[0]).to_arrow()
    assert single["query"].to_pylist() == [0] * 4


def test_answers_become_pandas_frames():
    pytest.importorskip("pandas")
    hits, near = found()
    frame = hits.to_pandas()
    assert list(frame.columns) == ["query", "rank", "id", "distance"]
    assert frame.groupby("query")["id"].first().tolist() == ["a", "b"]
    assert len(near.to_pandas()) == 5


def test_no_library_is_imported_for_arrays_of_numpy():
    import subprocess

    code = (
        "import sys, nearfield as nf, numpy as np; nf.Flat(3).add(np.eye(3));"
        "print([m for m in ('pyarrow', 'pandas', 'polars', 'torch') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
