"""Small clusters and objects for the simulated cluster's own tests, in as few words as possible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lws_sched.api.core import NODE, POD, STATEFUL_SET
from lws_sched.api.extender import BindingArgs, BindingResult, ExtenderArgs, FilterResult
from lws_sched.sim.manifests import ACCELERATOR, pod_spec
from lws_sched.sim.objects import Json
from lws_sched.sim.world import World

NAMESPACE = "ns"


def node(name: str, *, labels: dict[str, str] | None = None, taints: list[Json] | None = None, **amounts: str) -> Json:
    """A ready node with 8 accelerators, unless `amounts` says otherwise."""
    allocatable = {"cpu": "8", "memory": "64Gi", "pods": "110", ACCELERATOR: "8", **amounts}
    return NODE.body(
        {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        spec={"taints": taints} if taints else {},
        status={"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]},
    )


def pod(
    name: str, requests: dict[str, str] | None = None, *, labels: dict[str, str] | None = None, **spec: Any
) -> Json:
    base = pod_spec({ACCELERATOR: "8"} if requests is None else requests)
    return POD.body({"name": name, "namespace": NAMESPACE, "labels": labels or {}}, spec={**base, **spec})


def stateful_set(name: str, replicas: int, *, image: str = "one", start: int = 0, **spec: Any) -> Json:
    """A Parallel StatefulSet of pods that ask for nothing."""
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": image}]}}
    return STATEFUL_SET.body(
        {"name": name, "namespace": NAMESPACE},
        spec={
            "replicas": replicas,
            "ordinals": {"start": start},
            "podManagementPolicy": "Parallel",
            "serviceName": "service",
            "selector": {"matchLabels": {"app": name}},
            "template": template,
            **spec,
        },
    )


def owner(body: Json, *, controller: bool = True, block: bool = True) -> Json:
    """A reference to a stored object."""
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "name": body["metadata"]["name"],
        "uid": body["metadata"]["uid"],
        "controller": controller,
        "blockOwnerDeletion": block,
    }


def get_pod(world: World, name: str) -> Json:
    return world.server.get(POD, NAMESPACE, name).body


def pods(world: World) -> dict[str, Json]:
    return {each.body["metadata"]["name"]: each.body for each in world.server.list(POD)}


def node_of(world: World, name: str) -> str:
    found: str = get_pod(world, name)["spec"].get("nodeName", "")
    return found


def why_pending(world: World, name: str) -> str:
    """The message of the pod's PodScheduled condition."""
    conditions = get_pod(world, name)["status"].get("conditions", [])
    return next((str(each.get("message", "")) for each in conditions if each["type"] == "PodScheduled"), "")


@dataclass
class ScriptedExtender:
    """Answers as it is told, and keeps what it was asked."""

    allow: Callable[[str], bool] = lambda _: True

    def __post_init__(self) -> None:
        self.filtered: list[ExtenderArgs] = []
        self.held: list[tuple[BindingArgs, Callable[[BindingResult], None], Callable[[], bool]]] = []

    def filter(self, args: ExtenderArgs) -> FilterResult:
        self.filtered.append(args)
        offered = args.node_names or ()
        return FilterResult(node_names=tuple(each for each in offered if self.allow(each)))

    def bind(self, args: BindingArgs, respond: Callable[[BindingResult], None], alive: Callable[[], bool]) -> None:
        self.held.append((args, respond, alive))

    def bind_held(self, world: World) -> None:
        """Bind everything that is held, and say so."""
        held, self.held = self.held, []
        for args, respond, alive in held:
            if alive():
                world.cluster.bind(args.pod_namespace, args.pod_name, args.pod_uid, args.node)
                respond(BindingResult())
