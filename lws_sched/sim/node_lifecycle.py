"""What happens to a lost node and its pods: taints, unready pods, eviction, and clearing up after a deleted node.

A cordoned node is tainted (`unschedulable`). A node that is not Ready is tainted too (`not-ready`, or `unreachable`
where nothing is known of it), its pods are marked unready at once and deleted when their toleration ends; without a
kubelet they stay, terminating, until the node is back or deleted. Pods of a deleted node are removed after a while.
"""

from __future__ import annotations

from lws_sched.api.core import NODE, POD
from lws_sched.kube.errors import NotFound
from lws_sched.sim.api_server import ApiServer
from lws_sched.sim.loop import Loop
from lws_sched.sim.objects import Json, condition, is_ready, is_terminating, key_of, with_condition
from lws_sched.sim.pod_index import PodIndex
from lws_sched.sim.pod_rules import NOT_READY, UNREACHABLE, UNSCHEDULABLE
from lws_sched.sim.store import Event


class NodeLifecycle:
    def __init__(self, loop: Loop, server: ApiServer, pods: PodIndex) -> None:
        self._loop = loop
        self._server = server
        self._pods = pods
        server.store.listeners.append(self._observe)

    def set_ready(self, name: str, status: str) -> None:
        """What the node's Ready condition says: True, False or Unknown."""
        node = self._server.get(NODE, "", name).body
        new = {"type": "Ready", "status": status, "lastTransitionTime": self._server.now()}
        conditions = with_condition(node, new)
        self._server.merge(NODE, "", name, {"status": {"conditions": conditions}}, subresource="status")

    def _observe(self, event: Event) -> None:
        if event.kind == POD.kind:
            self._look_at_pod(event.body)
        if event.kind != NODE.kind:
            return
        name = event.body["metadata"]["name"]
        if event.type == "DELETED":
            self._clear_later(name)
        elif event.old is not None and _state(event.old.body) != _state(event.body):
            self._loop.soon(self._loop.latencies.node_lifecycle, lambda: self._look_at(name))

    def _look_at_pod(self, pod: Json) -> None:
        """A pod may be bound to a node that is gone already."""
        name = pod["spec"].get("nodeName")
        if name and self._server.store.get(NODE.kind, "", name) is None:
            self._clear_later(name)

    def _clear_later(self, name: str) -> None:
        """The pod collector waits, and then looks every half of that time."""
        shortest = self._loop.latencies.orphaned_pod
        self._loop.after(shortest * (1 + self._loop.rng.random() / 2), lambda: self._clear(name))

    def _look_at(self, name: str) -> None:
        version = self._server.store.get(NODE.kind, "", name)
        if version is None:
            return
        taints = version.body["spec"].get("taints") or [] if version.body.get("spec") else []
        wanted = [each for each in taints if each["key"] not in (NOT_READY, UNREACHABLE, UNSCHEDULABLE)]
        if _is_cordoned(version.body):
            wanted.append({"key": UNSCHEDULABLE, "effect": "NoSchedule"})
        if not is_ready(version.body):
            key = UNREACHABLE if _readiness(version.body) == "Unknown" else NOT_READY
            wanted += [{"key": key, "effect": effect} for effect in ("NoSchedule", "NoExecute")]
            self._mark_lost(name, key)
        if wanted != taints:
            self._server.merge(NODE, "", name, {"spec": {"taints": wanted}})

    def _mark_lost(self, name: str, taint: str) -> None:
        for pod in self._pods.on_node(name):
            if is_ready(pod):
                lost = {"type": "Ready", "status": "False", "lastTransitionTime": self._server.now()}
                conditions = with_condition(pod, lost)
                self._server.merge(POD, *key_of(pod), {"status": {"conditions": conditions}}, subresource="status")
            seconds = _toleration_seconds(pod, taint)
            if seconds is not None and not is_terminating(pod):
                self._evict_after(seconds, name, pod)

    def _evict_after(self, seconds: float, node: str, pod: Json) -> None:
        def evict() -> None:
            version = self._server.store.get(NODE.kind, "", node)
            if version is not None and not is_ready(version.body):
                self._delete(pod, grace_seconds=None)

        self._loop.after(seconds, evict)

    def _clear(self, name: str) -> None:
        if self._server.store.get(NODE.kind, "", name) is None:
            for pod in self._pods.on_node(name):
                self._delete(pod, grace_seconds=0)

    def _delete(self, pod: Json, *, grace_seconds: int | None) -> None:
        try:
            self._server.delete(POD, *key_of(pod), uid=pod["metadata"]["uid"], grace_seconds=grace_seconds)
        except NotFound:
            return


def _state(node: Json) -> tuple[str, bool]:
    return _readiness(node), _is_cordoned(node)


def _is_cordoned(node: Json) -> bool:
    return bool((node.get("spec") or {}).get("unschedulable"))


def _readiness(node: Json) -> str:
    found = condition(node, "Ready")
    return str(found["status"]) if found else "Unknown"


def _toleration_seconds(pod: Json, taint: str) -> float | None:
    """How long the pod tolerates the taint's NoExecute; None for ever."""
    tolerated = [
        each
        for each in pod["spec"].get("tolerations") or []
        if each.get("key") in (taint, None) and each.get("effect") in ("NoExecute", None)
    ]
    if not tolerated:
        return 0.0
    limits = [each["tolerationSeconds"] for each in tolerated if each.get("tolerationSeconds") is not None]
    return float(min(limits)) if limits else None
