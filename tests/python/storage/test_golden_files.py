"""Files of every format version are read for ever."""

import json
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf

VERSIONS = sorted(Path(__file__).parents[2].joinpath("golden").glob("v*"))
FILES = [path for version in VERSIONS for path in sorted(version.glob("*.nf"))]


def expected(path):
    told = json.loads((path.parent / "expected.json").read_text())
    of_file = told["files"][path.name]
    return np.array(of_file.get("queries", told["queries"]), np.float32), of_file


def test_the_present_version_of_the_format_has_golden_files():
    nf_file = FILES[-1]
    assert nf.persistence.file_info(nf_file).version == f"{VERSIONS[-1].name[1:]}.0"
    assert len(FILES) >= 24


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_golden_file_answers_as_it_did(path, mmap):
    queries, told = expected(path)
    index = nf.load(path, mmap=mmap)
    assert len(index) == told["n"]
    hits = index.search(queries, k=5)
    assert hits.ids.tolist() == told["ids"]
    np.testing.assert_allclose(hits.distances, told["distances"], rtol=1e-5, atol=1e-6)
    index.validate()


def test_inverted_lists_older_than_the_limits_of_lists_open_as_many_as_they_did():
    old = nf.load(VERSIONS[0] / "ivfpq-4-l2.nf")
    queries, _ = expected(VERSIONS[0] / "ivfpq-4-l2.nf")
    assert "lists.limits" not in [
        part.name for part in nf.persistence.file_info(VERSIONS[0] / "ivfpq-4-l2.nf").sections
    ]
    assert old.count_work(queries, nprobe=4)["hops"] == 4


@pytest.mark.parametrize("metric", ["l2", "dot"])
def test_golden_files_with_heads_read_fewer_bytes_than_their_codes_have(metric):
    path = VERSIONS[0] / f"ivfpq-heads-{metric}.nf"
    assert "heads.margin" in [part.name for part in nf.persistence.file_info(path).sections]
    index, (queries, _) = nf.load(path), expected(path)
    few, every = index.count_work(queries, 5), index.count_work(queries, len(index))
    assert few["bytes"] < 0.9 * every["bytes"]


def test_the_golden_file_with_more_places_to_begin_at_is_large_enough_to_walk_from_them():
    path = VERSIONS[0] / "hnsw-wide-l2.nf"
    index, (queries, _) = nf.load(path), expected(path)
    assert index.stats()["wide_entry_points"] == 82
    assert index.count_work(queries)["hops"] > 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_golden_file_is_saved_again_with_the_same_arrays(path, tmp_path):
    nf.load(path).save(tmp_path / "again.nf")
    old, new = nf.persistence.file_info(path), nf.persistence.file_info(tmp_path / "again.nf")
    assert new._replace(path=old.path, writer=old.writer) == old
    # All but the header, which names the writer, and the trailer, which has its checksum.
    assert (tmp_path / "again.nf").read_bytes()[4096:-64] == path.read_bytes()[4096:-64]
