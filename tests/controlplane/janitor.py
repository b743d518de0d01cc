"""Ends every process of a harness whose Python died, however it died.

Each child is started with a random mark in its environment, which its own children
inherit. One janitor per Python process waits for that process to end, then kills
whatever still carries the mark. This holds after a SIGKILL of the parent, for children
of children, and whichever thread started the child (PR_SET_PDEATHSIG, the usual way, acts
when the starting *thread* ends). It reads `/proc`, so it works on Linux only.

`mark()` is called by whoever starts a child; the rest of this file is the janitor's own
program, which imports nothing of the project.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "LWS_SCHED_HARNESS_MARK"
POLL_SECONDS = 0.2
# A child caught between fork and exec does not show the mark yet: look again for this long.
SWEEP_SECONDS = 1.0

_marks: dict[int, str] = {}


def mark() -> dict[str, str]:
    """The environment variable a child must carry; starts this process's janitor on first use."""
    parent = os.getpid()
    if parent not in _marks:
        token = secrets.token_hex(16)
        argv = [sys.executable, "-I", __file__, str(parent), token]
        silence = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        # Its own session: a Ctrl-C or a kill of the test's process group must not reach it.
        os.posix_spawn(sys.executable, argv, os.environ, setsid=True, file_actions=silence)
        # Keyed by pid: a fork of this process is another parent and needs a janitor of its own.
        _marks[parent] = token
    return {VARIABLE: _marks[parent]}


def carriers(token: str) -> Iterator[int]:
    """Pids of the processes carrying the mark."""
    wanted = f"{VARIABLE}={token}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid() and wanted in _environ(entry):
            yield int(entry.name)


def _environ(entry: Path) -> list[bytes]:
    try:
        return (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _sweep(token: str) -> None:
    deadline = time.monotonic() + SWEEP_SECONDS
    while time.monotonic() < deadline:
        for pid in carriers(token):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            deadline = time.monotonic() + SWEEP_SECONDS
        time.sleep(POLL_SECONDS)


def main(parent: int, token: str) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    _sweep(token)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
