"""What would become of sets, beyond what a single search answers."""

from __future__ import annotations

from lws_sched.api.meta import key_of
from lws_sched.intake.answers import Answer
from lws_sched.intake.cluster import cluster_of
from lws_sched.intake.documents import Document
from lws_sched.intake.sets import sets_of
from lws_sched.intake.shapes import template_shapes
from lws_sched.intake.what_if import what_if
from lws_sched.placement import Budget
from tests.unit.cli.commands import Body, LeaderWorkerSet, lws, priority_class, racks, record, taken

MADE = "evicting default/low-0 (3 pods of priority 0 at most) makes room in rack-01"
AT_ONCE = Budget(deterministic_time=0.0)
"""A batch is placed greedily, and what that leaves out stays open."""


def asked(objects: list[Body], *sets: LeaderWorkerSet) -> tuple[Answer, ...]:
    cluster = cluster_of([Document(each, "cluster") for each in objects], "cluster")
    found = sets_of([Document(each.body, "sets") for each in sets], "sets", "default")
    return what_if(cluster, found, {key_of(each): template_shapes(cluster, each) for each in found}, AT_ONCE)


def test_a_group_that_a_batch_leaves_open_is_asked_about_again_beside_those_that_it_placed() -> None:
    """Two racks of four; in the second a host is taken by a pod of no group, and three by a group of no priority."""
    low = [f"rack-01-host-{number:02}" for number in range(3)]
    objects = [*racks(2, 4), record("low-0", low, "Bound"), *taken("rack-01-host-03"), priority_class("high", 100)]

    first, second = asked(objects, lws("it", replicas=2, size=3).required().priority("high"))

    assert (first.feasible, first.domain) == (True, "rack-00")
    assert (second.feasible, second.domain, second.reason) == (True, "rack-01", MADE)
