"""The trap of plain pods: leaders placed by affinity in racks that their workers do not fit into.

A stand-in of a few lines plays the controller: it creates the workers of a leader, with a node selector on the leader's
rack, once the leader is bound.
"""

from __future__ import annotations

from collections import Counter

from lws_sched.api.core import NODE, POD, STATEFUL_SET, Pod
from lws_sched.api.names import GROUP_KEY
from lws_sched.kube.port import Change, Runtime
from lws_sched.sim import trap
from lws_sched.sim.manifests import ACCELERATOR, RACK, filler, pod_spec, rack_nodes
from lws_sched.sim.objects import Json
from lws_sched.sim.world import World
from tests.unit.sim.builders import NAMESPACE, stateful_set

RACKS, HOSTS, GROUPS, SIZE = 8, 4, 4, 3


def affinity(group: str) -> Json:
    def term(*requirements: Json) -> Json:
        selector = {"matchExpressions": list(requirements)}
        return {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": selector, "topologyKey": RACK}]}

    same = {"key": GROUP_KEY, "operator": "In", "values": [group]}
    present = {"key": GROUP_KEY, "operator": "Exists"}
    others = {"key": GROUP_KEY, "operator": "NotIn", "values": [group]}
    return {"podAffinity": term(same), "podAntiAffinity": term(present, others)}


def members(name: str, group: str, replicas: int, start: int, **spec: object) -> Json:
    body = stateful_set(name, replicas, start=start)
    template = body["spec"]["template"]
    template["metadata"]["labels"][GROUP_KEY] = group
    template["spec"] = {**pod_spec({ACCELERATOR: "8"}), **spec}
    return body


class StandIn:
    """Follows leaders with their workers."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._nodes = runtime.informer(NODE)
        self._pods = runtime.informer(POD, labels=GROUP_KEY)
        self._queue = runtime.queue("leaders", self._follow)
        self._pods.subscribe(self._changed)
        self._followed: set[str] = set()

    def _changed(self, change: Change[Pod]) -> None:
        name = change.latest.metadata.name
        if name.count("-") == 1:
            self._queue.add(name)

    def _follow(self, name: str) -> None:
        leader = self._pods.get(NAMESPACE, name)
        node = self._nodes.get("", leader.spec.node_name) if leader else None
        if leader is None or node is None or name in self._followed:
            return
        self._followed.add(name)
        selector = {RACK: node.metadata.labels[RACK]}
        group = leader.metadata.labels[GROUP_KEY]
        self._runtime.cluster.create(STATEFUL_SET, members(name, group, SIZE - 1, 1, nodeSelector=selector))


def trapped(seed: int) -> World:
    """Every second rack is half full: two of its four hosts are left, for groups of three."""
    world = World(seed)
    world.create_nodes(rack_nodes(RACKS, HOSTS))
    for rack in range(1, RACKS, 2):
        for host in range(2):
            world.server.create(POD, filler(f"filler-{rack}-{host}", f"rack-{rack:02}-host-{host:02}"))
    world.start("stand-in", StandIn)
    for number in range(GROUPS):
        group = f"g{number}"
        world.server.create(STATEFUL_SET, members(f"leader{number}", group, 1, 0, affinity=affinity(group)))
    world.settle()
    return world


def bound(world: World) -> dict[str, Counter[str]]:
    """Pods of each group that are bound, by rack."""
    found: dict[str, Counter[str]] = {}
    for each in world.cluster.list(POD, NAMESPACE):
        if each.spec.node_name:
            found.setdefault(each.metadata.labels[GROUP_KEY], Counter())[each.spec.node_name[:7]] += 1
    return found


def test_groups_that_all_fit_end_half_bound_where_leaders_do_not_know_their_workers() -> None:
    outcomes = [bound(trapped(seed)) for seed in range(6)]
    for groups in outcomes:
        assert len(groups) == GROUPS, "every leader is placed"
        assert all(len(racks) == 1 for racks in groups.values()), "a group is never torn apart"
        assert len({rack for racks in groups.values() for rack in racks}) == GROUPS, "nor are two in one rack"
        for racks in groups.values():
            ((rack, size),) = racks.items()
            assert size == (SIZE if int(rack[-2:]) % 2 == 0 else 2)
    half_bound = [sum(racks.total() < SIZE for racks in groups.values()) for groups in outcomes]
    assert sum(half_bound) >= 3
    assert min(half_bound) < max(half_bound)


def test_a_half_bound_group_stays_so_until_somebody_makes_room() -> None:
    world = next(each for each in map(trapped, range(6)) if any(r.total() < SIZE for r in bound(each).values()))
    before = bound(world)
    world.run(limit_seconds=120)
    assert bound(world) == before
    for each in world.cluster.list(POD, "fillers"):
        world.cluster.delete(POD, "fillers", each.metadata.name)
    world.settle(quiet_seconds=15)
    assert all(racks.total() == SIZE for racks in bound(world).values())


def test_the_scene_of_the_trap_is_as_large_as_it_says_and_holds_no_group_without_a_controller() -> None:
    outcome = trap.play(lambda _: None, ours=True, seed=1)
    assert [len(hosts) for hosts in outcome.racks.values()] == [16] * 62
    assert len(outcome.taken_hosts) == 31 * 8
    assert outcome.bound_by_group == {}
