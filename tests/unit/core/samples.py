"""The LeaderWorkerSet that the tests of the LWS rules start from, and the objects around it."""

from __future__ import annotations

from typing import Any

import msgspec

from lws_sched.api import names
from lws_sched.api.core import (
    Condition,
    ContainerStatus,
    Pod,
    PodSpec,
    PodStatus,
    StatefulSet,
    StatefulSetSpec,
    StatefulSetStatus,
)
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import Meta, OwnerReference

IMAGE = "docker.io/nginxinc/nginx-unprivileged:1.27"


def sample_json() -> dict[str, Any]:
    """Two groups of two, as a user writes them."""
    worker = {"name": "worker", "image": IMAGE, "ports": [{"containerPort": 8080, "protocol": "TCP"}]}
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "test-sample", "namespace": "default", "uid": "lws-uid", "generation": 1},
        "spec": {
            "replicas": 2,
            "leaderWorkerTemplate": {
                "size": 2,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": {"spec": {"containers": [{"name": "leader", "image": IMAGE}]}},
                "workerTemplate": {"spec": {"containers": [worker]}},
            },
            "rolloutStrategy": {
                "type": "RollingUpdate",
                "rollingUpdateConfiguration": {"partition": 0, "maxUnavailable": 1, "maxSurge": 0},
            },
            "startupPolicy": "LeaderCreated",
            "networkConfig": {"subdomainPolicy": "Shared"},
        },
    }


def sample(
    *, template: dict[str, Any] | None = None, annotations: dict[str, str] | None = None, **spec: Any
) -> LeaderWorkerSet:
    """The sample with some of its spec, of its leaderWorkerTemplate, or its annotations replaced."""
    body = sample_json()
    body["spec"] |= spec
    body["spec"]["leaderWorkerTemplate"] |= template or {}
    body["metadata"]["annotations"] = annotations or {}
    return msgspec.convert(body, LeaderWorkerSet)


def rolling(**configuration: Any) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdateConfiguration": configuration}


def leader(index: int = 0, *, revision: str = "new", ready: bool = True, uid: str = "", **meta: Any) -> Pod:
    name = f"test-sample-{index}"
    labels = {
        names.SET_NAME: "test-sample",
        names.WORKER_INDEX: "0",
        names.GROUP_INDEX: str(index),
        names.GROUP_KEY: names.group_key("default", name),
        names.REVISION: revision,
    }
    metadata = Meta(name=name, namespace="default", uid=uid or f"{name}-uid", labels=labels, **meta)
    return Pod(metadata=metadata, spec=PodSpec(subdomain="test-sample"), status=pod_status(ready=ready))


def pod_status(*, ready: bool = True, phase: str = "Running", restarts: int = 0) -> PodStatus:
    return PodStatus(
        phase=phase,
        conditions=(Condition(type="Ready", status="True" if ready else "False"),),
        container_statuses=(ContainerStatus(name="main", restart_count=restarts),),
    )


def workers(of: Pod, *, ready: bool = True, uid: str = "", revision: str = "") -> StatefulSet:
    """The worker StatefulSet of a leader, one replica."""
    owner = OwnerReference(api_version="v1", kind="Pod", name=of.metadata.name, uid=of.metadata.uid, controller=True)
    labels = {**of.metadata.labels, names.REVISION: revision or of.metadata.labels[names.REVISION]}
    return StatefulSet(
        metadata=Meta(
            name=of.metadata.name,
            namespace="default",
            uid=uid or f"{of.metadata.uid}-workers",
            labels={key: value for key, value in labels.items() if key != names.WORKER_INDEX},
            owner_references=(owner,),
        ),
        spec=StatefulSetSpec(replicas=1),
        status=StatefulSetStatus(available_replicas=int(ready), current_revision="a", update_revision="a"),
    )


def worker(of: StatefulSet, index: int = 1, *, status: PodStatus | None = None, **meta: Any) -> Pod:
    name = f"{of.metadata.name}-{index}"
    owner = OwnerReference(
        api_version="apps/v1", kind="StatefulSet", name=of.metadata.name, uid=of.metadata.uid, controller=True
    )
    metadata = Meta(
        name=name,
        namespace="default",
        uid=meta.pop("uid", f"{of.metadata.uid}-{index}"),
        labels={**of.metadata.labels, names.WORKER_INDEX: str(index)},
        owner_references=(owner,),
        **meta,
    )
    return Pod(metadata=metadata, status=status or pod_status())
