"""One supervised child process: start, ready, stop, kill, pause, restart.

A child runs in a session of its own, so that stopping it also reaches what it started,
and writes to one log file, which is appended to over restarts. It carries the janitor's
mark: it ends with this Python process, whatever ends that. A child that dies or is not
ready in time raises `ProcessFailed`, which names the log and shows its last lines.

The child's handle has one owner at a time, under a lock: a drill kills from threads of its
own, and a `Supervisor` starts again what has ended by itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.controlplane import janitor

TAIL_LINES = 25
LAST_WORDS = 200
"""Lines: what a process says while it ends may be much."""
POLL_SECONDS = 0.02


class ProcessFailed(RuntimeError):
    """A child died, or did not become ready in time; the message ends with its log's last lines."""


class Process:
    """A child that can be started again and again with the same arguments.

    `env` is added to the environment of this process. `ready` is polled by `start()`
    until it is true; an `OSError` from it (nobody listens yet) counts as not ready.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        ready: Callable[[], bool] | None = None,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self.env = dict(env or {})
        self.ready = ready
        self.is_supervised = False
        """Whether somebody starts it again when it ends by itself."""
        self.launched_at = 0.0
        """On the monotonic clock."""
        self._lock = threading.RLock()
        self._child: subprocess.Popen[bytes] | None = None
        self._is_meant_to_run = False
        self._log_start = 0
        """How long the log was when the child was started."""

    @property
    def alive(self) -> bool:
        with self._lock:
            return self._child is not None and self._exit_status() is None

    @property
    def crashed(self) -> bool:
        """Did it end without being told to?"""
        with self._lock:
            return self._is_meant_to_run and not self.alive

    @property
    def pid(self) -> int:
        with self._lock:
            if self._child is None:
                raise ProcessFailed(f"{self.name} was not started")
            return self._child.pid

    def start(self, timeout: float = 60.0) -> None:
        """Start the child and wait until it is ready."""
        self.launch()
        self.wait_ready(timeout)

    def launch(self) -> None:
        """Start the child without waiting: `wait_ready()` follows, after others were launched too."""
        with self._lock:
            if self.alive:
                raise ProcessFailed(f"{self.name} is already running")
            self.kill()
            self._is_meant_to_run = True
            self._spawn()

    def ensure(self, timeout: float = 60.0) -> None:
        """Start the child and wait until it is ready; nothing if it runs, or has just been started again."""
        with self._lock:
            if self.alive:
                return
            self.launch()
        self.wait_ready(timeout)

    def revive(self) -> tuple[int, str] | None:
        """Start the child again if it has ended by itself: how it had ended (see `_exit_status`), and the last that it
        wrote. None where it runs, or is not meant to."""
        with self._lock:
            status = self._exit_status()
            if not self._is_meant_to_run or status is None:
                return None
            said = self.said()
            self.launch()
            return status, said

    def wait_ready(self, timeout: float = 60.0) -> None:
        deadline = time.monotonic() + timeout
        while not self._is_ready():
            if not (self.alive or (self.is_supervised and self._is_meant_to_run)):
                raise self._failure(f"ended (status {self._exit_status()}) before it was ready")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready within {timeout:.0f} s")
            time.sleep(POLL_SECONDS)

    def stop(self, grace: float = 10.0) -> None:
        """Ask the child to end (SIGTERM); after `grace` seconds make it (SIGKILL)."""
        with self._lock:
            self._is_meant_to_run = False
            self.signal(signal.SIGTERM)
            # A paused child would only see SIGTERM after it is resumed.
            self.signal(signal.SIGCONT)
        deadline = time.monotonic() + grace
        while self.alive and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the child and all it started; returns when the child is gone."""
        with self._lock:
            self._is_meant_to_run = False
            self.signal(signal.SIGKILL)
            if self._child is not None:
                self._child.wait()
            self._child = None

    def restart(self, timeout: float = 60.0) -> None:
        self.stop()
        self.start(timeout)

    def pause(self) -> None:
        """SIGSTOP: the child hangs, with its connections open, until `resume()`."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child's whole process group; nothing if it is gone."""
        with self._lock:
            if self._child is not None:
                os.killpg(self._child.pid, number)

    def said(self) -> str:
        """The last lines that the child has logged since it was started."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return _last_lines(log.read().decode(errors="replace"), LAST_WORDS)

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of the log."""
        return _last_lines(self.log.read_text(errors="replace") if self.log.exists() else "", lines)

    def _spawn(self) -> None:
        environment = {**os.environ, **self.env, **janitor.mark()}
        with self.log.open("ab") as log:
            self._log_start, self.launched_at = log.tell(), time.monotonic()
            self._child = subprocess.Popen(
                self.argv,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _is_ready(self) -> bool:
        if self.ready is None:
            return self.alive
        try:
            return self.alive and self.ready()
        except OSError:
            return False

    def _exit_status(self) -> int | None:
        """The exit code (or the signal's number), None while the child runs.

        It leaves the dead child unreaped: until `kill()` reaps it, its pid cannot be
        given to a stranger, so signalling the group can never hit one.
        """
        if self._child is None:
            return None
        ended = os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return None if ended is None else ended.si_status

    def _failure(self, what: str) -> ProcessFailed:
        return ProcessFailed(f"{self.name} {what}; its log {self.log} ends with:\n{self.tail()}")


def _last_lines(text: str, lines: int) -> str:
    return "\n".join(text.splitlines()[-lines:])
