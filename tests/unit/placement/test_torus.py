from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import product
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.placement import (
    BoxRequest,
    Budget,
    Eviction,
    NodeState,
    Placed,
    Refused,
    Snapshot,
    Torus,
    Victim,
    fit_box,
    pack_boxes,
    preempt_box,
    violations,
)
from tests.oracle.moves import cheapest_eviction, cost_of
from tests.oracle.moves_torus import Cell, boxes, most_members
from tests.unit.placement.cluster import GPU, Standing, fleet_of, group, host, pod
from tests.unit.placement.test_preemption import standing


def named(cell: Cell) -> str:
    return "h-" + "-".join(str(at) for at in cell)


def torus(*shape: int, wraps: Sequence[bool] = (), holes: Collection[Cell] = ()) -> Torus:
    cells = [cell for cell in product(*(range(size) for size in shape)) if cell not in holes]
    return Torus(shape, tuple(wraps) or (True,) * len(shape), {named(cell): cell for cell in cells})


def hosts(where: Torus) -> list[NodeState]:
    return [host(node) for node in where.coordinates]


def taken(*cells: Cell) -> list[Standing]:
    return [Standing(f"fixed-{cell}", named(cell), {GPU: 8}) for cell in cells]


def fleet(where: Torus, *cells: Cell) -> Snapshot:
    return fleet_of(hosts(where), taken(*cells)).snapshot()


def box(*sides: int, name: str = "box-0", **more: object) -> BoxRequest:
    return BoxRequest(group(name, prod(sides), **more), sides)  # type: ignore[arg-type]


def cells_of(where: Torus, placed: object) -> frozenset[Cell]:
    assert isinstance(placed, Placed), placed
    return frozenset(where.coordinates[node] for node in placed.slots)


def test_a_box_lies_across_the_seam_where_the_axis_wraps() -> None:
    middle = [(1, y) for y in range(2)] + [(2, y) for y in range(2)]
    ring = torus(4, 2)
    assert cells_of(ring, fit_box(fleet(ring, *middle), ring, box(2, 2))) == {(3, 0), (3, 1), (0, 0), (0, 1)}
    flat = torus(4, 2, wraps=(False, True))
    answer = fit_box(fleet(flat, *middle), flat, box(2, 2))
    assert isinstance(answer, Refused)
    assert answer.reason == "it needs a box of 2 x 2 free hosts in the torus; none of its 4 free hosts make one"


def test_a_box_is_turned_where_only_that_fits() -> None:
    grid = torus(2, 4, wraps=(False, False))
    assert len(cells_of(grid, fit_box(fleet(grid, (0, 0)), grid, box(4, 1)))) == 4
    cube = torus(2, 2, 4, wraps=(False, False, False))
    assert len(cells_of(cube, fit_box(fleet(cube), cube, box(4, 2)))) == 8


def test_boxes_gather_in_corners_so_that_large_holes_stay_whole() -> None:
    grid = torus(4, 4, wraps=(False, False))
    first = cells_of(grid, fit_box(fleet(grid), grid, box(2, 2)))
    assert first == {(0, 0), (0, 1), (1, 0), (1, 1)}
    second = fit_box(fleet(grid, *first), grid, box(2, 2))
    third = fit_box(fleet(grid, *first, *cells_of(grid, second)), grid, box(4, 2))
    assert len(cells_of(grid, third)) == 8


def test_the_leader_takes_the_host_that_workers_do_not_fit_on() -> None:
    line = torus(3, 1, wraps=(False, False))
    small = [host("h-0-0"), host("h-1-0", gpu=0), host("h-2-0")]
    answer = fit_box(fleet_of(small).snapshot(), line, box(3, 1, leader=pod(cpu=1000), worker=pod(gpu=8)))
    assert isinstance(answer, Placed)
    assert answer.slots == ("h-1-0", "h-0-0", "h-2-0")


def test_whoever_stands_on_the_box_is_evicted_the_cheapest_first() -> None:
    grid = torus(4, 2, wraps=(False, False))
    wide = Victim("default/wide-0", 0, tuple((named((x, 0)), ((GPU, 8),)) for x in range(2)))
    small = Victim("default/small-0", 0, ((named((3, 0)), ((GPU, 8),)),))
    snapshot = fleet_of(hosts(grid), [*taken((2, 1)), *standing([wide, small])]).snapshot()
    answer = preempt_box(snapshot, grid, box(2, 1, priority=5), [wide, small])
    assert isinstance(answer, Eviction)
    assert answer.victims == ()
    answer = preempt_box(snapshot, grid, box(2, 2, priority=5), [wide, small])
    assert isinstance(answer, Eviction)
    assert (answer.victims, answer.proof) == (("default/wide-0",), "optimal")
    nobody = preempt_box(snapshot, grid, box(2, 2), [wide, small])
    assert isinstance(nobody, Refused)


def test_the_solver_packs_what_the_greedy_order_does_not() -> None:
    grid = torus(3, 5, wraps=(False, False))
    wanted = [box(3, 2, name="a-0"), box(3, 3, name="b-0")]
    answer = pack_boxes(fleet(grid), grid, wanted)
    assert (answer.value, answer.bound, answer.proof) == (15, 15, "optimal")


