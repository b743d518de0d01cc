"""The DaemonSet controller: one pod for every node that the template's node selector and tolerations take.

Which node a pod is for, its affinity says; the scheduler puts it there. A pod that ended or whose node no longer takes
it is deleted. The template's own affinity, updates of running pods and the status are left out.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from lws_sched.api.core import DAEMON_SET, NODE, POD
from lws_sched.api.meta import split_key
from lws_sched.kube.errors import NotFound
from lws_sched.sim.api_server import ApiServer
from lws_sched.sim.loop import Loop
from lws_sched.sim.objects import Json, controller_uid, is_terminating, key_of
from lws_sched.sim.pod_index import PodIndex
from lws_sched.sim.store import Event
from lws_sched.sim.work import Steady

WORKERS = 2
TOLERATED = tuple(
    f"node.kubernetes.io/{state}"
    for state in ("not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
)


class DaemonSets:
    def __init__(self, loop: Loop, server: ApiServer, pods: PodIndex) -> None:
        self._loop = loop
        self._server = server
        self._pods = pods
        self._queue = Steady(loop, server.store).queue("daemonsets", self._sync, WORKERS)
        server.store.listeners.append(self._observe)

    def _observe(self, event: Event) -> None:
        """Of pods, their own matter; of nodes, each: who may stand there may have changed."""
        if event.kind not in (DAEMON_SET.kind, NODE.kind, POD.kind):
            return
        for version in self._server.store.objects(DAEMON_SET.kind):
            if event.kind != POD.kind or controller_uid(event.body) == version.uid:
                key = "/".join(key_of(version.body))
                self._loop.soon(self._loop.latencies.watch, partial(self._queue.add, key))

    def _sync(self, key: str) -> None:
        version = self._server.store.get(DAEMON_SET.kind, *split_key(key))
        if version is None or is_terminating(version.body):
            return
        template = version.body["spec"]["template"]
        missing = {each.body["metadata"]["name"] for each in self._server.store.objects(NODE.kind)}
        missing = {name for name in missing if self._takes(name, template["spec"])}
        for pod in self._pods.of_controller(version.uid):
            node = _node_of(pod)
            if node not in missing or pod["status"].get("phase") in ("Failed", "Succeeded"):
                self._delete(pod)
            missing.discard(node)
        for node in sorted(missing):
            self._server.create(POD, _pod(version.body, node))

    def _takes(self, name: str, spec: Json) -> bool:
        node = self._server.get(NODE, "", name).body
        labels = node["metadata"].get("labels") or {}
        taints = [each for each in (node.get("spec") or {}).get("taints") or [] if each["effect"] != "PreferNoSchedule"]
        selected = all(labels.get(key) == value for key, value in (spec.get("nodeSelector") or {}).items())
        return selected and all(_tolerates(spec, taint) for taint in taints)

    def _delete(self, pod: Json) -> None:
        if is_terminating(pod):
            return
        try:
            self._server.delete(POD, *key_of(pod), uid=pod["metadata"]["uid"])
        except NotFound:
            return


def _tolerates(spec: Json, taint: Json) -> bool:
    own = spec.get("tolerations") or []
    return taint["key"] in TOLERATED or any(
        each.get("key") in (None, "", taint["key"]) and each.get("effect") in (None, "", taint["effect"])
        for each in own
    )


def _node_of(pod: Json) -> str:
    """The node that a pod was made for."""
    required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return str(required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0])


def _pod(daemons: Json, node: str) -> dict[str, Any]:
    meta, template = daemons["metadata"], daemons["spec"]["template"]
    reference = {
        "apiVersion": DAEMON_SET.api_version,
        "kind": DAEMON_SET.kind,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    added = [{"key": key, "operator": "Exists"} for key in TOLERATED]
    spec = {**template["spec"], "affinity": affinity, "tolerations": [*template["spec"].get("tolerations", []), *added]}
    return POD.body(
        {
            "name": f"{meta['name']}-{node}",
            "namespace": meta["namespace"],
            "labels": (template.get("metadata") or {}).get("labels") or {},
            "ownerReferences": [reference],
        },
        spec=spec,
    )
