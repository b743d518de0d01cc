"""Which replica of the extender leads, read from its Lease now and then: without one, groups wait for it in vain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from lws_sched.api.core import LEASE
from lws_sched.api.timestamps import seconds_of
from lws_sched.kube.errors import ApiError, NotFound
from lws_sched.kube.port import Clock, Cluster

LOOK_SECONDS = 10.0
GRACE_SECONDS = 5.0
"""Clocks differ, and a renewal takes a moment."""
LEADS, NOBODY, UNKNOWN = "leads", "nobody", "unknown"


class Leader(msgspec.Struct, frozen=True):
    state: str
    holder: str = ""


@dataclass
class Leadership:
    """Says what was found last, and looks again on another thread: nobody who looks at the page waits for that."""

    cluster: Cluster
    clock: Clock
    submit: Callable[[Callable[[], None]], None]
    namespace: str
    name: str
    _known: Leader = field(default=Leader(UNKNOWN))
    _asked: float = field(default=float("-inf"))

    def leader(self) -> Leader:
        now = self.clock.monotonic()
        if now >= self._asked + LOOK_SECONDS:
            self._asked = now
            self.submit(self._look)
        return self._known

    def _look(self) -> None:
        self._known = self._found()

    def _found(self) -> Leader:
        try:
            spec = self.cluster.get(LEASE, self.namespace, self.name).spec
        except NotFound:
            return Leader(NOBODY)
        except ApiError:
            return Leader(UNKNOWN)  # may not read it, or no answer: nothing to be alarmed at
        ends = seconds_of(spec.renew_time) + spec.lease_duration_seconds + GRACE_SECONDS
        if not spec.holder_identity or self.clock.now() > ends:
            return Leader(NOBODY)
        return Leader(LEADS, spec.holder_identity)
