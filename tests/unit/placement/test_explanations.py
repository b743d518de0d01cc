from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lws_sched.placement import (
    Diagnosis,
    GroupRequest,
    NodeState,
    Placed,
    PodShape,
    Refused,
    Snapshot,
    Taint,
    Tenant,
    diagnose,
    plan,
)
from tests.oracle.instances import instance
from tests.oracle.run import fleet_of as oracle_fleet
from tests.unit.placement.cluster import (
    BLOCK,
    GPU,
    RACK,
    Standing,
    fleet_of,
    group,
    host,
    pod,
    racks,
)


def refusal(snapshot: Snapshot, request: GroupRequest) -> Diagnosis:
    [decision] = plan(snapshot, [request])
    assert isinstance(decision, Refused), decision
    diagnosis = diagnose(snapshot, request)
    assert (decision.reason, decision.fix, decision.proof) == (diagnosis.reason, diagnosis.fix, "infeasible")
    return diagnosis


def fits(snapshot: Snapshot, request: GroupRequest) -> bool:
    return isinstance(plan(snapshot, [request])[0], Placed)


def emptied(snapshot: Snapshot, nodes: tuple[str, ...]) -> Snapshot:
    return snapshot.emptied(np.array([snapshot.table.position[name] for name in nodes], dtype=np.int64))


def test_too_little_room_now_names_the_best_domain_the_hosts_to_free_and_the_wider_level() -> None:
    taken = [Standing(f"p{r}-{h}", f"r{r}-h{h}", {GPU: 8}) for r in range(4) for h in range(4 if r == 2 else 6)]
    snapshot = fleet_of(racks(4, 12), taken).snapshot()
    found = refusal(snapshot, group("a-0", 12, required="rack"))
    assert found.reason == f"it needs 12 hosts with 8 {GPU} each in one {RACK}; the best, rack-2, has room for 8"
    assert found.fix == f"free 4 hosts in rack-2 (r2-h0, r2-h1, r2-h2, r2-h3), or ask for {BLOCK}, where it fits"
    assert fits(emptied(snapshot, found.emptied), group("a-0", 12, required=RACK))
    assert fits(snapshot, group("a-0", 12, required=found.wider))


def test_a_wider_level_is_named_only_if_it_fits_there() -> None:
    taken = [Standing(f"p{r}-{h}", f"r{r}-h{h}", {GPU: 8}) for r in range(2) for h in range(9)]
    found = refusal(fleet_of(racks(2, 12), taken).snapshot(), group("a-0", 12, required=RACK))
    assert found.wider == ""
    assert found.fix.startswith("free 9 hosts in rack-0")
    assert " or " not in found.fix


def test_a_group_larger_than_any_domain_is_told_so() -> None:
    found = refusal(fleet_of(racks(8, 4)).snapshot(), group("a-0", 6, required=RACK))
    assert "the largest, rack-0, holds 4 even when empty" in found.reason
    assert found.fix == f"ask for {BLOCK}, where it fits"
    found = refusal(fleet_of(racks(1, 4)).snapshot(), group("a-0", 6))
    assert found.reason == f"it needs 6 hosts with 8 {GPU} each; the cluster holds 4 even when empty"
    assert found.fix == "set its size to at most 4, or add hosts to the cluster"


def test_an_unknown_level_lists_what_there_is_and_the_nearest_spelling() -> None:
    found = refusal(fleet_of(racks(1, 4)).snapshot(), group("a-0", 2, required="rak"))
    assert found.reason.startswith("no node carries the topology level or label rak; the nodes carry block (")
    assert found.fix == "ask for rack"


def test_a_label_that_only_unfit_nodes_carry_is_named() -> None:
    plain = [NodeState(f"n-{i}", {}, {GPU: 8, "pods": 10}) for i in range(3)]
    labelled = host("l-0", "rack-0", gpu=0)
    found = refusal(
        fleet_of([*plain, replace(labelled, taints=(Taint("x", "", "NoSchedule"),))]).snapshot(),
        group("a-0", 2, required=RACK),
    )
    assert found.reason == f"none of the 3 nodes that take the group carries the label {RACK}"


def test_nodes_without_the_label_are_counted() -> None:
    nodes = [*racks(1, 2), host("n-0"), host("n-1")]
    assert (
        f"(2 of all nodes without the label {RACK})"
        in refusal(fleet_of(nodes).snapshot(), group("a-0", 4, required=RACK)).reason
    )


def test_the_taint_that_keeps_most_nodes_out_is_named_first() -> None:
    nodes = [replace(each, taints=(Taint("gpu", "only", "NoSchedule"),)) for each in racks(1, 4)]
    nodes[3] = replace(nodes[3], taints=(), schedulable=False)
    found = refusal(fleet_of(nodes).snapshot(), group("a-0", 2))
    assert found.reason == (
        "no node takes the members: 3 of 4 nodes have the taint gpu=only:NoSchedule; "
        "1 of 4 nodes are cordoned, not ready or leaving"
    )
    assert found.fix == "let the members tolerate gpu=only:NoSchedule, or remove the taint"


