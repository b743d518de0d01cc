from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from lws_sched.placement import (
    Defragmentation,
    GroupRequest,
    Movable,
    NodeState,
    Placed,
    Refused,
    Tenant,
    defragment,
    violations,
)
from tests.oracle.moves_defragment import Host, Set, fewest_pods
from tests.unit.placement.cluster import GPU, RACK, Standing, fleet_of, group, host, pod, racks


def standing(movables: Sequence[Movable]) -> list[Standing]:
    return [
        Standing(
            f"{each.request.key}/{index}",
            node,
            dict((each.request.worker if index else each.request.leader).requests),
            Tenant(each.request.key, each.request.key.partition("/")[0], each.request.exclusive),
        )
        for each in movables
        for index, node in enumerate(each.slots)
    ]


def there(name: str, *nodes: str, gpu: int = 8, **more: object) -> Movable:
    """A group with one member on each of the nodes, which must share a rack."""
    request = group(name, len(nodes), pod(gpu=gpu), **{"required": RACK, **more})  # type: ignore[arg-type]
    return Movable(request, nodes)


def hosts(rack: int, *numbers: int) -> tuple[str, ...]:
    return tuple(f"r{rack}-h{number}" for number in numbers)


def waiting(size: int, **more: object) -> GroupRequest:
    return group("waiting-0", size, **{"required": RACK, **more})  # type: ignore[arg-type]


def carried_out(nodes: Sequence[NodeState], movables: Sequence[Movable], answer: Defragmentation) -> None:
    """Every move goes to room that is free at that moment, whole where it must be, and the group fits at the end."""
    now = {each.request.key: each for each in movables}
    for move in answer.moves:
        movable = now[move.key]
        facts = fleet_of(nodes, standing([*now.values()])).snapshot().facts().values()
        request = movable.request
        if len(move.members) < request.size:
            [index] = move.members
            shape = request.worker if index else request.leader
            request = replace(request, size=1, leader=shape, worker=shape)
        assert tuple(movable.slots[index] for index in move.members) == move.before
        assert violations(facts, request, Placed(move.key, move.after, "", "", "")) == []
        slots = dict(enumerate(movable.slots)) | dict(zip(move.members, move.after, strict=True))
        now[move.key] = Movable(movable.request, tuple(slots[index] for index in range(len(slots))))
    assert sum(len(move.members) for move in answer.moves) == answer.value


def plan(nodes: Sequence[NodeState], movables: Sequence[Movable], request: GroupRequest) -> Defragmentation:
    answer = defragment(fleet_of(nodes, standing(movables)).snapshot(), request, movables)
    assert isinstance(answer, Defragmentation), answer
    carried_out(nodes, movables, answer)
    after = fleet_of(nodes, standing(_after(movables, answer))).snapshot()
    assert violations(after.facts().values(), request, answer.placed) == []
    assert answer.bound <= answer.value
    return answer


def _after(movables: Sequence[Movable], answer: Defragmentation) -> list[Movable]:
    slots = {each.request.key: list(each.slots) for each in movables}
    for move in answer.moves:
        for index, node in zip(move.members, move.after, strict=True):
            slots[move.key][index] = node
    return [Movable(each.request, tuple(slots[each.request.key])) for each in movables]


def moves(answer: Defragmentation) -> list[str]:
    return [move.key.removeprefix("default/") for move in answer.moves]


def test_nothing_moves_for_a_group_that_fits() -> None:
    answer = plan(racks(2, 2), [there("a-0", "r0-h0")], waiting(2))
    assert (answer.moves, answer.value, answer.proof) == ((), 0, "optimal")


def test_the_smallest_group_in_the_way_moves_to_another_rack() -> None:
    movables = [there("two-0", *hosts(0, 0, 1)), there("one-0", *hosts(1, 0)), there("wide-0", *hosts(2, 0, 1, 2))]
    answer = plan(racks(3, 4), movables, waiting(4))
    assert (moves(answer), answer.value, answer.bound, answer.proof) == (["one-0"], 1, 1, "optimal")
    assert answer.placed.domain_value == "rack-1"
    assert answer.reason == "moving 1 pod of 1 group, in 1 move, makes room in rack-1"


