"""What was decided lately, from the records as they change: a bounded memory of this process.

It begins anew with the process. Of what came before, each record still tells its latest decision and when that was
made, so the first look is not empty; `since` says from when on everything was seen.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from lws_sched.api import placement as api
from lws_sched.api.placement import GroupPlacement
from lws_sched.api.timestamps import seconds_of
from lws_sched.kube.port import Change, Clock, Informer

REMEMBERED = 2000
"""Decisions about single groups; the oldest goes first."""
TOLD = 100
"""Entries told at most, of which each may be about several groups."""
TOGETHER_SECONDS = 5.0
"""Decisions of one kind about groups of one set, made within this time of each other, are one entry."""

RESERVED, COMMITTED, BOUND, WAITING = "reserved", "committed", "bound", "waiting"
EVICTING, ABORTED, DOWN, RETURNED, MOVED, GONE = "evicting", "aborted", "down", "returned", "moved", "gone"
_KINDS = {
    api.RESERVED: RESERVED,
    api.COMMITTED: COMMITTED,
    api.BOUND: BOUND,
    api.WAITING: WAITING,
    api.STICKY: DOWN,
    api.ABORTING: ABORTED,
}


@dataclass(frozen=True)
class Decision:
    """One decision about one group."""

    at: float
    """Seconds since the epoch."""
    namespace: str
    set_name: str
    index: int
    kind: str
    where: str = ""
    """The domain's value; "" where the group has none."""
    reason: str = ""
    fix: str = ""


@dataclass
class Entry:
    """The same decision about one or more groups of a set, the latest first."""

    at: float
    kind: str
    namespace: str
    set_name: str
    reason: str
    fix: str
    groups: list[tuple[int, str]] = field(default_factory=list)
    """Index and domain."""
    began: float = 0.0


class Timeline:
    """Thread-safe."""

    def __init__(self, records: Informer[GroupPlacement], clock: Clock) -> None:
        self._clock = clock
        self.since = clock.now()
        self._lock = threading.Lock()
        self._decisions: list[Decision] = []
        """By time."""
        records.subscribe(self._record_changed)

    def entries(self) -> list[Entry]:
        """The latest first."""
        with self._lock:
            decisions = [*self._decisions]
        return _together(reversed(decisions))

    def _record_changed(self, change: Change[GroupPlacement]) -> None:
        decision = decision_of(change, self._at(change))
        if decision is None:
            return
        with self._lock:
            insort(self._decisions, decision, key=lambda each: each.at)
            del self._decisions[:-REMEMBERED]

    def _at(self, change: Change[GroupPlacement]) -> float:
        """Now, but for a record that was there before this process."""
        now = self._clock.now()
        if change.old is None and change.new is not None and change.new.status.since:
            return min(seconds_of(change.new.status.since), now)
        return now


def decision_of(change: Change[GroupPlacement], at: float) -> Decision | None:
    """What a change of a record decided; None where it decided nothing that a person would want to know."""
    record, old = change.latest, change.old.status if change.old else None
    kind = _kind(old, change.new.status if change.new else None)
    if not kind:
        return None
    meta, status = record.metadata, record.status
    says_why = kind in (WAITING, EVICTING, ABORTED)
    return Decision(
        at=at,
        namespace=meta.namespace,
        set_name=record.spec.leader_worker_set,
        index=record.spec.group_index,
        kind=kind,
        where=status.domain.value if status.domain and kind not in (WAITING, ABORTED, GONE) else "",
        reason=status.reason if says_why else "",
        fix=status.fix if says_why else "",
    )


def _kind(old: api.GroupPlacementStatus | None, new: api.GroupPlacementStatus | None) -> str:
    if new is None:
        return GONE
    if old is not None and old.state == new.state:
        return _kind_within(old, new)
    if new.state == api.WAITING and new.predecessors:
        return EVICTING
    if new.state == api.WAITING and not new.reason:
        return ""
    if new.state == api.RESERVED and old is not None and old.state == api.STICKY:
        return RETURNED
    return _KINDS.get(new.state, "")


def _kind_within(old: api.GroupPlacementStatus, new: api.GroupPlacementStatus) -> str:
    """A decision that left the state as it was."""
    if new.state == api.BOUND and old.slots and old.slots != new.slots:
        return MOVED
    if new.state != api.WAITING:
        return ""
    if new.predecessors and not old.predecessors:
        return EVICTING
    return WAITING if new.reason and new.reason != old.reason and not new.predecessors else ""


def _together(latest_first: Iterable[Decision]) -> list[Entry]:
    entries: list[Entry] = []
    open_entries: dict[tuple[str, str, str, str, str], Entry] = {}
    for each in latest_first:
        key = (each.kind, each.namespace, each.set_name, each.reason, each.fix)
        entry = open_entries.get(key)
        if entry is None or entry.began - each.at > TOGETHER_SECONDS:
            if len(entries) == TOLD:
                break
            entry = Entry(each.at, each.kind, each.namespace, each.set_name, each.reason, each.fix)
            open_entries[key] = entry
            entries.append(entry)
        entry.began = each.at
        entry.groups.append((each.index, each.where))
    return entries
