from __future__ import annotations

from lws_sched.extender.replacement import replacements
from lws_sched.placement import LEVELS, Fleet, Level, Placed, Refused, plan
from lws_sched.placement.topology import Axis
from tests.unit.placement.cluster import GPU, group
from tests.unit.placement.test_boxes import cells_in, named, node

SHAPE = (4, 2)


def row() -> Fleet:
    axes = tuple(Axis(f"example.com/{name}", length) for name, length in zip("xy", SHAPE, strict=True))
    made = Fleet((*LEVELS[:-1], Level("pod", ("example.com/pod",), axes)))
    for cell in cells_in(SHAPE):
        made.set_node(node("p0", cell))
    return made


def test_lost_members_of_a_box_go_back_to_their_own_hosts() -> None:
    fleet, slots = row(), [named("p0", cell) for cell in ((0, 0), (1, 0), (1, 1), (0, 1))]
    for name in slots[:2]:
        fleet.charge(f"at-{name}", name, {GPU: 8})
    snapshot, whole = fleet.snapshot(), group("square-0", 4, box=(2, 2))
    [request] = replacements(snapshot, whole, slots, {2, 3}, {}, 2)
    [decision] = plan(snapshot, [request])
    assert isinstance(decision, Placed)
    assert decision.slots == (slots[2], slots[3])


def test_a_lost_member_of_a_box_goes_nowhere_else() -> None:
    fleet, slots = row(), [named("p0", cell) for cell in ((0, 0), (1, 0), (1, 1), (0, 1))]
    fleet.remove_node(slots[3])
    [request] = replacements(fleet.snapshot(), group("square-0", 4, box=(2, 2)), slots, {3}, {}, 1)
    [decision] = plan(fleet.snapshot(), [request])
    assert isinstance(decision, Refused)
