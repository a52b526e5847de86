"""Where memory ends, calls say so, and what was there goes on."""

import os
import subprocess
import sys

import numpy as np
import pytest

import nearfield as nf

CODE = """
import json, resource, sys
import numpy as np, nearfield as nf

path, kind = sys.argv[1:]
rows = np.random.default_rng(0).standard_normal((4000, 64), dtype=np.float32)
index = nf.load(path)
n = len(index)

def grow():
    index.add(rows, ids=np.arange(n, n + len(rows)))
    index.remove(np.arange(n, n + len(rows)))
    index.compact()

calls = {
    "load": lambda: nf.load(path), "map": lambda: nf.load(path, mmap=True).search(rows[0]),
    "search": lambda: index.search(rows[:500], k=50), "add": grow,
    "save": lambda: index.save(path + ".copy"),
}
said = dict.fromkeys(calls, 0)
_, hard = resource.getrlimit(resource.RLIMIT_AS)
for step in range(24):
    for name, call in calls.items():
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + step * 2**17 * (1 + step // 6), hard))
        try:
            call()
        except (MemoryError, nf.StorageError) as error:
            assert not isinstance(error, nf.StorageError) or error.errno == 12, error
            said[name] += 1
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, hard))
    index.validate()
    assert index.search(rows[0], k=3).ids[0] >= 0
    index.remove(np.arange(n, n + len(rows)), missing="ignore")
    assert len(index) == n
print(json.dumps(said))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts its own address space")
@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_calls_without_enough_memory_say_so_and_harm_nothing(rng, tmp_path, kind):
    index = nf.Flat(64) if kind == "flat" else nf.HNSW(64)
    index.add(rng.standard_normal((6000, 64), dtype=np.float32))
    index.save(tmp_path / "a.nf")
    ran = subprocess.run(
        [sys.executable, "-c", CODE, tmp_path / "a.nf", kind],
        capture_output=True, text=True, timeout=300, check=False,
        # A new thread without memory for its own data is ended by the C library, and all with it.
        env={**os.environ, "NEARFIELD_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert '"load": 0' not in ran.stdout
