"""Fake racks of accelerator hosts: Node manifests, created fast, with kwok as their kubelet.

A Node carries its status at creation (the API server keeps it for nodes), Ready included,
so nothing has to be patched. Admission still taints every new node `not-ready`; the node
lifecycle controller takes that away, and `create_nodes` waits for it: a pod created next
can be scheduled on all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from tests.controlplane.build import KUBERNETES_VERSION
from tests.controlplane.client import Object, path_of
from tests.controlplane.components import MANAGED_BY_KWOK
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOCALHOST
from tests.controlplane.wait import wait_until

RACK_LABEL = "topology.lws-sched.io/rack"
BLOCK_LABEL = "topology.lws-sched.io/block"
ZONE_LABEL = "topology.kubernetes.io/zone"
HOSTNAME_LABEL = "kubernetes.io/hostname"
READINESS = "controlplane.lws-sched.io/ready"
RACKS_PER_BLOCK = 8
HOST: dict[str, str | int] = {"cpu": 96, "memory": "1024Gi", "pods": 110}
THREADS = 16
NODES = path_of("nodes")


def rack_nodes(
    racks: int,
    hosts_per_rack: int,
    accelerators: int = 8,
    resource: str = "nvidia.com/gpu",
    rack_label: str = RACK_LABEL,
    prefix: str = "",
    **other: str | int,
) -> list[Object]:
    """Nodes `<prefix>rack-07-host-03`, labelled with host, rack, block (8 racks each) and zone.

    `other` is more capacity, or a different one than `HOST`: `cpu=8`, `memory="64Gi"`, `pods=4`.
    """
    capacity = {name: str(amount) for name, amount in (HOST | other).items()}
    capacity |= {resource: str(accelerators)} if accelerators else {}
    width = max(2, len(str(racks - 1))), max(2, len(str(hosts_per_rack - 1)))
    return [
        _node(f"{prefix}rack-{rack:0{width[0]}}", f"host-{host:0{width[1]}}", rack, rack_label, capacity)
        for rack in range(racks)
        for host in range(hosts_per_rack)
    ]


def create_nodes(plane: ControlPlane, manifests: Sequence[Object], timeout: float = 120.0) -> None:
    """Create the nodes and wait until each is Ready and free of the taints of a new node."""
    with ThreadPoolExecutor(THREADS) as pool:
        # Consumed, so that the first refusal is raised here.
        list(pool.map(lambda manifest: plane.client.create(NODES, manifest), manifests))
    if plane.component("kwok").alive:
        wait_ready(plane, [m["metadata"]["name"] for m in manifests], timeout)


def wait_ready(plane: ControlPlane, names: Iterable[str], timeout: float = 120.0) -> None:
    """Wait until each of the nodes is Ready and carries no node.kubernetes.io taint."""
    left = [*names]

    def all_usable() -> bool:
        # One by one, up to the first that is not: thousands of nodes as large as a cloud's are a list of dozens of MB.
        while left and is_usable(plane.client.get(path_of("nodes", name=left[-1]))):
            left.pop()
        return not left

    wait_until(all_usable, f"{len(left)} nodes are Ready and untainted", timeout, interval=0.2)


def is_usable(node: Object) -> bool:
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))
    taints = node["spec"].get("taints", [])
    return ready and not any(taint["key"].startswith("node.kubernetes.io/") for taint in taints)


def set_readiness(plane: ControlPlane, name: str, ready: Literal["True", "False", "Unknown"]) -> None:
    """Make a node lose or regain its Ready condition; the node lifecycle controller taints it accordingly."""
    value = None if ready == "True" else ready
    plane.client.patch(path_of("nodes", name=name), {"metadata": {"annotations": {READINESS: value}}})


def _node(rack_name: str, host: str, rack: int, rack_label: str, capacity: dict[str, str]) -> Object:
    name = f"{rack_name}-{host}"
    labels = {
        HOSTNAME_LABEL: name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        # As a kubelet sets them; the node lifecycle controller would add them with one more write each.
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": "amd64",
        ZONE_LABEL: "zone-a",
        BLOCK_LABEL: f"block-{rack // RACKS_PER_BLOCK:02}",
        rack_label: rack_name,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": dict([MANAGED_BY_KWOK])},
        "status": _status(name, capacity),
    }


def _status(name: str, capacity: dict[str, str]) -> dict[str, Any]:
    pressures = ("MemoryPressure", "DiskPressure", "PIDPressure")
    calm = [{"type": kind, "status": "False", "reason": "FakeKubelet"} for kind in pressures]
    return {
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [{"type": "Ready", "status": "True", "reason": "FakeKubelet"}, *calm],
        "addresses": [{"type": "InternalIP", "address": LOCALHOST}, {"type": "Hostname", "address": name}],
        "nodeInfo": {"operatingSystem": "linux", "architecture": "amd64", "kubeletVersion": KUBERNETES_VERSION},
    }
