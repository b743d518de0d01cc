from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lws_sched.placement import GroupRequest
from lws_sched.placement.board import Board
from lws_sched.placement.exact import search
from lws_sched.placement.packing import MOST_REMEMBERED, pack
from lws_sched.placement.room import NEVER, Need, Room, measured, worker_of
from lws_sched.placement.snapshot import Snapshot
from tests.oracle.instances import instance
from tests.oracle.run import fleet_of
from tests.unit.placement.cluster import BLOCK, RACK, group, racks
from tests.unit.placement.cluster import fleet_of as small_fleet


def queue(random: Random) -> tuple[Snapshot, list[GroupRequest]]:
    """One cluster, and groups of a few kinds that want to go there."""
    first = instance(random)
    kinds = [first.group, *(instance(random).group for _ in range(random.randint(0, 2)))]
    groups = [replace(random.choice(kinds), key=f"{random.choice(['here', 'there'])}/q{i}-0") for i in range(8)]
    return fleet_of(first).snapshot(), [each if random.random() < 0.3 else replace(each, stay=()) for each in groups]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 32))
@example(3793)  # the level that must be shared is the preferred one, too
def test_a_board_puts_every_group_where_the_search_does(seed: int) -> None:
    snapshot, groups = queue(Random(seed))
    board = Board(snapshot)
    for request in groups:
        expected = search(snapshot, request)
        assert board.place(request) == expected, request
        if expected is not None:
            snapshot = snapshot.with_group(request, expected.slots)
    after = board.snapshot()
    assert np.array_equal(after.free, snapshot.free)
    assert after.facts() == snapshot.facts()


def test_a_board_keeps_groups_apart_that_ask_for_it() -> None:
    board = Board(small_fleet(racks(4, 4)).snapshot())
    board.place(group("shared-0", 2, required=RACK))
    alone = board.place(group("alone-0", 2, exclusive=RACK))
    later = [board.place(group(f"later-{i}", 2, required=BLOCK, preferred=(RACK,))) for i in range(9)]
    assert alone is not None
    assert alone.domain_value == "rack-1"
    placed = [each for each in later if each is not None]
    assert len(placed) == 5
    assert not any(slot.startswith("r1-") for each in placed for slot in each.slots)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 32))
def test_what_is_kept_from_snapshot_to_snapshot_changes_no_answer(seed: int) -> None:
    random = Random(seed)
    first = instance(random)
    assume(len(first.nodes) > 1)  # one stays
    fleet, shapes = fleet_of(first), [replace(instance(random).group, stay=()) for _ in range(3)]
    for step in range(12):
        node = random.choice(first.nodes[1:])
        match random.randint(0, 3):
            case 0:
                fleet.charge(f"x{random.randint(0, 3)}", node.name, {"cpu": random.randint(0, 3)})
            case 1:
                fleet.release(f"x{random.randint(0, 3)}")
            case 2:
                fleet.set_node(replace(node, schedulable=random.random() < 0.5))
            case 3 if step % 3 == 0:
                fleet.remove_node(node.name)
        snapshot, request = fleet.snapshot(), random.choice(shapes)
        fresh = replace(snapshot)
        assert search(snapshot, request) == search(fresh, request)
        check_room(snapshot, fresh, request)
        trial = snapshot.with_group(replace(request, key="here/trial-0"), snapshot.table.names[:1] * request.size)
        assert search(trial, request) == search(replace(trial), request)
        check_room(trial, replace(trial), request)


def check_room(snapshot: Snapshot, fresh: Snapshot, request: GroupRequest) -> None:
    """Figures brought up to date are those worked out anew, by node and by domain, and what is known of the fullest
    domain bounds all."""
    kept, anew = (measured(each, request.leader, worker_of(request)) for each in (snapshot, fresh))
    assert (kept.workers.tolist(), kept.loss.tolist()) == (anew.workers.tolist(), anew.loss.tolist())
    for keys, (total, least) in kept.tallies.items():
        part = snapshot.table.partition(keys)
        assert (total.tolist(), least.tolist()) == (part.total(anew.workers).tolist(), part.least(anew.loss).tolist())
    for keys, most in kept.most.items():
        part = snapshot.table.partition(keys)
        assert (part.total(anew.workers) - part.least(anew.loss) <= most).all()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 2)), min_size=2, max_size=6),
    st.booleans(),
    st.integers(1, 12),
)
def test_a_small_domain_is_packed_as_if_hosts_without_room_made_it_too_large_to_remember(
    hosts: list[tuple[int, int, int]], leader: bool, workers: int
) -> None:
    table = small_fleet(racks(1, len(hosts) + MOST_REMEMBERED)).snapshot().table
    full = [(0, NEVER, 0)] * MOST_REMEMBERED
    caps, loss, idle = np.array([(cap, min(lost, cap), kind) for cap, lost, kind in hosts] + full, dtype=np.int64).T
    if int(caps.sum()) - leader * int(loss.min()) < workers:
        return
    small, large = np.arange(len(hosts)), np.arange(len(caps))
    need = Need(leader, workers)
    alike = [pack(table, Room(caps, loss), nodes, need, (), idle[nodes]) for nodes in (small, small, large)]
    assert alike[0] == alike[1] == alike[2]
