from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lws_sched.placement import (
    GroupRequest,
    NodeFacts,
    NodeState,
    Placed,
    Refused,
    Replacement,
    Tenant,
    Victim,
    plan,
    replace_lost,
)
from tests.oracle.moves import cheapest_eviction, cost_of
from tests.unit.placement.cluster import BLOCK, GPU, RACK, Instance, Standing, fits_somewhere, fleet_of, group, racks
from tests.unit.placement.test_preemption import batch, crowded, standing


def bound(request: GroupRequest, lost: Collection[int]) -> list[Standing]:
    """The members that are left, in their slots."""
    return [
        Standing(
            f"{request.key}/{index}",
            node,
            dict((request.worker if index else request.leader).requests),
            Tenant(request.key, request.key.partition("/")[0], request.exclusive),
        )
        for index, node in enumerate(request.stay)
        if index not in lost
    ]


def served(*nodes: str, **more: object) -> GroupRequest:
    return group("served-0", len(nodes), **{"required": RACK, "priority": 100, "stay": nodes, **more})  # type: ignore[arg-type]


def after_loss(
    request: GroupRequest,
    lost: Collection[int],
    nodes: Sequence[NodeState],
    victims: Sequence[Victim] = (),
    fixed: Sequence[Standing] = (),
) -> Replacement | Refused:
    down = {request.stay[index] for index in lost}
    there = [replace(node, schedulable=node.schedulable and node.name not in down) for node in nodes]
    charges = [*bound(request, lost), *standing(victims), *fixed]
    return replace_lost(fleet_of(there, charges).snapshot(), request, lost, victims)


def test_only_the_lost_slot_moves_to_a_host_of_the_same_rack() -> None:
    answer = after_loss(served("r0-h0", "r0-h1", "r0-h2"), {1}, racks(2, 4))
    assert isinstance(answer, Replacement)
    assert (answer.slots, answer.lost, answer.victims) == (("r0-h0", "r0-h3", "r0-h2"), (1,), ())
    assert (answer.proof, answer.reason) == (
        "exact",
        "1 lost member of 3 goes to r0-h3, beside the others in rack-0",
    )


def test_several_hosts_that_fail_together_are_one_decision() -> None:
    answer = after_loss(served(*(f"r0-h{index}" for index in range(4))), {0, 2}, racks(2, 6))
    assert isinstance(answer, Replacement)
    assert {answer.slots[0], answer.slots[2]} == {"r0-h4", "r0-h5"}
    assert (answer.slots[1], answer.slots[3]) == ("r0-h1", "r0-h3")


def test_the_whole_group_must_move_where_its_rack_has_no_room_for_all_lost_slots() -> None:
    answer = after_loss(served("r0-h0", "r0-h1", "r0-h2"), {1, 2}, racks(2, 4))
    assert isinstance(answer, Refused)
    assert answer.reason == "2 lost members of 3 go nowhere in the domain of the others: the whole group must move"
    assert answer.fix == "restart the whole group: it fits in rack-1"


def test_the_cheapest_group_of_lower_priority_gives_way() -> None:
    victims = [batch("big-0", "r0-h2", "r0-h3"), batch("small-0", "r0-h4"), batch("elsewhere-0", "r1-h0")]
    request = served("r0-h0", "r0-h1")
    answer = after_loss(request, {1}, racks(2, 5), victims)
    assert isinstance(answer, Replacement)
    assert (answer.slots, answer.victims, answer.proof) == (("r0-h0", "r0-h4"), ("default/small-0",), "optimal")
    assert "once default/small-0 (1 pod of priority 0 at most) gave way" in answer.reason
    alike = [replace(each, priority=100) for each in victims]
    assert isinstance(after_loss(request, {1}, racks(2, 5), alike), Refused)


def test_members_that_are_left_stay_even_on_a_cordoned_host() -> None:
    nodes = [replace(node, schedulable=node.name != "r0-h0") for node in racks(1, 3)]
    answer = after_loss(served("r0-h0", "r0-h1"), {1}, nodes)
    assert isinstance(answer, Replacement)
    assert answer.slots == ("r0-h0", "r0-h2")


def test_a_lost_member_of_a_subgroup_returns_to_its_subgroups_rack() -> None:
    request = served(
        "r0-h0", "r0-h1", "r1-h0", "r1-h1",
        required=BLOCK, subgroup_size=2, subgroup_required=RACK,
    )  # fmt: skip
    answer = after_loss(request, {2}, racks(3, 3))
    assert isinstance(answer, Replacement)
    assert answer.slots == ("r0-h0", "r0-h1", "r1-h2", "r1-h1")
    full = [Standing("x", "r1-h2", {GPU: 8})]
    assert isinstance(after_loss(request, {2}, racks(3, 3), fixed=full), Refused)


def test_a_group_of_which_nothing_is_left_is_not_a_replacement() -> None:
    with pytest.raises(ValueError, match="no member of default/served-0 is left"):
        after_loss(served("r0-h0"), {0}, racks(1, 2))


# --- against trying all places and victims ---------------------------------------------------------------------------


@given(crowded(), st.data())
@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_lost_members_find_the_cheapest_room_beside_the_others(
    case: tuple[Instance, tuple[Victim, ...]], data: st.DataObject
) -> None:
    instance, victims = case
    request = replace(instance.request, stay=(), avoid=frozenset())
    assume(request.size > 1)
    [placed] = plan(fleet_of(instance.nodes).snapshot(), [request])
    assume(isinstance(placed, Placed))
    assert isinstance(placed, Placed)
    request = replace(request, stay=placed.slots)
    lost = data.draw(st.sets(st.integers(0, request.size - 1), min_size=1, max_size=request.size - 1))
    down = data.draw(st.sampled_from([set(), {placed.slots[index] for index in lost}]))
    nodes = [replace(node, schedulable=node.schedulable and node.name not in down) for node in instance.nodes]
    charges = [*instance.standing, *bound(request, lost)]
    offered = [each for each in victims if each.priority < request.priority]
    part = replace(
        request, size=len(lost), leader=request.leader if 0 in lost else request.worker, stay=(), preferred=()
    )

    def enough(gone: frozenset[str]) -> bool:
        there = [each for each in charges if each.owner.rpartition("-")[0] not in gone]
        facts = fleet_of(nodes, there).snapshot().facts().values()
        return fits_somewhere(_beside(list(facts), request, lost), part)

    answer = replace_lost(fleet_of(nodes, charges).snapshot(), request, lost, victims)
    best = cheapest_eviction(offered, enough)
    if best is None:
        assert isinstance(answer, Refused)
        return
    assert isinstance(answer, Replacement)
    assert cost_of([each for each in offered if each.key in answer.victims], offered) == best
    assert all(answer.slots[index] == node for index, node in enumerate(request.stay) if index not in lost)


def _beside(nodes: list[NodeFacts], request: GroupRequest, lost: Collection[int]) -> list[NodeFacts]:
    """Only the domain of the members that are left is open."""
    labels = {node.name: node.labels for node in nodes}
    home = labels[next(node for index, node in enumerate(request.stay) if index not in lost)]
    keys = {request.required, request.exclusive} - {""}
    return [
        node if all(node.labels.get(key) == home[key] for key in keys) else node._replace(schedulable=False)
        for node in nodes
    ]