def test_a_chain_makes_room_where_no_single_move_does() -> None:
    """Rack 0 must be emptied of three hosts; only rack 1 can take them, and only once its own pair has left."""
    movables = [
        there("three-0", *hosts(0, 0, 1, 2)),
        there("pair-0", *hosts(1, 0, 1)),
        there("full-0", *hosts(2, 0, 1)),
    ]
    fixed = [Standing(node, node, {GPU: 8}) for node in ("r1-h2", "r2-h2", "r2-h3", "r3-h0", "r3-h1")]
    snapshot = fleet_of(racks(4, 4), [*standing(movables), *fixed]).snapshot()
    answer = defragment(snapshot, waiting(4), movables)
    assert isinstance(answer, Defragmentation)
    assert moves(answer) == ["pair-0", "three-0"]
    assert (answer.value, answer.bound, answer.proof) == (5, 5, "optimal")


def test_two_groups_that_would_have_to_change_places_are_left_alone() -> None:
    """Each would have to wait for the other's room: nothing is promised."""
    nodes = [*racks(1, 2), *racks(2, 3)[3:]]
    movables = [there("a-0", *hosts(0, 0)), there("b-0", *hosts(1, 0, 1))]
    fixed = [Standing("x", "r1-h2", {GPU: 8})]
    answer = defragment(fleet_of(nodes, [*standing(movables), *fixed]).snapshot(), waiting(2), movables)
    assert isinstance(answer, Refused)


def test_what_may_not_be_moved_stays() -> None:
    movables = [there("a-0", *hosts(0, 0))]
    fixed = [Standing("x", "r1-h0", {GPU: 8}), Standing("y", "r1-h1", {GPU: 8})]
    answer = defragment(fleet_of(racks(2, 2), [*standing(movables), *fixed]).snapshot(), waiting(2), movables)
    assert isinstance(answer, Refused)
    assert answer.proof == "infeasible"
    assert "no moving of others makes room" in answer.reason


def test_a_group_that_is_larger_than_any_rack_is_refused_at_once() -> None:
    movables = [there("a-0", *hosts(0, 0))]
    answer = defragment(fleet_of(racks(1, 2), standing(movables)).snapshot(), waiting(3), movables)
    assert isinstance(answer, Refused)
    assert "even with all that may be moved out of the way" in answer.reason


def test_single_pods_are_gathered_to_free_a_whole_host() -> None:
    """Four hosts with two of eight GPUs taken each: free GPUs enough, but no free host."""
    movables = [there(f"p-{index}", f"r0-h{index}", gpu=2, required="") for index in range(4)]
    answer = plan(racks(1, 4), movables, waiting(1))
    assert (answer.value, answer.bound, answer.proof) == (1, 1, "optimal")
    assert plan(racks(1, 4), movables, waiting(2)).value == 2
    assert plan(racks(1, 4), movables, waiting(3)).value == 3


def test_the_pods_of_a_group_without_a_topology_move_one_by_one() -> None:
    movables = [there("loose-0", "r0-h0", "r1-h0", required="")]
    fixed = [Standing("x", "r1-h1", {GPU: 8})]
    nodes = racks(3, 2)[:5]
    snapshot = fleet_of(nodes, [*standing(movables), *fixed]).snapshot()
    answer = defragment(snapshot, waiting(2), movables)
    assert isinstance(answer, Defragmentation)
    [move] = answer.moves
    assert (move.members, move.before, move.after) == ((0,), ("r0-h0",), ("r2-h0",))


def test_groups_keep_their_exclusive_racks_when_they_move() -> None:
    """The only rack with free hosts is held by somebody else of the namespace."""
    movables = [there("owner-0", *hosts(0, 0), exclusive=RACK), there("other-0", *hosts(1, 0))]
    answer = defragment(fleet_of(racks(2, 3), standing(movables)).snapshot(), waiting(3), movables)
    assert isinstance(answer, Refused)
    elsewhere = [there("owner-0", *hosts(0, 0), exclusive=RACK), there("other-0", *hosts(1, 0))]
    answer = plan(racks(3, 3)[:7], elsewhere, waiting(3))
    assert answer.value == 1


