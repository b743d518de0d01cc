"""The unchanging side of a fleet: names, labels and taints of all nodes as integer columns, made once per node change.

A column maps every node to the number of its label value (`ABSENT` where it lacks the label); values are numbered in
natural order. A partition is the domains of one or several label keys taken together: two nodes share a domain where
they agree on every key, and a node that lacks one of them is in none. Columns, partitions and eligibility masks are
made on first use and kept, so that a decision on an unchanged fleet costs array arithmetic only.

A table never changes once made: snapshots share it between threads.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lws_sched.placement import topology
from lws_sched.placement.node import NodeState, Taint, natural_key

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ABSENT = -1
NODE_NAME = "metadata.name"
"""The key whose value is the node itself: the narrowest domain there is."""
KEPT = 512
"""Distinct pod shapes whose eligibility is remembered, and so for all else that requests ask for."""


@dataclass(frozen=True, eq=False)
class Column:
    """One label over all nodes. Shape of `codes`: [nodes]."""

    codes: Ints
    values: tuple[str, ...]

    def marked(self, codes: Ints, absent: bool = False) -> Bools:
        """The nodes whose value is among `codes`; those without the label are `absent`."""
        flags = np.zeros(len(self.values) + 1, dtype=np.bool_)
        flags[codes] = True
        flags[ABSENT] = absent
        return flags[self.codes]


@dataclass(frozen=True, eq=False)
class Partition:
    """The domains of `keys`. `order` lists the nodes, domain by domain; domain d begins at `starts[d]`."""

    keys: tuple[str, ...]
    codes: Ints
    order: Ints
    starts: Ints

    @property
    def count(self) -> int:
        return len(self.starts)

    @cached_property
    def is_of_nodes(self) -> bool:
        """Whether every node is a domain of its own, numbered as it stands: figures per node are figures per domain."""
        return self.count == len(self.codes) and bool((self.order == np.arange(self.count)).all())

    def members(self, domain: int) -> Ints:
        """Positions of the domain's nodes, in name order."""
        end = self.starts[domain + 1] if domain + 1 < self.count else len(self.order)
        return self.order[self.starts[domain] : end]

    def homes(self, outer: Partition, domains: Ints) -> Ints:
        """The domain of another partition that each of these lies in, by its first node; ABSENT for none."""
        return outer.codes[self.order[self.starts[domains]]]

    def total(self, amounts: Ints) -> Ints:
        """Per domain, the sum of a per-node amount."""
        if not self.count:
            return np.zeros(0, dtype=np.int64)
        return np.add.reduceat(amounts[self.order], self.starts)

    def least(self, amounts: Ints) -> Ints:
        """Per domain, the least of a per-node amount."""
        if not self.count:
            return np.zeros(0, dtype=np.int64)
        return np.minimum.reduceat(amounts[self.order], self.starts)

    def crowd(self, positions: Ints) -> Ints:
        """By domain, how many of the positions lie in it; led by an entry for those in none."""
        return np.bincount(self._numbers.take(positions), minlength=self.count + 1)

    @cached_property
    def _numbers(self) -> Ints:
        """The domain of every node, counted from 1; 0 for none."""
        return self.codes - ABSENT

    def renew_total(self, total: Ints, gained: Sequence[int], changed: Ints) -> Collection[int]:
        """Bring `total(amounts)` up to date, in place, after the amounts of a few nodes grew by `gained`. The domains
        concerned."""
        gains: dict[int, int] = {}
        for domain, gain in zip(self.codes[changed].tolist(), gained, strict=True):
            gains[domain] = gains.get(domain, 0) + gain
        gains.pop(ABSENT, None)
        for domain, gain in gains.items():
            total[domain] += gain
        return gains

    def renew_least(self, least: Ints, amounts: Ints, domains: Iterable[int]) -> None:
        """Bring `least(amounts)` up to date, in place, after amounts in some domains changed."""
        for domain in domains:
            least[domain] = np.minimum.reduce(amounts[self.members(domain)])

    def is_divided(self, codes: Ints) -> bool:
        """Whether some domain has nodes of different codes."""
        return bool((self.least(codes) != -self.least(-codes)).any())


