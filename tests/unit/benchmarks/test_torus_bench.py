from __future__ import annotations

import pytest

from benchmarks.placement.torus import POLICIES, Cells, Instance, Sides, best_bound, cells_of, check
from tests.oracle.moves_torus import most_members

SHAPE = (3, 3, 2)
HOLES = frozenset({(0, 0, 0), (1, 1, 1)})


def instance(*wanted: Sides) -> Instance:
    free = frozenset((x, y, z) for x in range(3) for y in range(3) for z in range(2)) - HOLES
    return Instance(SHAPE, free, wanted)


WANTED = instance((1, 2, 2), (1, 1, 3), (2, 2, 2), (1, 1, 2), (1, 2, 3))


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_places_boxes_that_are_free_and_no_more_than_the_bound(name: str) -> None:
    answer = POLICIES[name](WANTED)
    check(WANTED, answer.boxes)
    assert 0 < answer.members <= best_bound(WANTED, seconds=2.0)


def test_the_bound_is_what_trying_everything_finds_on_a_small_torus() -> None:
    small = instance((1, 2, 2), (2, 2, 2), (1, 2, 3))
    assert best_bound(small, seconds=5.0) == most_members(SHAPE, (True,) * 3, small.free, small.wanted)


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        pytest.param([((1, 1, 2), cells_of(SHAPE, (0, 0, 0), (1, 1, 2)))], "is not free", id="a host out of order"),
        pytest.param([((1, 1, 2), frozenset({(2, 2, 0), (2, 1, 1)}))], "is no box", id="hosts that do not touch"),
        pytest.param([((1, 1, 2), cells_of(SHAPE, (2, 2, 0), (1, 1, 2)))] * 2, "is not free", id="a host given twice"),
        pytest.param([((1, 1, 1), cells_of(SHAPE, (2, 2, 0), (1, 1, 1)))], "more boxes", id="a box nobody wants"),
    ],
)
def test_a_wrong_box_is_told(boxes: list[tuple[Sides, Cells]], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check(WANTED, boxes)
