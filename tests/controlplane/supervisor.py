"""Starts again what ended by itself, as a kubelet does with a container.

Each `Process` knows whether it is meant to run: from its start until somebody stops or kills it. What ended in between
is started again here, and noted as a `Restart`; what a test has killed stays down until the test starts it. Both look
and act under the process's own lock, so no two ever start it.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass

from tests.controlplane.process import Process

LOOK_SECONDS = 0.1
BACK_OFF_SECONDS = 2.0
"""How far its starts are apart at least: what ended at once may do so again."""


@dataclass(frozen=True)
class Restart:
    """A process that had ended without being told to, and was started again."""

    process: str
    at: float
    """When, on the monotonic clock."""
    status: int
    """Its exit code, or the number of the signal that killed it."""
    said: str
    """The last lines that it wrote to its log."""

    def __str__(self) -> str:
        last = self.said.rstrip().rpartition("\n")[2]
        return f"{self.process} had ended by itself (status {self.status}) and was started again: {last}"


class Supervisor:
    """Watches over the processes given to it, on a thread of its own, until `close`."""

    def __init__(self, back_off: float = BACK_OFF_SECONDS) -> None:
        self._back_off = back_off
        self.restarts: list[Restart] = []
        self._watched: list[Process] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def watch(self, process: Process) -> None:
        if not self._watched:
            self._thread.start()
        process.is_supervised = True
        self._watched.append(process)

    def close(self) -> None:
        """Returns when nothing is started from here any more."""
        self._closing.set()
        if self._watched:
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            for process in list(self._watched):
                if process.crashed and time.monotonic() - process.launched_at > self._back_off:
                    self._revive(process)

    def _revive(self, process: Process) -> None:
        ended = process.revive()
        if ended is not None:
            restart = Restart(process.name, time.monotonic(), *ended)
            self.restarts.append(restart)
            print(f"controlplane: {restart}", file=sys.stderr, flush=True)