class NodeTable:
    """All nodes in natural name order. `allocatable` has the shape [resources, nodes]."""

    def __init__(self, nodes: Sequence[NodeState], keys: Collection[str], allocatable: Ints) -> None:
        self.nodes = tuple(nodes)
        self.names = tuple(node.name for node in nodes)
        self.keys = keys if isinstance(keys, topology.LabelKeys) else topology.LabelKeys(keys)
        self.allocatable = allocatable
        self.position: Mapping[str, int] = {name: index for index, name in enumerate(self.names)}
        taints = {node.taints: None for node in nodes}
        self.taint_sets: tuple[tuple[Taint, ...], ...] = tuple(taints)
        numbers = {each: number for number, each in enumerate(self.taint_sets)}
        self.taint_codes: Ints = np.array([numbers[node.taints] for node in nodes], dtype=np.int64)
        self.masks: dict[Hashable, Bools] = {}
        """Eligibility by pod shape, filled by `eligibility`."""
        self.topologies: dict[Hashable, Any] = {}
        """What requests ask for as labels that nodes carry, filled by `room.asked`."""
        self._labels: dict[str, str] = {}
        self._columns: dict[str, Column] = {}
        self._partitions: dict[tuple[str, ...], Partition] = {}
        self._largest: dict[int, int] = {}
        self._within: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._around: dict[tuple[str, ...], tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """The levels that the nodes' labels tell of, narrowest first, led by the node itself."""
        return (
            NODE_NAME,
            *self.narrowest_first(key for key in topology.levels_on(self.keys) if key != topology.HOSTNAME),
        )

    def narrowest_first(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Labels by how many values they have; of equally many that of the narrower level comes first."""
        return tuple(sorted(keys, key=lambda key: (-len(self.column(key).values), -topology.rank(key, self.keys))))

    def levels_within(self, partition: Partition) -> tuple[str, ...]:
        """The levels wider than a node that divide some domain of the partition, widest first."""
        found = self._within.get(partition.keys)
        if found is None:
            levels = (key for key in reversed(self.levels) if key != NODE_NAME)
            found = tuple(key for key in levels if partition.is_divided(self.column(key).codes))
            self._within[partition.keys] = found
        return found

    def levels_around(self, partition: Partition) -> tuple[str, ...]:
        """The levels of which several domains of the partition share one, narrowest first."""
        found = self._around.get(partition.keys)
        if found is None:
            first = partition.order[partition.starts]
            found = tuple(key for key in self.levels if len(np.unique(self.column(key).codes[first])) < partition.count)
            self._around[partition.keys] = found
        return found

    def label(self, name: str) -> str:
        """The label that a level name or label stands for; a name that means nothing here stands for itself."""
        found = self._labels.get(name)
        return found if found is not None else remember(self._labels, name, topology.key_or_name(name, self.keys))

    def column(self, key: str) -> Column:
        column = self._columns.get(key)
        if column is None:
            column = self._columns[key] = self._make_column(key)
        return column

    def partition(self, keys: tuple[str, ...]) -> Partition:
        """The domains of the keys taken together; of no keys, one domain that is the whole fleet."""
        keys = tuple(dict.fromkeys(keys))
        partition = self._partitions.get(keys)
        if partition is None:
            partition = self._partitions[keys] = self._make_partition(keys)
        return partition

    def largest(self, row: int) -> int:
        """The most that a node offers of the resource in a row of `allocatable`."""
        if row not in self._largest:
            self._largest[row] = int(self.allocatable[row].max(initial=0)) if row < len(self.allocatable) else 0
        return self._largest[row]

    def carriers(self, key: str) -> int:
        """How many nodes carry the label."""
        return int(np.count_nonzero(self.column(key).codes != ABSENT)) if key in self.keys else 0

    def _make_column(self, key: str) -> Column:
        if key == NODE_NAME:
            return Column(np.arange(len(self), dtype=np.int64), self.names)
        raw = [node.labels.get(key) for node in self.nodes]
        values = sorted({value for value in raw if value is not None}, key=natural_key)
        numbers: dict[str | None, int] = {value: number for number, value in enumerate(values)}
        codes = np.array([numbers.get(value, ABSENT) for value in raw], dtype=np.int64)
        return Column(codes, tuple(values))

    def _make_partition(self, keys: tuple[str, ...]) -> Partition:
        codes = np.zeros(len(self), dtype=np.int64)
        inside = np.ones(len(self), dtype=np.bool_)
        for key in keys:
            column = self.column(key)
            inside &= column.codes != ABSENT
            _, codes = np.unique(codes * (len(column.values) + 1) + column.codes, return_inverse=True)
        codes = np.where(inside, codes, ABSENT)
        order = np.argsort(codes, kind="stable")
        order = order[np.count_nonzero(~inside) :]
        ordered = codes[order]
        is_start = np.ones(len(ordered), dtype=np.bool_)
        is_start[1:] = ordered[1:] != ordered[:-1]
        starts = np.flatnonzero(is_start)
        dense = np.full(len(self), ABSENT, dtype=np.int64)
        dense[order] = np.cumsum(is_start) - 1
        return Partition(keys, dense, order, starts)


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def remember(known: dict[Key, Value], key: Key, value: Value) -> Value:
    """Keep a value; once there are too many, forget the others."""
    if len(known) >= KEPT:
        known.clear()
    known[key] = value
    return value
