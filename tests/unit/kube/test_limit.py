from __future__ import annotations

import pytest

from lws_sched.kube.limit import RateLimit


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_burst_goes_through_and_then_a_steady_rate() -> None:
    time = Time()
    limit = RateLimit(10, 5, lambda: time.now, time.sleep)

    for _ in range(25):
        limit.wait()

    assert len(time.slept) == 20
    assert time.now == pytest.approx(2.0)


def test_a_pause_fills_the_bucket_and_no_more_than_that() -> None:
    time = Time()
    limit = RateLimit(10, 5, lambda: time.now, time.sleep)
    for _ in range(5):
        limit.wait()

    time.now += 100
    for _ in range(5):
        limit.wait()

    assert time.slept == []
