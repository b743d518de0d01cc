"""Bindings are read from kube-scheduler's log as it writes it."""

from __future__ import annotations

from datetime import UTC, datetime

from benchmarks.bindings import BOUND, bound_untold
from benchmarks.gang_plane import Json

PLAIN = b'I1128 02:21:40.452942   29129 schedule_one.go:483] "Successfully bound pod to node" pod="bench/a" node="n1"'
GROUPED = (
    b'I1128 02:21:41.456956   29129 schedule_one.go:483] "Successfully bound pod to node" podGroupType="podgroup" '
    b'podGroup="bench/gang-006" pod="bench/gang-006-2" node="rack-03-host-04" evaluatedNodes=16 feasibleNodes=16'
)
OTHER = b'I1128 02:21:40.526155   29129 schedule_one_podgroup.go:896] "Successfully scheduled a pod group" podGroup="x"'


def test_pods_of_no_group_and_of_kubernetes_own_groups_are_both_found() -> None:
    found = BOUND.findall(b"\n".join([PLAIN, OTHER, GROUPED]))
    assert found == [(b"1128 02:21:40.452942", b"bench/a"), (b"1128 02:21:41.456956", b"bench/gang-006-2")]


LOGGED = datetime(2000, 11, 28, 2, 21, 41).timestamp()
"""As a stamp of the log is read: local time, of no year."""
BEGAN = datetime(2026, 11, 28, 2, 21, 40).timestamp()


def pod(name: str, node: str = "n1", at: datetime | None = datetime(2026, 11, 28, 2, 21, 40)) -> Json:
    stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""
    conditions = [{"type": "Ready"}, {"type": "PodScheduled", "lastTransitionTime": stamp}] if stamp else []
    spec = {"nodeName": node} if node else {}
    return {"metadata": {"namespace": "bench", "name": name}, "spec": spec, "status": {"conditions": conditions}}


def test_a_pod_that_kube_scheduler_gave_up_counts_as_bound_within_the_second_that_the_api_server_knows() -> None:
    assert bound_untold([pod("a")], {}, BEGAN) == {b"bench/a": LOGGED}


def test_pods_that_the_log_tells_of_that_stand_nowhere_or_stood_there_before_are_not_counted() -> None:
    long_ago = datetime(2026, 11, 28, 2, 20, 0)
    assert (
        bound_untold([pod("a"), pod("b", node=""), pod("c", at=None), pod("d", at=long_ago)], {b"bench/a": 1}, BEGAN)
        == {}
    )
