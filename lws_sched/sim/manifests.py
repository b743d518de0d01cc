"""Manifests of simulated hardware: racks of accelerator hosts, and pods that take hosts away."""

from __future__ import annotations

from dataclasses import dataclass

from lws_sched.api.core import NODE, POD
from lws_sched.api.names import HOSTNAME
from lws_sched.sim.objects import Json

ZONE = "topology.kubernetes.io/zone"
BLOCK = "topology.lws-sched.io/block"
RACK = "topology.lws-sched.io/rack"
ACCELERATOR = "nvidia.com/gpu"
RACKS_PER_BLOCK = 8


@dataclass(frozen=True)
class Host:
    """What each host of a rack offers."""

    accelerators: int = 8
    resource: str = ACCELERATOR
    cpu: str = "96"
    memory: str = "1024Gi"
    pods: int = 110

    def capacity(self) -> dict[str, str]:
        devices = {self.resource: str(self.accelerators)} if self.accelerators else {}
        return {"cpu": self.cpu, "memory": self.memory, "pods": str(self.pods), **devices}


def rack_nodes(racks: int, hosts_per_rack: int, host: Host | None = None, *, prefix: str = "") -> list[Json]:
    """Ready nodes `<prefix>rack-07-host-03`, labelled with host, rack, block (8 racks each) and zone."""
    capacity = (host or Host()).capacity()
    width = max(2, len(str(racks - 1))), max(2, len(str(hosts_per_rack - 1)))
    return [
        _node(f"{prefix}rack-{rack:0{width[0]}}", f"host-{number:0{width[1]}}", rack, capacity)
        for rack in range(racks)
        for number in range(hosts_per_rack)
    ]


def _node(rack_name: str, host: str, rack: int, capacity: dict[str, str]) -> Json:
    name = f"{rack_name}-{host}"
    labels = {
        HOSTNAME: name,
        ZONE: "zone-a",
        BLOCK: f"block-{rack // RACKS_PER_BLOCK:02}",
        RACK: rack_name,
    }
    status = {
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
    }
    return NODE.body({"name": name, "labels": labels}, spec={}, status=status)


def pod_spec(requests: dict[str, str], scheduler: str = "") -> Json:
    """One container that requests, and is limited to, these resources."""
    resources = {"requests": requests, "limits": requests}
    spec: Json = {"containers": [{"name": "main", "image": "none", "resources": resources}]}
    return {**spec, "schedulerName": scheduler} if scheduler else spec


def filler(name: str, node: str, requests: dict[str, str] | None = None, *, namespace: str = "fillers") -> Json:
    """A pod that stands on a node from the start, and takes all its accelerators unless told otherwise."""
    spec = {**pod_spec(requests or {ACCELERATOR: "8"}), "nodeName": node}
    return POD.body({"name": name, "namespace": namespace}, spec=spec)
