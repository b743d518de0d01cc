from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lws_sched.kube.clock import SystemClock
from lws_sched.kube.errors import Conflict, Invalid
from lws_sched.kube.port import Queue, Reconcile
from lws_sched.kube.workqueue import WorkQueue

SOON = 10.0
"""Seconds that a test waits at most for what happens at once."""


@contextmanager
def running(
    reconcile: Reconcile, *, workers: int = 1, permitted: Callable[[], bool] = lambda: True
) -> Iterator[WorkQueue]:
    queue = WorkQueue("test", reconcile, workers, SystemClock(), permitted)
    queue.start()
    try:
        yield queue
    finally:
        queue.end()
        assert queue.join(time.monotonic() + SOON)


def test_a_closed_queue_gathers_keys_and_runs_each_once_when_opened() -> None:
    runs: list[str] = []
    done = threading.Event()

    def reconcile(key: str) -> float | None:
        runs.append(key)
        if key == "b":
            done.set()
        return None

    with running(reconcile) as queue:
        for key in ("a", "a", "b"):
            queue.add(key)
        assert runs == []
        queue.open()
        assert done.wait(SOON)
    assert runs == ["a", "b"]


def test_workers_run_different_keys_side_by_side_and_never_the_same_key() -> None:
    meeting = threading.Barrier(2)
    active: set[str] = set()
    rounds: dict[str, int] = {"a": 0, "b": 0}
    done = threading.Semaphore(0)

    def reconcile(key: str) -> float | None:
        assert key not in active
        active.add(key)
        rounds[key] += 1
        if rounds[key] == 1:
            meeting.wait(SOON)
            queue.add(key)
        active.discard(key)
        done.release()
        return None

    with running(reconcile, workers=3) as queue:
        queue.open()
        queue.add("a")
        queue.add("b")
        for _ in range(4):
            assert done.acquire(timeout=SOON)
    assert rounds == {"a": 2, "b": 2}


def test_keys_that_are_due_one_after_another_run_side_by_side() -> None:
    meeting = threading.Barrier(3)
    done = threading.Semaphore(0)

    def reconcile(key: str) -> float | None:
        meeting.wait(SOON)  # breaks where a key that is due waits for the end of another one's run
        done.release()
        return None

    with running(reconcile, workers=3) as queue:
        queue.open()
        for key, seconds in (("a", 0.02), ("b", 0.03), ("c", 0.02)):
            queue.add_after(key, seconds)
        for _ in range(3):
            assert done.acquire(timeout=SOON)
    assert not meeting.broken


def test_a_key_that_is_due_while_a_worker_runs_is_taken_by_another() -> None:
    second = threading.Event()

    def reconcile(key: str) -> float | None:
        if key == "first":
            queue.add_after("second", 0.01)
            assert second.wait(SOON)
        else:
            second.set()
        return None

    with running(reconcile, workers=2) as queue:
        queue.open()
        queue.add("first")
        assert second.wait(SOON)


def test_a_run_comes_back_after_a_failure_and_after_the_time_it_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    outcomes: list[float | Exception] = [Conflict("moved on"), Invalid("bad spec"), RuntimeError("a fault"), 0.001]
    done = threading.Event()

    def reconcile(key: str) -> float | None:
        assert key == "ns/a"
        if not outcomes:
            done.set()
            return None
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with running(reconcile) as queue:
        queue.open()
        queue.add_after("ns/a", 0.001)
        assert done.wait(SOON)
    assert [(record.levelname, bool(record.exc_info)) for record in caplog.records] == [
        ("WARNING", False),
        ("ERROR", True),
    ]


def test_nothing_runs_without_permission_and_it_runs_once_permitted() -> None:
    permission, ran = threading.Event(), threading.Event()
    asked = threading.Semaphore(0)

    def permitted() -> bool:
        asked.release()
        return permission.is_set()

    def reconcile(key: str) -> float | None:
        assert permission.is_set(), key
        ran.set()
        return None

    with running(reconcile, permitted=permitted) as queue:
        queue.open()
        queue.add("a")
        for _ in range(3):
            assert asked.acquire(timeout=SOON)
        permission.set()
        assert ran.wait(SOON)


def test_after_the_end_no_key_is_handed_out() -> None:
    runs: list[str] = []

    def reconcile(key: str) -> float | None:
        runs.append(key)
        return None

    with running(reconcile) as queue:
        queue.end()
        queue.open()
        queue.add("a")
    assert runs == []


def test_a_work_queue_is_a_queue() -> None:
    queue: Queue = WorkQueue("test", lambda _: None, 1, SystemClock(), lambda: True)
    queue.add("a")
