"""A peer's process as the comparison sees it: questions, answers, time limits, last words."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import peers

WORKER = Path(__file__).parent / "worker.py"


class GoneError(Exception):
    """The process answered no more, or that it cannot; the message is for the report."""


class Process:
    """A worker process that holds one index; see worker.py.

    Parameters
    ----------
    python : str
        Interpreter to run it with.
    folder : Path
        Folder of the data set's arrays.
    peer : str
    problem : peers.Problem
    """

    def __init__(self, python: str, folder: Path, peer: str, problem: peers.Problem) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._popen = subprocess.Popen(
            [python, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "TMPDIR": str(folder)},  # a killed process leaves nothing behind
            text=True,
        )
        self._send({"folder": str(folder), "peer": peer, "problem": asdict(problem)})

    def ask(self, verb: str, limit: float, **request: Any) -> dict[str, Any]:
        """Return the answer, if it comes within `limit` seconds.

        Raises
        ------
        GoneError
            When the peer refused, failed, died or took too long.
        """
        self._send({"verb": verb, **request})
        answers = self._popen.stdout
        assert answers is not None
        ready, _, _ = select.select([answers], [], [], limit)
        if not ready:
            raise GoneError(f"timed out: no answer to {verb} within {limit:.0f} s")
        line = answers.readline()
        if not line:
            raise GoneError(self._last_words(verb))
        answer: dict[str, Any] = json.loads(line)
        if "ok" in answer:
            return answer["ok"]
        raise GoneError("; ".join(f"{kind}: {why}" for kind, why in answer.items()))

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout, self._log):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _send(self, request: dict[str, Any]) -> None:
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(json.dumps(request) + "\n")
            self._popen.stdin.flush()
        except BrokenPipeError:
            raise GoneError(self._last_words("start")) from None

    def _last_words(self, verb: str) -> str:
        code = self._popen.wait(10)
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        self._log.seek(0)
        written = self._log.read().strip().splitlines()
        return f"died at {verb} with {how}" + (f": {written[-1][:200]}" if written else "")
