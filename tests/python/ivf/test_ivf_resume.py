"""An addition that is killed goes on from what was saved, to the same bytes."""

import runpy
from argparse import Namespace
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "kill_add.py"


def test_an_addition_from_an_iterator_survives_being_killed(tmp_path):
    told = runpy.run_path(str(SCRIPT))["run"](
        Namespace(
            rows=40_000, dim=16, nlist=32, piece=700, save_every=2000, kills=4, longest=0.002,
            seed=1, data=None, folder=tmp_path, index=None,
        )
    )  # fmt: skip
    assert told["rows"] == 40_000
    assert 0 < max(told["rows_saved_at_each_kill"]) < 40_000
