from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product

from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.placement import BatchAnswer, Budget, GroupRequest, Placed, Tenant, plan_together
from lws_sched.placement.alike import best_of_alike
from lws_sched.placement.assignment import Kind, Model
from lws_sched.placement.room import Asked
from tests.unit.placement.cluster import GPU, RACK, Standing, fleet_of, group, pod, racks

GREEDY = Budget(deterministic_time=0)
HOSTS = 8
"""Of a rack in the property tests."""


def test_of_more_racks_than_one_model_takes_none_could_be_filled_better() -> None:
    snapshot = fleet_of(racks(80, 10)).snapshot()
    waiting = groups_of([5, 7, 7, 4, 5] * 40)
    answer = plan_together(snapshot, waiting, Budget())
    by_rack = sizes_by_rack(waiting, answer)
    assert plan_together(snapshot, waiting, GREEDY).value < 700
    assert Counter(by_rack.values()) == {(5, 5): 40, (4, 4): 20, (7,): 20}
    assert (answer.value, answer.bound, answer.proof) == (700, 700, "optimal")


def test_a_rack_of_its_own_for_each_goes_to_the_largest_that_find_one() -> None:
    taken = [filler(rack, host) for rack in range(70) for host in range(rack % 4)]
    snapshot = fleet_of(racks(70, 6), taken).snapshot()
    waiting = [replace(each, exclusive=RACK) for each in groups_of([3, 4, 5, 6] * 30)]
    answer = plan_together(snapshot, waiting, Budget())
    assert Counter(sizes_by_rack(waiting, answer).values()) == {(6,): 18, (5,): 18, (4,): 17, (3,): 17}
    assert (answer.value, answer.proof) == (317, "optimal")


def test_what_would_place_more_but_not_all_that_must_stay_does_not_count() -> None:
    snapshot = fleet_of(racks(70, 6)).snapshot()
    high = [replace(each, priority=5) for each in groups_of([4] * 70, name="high")]
    answer = plan_together(snapshot, [*groups_of([3] * 140, name="low"), *high], Budget())
    assert {each.key for each in answer.decisions if isinstance(each, Placed)} == {each.key for each in high}
    assert (answer.value, answer.bound, answer.proof) == (280, 280, "optimal")


def test_of_groups_of_one_size_those_that_must_stay_come_first() -> None:
    plain, wishing = groups_of([4] * 3), [replace(each, preferred=(RACK,)) for each in groups_of([4], name="wishing")]
    found = best_of_alike(on_empty_racks(2, 4, alike(plain, must=1), alike(wishing, must=1)), 0.5)
    assert found is not None
    assert [sum(row.values()) for row in found.counts or ()] == [1, 1]


def test_groups_that_return_to_their_nodes_are_left_where_they_are() -> None:
    snapshot = fleet_of(racks(1, 4)).snapshot()
    waiting = [group(f"g{size}-0", size, stay=tuple(f"r0-h{host}" for host in range(size))) for size in (2, 3)]
    assert plan_together(snapshot, waiting, Budget()).value == 3


def test_too_many_patterns_are_left_to_the_other_way() -> None:
    by_size = [groups_of([size] * 9, name=f"of-{size}-") for size in range(2, 14)]
    kinds = [alike(groups) for groups in by_size]
    assert best_of_alike(on_empty_racks(1, 120, *kinds[-3:]), 0.5) is not None
    assert best_of_alike(on_empty_racks(1, 120, *kinds), 0.5) is None
    snapshot = fleet_of(racks(1, 120)).snapshot()
    assert plan_together(snapshot, [*chain.from_iterable(by_size)], Budget()).value == 120


def test_members_that_differ_are_left_to_the_other_way() -> None:
    busier = group("busier-0", 2, pod(gpu=8, cpu=1), required=RACK)
    avoiding = group("avoiding-0", 2, required=RACK, avoid=frozenset({"r0-h0"}))
    alone = group("alone-0", 2, exclusive=RACK)
    for other in (busier, avoiding, alone):
        assert best_of_alike(on_empty_racks(2, 4, alike(groups_of([2])), alike([other])), 0.5) is None
    elsewhere = replace(alone, key="elsewhere/alone-0")
    assert best_of_alike(on_empty_racks(2, 4, alike([alone]), alike([elsewhere])), 0.5) is None


def test_a_group_stays_where_it_stands_if_the_pattern_has_room_for_it() -> None:
    five, four, two = ([each] for each in groups_of([5, 4, 2]))
    found = best_of_alike(on_empty_racks(2, 6, alike(five, standing={1: 1}), alike(four), alike(two)), 0.5)
    assert found is not None
    assert found.counts == [{1: 1}, {0: 1}, {0: 1}]


def test_groups_of_one_size_do_not_change_places() -> None:
    plain, wishing = groups_of([4]), [replace(each, preferred=(RACK,)) for each in groups_of([4], name="wishing")]
    model = on_empty_racks(2, 4, alike(plain, standing={1: 1}), alike(wishing, standing={0: 1}))
    found = best_of_alike(model, 0.5)
    assert found is not None
    assert found.counts == [{1: 1}, {0: 1}]


