"""The gang provider `volcano`: a PodGroup for every group, so that Volcano's scheduler starts all of it or nothing.

The pod webhook writes the PodGroup's name on every member; the PodGroup is made here, owned by the leader, so it goes
with it. The size and the templates are those that the leader was made from: a group that is rebuilt from an older
revision waits for as many pods as it will have. A PodGroup of an earlier leader is about to be collected: its
successor is made when it is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from lws_sched.admission.hook import JsonObject
from lws_sched.api import names
from lws_sched.api.core import POD, Pod, PodTemplate
from lws_sched.api.lws import LEADER_READY, LeaderWorkerSet, Template
from lws_sched.api.meta import key_of, split_key
from lws_sched.api.volcano import POD_GROUP, PodGroup
from lws_sched.controller.effects import CREATE, Create, Effects, Note, Plan, Step
from lws_sched.controller.watches import Watches, is_leader, set_key
from lws_sched.core import canonical, revision
from lws_sched.core.ownership import is_controlled_by, owner_reference
from lws_sched.kube.errors import AlreadyExists
from lws_sched.kube.port import Change, Informer, Runtime
from lws_sched.placement.shape import pod_requests

PROVIDER = "volcano"
GROUP_NAME = "scheduling.k8s.io/group-name"
"""The annotation by which a pod says which PodGroup it belongs to."""
QUEUE_NAME = "scheduling.volcano.sh/queue-name"
INHERITED = "volcano.sh/"
"""Annotations of the LeaderWorkerSet that begin so are copied to its PodGroups."""
SOON_SECONDS = 1.0
_BINARY = ("memory", "ephemeral-storage", "hugepages-")


def with_group_name(pod: JsonObject) -> JsonObject:
    """A member's pod with the name of its PodGroup, once it has the labels of its place in the group."""
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    if names.SET_NAME not in labels:
        return pod
    name = group_name(labels)
    annotations = {**(metadata.get("annotations") or {}), GROUP_NAME: name}
    return {**pod, "metadata": {**metadata, "annotations": annotations}}


def group_name(labels: Mapping[str, str]) -> str:
    """The name of the PodGroup that a member with these labels belongs to.

    A worker has the label of its group through its StatefulSet, a leader from the webhook.
    """
    return "-".join(labels.get(label, "") for label in (names.SET_NAME, names.GROUP_INDEX, names.REVISION))


def pod_group(lws: LeaderWorkerSet, at_revision: LeaderWorkerSet, leader: Pod, name: str) -> dict[str, Any]:
    """The PodGroup of a leader's group. `at_revision` is the set as the leader was made from it."""
    meta, template = lws.metadata, at_revision.spec.leader_worker_template
    labels = {key: leader.metadata.labels.get(key, "") for key in (names.GROUP_INDEX, names.REVISION)}
    total = _requests(template.actual_leader_template)
    for resource, amount in _requests(template.worker_template).items():
        total[resource] += amount * (template.size - 1)
    spec: dict[str, Any] = {
        "minMember": 1 if lws.spec.startup_policy == LEADER_READY else template.size,
        "minResources": {resource: _text(resource, amount) for resource, amount in sorted(total.items())},
    }
    if queue := meta.annotations.get(QUEUE_NAME):
        spec["queue"] = queue
    return POD_GROUP.body(
        {
            "name": name,
            "namespace": meta.namespace,
            "labels": {names.SET_NAME: meta.name, **labels},
            "annotations": {key: value for key, value in meta.annotations.items() if key.startswith(INHERITED)},
            "ownerReferences": [owner_reference(POD, leader.metadata)],
        },
        spec=spec,
    )


def _requests(template: Template) -> Counter[str]:
    """What one pod asks for; of CPU thousandths, else whole units."""
    return Counter(pod_requests(msgspec.convert(template, PodTemplate).spec))


def _text(resource: str, amount: int) -> str:
    if resource == "cpu":
        return canonical.quantity(f"{amount}m")
    if resource.startswith(_BINARY) and amount % 1024 == 0:
        return canonical.quantity(f"{amount // 1024}Ki")
    return canonical.quantity(str(amount))


@dataclass(frozen=True)
class PodGroups:
    """Makes the PodGroup of each group that has a leader, by the group's key."""

    watches: Watches
    effects: Effects
    groups: Informer[PodGroup]

    def reconcile(self, key: str) -> float | None:
        leader = self.watches.pods.get(*split_key(key))
        if leader is None or leader.metadata.deletion_timestamp or not is_leader(leader):
            return None
        lws = self.watches.sets.get(*split_key(set_key(leader.metadata)))
        name = leader.metadata.annotations.get(GROUP_NAME, "")
        if lws is None or lws.metadata.deletion_timestamp or not name:
            return None
        return self._make(lws, leader, name)

    def _make(self, lws: LeaderWorkerSet, leader: Pod, name: str) -> float | None:
        found = self.groups.get(leader.metadata.namespace, name)
        if found is not None:
            # A former leader's is about to be collected, which brings the group here again.
            return None if is_controlled_by(found.metadata, leader.metadata) else SOON_SECONDS
        stored = revision.owned(self.watches.revisions_of_set(key_of(lws)), lws)
        at = revision.find(stored, leader.metadata.labels.get(names.REVISION, ""))
        if at is None:
            return SOON_SECONDS
        failed = Note("FailedCreate", f"Failed to create PodGroup for leader pod {leader.metadata.name}", CREATE)
        body = pod_group(lws, revision.restored(lws, at), leader, name)
        refusal = self.effects.carry_out(Plan(steps=(Step(Create(POD_GROUP, body), failed=failed),)), lws)
        if refusal is None:
            return None
        if isinstance(refusal.error, AlreadyExists):
            return SOON_SECONDS
        self.effects.report(refusal, lws)
        raise refusal.error


def start(runtime: Runtime, watches: Watches, effects: Effects) -> None:
    """Wire it into the controller's runtime."""
    groups = runtime.informer(POD_GROUP, labels=names.SET_NAME)
    queue = runtime.queue("podgroups", PodGroups(watches, effects, groups).reconcile)

    def pod_changed(change: Change[Pod]) -> None:
        if change.old is None and is_leader(change.latest):
            queue.add(key_of(change.latest))

    def set_changed(change: Change[LeaderWorkerSet]) -> None:
        if change.old is None:
            for leader in watches.leaders_of_set(key_of(change.latest)):
                queue.add(key_of(leader))

    def group_changed(change: Change[PodGroup]) -> None:
        owner = change.latest.metadata.controller
        if change.new is None and owner is not None:
            queue.add(f"{change.latest.metadata.namespace}/{owner.name}")

    watches.pods.subscribe(pod_changed)
    watches.sets.subscribe(set_changed)
    groups.subscribe(group_changed)
