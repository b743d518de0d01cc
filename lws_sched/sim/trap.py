"""The trap of placing leaders before their workers are known, as one scene that can be played with any components.

62 racks of 16 hosts, every second rack half full; 24 groups of 12 hosts, each to have a rack to itself. All of them
fit. With pod affinity on the default scheduler, leaders also land in racks too small for their group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lws_sched.api import names
from lws_sched.api.core import NODE, POD
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.sim.manifests import ACCELERATOR, RACK, filler, pod_spec, rack_nodes
from lws_sched.sim.objects import Json
from lws_sched.sim.world import World

RACKS, HOSTS_PER_RACK = 62, 16
TAKEN_PER_SECOND_RACK = 8
GROUPS, SIZE = 24, 12
NAMESPACE, NAME = "default", "llama"
QUIET_SECONDS = 15.0
"""Longer than the scheduler's longest back-off: when nothing happened for so long, nothing will."""


@dataclass(frozen=True)
class Outcome:
    """Where everything stood in the end."""

    racks: dict[str, list[str]]
    """Hosts by rack."""
    taken_hosts: list[str]
    """Hosts that were taken before."""
    bound_by_group: dict[int, list[str]]
    """Hosts of each group's bound members."""
    seconds: float
    """Simulated, from the creation of the LeaderWorkerSet to the last change of a pod."""


def play(start: Callable[[World], None], *, ours: bool, seed: int) -> Outcome:
    """Build the scene, have `start` start the components, create the groups, and wait until nothing changes any more.
    `ours` sends the groups through our scheduler profile."""
    world = World(seed)
    world.create_nodes(rack_nodes(RACKS, HOSTS_PER_RACK))
    racks = _racks(world)
    taken = [host for rack in sorted(racks)[1::2] for host in racks[rack][:TAKEN_PER_SECOND_RACK]]
    for number, host in enumerate(taken):
        world.cluster.create(POD, filler(f"filler-{number:03}", host))
    start(world)
    world.settle()
    began = world.elapsed
    world.cluster.create(LEADER_WORKER_SET, _groups(names.SCHEDULER if ours else ""))
    world.settle(quiet_seconds=QUIET_SECONDS)
    ended = max(event.t for event in world.log if event.kind == POD.kind)
    return Outcome(racks, taken, _bound_by_group(world), ended - began)


def _groups(scheduler: str) -> Json:
    template = {"spec": pod_spec({ACCELERATOR: "8"}, scheduler)}
    meta = {"name": NAME, "namespace": NAMESPACE, "annotations": {names.EXCLUSIVE_TOPOLOGY: RACK}}
    group = {"size": SIZE, "workerTemplate": template}
    return LEADER_WORKER_SET.body(meta, spec={"replicas": GROUPS, "leaderWorkerTemplate": group})


def _racks(world: World) -> dict[str, list[str]]:
    racks: dict[str, list[str]] = {}
    for node in world.cluster.list(NODE):
        racks.setdefault(node.metadata.labels[RACK], []).append(node.metadata.name)
    return racks


def _bound_by_group(world: World) -> dict[int, list[str]]:
    bound: dict[int, list[str]] = {}
    for pod in world.cluster.list(POD, NAMESPACE, names.SET_NAME):
        if pod.spec.node_name:
            bound.setdefault(int(pod.metadata.labels[names.GROUP_INDEX]), []).append(pod.spec.node_name)
    return bound
