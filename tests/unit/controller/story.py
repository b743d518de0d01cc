"""A set's life on a simulated cluster with nothing but the controller in it, told in steps, with faults on demand.

A `Story` is a sequence of steps; after each the world comes to rest. `told` runs it and answers with what the cluster
then looks like, as plain values that do not depend on names given at random, times or resourceVersions: two runs of one
story have come to the same end if and only if these are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lws_sched.admission.hook import JsonObject
from lws_sched.api import names
from lws_sched.api.core import CONTROLLER_REVISION, POD, SERVICE, STATEFUL_SET
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.meta import Kind
from lws_sched.api.volcano import POD_GROUP
from lws_sched.controller.app import Options, build
from lws_sched.sim.faults import NONE, Faults
from lws_sched.sim.objects import clone, is_ready
from lws_sched.sim.world import World
from tests.controlplane.nodes import RACK_LABEL, rack_nodes

SET, NAMESPACE = "tale", "default"
CONTROLLER = "controller"
Step = Callable[["Told"], None]


@dataclass
class Told:
    """A story as far as it has come."""

    world: World

    # --- what a user and the world do --------------------------------------------------------------------------------
    def create(self, **spec: Any) -> None:
        template = {"spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "one"}]}}
        group = {"size": 2, "workerTemplate": template, **spec.pop("template", {})}
        annotations = spec.pop("annotations", {})
        self.world.server.create(
            LEADER_WORKER_SET,
            {
                "metadata": {"name": SET, "namespace": NAMESPACE, "annotations": annotations},
                "spec": {"replicas": 2, "leaderWorkerTemplate": group, **spec},
            },
        )

    def edit(self, *, image: str = "", **spec: Any) -> None:
        template = dict(spec.pop("template", {}))
        if image:
            containers = [{"name": "main", "image": image}]
            template["workerTemplate"] = {"spec": {"containers": containers}}
        change = {**spec, **({"leaderWorkerTemplate": template} if template else {})}
        self.world.server.merge(LEADER_WORKER_SET, NAMESPACE, SET, {"spec": change})

    def restart_container(self, pod: str) -> None:
        self.world.kubelets.fail_container(NAMESPACE, pod)

    def end_pod(self, pod: str) -> None:
        self.world.kubelets.fail_pod(NAMESPACE, pod)

    def delete_pod(self, pod: str) -> None:
        self.world.server.delete(POD, NAMESPACE, pod)

    def delete_object(self, kind: Kind[Any], name: str) -> None:
        self.world.server.delete(kind, NAMESPACE, name, propagation="Background")

    def wait_ready(self, groups: int) -> None:
        """Longer than a StatefulSet whose pods' names were taken backs off."""
        self.world.run(until=lambda: self.ready_groups() == groups)

    def delete(self) -> None:
        self.world.server.delete(LEADER_WORKER_SET, NAMESPACE, SET, propagation="Background")

    # --- what is there -----------------------------------------------------------------------------------------------
    def all(self, kind: Any) -> list[JsonObject]:
        return [version.body for version in self.world.server.list(kind, NAMESPACE, names.SET_NAME)]

    def ready_groups(self) -> int:
        """Groups whose members all are there, ready, and not about to go."""
        by_group: dict[str, list[JsonObject]] = {}
        for pod in self.all(POD):
            by_group.setdefault(pod["metadata"]["labels"].get(names.GROUP_INDEX, ""), []).append(pod)
        return sum(
            len(pods) == int(pods[0]["metadata"]["annotations"][names.SIZE])
            and all(is_ready(pod) and "deletionTimestamp" not in pod["metadata"] for pod in pods)
            for pods in by_group.values()
        )

    def incarnations(self) -> dict[str, int]:
        """How many leaders each group has had."""
        seen: dict[str, set[str]] = {}
        for event in self.world.log:
            meta = event.body["metadata"]
            if event.kind == POD.kind and meta.get("labels", {}).get(names.WORKER_INDEX) == "0":
                seen.setdefault(meta["name"], set()).add(meta["uid"])
        return {name: len(uids) for name, uids in sorted(seen.items())}

    def fewest_ready(self) -> int:
        """The fewest groups that were ready at any moment since all of the first ones were."""
        replicas, size = 0, 0
        counts: list[int] = []
        ready: dict[str, set[str]] = {}
        for event in self.world.log:
            if event.kind == LEADER_WORKER_SET.kind and not replicas:
                replicas = event.body["spec"]["replicas"]
                size = event.body["spec"]["leaderWorkerTemplate"]["size"]
            meta = event.body["metadata"]
            group = meta.get("labels", {}).get(names.GROUP_INDEX)
            if event.kind != POD.kind or group is None:
                continue
            is_there = event.type != "DELETED" and is_ready(event.body) and "deletionTimestamp" not in meta
            members = ready.setdefault(group, set())
            (members.add if is_there else members.discard)(meta["name"])
            count = sum(len(each) == size for each in ready.values())
            if counts or count == replicas:
                counts.append(count)
        return min(counts)

    def end(self) -> dict[str, Any]:
        sets = [version.body for version in self.world.server.list(LEADER_WORKER_SET, NAMESPACE)]
        return {
            "status": [_status(each) for each in sets],
            "stateful sets": _stateful_sets(self.all(STATEFUL_SET)),
            "services": sorted(each["metadata"]["name"] for each in self.all(SERVICE)),
            "revisions": sorted(
                each["metadata"]["labels"][names.REVISION]
                for each in self.all(CONTROLLER_REVISION)
                if each["metadata"]["name"].startswith(SET) and "leaderWorkerTemplate" in each["data"]["spec"]
            ),
            "pod groups": {each["metadata"]["name"]: (_owner(each), each["spec"]) for each in self.all(POD_GROUP)},
            "pods": {each["metadata"]["name"]: _pod(each) for each in self.all(POD)},
            "leaders": self.incarnations(),
        }


def told(story: tuple[Step, ...], faults: Faults = NONE, *, seed: int = 1, provider: str = "") -> Told:
    """The story at its end, with this gang provider. Raises NotReached where the world does not come to rest."""
    world = World(seed=seed)
    world.create_nodes(rack_nodes(2, 4))
    world.start(CONTROLLER, lambda runtime: build(runtime, Options(gang_provider=provider)), faults=faults)
    world.settle()
    tale = Told(world)
    for step in story:
        step(tale)
        world.settle()
    return tale


def _status(lws: JsonObject) -> dict[str, Any]:
    status = dict(lws["status"])
    status["conditions"] = {each["type"]: each["status"] for each in status["conditions"]}
    return status


def _stateful_sets(sets: Iterable[JsonObject]) -> dict[str, tuple[Any, ...]]:
    """Labels, spec, and the rack that the pods are kept to, by name. Which rack a group was given is chance: racks are
    numbered as they come, and their names left out."""
    numbers, told = dict[str, int](), {}
    for each in sorted(sets, key=lambda each: str(each["metadata"]["name"])):
        spec = clone(each["spec"])
        rack = spec["template"]["spec"].get("nodeSelector", {}).pop(RACK_LABEL, None)
        told[each["metadata"]["name"]] = (each["metadata"]["labels"], spec, numbers.setdefault(rack, len(numbers)))
    return told


def _owner(body: JsonObject) -> str:
    (owner,) = body["metadata"]["ownerReferences"]
    return str(owner["name"])


def _pod(pod: JsonObject) -> tuple[str, str, str, bool]:
    labels = pod["metadata"]["labels"]
    image = pod["spec"]["containers"][0]["image"]
    return labels[names.REVISION], labels[names.WORKER_INDEX], image, is_ready(pod)
