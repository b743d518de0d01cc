"""Clusters to look at: racks of hosts, groups that run, come, go and wait, as the product itself would place them.

Slots, and the reasons of those that wait, come from the same planning as everything else; what is drawn here is only
what the API server would hold after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lws_sched.api.timestamps import micro_time
from lws_sched.intake.answers import Answer
from lws_sched.intake.cluster import Cluster, cluster_of
from lws_sched.intake.documents import Document
from lws_sched.intake.sets import sets_of
from lws_sched.intake.shapes import template_shapes
from lws_sched.intake.what_if import what_if
from tests.controlplane.nodes import rack_nodes
from tests.scenarios.manifests import LeaderWorkerSet, lws, pod

Body = dict[str, Any]
NAMESPACE = "default"
BEGAN = 1_700_000_000.0
READY = {"type": "Ready", "status": "True"}


@dataclass
class Scenery:
    """A cluster under construction; `at` is the time of what happens next, in seconds."""

    racks: int
    hosts: int = 16
    at: float = BEGAN
    objects: list[Body] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.objects += rack_nodes(self.racks, self.hosts)

    def cluster(self) -> Cluster:
        return cluster_of([Document(body, "scenery") for body in self.objects], "scenery")

    def taken(self, every: int, gpus: int = 8) -> Scenery:
        """A pod of no group on every so manieth host."""
        for node in self._nodes()[::every]:
            body = pod(f"notebook-{node}", accelerators=gpus, node=node)
            self.objects.append(_placed(body) | {"status": {"phase": "Running"}})
        return self

    def closed(self, *names: str) -> Scenery:
        for node in self.objects:
            if node["kind"] == "Node" and node["metadata"]["name"] in names:
                node["spec"] = {"unschedulable": True}
        return self

    def groups(self, asked: LeaderWorkerSet, state: str = "Bound", *, missing: Sequence[int] = ()) -> Scenery:
        """A set with its groups in a state, where they have a place, else waiting; without the members `missing`."""
        manifest = _placed(asked.body)
        [found] = sets_of([Document(manifest, "scenery")], "scenery", NAMESPACE)
        cluster = self.cluster()
        self.objects.append(manifest)
        for index, answer in enumerate(
            what_if(cluster, (found,), {f"{NAMESPACE}/{asked.name}": template_shapes(cluster, found)})
        ):
            self.at += 0.4
            self.objects.append(_record(asked, index, answer, state, self.at))
            if state == "Bound" and answer.feasible:
                self.objects += _members(asked, index, answer, missing)
        self.at += 60
        return self

    def _nodes(self) -> list[str]:
        return [each["metadata"]["name"] for each in self.objects if each["kind"] == "Node"]


def scenery(nodes: int) -> Scenery:
    """A cluster of so many hosts in its daily life: some groups run, some are on their way, some wait."""
    racks = max(2, -(-nodes // 16))
    found = Scenery(racks, min(16, nodes // 2)).taken(11).closed("rack-01-host-02", "rack-001-host-07")
    found.groups(lws("llama", replicas=max(1, racks // 4), size=min(12, nodes // 3)).required())
    found.groups(lws("mixtral", replicas=max(1, racks // 3), size=min(4, nodes // 4)).required())
    found.groups(lws("whisper", replicas=max(1, racks // 6), size=2).accelerators(4).required())
    found.groups(lws("train", replicas=2, size=min(6, nodes // 5)).required(), missing=(1, 3))
    found.groups(lws("batch", replicas=max(1, racks // 20), size=min(5, nodes // 5)).required(), state="Reserved")
    found.groups(lws("giant", replicas=2, size=40).required())
    return found.groups(lws("wide", replicas=3, size=min(14, nodes)).exclusive())


def _placed(body: Body) -> Body:
    return {**body, "metadata": {"namespace": NAMESPACE, **body["metadata"]}}


def _record(asked: LeaderWorkerSet, index: int, answer: Answer, state: str, at: float) -> Body:
    shape = {"requests": {"nvidia.com/gpu": 8}}
    status: Body = {"state": "Waiting", "reason": answer.reason, "fix": answer.fix}
    if answer.feasible:
        domain = {"key": answer.level, "value": answer.domain}
        status = {"state": state, "slots": [node for _, node in answer.slots], "domain": domain}
    return {
        "apiVersion": "lws-sched.io/v1alpha1",
        "kind": "GroupPlacement",
        "metadata": {"name": f"{asked.name}-{index}", "namespace": NAMESPACE},
        "spec": {
            "leaderWorkerSet": asked.name,
            "groupIndex": index,
            "size": answer.size,
            "leader": shape,
            "worker": shape,
        },
        "status": {**status, "proof": answer.proof, "since": micro_time(at)},
    }


def _members(asked: LeaderWorkerSet, index: int, answer: Answer, missing: Sequence[int]) -> list[Body]:
    template = asked.body["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]
    found = []
    for number, (name, node) in enumerate(answer.slots):
        labels = {
            "name": asked.name,
            "group-index": str(index),
            "worker-index": str(number),
            "template-revision-hash": "5f7c9b8d4",
        }
        metadata = {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {f"leaderworkerset.sigs.k8s.io/{key}": value for key, value in labels.items()},
            "annotations": {"leaderworkerset.sigs.k8s.io/size": str(answer.size)},
        }
        status = {"phase": "Running", "conditions": [READY]}
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {**template, "nodeName": node},
            "status": status,
        }
        if number not in missing:
            found.append(body)
    return found
