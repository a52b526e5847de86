"""What the tests that ask the original library share."""

import contextlib

import numpy as np


def outcome(call):
    """("ok", result) or ("error", exception class that the original raises too)."""
    try:
        return "ok", call()
    except AssertionError:
        return "error", AssertionError
    except Exception as error:
        known = (RuntimeError, TypeError, ValueError, AttributeError)
        return "error", next((kind for kind in known if isinstance(error, kind)), type(error))


def assert_same_neighbors(ours, theirs, atol=1e-4):
    """Ids agree wherever distances do not tie, and distances everywhere."""
    (ids, distances), (their_ids, their_distances) = ours, theirs
    np.testing.assert_allclose(distances, their_distances, atol=atol, rtol=1e-4)
    for row in range(len(their_ids)):
        differ = np.flatnonzero(ids[row] != their_ids[row])
        for at in differ:
            near = np.abs(their_distances[row] - their_distances[row, at]) <= 2 * atol
            assert ids[row, at] in their_ids[row][near] or near[-1], (row, at)


@contextlib.contextmanager
def silent(capfd):
    """Drop what a library prints."""
    yield
    capfd.readouterr()
