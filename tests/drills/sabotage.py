"""Faults and users' whims, each a method that picks its target by the drill's seed and says in words what it did.

A fault that lasts has a counterpart that ends it. `heal` ends those that no group can outlive: processes come back,
frozen ones go on, a lost node returns or is deleted, a quota and foreign gates are lifted. Cordons, taints and labels
stay: a cluster may be like that.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from random import Random

from tests.controlplane.nodes import RACK_LABEL
from tests.drills import workload
from tests.scenarios.cluster import (
    CONTROLLER,
    EXTENDER,
    NODES,
    PODS,
    RECORDS,
    SCHEDULER,
    SET_NAME,
    SETS,
    WORKER_INDEX,
    Body,
    Cluster,
    Denied,
)
from tests.scenarios.conditions import is_leaving

Act = Callable[[], str]
"""Does something and says what; "" where there was nothing to do it to."""
TAINT = {"key": "example.com/repair", "effect": "NoSchedule"}


class Breakable(Cluster):
    """A cluster with two replicas of the extender, whose connections can be broken."""

    @abstractmethod
    def take_over(self) -> None:
        """Another replica of the extender holds the lease from now on."""

    @abstractmethod
    def cut_bind_calls(self) -> None:
        """Break connections of bind calls that wait for their answer."""

    @abstractmethod
    def restart_etcd(self) -> None:
        """Kill the store under the API server, and have it back."""

    @abstractmethod
    def lose_the_answer_of_binding(self, number: int) -> None:
        """Of the bindings posted from now on, the answer to that one: the pod is bound, and the extender never hears of
        it."""

    @abstractmethod
    def crash_at_binding(self, number: int) -> None:
        """From now on: the extender is killed when that many members have been, or are about to be, bound."""


class Saboteur:
    """Acts on one cluster. `story` tells what was done, and when."""

    def __init__(self, cluster: Breakable, rng: Random, racks: workload.Racks) -> None:
        self.story: list[tuple[float, str]] = []
        self.rng = rng
        self._cluster, self._racks = cluster, racks
        self._down: set[str] = set()
        self._frozen: set[str] = set()
        self._lost: set[str] = set()
        self._numbers = 0
        self._has_quota = False
        self._high = ""
        self._acts = [act for act, weight in self.acts() for _ in range(weight)]

    def acts(self) -> Sequence[tuple[Act, int]]:
        """What may be done, each with how often it is compared to others."""
        users = (
            (self.apply_a_set, 3),
            (self.scale_a_set, 3),
            (self.change_a_template, 3),
            (self.delete_a_set, 1),
            (self.create_rivals, 3),
            (self.delete_a_rival, 1),
            (self.forge_a_member, 2),
        )
        pods = (
            (self.delete_a_member, 5),
            (self.restart_a_set, 1),
            (self.end_a_member, 2),
            (self.limit_pods, 3),
            (self.lift_foreign_gates, 2),
        )
        nodes = (
            (self.add_nodes, 1),
            (self.cordon_a_node, 3),
            (self.taint_a_node, 2),
            (self.relabel_a_node, 2),
            (self.lose_a_node, 3),
            (self.delete_a_node, 2),
        )
        processes = (
            (self.crash_a_process, 6),
            (self.start_what_is_down, 6),
            (self.freeze_the_extender, 2),
            (self.thaw_the_extender, 3),
            (self.take_over, 3),
            (self.restart_api_server, 2),
            (self.cut_bind_calls, 3),
        )
        return (*users, *pods, *nodes, *processes)

    def begin(self) -> None:
        """Racks, sets, and perhaps a few rivals."""
        self._high = self._cluster.has_priority_class(100)
        self._cluster.has_racks(self._racks.count, hosts=self._racks.hosts)
        self._tell(f"there are {self._racks.count} racks of {self._racks.hosts} hosts")
        for _ in range(self.rng.randint(*self._racks.sets)):
            self._tell(self.attempt(self.apply_a_set))
        if self.rng.random() < 0.3:
            self._tell(self.attempt(self.create_rivals))

    def act(self) -> None:
        """One thing goes wrong, or somebody wants something."""
        while not (said := self.attempt(self.rng.choice(self._acts))):
            pass
        self._tell(said)

    def attempt(self, act: Act) -> str:
        """Have somebody ask for something, who may be refused."""
        try:
            return act()
        except Denied as denied:
            return f"somebody is refused: {denied}"

    def heal(self) -> None:
        cluster = self._cluster
        for component in sorted(self._frozen):
            cluster.thaw(component)
        for component in (EXTENDER, CONTROLLER, SCHEDULER):
            cluster.start(component)
        for node in sorted(self._lost):
            if cluster.find(NODES, node) is None:
                continue
            if self.rng.random() < 0.5:
                cluster.set_readiness(node, ready=True)
            else:
                cluster.delete(NODES, node)
        cluster.limit_pods(None)
        self.attempt(self.lift_foreign_gates)
        self._down, self._frozen, self._lost, self._has_quota = set(), set(), set(), False
        cluster.faults.append(cluster.now())
        self._tell("the last fault has ended: processes, lost nodes, quota and foreign gates are as they should be")

    # --- users -------------------------------------------------------------------------------------------------------

    def apply_a_set(self) -> str:
        if len(self._cluster.all(SETS)) > self._racks.sets[1]:
            return ""
        manifest = workload.draw_set(self.rng, f"set{self._number()}", self._racks, self._high)
        self._cluster.apply(manifest)
        spec = manifest.body["spec"]
        template = spec["leaderWorkerTemplate"]
        priority = template["workerTemplate"]["spec"].get("priorityClassName", "no priority")
        kind = f"{spec['replicas']} x {template['size']}, {spec.get('startupPolicy', 'LeaderCreated')}, {priority}"
        return f"{manifest.name} is applied: {kind}, {manifest.body['metadata'].get('annotations', {})}"

    def scale_a_set(self) -> str:
        found = self._pick(self._cluster.all(SETS))
        if found is None:
            return ""
        replicas = self.rng.randint(0, self._racks.groups[1] + 1)
        self._cluster.scale(found["metadata"]["name"], replicas)
        return f"{found['metadata']['name']} is scaled to {replicas}"

    def change_a_template(self) -> str:
        found = self._pick(self._cluster.all(SETS))
        if found is None:
            return ""
        template = found["spec"]["leaderWorkerTemplate"]["workerTemplate"]
        changed = {**template, "metadata": {**template.get("metadata", {}), "labels": {"version": str(self._number())}}}
        self._cluster.merge(
            SETS, found["metadata"]["name"], {"spec": {"leaderWorkerTemplate": {"workerTemplate": changed}}}
        )
        return f"{found['metadata']['name']} gets a new worker template"

    def delete_a_set(self) -> str:
        found = self._pick(self._cluster.all(SETS))
        if found is None or len(self._cluster.all(SETS)) < 2:
            return ""
        self._cluster.delete_set(found["metadata"]["name"])
        return f"{found['metadata']['name']} is deleted"

    def create_rivals(self) -> str:
        names = [f"rival-{self._number()}" for _ in range(self.rng.randint(1, 4))]
        for name in names:
            self._cluster.create(PODS, workload.rival(self.rng, name, self._high))
        return f"rivals come: {', '.join(names)}"

    def delete_a_rival(self) -> str:
        found = self._pick([each for each in self._cluster.all(PODS) if _is_rival(each)])
        if found is None:
            return ""
        self._cluster.delete(PODS, found["metadata"]["name"], force=True)
        return f"{found['metadata']['name']} goes"

    def forge_a_member(self) -> str:
        victim = self._pick(self._members())
        if victim is None:
            return ""
        made = self._cluster.create(PODS, workload.forged(self.rng, victim, self._number()))
        return f"{made['metadata']['name']} comes with the labels of {victim['metadata']['name']}"

    def lift_foreign_gates(self) -> str:
        lifted = []
        for each in self._members():
            gates = each["spec"].get("schedulingGates") or []
            kept = [gate for gate in gates if gate["name"] != workload.FOREIGN_GATE]
            if kept != gates:
                self._cluster.merge(PODS, each["metadata"]["name"], {"spec": {"schedulingGates": kept or None}})
                lifted.append(each["metadata"]["name"])
        return f"the foreign gates of {', '.join(lifted)} are lifted" if lifted else ""

    # --- pods --------------------------------------------------------------------------------------------------------

    def delete_a_member(self) -> str:
        found = self._pick(self._members())
        if found is None:
            return ""
        force = self.rng.random() < 0.4
        self._cluster.faults.append(self._cluster.now())
        self._cluster.delete(PODS, found["metadata"]["name"], force=force)
        return f"{_shown(found)} is {'force-' if force else ''}deleted"

    def restart_a_set(self) -> str:
        """All groups of a set at once."""
        found = self._pick(self._cluster.all(SETS))
        name = found["metadata"]["name"] if found else ""
        leaders = [each for each in self._members() if each["metadata"]["labels"].get(SET_NAME) == name]
        leaders = [each for each in leaders if each["metadata"]["labels"].get(WORKER_INDEX) == "0"]
        if not leaders:
            return ""
        self._cluster.faults.append(self._cluster.now())
        for each in leaders:
            self._cluster.delete(PODS, each["metadata"]["name"])
        return f"all {len(leaders)} leaders of {name} are deleted"

    def end_a_member(self) -> str:
        found = self._pick([each for each in self._members() if each["spec"].get("nodeName") and not is_leaving(each)])
        if found is None:
            return ""
        self._cluster.end_pod(found["metadata"]["name"])
        return f"{_shown(found)} fails"

    def limit_pods(self) -> str:
        if self._has_quota:
            self._cluster.limit_pods(None)
            self._has_quota = False
            return "the quota is lifted"
        limit = len(self._cluster.all(PODS)) + self.rng.randint(0, 3)
        self._cluster.limit_pods(limit)
        self._has_quota = True
        return f"a quota allows {limit} pods"

    # --- nodes -------------------------------------------------------------------------------------------------------

    def add_nodes(self) -> str:
        if len(self._cluster.all(NODES)) > 24:
            return ""
        self._cluster.has_racks(1, hosts=self._racks.hosts)
        return f"a rack of {self._racks.hosts} hosts is added"

    def cordon_a_node(self) -> str:
        node = self._node()
        cordoned = not node["spec"].get("unschedulable")
        self._cluster.faults.append(self._cluster.now())
        self._cluster.merge(NODES, node["metadata"]["name"], {"spec": {"unschedulable": cordoned or None}})
        return f"{node['metadata']['name']} is {'cordoned' if cordoned else 'uncordoned'}"

    def taint_a_node(self) -> str:
        node = self._node()
        before = node["spec"].get("taints") or []
        after = [each for each in before if each["key"] != TAINT["key"]]
        tainted = before == after
        self._cluster.faults.append(self._cluster.now())
        self._cluster.merge(NODES, node["metadata"]["name"], {"spec": {"taints": [*after, *[TAINT] * tainted]}})
        return f"{node['metadata']['name']} is {'tainted' if tainted else 'free of its taint'}"

    def relabel_a_node(self) -> str:
        node, other = self._node(), self._node()
        rack = other["metadata"]["labels"].get(RACK_LABEL) if self.rng.random() < 0.7 else None
        self._cluster.faults.append(self._cluster.now())
        self._cluster.merge(NODES, node["metadata"]["name"], {"metadata": {"labels": {RACK_LABEL: rack}}})
        return f"{node['metadata']['name']} is now in rack {rack}"

    def lose_a_node(self) -> str:
        name = self._node()["metadata"]["name"]
        self._lost ^= {name}
        self._cluster.set_readiness(name, ready=name not in self._lost)
        return f"{name} is {'NotReady' if name in self._lost else 'Ready again'}"

    def delete_a_node(self) -> str:
        if len(self._cluster.all(NODES)) < 4:
            return ""
        name = self._node()["metadata"]["name"]
        self._lost.discard(name)
        self._cluster.faults.append(self._cluster.now())
        self._cluster.delete(NODES, name)
        return f"{name} is deleted"

    # --- processes ---------------------------------------------------------------------------------------------------

    def crash_a_process(self) -> str:
        component = self.rng.choice((EXTENDER, EXTENDER, CONTROLLER, SCHEDULER))
        if component in self._frozen:
            return ""
        if component in self._down:
            self._down.discard(component)
            self._cluster.start(component)
            return f"{component} is started again"
        self._down.add(component)
        self._cluster.crash(component)
        return f"{component} is killed"

    def start_what_is_down(self) -> str:
        if not self._down:
            return ""
        component = self.rng.choice(sorted(self._down))
        self._down.discard(component)
        self._cluster.start(component)
        return f"{component} is started again"

    def freeze_the_extender(self) -> str:
        if self._frozen or EXTENDER in self._down:
            return ""
        self._frozen.add(EXTENDER)
        self._cluster.freeze(EXTENDER)
        return "the extender that leads is frozen"

    def thaw_the_extender(self) -> str:
        if EXTENDER not in self._frozen:
            return ""
        self._frozen.discard(EXTENDER)
        self._cluster.thaw(EXTENDER)
        return "the frozen extender goes on"

    def take_over(self) -> str:
        if EXTENDER not in self._frozen and EXTENDER not in self._down and self.rng.random() < 0.7:
            return ""
        self._down.discard(EXTENDER)
        self._cluster.take_over()
        return "another replica of the extender leads"

    def restart_api_server(self) -> str:
        seconds = self.rng.choice((0.05, 0.5, 3.0))
        self._cluster.restart_api_server(seconds)
        return f"the API server is away for {seconds:g} s and has forgotten its events"

    def cut_bind_calls(self) -> str:
        self._cluster.cut_bind_calls()
        return "connections of held bind calls break"

    # --- picking -----------------------------------------------------------------------------------------------------

    def _members(self) -> list[Body]:
        return [each for each in self._cluster.all(PODS) if (each["metadata"].get("ownerReferences") or [])]

    def _node(self) -> Body:
        """A node; more often one that a record has a slot on."""
        nodes = self._cluster.all(NODES)
        used = {node for each in self._cluster.all(RECORDS) for node in each["status"].get("slots") or ()}
        marked = [each for each in nodes if each["metadata"]["name"] in used]
        return self.rng.choice(marked if marked and self.rng.random() < 0.7 else nodes)

    def _pick(self, bodies: list[Body]) -> Body | None:
        return self.rng.choice(sorted(bodies, key=lambda each: str(each["metadata"]["name"]))) if bodies else None

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _tell(self, sentence: str) -> None:
        self.story.append((self._cluster.now(), sentence))


def _is_rival(pod: Body) -> bool:
    return str(pod["metadata"]["name"]).startswith("rival-")


def _shown(pod: Body) -> str:
    node = pod["spec"].get("nodeName")
    where = f"on {node}" if node else "gated" if pod["spec"].get("schedulingGates") else "unbound"
    return f"{pod['metadata']['name']} ({where})"
