"""One set on a tiny cluster, the controller over it, and the hands that a test lends to the rest of Kubernetes."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from lws_sched.api import names
from lws_sched.api.core import POD, STATEFUL_SET
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.controller.app import Options, build
from tests.unit.controller.tiny import TinyCluster, TinyRuntime
from tests.unit.core.samples import sample_json

KEY = "7bdcf6cbd6"
SET = "test-sample"
SELECTOR = {names.SET_NAME: SET}


class Scene:
    """A cluster, the controller over it, and the hands of a test: those of the StatefulSet controller and kubelet."""

    def __init__(self, **spec: Any) -> None:
        self.cluster = TinyCluster()
        self.create(**spec)
        self.restart()

    def restart(self) -> None:
        self.runtime = TinyRuntime(self.cluster)
        self.app = build(self.runtime, Options())
        self.cluster.writes.clear()
        self.runtime.settle()

    def create(self, *, template: dict[str, Any] | None = None, annotations: Any = None, **spec: Any) -> None:
        body = sample_json()
        body["spec"] |= spec
        body["spec"]["leaderWorkerTemplate"] |= template or {}
        body["metadata"]["annotations"] = annotations or {}
        self.cluster.put(LEADER_WORKER_SET, body)

    def edit(self, *, template: dict[str, Any] | None = None, **spec: Any) -> None:
        body = deepcopy(self.lws)
        body["spec"] |= spec
        body["spec"]["leaderWorkerTemplate"] |= template or {}
        self.cluster.put(LEADER_WORKER_SET, body)
        self.runtime.settle()

    @property
    def lws(self) -> dict[str, Any]:
        return self.cluster.named(LEADER_WORKER_SET, SET)

    @property
    def leader_set(self) -> dict[str, Any]:
        return self.cluster.named(STATEFUL_SET, SET)

    @property
    def notes(self) -> list[str]:
        return self.runtime.recorded.notes

    def conditions(self) -> dict[str, str]:
        return {each["type"]: each["status"] for each in self.lws["status"]["conditions"]}

    def leader(self, index: int, *, ready: bool = False, **spec: Any) -> None:
        """The leader pod that the leader StatefulSet would make now."""
        name, template = f"{SET}-{index}", deepcopy(self.leader_set["spec"]["template"])
        template["metadata"]["labels"] |= {names.GROUP_INDEX: str(index), names.GROUP_KEY: "randomValue"}
        meta = {**template["metadata"], "name": name, "ownerReferences": [owner_of("StatefulSet", self.leader_set)]}
        self.cluster.put(POD, {"metadata": meta, "spec": {**template["spec"], **spec}, "status": status_of(ready)})
        self.runtime.settle()

    def worker(self, name: str, **status: Any) -> None:
        owner = self.cluster.named(STATEFUL_SET, name.rpartition("-")[0])
        labels = {**owner["spec"]["template"]["metadata"]["labels"], names.WORKER_INDEX: name.rpartition("-")[2]}
        meta = {"name": name, "labels": labels, "ownerReferences": [owner_of("StatefulSet", owner)]}
        self.cluster.put(POD, {"metadata": meta, "spec": {}, "status": status_of(True) | status})
        self.runtime.settle()

    def become_ready(self, *indices: int) -> None:
        for index in indices:
            pod = self.cluster.named(POD, f"{SET}-{index}")
            self.cluster.put(POD, {**pod, "status": status_of(True)})
            workers = self.cluster.named(STATEFUL_SET, f"{SET}-{index}")
            status = {"availableReplicas": workers["spec"]["replicas"], "currentRevision": "a", "updateRevision": "a"}
            self.cluster.put(STATEFUL_SET, {**workers, "status": status})
        self.runtime.settle()

    def lose_leader(self, index: int) -> None:
        """The leader goes, and the garbage collector takes its workers."""
        self.cluster.remove(POD, f"{SET}-{index}")
        self.cluster.remove(STATEFUL_SET, f"{SET}-{index}")
        self.runtime.settle()


def owner_of(kind: str, owner: dict[str, Any]) -> dict[str, Any]:
    meta = owner["metadata"]
    return {"apiVersion": "apps/v1", "kind": kind, "name": meta["name"], "uid": meta["uid"], "controller": True}


def status_of(ready: bool) -> dict[str, Any]:
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {"phase": "Running" if ready else "Pending", "conditions": [condition]}
