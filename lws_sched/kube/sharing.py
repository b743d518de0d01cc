"""What many objects say alike is kept once.

The decoder makes every string and every part of an object anew, and 20,000 pods say nearly the same: what their
containers ask for, what they tolerate, which conditions hold, the keys and most values of their labels. Kept as decoded
they take 150 MB; with what is alike kept once, a fifth of that.

Strings are interned: each is forgotten with the last object that holds it. Whole parts are known by their encoding,
and the latest are held for those that come. Looked at are the kinds of which there are thousands, and of these the
fields that all have. Nobody may change what was decoded: others share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from sys import intern
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from lws_sched.api.core import (
    Affinity,
    Condition,
    Container,
    ContainerStatus,
    Node,
    NodeStatus,
    Pod,
    StatefulSet,
    Toleration,
)
from lws_sched.api.meta import Meta, OwnerReference
from lws_sched.api.placement import Domain, GroupPlacement, Shape

T = TypeVar("T")
Part = TypeVar("Part")

REMEMBERED = 4096
"""Parts of one kind. When there are more, it begins anew."""
_encode = msgspec.json.Encoder().encode


def shared(obj: T) -> T:
    """An equal object, made of what others said before. Thread-safe."""
    share = _SHARES.get(type(obj))
    return obj if share is None else share(obj)


class Once(Generic[Part]):
    """Parts of one kind, each kept once. `anew` makes what is kept of one that was not there before."""

    def __init__(self, anew: Callable[[Part], Part] = lambda part: part) -> None:
        self._anew = anew
        self._known: dict[bytes, Part] = {}

    def __call__(self, part: Part) -> Part:
        if not part:
            return part
        said = _encode(part)
        found = self._known.get(said)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[said] = self._anew(part)
        return found


def _words(mapping: Mapping[str, str]) -> dict[str, str]:
    return {intern(key): intern(value) for key, value in mapping.items()}


def _condition(condition: Condition) -> Condition:
    return replace(
        condition,
        type=intern(condition.type),
        status=intern(condition.status),
        reason=intern(condition.reason),
        last_transition_time=intern(condition.last_transition_time),
    )


_owners = Once[tuple[OwnerReference, ...]]()
_containers = Once[tuple[Container, ...]]()
_tolerations = Once[tuple[Toleration, ...]]()
_affinity = Once[Affinity | None]()
_conditions = Once[tuple[Condition, ...]](lambda conditions: tuple(map(_condition, conditions)))
_container_statuses = Once[tuple[ContainerStatus, ...]]()
_node_status = Once[NodeStatus]()
_domain = Once[Domain | None]()
_shape = Once[Shape]()


def _meta(meta: Meta) -> Meta:
    return replace(
        meta,
        name=intern(meta.name),
        generate_name=intern(meta.generate_name),
        namespace=intern(meta.namespace),
        uid=intern(meta.uid),
        creation_timestamp=intern(meta.creation_timestamp),
        labels=_words(meta.labels),
        annotations=_words(meta.annotations),
        owner_references=_owners(meta.owner_references),
    )


def _pod(pod: Pod) -> Pod:
    spec, status = pod.spec, pod.status
    return replace(
        pod,
        metadata=_meta(pod.metadata),
        spec=replace(
            spec,
            node_name=intern(spec.node_name),
            scheduler_name=intern(spec.scheduler_name),
            preemption_policy=intern(spec.preemption_policy),
            subdomain=intern(spec.subdomain),
            containers=_containers(spec.containers),
            init_containers=_containers(spec.init_containers),
            tolerations=_tolerations(spec.tolerations),
            affinity=_affinity(spec.affinity),
        ),
        status=replace(
            status,
            phase=intern(status.phase),
            conditions=_conditions(status.conditions),
            container_statuses=_container_statuses(status.container_statuses),
            init_container_statuses=_container_statuses(status.init_container_statuses),
        ),
    )


def _node(node: Node) -> Node:
    return replace(node, metadata=_meta(node.metadata), status=_node_status(node.status))


def _stateful_set(stateful_set: StatefulSet) -> StatefulSet:
    return replace(stateful_set, metadata=_meta(stateful_set.metadata))


def _record(record: GroupPlacement) -> GroupPlacement:
    spec, status = record.spec, record.status
    return replace(
        record,
        metadata=_meta(record.metadata),
        spec=replace(
            spec,
            leader_worker_set=intern(spec.leader_worker_set),
            revision=intern(spec.revision),
            leader=_shape(spec.leader),
            worker=_shape(spec.worker),
            required_key=intern(spec.required_key),
        ),
        status=replace(
            status,
            state=intern(status.state),
            domain=_domain(status.domain),
            slots=tuple(map(intern, status.slots)),
            leader_uid=intern(status.leader_uid),
            committed=_words(status.committed),
            proof=intern(status.proof),
        ),
    )


_SHARES: Mapping[type[Any], Callable[[Any], Any]] = {
    Pod: _pod,
    Node: _node,
    StatefulSet: _stateful_set,
    GroupPlacement: _record,
}
