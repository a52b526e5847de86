"""Changed files of the other libraries are refused or harmless, whatever changes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))
import foreign_files


def test_files_with_changed_numbers_are_refused_or_harmless(rng):
    told = []
    foreign_files.run(300, int(rng.integers(2**31)), told.append)
    assert "DamagedFile" in told[0]
    assert "harmless" in told[0]
