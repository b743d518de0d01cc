"""Faults on purpose, per component and seeded; all are off unless asked for.

- A crash before or after the n-th write: whatever the component was doing ends there, and it is started anew later.
- A refused write: Conflict, or Unavailable, which may have taken effect.
- Watch events that come late, twice, or not at all. As on the real thing an event is never silently lost for ever: the
  watch breaks, and the informer lists again.

Writes are counted over all incarnations of the component, from when the faults were given; events that its recorder
writes are not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from lws_sched.kube.errors import ApiError, Conflict, Unavailable

R = TypeVar("R")


class SimCrash(BaseException):
    """The component is dead. No `except Exception` of its own catches this."""


@dataclass(frozen=True)
class Crash:
    write: int
    """The n-th write, from 1."""
    after: bool = False
    """Whether the write still took effect."""
    restart_after: float | None = 1.0
    """Seconds until the component is started again; None: not by itself."""


@dataclass(frozen=True)
class Refusal:
    write: int
    unavailable: bool = False
    """Unavailable in place of Conflict."""
    took_effect: bool = False


@dataclass(frozen=True)
class Faults:
    crashes: tuple[Crash, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    late: float = 0.0
    """Probability that an event comes late, by up to `late_seconds`. Those behind it wait: a watch keeps its order."""
    late_seconds: float = 1.0
    doubled: float = 0.0
    """Probability that an event comes twice."""
    dropped: float = 0.0
    """Probability that the watch breaks at an event; the informer then lists again."""


NONE = Faults()


@dataclass
class FaultInjector:
    """The faults of one component over all its incarnations."""

    faults: Faults
    rng: Random
    struck: Callable[[], None] = lambda: None
    """Called whenever a write is made to fail."""
    writes: int = 0
    restart_after: float | None = None
    _dead: bool = field(default=False)

    def give(self, faults: Faults) -> None:
        """Other faults from now on, their writes counted from here."""
        self.faults, self.writes = faults, 0

    def revive(self) -> None:
        self._dead = False

    def kill(self) -> None:
        """From now on nothing that is left of the component can write."""
        self._dead = True

    def write(self, send: Callable[[], R]) -> R:
        """Send a write, or have it fail. Raises SimCrash."""
        self.check()
        self.writes += 1
        crash = next((each for each in self.faults.crashes if each.write == self.writes), None)
        refusal = next((each for each in self.faults.refusals if each.write == self.writes), None)
        if crash is not None or refusal is not None:
            self.struck()
        if crash is not None and not crash.after:
            raise self._crash(crash)
        if refusal is not None:
            raise _refuse(refusal, send)
        answer = send()
        if crash is not None:
            raise self._crash(crash)
        return answer

    def check(self) -> None:
        if self._dead:
            raise SimCrash("the component is dead")

    def delay(self) -> float:
        """How much later than usual the next event comes, seconds."""
        if self.faults.late and self.rng.random() < self.faults.late:
            return self.rng.random() * self.faults.late_seconds
        return 0.0

    def is_doubled(self) -> bool:
        return bool(self.faults.doubled) and self.rng.random() < self.faults.doubled

    def is_dropped(self) -> bool:
        return bool(self.faults.dropped) and self.rng.random() < self.faults.dropped

    def _crash(self, crash: Crash) -> SimCrash:
        self.kill()
        self.restart_after = crash.restart_after
        return SimCrash(f"crashed at write {crash.write}")


def _refuse(refusal: Refusal, send: Callable[[], object]) -> ApiError:
    if refusal.took_effect:
        send()
    if refusal.unavailable:
        return Unavailable("the server is currently unable to handle the request")
    return Conflict("the object has been modified; please apply your changes to the latest version and try again")
