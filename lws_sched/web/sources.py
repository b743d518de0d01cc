"""The informers that the page reads, and how their objects are filed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from lws_sched.api.core import NODE, POD, Node, Pod
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.meta import Object, key_of
from lws_sched.api.placement import GROUP_PLACEMENT, GroupPlacement
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.groups import group_of_pod
from lws_sched.intake.standing import standing_node
from lws_sched.kube.port import Change, Index, Informer, Runtime
from lws_sched.placement import Level

T = TypeVar("T", bound=Object)
BY_NODE = "page/node"
BY_GROUP = "page/group"


@dataclass(frozen=True)
class Sources:
    nodes: Informer[Node]
    pods: Informer[Pod]
    """With the indexes BY_NODE and BY_GROUP."""
    sets: Informer[LeaderWorkerSet]
    records: Informer[GroupPlacement]


def sources(runtime: Runtime) -> Sources:
    """Ask before the runtime starts."""
    return Sources(
        nodes=runtime.informer(NODE),
        pods=runtime.informer(POD, indexes={BY_NODE: node_of, BY_GROUP: groups_of}),
        sets=runtime.informer(LEADER_WORKER_SET),
        records=runtime.informer(GROUP_PLACEMENT),
    )


def cluster_of(found: Sources, levels: tuple[Level, ...]) -> Cluster:
    """All that the sources hold, as planning reads it."""
    return Cluster(
        nodes=tuple(found.nodes.objects()),
        pods=tuple(found.pods.objects()),
        sets=tuple(found.sets.objects()),
        records=tuple(found.records.objects()),
        levels=levels,
    )


def still(cluster: Cluster) -> Sources:
    """A cluster that does not change."""
    return Sources(
        nodes=Still(cluster.nodes),
        pods=Still(cluster.pods, {BY_NODE: node_of, BY_GROUP: groups_of}),
        sets=Still(cluster.sets),
        records=Still(cluster.records),
    )


class Still(Generic[T]):
    """An informer of objects that stay as they are."""

    def __init__(self, objects: Collection[T], indexes: Mapping[str, Index[T]] | None = None) -> None:
        self._objects = {key_of(obj): obj for obj in objects}
        self._filed: dict[tuple[str, str], list[T]] = {}
        for name, function in (indexes or {}).items():
            for _, obj in sorted(self._objects.items()):
                for value in function(obj):
                    self._filed.setdefault((name, value), []).append(obj)

    def get(self, namespace: str, name: str) -> T | None:
        return self._objects.get(f"{namespace}/{name}" if namespace else name)

    def objects(self) -> list[T]:
        return [*self._objects.values()]

    def by_index(self, index: str, value: str) -> list[T]:
        return self._filed.get((index, value), [])

    def subscribe(self, handler: Callable[[Change[T]], None]) -> None:
        for obj in self.objects():
            handler(Change(None, obj))

    def learn(self, obj: T) -> None:
        raise TypeError(f"{key_of(obj)} is of a cluster that does not change")


def node_of(pod: Pod) -> Iterable[str]:
    node = standing_node(pod)
    return (node,) if node else ()


def groups_of(pod: Pod) -> Iterable[str]:
    group = group_of_pod(pod)
    return (group,) if group else ()
