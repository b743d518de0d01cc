"""Random small instances: a cluster of up to 12 nodes, what stands on it, and one group of up to 8 pods to place.

Made to be hard: room is scarce, labels are missing or cross each other, templates differ, and others hold domains. In
one of six the nodes make tori, and the group asks for a box.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from random import Random

import msgspec

from lws_sched.api.core import PodSpec
from lws_sched.placement import LEVELS as USUAL
from lws_sched.placement import GroupRequest, Level, NodeState, PodShape, Taint, Tenant, shape_of
from tests.oracle import tori
from tests.oracle.pods import KINDS, RESOURCES, TAINTS, Spec, spec

ZONE, BLOCK, RACK = "topology.kubernetes.io/zone", "topology.lws-sched.io/block", "topology.lws-sched.io/rack"
HOST = "kubernetes.io/hostname"
LEVELS = (ZONE, BLOCK, RACK, HOST)
SISTERS = ("here/it-1", "here/it-2", "here/it-3")
"""Groups of the LeaderWorkerSet of the group to place."""
MOST_NODES, MOST_PODS = 12, 8


@dataclass(frozen=True)
class Standing:
    """A pod that is on a node already."""

    node: str
    requests: dict[str, int]
    tenant: Tenant | None


@dataclass(frozen=True)
class Instance:
    nodes: tuple[NodeState, ...]
    standing: tuple[Standing, ...]
    leader: Spec
    worker: Spec
    """What the pods say. The oracle reads these, and not the shapes that the engine made of them for `group`."""
    group: GroupRequest
    levels: tuple[Level, ...] = USUAL
    """What the nodes' labels are read by."""


def instance(random: Random, most_nodes: int = MOST_NODES, most_pods: int = MOST_PODS) -> Instance:
    """One in six has a torus. Of the others two in five are tidy: labels are complete and nest, nodes are larger, so
    that more of the large groups fit."""
    if random.random() < 1 / 6:
        return _with_torus(random, most_nodes, most_pods)
    count = random.randint(min(2, most_nodes), most_nodes)
    tidy = random.random() < 0.4
    nodes = tuple(_node(random, index, tidy) for index in range(count))
    standing = tuple(_standing(random, nodes) for _ in range(random.randint(0, 3 if tidy else 5)))
    worker = spec(random, 3, RACK)
    leader = worker if random.random() < (0.5 if tidy else 0.3) else spec(random, 4, RACK)
    return Instance(nodes, standing, leader, worker, _group(random, nodes, most_pods, shaped(leader), shaped(worker)))


