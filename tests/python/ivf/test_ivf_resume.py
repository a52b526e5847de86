"""An addition that is killed goes on from what was saved, to the same bytes."""

import runpy
from argparse import Namespace
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "kill_add.py"


@pytest.mark.skipif(not hasattr(__import__("signal"), "SIGKILL"), reason="no SIGKILL")
def test_an_addition_from_an_iterator_survives_being_killed(tmp_path):
    told = runpy.run_path(str(SCRIPT))["run"](
        Namespace(
            rows=12_000, dim=16, nlist=32, piece=700, save_every=2000, kills=4, seed=1,
            data=None, folder=tmp_path, index=None,
        )
    )  # fmt: skip
    assert told["rows"] == 12_000
    assert max(told["rows_saved_at_each_kill"]) > 0
