"""What a decision costs: one group at 100 to 10,000 nodes, and batches of 1 to 1,000 groups.

    python -m benchmarks.placement.speed            (or make bench)

Per fleet size, milliseconds at the median, on a fleet in racks of 16 of which two thirds of the hosts are taken:

- `cold`: the nodes are known, but nothing is remembered of the pod shape (it differs in every call);
- `incremental`: the shape was asked for before; since then one group went and one came;
- `new_nodes`: a node was added, so that all tables of the fleet are made anew before the decision;
- `floor`: one numpy pass over the same array of free amounts: the least that reading every host can cost;
- `solver`: the same decision by one CP-SAT model with a variable per host and shape.

`cold` and `incremental` include the copy of the ledger that is handed to the search (`Fleet.snapshot`) and the
independent check of the answer. Batches run on 640 racks of 16 without a solver: the answer that is given at once.
"""

from __future__ import annotations

import resource
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
from ortools.sat.python import cp_model

from benchmarks.placement import command
from benchmarks.placement.fleets import GPU, GPUS, RACK, generated, host
from benchmarks.placement.ours import GREEDY
from lws_sched.placement import Fleet, GroupRequest, Placed, PodShape, Snapshot, Tenant, plan, plan_together

HOSTS_PER_RACK = 16
SIZES = (100, 1_000, 5_000, 10_000)
BATCHES = (1, 10, 100, 1_000)
BATCH_RACKS = 640
CALLS, QUICK_CALLS = 200, 40
SLOW_CALLS = 5
GROUP = 8


@dataclass(frozen=True)
class OneGroup:
    """Median milliseconds of one decision."""

    nodes: int
    cold: float
    incremental: float
    new_nodes: float
    floor: float
    solver: float | None
    fleet_mib: float
    """Memory of the fleet and all its tables."""

    @property
    def cold_over_floor(self) -> float:
        return self.cold / self.floor


@dataclass(frozen=True)
class Batch:
    """Milliseconds for a greedy answer to that many groups at once."""

    groups: int
    placed: int
    milliseconds: float


@dataclass(frozen=True)
class Report:
    seed: int
    latency: list[OneGroup]
    batches: list[Batch]
    peak_mib: float
    """Largest resident size of the whole benchmark's process, solver included."""
    growth_in_nodes: float
    """Exponent of cold latency in nodes between the two largest fleets: 1 is linear."""
    growth_in_groups: float
    """Exponent of batch time in groups between the two largest batches."""

    def at(self, nodes: int) -> OneGroup:
        return next(each for each in self.latency if each.nodes == nodes)


def run(options: command.Options) -> Report:
    latency = []
    for nodes in (1_000, 5_000) if options.quick else SIZES:
        latency.append(one := _one_group(nodes, options))
        options.say(f"speed, {nodes} nodes: cold {one.cold:.3f} ms, incremental {one.incremental:.3f} ms")
    batches = []
    for groups in BATCHES[:-1] if options.quick else BATCHES:
        batches.append(batch := _batch(groups, options))
        options.say(f"speed, batch of {groups}: {batch.milliseconds:.1f} ms")
    return Report(
        seed=options.seed,
        latency=latency,
        batches=batches,
        peak_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        growth_in_nodes=_exponent([(each.nodes, each.cold) for each in latency]),
        growth_in_groups=_exponent([(each.groups, each.milliseconds) for each in batches]),
    )


def _one_group(nodes: int, options: command.Options) -> OneGroup:
    calls = QUICK_CALLS if options.quick else CALLS
    tracemalloc.start()
    fleet = loaded_fleet(nodes, options.seed)
    _decide(fleet.snapshot(), request(0))
    mib = tracemalloc.get_traced_memory()[0] / 2**20
    tracemalloc.stop()
    numbers = iter(range(1, 1_000_000))
    snapshot = fleet.snapshot()
    return OneGroup(
        nodes=nodes,
        cold=_median(calls, lambda: _decide(fleet.snapshot(), request(next(numbers)))),
        incremental=_incremental(fleet, calls),
        new_nodes=_new_nodes(fleet, SLOW_CALLS),
        floor=_median(calls, lambda: snapshot.free.min()),
        solver=None if options.quick else _median(SLOW_CALLS, lambda: solve_whole(snapshot, request(0))),
        fleet_mib=round(mib, 1),
    )


