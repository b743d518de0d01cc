"""Boxes in a torus, found by writing all of them down. Shares no code with the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations, product

Cell = tuple[int, ...]


def boxes(shape: Cell, wraps: tuple[bool, ...], box: Cell) -> Iterator[frozenset[Cell]]:
    """Every set of cells that is a box of these sides, in any rotation. A side of 1 needs no axis."""
    longer = tuple(side for side in box if side > 1)
    if len(longer) > len(shape):
        return
    padded = longer + (1,) * (len(shape) - len(longer))
    for sides in {*permutations(padded)}:
        for anchor in product(*(range(size) for size in shape)):
            cells = {tuple(a + s for a, s in zip(anchor, step, strict=True)) for step in product(*map(range, sides))}
            if any(side > size for side, size in zip(sides, shape, strict=True)):
                continue
            if any(
                at >= size and not wrap for cell in cells for at, size, wrap in zip(cell, shape, wraps, strict=True)
            ):
                continue
            yield frozenset(tuple(at % size for at, size in zip(cell, shape, strict=True)) for cell in cells)


def most_members(shape: Cell, wraps: tuple[bool, ...], free: frozenset[Cell], wanted: Sequence[Cell]) -> int:
    """At most how many members find a place, over all choices of groups and boxes."""
    if not wanted:
        return 0
    first, *rest = wanted
    best = most_members(shape, wraps, free, rest)
    for cells in {*boxes(shape, wraps, first)}:
        if cells <= free:
            best = max(best, len(cells) + most_members(shape, wraps, free - cells, rest))
    return best
