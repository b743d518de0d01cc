"""A cluster's objects, from a file or from the API server, as planning takes them: a fleet, and who stands where.

What counts as taken is what the extender's ledger counts: pods that are bound and not finished, and the slots that
records hold for members that are not bound yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from lws_sched.api import names
from lws_sched.api.core import NODE, POD, PRIORITY_CLASS, Node, Pod, PriorityClass
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.meta import Kind, Object, key_of
from lws_sched.api.placement import GROUP_PLACEMENT, GroupPlacement
from lws_sched.api.quantity import InvalidQuantity
from lws_sched.api.topology import TOPOLOGY, Topology, TopologyLevel
from lws_sched.intake.documents import BadInput, Document, bad_quantity, decode
from lws_sched.intake.standing import Held, held_slots, node_state, standing_node, tenant_of
from lws_sched.placement import LEVELS, Level, pod_requests
from lws_sched.placement.topology import Axis, level_of

if TYPE_CHECKING:
    from lws_sched.intake.taken import Taken
    from lws_sched.placement import Fleet, Snapshot

T = TypeVar("T", bound=Object)

KINDS: tuple[Kind[Any], ...] = (NODE, POD, LEADER_WORKER_SET, GROUP_PLACEMENT, PRIORITY_CLASS, TOPOLOGY)


@dataclass(frozen=True)
class Member:
    """A pod of a group that is bound."""

    index: int
    node: str


@dataclass(frozen=True)
class Cluster:
    """The objects that planning reads."""

    nodes: Collection[Node] = ()
    pods: Collection[Pod] = ()
    sets: Collection[LeaderWorkerSet] = ()
    records: Collection[GroupPlacement] = ()
    priority_classes: Collection[PriorityClass] = ()
    topologies: Collection[Topology] = ()
    levels: tuple[Level, ...] = ()
    """By hand, widest first: in place of those that labels and topologies tell of."""
    kept: Taken | None = field(default=None, compare=False, repr=False)
    """What these objects take, where somebody keeps that in step with them."""

    def snapshot(self, without: frozenset[str] = frozenset()) -> Snapshot:
        """The fleet at rest; the members and slots of the groups `without` are left out. Raises InvalidQuantity."""
        return self.fleet(without).snapshot() if self.kept is None else self.kept.snapshot(without)

    def fleet(self, without: frozenset[str] = frozenset()) -> Fleet:
        """All nodes and what is taken of them; the members and slots of the groups `without` are left out.

        Raises InvalidQuantity.
        """
        from lws_sched.placement import Fleet

        fleet = Fleet(self.levels or levels_of(self.topologies) or LEVELS)
        for node in self.nodes:
            fleet.set_node(node_state(node))
        bound: dict[str, str] = {}
        for pod in self.pods:
            node_name, tenant = standing_node(pod), tenant_of(pod)
            if node_name and (tenant is None or tenant.group not in without):
                bound[key_of(pod)] = node_name
                fleet.charge(f"pod:{key_of(pod)}", node_name, pod_requests(pod.spec), tenant)
        for held in self.held():
            if bound.get(held.pod) != held.node and held.tenant.group not in without:
                fleet.charge(f"slot:{held.pod}", held.node, held.requests, held.tenant)
        return fleet

    def held(self) -> Iterable[Held]:
        for record in self.records:
            yield from held_slots(record)

    def outstanding(self) -> Iterable[Held]:
        """The slots whose members do not stand on them yet."""
        bound = {key_of(pod): standing_node(pod) for pod in self.pods}
        return (held for held in self.held() if bound.get(held.pod) != held.node)

    @cached_property
    def record_of(self) -> Mapping[str, GroupPlacement]:
        return {key_of(record): record for record in self.records} if self.kept is None else self.kept.record_of

    @cached_property
    def pods_of(self) -> Mapping[str, Mapping[str, Pod]]:
        """Pods by group and key, bound or not."""
        if self.kept is not None:
            return self.kept.pods_of
        found: dict[str, dict[str, Pod]] = {}
        for pod in self.pods:
            tenant = tenant_of(pod)
            if tenant is not None:
                found.setdefault(tenant.group, {})[key_of(pod)] = pod
        return found

    def members_of(self, group: str) -> tuple[Member, ...]:
        """Its bound pods, in worker-index order."""
        pods = self.pods_of.get(group, {}).values()
        indexes = ((pod.metadata.labels.get(names.WORKER_INDEX, ""), standing_node(pod)) for pod in pods)
        found = (Member(int(index), node) for index, node in indexes if node and index.isdigit())
        return tuple(sorted(found, key=lambda each: each.index))


def levels_of(topologies: Iterable[Topology]) -> tuple[Level, ...]:
    """The levels of all topologies, by their names' order, each label once. The host is always the narrowest."""
    levels = {
        level.node_label: level
        for topology in sorted(topologies, key=lambda each: each.metadata.name)
        for level in topology.spec.levels
    }
    return level_list(levels.values())


def level_list(levels: Iterable[TopologyLevel]) -> tuple[Level, ...]:
    """Levels as planning knows them, widest first; a level without a name has its label's well-known one."""
    found = [
        Level(
            each.name or level_of(each.node_label),
            (each.node_label,),
            tuple(Axis(axis.node_label, axis.length, axis.wraps) for axis in each.axes),
        )
        for each in levels
        if each.node_label != names.HOSTNAME
    ]
    return (*found, Level("host", (names.HOSTNAME,))) if found else ()


def cluster_of(documents: Iterable[Document], source: str) -> Cluster:
    """The cluster that documents tell of; kinds that planning does not read are passed over. Raises BadInput."""
    found: dict[Kind[Any], list[Any]] = {kind: [] for kind in KINDS}
    seen: dict[tuple[Kind[Any], str], Document] = {}
    kinds: set[str] = set()
    for document in documents:
        kinds.add(document.kind)
        kind = next((kind for kind in KINDS if document.is_a(kind)), None)
        if kind is None:
            continue
        obj = decode(kind, document)
        first = seen.setdefault((kind, key_of(obj)), document)
        if first is not document:
            raise BadInput(f"{document.where} was there before, as {first.source}: leave one of them out")
        _check_amounts(obj, document)
        found[kind].append(obj)
    if not found[NODE]:
        there = f" (it has {', '.join(sorted(kinds))})" if kinds else ""
        raise BadInput(
            f"{source} has no nodes{there}: give what `kubectl get nodes,pods --all-namespaces -o yaml` prints"
        )
    return Cluster(
        nodes=tuple(found[NODE]),
        pods=tuple(found[POD]),
        sets=tuple(found[LEADER_WORKER_SET]),
        records=tuple(found[GROUP_PLACEMENT]),
        priority_classes=tuple(found[PRIORITY_CLASS]),
        topologies=tuple(found[TOPOLOGY]),
    )


def _check_amounts(obj: Object, document: Document) -> None:
    try:
        if isinstance(obj, Node):
            node_state(obj)
        elif isinstance(obj, Pod):
            pod_requests(obj.spec)
    except InvalidQuantity as error:
        raise bad_quantity(document, error) from error