def loaded_fleet(nodes: int, seed: int) -> Fleet:
    """Racks of 16; each rack is filled with groups up to a random height, two thirds on average. The first two keep
    room for one group each, so that there is some in the smallest fleet too while one comes and one goes."""
    random = np.random.default_rng([seed, nodes])
    racks = -(-nodes // HOSTS_PER_RACK)
    fleet = Fleet()
    states = generated(racks, HOSTS_PER_RACK)[:nodes]
    for state in states:
        fleet.set_node(state)
    heights = random.integers(5, HOSTS_PER_RACK + 1, size=racks)
    heights[:2] = HOSTS_PER_RACK - GROUP
    for index, state in enumerate(states):
        rack, place = divmod(index, HOSTS_PER_RACK)
        if place < heights[rack]:
            _stand(fleet, f"bench/standing-{rack}-{place // 4}", place, state.name)
    return fleet


def request(number: int) -> GroupRequest:
    """A group of whole hosts in one rack; another number, another shape."""
    member = PodShape(requests=(("cpu", 8_000 + number), (GPU, GPUS)))
    return GroupRequest(key="bench/new-0", size=GROUP, leader=member, worker=member, required=RACK)


def _stand(fleet: Fleet, group: str, index: int, node: str) -> None:
    amounts = dict(request(0).worker.requests)
    fleet.charge(f"{group}#{index}", node, amounts, Tenant(group=group, namespace="bench"))


def _decide(snapshot: Snapshot, wanted: GroupRequest) -> Placed:
    [decision] = plan(snapshot, [wanted])
    if not isinstance(decision, Placed):
        raise AssertionError(f"the fleet has room, but: {decision.reason}")
    return decision


def _incremental(fleet: Fleet, calls: int) -> float:
    """One group has gone and one has come since the last decision; only the decision is timed."""
    placed, took = _decide(fleet.snapshot(), request(0)), []
    for turn in range(calls):
        for index, node in enumerate(placed.slots):
            fleet.release(f"bench/guest-{turn - 1}#{index}")
            _stand(fleet, f"bench/guest-{turn}", index, node)
        started = time.perf_counter()
        placed = _decide(fleet.snapshot(), request(0))
        took.append(time.perf_counter() - started)
    return _milliseconds(median(took))


def _new_nodes(fleet: Fleet, calls: int) -> float:
    took = []
    for turn in range(calls):
        fleet.set_node(host(f"late-{turn}", f"late-rack-{turn}", "late-block"))
        started = time.perf_counter()
        _decide(fleet.snapshot(), request(0))
        took.append(time.perf_counter() - started)
    for turn in range(calls):
        fleet.remove_node(f"late-{turn}")
    return _milliseconds(median(took))


def _batch(groups: int, options: command.Options) -> Batch:
    """Groups of 1 to 10 members of a whole host or half of one, asked for at once; the median of three."""
    snapshot = loaded_fleet(BATCH_RACKS * HOSTS_PER_RACK, options.seed).snapshot()
    _decide(snapshot, request(0))
    random = np.random.default_rng([options.seed, groups])
    wanted = []
    for number in range(groups):
        member = PodShape(requests=(("cpu", 8_000), (GPU, int(random.choice([GPUS // 2, GPUS])))))
        size = int(random.integers(1, 11))
        wanted.append(GroupRequest(f"bench/batch-{number}", size, member, member, required=RACK))
    took, placed = [], 0
    for _ in range(1 if options.quick else 3):
        started = time.perf_counter()
        answer = plan_together(snapshot, wanted, GREEDY)
        took.append(time.perf_counter() - started)
        placed = sum(isinstance(each, Placed) for each in answer.decisions)
    return Batch(groups, placed, _milliseconds(median(took)))


def solve_whole(snapshot: Snapshot, wanted: GroupRequest) -> int:
    """The same decision as one model: a variable per host for the leader and for the workers, a boolean per rack.

    Returns the code of the rack. Raises AssertionError where the model has no solution.
    """
    model = cp_model.CpModel()
    racks = snapshot.table.column(RACK).codes.tolist()
    chosen = [model.new_bool_var("") for _ in range(max(racks) + 1)]
    model.add_exactly_one(chosen)
    leaders, workers = [], []
    free = {name: snapshot.available(name).tolist() for name, _ in wanted.worker.requests}
    for node, rack in enumerate(racks):
        leader, worker = model.new_bool_var(""), model.new_int_var(0, wanted.size - 1, "")
        for name, amount in wanted.worker.requests:
            model.add(amount * worker + dict(wanted.leader.requests)[name] * leader <= max(0, free[name][node]))
        model.add(leader + worker <= wanted.size * chosen[rack])
        leaders.append(leader)
        workers.append(worker)
    model.add(sum(leaders) == 1)
    model.add(sum(workers) == wanted.size - 1)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise AssertionError("the model of the whole fleet has no solution")
    return next(rack for rack, boolean in enumerate(chosen) if solver.value(boolean))


def _median(calls: int, call: Callable[[], object]) -> float:
    took = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return _milliseconds(median(took))


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 4)


def _exponent(points: list[tuple[int, float]]) -> float:
    """The slope between the last two points on logarithmic axes."""
    (x0, y0), (x1, y1) = points[-2:]
    return round(float(np.log(y1 / y0) / np.log(x1 / x0)), 2)


if __name__ == "__main__":
    sys.exit(command.main("placement.speed", __doc__, run))
