"""Which nodes changed between two snapshots, so that what was worked out for one is brought up to date for the next.

A lineage is the history of one fleet: a log of node positions, one entry per change, that only grows. A snapshot is a
moment of it: the length of the log (its stamp). A trial that puts groups on a snapshot branches off, so that the
fleet's own log is never written by it. Whatever is derived from a snapshot in another way starts a lineage of its own.

`kept` remembers the newest value per key with its stamp. Values are immutable, so that snapshots may share them
between threads; two writers at once lose one value, which is worked out again.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from lws_sched.placement.table import Ints

KEPT = 256
"""Values remembered per lineage."""


class Lineage:
    """The log of one fleet, or of a branch."""

    def __init__(self, parent: Lineage | None = None, at: int = 0) -> None:
        self.log: list[int] = []
        self._parent = parent
        self._at = at
        self._kept: dict[Hashable, tuple[int, Any]] = {}

    def extended(self, stamp: int, positions: Ints) -> tuple[Lineage, int]:
        """The lineage and stamp of a trial in which these positions change: a branch goes on where nobody has gone on
        from the same moment; any other lineage is branched."""
        lineage = self if self._parent is not None and len(self.log) == stamp else Lineage(self, stamp)
        lineage.log.extend(positions.tolist())
        return lineage, len(lineage.log)

    def recall(self, key: Hashable, stamp: int) -> tuple[Any, Ints]:
        """The newest value for the key that is not younger than the stamp (None where there is none), and the positions
        changed since."""
        found = self._kept.get(key)
        if found is not None and found[0] <= stamp:
            return found[1], _distinct(self.log[found[0] : stamp])
        if self._parent is None:
            return None, _distinct([])
        value, changed = self._parent.recall(key, self._at)
        return value, np.union1d(changed, _distinct(self.log[:stamp]))

    def keep(self, key: Hashable, stamp: int, value: object) -> None:
        """Remember a value unless a younger one is known."""
        known = self._kept.get(key)
        if known is not None and known[0] > stamp:
            return
        if known is None and len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[key] = (stamp, value)


def _distinct(positions: list[int]) -> Ints:
    return np.array(sorted(set(positions)), dtype=np.int64)
