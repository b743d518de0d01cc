"""Where questions wait for a planning process, and are given up when nobody waits for the answer any more.

A process answers one question at a time and then waits for the next. One that does not answer in time, or whose caller
has gone away, is killed; the next question starts another, which takes a second. Those that wait are told of changes
before there are many, so that the first question after a quiet hour need not wait for all that happened in it.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol

from lws_sched.service import frames
from lws_sched.service.feed import Feed, Reader
from lws_sched.service.frames import Admitted, Done, Failed, Never, Question, Template, Templates
from lws_sched.service.refusal import Refusal

log = logging.getLogger(__name__)

PROCESSES = 2
WAITING = 16
"""Questions that wait for a process at most; more are turned away."""
SLICE_SECONDS = 0.05
"""How soon it is noticed that a caller has gone away."""
MEMORY_BYTES = 512 << 20
"""Of one process: a fifth of that is what 5,000 nodes and their pods take. All together must fit into the memory of the
extender's container, as a container that has too little is killed whole."""
TELL_SECONDS = 5.0
"""How often it is looked whether there is much to tell."""
MUCH = 500
"""Changes that a question would have to wait for too long: telling of so many takes some 10 ms."""
TELLING_SECONDS = 10.0
"""How long a process may take to hear."""
COMMAND = (sys.executable, "-m", "lws_sched.service.worker", str(MEMORY_BYTES))


class Patience(Protocol):
    """How long an answer is wanted."""

    def remaining(self) -> float:
        """Seconds; 0 or less where it is too late."""

    def is_wanted(self) -> bool:
        """False once the caller has gone away."""


Admit = Callable[[tuple[Template, ...]], Admitted]
"""Answers a worker's question back. Raises Refusal."""


class Desk:
    """Thread-safe. Processes are started when they are first needed."""

    def __init__(
        self, feed: Feed, processes: int = PROCESSES, command: tuple[str, ...] = COMMAND, much: int = MUCH
    ) -> None:
        self._feed = feed
        self._command = command
        self._most = processes
        self._much = much
        self._turn = threading.Condition()
        self._free: list[_Process] = []
        self._busy: set[_Process] = set()
        self._hearing: set[_Process] = set()
        """Those that are being told of changes."""
        self._waiting = 0
        self._is_open = True
        self._ended = threading.Event()
        self._teller: threading.Thread | None = None

    def stop(self) -> None:
        """End the processes; questions under way fail."""
        with self._turn:
            self._is_open = False
            processes = [*self._free, *self._busy, *self._hearing]
            self._free, self._busy, self._hearing = [], set(), set()
            self._turn.notify_all()
        self._ended.set()
        for process in processes:
            process.end()

    def ask(self, question: Question, admit: Admit, patience: Patience) -> bytes:
        """The serialised response. Raises Refusal."""
        process = self._taken(patience)
        try:
            answer = process.answer(question, admit, patience)
        except BaseException as problem:
            self._drop(process)
            if not self._is_open and not isinstance(problem, KeyboardInterrupt):
                raise _stopping() from None
            raise
        self._give_back(process)
        if isinstance(answer, Failed):
            raise Refusal(answer.code, answer.sentence)
        return answer.response

    def tell(self) -> None:
        """Tell the processes that wait of changes, where there are many."""
        with self._turn:
            found = [process for process in self._free if process.untold >= self._much]
            self._free = [process for process in self._free if process not in found]
            self._hearing.update(found)
        for process in found:
            try:
                process.tell(_Until(time.monotonic() + TELLING_SECONDS))
            except (Refusal, OSError) as problem:
                log.warning("a planning process does not hear: %s", problem)
                self._drop(process)
            else:
                self._give_back(process)

    def _tell_on(self) -> None:
        while not self._ended.wait(TELL_SECONDS):
            self.tell()

    def _taken(self, patience: Patience) -> _Process:
        """A process for one question: the one used last, as it knows the most, or a new one."""
        with self._turn:
            if self._waiting >= WAITING:
                raise Refusal("RESOURCE_EXHAUSTED", "too many questions wait for an answer already: try again soon")
            self._waiting += 1
            try:
                while not self._free and (self._hearing or len(self._busy) >= self._most) and self._is_open:
                    self._turn.wait(min(SLICE_SECONDS, _left(patience)))
            finally:
                self._waiting -= 1
            _left(patience)
            if not self._is_open:
                raise _stopping()
            process = self._free.pop() if self._free else _Process(self._command, self._feed.reader())
            self._busy.add(process)
            if self._teller is None:
                self._teller = threading.Thread(target=self._tell_on, name="planning-news", daemon=True)
                self._teller.start()
            return process

    def _give_back(self, process: _Process) -> None:
        with self._turn:
            self._leave(process)
            if self._is_open:
                self._free.append(process)
            self._turn.notify()

    def _drop(self, process: _Process) -> None:
        process.end()
        with self._turn:
            self._leave(process)
            self._turn.notify()

    def _leave(self, process: _Process) -> None:
        self._busy.discard(process)
        self._hearing.discard(process)


