"""A group fits the free hosts but no rack: who finds moves that let it in, and how many pods move.

    python -m benchmarks.placement.defragmentation            (or make bench)

Racks of 16 hosts, filled at random with groups of 1 to 8 whole hosts of which some have left again. Only cases are
kept where the blocked group fits the free hosts together but no rack. Whether a case can be solved at all, and with
how few pods, is told by a model of counts that shares no code with the engine: with out[k,d] and in[k,d] the groups of
size k that leave and enter rack d, and b_d whether it takes the blocked group of n,

    sum_d out[k,d] = sum_d in[k,d]      n b_d + sum_k k in[k,d] <= free_d + sum_k k out[k,d]
    minimise sum_kd k out[k,d]

It ignores the order of moves, so a case without an order counts as one that ours failed to solve. The greedy baseline
looks at every rack: the cheapest groups to clear, each to the tightest rack that takes it as things are, no chains.

Our moves are played one by one: each must go to hosts that are free at that moment, and after the last the blocked
group must stand, all by the independent checker.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from ortools.sat.python import cp_model

from benchmarks.placement import command
from benchmarks.placement.arrivals import RULES, group
from benchmarks.placement.fleets import RACK, generated
from benchmarks.placement.floor import Floor, Waiting
from benchmarks.placement.ours import carry_out, members_of, snapshot_of
from lws_sched.placement import Defragmentation, GroupRequest, Movable, Move, defragment

HOSTS = 16
LARGEST = 8
RULE = RULES["B"]
P95_MILLISECONDS = 700.0
"""The most that the 95th percentile may be, up to `TARGET_RACKS` racks."""
TARGET_RACKS = 64
MODEL_SECONDS = 20.0


@dataclass(frozen=True)
class Case:
    racks: int
    size: int
    """Hosts of the blocked group."""
    used: float
    """Share of the hosts that is taken."""
    instances: int

    def __str__(self) -> str:
        return f"{self.racks} racks, group of {self.size}, {100 * self.used:.0f} % used"


FULL = (
    Case(8, 16, 0.82, 40),
    Case(8, 16, 0.87, 60),
    Case(8, 12, 0.90, 60),
    Case(16, 16, 0.93, 40),
    Case(64, 16, 0.95, 20),
    Case(320, 16, 0.95, 2),
)
QUICK = (Case(8, 16, 0.87, 12), Case(16, 16, 0.93, 6), Case(64, 16, 0.95, 2))


@dataclass(frozen=True)
class Blocked:
    """A fleet, the groups that stand on it, and the one that does not fit."""

    seed: int
    floor: Floor
    standing: tuple[Waiting, ...]
    request: GroupRequest


@dataclass(frozen=True)
class Unsolved:
    """A case that can be solved, or solved with fewer pods; `blocked(case, seed)` makes it again."""

    case: str
    seed: int
    least: int
    """Pods that have to move."""
    ours: int | None
    """Pods that ours moves; None where it gives up."""
    said: str


@dataclass(frozen=True)
class Row:
    case: str
    racks: int
    solvable: int
    solved: int
    """By ours, with moves that can be carried out."""
    proved: int
    """Of these, by a plan that ours says is optimal."""
    solved_greedy: int
    pods_least: int
    """Over the solved cases together: by the model, by ours; and where greedy solves it too, by ours and by greedy."""
    pods: int
    pods_where_both: int
    pods_greedy: int
    milliseconds_p50: float
    milliseconds_p95: float
    unsolved: list[Unsolved]
    checked: int


@dataclass(frozen=True)
class Report:
    seed: int
    solvable: int
    solved: int
    proved: int
    solved_greedy: int
    p95_within_target: bool
    rows: list[Row]


def run(options: command.Options) -> Report:
    rows = []
    for case in QUICK if options.quick else FULL:
        rows.append(row := _row(case, options.seed))
        options.say(
            f"defragmentation, {case}: {row.solved} of {row.solvable} solved (greedy {row.solved_greedy}), "
            f"{row.pods} pods moved (least {row.pods_least}), p95 {row.milliseconds_p95:.0f} ms"
        )
    return Report(
        seed=options.seed,
        solvable=sum(row.solvable for row in rows),
        solved=sum(row.solved for row in rows),
        proved=sum(row.proved for row in rows),
        solved_greedy=sum(row.solved_greedy for row in rows),
        p95_within_target=all(row.milliseconds_p95 <= P95_MILLISECONDS for row in rows if row.racks <= TARGET_RACKS),
        rows=rows,
    )


@dataclass(frozen=True)
class _Tried:
    least: int
    ours: int | None
    greedy: int | None
    proved: bool
    milliseconds: float
    said: str
    checked: int


def _row(case: Case, first_seed: int) -> Row:
    tried: dict[int, _Tried] = {}
    for seed in range(first_seed, first_seed + case.instances):
        one = blocked(case, seed)
        least = least_pods(one)
        if least is not None:
            tried[seed] = _try(one, least)
    solved = [each for each in tried.values() if each.ours is not None]
    both = [each for each in solved if each.greedy is not None]
    times = [each.milliseconds for each in tried.values()]
    return Row(
        case=str(case),
        racks=case.racks,
        solvable=len(tried),
        solved=len(solved),
        proved=sum(each.proved for each in solved),
        solved_greedy=sum(each.greedy is not None for each in tried.values()),
        pods_least=sum(each.least for each in solved),
        pods=sum(each.ours or 0 for each in solved),
        pods_where_both=sum(each.ours or 0 for each in both),
        pods_greedy=sum(each.greedy or 0 for each in both),
        milliseconds_p50=round(median(times), 1),
        milliseconds_p95=round(float(np.percentile(times, 95)), 1),
        unsolved=[
            Unsolved(str(case), seed, each.least, each.ours, each.said)
            for seed, each in tried.items()
            if each.ours is None or each.ours > each.least
        ],
        checked=sum(each.checked for each in tried.values()),
    )


def _try(one: Blocked, least: int) -> _Tried:
    greedy = greedy_pods(one)
    snapshot = snapshot_of(one.floor)
    movables = [Movable(waiting.request, one.floor.slots(waiting)) for waiting in one.standing]
    started = time.perf_counter()
    answer = defragment(snapshot, one.request, movables)
    took = 1000 * (time.perf_counter() - started)
    if not isinstance(answer, Defragmentation):
        return _Tried(least, None, greedy, proved=False, milliseconds=took, said=answer.reason, checked=0)
    before = one.floor.checked
    play(one, answer.moves)
    one.floor.bind(Waiting(one.request), members_of(one.floor, answer.placed))
    if answer.value < least:
        raise AssertionError(f"seed {one.seed}: {answer.value} pods moved, but the model says {least} at least")
    proved = answer.proof == "optimal"
    return _Tried(least, answer.value, greedy, proved, took, answer.reason, one.floor.checked - before)


def play(one: Blocked, moves: Sequence[Move]) -> None:
    """Carry out the moves in their order; raises WrongPlacement where one goes to hosts that are not free then."""
    for move in moves:
        carry_out(one.floor, move)


# --- cases -----------------------------------------------------------------------------------------------------------


def blocked(case: Case, seed: int) -> Blocked:
    """A random case: draws until the group fits the free hosts together but no rack."""
    random = np.random.default_rng([seed, case.racks, case.size])
    while True:
        sizes, free = _fill(random, case)
        if case.size <= free.sum() and free.max() < case.size:
            return _made(case, seed, sizes)


def _fill(random: np.random.Generator, case: Case) -> tuple[list[list[int]], np.ndarray]:
    """Sizes of the groups in every rack, and its free hosts: filled to the last host that a draw fits, then thinned."""
    sizes: list[list[int]] = [[] for _ in range(case.racks)]
    free = np.full(case.racks, HOSTS)
    for size in random.integers(1, LARGEST + 1, size=8 * case.racks).tolist():
        able = np.flatnonzero(free >= size)
        if len(able):
            rack = int(random.choice(able))
            sizes[rack].append(size)
            free[rack] -= size
    goal = (1 - case.used) * HOSTS * case.racks
    leaving = [(rack, size) for rack, each in enumerate(sizes) for size in each]
    for index in random.permutation(len(leaving)).tolist():
        rack, size = leaving[index]
        if free.sum() + size <= goal:
            sizes[rack].remove(size)
            free[rack] += size
    return sizes, free


def _made(case: Case, seed: int, sizes: list[list[int]]) -> Blocked:
    nodes = generated(case.racks, HOSTS)
    floor = Floor(nodes, with_fleet=True)
    standing = []
    for rack, each in enumerate(sizes):
        host = rack * HOSTS
        for number, size in enumerate(each):
            waiting = Waiting(group(f"standing-{rack}-{number}", RULE, size, nodes))
            floor.bind(waiting, {index: host + index for index in range(size)})
            standing.append(waiting)
            host += size
    return Blocked(seed, floor, tuple(standing), group("blocked", RULE, case.size, nodes))


def _racks(one: Blocked) -> tuple[list[Counter[int]], list[int]]:
    """Per rack: how many groups of each size stand there, and how many hosts are free."""
    racks = one.floor.levels[RACK]
    counts = [Counter[int]() for _ in range(int(racks.max()) + 1)]
    for waiting in one.standing:
        counts[int(racks[waiting.held[0]])][waiting.request.size] += 1
    free = np.bincount(racks, weights=one.floor.room(one.request.worker)).astype(int)
    return counts, free.tolist()


# --- the least, and the greedy baseline ------------------------------------------------------------------------------


def least_pods(one: Blocked) -> int | None:
    """The fewest pods whose moving makes room, their order aside; None where nothing does."""
    counts, free = _racks(one)
    model = cp_model.CpModel()
    takes = [model.new_bool_var("") for _ in counts]
    model.add_exactly_one(takes)
    sizes = sorted({size for each in counts for size in each})
    leaving = {(k, d): model.new_int_var(0, each[k], "") for d, each in enumerate(counts) for k in sizes}
    coming = {(k, d): model.new_int_var(0, HOSTS // k, "") for d in range(len(counts)) for k in sizes}
    for k in sizes:
        model.add(sum(leaving[k, d] for d in range(len(counts))) == sum(coming[k, d] for d in range(len(counts))))
    for d in range(len(counts)):
        need = one.request.size * takes[d] + sum(k * (coming[k, d] - leaving[k, d]) for k in sizes)
        model.add(need <= free[d])
    model.minimize(sum(k * variable for (k, _), variable in leaving.items()))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 2
    solver.parameters.max_time_in_seconds = MODEL_SECONDS
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return None
    if status != cp_model.OPTIMAL:
        raise RuntimeError(f"seed {one.seed}: the least was not proved within {MODEL_SECONDS:g} s")
    return int(solver.objective_value + 0.5)


def greedy_pods(one: Blocked) -> int | None:
    """Pods that the greedy baseline moves; None where it finds nothing."""
    counts, free = _racks(one)
    costs = [
        sum(cleared)
        for rack, groups in enumerate(counts)
        for cleared in [_cheapest(list(groups.elements()), one.request.size - free[rack])]
        if cleared is not None and _relocates(cleared, [room for other, room in enumerate(free) if other != rack])
    ]
    return min(costs, default=None)


def _cheapest(sizes: Sequence[int], need: int) -> list[int] | None:
    """The groups with the least sum that is at least `need`."""
    reached: dict[int, list[int]] = {0: []}
    for size in sizes:
        reached |= {total + size: [*chosen, size] for total, chosen in reached.items() if total + size not in reached}
    enough = [total for total in reached if total >= need]
    return reached[min(enough)] if enough else None


def _relocates(sizes: Sequence[int], free: Sequence[int]) -> bool:
    """Whether best fit, largest first, finds room for all."""
    left = list(free)
    for size in sorted(sizes, reverse=True):
        able = [rack for rack, room in enumerate(left) if room >= size]
        if not able:
            return False
        left[min(able, key=lambda rack: left[rack])] -= size
    return True


if __name__ == "__main__":
    sys.exit(command.main("placement.defragmentation", __doc__, run))
