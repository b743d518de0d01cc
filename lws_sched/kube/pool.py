"""Threads for tasks: run soon, run side by side, run later.

Threads start when there is work for them, are few, and end with the process even in the middle of a task: a call that
hangs on the network must not keep a process from stopping.

`gather` cannot deadlock, however it is nested: the calling thread works on the tasks itself, so each is either taken by
a thread that runs it, or left to the caller.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from lws_sched.kube.port import Clock

log = logging.getLogger(__name__)
Task = Callable[[], None]


class TaskPool:
    """Runs tasks in the order given, on at most `size` threads. An exception is logged."""

    def __init__(self, name: str, size: int) -> None:
        self._name, self._size = name, size
        self._changed = threading.Condition()
        self._tasks: deque[Task] = deque()
        self._threads = self._idle = 0
        self._ended = False

    def submit(self, task: Task) -> None:
        """After `end` the task is dropped: the process is stopping."""
        with self._changed:
            if self._ended:
                return
            self._tasks.append(task)
            if self._idle >= len(self._tasks):
                self._changed.notify()
            elif self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._tasks.clear()
            self._changed.notify_all()

    def quiet(self, timeout: float) -> bool:
        """After `end`: wait up to `timeout` seconds for the tasks under way; whether none is left."""
        with self._changed:
            return self._changed.wait_for(lambda: self._threads == 0, timeout)

    def _work(self) -> None:
        while (task := self._take()) is not None:
            try:
                task()
            except Exception:
                log.exception("a task failed pool=%s", self._name)
        with self._changed:
            self._threads -= 1
            self._changed.notify_all()

    def _take(self) -> Task | None:
        with self._changed:
            self._idle += 1
            while not self._tasks and not self._ended:
                self._changed.wait()
            self._idle -= 1
            return None if self._ended else self._tasks.popleft()


class Gathering:
    """The tasks of one `gather` call: threads draw from them until none is left."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._results: list[BaseException | None] = [None] * len(tasks)
        self._lock = threading.Lock()
        self._drawn = self._finished = 0
        self._all_finished = threading.Event()

    def work(self) -> None:
        while (number := self._draw()) is not None:
            try:
                self._tasks[number]()
            except BaseException as problem:
                self._results[number] = problem
            with self._lock:
                self._finished += 1
                if self._finished == len(self._tasks):
                    self._all_finished.set()

    def results(self) -> list[BaseException | None]:
        """Work until no task is left, then wait for those that other threads have drawn."""
        self.work()
        if self._tasks:
            self._all_finished.wait()
        return self._results

    def _draw(self) -> int | None:
        with self._lock:
            if self._drawn == len(self._tasks):
                return None
            self._drawn += 1
            return self._drawn - 1


def gather(pool: TaskPool, tasks: Sequence[Task], side_by_side: int) -> list[BaseException | None]:
    """Run tasks side by side, on the calling thread too: for each the exception it raised, or None."""
    gathering = Gathering(tasks)
    for _ in range(min(len(tasks), side_by_side) - 1):
        pool.submit(gathering.work)
    return gathering.results()


class Alarm:
    """One task to be run later. Implements `port.Timer`."""

    def __init__(self, task: Task) -> None:
        self.task: Task | None = task

    def cancel(self) -> None:
        self.task = None


class Alarms:
    """One thread that hands tasks to a pool when their time has come."""

    def __init__(self, name: str, pool: TaskPool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Alarm]] = []
        self._serial = 0
        self._ended = False
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def set(self, seconds: float, task: Task) -> Alarm:
        alarm = Alarm(task)
        with self._changed:
            self._serial += 1
            heapq.heappush(self._heap, (self._clock.monotonic() + seconds, self._serial, alarm))
            self._changed.notify()
        return alarm

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def due(self, now: float) -> list[Task]:
        """Take out the tasks whose time has come, the earliest first."""
        tasks = []
        while self._heap and (self._heap[0][0] <= now or self._heap[0][2].task is None):
            _, _, alarm = heapq.heappop(self._heap)
            if alarm.task is not None:
                tasks.append(alarm.task)
        return tasks

    def _run(self) -> None:
        with self._changed:
            while not self._ended:
                for task in self.due(self._clock.monotonic()):
                    self._pool.submit(task)
                pause = max(0.0, self._heap[0][0] - self._clock.monotonic()) if self._heap else None
                self._changed.wait(pause)