def test_cordoned_hosts_take_nothing_and_give_nothing() -> None:
    nodes = [*racks(2, 2), replace(host("c0", "rack-c"), schedulable=False)]
    movables = [there("a-0", *hosts(0, 0)), there("b-0", "c0")]
    answer = plan(nodes, movables, waiting(2))
    assert answer.moves == ()
    fixed = [Standing("x", "r1-h0", {GPU: 8})]
    snapshot = fleet_of(nodes, [*standing(movables), *fixed]).snapshot()
    moved = defragment(snapshot, waiting(2), movables)
    assert isinstance(moved, Defragmentation)
    assert [(move.key, move.after) for move in moved.moves] == [("default/a-0", ("r1-h1",))]


# --- against trying all moves ----------------------------------------------------------------------------------------


@st.composite
def fragmented(draw: st.DrawFn, gpus: tuple[int, ...]) -> tuple[list[NodeState], list[Movable], GroupRequest]:
    nodes = [
        host(f"r{rack}-h{index}", f"rack-{rack}")
        for rack in range(draw(st.integers(2, 3)))
        for index in range(draw(st.integers(1, 3)))
    ]
    free = {node.name: 8 for node in nodes}
    movables: list[Movable] = []
    for index in range(draw(st.integers(1, 4))):
        gpu, size = draw(st.sampled_from(gpus)), draw(st.integers(1, 2))
        rack = draw(st.sampled_from(sorted({name.partition("-")[0] for name in free})))
        slots: list[str] = []
        for name in draw(st.permutations(sorted(free))):
            while name.startswith(f"{rack}-") and len(slots) < size and free[name] >= gpu:
                free[name] -= gpu
                slots.append(name)
        if len(slots) == size:
            required = RACK if size > 1 or draw(st.booleans()) else ""
            movables.append(there(f"g-{index}", *slots, gpu=gpu, required=required))
    request = waiting(draw(st.integers(1, 3)), worker=pod(gpu=draw(st.sampled_from(gpus))))
    return nodes, movables, replace(request, leader=request.worker)


def tried_out(nodes: Sequence[NodeState], movables: Sequence[Movable], request: GroupRequest, once: bool) -> int | None:
    def as_set(each: GroupRequest) -> Set:
        return Set(each.size, dict(each.worker.requests)[GPU], bool(each.required))

    return fewest_pods(
        {node.name: Host(node.labels[RACK], node.allocatable[GPU]) for node in nodes},
        [as_set(each.request) for each in movables],
        [each.slots for each in movables],
        as_set(request),
        once,
    )


@given(fragmented(gpus=(8,)))
@settings(max_examples=50, deadline=None)
def test_no_order_of_moves_of_whole_hosts_moves_fewer_pods(
    case: tuple[list[NodeState], list[Movable], GroupRequest],
) -> None:
    nodes, movables, request = case
    answer = defragment(fleet_of(nodes, standing(movables)).snapshot(), request, movables)
    best, ever = (tried_out(*case, once=once) for once in (True, False))
    if best is None:
        assert isinstance(answer, Refused)
        assert ever is None or answer.proof == "undecided"
        return
    assert isinstance(answer, Defragmentation)
    carried_out(nodes, movables, answer)
    assert answer.value == best
    assert ever is not None
    assert answer.bound <= ever <= answer.value
    assert (answer.proof == "optimal") == (answer.bound == answer.value)


@given(fragmented(gpus=(2, 4, 8)))
@settings(max_examples=50, deadline=None)
def test_where_hosts_are_shared_no_plan_beats_the_bound(
    case: tuple[list[NodeState], list[Movable], GroupRequest],
) -> None:
    nodes, movables, request = case
    answer = defragment(fleet_of(nodes, standing(movables)).snapshot(), request, movables)
    best = tried_out(*case, once=True)
    if isinstance(answer, Refused):
        assert best is None or answer.proof == "undecided"
        assert best is None
        return
    carried_out(nodes, movables, answer)
    assert best is not None
    assert answer.bound <= best <= answer.value
    event("proven" if answer.proof == "optimal" else "not proven")
