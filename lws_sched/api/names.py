"""Labels, annotations, gates and object names. Upstream's spellings are kept to the byte.

Keys under `leaderworkerset.sigs.k8s.io/` belong to the LeaderWorkerSet API; keys under `lws-sched.io/` are ours.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

# --- LeaderWorkerSet API: labels -------------------------------------------------------------------------------------
_LWS = "leaderworkerset.sigs.k8s.io/"
SET_NAME = _LWS + "name"
WORKER_INDEX = _LWS + "worker-index"
GROUP_INDEX = _LWS + "group-index"
GROUP_KEY = _LWS + "group-key"
REVISION = _LWS + "template-revision-hash"
SUBGROUP_INDEX = _LWS + "subgroup-index"
SUBGROUP_KEY = _LWS + "subgroup-key"

# --- LeaderWorkerSet API: annotations --------------------------------------------------------------------------------
SIZE = _LWS + "size"
REPLICAS = _LWS + "replicas"
LEADER_NAME = _LWS + "leader-name"
EXCLUSIVE_TOPOLOGY = _LWS + "exclusive-topology"
SUBGROUP_EXCLUSIVE_TOPOLOGY = _LWS + "subgroup-exclusive-topology"
SUBGROUP_SIZE = _LWS + "subgroup-size"
SUBGROUP_POLICY_TYPE = _LWS + "subgroup-policy-type"
SUBDOMAIN_POLICY = _LWS + "subdomainPolicy"
LEADER_REQUESTS_TPUS = _LWS + "leader-requests-tpus"
RECREATE_AFTER_START = _LWS + "experimental-recreate-group-after-start"

# --- lws-sched -------------------------------------------------------------------------------------------------------
SCHEDULER = "lws-sched"
_OURS = "lws-sched.io/"
GATE = _OURS + "group-placement"
MEMBER_RESOURCE = _OURS + "member"
RESERVED_TAINT = _OURS + "reserved"
"""On nodes that groups hold, where other pods go through another scheduler."""
ROOM_MADE = _OURS + "room-made"
"""On a pod of no group that waited because of held slots: when there was room for it again."""
LEAVE_NODES = _OURS + "leave-nodes"
"""On a leader pod: nodes, separated by commas, that its group is to leave when it is next taken down."""
REQUIRED_TOPOLOGY = _OURS + "required-topology"
PREFERRED_TOPOLOGY = _OURS + "preferred-topology"
SUBGROUP_REQUIRED_TOPOLOGY = _OURS + "subgroup-required-topology"
MAX_GROUP_RESTARTS = _OURS + "max-group-restarts"
RESTART_BACKOFF = _OURS + "restart-backoff"
RESTARTS_PREFIX = "group-restarts." + _OURS
"""On the leader StatefulSet, followed by a group's index: what its restart budget has come to."""
TEMPLATES = _OURS + "templates"
"""On a ControllerRevision: the templates as they were written, where they say more than is versioned."""
SPREAD_TOPOLOGY = _OURS + "spread-topology"
TORUS = _OURS + "torus"
"""The sides of the box of hosts that a group is to stand on: `2x2x4`."""
TOPOLOGY_ANNOTATIONS = (REQUIRED_TOPOLOGY, PREFERRED_TOPOLOGY, SUBGROUP_REQUIRED_TOPOLOGY, SPREAD_TOPOLOGY, TORUS)

# --- others' ---------------------------------------------------------------------------------------------------------
QUEUE = "kueue.x-k8s.io/queue-name"
"""Label of what Kueue admits."""
SCALE_DOWN_DISABLED = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
"""Annotation of a node that cluster-autoscaler must not take away."""

# --- well-known Kubernetes labels ------------------------------------------------------------------------------------
HOSTNAME = "kubernetes.io/hostname"
_COPIED = "topology.kubernetes.io/"
"""The API server copies the zone and the region of a node onto each pod that is bound to it."""

# --- environment of a member -----------------------------------------------------------------------------------------
ENV_LEADER_ADDRESS = "LWS_LEADER_ADDRESS"
ENV_GROUP_SIZE = "LWS_GROUP_SIZE"
ENV_WORKER_INDEX = "LWS_WORKER_INDEX"

_SIDES = re.compile(r"[1-9][0-9]{0,4}(x[1-9][0-9]{0,4}){1,2}")
_ORDINAL = re.compile(r"(.*)-([0-9]+)$")


def leader_name(set_name: str, group: int) -> str:
    """The leader pod of a group, its worker StatefulSet and its GroupPlacement all carry this name."""
    return f"{set_name}-{group}"


def member_name(leader: str, index: int) -> str:
    """The pod of worker index `index`; index 0 is the leader itself."""
    return leader if index == 0 else f"{leader}-{index}"


def parent_and_ordinal(pod: str) -> tuple[str, int] | None:
    """Split a StatefulSet pod's name into its parent and ordinal; None where it has no ordinal."""
    match = _ORDINAL.fullmatch(pod)
    return (match[1], int(match[2])) if match else None


def sides_of(box: str) -> tuple[int, ...]:
    """The sides of a box written as `4x4` or `2x2x4`; empty for anything else."""
    return tuple(int(side) for side in box.split("x")) if _SIDES.fullmatch(box) else ()


def group_key(namespace: str, leader: str) -> str:
    """The value of the group-key label: sha1 of `namespace/leader`, 40 lower-case hex digits."""
    return hashlib.sha1(f"{namespace}/{leader}".encode()).hexdigest()


MANAGED_RESOURCES = (
    MEMBER_RESOURCE,
    "amd.com/gpu",
    "aws.amazon.com/neuron",
    "aws.amazon.com/neuroncore",
    "aws.amazon.com/neurondevice",
    "google.com/tpu",
    "gpu.intel.com/i915",
    "gpu.intel.com/xe",
    "habana.ai/gaudi",
    "huawei.com/Ascend910",
    "nvidia.com/gpu",
)
"""Resources whose pods kube-scheduler sends to the extender: members of groups, and whoever could take their slots."""


def given_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """A pod's labels without those that it gets by being bound: a binding must not look like a change of its labels."""
    if not any(key.startswith(_COPIED) for key in labels):
        return labels
    return {key: value for key, value in labels.items() if not key.startswith(_COPIED)}