def _with_torus(random: Random, most_nodes: int, most_pods: int) -> Instance:
    """Most hosts are roomy, as one box takes many, and some are full; in half of the instances some are odd."""
    label = random.choice([tori.POD, tori.POD, RACK, BLOCK])
    levels = tori.levels(random, label, most_nodes)
    [level] = [each for each in levels if each.axes]
    cells = prod(axis.length for axis in level.axes)
    count = random.choice([cells, cells * (most_nodes // cells), random.randint(2, most_nodes)])
    roomy = dict.fromkeys((*RESOURCES, "pods"), 10)
    odd, busy = random.choice([0, 0, 0.25]), random.choice([0, 0.1, 0.3])
    drawn = [_node(random, index, tidy=random.random() > odd) for index in range(count)]
    plain = tuple(
        node if random.random() < odd else replace(node, allocatable=roomy, taints=(), schedulable=True)
        for node in drawn
    )
    nodes = tori.wired(random, plain, level, label, odd / 4)
    full = tuple(Standing(node.name, {random.choice(RESOURCES): 10}, None) for node in nodes if random.random() < busy)
    standing = (*full, *(_standing(random, nodes) for _ in range(random.randint(0, 2))))
    worker = spec(random, 3, RACK)
    leader = worker if random.random() < 0.4 else spec(random, 4, RACK)
    group = _boxed(random, _group(random, nodes, most_pods, shaped(leader), shaped(worker)), level, label, most_pods)
    if random.random() < 0.2:
        hosts = [sorted(torus[cell] for cell in cells) for _, torus, cells in tori.boxes_of(group, nodes, levels)]
        group = replace(group, stay=_had(random, random.choice(sorted(hosts)))) if hosts else group
    return Instance(nodes, standing, leader, worker, group, levels)


def _boxed(random: Random, group: GroupRequest, level: Level, label: str, most_pods: int) -> GroupRequest:
    """The group as one that asks for a box: of as many hosts as it has members, save for one in thirty. Domains of its
    subgroups cannot be combined with it."""
    box = tori.sides(random, level, most_pods)
    return replace(
        group,
        box=box,
        size=prod(box) if random.random() < 0.97 else group.size,
        required=random.choice(["", "", "", ZONE, RACK, label]),
        exclusive=random.choice(["", "", "", "", "", ZONE, RACK, label]),
        stay=(),
        subgroup_size=random.choice([0, 0, 1]),
        subgroup_required="",
        subgroup_exclusive="",
    )


def shaped(pod: Spec) -> PodShape:
    """The pod as the engine reads it."""
    return shape_of(msgspec.convert(pod, PodSpec))


def _node(random: Random, index: int, tidy: bool) -> NodeState:
    labels = {"kubernetes.io/hostname": f"n{index}"} if tidy or random.random() < 0.9 else {}
    rack = random.randint(0, 3)
    nested = tidy or random.random() < 0.7
    wider = rack // 2 if nested else random.randint(0, 1)
    for key, value, share in ((ZONE, wider, 0.92), (RACK, rack, 0.92), (BLOCK, wider, 0.85)):
        if tidy or random.random() < share:
            labels[key] = str(value)
    if random.random() < 0.8:
        labels["kind"] = random.choice(KINDS)
    least = 2 if tidy else 0
    allocatable = {name: random.choice([least, 2, 3, 4, 5, 6, 8, 10]) for name in RESOURCES if random.random() < 0.95}
    allocatable["pods"] = random.choice([1, 2, 3, 8, 8, 8])
    taints = tuple(
        Taint("reserved", random.choice(TAINTS), effect)
        for effect in random.sample(["NoSchedule", "NoExecute", "PreferNoSchedule"], random.choice([1, 1, 2]))
    )
    return NodeState(
        name=f"n{index}",
        labels=labels,
        allocatable=allocatable,
        taints=taints if random.random() < (0.05 if tidy else 0.15) else (),
        schedulable=random.random() < 0.93,
    )


def _standing(random: Random, nodes: tuple[NodeState, ...]) -> Standing:
    requests = {name: random.randint(0, 2) for name in RESOURCES}
    key = random.choice(["here/other-0", "here/other-1", *SISTERS, "there/other-0", "here/it-0"])
    is_in_subgroup = random.random() < 0.5
    tenant = Tenant(
        group=key,
        namespace=key.split("/")[0],
        exclusive=random.choice(["", "", "", "", RACK, BLOCK, HOST]),
        subgroup=random.randint(0, 1) if is_in_subgroup else -1,
        subgroup_exclusive=random.choice(["", "", RACK, HOST]) if is_in_subgroup else "",
    )
    return Standing(random.choice(nodes).name, requests, tenant if random.random() < 0.6 else None)


def _group(
    random: Random, nodes: tuple[NodeState, ...], most_pods: int, leader: PodShape, worker: PodShape
) -> GroupRequest:
    size = random.randint(1, most_pods)
    names = [node.name for node in nodes]
    subgroup_size, policy = _subgroups(random, size)
    return GroupRequest(
        key="here/it-0",
        size=size,
        worker=worker,
        leader=leader,
        required=random.choice(["", "", "", "", ZONE, BLOCK, RACK, RACK, HOST]),
        exclusive=random.choice(["", "", "", "", "", "", ZONE, BLOCK, RACK, HOST]),
        preferred=random.choice([(), (), (RACK,), (BLOCK, RACK), (ZONE, HOST)]),
        stay=_stay(random, nodes, size) if random.random() < 0.2 else (),
        avoid=frozenset({random.choice(names)} if random.random() < 0.1 else ()),
        subgroup_size=subgroup_size,
        subgroup_policy=policy,
        subgroup_required=random.choice(["", ZONE, BLOCK, RACK, HOST]) if subgroup_size else "",
        subgroup_exclusive=random.choice(["", "", BLOCK, RACK, HOST]) if subgroup_size else "",
        spread=random.choice(["", "", ZONE, BLOCK, RACK]),
    )


def _stay(random: Random, nodes: tuple[NodeState, ...], size: int) -> tuple[str, ...]:
    """What the group had: half of the time in one rack."""
    rack = random.choice(nodes).labels.get(RACK)
    near = [node.name for node in nodes if node.labels.get(RACK) == rack or random.random() < 0.1]
    names = near if random.random() < 0.5 else [node.name for node in nodes]
    return _had(random, [random.choice(names) for _ in range(size)])


def _had(random: Random, names: list[str]) -> tuple[str, ...]:
    """One slot per member, in any order; some have lost theirs."""
    is_whole = random.random() < 0.6
    random.shuffle(names)
    return tuple(name if is_whole or random.random() < 0.7 else "" for name in names)


def _subgroups(random: Random, size: int) -> tuple[int, str]:
    """A subgroup size that LeaderWorkerSet admits for the group's size, and the policy; 0 for no subgroups."""
    choices = [(0, "LeaderWorker")] * 2
    for each in range(1, size + 1):
        if (size - 1) % each == 0:
            choices += [(each, "LeaderExcluded"), (each, "LeaderWorker")]
        elif size % each == 0:
            choices.append((each, "LeaderWorker"))
    return random.choice(choices)
