"""What is alike in many objects is kept once, and nothing of them is lost."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import msgspec
import pytest

from lws_sched.api.core import NODE, POD, STATEFUL_SET, Pod
from lws_sched.api.meta import Kind
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.kube.answers import read_object
from lws_sched.kube.sharing import REMEMBERED, Once

SECOND = "2026-11-28T10:00:{:02}Z"
MOST_BYTES = 4_000
"""Of a member on a node of its own. As decoded, it takes 6,800."""


def member(index: int) -> dict[str, Any]:
    """A worker of a group as the API server tells of it, made in a second of its own."""
    name, since = f"long-name-of-a-set-7-{index}", SECOND.format(index % 60)
    requests = {"cpu": "16", "memory": "128Gi", "nvidia.com/gpu": "8", "lws-sched.io/member": "0"}
    in_rack = {"key": "metadata.name", "operator": "In", "values": [f"node-{index}"]}
    tolerations = [{"key": key, "operator": "Exists", "effect": "NoExecute"} for key in ("a/gone", "a/away")]
    conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    return {
        "metadata": {
            "name": name,
            "generateName": "long-name-of-a-set-7-",
            "namespace": "team",
            "uid": f"8d2e2b2c-0000-4000-8000-{index:012}",
            "resourceVersion": str(100_000 + index),
            "creationTimestamp": since,
            "labels": {
                "leaderworkerset.sigs.k8s.io/name": "long-name-of-a-set",
                "leaderworkerset.sigs.k8s.io/group-index": "7",
                "leaderworkerset.sigs.k8s.io/worker-index": str(index),
                "leaderworkerset.sigs.k8s.io/group-key": "40bb642a1417b0c5aea271dac9e8065b7e86f411",
                "leaderworkerset.sigs.k8s.io/template-revision-hash": "7bdcf6cbd6",
                "statefulset.kubernetes.io/pod-name": name,
            },
            "annotations": {"leaderworkerset.sigs.k8s.io/leader-name": "long-name-of-a-set-7"},
            "ownerReferences": [{"kind": "StatefulSet", "name": "long-name-of-a-set-7", "controller": True}],
        },
        "spec": {
            "nodeName": f"node-{index}",
            "schedulerName": "lws-sched",
            "preemptionPolicy": "PreemptLowerPriority",
            "subdomain": "long-name-of-a-set",
            "containers": [{"name": "main", "resources": {"requests": requests, "limits": requests}}],
            "initContainers": [{"name": "first"}],
            "tolerations": tolerations,
            "nodeSelector": {"pool": "a"},
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchFields": [in_rack]}]
                    }
                }
            },
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": each, "status": "True", "lastTransitionTime": since} for each in conditions],
            "containerStatuses": [{"name": "main", "restartCount": 2}],
            "initContainerStatuses": [{"name": "first", "restartCount": 1}],
        },
    }


NODE_BODY = {
    "metadata": {"name": "n", "uid": "1", "resourceVersion": "4", "labels": {"rack": "r1"}, "annotations": {"a": "b"}},
    "spec": {"unschedulable": True, "taints": [{"key": "a", "effect": "NoSchedule"}]},
    "status": {"allocatable": {"cpu": "8", "pods": 110}, "conditions": [{"type": "Ready", "status": "True"}]},
}
STATEFUL_SET_BODY = {
    "metadata": {"name": "s", "namespace": "team", "generation": 3, "labels": {"a": "b"}},
    "spec": {"replicas": 7, "serviceName": "s"},
    "status": {"observedGeneration": 3, "replicas": 7, "currentRevision": "s-1"},
}
RECORD_BODY = {
    "metadata": {"name": "s-0", "namespace": "team", "ownerReferences": [{"kind": "LeaderWorkerSet", "name": "s"}]},
    "spec": {
        "leaderWorkerSet": "s",
        "size": 2,
        "revision": "7bdcf6cbd6",
        "leader": {"requests": {"cpu": 1000}},
        "worker": {"requests": {"cpu": 2000}},
        "requiredKey": "rack",
    },
    "status": {
        "state": "Bound",
        "domain": {"key": "rack", "value": "r1"},
        "slots": ["n", "m"],
        "leaderUID": "1",
        "committed": {"s-0": "1", "s-0-1": "2"},
        "bound": 2,
        "proof": "exact",
    },
}


def read(index: int) -> Pod:
    return read_object(POD, msgspec.json.encode(member(index)))


def test_members_of_a_group_are_made_of_the_same_parts() -> None:
    one, other = read(1), read(2)
    assert one.spec.containers is other.spec.containers
    assert one.spec.tolerations is other.spec.tolerations
    assert one.status.container_statuses is other.status.container_statuses
    assert one.metadata.owner_references is other.metadata.owner_references
    same = {id(text) for text in (*one.metadata.labels, *one.metadata.labels.values())}
    assert len(same - {id(text) for text in (*other.metadata.labels, *other.metadata.labels.values())}) == 2


def test_conditions_of_different_times_share_their_words() -> None:
    one, other = read(1).status.conditions, read(2).status.conditions
    assert one != other
    assert all(a.type is b.type and a.status is b.status for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(POD, member(1), id="a pod"),
        pytest.param(NODE, NODE_BODY, id="a node"),
        pytest.param(STATEFUL_SET, STATEFUL_SET_BODY, id="a StatefulSet"),
        pytest.param(GROUP_PLACEMENT, RECORD_BODY, id="a record"),
    ],
)
def test_nothing_of_an_object_is_lost(kind: Kind[Any], body: dict[str, Any]) -> None:
    assert read_object(kind, msgspec.json.encode(body)) == msgspec.convert(body, kind.type)


def test_a_thousand_members_take_little() -> None:
    bodies = [msgspec.json.encode(member(index)) for index in range(1000)]
    # Twice, as what all objects of the process share may have to grow for the first of them.
    assert min(taken_by(bodies) for _ in range(2)) < MOST_BYTES * len(bodies)


def taken_by(bodies: list[bytes]) -> int:
    """What pods take, in bytes."""
    gc.collect()
    tracemalloc.start()
    pods = [read_object(POD, body) for body in bodies]
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del pods
    return taken


def test_parts_of_which_there_are_too_many_are_forgotten() -> None:
    once = Once[tuple[int, ...]]()
    first = once((0,))
    assert once(msgspec.json.decode(b"[0]", type=tuple[int, ...])) is first
    for number in range(REMEMBERED):
        once((number,))
    once((REMEMBERED,))
    assert once(msgspec.json.decode(b"[0]", type=tuple[int, ...])) is not first