class _Process:
    def __init__(self, command: tuple[str, ...], reader: Reader) -> None:
        self._reader = reader
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)

    def end(self) -> None:
        self._reader.close()
        self._process.kill()
        self._process.wait()
        self._connection.close()

    @property
    def untold(self) -> int:
        """How many changes it has not been told of."""
        return len(self._reader.untold)

    def tell(self, patience: Patience) -> None:
        """Raises Refusal, OSError; the process is of no use any more then."""
        for changes in self._reader.frames():
            self._send(changes, patience)

    def answer(self, question: Question, admit: Admit, patience: Patience) -> Done | Failed:
        """Raises Refusal where there is none; the process is of no use any more then."""
        try:
            self.tell(patience)
            self._send(question, patience)
            while isinstance(frame := self._next(patience), Templates):
                try:
                    admitted = admit(frame.sets)
                except Refusal as refusal:
                    self._send(Never(), patience)
                    return Failed(refusal.code, refusal.sentence)
                self._send(admitted, patience)
        except TimeoutError:
            raise _too_late() from None
        except (EOFError, OSError) as problem:
            log.error("a planning process broke off: %s", problem or f"exit code {self._process.poll()}")
            raise Refusal("INTERNAL", "planning failed: see the extender's log") from None
        return frame

    def _send(self, frame: frames.Frame, patience: Patience) -> None:
        self._connection.settimeout(_left(patience))
        self._connection.sendall(frames.encoded(frame))

    def _next(self, patience: Patience) -> frames.FromWorker:
        frame: frames.FromWorker = frames.FROM_WORKER.decode(frames.received(_Patient(self._connection, patience)))
        return frame


class _Until:
    """The patience of nobody in particular."""

    def __init__(self, end: float) -> None:
        self._end = end

    def remaining(self) -> float:
        return self._end - time.monotonic()

    def is_wanted(self) -> bool:
        return True


class _Patient:
    """A connection that is read from as long as the caller waits."""

    def __init__(self, connection: socket.socket, patience: Patience) -> None:
        self._connection = connection
        self._patience = patience

    def recv(self, size: int) -> bytes:
        while True:
            self._connection.settimeout(min(SLICE_SECONDS, _left(self._patience)))
            with contextlib.suppress(TimeoutError):
                return self._connection.recv(size)


def _left(patience: Patience) -> float:
    """Seconds, more than none. Raises Refusal where nobody waits any more."""
    seconds = patience.remaining()
    if seconds <= 0:
        raise _too_late()
    if not patience.is_wanted():
        raise Refusal("CANCELLED", "the caller has gone away")
    return seconds


def _too_late() -> Refusal:
    return Refusal("DEADLINE_EXCEEDED", "the answer was not ready in time, and its planning was stopped: allow more")


def _stopping() -> Refusal:
    return Refusal("UNAVAILABLE", "this replica stops: ask again, another one answers")
