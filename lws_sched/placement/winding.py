"""Ways through all hosts of a box, each next to the one before: the order of its ranks. Hosts are told by their steps
from the box's lowest corner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from lws_sched.placement.windows import Box

Step = tuple[int, ...]
Way = list[Step]
MOST_STEPS = 1_000
"""Tried in search of a way, about 10 ms: all there are in a box of a dozen hosts."""


def corner_walks(box: Box) -> list[Way]:
    """From each corner one, longer sides first."""
    axes = sorted(range(len(box)), key=lambda axis: (box[axis], axis))
    found = []
    for ends in product(*((0, 1) if length > 1 else (0,) for length in box)):
        walk: list[dict[int, int]] = [{}]
        for axis in reversed(axes):
            steps = range(box[axis]) if not ends[axis] else range(box[axis] - 1, -1, -1)
            walk = [
                {**each, axis: step}
                for number, step in enumerate(steps)
                for each in (reversed(walk) if number % 2 else walk)
            ]
        found.append([tuple(each[axis] for axis in range(len(box))) for each in walk])
    return found


def way_from(starts: Sequence[Step], box: Box, rings: Sequence[bool]) -> Way | None:
    """From the first of the starts from which one is found; None where none is. `rings`: the axes along which the first
    host is next to the last."""
    left = {*product(*map(range, box))}
    way: Way = []
    branches = [[*reversed(starts)]]
    """Where to go on from the start and from each host of the way, the next one last."""

    def ways_on(step: Step) -> list[Step]:
        return [each for each in _beside(step, box, rings) if each in left]

    for _ in range(MOST_STEPS):
        if not left:
            return way
        if branches[-1]:
            way.append(branches[-1].pop())
            left.remove(way[-1])
            # A host with few ways on is soon cut off.
            branches.append(sorted(ways_on(way[-1]), key=lambda each: -len(ways_on(each))))
        elif way:
            branches.pop()
            left.add(way.pop())
        else:
            return None
    return None


def _beside(step: Step, box: Box, rings: Sequence[bool]) -> Iterator[Step]:
    for axis, length in enumerate(box):
        for at in (step[axis] - 1, step[axis] + 1):
            if rings[axis] or 0 <= at < length:
                yield (*step[:axis], at % length, *step[axis + 1 :])
