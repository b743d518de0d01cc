"""Waiting groups against domains where all members are alike: exact, by CP-SAT, however many domains there are.

Then a domain is a number of members that it holds. Domains of the same number are one class, and what one of them may
take is a pattern: a set of groups to which none can be added. Let x[c,p] be how many domains of class c take pattern p,
m_ps how many groups of size s that has, and y_s how many groups of size s are placed:

    sum_p x[c,p] <= domains of class c     y_s <= sum_cp m_ps x[c,p]     must_s <= y_s <= n_s     maximise sum_s s y_s

This is the formulation of the cutting-stock problem by Gilmore and Gomory (1961). It leaves no two domains to tell
apart, and its relaxation is so tight that a proof costs next to nothing. An exclusive domain takes one group: so do its
patterns.

Where a domain holds many small groups the patterns are too many to write down: then this is not the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product

import numpy as np

from lws_sched.placement.assignment import Counts, Found, Kind, Model, solve
from lws_sched.placement.snapshot import namespace_of

MOST_SETS = 2_000
"""Sets of groups that are looked at for patterns, over all classes: enough for racks of 18 hosts and any sizes."""

Pattern = tuple[int, ...]
"""Sizes of groups, descending."""


@dataclass(frozen=True)
class _Stock:
    """What the chosen domains hold, and the kinds of groups that want in."""

    rooms: Mapping[int, int]
    """Members per domain."""
    kinds: Sequence[Kind]
    is_exclusive: bool

    @cached_property
    def classes(self) -> Counter[int]:
        """Domains by the members that they hold."""
        return Counter(self.rooms.values())

    @cached_property
    def wanted(self) -> Counter[int]:
        """Groups by size, the largest first."""
        groups: Counter[int] = Counter()
        for kind in sorted(self.kinds, key=lambda kind: -kind.request.size):
            groups[kind.request.size] += len(kind.groups)
        return groups

    @cached_property
    def must(self) -> Counter[int]:
        """Groups by size that must be placed."""
        groups: Counter[int] = Counter()
        for kind in self.kinds:
            groups[kind.request.size] += kind.must
        return groups

    def standing(self, domain: int) -> Pattern:
        """What the incumbent has in a domain."""
        sizes: Counter[int] = Counter()
        for kind in self.kinds:
            sizes[kind.request.size] += kind.standing.get(domain, 0)
        return tuple(sorted(sizes.elements(), reverse=True))


@dataclass(frozen=True)
class _Packing:
    """How many domains of each class take which pattern, and how many groups of each size are placed."""

    taken: Mapping[int, Counter[Pattern]]
    placed: Mapping[int, int]


def best_of_alike(model: Model, deterministic_time: float) -> Found | None:
    """As `assignment.best_counts`, but exact; None where members differ or there are too many patterns."""
    if not _is_alike(model):
        return None
    totals = model.domains.total(model.rooms[0].workers)
    rooms = {domain: int(totals[domain]) for domain in model.chosen}
    stock = _Stock(rooms, model.kinds, bool(model.kinds[0].keys.exclusive))
    patterns = _all_patterns(stock)
    return None if patterns is None else _best(stock, patterns, deterministic_time)


def _is_alike(model: Model) -> bool:
    """Whether any member of any group may stand wherever another may, as far as there is room for both."""
    shapes = {shape for kind in model.kinds for shape, count in kind.members if count}
    if len(shapes) != 1 or not _is_shared_alike(model):
        return False
    workers = model.rooms[0].workers
    return all(room.is_lone and np.array_equal(room.workers, workers) for room in model.rooms)


def _is_shared_alike(model: Model) -> bool:
    """Whether no group wants a domain for itself, or every one does and all are of one namespace."""
    exclusive = {kind.keys.exclusive for kind in model.kinds}
    if exclusive == {""}:
        return True
    namespaces = {namespace_of(kind.request) for kind in model.kinds}
    return len(namespaces) == 1 and {(key,) for key in exclusive} == {model.domains.keys}


def _all_patterns(stock: _Stock) -> dict[int, list[Pattern]] | None:
    """Per class; None where they are too many."""
    found: dict[int, list[Pattern]] = {}
    left = MOST_SETS
    for room in stock.classes:
        sets = [*islice(_sets(stock, room), left + 1)]
        if len(sets) > left:
            return None
        left -= len(sets)
        found[room] = [each for each in sets if stock.is_exclusive or _is_full(each, room, stock.wanted)]
    return found


def _sets(stock: _Stock, room: int) -> Iterator[Pattern]:
    """The sets of groups that a domain may take, those without groups that could be added among them."""
    if stock.is_exclusive:
        return ((size,) for size in stock.wanted if size <= room)
    return _filled(room, [*stock.wanted.items()])


def _filled(room: int, wanted: Sequence[tuple[int, int]]) -> Iterator[Pattern]:
    """Sets of groups that fit into the room, of (size, groups) pairs; of the last size as many as there may be."""
    fitting = [(size, groups) for size, groups in wanted if size <= room]
    if not fitting:
        yield ()
        return
    (size, groups), *smaller = fitting
    most = min(room // size, groups)
    for count in range(most, -1 if smaller else most - 1, -1):
        for rest in _filled(room - count * size, smaller):
            yield (size,) * count + rest


def _is_full(pattern: Pattern, room: int, wanted: Mapping[int, int]) -> bool:
    """Whether no other group could be added."""
    left = room - sum(pattern)
    return all(size > left or pattern.count(size) == groups for size, groups in wanted.items())


def _best(stock: _Stock, patterns: Mapping[int, Sequence[Pattern]], deterministic_time: float) -> Found:
    from ortools.sat.python import cp_model

    model, weighted_sum = cp_model.CpModel(), cp_model.LinearExpr.weighted_sum
    taken = {
        (room, pattern): model.new_int_var(0, domains, "")
        for room, domains in stock.classes.items()
        for pattern in patterns[room]
    }
    for room, domains in stock.classes.items():
        model.add(cp_model.LinearExpr.sum([taken[room, pattern] for pattern in patterns[room]]) <= domains)
    placed = {size: model.new_int_var(stock.must[size], groups, "") for size, groups in stock.wanted.items()}
    for size, variable in placed.items():
        model.add(variable <= weighted_sum([*taken.values()], [pattern.count(size) for _, pattern in taken]))
    model.maximize(weighted_sum([*placed.values()], [*placed]))
    everything = sum(size * groups for size, groups in stock.wanted.items())
    solved = solve(model, everything, deterministic_time)
    if solved.value is None:
        return Found(None, solved.bound, solved.deterministic_time)
    packing = _Packing(
        {room: Counter({each: solved.value(taken[room, each]) for each in patterns[room]}) for room in patterns},
        {size: solved.value(variable) for size, variable in placed.items()},
    )
    return Found(_share_out(stock, packing), solved.bound, solved.deterministic_time)


def _share_out(stock: _Stock, packing: _Packing) -> Counts:
    """Per kind, how many groups each domain takes. Groups stay where they stand as far as the patterns allow."""
    free = {domain: Counter(pattern) for domain, pattern in _to_domains(stock, packing).items()}
    left = _going(stock, packing)
    counts: list[Counter[int]] = [Counter() for _ in stock.kinds]
    for is_staying, (number, kind), (domain, slots) in product((True, False), enumerate(stock.kinds), free.items()):
        size = kind.request.size
        count = min(left[number], slots[size], kind.standing.get(domain, 0) if is_staying else left[number])
        if count:
            counts[number][domain] += count
            slots[size] -= count
            left[number] -= count
    return counts


def _going(stock: _Stock, packing: _Packing) -> list[int]:
    """Per kind, how many groups are placed: before others of their size those that must be."""
    left = Counter(packing.placed) - stock.must
    going = []
    for kind in stock.kinds:
        more = min(left[kind.request.size], len(kind.groups) - kind.must)
        left[kind.request.size] -= more
        going.append(kind.must + more)
    return going


def _to_domains(stock: _Stock, packing: _Packing) -> dict[int, Pattern]:
    """A pattern for each domain: what stands there already, where that is one of those taken."""
    left = {room: Counter(patterns) for room, patterns in packing.taken.items()}
    given: dict[int, Pattern] = {}
    for domain, room in stock.rooms.items():
        standing = stock.standing(domain)
        if left[room][standing] > 0:
            left[room][standing] -= 1
            given[domain] = standing
    rest = {room: patterns.elements() for room, patterns in left.items()}
    return given | {domain: next(rest[room], ()) for domain, room in stock.rooms.items() if domain not in given}