def test_a_selector_that_matches_nothing_is_named() -> None:
    shape = PodShape(requests=((GPU, 8),), selector=(("accelerator", "h200"),))
    found = refusal(fleet_of(racks(1, 4)).snapshot(), group("a-0", 2, shape, pod(cpu=1)))
    assert found.reason == "no node takes the workers: 4 of 4 nodes do not match the nodeSelector accelerator=h200"


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        pytest.param(
            PodShape(requests=(("google.com/tpu", 4),)),
            "the members need google.com/tpu, and no node offers it",
            id="nobody has it",
        ),
        pytest.param(
            pod(gpu=16),
            f"the members need 16 {GPU} on one node; the largest node that they may use offers 8 {GPU}",
            id="no node is that large",
        ),
    ],
)
def test_a_resource_that_no_node_can_give_is_named(shape: PodShape, reason: str) -> None:
    assert refusal(fleet_of(racks(1, 4)).snapshot(), group("a-0", 2, shape)).reason == reason


def test_domains_held_by_other_groups_are_named_with_them() -> None:
    owners = [Standing(f"o{r}", f"r{r}-h0", {GPU: 1}, Tenant(f"default/owner-{r}", "default", RACK)) for r in range(2)]
    snapshot = fleet_of(racks(2, 4), owners).snapshot()
    found = refusal(snapshot, group("a-0", 3, exclusive=RACK))
    assert "all 2 domains with room for it are closed to it by other groups of namespace default" in found.reason
    assert found.fix == "move default/owner-0 in rack-0 elsewhere"
    assert found.removed == ("default/owner-0",)
    assert fits(fleet_of(racks(2, 4), owners[1:]).snapshot(), group("a-0", 3, exclusive=RACK))


def test_cordoned_nodes_that_would_help_are_named() -> None:
    nodes = racks(1, 4)
    nodes[1] = replace(nodes[1], schedulable=False)
    found = refusal(fleet_of(nodes).snapshot(), group("a-0", 4, required=RACK))
    assert (found.revived, found.fix) == (("r0-h1",), "uncordon or repair r0-h1")


def test_nodes_that_the_scheduler_refused_are_named() -> None:
    found = refusal(fleet_of(racks(1, 4)).snapshot(), group("a-0", 4, required=RACK, avoid=frozenset({"r0-h1"})))
    assert found.reason == "it would fit only on nodes that the scheduler refused for it lately: r0-h1"


def test_the_scarce_resource_is_named_beside_the_devices() -> None:
    taken = [Standing(f"p{h}", f"r0-h{h}", {"cpu": 63_000}) for h in range(4)]
    worker = PodShape(requests=(("cpu", 4_000), (GPU, 8)))
    assert (
        "with 8 nvidia.com/gpu and 4 cpu each"
        in refusal(fleet_of(racks(1, 4), taken).snapshot(), group("a-0", 4, worker)).reason
    )


def test_a_guest_may_do_without_the_exclusive_topology() -> None:
    guests = [Standing(f"o{r}", f"r{r}-h0", {GPU: 1}, Tenant(f"default/guest-{r}", "default")) for r in range(2)]
    found = refusal(fleet_of(racks(2, 4), guests).snapshot(), group("a-0", 3, exclusive=RACK))
    assert found.fix == "move default/guest-0 in rack-0 elsewhere, or do without the exclusive topology"


def test_subgroups_that_do_not_fit_are_counted_and_the_wider_level_is_named() -> None:
    request = group("a-0", 12, required=BLOCK, subgroup_size=6, subgroup_required=RACK)
    found = refusal(fleet_of([*racks(1, 8), *racks(4, 4)[4:]]).snapshot(), request)
    assert found.reason == (
        f"it needs 12 hosts with 8 {GPU} each in one {BLOCK}, each subgroup in one {RACK}; "
        "the largest, block-0, holds 1 of its 2 subgroups even when empty"
    )
    assert found.fix == f"let each subgroup use one {BLOCK}, then it fits"
    assert (found.wider, found.widened) == (BLOCK, "subgroup_required")


def test_members_that_cannot_be_divided_into_subgroups_are_told_so() -> None:
    request = group("a-0", 6, subgroup_size=4, subgroup_required=RACK)
    found = refusal(fleet_of(racks(2, 8)).snapshot(), request)
    assert found.reason == "its 6 members cannot be divided into subgroups of 4 (LeaderWorker)"
    assert found.fix == "set a size for which size or size - 1 is a multiple of 4, or another subGroupSize"


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 32))
def test_whatever_a_fix_promises_is_true(seed: int) -> None:
    each = instance(Random(seed))
    request, snapshot = each.group, oracle_fleet(each).snapshot()
    [decision] = plan(snapshot, [request])
    assume(isinstance(decision, Refused))
    found = diagnose(snapshot, request)
    assert found.reason
    assert found.fix
    if found.emptied:
        assert fits(emptied(snapshot, found.emptied), request)
    if found.removed:
        rest = tuple(pod for pod in each.standing if not pod.tenant or pod.tenant.group not in found.removed)
        assert fits(oracle_fleet(replace(each, standing=rest)).snapshot(), request)
    if found.revived:
        nodes = tuple(replace(node, schedulable=node.schedulable or node.name in found.revived) for node in each.nodes)
        assert fits(oracle_fleet(replace(each, nodes=nodes)).snapshot(), request)
    if found.widened:
        changed: dict[str, Any] = {found.widened: found.wider}
        assert fits(snapshot, replace(request, **changed))
    if found.smaller:
        assert fits(snapshot, replace(request, size=found.smaller, stay=()))
        assert str(found.smaller) in found.fix
