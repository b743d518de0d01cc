"""Random small instances: a cluster of up to 12 nodes, what stands on it, and one group of up to 8 pods to place.

Made to be hard: room is scarce, labels are missing or cross each other, templates differ, and others hold domains.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import msgspec

from lws_sched.api.core import PodSpec
from lws_sched.placement import GroupRequest, NodeState, PodShape, Taint, Tenant, shape_of
from tests.oracle.pods import KINDS, RESOURCES, TAINTS, Spec, spec

ZONE, BLOCK, RACK = "topology.kubernetes.io/zone", "topology.lws-sched.io/block", "topology.lws-sched.io/rack"
LEVELS = (ZONE, BLOCK, RACK, "kubernetes.io/hostname")
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


def instance(random: Random, most_nodes: int = MOST_NODES, most_pods: int = MOST_PODS) -> Instance:
    """Two in five are tidy: labels are complete and nest, nodes are larger, so that more of the large groups fit."""
    count = random.randint(min(2, most_nodes), most_nodes)
    tidy = random.random() < 0.4
    nodes = tuple(_node(random, index, tidy) for index in range(count))
    standing = tuple(_standing(random, nodes) for _ in range(random.randint(0, 2 if tidy else 4)))
    worker = spec(random, 3, RACK)
    leader = worker if random.random() < 0.3 else spec(random, 4, RACK)
    return Instance(nodes, standing, leader, worker, _group(random, nodes, most_pods, shaped(leader), shaped(worker)))


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
    taints = (Taint("reserved", random.choice(TAINTS), random.choice(["NoSchedule", "NoExecute", "PreferNoSchedule"])),)
    return NodeState(
        name=f"n{index}",
        labels=labels,
        allocatable=allocatable,
        taints=taints if random.random() < (0.05 if tidy else 0.15) else (),
        schedulable=random.random() < 0.93,
    )


def _standing(random: Random, nodes: tuple[NodeState, ...]) -> Standing:
    requests = {name: random.randint(0, 2) for name in RESOURCES}
    key = random.choice(["here/other-0", "here/other-1", "here/it-1", "there/other-0", "here/it-0"])
    is_in_subgroup = random.random() < 0.5
    tenant = Tenant(
        group=key,
        namespace=key.split("/")[0],
        exclusive=random.choice(["", "", "", "", RACK, BLOCK]),
        subgroup=random.randint(0, 1) if is_in_subgroup else -1,
        subgroup_exclusive=random.choice(["", "", RACK]) if is_in_subgroup else "",
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
        required=random.choice(["", "", "", ZONE, BLOCK, RACK]),
        exclusive=random.choice(["", "", "", "", "", ZONE, BLOCK, RACK]),
        preferred=random.choice([(), (), (RACK,), (BLOCK, RACK)]),
        stay=tuple(random.choice(names) for _ in range(size)) if random.random() < 0.2 else (),
        avoid=frozenset({random.choice(names)} if random.random() < 0.1 else ()),
        subgroup_size=subgroup_size,
        subgroup_policy=policy,
        subgroup_required=random.choice(["", ZONE, BLOCK, RACK, LEVELS[3]]) if subgroup_size else "",
        subgroup_exclusive=random.choice(["", "", BLOCK, RACK, LEVELS[3]]) if subgroup_size else "",
        spread=random.choice(["", "", ZONE, BLOCK]),
    )


def _subgroups(random: Random, size: int) -> tuple[int, str]:
    """A subgroup size that LeaderWorkerSet admits for the group's size, and the policy; 0 for no subgroups."""
    choices = [(0, "LeaderWorker")] * 2
    for each in range(1, size + 1):
        if (size - 1) % each == 0:
            choices += [(each, "LeaderExcluded"), (each, "LeaderWorker")]
        elif size % each == 0:
            choices.append((each, "LeaderWorker"))
    return random.choice(choices)
