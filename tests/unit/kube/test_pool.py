from __future__ import annotations

import threading
from functools import partial

import pytest

from lws_sched.kube.clock import SystemClock
from lws_sched.kube.pool import Alarms, TaskPool, gather
from tests.unit.kube.builders import HeldClock

SOON = 10.0


def test_tasks_run_side_by_side_up_to_the_pools_size() -> None:
    pool, meeting = TaskPool("test", 2), threading.Barrier(3)

    def attend() -> None:
        meeting.wait(SOON)

    for _ in range(4):
        pool.submit(attend)
    meeting.wait(SOON)
    meeting.wait(SOON)
    pool.end()
    assert pool.quiet(SOON)


def test_a_failing_task_is_logged_and_its_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    pool, done = TaskPool("test", 1), threading.Event()
    pool.submit(lambda: [][0])
    pool.submit(done.set)
    assert done.wait(SOON)
    pool.end()
    assert pool.quiet(SOON)
    assert "a task failed pool=test" in caplog.text


def test_after_the_end_tasks_are_dropped() -> None:
    pool, ran = TaskPool("test", 1), threading.Event()
    pool.end()
    pool.submit(ran.set)
    assert pool.quiet(0)
    assert not ran.is_set()


def test_gather_answers_for_each_task_in_order() -> None:
    pool = TaskPool("test", 3)
    problem = RuntimeError("second")

    def fails() -> None:
        raise problem

    assert gather(pool, [lambda: None, fails, lambda: None], 3) == [None, problem, None]
    assert gather(pool, [], 3) == []
    pool.end()


def test_gather_runs_its_tasks_side_by_side() -> None:
    pool, meeting = TaskPool("test", 3), threading.Barrier(4)

    def attend() -> None:
        meeting.wait(SOON)

    assert gather(pool, [attend] * 4, 4) == [None] * 4
    pool.end()


def test_gather_inside_gather_on_one_thread_does_not_deadlock() -> None:
    pool, leaves = TaskPool("test", 1), []

    def branch(depth: int) -> None:
        if depth == 0:
            leaves.append(depth)
        else:
            gather(pool, [partial(branch, depth - 1)] * 3, 3)

    branch(4)
    assert len(leaves) == 81
    pool.end()


def test_alarms_are_due_in_the_order_of_their_times_unless_cancelled() -> None:
    clock, rung = HeldClock(), list[float]()
    alarms = Alarms("test", TaskPool("test", 1), clock)
    for seconds in (3, 1, 2):
        alarms.set(seconds, partial(rung.append, seconds))
    cancelled = alarms.set(1.5, partial(rung.append, 99))
    cancelled.cancel()
    assert alarms.due(clock.time + 0.9) == []
    for task in alarms.due(clock.time + 2):
        task()
    assert rung == [1, 2]


def test_an_alarm_set_earlier_than_the_next_rings_first() -> None:
    pool, rung = TaskPool("test", 1), threading.Event()
    alarms = Alarms("test", pool, SystemClock())
    alarms.thread.start()
    alarms.set(1000.0, rung.clear)
    alarms.set(0.001, rung.set)
    assert rung.wait(SOON)
    alarms.end()
    alarms.thread.join(SOON)
    assert not alarms.thread.is_alive()
    pool.end()
