"""What a user waits for: `lws-sched plan` on a large cluster in a file, as a process of its own.

    python -m benchmarks.placement.plan_command            (or make bench)

The file is what `kubectl get nodes,pods -A` prints of 5,000 nodes in racks of 16, with conditions, addresses, images
and node info as a kubelet reports them, and a pod on two of three nodes. One set of four groups of eight is planned.
Seconds from the start of the process to its end, Python's own start included, for JSON and for YAML.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.placement import command
from benchmarks.placement.fleets import RACK

Json = dict[str, Any]
NODES, QUICK_NODES = 5_000, 1_000
CALLS, QUICK_CALLS = 20, 3
HOSTS_PER_RACK = 16
GPU = "nvidia.com/gpu"
IMAGES = 20
CONDITIONS = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
AT = "2026-01-01T00:00:00Z"
SET = f"""\
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata:
  name: llama
  annotations: {{lws-sched.io/required-topology: rack}}
spec:
  replicas: 4
  leaderWorkerTemplate:
    size: 8
    workerTemplate:
      spec:
        schedulerName: lws-sched
        containers: [{{name: main, image: example, resources: {{limits: {{{GPU}: 4}}}}}}]
"""


@dataclass(frozen=True)
class Timed:
    """One format of the file."""

    format: str
    nodes: int
    file_mib: float
    calls: int
    seconds_p50: float
    seconds_p95: float


@dataclass(frozen=True)
class Report:
    formats: list[Timed]


def run(options: command.Options) -> Report:
    nodes, calls = (QUICK_NODES, QUICK_CALLS) if options.quick else (NODES, CALLS)
    listing = {"apiVersion": "v1", "kind": "List", "items": objects(nodes), "metadata": {"resourceVersion": ""}}
    written = {
        "json": json.dumps(listing, indent=4),
        "yaml": yaml.dump(listing, Dumper=yaml.CSafeDumper, default_flow_style=False, width=10_000),
    }
    formats = []
    with tempfile.TemporaryDirectory() as name:
        sets = Path(name) / "lws.yaml"
        sets.write_text(SET)
        for suffix, text in written.items():
            cluster = Path(name) / f"cluster.{suffix}"
            cluster.write_text(text)
            took = [planned(sets, cluster) for _ in range(calls)]
            p50, p95 = (round(float(np.percentile(took, percent)), 3) for percent in (50, 95))
            formats.append(Timed(suffix, nodes, round(len(text) / 2**20, 1), calls, p50, p95))
            options.say(f"plan, {nodes} nodes in {suffix}: p50 {p50:.2f} s, p95 {p95:.2f} s")
    return Report(formats)


def planned(sets: Path, cluster: Path) -> float:
    """Seconds of one call. Raises AssertionError where it does not place all groups."""
    words: list[str | Path] = [
        sys.executable,
        "-m",
        "lws_sched.cli.main",
        "plan",
        "-f",
        sets,
        "--cluster",
        cluster,
        "-o",
        "json",
    ]
    started = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    took = time.perf_counter() - started
    if done.returncode != 0:
        raise AssertionError(f"plan ended with {done.returncode}: {done.stderr or done.stdout}")
    return took


def objects(nodes: int) -> list[Json]:
    """Nodes, and pods on two of three."""
    names = [f"rack-{index // HOSTS_PER_RACK:03}-host-{index % HOSTS_PER_RACK:02}" for index in range(nodes)]
    pods = [_pod(f"web-{index}", name) for index, name in enumerate(names) if index % 3]
    return [*(_node(name) for name in names), *pods]


def _node(name: str) -> Json:
    amounts = {"cpu": "96", "memory": "1056460968Ki", "ephemeral-storage": "8589934592", GPU: "8", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": AT,
            "resourceVersion": "123456",
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node.kubernetes.io/instance-type": "gpu-8",
                "topology.kubernetes.io/zone": "zone-a",
                RACK: name[:8],
            },
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"], "providerID": f"example://{name}"},
        "status": {
            "addresses": [{"address": "10.0.0.1", "type": "InternalIP"}, {"address": name, "type": "Hostname"}],
            "allocatable": {**amounts},
            "capacity": amounts,
            "conditions": [_condition(type_) for type_ in CONDITIONS],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "images": [
                {
                    "names": [f"registry.example/image-{n}@sha256:{n:064}", f"registry.example/image-{n}:v1"],
                    "sizeBytes": n,
                }
                for n in range(IMAGES)
            ],
            "nodeInfo": {"kernelVersion": "6.8.0", "kubeletVersion": "v1.37.0", "osImage": "Example Linux"},
        },
    }


def _condition(type_: str) -> Json:
    return {
        "lastHeartbeatTime": AT,
        "lastTransitionTime": AT,
        "message": f"kubelet has said all there is to say about {type_}",
        "reason": "KubeletReports",
        "status": "True" if type_ == "Ready" else "False",
        "type": type_,
    }


def _pod(name: str, node: str) -> Json:
    container = {
        "image": "registry.example/web:v1",
        "imagePullPolicy": "IfNotPresent",
        "name": "web",
        "resources": {"limits": {GPU: "4"}, "requests": {"cpu": "8", GPU: "4", "memory": "64Gi"}},
        "terminationMessagePath": "/dev/termination-log",
        "volumeMounts": [{"mountPath": "/var/run/secrets", "name": "token", "readOnly": True}],
    }
    owner = {"apiVersion": "apps/v1", "controller": True, "kind": "ReplicaSet", "name": "web", "uid": "uid-web"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "creationTimestamp": AT,
            "labels": {"app": "web"},
            "ownerReferences": [owner],
        },
        "spec": {
            "containers": [container],
            "dnsPolicy": "ClusterFirst",
            "nodeName": node,
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "volumes": [{"emptyDir": {}, "name": "token"}],
        },
        "status": {
            "conditions": [_condition(type_) for type_ in ("Initialized", "Ready", "PodScheduled")],
            "containerStatuses": [{"image": container["image"], "name": "web", "ready": True, "restartCount": 0}],
            "phase": "Running",
            "podIP": "10.0.0.2",
        },
    }


if __name__ == "__main__":
    sys.exit(command.main("placement.plan_command", __doc__, run))
