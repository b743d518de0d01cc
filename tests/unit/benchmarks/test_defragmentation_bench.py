"""The defragmentation benchmark's cases, its least, and its refusal of moves that cannot be carried out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.placement.arrivals import RULES, group
from benchmarks.placement.defragmentation import Blocked, Case, blocked, greedy_pods, least_pods, play
from benchmarks.placement.fleets import RACK, generated
from benchmarks.placement.floor import Floor, Waiting, WrongPlacement
from lws_sched.placement import Move

HOSTS = 16


def standing(racks: Sequence[Sequence[int]], size: int) -> Blocked:
    """Racks of 16 hosts with groups of these sizes, and a group that is to come in."""
    nodes = generated(len(racks), HOSTS)
    floor, groups = Floor(nodes, with_fleet=False), []
    for rack, sizes in enumerate(racks):
        host = rack * HOSTS
        for number, each in enumerate(sizes):
            waiting = Waiting(group(f"g{rack}-{number}", RULES["B"], each, nodes))
            floor.bind(waiting, {index: host + index for index in range(each)})
            groups.append(waiting)
            host += each
    return Blocked(0, floor, tuple(groups), group("blocked", RULES["B"], size, nodes))


def test_the_least_is_the_cheapest_rack_to_clear() -> None:
    one = standing([[8, 4], [8, 3], [10]], size=8)
    assert (least_pods(one), greedy_pods(one)) == (3, 3)


def test_a_chain_is_beyond_greedy() -> None:
    # Two hosts leave rack 1 for rack 2, so that six fit where five did, and rack 0 has ten free.
    one = standing([[6, 6], [9, 2], [14]], size=8)
    assert (least_pods(one), greedy_pods(one)) == (8, None)


def test_nothing_helps_where_the_hosts_are_too_few() -> None:
    assert least_pods(standing([[16], [10]], size=8)) is None


def test_cases_are_blocked_but_not_for_lack_of_hosts() -> None:
    case = Case(8, 16, 0.87, 1)
    one = blocked(case, seed=3)
    free = np.bincount(one.floor.levels[RACK], weights=one.floor.room(one.request.worker))
    assert free.max() < case.size <= free.sum()
    assert [each.held for each in one.standing] == [each.held for each in blocked(case, seed=3).standing]


def test_a_move_to_hosts_that_are_taken_is_not_played() -> None:
    one = standing([[8, 8], [8]], size=16)
    mover = one.standing[2]
    before = one.floor.slots(mover)
    taken = tuple(one.floor.names[index] for index in range(8))
    with pytest.raises(WrongPlacement, match="has 0 free"):
        play(one, [Move(mover.request.key, tuple(range(8)), before, taken)])


def test_a_move_to_free_hosts_is_played() -> None:
    one = standing([[8], [8]], size=16)
    mover = one.standing[0]
    free = tuple(one.floor.names[index] for index in range(HOSTS + 8, HOSTS + 16))
    play(one, [Move(mover.request.key, tuple(range(8)), one.floor.slots(mover), free)])
    assert one.floor.room(one.request.worker)[:HOSTS].sum() == HOSTS
