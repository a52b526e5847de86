"""The time of a comparison, shared among peers."""

import pytest

from budget import FOR_PEERS, FOR_SWEEPS, Budget
from process import GoneError


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [1000.0]
    monkeypatch.setattr("budget.time.monotonic", lambda: now[0])
    return now


def test_a_run_ends_in_time_where_every_peer_hangs(clock):
    budget = Budget(30, 14)
    for _ in range(14):
        budget.next_peer()
        clock[0] += budget.limit(400, sweeping=False)
    assert clock[0] - 1000 <= FOR_PEERS * 30 * 60 + 1e-6


def test_a_peer_may_take_more_than_an_even_part_and_leaves_some_to_the_next(clock):
    budget = Budget(10, 4)
    budget.next_peer()
    first = budget.limit(1e9, sweeping=False)
    assert FOR_PEERS * 600 / 4 < first < FOR_PEERS * 600 / 2
    clock[0] += first
    budget.next_peer()
    assert budget.limit(1e9, sweeping=False) > 60


def test_sweeps_end_before_the_share_does(clock):
    budget = Budget(10, 1)
    budget.next_peer()
    clock[0] += FOR_SWEEPS * FOR_PEERS * 600 + 1
    with pytest.raises(GoneError, match="its share of --minutes is used up"):
        budget.limit(90, sweeping=True)
    assert budget.limit(90, sweeping=False) == 90


def test_the_limit_asked_for_is_kept(clock):
    budget = Budget(10, 2)
    budget.next_peer()
    assert budget.limit(5, sweeping=True) == 5
