"""Pods that were seen to disappear: the only trace of a force-deleted member, kept until its group was looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from lws_sched.api.core import Pod


class LostPods:
    """By group key. Watches add, the group's reconciler reads and settles; both may run at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_group: dict[str, dict[str, Pod]] = {}

    def add(self, group: str, pod: Pod) -> None:
        with self._lock:
            self._by_group.setdefault(group, {})[pod.metadata.uid] = pod

    def of(self, group: str) -> tuple[Pod, ...]:
        with self._lock:
            return tuple(self._by_group.get(group, {}).values())

    def settle(self, group: str, pods: Iterable[Pod]) -> None:
        """Forget pods that a decision has taken into account."""
        with self._lock:
            remembered = self._by_group.get(group, {})
            for pod in pods:
                remembered.pop(pod.metadata.uid, None)
            if not remembered:
                self._by_group.pop(group, None)
