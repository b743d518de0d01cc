"""A limit of our own on requests to the API server, for who wants one: a bucket that refills at a steady rate.

The API server protects itself (API priority and fairness), so there is none unless it is configured.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class RateLimit:
    """Lets `burst` requests through at once and then `rate` per second. Thread-safe: who comes first goes first."""

    def __init__(
        self,
        rate: float,
        burst: int,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._burst = rate, max(1, burst)
        self._monotonic, self._sleep = monotonic, sleep
        self._lock = threading.Lock()
        self._spent = 0.0
        """Requests that the bucket still owes; it owes `burst` without anybody waiting."""
        self._at = monotonic()

    def wait(self) -> None:
        """Return when one more request may be sent."""
        with self._lock:
            now = self._monotonic()
            self._spent = max(0.0, self._spent - (now - self._at) * self._rate) + 1
            self._at = now
            seconds = (self._spent - self._burst) / self._rate
        if seconds > 0:
            self._sleep(seconds)
