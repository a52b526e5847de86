"""The ann-benchmarks module, run by its protocol, leaves files in its layout."""

import subprocess
import sys

import numpy as np
import pytest


@pytest.mark.parametrize("batch", [False, True])
def test_result_file_has_times_neighbors_and_distances_of_each_query(
    benchmarks_folder, tmp_path, batch
):
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("yaml")
    rows = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    done = subprocess.run(
        [sys.executable, str(benchmarks_folder / "ann_benchmarks" / "run.py"), "--data",
         str(tmp_path / "rows.npy"), "--queries", "10", "--count", "5", "--runs", "1",
         "--results", str(tmp_path / "out"), *(["--batch"] if batch else [])],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    suffix = "-batch" if batch else ""
    assert len(list((tmp_path / "out").rglob(f"nearfield-hnsw{suffix}/*.hdf5"))) == 44
    (path,) = (tmp_path / "out").rglob(f"nearfield-flat{suffix}/*.hdf5")
    with h5py.File(path) as file:
        assert file["neighbors"].shape == file["distances"].shape == (10, 5)
        assert file["times"].shape == (10,)
        assert bool(file.attrs["batch_mode"]) == batch
        assert file.attrs["algo"] == "nearfield-flat"
        assert file.attrs["best_search_time"] > 0
        distances = file["distances"][:]
    assert (np.diff(distances, axis=1) >= 0).all()
    assert "recall 1.0000" in done.stdout
