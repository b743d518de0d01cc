"""What the search asks of the room for a group, however its members stand to one another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Self

from lws_sched.placement.request import GroupRequest
from lws_sched.placement.room import Room
from lws_sched.placement.snapshot import Snapshot
from lws_sched.placement.table import Bools, Ints, Partition


@dataclass(frozen=True, eq=False)
class Space(ABC):
    """The room for a group. What is asked of a partition is worked out once."""

    snapshot: Snapshot
    request: GroupRequest
    room: Room
    _slacks: dict[tuple[str, ...], Ints] = field(default_factory=dict, kw_only=True)
    _takers: dict[tuple[str, ...], Ints] = field(default_factory=dict, kw_only=True)

    def slack(self, partition: Partition) -> Ints:
        """Per domain, how much more it could take than the group needs; negative where the group does not fit."""
        known = self._slacks.get(partition.keys)
        return known if known is not None else self._slacks.setdefault(partition.keys, self._slack(partition))

    def takers(self, partition: Partition) -> Ints:
        """The domains that take the group."""
        known = self._takers.get(partition.keys)
        return known if known is not None else self._takers.setdefault(partition.keys, self._find_takers(partition))

    def within(self, mask: Bools) -> Self:
        return self.given(self.room.within(mask))

    def given(self, room: Room) -> Self:
        """The same group, were this the room."""
        return replace(self, room=room, _slacks={}, _takers={})

    @abstractmethod
    def pack(self, nodes: Ints, levels: tuple[str, ...]) -> tuple[int, ...]:
        """A node position per member, by worker index, on nodes of one domain, which has room."""

    def _find_takers(self, partition: Partition) -> Ints:
        """`takers`, worked out."""
        return (self.slack(partition) >= 0).nonzero()[0]

    @abstractmethod
    def _slack(self, partition: Partition) -> Ints:
        """`slack`, worked out."""