@dataclass(frozen=True)
class Hall:
    """Racks of whole hosts: how many are free in each, and by whom a rack is held for itself, if by anybody."""

    free: Sequence[int]
    holders: Sequence[str]
    """By rack, the namespace; "" for nobody."""
    waiting: Sequence[GroupRequest]

    def answer(self) -> BatchAnswer:
        taken = [filler(rack, host) for rack, free in enumerate(self.free) for host in range(free, HOSTS)]
        held = [
            Standing(f"holder-{rack}", f"r{rack}-h0", {}, Tenant(f"{namespace}/holder-{rack}", namespace, RACK))
            for rack, namespace in enumerate(self.holders)
            if namespace
        ]
        return plan_together(fleet_of(racks(len(self.free), HOSTS), [*taken, *held]).snapshot(), self.waiting, Budget())

    def most(self, wanting: Sequence[GroupRequest], admitted: Sequence[GroupRequest]) -> int:
        """Members of the wanting that can be placed beside all that are admitted: tries every rack for every group."""
        everywhere = [range(len(self.free))] * len(admitted) + [range(-1, len(self.free))] * len(wanting)
        return max(
            sum(each.size for each, rack in zip(wanting, choice[len(admitted) :], strict=True) if rack >= 0)
            for choice in product(*everywhere)
            if self._is_allowed([*zip((*admitted, *wanting), choice, strict=True)])
        )

    def _is_allowed(self, places: Sequence[tuple[GroupRequest, int]]) -> bool:
        return all(
            self._takes(rack, [request for request, place in places if place == rack]) for rack in range(len(self.free))
        )

    def _takes(self, rack: int, groups: Sequence[GroupRequest]) -> bool:
        by_namespace = Counter(each.key.split("/")[0] for each in groups)
        owners = {each.key.split("/")[0] for each in groups if each.exclusive}
        return (
            sum(each.size for each in groups) <= self.free[rack]
            and all(by_namespace[owner] == 1 for owner in owners)
            and self.holders[rack] not in by_namespace
        )


@st.composite
def halls(draw: st.DrawFn) -> Hall:
    free = draw(st.lists(st.integers(0, HOSTS - 1), min_size=1, max_size=3))
    holders = [draw(st.sampled_from(["", "", "", "default", "elsewhere"])) for _ in free]
    namespaces = st.sampled_from(draw(st.sampled_from([["default"], ["default", "elsewhere"]])))
    exclusive = st.sampled_from(draw(st.sampled_from([[""], [RACK], ["", RACK]])))
    priorities = st.sampled_from([0, 0, 5])
    waiting = [
        replace(each, key=f"{draw(namespaces)}/{number}", exclusive=draw(exclusive), priority=draw(priorities))
        for number, each in enumerate(groups_of(draw(st.lists(st.integers(1, 6), min_size=3, max_size=5))))
    ]
    return Hall(free, holders, waiting)


@settings(max_examples=150, deadline=None)
@given(halls())
def test_whole_host_batches_place_all_that_can_be_placed_and_prove_it(hall: Hall) -> None:
    answer = hall.answer()
    kept = {each.key for each in answer.decisions if isinstance(each, Placed)}
    high = [each for each in hall.waiting if each.priority]
    low = [each for each in hall.waiting if not each.priority]
    admitted = [each for each in high if each.key in kept]
    assert sum(each.size for each in admitted) == hall.most(high, [])
    assert sum(each.size for each in low if each.key in kept) == hall.most(low, admitted)
    assert answer.proof == "optimal"


def groups_of(sizes: Sequence[int], name: str = "g") -> list[GroupRequest]:
    """Oldest first; every member takes a host of the group's rack."""
    return [group(f"{name}{at}-0", size, required=RACK, created=f"{at:04}") for at, size in enumerate(sizes)]


def filler(rack: int, host: int) -> Standing:
    return Standing(f"filler-{rack}-{host}", f"r{rack}-h{host}", {GPU: 8})


def sizes_by_rack(waiting: Sequence[GroupRequest], answer: BatchAnswer) -> dict[str, tuple[int, ...]]:
    """The sizes of the groups that each rack takes, the largest first."""
    by_rack: dict[str, list[int]] = {}
    for request, decision in zip(waiting, answer.decisions, strict=True):
        if isinstance(decision, Placed):
            by_rack.setdefault(decision.domain_value, []).append(request.size)
    return {rack: tuple(sorted(sizes, reverse=True)) for rack, sizes in by_rack.items()}


def alike(groups: Sequence[GroupRequest], must: int = 0, standing: Mapping[int, int] | None = None) -> Kind:
    keys = Asked(base=(RACK,), exclusive=groups[0].exclusive, preferred=groups[0].preferred)
    return Kind(tuple(groups), keys, must, standing or {})


def on_empty_racks(count: int, size: int, *kinds: Kind) -> Model:
    snapshot = fleet_of(racks(count, size)).snapshot()
    return Model(snapshot, snapshot.table.partition((RACK,)), (*range(count),), kinds)
