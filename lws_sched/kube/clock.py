"""The real clock. Everything in this package is given its clock, so that tests can hold time still."""

from __future__ import annotations

import time


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
