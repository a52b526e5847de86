"""One process at a time: a lock on a file that says who holds it."""

import errno
import json
import os
import socket
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nearfield.errors import LockedError, StorageError

__all__ = ["FolderLock"]


class FolderLock:
    """Hold `folder`/LOCK until `release`; the system lets go of it when the process dies.

    Raises
    ------
    LockedError
        At once, naming the holder, if it is held.
    StorageError
        If the folder may not be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "LOCK"
        # Not truncated on opening: until we have the lock the text is the holder's.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        try:
            self._fd = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise StorageError(error.errno, error.strerror, str(self._path)) from None
        try:
            if not stat.S_ISREG(os.fstat(self._fd).st_mode):
                raise StorageError(errno.EINVAL, "must be a plain file", str(self._path))
            if not _try_lock(self._fd):
                holder = self._holder()
                raise LockedError(
                    folder, holder.get("pid"), holder.get("host"), holder.get("since")
                )
            text = json.dumps({
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            })  # fmt: skip
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, text.encode(), 0)
        except BaseException:
            os.close(self._fd)
            raise

    def release(self) -> None:
        """Let go; the file stays, so that two openers never lock different files."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _holder(self) -> dict[str, Any]:
        try:
            found = json.loads(os.pread(self._fd, 4096, 0))
        except (ValueError, OSError):  # the holder is just writing it
            return {}
        return found if isinstance(found, dict) else {}


if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int) -> bool:
        os.lseek(fd, 1 << 30, os.SEEK_SET)  # beyond the text, which others may then read
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
