"""Python's side of disk_faults.c: build it, run a script under it, drive it from that script."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

OFF, ONCE, FOREVER, KILL, SHORT = range(5)
HERE = Path(__file__).resolve().parent


def available():
    """Whether the library can be built and preloaded here."""
    return sys.platform == "linux" and shutil.which("gcc") is not None


def build(folder):
    """Compile the library into `folder`."""
    library = Path(folder) / "disk_faults.so"
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library,
         HERE / "disk_faults.c", "-ldl"],
        check=True,
    )  # fmt: skip
    return library


def run(script, *arguments, library, timeout=None):
    """Run a script of this folder under the library and give its standard output."""
    ran = subprocess.run(
        [sys.executable, HERE / script, *map(str, arguments)],
        env=dict(os.environ, LD_PRELOAD=str(library), PYTHONWARNINGS="ignore"),
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    if ran.returncode != 0:
        raise AssertionError(f"{script} ended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}")
    return ran.stdout


class Faults:
    """The library in this process, which must run under it."""

    def __init__(self):
        own = ctypes.CDLL(None)
        self._watch, self._arm = own.faults_watch, own.faults_arm
        self._record, self._mark, self._count = (
            own.faults_record, own.faults_mark, own.faults_count,
        )  # fmt: skip
        self._mark.argtypes = [ctypes.c_int64]
        self._mark.restype = self._record.restype = self._watch.restype = None

    def watch(self, folder):
        """Mind the files of this folder from now on."""
        self._watch(os.fsencode(folder))

    def arm(self, mode, at=1, error=0):
        """Let the `at`-th call from now fail, or one from there on; counting begins anew."""
        self._arm(mode, at, error)

    def count(self):
        """Calls since arming."""
        return self._count()

    def record(self, path):
        """Write every change down, into a file outside the folder; None ends it."""
        self._record(None if path is None else os.fsencode(path))

    def mark(self, number):
        """Put a number among the records."""
        self._mark(number)
