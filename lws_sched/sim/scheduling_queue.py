"""kube-scheduler's queues: which pod is tried next, and when one that failed is tried again.

Active pods go by priority, then by how long they wait. A pod that no node would take waits for an event that could
change that: which ones depends on the plugins that refused it. It is then tried at once if nothing else is active
(SchedulerPopFromBackoffQ), or after a back-off of 1 to 10 s. A pod whose attempt ended in an error is tried again after
1, 2, 4, 8, 10 s, without any event.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from lws_sched.sim.loop import Loop, Scheduled
from lws_sched.sim.pod_view import PodView

FIRST_BACKOFF, LAST_BACKOFF = 1.0, 10.0


class Happened(Enum):
    """What may make an unschedulable pod schedulable."""

    NODE = "a node came or changed"
    PLACED = "a pod was bound, or one that is bound changed"
    FREED = "a pod left its node"
    OTHER = "a pod that is not bound came, changed or went"


_CONCERNS = {
    "NodeUnschedulable": frozenset({Happened.NODE}),
    "TaintToleration": frozenset({Happened.NODE}),
    "NodeAffinity": frozenset({Happened.NODE}),
    "NodeResourcesFit": frozenset({Happened.NODE, Happened.FREED}),
    "InterPodAffinity": frozenset({Happened.NODE, Happened.FREED, Happened.PLACED}),
    "Extender": frozenset(Happened),
}


class Where(Enum):
    """What becomes of a pod next."""

    ACTIVE = "active"
    BACKOFF = "backoff"
    ERROR = "error"
    UNSCHEDULABLE = "unschedulable"
    BINDING = "binding"


@dataclass
class Entry:
    view: PodView
    where: Where = Where.ACTIVE
    failures: int = 0
    errors: int = 0
    ready_at: float = 0.0
    """When its back-off ends."""
    concerned: frozenset[Happened] = frozenset()
    timer: Scheduled | None = field(default=None, repr=False)


class SchedulingQueue:
    def __init__(self, loop: Loop, on_ready: Callable[[], None]) -> None:
        self._loop = loop
        self._on_ready = on_ready
        self._entries: dict[str, Entry] = {}
        self._active: list[tuple[int, float, int, str]] = []
        self._waiting: dict[str, None] = {}
        """UIDs of unschedulable pods: few of all."""
        self._backoff: dict[str, None] = {}
        self._serial = 0

    def __contains__(self, uid: str) -> bool:
        return uid in self._entries

    def add(self, view: PodView) -> None:
        self._entries[view.uid] = Entry(view)
        self._activate(view.uid)

    def update(self, view: PodView) -> None:
        """The pod itself changed."""
        entry = self._entries[view.uid]
        changed = entry.view is not view
        entry.view = view
        if entry.where is Where.UNSCHEDULABLE and (changed or Happened.OTHER in entry.concerned):
            self._retry(view.uid)

    def remove(self, uid: str) -> None:
        entry = self._entries.pop(uid, None)
        if entry is not None:
            self._waiting.pop(uid, None)
            self._backoff.pop(uid, None)
            if entry.timer is not None:
                entry.timer.cancel()

    def clear(self) -> None:
        for uid in list(self._entries):
            self.remove(uid)
        self._active.clear()

    def pop(self) -> PodView | None:
        """The next pod to try; it stays known until it is removed or fails."""
        while self._active:
            _, _, _, uid = heapq.heappop(self._active)
            entry = self._entries.get(uid)
            if entry is not None and entry.where is Where.ACTIVE:
                return entry.view
        if not self._backoff:
            return None
        uid = min(self._backoff, key=lambda each: self._entries[each].ready_at)
        self._leave_backoff(uid)
        self._entries[uid].where = Where.ACTIVE
        return self._entries[uid].view

    def has_ready(self) -> bool:
        return bool(self._active or self._backoff)

    def binding(self, uid: str) -> None:
        """The pod has a node: it is not tried again unless the binding fails."""
        self._entries[uid].where = Where.BINDING

    def unschedulable(self, uid: str, plugins: set[str]) -> None:
        """No node would take the pod: it waits for an event that concerns one of the plugins that refused."""
        entry = self._entries.get(uid)
        if entry is None:
            return
        entry.failures += 1
        entry.errors = 0
        entry.ready_at = self._loop.elapsed + _backoff(entry.failures)
        entry.where = Where.UNSCHEDULABLE
        entry.concerned = frozenset().union(*(_CONCERNS[plugin] for plugin in sorted(plugins)))
        self._waiting[uid] = None

    def failed(self, uid: str) -> None:
        """The attempt, or the binding after it, ended in an error."""
        entry = self._entries.get(uid)
        if entry is None:
            return
        entry.errors += 1
        entry.where = Where.ERROR
        entry.timer = self._loop.after(_backoff(entry.errors), lambda: self._activate(uid))

    def happened(self, what: Happened) -> None:
        """Give pods that this may help another try."""
        for uid in [uid for uid in self._waiting if what in self._entries[uid].concerned]:
            self._retry(uid)

    def _retry(self, uid: str) -> None:
        self._waiting.pop(uid, None)
        entry = self._entries[uid]
        if entry.ready_at <= self._loop.elapsed:
            self._activate(uid)
            return
        entry.where = Where.BACKOFF
        self._backoff[uid] = None
        entry.timer = self._loop.at(entry.ready_at, lambda: self._activate(uid))
        self._on_ready()

    def _leave_backoff(self, uid: str) -> None:
        self._backoff.pop(uid, None)
        timer = self._entries[uid].timer
        if timer is not None:
            timer.cancel()

    def _activate(self, uid: str) -> None:
        entry = self._entries.get(uid)
        if entry is None:
            return
        self._backoff.pop(uid, None)
        entry.where = Where.ACTIVE
        self._serial += 1
        heapq.heappush(self._active, (-entry.view.priority, self._loop.elapsed, self._serial, uid))
        self._on_ready()


def _backoff(failures: int) -> float:
    return min(float(FIRST_BACKOFF * 2.0 ** (failures - 1)), LAST_BACKOFF)
