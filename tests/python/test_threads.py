"""Threads, forks and interrupts: the pool is lazy, re-made after fork, and lets go when asked."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf

LONG_SEARCH = """
    import os, signal, sys, threading, time
    import numpy as np, nearfield as nf
    rng = np.random.default_rng(0)
    index = nf.Flat(64, "l2", prefilter=False)
    index.add(rng.standard_normal((60_000, 64), dtype=np.float32))
    queries = rng.standard_normal((400, 64), dtype=np.float32)
"""


# A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that.
HEAR_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


def run_python(code, timeout=60, **environment):
    return subprocess.run(
        [sys.executable, "-c", HEAR_CTRL_C + textwrap.dedent(code)],
        capture_output=True, text=True, timeout=timeout, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


def filled(n=2000, dim=32):
    index = nf.Flat(dim, "l2")
    index.add(np.random.default_rng(0).standard_normal((n, dim), dtype=np.float32))
    return index


def test_the_number_of_threads_can_be_set_and_restored():
    default = nf.get_num_threads()
    assert default >= 1
    nf.set_num_threads(3)
    assert nf.get_num_threads() == 3
    nf.set_num_threads(0)
    assert nf.get_num_threads() == default
    with pytest.raises(ValueError, match=r"threads must be in 0\.\.1024, got 2000"):
        nf.set_num_threads(2000)


def test_the_environment_sets_the_default_number_of_threads():
    code = "import nearfield as nf; print(nf.get_num_threads())"
    assert run_python(code, NEARFIELD_NUM_THREADS="5").stdout.strip() == "5"
    wrong = run_python(code, NEARFIELD_NUM_THREADS="many")
    assert "NEARFIELD_NUM_THREADS must be an integer in 1..1024, got 'many'" in wrong.stderr


def test_no_thread_starts_before_work_needs_one():
    code = """
        import os, numpy as np, nearfield as nf
        count = lambda: len(os.listdir("/proc/self/task"))
        before = count()
        index = nf.Flat(8, "l2"); index.add(np.ones((10, 8), np.float32)); index.search(np.ones(8))
        assert count() == before, count()
        index.add(np.ones((50_000, 8), np.float32)); index.search(np.ones(8), threads=3)
        print(count() - before)
    """
    if not Path("/proc/self/task").is_dir():
        pytest.skip("threads are counted through /proc")
    # A BLAS of numpy's keeps its threads out of the count: they exist before.
    ran = run_python(code)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "2"


def test_more_threads_than_cpus_give_the_same_answers():
    index = filled()
    queries = np.random.default_rng(1).standard_normal((100, 32), dtype=np.float32)
    expected = index.search(queries, threads=1)
    for threads in (2, 7, 64):
        np.testing.assert_array_equal(index.search(queries, threads=threads).ids, expected.ids)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is a habit of Unix")
@pytest.mark.parametrize("parent_used_pool", [False, True])
@pytest.mark.parametrize("call", ["search", "add"])
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_forked_child_can_work(parent_used_pool, call):
    code = f"""
        import os, numpy as np, nearfield as nf
        rng = np.random.default_rng(0)
        vectors = rng.standard_normal((30_000, 16), dtype=np.float32)
        index = nf.Flat(16, "l2")
        index.add(vectors, threads=4 if {parent_used_pool} else 1)
        expected = index.search(vectors[:50], threads=4 if {parent_used_pool} else 1).ids
        pid = os.fork()
        if pid == 0:
            if {call!r} == "add":
                index.add(vectors, threads=4)
            found = index.search(vectors[:50], k=20, threads=4).ids
            os._exit(0 if (np.isin(expected, found)).all() else 3)
        _, status = os.waitpid(pid, 0)
        index.search(vectors[:50], threads=4)
        raise SystemExit(os.waitstatus_to_exitcode(status))
    """
    ran = run_python(code, timeout=20)
    assert ran.returncode == 0, ran.stderr


def test_ctrl_c_is_heard_quickly_in_a_long_search():
    code = (
        LONG_SEARCH
        + """
    done = []
    def interrupt():
        time.sleep(0.3)
        done.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        while True:
            index.search(np.repeat(queries, 20, axis=0), threads=2)
    except KeyboardInterrupt:
        print(time.perf_counter() - done[0])
    hits = index.search(queries[:1], k=1)
    assert hits.ids.shape == (1, 1)
    """
    )
    waited = []
    for _ in range(3):
        ran = run_python(code)
        assert ran.returncode == 0, ran.stderr
        waited.append(float(ran.stdout))
    assert min(waited) < 0.05, waited  # the machine may stall once, not three times


@pytest.mark.parametrize(("n", "dim"), [(60_000, 64), (6_000, 400)])
def test_ctrl_c_is_heard_at_any_moment_of_a_build(n, dim):
    code = f"""
        import signal, time
        import numpy as np, nearfield as nf
        vectors = np.random.default_rng(0).standard_normal(({n}, {dim}), dtype=np.float32)
        # By this thread's own time: where it waits it listens every 20 ms.
        heard = [time.thread_time()]
        signal.signal(signal.SIGALRM, lambda *_: heard.append(time.thread_time()))
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        nf.HNSW({dim}, "l2").add(vectors, threads=1)
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert len(heard) > 10, len(heard)
        print(np.diff([*heard, time.thread_time()]).max())
    """
    ran = run_python(code, timeout=600)
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) < 0.1


def test_ctrl_c_during_add_leaves_the_index_as_it_was():
    code = """
        import os, signal, threading, time
        import numpy as np, nearfield as nf
        rng = np.random.default_rng(0)
        index = nf.Flat(256, "cosine")
        index.add(rng.standard_normal((100, 256), dtype=np.float32))
        many = rng.standard_normal((300_000, 256), dtype=np.float32)
        threading.Timer(0.08, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            while True:
                index.add(many)
                index.remove(index.ids[100:])
        except KeyboardInterrupt:
            pass
        index.validate()
        n = len(index)
        assert n in (100, 300_100), n
        assert (index.search(many[:5], k=150).ids >= 0).all() == (n > 100)
        index.add(many[:50])
        index.validate()
        assert len(index) == n + 50
    """
    ran = run_python(code)
    assert ran.returncode == 0, ran.stderr


def test_python_runs_while_a_search_does():
    index = filled(50_000, 64)
    queries = np.random.default_rng(1).standard_normal((3000, 64), dtype=np.float32)
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    begin = time.perf_counter()
    index.search(queries, threads=1)
    end = time.perf_counter()
    stop.set()
    ticker.join()
    assert len([t for t in ticks if begin < t < end]) > 0.1 * (end - begin) / 0.001


@pytest.mark.parametrize(
    "make, reads",
    [
        ("nf.HNSW(32)", "repr(index); index.ef_search; index.stats(); len(index)"),
        ("nf.IVFPQ(32, nlist=16)", "index.trained; index.nlist; index.nprobe; index.stats()"),
        ("nf.IVFPQ(32, nlist=16)", "index.search(rows[0], 3)"),
    ],
)
def test_what_waits_for_a_change_lets_python_run(make, reads):
    """Else the change, which asks Python for Ctrl-C now and then, and the reader wait for ever."""
    code = f"""
        import threading, warnings
        import numpy as np, nearfield as nf
        rows = np.random.default_rng(0).standard_normal((20_000, 32), dtype=np.float32)
        index = {make}
        if hasattr(index, "train"):
            index.train(rows)
        adding = threading.Thread(target=index.add, args=(rows,))
        adding.start()
        while adding.is_alive():
            {reads}
        assert len(index) == len(rows)
    """
    ran = run_python(code, timeout=300)
    assert ran.returncode == 0, ran.stderr


def test_a_change_gets_its_turn_while_threads_search_without_pause():
    index = filled(20_000, 64)
    queries = np.random.default_rng(1).standard_normal((200, 64), dtype=np.float32)
    stop = threading.Event()

    def search():
        while not stop.is_set():
            index.search(queries, threads=1)

    searching = [threading.Thread(target=search) for _ in range(4)]
    changing = threading.Thread(
        target=lambda: [index.update([0], queries[:1]) for _ in range(3)], daemon=True
    )
    for thread in searching:
        thread.start()
    changing.start()
    changing.join(60)
    starved = changing.is_alive()
    stop.set()
    for thread in searching:
        thread.join()
    changing.join()
    assert not starved


def test_progress_is_reported_and_may_stop_the_call():
    index = nf.Flat(256, "cosine")
    vectors = np.random.default_rng(0).standard_normal((60_000, 256), dtype=np.float32)
    seen = []
    index.add(vectors, progress=lambda done, total: seen.append((done, total)))
    assert all(0 <= done <= total for done, total in seen)

    def stop(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        for _ in range(50):
            index.add(vectors, progress=stop)
    index.validate()
    with pytest.raises(TypeError, match="progress must be a bool or a callable, got str"):
        index.add(vectors[:1], progress="yes")


def test_import_is_light():
    code = """
        import time
        begin = time.process_time()  # a busy machine must not decide
        import numpy
        between = time.process_time()
        import nearfield
        print(between - begin, time.process_time() - between)
    """
    runs = [[float(t) for t in run_python(code).stdout.split()] for _ in range(5)]
    of_numpy, of_nearfield = (min(times) for times in zip(*runs, strict=True))
    assert of_nearfield < 0.8 * of_numpy, runs  # and neither must a slow one


def test_signals_reach_python_handlers_between_pieces():
    code = (
        LONG_SEARCH
        + """
    heard = []
    signal.signal(signal.SIGALRM, lambda *_: heard.append(time.perf_counter()))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    index.search(np.repeat(queries, 20, axis=0), threads=2)
    end = time.perf_counter()
    assert heard and heard[0] < end - 0.05, (heard, end)
    """
    )
    if not hasattr(signal, "setitimer"):
        pytest.skip("timers are a habit of Unix")
    ran = run_python(code)
    assert ran.returncode == 0, ran.stderr
