"""The objects that a LeaderWorkerSet stands for: StatefulSets and headless services, as complete JSON bodies.

One leader StatefulSet per set (named like it), one worker StatefulSet per group (named and owned by its leader pod),
and one headless service for the set or one per group. The user's templates stay opaque: labels and annotations are
merged over theirs, and nothing else is touched. All functions are pure; the controller decides when to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lws_sched.api import names
from lws_sched.api.core import POD, SERVICE, STATEFUL_SET, Pod
from lws_sched.api.lws import LEADER_WORKER_SET, UNIQUE_PER_REPLICA, LeaderWorkerSet, Template
from lws_sched.core.ownership import owner_reference
from lws_sched.core.rollout import Rollout, budget
from lws_sched.core.tpu import requests_tpus

Body = dict[str, Any]

KUBECTL_RECORD = "kubectl.kubernetes.io/last-applied-configuration"
"""Where `kubectl apply` notes what it applied. Never passed on: pruning would take the StatefulSet for the user's."""
_MEMBER_LABELS = (names.GROUP_INDEX, names.GROUP_KEY, names.WORKER_INDEX)
_GROUP_LABELS = (names.GROUP_INDEX, names.GROUP_KEY, names.REVISION)
_LIVE_ANNOTATIONS = (names.EXCLUSIVE_TOPOLOGY, names.SUBGROUP_EXCLUSIVE_TOPOLOGY)
_RETAIN = "Retain"
"""What an API server makes of a retention that is not given."""
_CLAIM_FIELDS = ("accessModes", "storageClassName", "volumeMode")


def is_unique_per_replica(lws: LeaderWorkerSet) -> bool:
    """Whether every group has a service and a subdomain of its own."""
    network = lws.spec.network_config
    return network is not None and network.subdomain_policy == UNIQUE_PER_REPLICA


def is_made_unique(leader: Pod) -> bool:
    """Whether the leader's group was made to have a subdomain of its own."""
    return leader.metadata.annotations.get(names.SUBDOMAIN_POLICY) == UNIQUE_PER_REPLICA


def scheduler_of(template: Template) -> str:
    """The schedulerName that a template asks for; "" for the cluster's default."""
    return str((template.get("spec") or {}).get("schedulerName") or "")


def leader_stateful_set(lws: LeaderWorkerSet, revision_key: str, rollout: Rollout) -> Body:
    """The StatefulSet of all leaders: the fields to apply server-side."""
    meta, template = lws.metadata, lws.spec.leader_worker_template
    revision = {names.SET_NAME: meta.name, names.REVISION: revision_key}
    spec: Body = {
        "serviceName": meta.name,
        "replicas": rollout.replicas,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": {names.SET_NAME: meta.name, names.WORKER_INDEX: "0"}},
        "updateStrategy": {
            "type": lws.spec.rollout_strategy.type,
            "rollingUpdate": {"partition": rollout.partition, "maxUnavailable": budget(lws).together},
        },
        "template": _merged(
            template.actual_leader_template, {names.WORKER_INDEX: "0", **revision}, _leader_annotations(lws)
        ),
    }
    return STATEFUL_SET.body(
        {
            "name": meta.name,
            "namespace": meta.namespace,
            "labels": {**_inherited_labels(meta.labels), **revision},
            "annotations": {**_inherited(lws), names.REPLICAS: str(lws.spec.replicas)},
            "ownerReferences": [owner_reference(LEADER_WORKER_SET, meta)],
        },
        spec=spec | _volumes(lws),
    )


@dataclass(frozen=True)
class Workers:
    """What a group's worker StatefulSet is made of."""

    live: LeaderWorkerSet
    at_revision: LeaderWorkerSet
    """The set as it was at the leader's revision."""
    leader: Pod
    node_selector: Mapping[str, str]
    """Where the workers must follow their leader to; empty where nobody asked, or lws-sched places the group."""


def worker_stateful_set(group: Workers) -> Body:
    """The StatefulSet of one group's workers, indices 1 to size - 1."""
    live, template, leader = group.live.metadata, group.at_revision.spec.leader_worker_template, group.leader.metadata
    labels = worker_labels(group.live, group.leader)
    identity = {label: value for label, value in labels.items() if label != names.REVISION}
    pods = _merged(template.worker_template, labels, _worker_annotations(group))
    if group.node_selector:
        spec = pods.get("spec") or {}
        pods["spec"] = {**spec, "nodeSelector": {**(spec.get("nodeSelector") or {}), **group.node_selector}}
    return STATEFUL_SET.body(
        {
            "name": leader.name,
            "namespace": leader.namespace,
            "labels": {**live.labels, **labels},
            "annotations": _inherited(group.live),
            "ownerReferences": [owner_reference(POD, leader)],
        },
        spec={
            "serviceName": leader.name if is_unique_per_replica(group.at_revision) else live.name,
            "replicas": template.size - 1,
            "podManagementPolicy": "Parallel",
            "ordinals": {"start": 1},
            "selector": {"matchLabels": identity},
            "template": pods,
        }
        | _volumes(group.at_revision),
    )


def worker_labels(lws: LeaderWorkerSet, leader: Pod) -> dict[str, str]:
    """What a group's worker StatefulSet and its pods are known by."""
    given = {label: leader.metadata.labels.get(label, "") for label in _GROUP_LABELS}
    return {**given, names.SET_NAME: lws.metadata.name}


