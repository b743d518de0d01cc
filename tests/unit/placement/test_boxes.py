"""Groups that ask for a box of hosts, on tori that a level's labels tell of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise, product
from math import prod
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.placement import (
    LEVELS,
    Budget,
    Defragmentation,
    Eviction,
    Fleet,
    GroupRequest,
    Level,
    Movable,
    NodeState,
    Placed,
    Refused,
    Replacement,
    Tenant,
    Victim,
    defragment,
    diagnose,
    plan,
    plan_together,
    preempt,
    replace_lost,
    violations,
)
from lws_sched.placement.topology import Axis
from tests.oracle.moves_torus import Cell, boxes
from tests.unit.placement.cluster import GPU, RACK, group, host, pod

POD = "example.com/pod"


def level(shape: Cell, wraps: Iterable[bool] = ()) -> Level:
    """A level whose domains are tori of this shape; around every seam unless told otherwise."""
    around = tuple(wraps) or (True,) * len(shape)
    axes = zip("xyz", shape, around, strict=False)
    return Level("pod", (POD,), tuple(Axis(f"example.com/{name}", length, wrap) for name, length, wrap in axes))


def node(where: str, cell: Cell, rack: str = "") -> NodeState:
    made = host(named(where, cell), rack)
    at = {f"example.com/{name}": str(place) for name, place in zip("xyz", cell, strict=False)}
    return replace(made, labels={**made.labels, POD: where, **at})


def named(where: str, cell: Cell) -> str:
    return f"{where}-" + "-".join(map(str, cell))


def cells_in(shape: Cell) -> list[Cell]:
    return [*product(*map(range, shape))]


def fleet(shape: Cell, *full: Cell, wraps: Iterable[bool] = (), tori: Iterable[str] = ("p0",)) -> Fleet:
    """Tori of this shape; in the first, these hosts are full."""
    made = Fleet((*LEVELS[:-1], level(shape, wraps), LEVELS[-1]))
    for where in tori:
        for cell in cells_in(shape):
            made.set_node(node(where, cell))
    for cell in full:
        made.charge(f"fixed-{cell}", named("p0", cell), {GPU: 8})
    return made


def boxed(*sides: int, name: str = "box-0", **more: object) -> GroupRequest:
    return group(name, prod(sides), box=sides, **more)  # type: ignore[arg-type]


def place(fleet: Fleet, request: GroupRequest) -> Placed:
    [answer] = plan(fleet.snapshot(), [request])
    assert isinstance(answer, Placed), answer
    return answer


def cells_of(placed: Placed) -> list[Cell]:
    return [tuple(int(at) for at in slot.split("-")[1:]) for slot in placed.slots]


def are_next_to_each_other(one: Cell, other: Cell, shape: Cell) -> bool:
    away = [min((a - b) % size, (b - a) % size) for a, b, size in zip(one, other, shape, strict=True)]
    return sum(away) == 1


def test_a_group_gets_the_box_it_asks_for_in_any_rotation() -> None:
    placed = place(fleet((2, 4, 2)), boxed(4, 2, 1))
    assert frozenset(cells_of(placed)) in {*boxes((2, 4, 2), (True,) * 3, (4, 2))}


def test_a_box_goes_across_the_seam_only_where_the_axis_wraps() -> None:
    middle = [(at, 0) for at in (1, 2)]
    across = place(fleet((4, 2), *middle, (1, 1), (2, 1)), boxed(2, 2))
    assert {*cells_of(across)} == {(3, 0), (3, 1), (0, 0), (0, 1)}
    flat = fleet((4, 2), *middle, (1, 1), (2, 1), wraps=(False, True))
    [refused] = plan(flat.snapshot(), [boxed(2, 2)])
    assert isinstance(refused, Refused)


def test_neighbouring_ranks_are_neighbours_in_the_torus() -> None:
    for shape, sides in (((4, 4, 4), (2, 2, 4)), ((4, 4), (4, 2)), ((8, 2, 2), (5, 2)), ((3, 3, 3), (3, 3, 3))):
        ranks = cells_of(place(fleet(shape), boxed(*sides)))
        assert all(are_next_to_each_other(one, other, shape) for one, other in pairwise(ranks)), ranks


def test_a_box_lies_in_one_torus_and_in_the_tightest_that_takes_it() -> None:
    made = fleet((2, 2), tori=("p0", "p1"))
    made.charge("other", "p1-0-0", {GPU: 8})
    placed = place(made, boxed(2, 1))
    assert {slot.split("-")[0] for slot in placed.slots} == {"p1"}
    [refused] = plan(made.snapshot(), [boxed(4, 2)])
    assert isinstance(refused, Refused)


def test_a_box_keeps_to_the_level_that_the_group_requires() -> None:
    made = Fleet((*LEVELS[:-1], level((2, 2))))
    for cell in cells_in((2, 2)):
        made.set_node(node("p0", cell, rack=f"rack-{cell[0]}"))
    placed = place(made, boxed(2, 1, required=RACK))
    assert len({cell[0] for cell in cells_of(placed)}) == 1
    [refused] = plan(made.snapshot(), [boxed(2, 2, required=RACK)])
    assert isinstance(refused, Refused)


def test_a_leader_of_its_own_shape_stands_where_it_fits_and_workers_around_it() -> None:
    made = fleet((2, 2))
    for cell in ((0, 0), (0, 1), (1, 1)):
        made.charge(f"small-{cell}", named("p0", cell), {"cpu": 60_000})
    leader = pod(cpu=32_000)
    placed = place(made, boxed(2, 2, worker=pod(gpu=8), leader=leader))
    assert cells_of(placed)[0] == (1, 0)


def test_a_refusal_names_the_hosts_in_the_way_and_freeing_them_is_enough() -> None:
    snapshot = fleet((4, 4), *cells_in((4, 4))[1:15]).snapshot()
    found = diagnose(snapshot, boxed(2, 2))
    assert "it needs a box of 2 x 2 free hosts; the 2 free hosts" in found.reason
    assert found.emptied
    emptied = snapshot.emptied(np.array([snapshot.table.position[name] for name in found.emptied]))
    assert isinstance(plan(emptied, [boxed(2, 2)])[0], Placed)


def test_a_refusal_offers_other_sides_that_fit_now() -> None:
    row = [(at, 0) for at in range(4)]
    snapshot = fleet((4, 4), *(cell for cell in cells_in((4, 4)) if cell not in row)).snapshot()
    found = diagnose(snapshot, boxed(2, 2))
    assert found.fix.endswith("or ask for 4")


def test_a_box_no_torus_holds_is_told_from_one_that_is_not_free() -> None:
    found = diagnose(fleet((2, 2, 2)).snapshot(), boxed(4, 2))
    assert "no torus has one even when empty: the largest is 2 x 2 x 2" in found.reason
    assert found.fix == "ask for 2 x 2 x 2"


def test_without_coordinates_the_refusal_says_what_is_missing() -> None:
    plain = Fleet()
    plain.set_node(host("h-0"))
    assert diagnose(plain.snapshot(), boxed(1, 1)).fix == "write a Topology with axes for a level"
    unlabelled = Fleet((*LEVELS, level((2, 2))))
    unlabelled.set_node(host("h-0"))
    said = diagnose(unlabelled.snapshot(), boxed(1, 1)).fix
    assert said == "label the nodes with example.com/pod, example.com/x, example.com/y, counted from 0"


def test_a_box_of_another_size_than_the_group_is_refused_with_the_reason() -> None:
    found = diagnose(fleet((4, 4)).snapshot(), replace(boxed(2, 2), size=5))
    assert found.reason == "its 5 members are not as many as the hosts of a box of 2 x 2"


def test_nodes_beyond_the_axes_or_without_a_whole_number_are_in_no_torus() -> None:
    made = fleet((2, 2))
    for place_, text in (("far", "7"), ("odd", "x"), ("void", "")):
        stray = node("p0", (0, 0))
        made.set_node(replace(stray, name=place_, labels={**stray.labels, "example.com/x": text}))
    assert {*place(made, boxed(2, 2)).slots} == {named("p0", cell) for cell in cells_in((2, 2))}
    assert isinstance(plan(made.snapshot(), [boxed(5, 1)])[0], Refused)


def test_a_group_comes_back_to_the_very_hosts_it_had() -> None:
    had = tuple(named("p0", cell) for cell in ((3, 3), (2, 3), (2, 2), (3, 2)))
    assert place(fleet((4, 4)), boxed(2, 2, stay=had)).slots == had
    assert place(fleet((4, 4), (2, 2)), boxed(2, 2, stay=had)).slots != had


def test_a_box_that_comes_back_lies_in_one_domain_of_the_level_that_the_group_requires_now() -> None:
    made = Fleet((*LEVELS[:-1], level((2, 2))))
    for cell in cells_in((2, 2)):
        made.set_node(node("p0", cell, rack=f"rack-{cell[0]}"))
    had = (named("p0", (0, 0)), named("p0", (1, 0)))
    assert place(made, boxed(2, 1, stay=had)).slots == had
    placed = place(made, boxed(2, 1, stay=had, required=RACK))
    assert len({cell[0] for cell in cells_of(placed)}) == 1
    kept = place(made, boxed(2, 1, stay=(had[0], ""), required=RACK))
    assert kept.slots == (had[0], named("p0", (0, 1)))


def test_lost_members_go_where_they_can_stand_around_those_that_are_left() -> None:
    made = fleet((4, 1), wraps=(False, False))
    made.charge("small", named("p0", (0, 0)), {GPU: 1})
    wanted = boxed(3, 1, leader=pod(cpu=32_000))
    leader_stays = place(made, replace(wanted, stay=(named("p0", (1, 0)), "", "")))
    assert cells_of(leader_stays) == [(1, 0), (2, 0), (3, 0)]
    leader_lost = replace(wanted, stay=("", named("p0", (1, 0)), ""), avoid=frozenset({named("p0", (3, 0))}))
    assert cells_of(place(made, leader_lost)) == [(0, 0), (1, 0), (2, 0)]


def test_ranks_wind_from_a_leader_in_the_middle_where_they_can() -> None:
    flat = (False, False)
    for shape, only, wraps in (((4, 2), (1, 0), flat), ((3, 3), (1, 1), flat), ((4, 1), (2, 0), (True, False))):
        made = fleet(shape, wraps=wraps)
        for cell in cells_in(shape):
            made.charge(f"busy-{cell}", named("p0", cell), {} if cell == only else {"cpu": 40_000})
        ranks = cells_of(place(made, boxed(*shape, worker=pod(gpu=8), leader=pod(cpu=32_000))))
        assert ranks[0] == only
        assert all(are_next_to_each_other(one, other, shape) for one, other in pairwise(ranks)), ranks


def test_where_no_way_goes_through_a_box_from_its_leader_the_others_still_wind() -> None:
    made = fleet((3, 1), wraps=(False, False))
    for cell in ((0, 0), (2, 0)):
        made.charge(f"busy-{cell}", named("p0", cell), {"cpu": 40_000})
    placed = place(made, boxed(3, 1, worker=pod(gpu=8), leader=pod(cpu=32_000)))
    assert cells_of(placed) == [(1, 0), (0, 0), (2, 0)]


def test_a_lost_member_goes_only_where_the_box_stays_whole() -> None:
    made = fleet((4, 1), wraps=(False, False))
    row = tuple(named("p0", (at, 0)) for at in range(3))
    for name in row[:2]:
        made.charge(f"at-{name}", name, {GPU: 8})
    made.charge("broken", row[2], {GPU: 8})
    lost_end = replace_lost(made.snapshot(), boxed(3, 1, stay=row), [2])
    assert isinstance(lost_end, Refused)
    made.release("broken")
    again = replace_lost(made.snapshot(), boxed(3, 1, stay=row), [2])
    assert isinstance(again, Replacement)
    assert again.slots == row


def test_others_of_lower_priority_give_way_to_a_box() -> None:
    made = fleet((2, 2))
    made.charge("low#0", "p0-0-0", {GPU: 8})
    low = Victim("default/low-0", 0, (("p0-0-0", ((GPU, 8),)),))
    answer = preempt(made.snapshot(), boxed(2, 2, priority=5), [low])
    assert isinstance(answer, Eviction)
    assert answer.victims == ("default/low-0",)


def test_a_batch_of_boxes_and_others_is_placed_beside_each_other() -> None:
    wanted = [boxed(2, 2, name=f"box-{number}") for number in range(3)] + [group("plain-0", 4)]
    answer = plan_together(fleet((4, 4)).snapshot(), wanted, Budget(0.05))
    assert all(isinstance(each, Placed) for each in answer.decisions)
    slots = [slot for each in answer.decisions if isinstance(each, Placed) for slot in each.slots]
    assert len({*slots}) == len(slots) == 16


def test_the_checker_finds_hosts_that_make_no_box() -> None:
    snapshot, grid = fleet((4, 4)).snapshot(), (level((4, 4)),)
    wrong = [((0, 0), (0, 1), (1, 1), (2, 1)), ((0, 0), (2, 0), (0, 1), (2, 1)), ((0, 0), (1, 0), (2, 0), (3, 0))]
    for cells in wrong:
        placed = Placed("default/box-0", tuple(named("p0", cell) for cell in cells), "", "", "exact")
        assert len(violations(snapshot.facts().values(), boxed(2, 2), placed, grid)) == 1
    right = Placed("default/box-0", tuple(named("p0", c) for c in ((3, 3), (3, 0), (0, 3), (0, 0))), "", "", "exact")
    assert violations(snapshot.facts().values(), boxed(2, 2), right, grid) == []


def standing(made: Fleet, request: GroupRequest, *cells: Cell) -> Movable:
    slots = tuple(named("p0", cell) for cell in cells)
    for index, slot in enumerate(slots):
        made.charge(f"{request.key}#{index}", slot, {GPU: 8}, Tenant(request.key, "default"))
    return Movable(request, slots)


def singly(made: Fleet, cells: Iterable[Cell]) -> list[Movable]:
    """A pod on each of these hosts, as a group of one."""
    return [standing(made, group(f"pod-{number}", 1), cell) for number, cell in enumerate(cells)]


def test_who_must_stay_together_makes_room_for_a_box_together() -> None:
    made = fleet((3, 4), (1, 0), (2, 0), (1, 3), (2, 3), wraps=(False, False))
    pair = standing(made, group("pair-0", 2, required=POD), (0, 1), (0, 2))
    answer = defragment(made.snapshot(), boxed(2, 3), [pair], Budget(0.05))
    assert isinstance(answer, Defragmentation)
    assert (answer.value, answer.bound, answer.proof) == (2, 2, "optimal")
    [move] = answer.moves
    assert {*move.after} == {named("p0", (0, 0)), named("p0", (0, 3))}


def test_a_dearer_box_is_cleared_where_who_stands_on_the_cheapest_has_nowhere_to_go() -> None:
    made = fleet((6, 1), (2, 0), (5, 0), wraps=(False, False))
    for spare in ("spare-0", "spare-1"):
        made.set_node(host(spare))
    pinned = replace(pod(gpu=8), selector=(("kubernetes.io/hostname", named("p0", (1, 0))),))
    pods = [standing(made, group("pinned-0", 1, pinned), (1, 0)), *singly(made, [(3, 0), (4, 0)])]
    answer = defragment(made.snapshot(), boxed(2, 1), pods, Budget(0.05))
    assert isinstance(answer, Defragmentation)
    assert (answer.value, answer.bound, answer.proof) == (2, 1, "feasible")
    assert {move.before for move in answer.moves} == {(named("p0", (3, 0)),), (named("p0", (4, 0)),)}


def test_moving_who_holds_a_rack_counts_though_it_stands_on_none_of_the_boxs_hosts() -> None:
    made = Fleet((*LEVELS[:-1], level((2, 2), (False, False)), LEVELS[-1]))
    for cell in cells_in((2, 2)):
        made.set_node(node("p0", cell, rack="r0"))
    made.set_node(host("inside", "r0"))
    made.set_node(host("outside", "r1"))
    holder = group("holder-0", 1, exclusive=RACK)
    made.charge(holder.key, "inside", {GPU: 8}, Tenant(holder.key, "default", exclusive=RACK))
    beside = [Movable(group(f"small-{at}", 1, pod(cpu=1)), (named("p0", at),)) for at in cells_in((2, 2))]
    for small in beside:
        made.charge(small.request.key, small.slots[0], {"cpu": 1}, Tenant(small.request.key, "elsewhere"))
    answer = defragment(made.snapshot(), boxed(2, 2), [Movable(holder, ("inside",)), *beside], Budget(0.05))
    assert isinstance(answer, Defragmentation)
    assert [move.after for move in answer.moves] == [("outside",)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_room_for_a_box_is_made_by_moving_as_few_pods_as_stand_on_the_emptiest_one(seed: int) -> None:
    random = Random(seed)
    shape = tuple(random.randint(1, 4) for _ in range(random.choice([2, 3])))
    wraps = tuple(random.random() < 0.5 for _ in shape)
    sides = tuple(random.randint(1, 3) for _ in range(2))
    taken = {cell for cell in cells_in(shape) if random.random() < 0.6}
    made = fleet(shape, wraps=wraps)
    pods = singly(made, sorted(taken))
    answer = defragment(made.snapshot(), boxed(*sides), pods, Budget(0.05))
    fewest = min((len(cells & taken) for cells in {*boxes(shape, wraps, sides)}), default=None)
    if fewest is None or prod(shape) - len(taken) < prod(sides):
        assert isinstance(answer, Refused)
    else:
        assert isinstance(answer, Defragmentation)
        assert (answer.value, answer.proof) == (fewest, "optimal")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 32))
def test_a_box_is_placed_exactly_where_writing_all_boxes_down_finds_one(seed: int) -> None:
    random = Random(seed)
    shape = tuple(random.randint(1, 4) for _ in range(random.choice([2, 3])))
    wraps = tuple(random.random() < 0.5 for _ in shape)
    sides = tuple(random.randint(1, 3) for _ in range(random.choice([2, 3])))
    free = {cell for cell in cells_in(shape) if random.random() < 0.75}
    made = fleet(shape, *(cell for cell in cells_in(shape) if cell not in free), wraps=wraps)
    [answer] = plan(made.snapshot(), [boxed(*sides)])
    expected = [cells for cells in {*boxes(shape, wraps, sides)} if cells <= free]
    if isinstance(answer, Placed):
        assert frozenset(cells_of(answer)) in expected
    else:
        assert not expected
