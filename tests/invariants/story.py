"""Watch logs told in words, to try the checker on: each sentence is one write, with the next resourceVersion.

    story = Story()
    story.node("n1", rack="r1")
    story.record("llama-0", "Reserved", slots=["n1"])

Groups are of the set that their leader's name begins with; everything is in one namespace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tests.invariants.objects import EXCLUSIVE, LWS, PREEMPTED, REQUIRED, SCHEDULER

RACK = "example.com/rack"
DEVICE = "example.com/gpu"
SECONDS_PER_WRITE = 0.001
Body = dict[str, Any]


class Story:
    """A cluster that only remembers. `lines` is the log so far."""

    def __init__(self) -> None:
        self.lines: list[Body] = []
        self.now = 100.0
        self._rv = 1000
        self._uids = 0
        self._pods: dict[str, Body] = {}
        self._records: dict[str, Body] = {}

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def node(self, name: str, rack: str, devices: int = 8, cpu: str = "64") -> None:
        allocatable = {"cpu": cpu, "memory": "256Gi", "pods": "20", DEVICE: str(devices)}
        self._write("ADDED", _body("Node", name, labels={RACK: rack}, status={"allocatable": allocatable}))

    def set(self, name: str, exclusive: str = "", required: str = "") -> None:
        annotations = {key: value for key, value in ((EXCLUSIVE, exclusive), (REQUIRED, required)) if value}
        self._write("ADDED", _body("LeaderWorkerSet", name, "default", annotations=annotations))

    def member(self, name: str, group: str, devices: int = 8, gated: bool = False) -> str:
        """A member of our scheduler's group; returns its UID."""
        set_name, _, index = group.rpartition("-")
        labels = {LWS + "name": set_name, LWS + "group-index": index}
        return self._pod(name, labels, SCHEDULER, {DEVICE: str(devices), "cpu": "1"}, gated)

    def stranger(self, name: str, scheduler: str = "default-scheduler", **requests: str) -> str:
        """A pod of no group."""
        return self._pod(name, {}, scheduler, {DEVICE if key == "devices" else key: requests[key] for key in requests})

    def bind(self, name: str, node: str) -> None:
        self._pods[name]["spec"]["nodeName"] = node
        self._write("MODIFIED", self._pods[name])

    def lift_gate(self, name: str) -> None:
        del self._pods[name]["spec"]["schedulingGates"]
        self._write("MODIFIED", self._pods[name])

    def leave(self, name: str) -> None:
        """The pod is told to end."""
        self._pods[name]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        self._write("MODIFIED", self._pods[name])

    def preempt(self, name: str) -> None:
        """kube-scheduler chooses the pod as a victim."""
        condition = {"type": "DisruptionTarget", "status": "True", "reason": PREEMPTED}
        self._pods[name]["status"] = {"conditions": [condition]}
        self._write("MODIFIED", self._pods[name])

    def end(self, name: str) -> None:
        """The pod's containers have ended."""
        self._pods[name]["status"] = {"phase": "Succeeded"}
        self._write("MODIFIED", self._pods[name])

    def delete(self, name: str) -> None:
        self._write("DELETED", self._pods.pop(name))

    def uid(self, name: str) -> str:
        return str(self._pods[name]["metadata"]["uid"])

    def record(
        self,
        leader: str,
        state: str,
        slots: Sequence[str] = (),
        committed: Mapping[str, str] | None = None,
        devices: int = 8,
        **status: Any,
    ) -> None:
        shape = {"requests": {DEVICE: devices, "cpu": 1000}}
        fields = {"state": state, "slots": list(slots), "committed": dict(committed or {}), **status}
        body = _body("GroupPlacement", leader, "default", spec={"leader": shape, "worker": shape}, status=fields)
        self._write("MODIFIED" if leader in self._records else "ADDED", body)
        self._records[leader] = body

    def delete_record(self, leader: str) -> None:
        self._write("DELETED", self._records.pop(leader))

    def _pod(
        self, name: str, labels: Mapping[str, str], scheduler: str, requests: Mapping[str, str], gated: bool = False
    ) -> str:
        self._uids += 1
        spec: Body = {"schedulerName": scheduler, "containers": [{"name": "c", "resources": {"requests": requests}}]}
        if gated:
            spec["schedulingGates"] = [{"name": "lws-sched.io/group-placement"}]
        body = _body("Pod", name, "default", labels=labels, spec=spec)
        body["metadata"]["uid"] = f"uid-{self._uids}"
        self._pods[name] = body
        self._write("ADDED", body)
        return str(body["metadata"]["uid"])

    def _write(self, type: str, body: Body) -> None:
        self._rv += 1
        self.now += SECONDS_PER_WRITE
        body["metadata"]["resourceVersion"] = str(self._rv)
        self.lines.append({"t": self.now, "type": type, "object": msgspec.json.decode(msgspec.json.encode(body))})


def _body(kind: str, name: str, namespace: str = "", **fields: Any) -> Body:
    meta = {"name": name, "labels": fields.pop("labels", {}), "annotations": fields.pop("annotations", {})}
    return {"kind": kind, "metadata": {**meta, **({"namespace": namespace} if namespace else {})}, **fields}