def without_live_annotations(workers: Body) -> Body:
    """A worker StatefulSet without what the live set's annotations put into its template when it was made."""
    template = workers["spec"]["template"]
    annotations = {
        key: value for key, value in template["metadata"]["annotations"].items() if key not in _LIVE_ANNOTATIONS
    }
    metadata = {**template["metadata"], "annotations": annotations}
    return {**workers, "spec": {**workers["spec"], "template": {**template, "metadata": metadata}}}


def shared_service(lws: LeaderWorkerSet) -> Body:
    """The one headless service of a set whose members share a subdomain."""
    owner = owner_reference(LEADER_WORKER_SET, lws.metadata)
    return _headless(lws, lws.metadata.name, {names.SET_NAME: lws.metadata.name}, owner)


def group_service(lws: LeaderWorkerSet, leader: Pod) -> Body:
    """The headless service of one group, where every group has its own subdomain."""
    selector = {
        names.SET_NAME: lws.metadata.name,
        names.GROUP_INDEX: leader.metadata.labels.get(names.GROUP_INDEX, ""),
    }
    return _headless(lws, leader.metadata.name, selector, owner_reference(POD, leader.metadata))


def _headless(lws: LeaderWorkerSet, name: str, selector: Mapping[str, str], owner: Body) -> Body:
    return SERVICE.body(
        {
            "name": name,
            "namespace": lws.metadata.namespace,
            "labels": {names.SET_NAME: lws.metadata.name},
            "ownerReferences": [owner],
        },
        spec={"clusterIP": "None", "publishNotReadyAddresses": True, "selector": dict(selector)},
    )


def _inherited_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels that say what a member is must not make the leaders' StatefulSet look like a group's."""
    return {key: value for key, value in labels.items() if key not in _MEMBER_LABELS}


def _inherited(lws: LeaderWorkerSet) -> dict[str, str]:
    """The set's annotations but kubectl's record of it, which would make kubectl take the StatefulSet for the set."""
    return {key: value for key, value in lws.metadata.annotations.items() if key != KUBECTL_RECORD}


def _merged(template: Template, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Template:
    metadata = template.get("metadata") or {}
    return {
        **template,
        "metadata": {
            **metadata,
            "labels": {**(metadata.get("labels") or {}), **labels},
            "annotations": {**(metadata.get("annotations") or {}), **annotations},
        },
    }


def _leader_annotations(lws: LeaderWorkerSet) -> dict[str, str]:
    annotations = {names.SIZE: str(lws.spec.leader_worker_template.size), **_placement_annotations(lws, lws)}
    if is_unique_per_replica(lws):
        annotations[names.SUBDOMAIN_POLICY] = UNIQUE_PER_REPLICA
    return annotations


def _worker_annotations(group: Workers) -> dict[str, str]:
    annotations = {
        names.SIZE: str(group.at_revision.spec.leader_worker_template.size),
        names.LEADER_NAME: group.leader.metadata.name,
        **_placement_annotations(group.live, group.at_revision),
    }
    if requests_tpus(group.leader.spec):
        annotations[names.LEADER_REQUESTS_TPUS] = "true"
    return annotations


def _placement_annotations(live: LeaderWorkerSet, at_revision: LeaderWorkerSet) -> dict[str, str]:
    policy = at_revision.spec.leader_worker_template.sub_group_policy
    asked = live.metadata.annotations
    found = {names.EXCLUSIVE_TOPOLOGY: asked.get(names.EXCLUSIVE_TOPOLOGY, "")}
    if policy is not None:
        found[names.SUBGROUP_EXCLUSIVE_TOPOLOGY] = asked.get(names.SUBGROUP_EXCLUSIVE_TOPOLOGY, "")
        found[names.SUBGROUP_SIZE] = str(policy.sub_group_size or "")
        found[names.SUBGROUP_POLICY_TYPE] = policy.sub_group_policy_type
    return {annotation: value for annotation, value in found.items() if value}


def _volumes(lws: LeaderWorkerSet) -> Body:
    template = lws.spec.leader_worker_template
    fields: Body = {}
    if template.volume_claim_templates:
        fields["volumeClaimTemplates"] = volume_claims(lws)
    retention = template.persistent_volume_claim_retention_policy
    if retention is not None:
        fields["persistentVolumeClaimRetentionPolicy"] = {
            when: retention.get(when) or _RETAIN for when in ("whenDeleted", "whenScaled")
        }
    return fields


def volume_claims(lws: LeaderWorkerSet) -> list[Body]:
    """The volume claim templates of the set's StatefulSets: what the API passes on of the user's."""
    return [_claim(claim, lws.metadata.namespace) for claim in lws.spec.leader_worker_template.volume_claim_templates]


def _claim(claim: Mapping[str, Any], namespace: str) -> Body:
    spec = claim.get("spec") or {}
    kept: Body = {field: spec[field] for field in _CLAIM_FIELDS if spec.get(field) is not None}
    resources = spec.get("resources") or {}
    asked = {field: resources[field] for field in ("requests", "limits") if resources.get(field)}
    if asked:
        kept["resources"] = asked
    name = (claim.get("metadata") or {}).get("name", "")
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": kept,
    }
