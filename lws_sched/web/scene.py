"""What the page shows of a cluster, kept up to date one change at a time.

Watch events only mark what changed; nothing is worked out until somebody looks (`update`). Then the work is in
proportion to what was marked, not to the cluster: charges of a fleet of its own, the groups concerned, the hosts
concerned. Groups and uses come from the functions that the commands use.

Not thread-safe but for the marking: `Page` calls it under a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from lws_sched.api import names
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import Object, key_of, split_key
from lws_sched.intake.groups import Group, group_of, group_of_pod
from lws_sched.intake.standing import Held, held_slots, node_state, standing_node, tenant_of
from lws_sched.intake.uses import IDLE, HostUse, host_use
from lws_sched.kube.port import Change
from lws_sched.placement import LEVELS, Fleet, Level, NodeState, Snapshot, pod_requests
from lws_sched.web.sources import BY_GROUP, BY_NODE, Sources

T = TypeVar("T", bound=Object)


@dataclass
class _Marks:
    """What changed since the last look, by key."""

    nodes: set[str] = field(default_factory=set)
    pods: set[str] = field(default_factory=set)
    sets: set[str] = field(default_factory=set)
    records: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.nodes or self.pods or self.sets or self.records)


@dataclass(frozen=True)
class _Stand:
    """Where a pod was when it was last looked at."""

    node: str
    group: str


class Scene:
    """`version` grows with every update that found a change."""

    def __init__(self, sources: Sources, levels: tuple[Level, ...] = LEVELS) -> None:
        self._sources = sources
        self._fleet = Fleet(levels)
        self._lock = threading.Lock()
        self._marks = _Marks()
        self._nodes: dict[str, NodeState] = {}
        self._stands: dict[str, _Stand] = {}
        self._held: dict[str, tuple[Held, ...]] = {}
        self._slots: dict[str, Held] = {}
        self._holders: dict[str, dict[str, str]] = {}
        """Group by pod, of the slots held on a node whose members are not there, by node."""
        self._indices: dict[str, set[int]] = {}
        """The indices of the groups known of a set, by its key."""
        self.version = 0
        self.groups: dict[str, Group] = {}
        self.uses: dict[str, HostUse] = {}
        self.snapshot: Snapshot = self._fleet.snapshot()
        sources.nodes.subscribe(self._marker(lambda marks: marks.nodes))
        sources.pods.subscribe(self._marker(lambda marks: marks.pods))
        sources.sets.subscribe(self._marker(lambda marks: marks.sets))
        sources.records.subscribe(self._marker(lambda marks: marks.records))

    def outstanding(self) -> Iterable[Held]:
        """The slots that are held for members which are not there yet."""
        return [self._slots[pod] for holders in self._holders.values() for pod in holders]

    def set_of(self, group: Group) -> LeaderWorkerSet | None:
        return self._sources.sets.get(group.namespace, group.set_name)

    def update(self) -> None:
        """Take in what was marked since the last time."""
        with self._lock:
            marks, self._marks = self._marks, _Marks()
        if not marks:
            return
        groups, hosts = self._marked_groups(marks.sets), {name for name in marks.nodes if self._look_at_node(name)}
        for group in sorted(marks.records):
            groups.add(group)
            hosts |= self._look_at_record(group)
        for pod in sorted(marks.pods):
            self._look_at_pod(pod, groups, hosts)
        for group in sorted(groups):
            hosts |= self._look_at_group(group)
        for name in sorted(hosts):
            self._look_at_use(name)
        if groups or hosts:
            self.snapshot = self._fleet.snapshot()
            self.version += 1

    def _marker(self, of: Callable[[_Marks], set[str]]) -> Callable[[Change[T]], None]:
        def mark(change: Change[T]) -> None:
            with self._lock:
                of(self._marks).add(key_of(change.latest))

        return mark

    def _marked_groups(self, sets: Iterable[str]) -> set[str]:
        """All groups of sets that changed: those that are wanted now, and those that were."""
        found = set()
        for key in sets:
            namespace, name = split_key(key)
            lws = self._sources.sets.get(namespace, name)
            wanted = range(lws.spec.replicas) if lws is not None else ()
            found |= {f"{namespace}/{names.leader_name(name, index)}" for index in {*wanted, *self._indices_of(key)}}
        return found

    def _indices_of(self, set_key: str) -> Iterable[int]:
        return self._indices.get(set_key, ())

    # --- what takes room ---------------------------------------------------------------------------------------------

    def _look_at_node(self, name: str) -> bool:
        """Whether it differs from what was known of it: most events of nodes are heartbeats."""
        node = self._sources.nodes.get("", name)
        before, after = self._nodes.pop(name, None), node_state(node) if node is not None else None
        if after is not None:
            self._nodes[name] = after
            self._fleet.set_node(after)
        else:
            self._fleet.remove_node(name)
        return before != after

    def _look_at_record(self, group: str) -> set[str]:
        """Charge what the record holds now in place of what it held; the nodes concerned."""
        record = self._sources.records.get(*split_key(group))
        before, after = self._held.pop(group, ()), held_slots(record) if record is not None else ()
        for held in before:
            self._slots.pop(held.pod, None)
            self._let_go(held)
        if after:
            self._held[group] = after
        for held in after:
            self._slots[held.pod] = held
            self._settle(held)
        return {held.node for held in (*before, *after)}

    def _look_at_pod(self, key: str, groups: set[str], hosts: set[str]) -> None:
        pod = self._sources.pods.get(*split_key(key))
        node = standing_node(pod)
        now = _Stand(node, group_of_pod(pod) if pod is not None else "")
        before = self._stands.pop(key, _Stand("", ""))
        if pod is not None:
            self._stands[key] = now
        if pod is not None and node:
            self._fleet.charge(f"pod:{key}", node, pod_requests(pod.spec), tenant_of(pod))
        else:
            self._fleet.release(f"pod:{key}")
        if held := self._slots.get(key):
            self._settle(held)
        groups |= {before.group, now.group} - {""}
        hosts |= {before.node, now.node} - {""}

    def _settle(self, held: Held) -> None:
        """Charge a held slot exactly while its member does not stand on it."""
        if self._stands.get(held.pod, _Stand("", "")).node == held.node:
            self._let_go(held)
            return
        self._fleet.charge(f"slot:{held.pod}", held.node, held.requests, held.tenant)
        self._holders.setdefault(held.node, {})[held.pod] = held.tenant.group

    def _let_go(self, held: Held) -> None:
        self._fleet.release(f"slot:{held.pod}")
        holders = self._holders.get(held.node, {})
        holders.pop(held.pod, None)
        if not holders:
            self._holders.pop(held.node, None)

    # --- what is shown -----------------------------------------------------------------------------------------------

    def _look_at_group(self, key: str) -> set[str]:
        """Read the group anew; the hosts whose use that may change."""
        before = self.groups.pop(key, None)
        after = self._group(key)
        if after is not None:
            self.groups[key] = after
        return {node for group in (before, after) if group is not None for node in group.nodes if node}

    def _group(self, key: str) -> Group | None:
        namespace, leader = split_key(key)
        parts = names.parent_and_ordinal(leader)
        if parts is None:
            return None
        set_name, index = parts
        lws = self._sources.sets.get(namespace, set_name)
        record, pods = self._sources.records.get(namespace, leader), self._sources.pods.by_index(BY_GROUP, key)
        known = self._indices.setdefault(f"{namespace}/{set_name}", set())
        if record is None and not pods and (lws is None or index >= lws.spec.replicas):
            known.discard(index)
            if not known:
                del self._indices[f"{namespace}/{set_name}"]
            return None
        known.add(index)
        size = lws.spec.leader_worker_template.size if lws is not None else 0
        return group_of(namespace, set_name, index, record=record, pods=pods, size=size)

    def _look_at_use(self, node: str) -> None:
        use = host_use(self._sources.pods.by_index(BY_NODE, node), self._holders.get(node, {}).values(), self._is_whole)
        if use == IDLE:
            self.uses.pop(node, None)
        else:
            self.uses[node] = use

    def _is_whole(self, key: str) -> bool:
        group = self.groups.get(key)
        return group is not None and group.bound == group.size
