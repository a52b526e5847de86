"""What this build is and how many threads it uses."""

from pathlib import Path
from typing import Any

from nearfield import _core

__all__ = ["build_config", "get_include", "get_num_threads", "set_num_threads"]


def build_config() -> dict[str, Any]:
    """Tell how this build was made and what it uses here.

    Returns
    -------
    dict
        version, compiler, sanitizer (None in a release), isa (the highest kernel layer in use),
        layers (name -> whether this CPU has it), num_threads.
    """
    return _core.build_config()


def get_include() -> str:
    """Tell the folder to compile with for calling nearfield from C, C++ or Cython without the GIL.

    It has ``nearfield/c_api.h``, which says how; ``from nearfield cimport cy`` needs it too.
    """
    return str(Path(__file__).resolve().parent / "include")


def get_num_threads() -> int:
    """Tell how many threads `threads=0` means.

    What set_num_threads() said, else NEARFIELD_NUM_THREADS, else the CPUs that this process may use
    (affinity and cgroup quota).
    """
    return _core.num_threads()


def set_num_threads(threads: int) -> None:
    """Set what `threads=0` means from now on, in 0..1024; 0 restores the default."""
    _core.set_num_threads(threads)
