"""Sums over all boxes of a grid at once, by cumulative sums along each axis, across the seam where an axis wraps."""

from __future__ import annotations

import numpy as np

from lws_sched.placement.table import Ints

Box = tuple[int, ...]
"""Hosts along each axis."""


def window_sums(values: Ints, box: Box, wraps: tuple[bool, ...]) -> Ints:
    """Per anchor (the box's lowest corner), the sum over the box. Along an axis that the box fills, and along one that
    does not wrap, only the anchors that differ are kept."""
    sums = values
    for axis, (length, wrap) in enumerate(zip(box, wraps, strict=True)):
        sums = _along(sums, axis, length, wrap and length < values.shape[axis])
    return sums


def contact(blocked: Ints, box: Box, wraps: tuple[bool, ...]) -> Ints:
    """Per anchor, how many hosts next to the box's faces are blocked; walls count as blocked hosts."""
    total = np.zeros_like(window_sums(blocked, box, wraps))
    for axis, length in enumerate(box):
        size = blocked.shape[axis]
        if wraps[axis] and length == size:
            continue
        face = tuple(1 if other == axis else extent for other, extent in enumerate(box))
        planes = np.moveaxis(window_sums(blocked, face, wraps), axis, 0)
        if wraps[axis]:
            before, after = np.roll(planes, 1, axis=0), np.roll(planes, -length, axis=0)
        else:
            wall = np.full_like(planes[:1], int(np.prod(face)))
            padded = np.concatenate([wall, planes, wall])
            before, after = padded[: size - length + 1], padded[length + 1 :]
        total += np.moveaxis(before + after, 0, axis)
    return total


def _along(values: Ints, axis: int, length: int, wrap: bool) -> Ints:
    lined = np.moveaxis(values, axis, 0)
    if wrap:
        lined = np.concatenate([lined, lined[: length - 1]])
    sums = np.concatenate([np.zeros_like(lined[:1]), np.cumsum(lined, axis=0)])
    return np.moveaxis(sums[length:] - sums[:-length], 0, axis)
