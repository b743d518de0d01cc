"""Bindings are read from kube-scheduler's log as it writes it."""

from __future__ import annotations

from benchmarks.bindings import BOUND

PLAIN = b'I1128 02:21:40.452942   29129 schedule_one.go:483] "Successfully bound pod to node" pod="bench/a" node="n1"'
GROUPED = (
    b'I1128 02:21:41.456956   29129 schedule_one.go:483] "Successfully bound pod to node" podGroupType="podgroup" '
    b'podGroup="bench/gang-006" pod="bench/gang-006-2" node="rack-03-host-04" evaluatedNodes=16 feasibleNodes=16'
)
OTHER = b'I1128 02:21:40.526155   29129 schedule_one_podgroup.go:896] "Successfully scheduled a pod group" podGroup="x"'


def test_pods_of_no_group_and_of_kubernetes_own_groups_are_both_found() -> None:
    found = BOUND.findall(b"\n".join([PLAIN, OTHER, GROUPED]))
    assert found == [(b"1128 02:21:40.452942", b"bench/a"), (b"1128 02:21:41.456956", b"bench/gang-006-2")]
