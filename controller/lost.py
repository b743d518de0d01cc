"""Pods that were seen to disappear: the only trace of a force-deleted member, kept until its group was looked at.

A replica that does not lead looks at no group, but may have to once the leader is gone: it keeps the last ones.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import msgspec

from lws_sched.api.core import Pod, PodSpec

REMEMBERED = 5000
"""Pods; the first seen are forgotten first."""


class LostPods:
    """By group key. Watches add, the group's reconciler reads and settles; both may run at the same time."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._lock = threading.Lock()
        self._remembered = remembered
        self._group_of: dict[str, str] = {}
        """By UID, in the order of disappearance."""
        self._by_group: dict[str, dict[str, Pod]] = {}

    def add(self, group: str, pod: Pod) -> None:
        with self._lock:
            self._group_of[pod.metadata.uid] = group
            self._by_group.setdefault(group, {})[pod.metadata.uid] = msgspec.structs.replace(pod, spec=PodSpec())
            if len(self._group_of) > self._remembered:
                self._forget(next(iter(self._group_of)))

    def of(self, group: str) -> tuple[Pod, ...]:
        with self._lock:
            return tuple(self._by_group.get(group, {}).values())

    def settle(self, pods: Iterable[Pod]) -> None:
        """Forget pods that a decision has taken into account."""
        with self._lock:
            for pod in pods:
                self._forget(pod.metadata.uid)

    def _forget(self, uid: str) -> None:
        group = self._group_of.pop(uid, None)
        if group is None:
            return
        pods = self._by_group[group]
        del pods[uid]
        if not pods:
            del self._by_group[group]
