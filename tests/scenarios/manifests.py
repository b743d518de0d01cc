"""What a user writes: LeaderWorkerSets and pods, built up in words.

    lws("llama", replicas=2, size=12).exclusive().leader(accelerators=0).leader_ready()

Every call answers with a new manifest; the one it was called on stays as it was. Groups go through our scheduler, and
each member asks for a whole host, unless the manifest says otherwise.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tests.controlplane.nodes import RACK_LABEL

ACCELERATOR = "nvidia.com/gpu"
PER_HOST = 8
EXCLUSIVE = "leaderworkerset.sigs.k8s.io/exclusive-topology"
REQUIRED = "lws-sched.io/required-topology"
SUBGROUP_REQUIRED = "lws-sched.io/subgroup-required-topology"
SUBGROUP_EXCLUSIVE = "leaderworkerset.sigs.k8s.io/subgroup-exclusive-topology"
NEVER = "-never"
"""How the name of a PriorityClass ends whose pods preempt nobody."""
OUR_SCHEDULER = "lws-sched"
Body = dict[str, Any]


@dataclass(frozen=True)
class LeaderWorkerSet:
    body: Body

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    def exclusive(self, label: str = RACK_LABEL) -> Self:
        """Each group in one domain, which it has for itself."""
        return self._annotated(EXCLUSIVE, label)

    def on_box(self, sides: str) -> Self:
        """Each group on a box of hosts in a torus."""
        return self._annotated("lws-sched.io/torus", sides)

    def required(self, level: str = "rack") -> Self:
        """Each group in one domain."""
        return self._annotated(REQUIRED, level)

    def subgroups(self, size: int, policy: str = "LeaderWorker", exclusive: bool = False) -> Self:
        """Subgroups that have a rack each, or a rack for themselves."""
        changed = self._annotated(SUBGROUP_EXCLUSIVE if exclusive else SUBGROUP_REQUIRED, RACK_LABEL)
        changed._group["subGroupPolicy"] = {"subGroupSize": size, "subGroupPolicyType": policy}
        return changed

    def accelerators(self, count: int) -> Self:
        """What each member asks for."""
        return self._with_templates(requests={ACCELERATOR: str(count)})

    def leader(self, accelerators: int = PER_HOST) -> Self:
        """A template of its own for leaders, who also ask for a CPU."""
        changed = copy.deepcopy(self.body)
        requests = {"cpu": "1", **({ACCELERATOR: str(accelerators)} if accelerators else {})}
        template = pod_template(requests)
        template["spec"]["schedulerName"] = self._group["workerTemplate"]["spec"].get("schedulerName")
        changed["spec"]["leaderWorkerTemplate"]["leaderTemplate"] = template
        return type(self)(changed)

    def leader_ready(self) -> Self:
        """Workers are created once their leader is ready."""
        return self._with_spec(startupPolicy="LeaderReady")

    def rolling(self, *, surge: int, unavailable: int) -> Self:
        """How many groups an update may add, and how many it may take down."""
        limits = {"maxSurge": surge, "maxUnavailable": unavailable}
        return self._with_spec(rolloutStrategy={"type": "RollingUpdate", "rollingUpdateConfiguration": limits})

    def asking_also(self, **requests: str) -> Self:
        """More that each member asks for, beside what it does."""
        changed = copy.deepcopy(self.body)
        for name in ("leaderTemplate", "workerTemplate"):
            template = changed["spec"]["leaderWorkerTemplate"].get(name)
            if template is not None:
                container = template["spec"]["containers"][0]
                both = {**container["resources"]["requests"], **requests}
                container["resources"] = {"requests": both, "limits": both}
        return type(self)(changed)

    def gated_by(self, gate: str) -> Self:
        """Every pod carries a scheduling gate of somebody else's."""
        return self._with_templates(schedulingGates=[{"name": gate}])

    def restart_policy(self, policy: str) -> Self:
        changed = copy.deepcopy(self.body)
        changed["spec"]["leaderWorkerTemplate"]["restartPolicy"] = policy
        return type(self)(changed)

    def restarts_at_most(self, times: int) -> Self:
        return self._annotated("lws-sched.io/max-group-restarts", str(times))

    def labelled(self, key: str, value: str) -> Self:
        changed = copy.deepcopy(self.body)
        changed["metadata"].setdefault("labels", {})[key] = value
        return type(self)(changed)

    def priority(self, name: str) -> Self:
        """Of the PriorityClass of that name."""
        never = "Never" if name.endswith(NEVER) else None
        return self._with_templates(priorityClassName=name, preemptionPolicy=never)

    def on_default_scheduler(self) -> Self:
        """The same manifest without our schedulerName."""
        return self._with_templates(schedulerName=None)

    def leaders_on_default_scheduler(self) -> Self:
        """Leaders and workers on different schedulers: refused."""
        changed = self.leader()
        del changed._group["leaderTemplate"]["spec"]["schedulerName"]
        return changed

    def needing(self, resource: str, count: int) -> Self:
        return self._with_templates(requests={resource: str(count)})

    @property
    def _group(self) -> Body:
        group: Body = self.body["spec"]["leaderWorkerTemplate"]
        return group

    def _annotated(self, key: str, value: str) -> Self:
        changed = copy.deepcopy(self.body)
        changed["metadata"].setdefault("annotations", {})[key] = value
        return type(self)(changed)

    def _with_spec(self, **fields: Any) -> Self:
        changed = copy.deepcopy(self.body)
        changed["spec"].update(fields)
        return type(self)(changed)

    def _with_templates(self, requests: dict[str, str] | None = None, **fields: Any) -> Self:
        changed = copy.deepcopy(self.body)
        for name in ("leaderTemplate", "workerTemplate"):
            template = changed["spec"]["leaderWorkerTemplate"].get(name)
            if template is None:
                continue
            spec = template["spec"] = {**template["spec"], **fields}
            template["spec"] = {key: value for key, value in spec.items() if value is not None}
            if requests is not None:
                template["spec"]["containers"][0]["resources"] = {"requests": requests, "limits": requests}
        return type(self)(changed)


def lws(name: str, replicas: int = 1, size: int = 1) -> LeaderWorkerSet:
    template = pod_template({ACCELERATOR: str(PER_HOST)})
    template["spec"]["schedulerName"] = OUR_SCHEDULER
    group = {"size": size, "workerTemplate": template}
    return LeaderWorkerSet(
        {
            "apiVersion": "leaderworkerset.x-k8s.io/v1",
            "kind": "LeaderWorkerSet",
            "metadata": {"name": name},
            "spec": {"replicas": replicas, "leaderWorkerTemplate": group},
        }
    )


def pod_template(requests: dict[str, str]) -> Body:
    resources = {"requests": requests, "limits": requests}
    return {"spec": {"terminationGracePeriodSeconds": 1, "containers": [_container(resources)]}}


def pod(
    name: str,
    accelerators: int = 0,
    node: str = "",
    scheduler: str = "",
    annotations: Mapping[str, str] | None = None,
    priority: str = "",
) -> Body:
    """A pod of no group. With `node` it is bound from the start."""
    spec = pod_template({ACCELERATOR: str(accelerators)} if accelerators else {"cpu": "1"})["spec"]
    if node:
        spec["nodeName"] = node
    if scheduler:
        spec["schedulerName"] = scheduler
    if priority:
        spec["priorityClassName"] = priority
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": dict(annotations or {})},
        "spec": spec,
    }


def _container(resources: Body) -> Body:
    return {"name": "main", "image": "busybox", "resources": resources}
