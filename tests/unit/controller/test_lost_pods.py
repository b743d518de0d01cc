"""What is kept of pods that disappeared, and for how long."""

from __future__ import annotations

from lws_sched.controller.lost import LostPods
from tests.unit.core.samples import leader

FIRST, SECOND, THIRD = (leader(index) for index in range(3))


def _names(lost: LostPods, group: str) -> list[str]:
    return [pod.metadata.name for pod in lost.of(group)]


def test_a_lost_pod_is_kept_until_its_group_was_looked_at() -> None:
    lost = LostPods()
    lost.add("a", FIRST)
    seen = lost.of("a")
    lost.add("a", SECOND)
    lost.settle(seen)
    assert _names(lost, "a") == [SECOND.metadata.name]
    lost.settle(seen)
    assert _names(lost, "a") == [SECOND.metadata.name]


def test_a_replica_that_never_looks_keeps_the_last_ones_only() -> None:
    lost = LostPods(remembered=2)
    for group, pod in (("a", FIRST), ("b", SECOND), ("a", THIRD)):
        lost.add(group, pod)
    assert (_names(lost, "a"), _names(lost, "b")) == ([THIRD.metadata.name], [SECOND.metadata.name])