def test_higher_priorities_are_packed_first() -> None:
    line = torus(4, 1, wraps=(False, False))
    wanted = [box(3, 1, name="low-0"), box(2, 1, name="high-0", priority=5)]
    low, high = pack_boxes(fleet(line), line, wanted).decisions
    assert isinstance(low, Refused)
    assert isinstance(high, Placed)


def test_what_is_no_box_is_said_so() -> None:
    grid = torus(2, 2)
    with pytest.raises(ValueError, match="has 3 members, which is no box of 2 x 2 hosts"):
        fit_box(fleet(grid), grid, BoxRequest(group("odd-0", 3), (2, 2)))
    with pytest.raises(ValueError, match="two nodes of the torus have the same coordinates"):
        Torus((2, 2), (True, True), {"a": (0, 0), "b": (0, 0)})
    with pytest.raises(ValueError, match=r"has no coordinates \(2, 0\), where a is"):
        Torus((2, 2), (True, True), {"a": (2, 0)})


# --- against all boxes written down ----------------------------------------------------------------------------------


@st.composite
def tori(draw: st.DrawFn) -> tuple[Torus, list[Cell]]:
    shape = draw(st.sampled_from([(3, 3), (2, 4), (4, 3), (2, 2, 3), (1, 4)]))
    wraps = tuple(draw(st.booleans()) for _ in shape)
    cells = [*product(*(range(size) for size in shape))]
    holes = draw(st.lists(st.sampled_from(cells), max_size=2))
    full = draw(st.lists(st.sampled_from(cells), max_size=5, unique=True))
    where = torus(*shape, wraps=wraps, holes=holes)
    return where, [cell for cell in full if cell not in holes]


sides = st.sampled_from([(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (1, 2)])


@given(tori(), sides)
@settings(max_examples=60, deadline=None)
def test_a_box_is_refused_only_where_no_box_is_free(case: tuple[Torus, list[Cell]], wanted: Cell) -> None:
    where, full = case
    free = frozenset(where.coordinates.values()) - {*full}
    answer = fit_box(fleet(where, *full), where, box(*wanted))
    choices = {each for each in boxes(where.shape, where.wraps, wanted) if each <= free}
    if not choices:
        assert isinstance(answer, Refused)
        return
    assert cells_of(where, answer) in choices


@given(tori(), sides, st.data())
@settings(max_examples=60, deadline=None)
def test_no_cheaper_eviction_frees_a_box(case: tuple[Torus, list[Cell]], wanted: Cell, data: st.DataObject) -> None:
    where, full = case
    cells = sorted(where.coordinates.values())
    victims: list[Victim] = []
    left = [cell for cell in cells if cell not in full]
    for index in range(data.draw(st.integers(0, 4))):
        held = data.draw(st.lists(st.sampled_from(left), max_size=3, unique=True)) if left else []
        left = [cell for cell in left if cell not in held]
        if held:
            pods = tuple((named(cell), ((GPU, 8),)) for cell in held)
            victims.append(Victim(f"default/v-{index}", data.draw(st.integers(0, 1)), pods, data.draw(st.booleans())))
    snapshot = fleet_of(hosts(where), [*taken(*full), *standing(victims)]).snapshot()
    request = box(*wanted, priority=5)

    def enough(gone: frozenset[str]) -> bool:
        there = {where.coordinates[node] for each in victims if each.key not in gone for node, _ in each.pods}
        free = {*cells} - {*full} - there
        return any(each <= free for each in boxes(where.shape, where.wraps, wanted))

    best = cheapest_eviction(victims, enough)
    answer = preempt_box(snapshot, where, request, victims)
    if best is None:
        assert isinstance(answer, Refused)
        return
    assert isinstance(answer, Eviction)
    assert cost_of([each for each in victims if each.key in answer.victims], victims) == best
    assert (answer.proof, answer.value) == ("optimal", answer.bound)


@given(tori(), st.lists(sides, min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_no_packing_places_more_members(case: tuple[Torus, list[Cell]], wanted: list[Cell]) -> None:
    where, full = case
    snapshot = fleet(where, *full)
    requests = [box(*each, name=f"g{number}-0") for number, each in enumerate(wanted)]
    answer = pack_boxes(snapshot, where, requests)
    free = frozenset(where.coordinates.values()) - {*full}
    assert answer.value == answer.bound == most_members(where.shape, where.wraps, free, wanted)
    greedy = pack_boxes(snapshot, where, requests, Budget(deterministic_time=0))
    assert greedy.value <= answer.value <= greedy.bound
    placed = [each for each in answer.decisions if isinstance(each, Placed)]
    assert sum(len(each.slots) for each in placed) == answer.value
    for each in placed:
        [request] = [wanted.request for wanted in requests if wanted.request.key == each.key]
        others = [place for other in placed if other is not each for place in cells_of(where, other)]
        facts = fleet(where, *full, *others).facts().values()
        assert violations(facts, replace(request, required=""), each) == []
