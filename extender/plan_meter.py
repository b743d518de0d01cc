"""What is told of plans and of the room that is left: noted when a plan is made, worked out when somebody scrapes.

Nothing here is on the way of a pod. The room is measured on a snapshot of the ledger, which a plan takes as well, at
most once in `FRESH_SECONDS` however many scrape.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from lws_sched.extender.ledger import Ledger
from lws_sched.intake import capacity
from lws_sched.intake.capacity import Room
from lws_sched.kube.port import Clock
from lws_sched.placement import Decision
from lws_sched.placement.topology import HOSTNAME
from lws_sched.telemetry import families
from lws_sched.telemetry.counts import Gauge, Histogram, Instrument, Labels

FRESH_SECONDS = 5.0


@dataclass
class PlanMeter:
    """How long searches took, and what the last one came to: both of members, as sums over its groups."""

    value: int = 0
    bound: int = 0
    seconds: Histogram = field(default_factory=lambda: Histogram(families.PLAN_SECONDS))

    def planned(self, decisions: Iterable[Decision], seconds: float) -> None:
        found = [*decisions]
        self.value, self.bound = sum(each.value for each in found), sum(each.bound for each in found)
        self.seconds.observe(seconds)

    def instruments(self) -> tuple[Instrument, ...]:
        return (
            self.seconds,
            Gauge(families.PLAN_VALUE, lambda: {(): self.value}),
            Gauge(families.PLAN_BOUND, lambda: {(): self.bound}),
            Gauge(families.PLAN_GAP, lambda: {(): 1 - self.value / self.bound if self.bound else 0.0}),
        )


class RoomMeter:
    """The room that is left, level by level, for members that take whole hosts of the main accelerator."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock
        self._lock = threading.Lock()
        self._found: dict[Labels, Room] = {}
        self._taken = -FRESH_SECONDS

    def instruments(self) -> tuple[Instrument, ...]:
        return (
            Gauge(families.FRAGMENTATION, lambda: {key: each.fragmentation for key, each in self._rooms().items()}),
            Gauge(families.LARGEST_FIT, lambda: {key: each.largest for key, each in self._rooms().items()}),
        )

    def _rooms(self) -> dict[Labels, Room]:
        with self._lock:
            now = self._clock.monotonic()
            if now - self._taken >= FRESH_SECONDS:
                self._found, self._taken = self._measured(), now
            return self._found

    def _measured(self) -> dict[Labels, Room]:
        snapshot = self._ledger.snapshot()
        resource = capacity.main_resource(snapshot)
        levels = [each for each in capacity.levels(snapshot) if each.label != HOSTNAME]
        return {(each.name, resource): capacity.room(snapshot, each.label, resource) for each in levels}
