"""Progress in a log tells how far a call is, how fast it goes and what is left."""

import pytest

from nearfield import progress


@pytest.mark.parametrize(
    ("total", "line"),
    [
        (4000, "add: 1,000 of 4,000 vec, 100 a second, 30 s left"),
        (0, "add: 1,000 vec, 100 a second"),
    ],
)
def test_a_log_tells_rate_and_time_left(total, line, monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress.reporting(True, "add") as report:
        now = 1.0
        report(100, total)  # too soon for a line
        now = 10.0
        report(1000, total)
    assert capsys.readouterr().err.splitlines()[0] == line
