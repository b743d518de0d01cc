"""Kubelets of healthy nodes: a bound pod runs and is ready after a moment, a deleted one is let go after a moment.

A lost node's kubelet does nothing: its pods neither start nor go until the node is back.
"""

from __future__ import annotations

from collections.abc import Callable

from lws_sched.api.core import NODE, POD
from lws_sched.sim.api_server import ApiServer
from lws_sched.sim.loop import Loop
from lws_sched.sim.objects import Json, Key, condition, is_ready, is_terminating, key_of, with_condition
from lws_sched.sim.pod_index import PodIndex
from lws_sched.sim.store import Event


class Kubelets:
    def __init__(self, loop: Loop, server: ApiServer, pods: PodIndex) -> None:
        self._loop = loop
        self._server = server
        self._pods = pods
        self.start_seconds: Callable[[Json], float] = lambda _: loop.jitter(loop.latencies.container_start)
        """How long a pod takes from its binding to being ready."""
        self._expected: set[tuple[str, bool]] = set()
        """UID and whether the pod is to stop: what is under way already."""
        server.store.listeners.append(self._observe)

    def fail_container(self, namespace: str, name: str, container: int = 0) -> None:
        """A container ends and is started again in place: its restart count grows, and the pod is unready meanwhile."""
        pod = self._server.get(POD, namespace, name).body
        statuses = [dict(each) for each in pod["status"]["containerStatuses"]]
        statuses[container] |= {"restartCount": statuses[container]["restartCount"] + 1, "ready": False}
        self._write(pod, {"containerStatuses": statuses, "conditions": self._conditions(pod, "False")})

    def fail_pod(self, namespace: str, name: str, reason: str = "Error") -> None:
        """The pod ends for good: phase Failed."""
        pod = self._server.get(POD, namespace, name).body
        self._write(pod, {"phase": "Failed", "reason": reason, "conditions": self._conditions(pod, "False")})

    def _observe(self, event: Event) -> None:
        if event.kind == POD.kind and event.type != "DELETED":
            self._look_at(event.body)
        elif event.kind == NODE.kind and event.type != "DELETED" and is_ready(event.body):
            for pod in self._pods.on_node(event.body["metadata"]["name"]):
                self._look_at(pod)

    def _look_at(self, pod: Json) -> None:
        if not pod["spec"].get("nodeName"):
            return
        stopping = is_terminating(pod)
        if not stopping and (is_ready(pod) or _has_ended(pod)):
            return
        uid, key = pod["metadata"]["uid"], key_of(pod)
        if (uid, stopping) in self._expected:
            return
        self._expected.add((uid, stopping))
        if stopping:
            self._loop.soon(self._loop.latencies.container_stop, lambda: self._stop(key, uid))
        else:
            self._loop.after(self.start_seconds(pod), lambda: self._start(key, uid))

    def _start(self, key: Key, uid: str) -> None:
        self._expected.discard((uid, False))
        pod = self._mine(key, uid)
        if pod is None or is_terminating(pod) or is_ready(pod) or _has_ended(pod):
            return
        known = {each["name"]: each["restartCount"] for each in pod["status"].get("containerStatuses") or []}
        status: Json = {
            "phase": "Running",
            "startTime": pod["status"].get("startTime") or self._server.now(),
            "conditions": self._conditions(pod, "True"),
            "containerStatuses": [
                {"name": each["name"], "restartCount": known.get(each["name"], 0), "ready": True}
                for each in pod["spec"].get("containers") or []
            ],
        }
        if pod["spec"].get("initContainers"):
            status["initContainerStatuses"] = [
                {"name": each["name"], "restartCount": 0, "ready": True} for each in pod["spec"]["initContainers"]
            ]
        self._write(pod, status)

    def _stop(self, key: Key, uid: str) -> None:
        self._expected.discard((uid, True))
        if self._mine(key, uid) is not None:
            self._server.delete(POD, *key, uid=uid, grace_seconds=0)

    def _mine(self, key: Key, uid: str) -> Json | None:
        """The pod, if it still is that one and its node lives."""
        version = self._server.store.get(POD.kind, *key)
        if version is None or version.uid != uid:
            return None
        node = self._server.store.get(NODE.kind, "", version.body["spec"]["nodeName"])
        return version.body if node is not None and is_ready(node.body) else None

    def _conditions(self, pod: Json, ready: str) -> list[Json]:
        now = self._server.now()
        conditions = pod["status"].get("conditions") or []
        for type_ in ("Initialized", "ContainersReady", "Ready"):
            status = "True" if type_ == "Initialized" else ready
            before = condition({"status": {"conditions": conditions}}, type_)
            since = before["lastTransitionTime"] if before and before["status"] == status else now
            new = {"type": type_, "status": status, "lastTransitionTime": since}
            conditions = with_condition({"status": {"conditions": conditions}}, new)
        return conditions

    def _write(self, pod: Json, status: Json) -> None:
        self._server.merge(POD, *key_of(pod), {"status": status}, subresource="status")


def _has_ended(pod: Json) -> bool:
    return pod["status"].get("phase") in ("Failed", "Succeeded")
