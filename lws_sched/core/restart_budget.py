"""How often a group may be recreated, and after which pauses: two annotations of the set, both off unless given.

    lws-sched.io/max-group-restarts: "3"    recreations of one group at one revision; the failure after them is final
    lws-sched.io/restart-backoff: 10s       the least time between two of them, doubled each time, at most 5 minutes

What a group's budget has come to is one annotation on the leader StatefulSet, which outlives the leaders. It is written
before the leader is deleted and names that leader, so a controller that dies in between neither counts twice nor
forgets a failure that nobody can see any more. A new revision starts with a fresh budget; so does a set whose
annotations are taken away, or whose maximum is raised above what was used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from lws_sched.api import names
from lws_sched.api.core import ContainerStatus, Pod
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import Wire
from lws_sched.api.timestamps import micro_time, seconds_of

LONGEST_PAUSE = 300.0
"""Seconds; as long as a kubelet's own longest pause between restarts of a container."""
_DURATION = re.compile(r"(?=\d)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


class Record(Wire, frozen=True, kw_only=True):
    """What came of a group's last failure."""

    leader: str
    """UID of the leader that was, or shall be, deleted for it."""
    revision: str
    restarts: int
    """Recreations at this revision, this one included."""
    at: str
    """When the leader may be deleted; RFC 3339."""
    pod: str
    reason: str
    final: bool = False
    """The budget was used up: the group is left as it is."""


@dataclass(frozen=True)
class Limits:
    """What a set asks for."""

    most: int | None
    pause: float
    """Seconds between the first and the second recreation."""

    def allows(self, restarts: int) -> bool:
        """Whether one more recreation is allowed after so many."""
        return self.most is None or restarts < self.most

    def pause_after(self, restarts: int) -> float:
        """Seconds that must lie between the last of so many recreations and the next."""
        return min(self.pause * 2.0 ** min(restarts - 1, 30), LONGEST_PAUSE) if restarts else 0.0


@dataclass(frozen=True)
class Decision:
    """What to do about a group with a budget, in this order."""

    write: Record | None = None
    recreate: bool = False
    again: float | None = None
    """Seconds until the group may be recreated."""


def limits(lws: LeaderWorkerSet) -> Limits | None:
    """The set's limits; None where it asks for none. What cannot be read, which admission refuses, is not asked for."""
    annotations = lws.metadata.annotations
    most = annotations.get(names.MAX_GROUP_RESTARTS, "")
    pause = seconds(annotations.get(names.RESTART_BACKOFF, ""))
    if not is_count(most) and not pause:
        return None
    return Limits(most=int(most) if is_count(most) else None, pause=pause or 0.0)


def is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 9


def seconds(text: str) -> float | None:
    """A duration such as 10s, 2m or 1h30m; None where it is none."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return float(3600 * hours + 60 * minutes + rest)


def record_of(annotations: Mapping[str, str], group: str) -> Record | None:
    """What the leader StatefulSet's annotations say of a group, by its index; None where nothing legible."""
    written = annotations.get(names.RESTARTS_PREFIX + group)
    try:
        return None if written is None else msgspec.json.decode(written, type=Record)
    except msgspec.MsgspecError:
        return None


def annotation(group: str, record: Record) -> dict[str, str]:
    return {names.RESTARTS_PREFIX + group: msgspec.json.encode(record).decode()}


def past(annotations: Mapping[str, str], revision: str, replicas: int) -> list[str]:
    """The annotations whose groups are gone, or whose revision is not the one that all groups have; sorted."""
    found = []
    for key in sorted(annotations):
        group = key.removeprefix(names.RESTARTS_PREFIX)
        if group == key:
            continue
        record = record_of(annotations, group)
        if record is None or record.revision != revision or not group.isdecimal() or int(group) >= replicas:
            found.append(key)
    return found


def is_final(asked: Limits, before: Record | None, leader: Pod) -> bool:
    """Whether the group is to be left alone, whatever fails in it."""
    return _is_of(before, leader) and before is not None and before.final and not asked.allows(before.restarts)


def pending(before: Record | None, leader: Pod) -> Record | None:
    """The record of a failure for which this leader is still to be deleted."""
    return before if before is not None and _is_of(before, leader) and not before.final else None


def due(record: Record, now: float) -> Decision:
    """A recreation that is on record: now, or later."""
    left = seconds_of(record.at) - now
    return Decision(again=left) if left > 0 else Decision(recreate=True)


def spend(asked: Limits, before: Record | None, leader: Pod, failed: Pod, now: float) -> Decision:
    """A failure that is not on record yet. `now` in seconds since the epoch."""
    revision = leader.metadata.labels.get(names.REVISION, "")
    restarts = before.restarts if before is not None and before.revision == revision else 0
    is_allowed = asked.allows(restarts)
    at = now
    if is_allowed and restarts and before is not None:
        at = max(now, seconds_of(before.at) + asked.pause_after(restarts))
    record = Record(
        leader=leader.metadata.uid,
        revision=revision,
        restarts=restarts + is_allowed,
        at=micro_time(at),
        pod=failed.metadata.name,
        reason=reason(failed),
        final=not is_allowed,
    )
    return Decision(write=record, recreate=is_allowed and at <= now, again=at - now if at > now else None)


def reason(failed: Pod) -> str:
    """Why a member counts as failed, for people."""
    status = failed.status
    if status.phase in ("Failed", "Succeeded"):
        return f"the pod ended as {status.phase}" + (f" ({status.reason})" if status.reason else "")
    restarted = [each for each in (*status.init_container_statuses, *status.container_statuses) if each.restart_count]
    return _restart(restarted[0]) if restarted else "the pod was deleted"


def message(group: str, record: Record) -> str:
    """The sentence of the Failed condition and event."""
    times = "1 restart" if record.restarts == 1 else f"{record.restarts} restarts"
    return f"group {group} failed for good after {times}: {record.pod}: {record.reason}"


def _restart(status: ContainerStatus) -> str:
    ended = status.last_state.terminated or status.state.terminated
    how = "" if ended is None else f", it had ended with exit code {ended.exit_code}"
    why = f" ({ended.reason})" if ended is not None and ended.reason else ""
    return f"container {status.name} restarted{how}{why}"


def _is_of(before: Record | None, leader: Pod) -> bool:
    return before is not None and before.leader == leader.metadata.uid
