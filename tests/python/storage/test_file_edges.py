"""What a checksum or a limit must see although no other check would."""

import numpy as np
import pytest

import nearfield as nf
from nearfield import _core

CHUNK = 1 << 20  # bytes that share a checksum


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file with sections of more than a chunk besides the rows."""
    path = tmp_path_factory.mktemp("edges") / "index.nf"
    index = nf.Flat(64, "l2", prefilter=True)
    index.add(np.random.default_rng(0).standard_normal((40_000, 64), dtype=np.float32))
    index.save(path)
    return path


def test_a_changed_byte_of_what_is_copied_is_told_when_only_rows_are_mapped(saved, tmp_path):
    info = nf.verify(saved)
    copied = [s for s in info.sections if s.bytes > CHUNK and s.name != "vectors.rows"]
    assert copied
    for section in copied:
        damaged = bytearray(saved.read_bytes())
        damaged[section.offset + section.bytes // 2] ^= 1
        path = tmp_path / "damaged.nf"
        path.write_bytes(damaged)
        with pytest.raises(nf.CorruptIndex, match=f"section {section.name} does not match"):
            nf.load(path, mmap="rows")


def test_max_memory_is_of_all_sections_together(saved):
    sections = nf.verify(saved).sections
    largest, total = max(s.bytes for s in sections), sum(s.bytes for s in sections)
    assert largest + 100_000 < total
    with pytest.raises(nf.ResourceLimit, match="max_memory must be at least"):
        nf.load(saved, max_memory=largest + 100_000)
    assert len(nf.load(saved, max_memory=2 * total)) == 40_000


def test_links_carry_the_factors_of_the_nodes_they_lead_to(rng):
    index = nf.HNSW(16, "l2")
    index.add(rng.standard_normal((500, 16), dtype=np.float32))
    kind, fields, arrays = _core.state(index._core)
    assert _core.from_state(kind, fields, arrays).size() == 500
    links = arrays["graph.links"].reshape(500, -1).copy()
    width = links.shape[1] // 2
    links[7, width] ^= 1  # of the first link of node 7
    with pytest.raises(nf.CorruptIndex, match="has other factors of node"):
        _core.from_state(kind, fields, {**arrays, "graph.links": links.reshape(-1)})
