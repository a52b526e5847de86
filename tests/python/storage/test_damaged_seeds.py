"""Places that wide searches begin at, damaged behind checksums that are right: refused by name."""

import shutil
from pathlib import Path

import numpy as np
import planted
import pytest

import nearfield as nf

GOLDEN = Path(__file__).parents[2] / "golden/v1/hnsw-wide-l2.nf"
NODES, QUERIES = 2640, np.random.default_rng(3).standard_normal((20, 24), dtype=np.float32)


@pytest.fixture
def saved(tmp_path):
    return Path(shutil.copy(GOLDEN, tmp_path / "wide.nf"))


def seeds_of(path):
    return np.frombuffer(planted.read(path, "graph.wide_seeds"), np.uint32).copy()


def refused(path, section, message):
    with pytest.raises(nf.CorruptIndex, match=f"section {section} {message}") as caught:
        nf.load(path)
    assert caught.value.section == section
    with pytest.raises(nf.CorruptIndex, match=message):
        nf.verify(path)


def harmless_where_mapped(path):
    """A map shows bytes that nothing was compared with."""
    hits = nf.load(path, mmap=True).search(QUERIES, k=10)
    assert (np.diff(np.sort(hits.ids, axis=1), axis=1) > 0).all()
    assert (hits.ids >= 0).all()


def test_as_it_was_written_it_is_taken(saved):
    planted.plant(saved, "graph.wide_seeds", seeds_of(saved).tobytes())
    assert saved.read_bytes() == GOLDEN.read_bytes()


@pytest.mark.parametrize("at", [0, 1000, -1])
def test_another_code_is_refused(saved, at):
    codes = planted.read(saved, "graph.wide_codes")
    codes[at] ^= 4
    planted.plant(saved, "graph.wide_codes", codes)
    node = seeds_of(saved)[np.arange(len(codes))[at] * len(seeds_of(saved)) // len(codes)]
    refused(saved, "graph.wide_codes", f"has another code of node {node}$")
    harmless_where_mapped(saved)


def test_another_order_of_seeds_than_of_codes_is_refused(saved):
    seeds = seeds_of(saved)
    seeds[[3, 7]] = seeds[[7, 3]]
    planted.plant(saved, "graph.wide_seeds", seeds.tobytes())
    refused(saved, "graph.wide_codes", f"has another code of node {seeds[3]}$")
    harmless_where_mapped(saved)


def test_a_seed_that_is_no_node_is_refused_and_where_mapped_too(saved):
    seeds = seeds_of(saved)
    seeds[5] = NODES
    planted.plant(saved, "graph.wide_seeds", seeds.tobytes())
    refused(saved, "graph.wide_seeds", f"names node {NODES} of {NODES}$")
    with pytest.raises(nf.CorruptIndex, match=f"names node {NODES} of {NODES}"):
        nf.load(saved, mmap=True)


def test_a_seed_that_comes_twice_is_refused_and_where_mapped_too(saved):
    seeds = seeds_of(saved)
    seeds[5] = seeds[8]
    planted.plant(saved, "graph.wide_seeds", seeds.tobytes())
    refused(saved, "graph.wide_seeds", f"names node {seeds[8]} twice$")
    with pytest.raises(nf.CorruptIndex, match=f"names node {seeds[8]} twice"):
        nf.load(saved, mmap=True)


def test_more_codes_than_seeds_are_refused(saved):
    planted.plant(saved, "graph.wide_seeds", seeds_of(saved)[:-1].tobytes())
    for mmap in (False, True):
        with pytest.raises(nf.CorruptIndex, match=r"graph\.wide_codes") as caught:
            nf.load(saved, mmap=mmap)
        assert caught.value.section == "graph.wide_codes"


def test_a_seed_at_a_node_that_is_not_in_use_is_refused(saved):
    index = nf.load(saved)
    index.remove(index.ids[:400])  # so many that the graph is mended
    index.save(saved)
    unused = np.frombuffer(planted.read(saved, "graph.unused"), np.uint32)
    seeds = seeds_of(saved)
    assert not np.isin(seeds, unused).any()
    seeds[2] = unused[0]
    planted.plant(saved, "graph.wide_seeds", seeds.tobytes())
    refused(saved, "graph.wide_seeds", f"names node {unused[0]}, which is unused$")
    harmless_where_mapped(saved)
