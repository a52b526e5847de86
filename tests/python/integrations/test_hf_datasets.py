"""Nearest examples of a Hugging Face dataset."""

import subprocess
import sys

import numpy as np
import pytest
from libraries import library

library("datasets.search")  # benchmarks/datasets.py may be what `datasets` means

import datasets
import nearfield as nf
from nearfield.integrations.datasets import CustomIndex, NearfieldIndex, add_index


@pytest.fixture
def vectors(rng):
    return rng.standard_normal((100, 8), dtype=np.float32)


@pytest.fixture
def dataset(vectors):
    return datasets.Dataset.from_dict(
        {"text": [f"row {i}" for i in range(100)], "embedding": vectors.tolist()}
    )


@pytest.mark.parametrize("kind", ["hnsw", "flat"])
def test_an_index_of_a_column_gives_nearest_examples(dataset, vectors, kind):
    add_index(dataset, "embedding", index=kind, metric="l2", batch_size=33)
    scores, examples = dataset.get_nearest_examples("embedding", vectors[4], k=3)
    far = np.square(vectors - vectors[4]).sum(axis=1)
    assert examples["text"] == [f"row {i}" for i in np.argsort(far)[:3]]
    np.testing.assert_allclose(scores, np.sort(far)[:3], atol=2e-3)
    batch = dataset.search_batch("embedding", vectors[:9], k=1)
    assert [row.tolist() for row in batch.total_indices] == [[i] for i in range(9)]


def test_an_index_made_before_is_taken_and_must_fit(dataset, vectors, tmp_path):
    index = nf.HNSW(8)
    index.add(vectors)
    add_index(dataset, "embedding", "mine", index=index)
    dataset.get_index("mine").save(tmp_path / "mine.nf")
    assert len(NearfieldIndex.load(tmp_path / "mine.nf").custom.index) == 100
    index.remove(3)
    with pytest.raises(ValueError, match=r"index must hold the rows of the dataset \(100\)"):
        add_index(dataset, "embedding", index=index)


def test_add_faiss_index_takes_a_custom_index(dataset, vectors):
    library("faiss")
    custom = CustomIndex(nf.HNSW(8, "l2"))
    dataset.with_format("numpy").add_faiss_index("embedding", custom_index=custom)
    assert (custom.ntotal, custom.d) == (100, 8)
    formatted = dataset.with_format("numpy")
    formatted.add_faiss_index("embedding", custom_index=CustomIndex(nf.Flat(8, "l2")))
    assert formatted.search("embedding", vectors[42], k=1).indices.tolist() == [42]


def test_datasets_uses_our_faiss_where_it_stands_in(tmp_path):
    code = """
import numpy as np
from nearfield.compat import faiss
faiss.install()
from datasets import Dataset
rows = np.random.default_rng(0).standard_normal((50, 8)).astype("float32")
made = Dataset.from_dict({"n": list(range(50)), "v": rows.tolist()}).with_format("numpy")
for options in ({}, {"string_factory": "HNSW16"}, {"custom_index": faiss.IndexFlatL2(8)}):
    made.add_faiss_index("v", index_name="i", **options)
    assert made.get_nearest_examples("i", rows[7], k=2)[1]["n"][0] == 7
made.save_faiss_index("i", "saved.faiss")
made.drop_index("i")
made.load_faiss_index("i", "saved.faiss")
print(made.search("i", rows[9], k=1).indices.tolist())
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ran.stdout.strip() == "[9]", ran.stderr
