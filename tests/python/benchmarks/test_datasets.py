"""Data sets: files are read as they are, splits are disjoint, suffixes do what they say."""

import numpy as np
import pytest

import datasets


@pytest.fixture
def rows():
    return np.random.default_rng(1).standard_normal((400, 6)).astype(np.float32)


@pytest.fixture
def npy(rows, tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, rows)
    return path


def as_set(array):
    return {tuple(row) for row in array.tolist()}


def test_held_out_queries_are_in_neither_base_nor_the_other_half(npy, rows):
    data = datasets.load(str(npy), queries=15)
    base, tuning, reporting = map(as_set, (data.vectors, data.tuning, data.reporting))
    assert len(tuning) == len(reporting) == 15
    assert not base & tuning
    assert not base & reporting
    assert not tuning & reporting
    assert base | tuning | reporting == as_set(rows)


def test_the_same_seed_gives_the_same_split_and_another_seed_another(npy):
    first, again = (datasets.load(str(npy), queries=10, seed=3) for _ in range(2))
    other = datasets.load(str(npy), queries=10, seed=4)
    np.testing.assert_array_equal(first.reporting, again.reporting)
    assert as_set(first.reporting) != as_set(other.reporting)


def test_limit_keeps_a_sample_and_says_so_in_the_name(npy, rows):
    data = datasets.load(str(npy), limit=50, queries=10)
    assert data.vectors.shape == (50, 6)
    assert data.name.endswith("-50")
    assert as_set(data.vectors) <= as_set(rows)


@pytest.mark.parametrize(("suffix", "dtype"), [(".fvecs", np.float32), (".bvecs", np.uint8)])
def test_vecs_files_are_read_row_by_row(tmp_path, suffix, dtype):
    values = np.arange(35).reshape(7, 5).astype(dtype)
    path = tmp_path / f"rows{suffix}"
    with path.open("wb") as file:
        for row in values:
            file.write(np.int32(5).tobytes() + row.tobytes())
    np.testing.assert_array_equal(datasets.read_vectors(path), values)


def test_vecs_file_with_rows_of_two_sizes_is_refused(tmp_path):
    path = tmp_path / "rows.bvecs"
    path.write_bytes(np.int32(2).tobytes() + b"ab" + np.int32(3).tobytes() + b"cd")
    with pytest.raises(datasets.UnavailableError, match="2 dimensions"):
        datasets.read_vectors(path)


def test_hdf5_of_ann_benchmarks_gives_its_metric_and_queries(tmp_path, rows):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "set.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs["distance"] = "angular"
        file["train"], file["test"] = rows[:300], rows[300:]
    data = datasets.load(str(path), queries=20)
    assert data.metric == "cosine"
    assert len(data.vectors) == 300
    np.testing.assert_allclose(np.linalg.norm(data.vectors, axis=1), 1, rtol=1e-6)


def test_unknown_name_says_what_there_is():
    with pytest.raises(datasets.UnavailableError, match="fashion-mnist"):
        datasets.load("no-such-set")


def test_project_set_without_its_folder_says_how_to_name_it():
    with pytest.raises(datasets.UnavailableError, match="--data-dir"):
        datasets.load("minilm-qa")


def test_duplicates_suffix_repeats_rows_and_leaves_queries(npy):
    plain = datasets.load(str(npy), queries=10)
    data = datasets.load(f"{npy}+duplicates", queries=10)
    np.testing.assert_array_equal(data.reporting, plain.reporting)
    _, counts = np.unique(data.vectors, axis=0, return_counts=True)
    assert counts.max() > 1
    assert 0.1 < (len(data.vectors) - len(counts)) / len(data.vectors) < 0.2


def test_skewed_norm_suffix_searches_by_inner_product(npy):
    data = datasets.load(f"{npy}+skewed-norm", queries=10)
    norms = np.linalg.norm(data.vectors, axis=1)
    assert data.metric == "dot"
    assert norms.max() > 4 * norms.min()


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
def test_ground_truth_agrees_with_float64(npy, metric):
    data = datasets.load(str(npy), metric=metric, queries=12)
    ids, distances = datasets.ground_truth(data, data.reporting, 5)
    base, asked = data.vectors.astype(np.float64), data.reporting.astype(np.float64)
    exact = {
        "l2": ((asked[:, None] - base) ** 2).sum(2),
        "cosine": 1 - asked @ base.T,
        "dot": -asked @ base.T,
    }[metric]
    np.testing.assert_array_equal(ids, np.argsort(exact, axis=1)[:, :5])
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, :5], rtol=1e-9, atol=1e-12)


def test_ground_truth_is_kept_and_another_set_does_not_get_it(npy, tmp_path):
    data = datasets.load(str(npy), queries=12)
    first = datasets.ground_truth(data, data.reporting, 5)
    assert len(list((tmp_path / "cache").glob("truth-*"))) == 1
    np.testing.assert_array_equal(datasets.ground_truth(data, data.reporting, 5)[0], first[0])
    other = datasets.load(str(npy), queries=12, seed=1)
    datasets.ground_truth(other, other.reporting, 5)
    assert len(list((tmp_path / "cache").glob("truth-*"))) == 2


def test_real_texts_are_distinct_passages_in_a_fixed_order():
    texts = pytest.importorskip("texts")
    first = texts.real_texts(40)
    assert first == texts.real_texts(40)
    assert len(set(first)) == 40
    assert all(texts.SHORTEST <= len(text) <= texts.LONGEST for text in first)
