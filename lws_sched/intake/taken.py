"""Who takes what of a running cluster's nodes, kept in step with its objects: a change costs what that change takes.

Questions to a cluster of thousands of nodes come one after the other, and between two of them little has changed. What
counts as taken is the same as for a cluster that is looked at once (`Cluster.fleet`).

Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lws_sched.api.core import Node, Pod
from lws_sched.api.meta import key_of
from lws_sched.api.placement import GroupPlacement
from lws_sched.intake.standing import Held, held_slots, node_state, standing_node, tenant_of
from lws_sched.placement import LEVELS, Fleet, Level, Snapshot, pod_requests


class Taken:
    """Told of each change of each object: what was known of it, and what is known now; None where it is not there."""

    def __init__(self) -> None:
        self.record_of: dict[str, GroupPlacement] = {}
        self.pods_of: dict[str, dict[str, Pod]] = {}
        """Pods by group and key, bound or not."""
        self._fleet = Fleet()
        self._bound: dict[str, Pod] = {}
        self._held: dict[str, Held] = {}
        """Slots by the key of their member."""

    # --- changes -----------------------------------------------------------------------------------------------------

    def set_levels(self, levels: tuple[Level, ...]) -> None:
        """The well-known ones where the cluster tells of none."""
        self._fleet.set_levels(levels or LEVELS)

    def node_changed(self, old: Node | None, new: Node | None) -> None:
        before = node_state(old) if old is not None else None
        after = node_state(new) if new is not None else None
        if after is not None and after != before:
            self._fleet.set_node(after)
        elif before is not None and after is None:
            self._fleet.remove_node(before.name)

    def pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None:
            self._leave_group(old)
        if new is not None and (tenant := tenant_of(new)) is not None:
            self.pods_of.setdefault(tenant.group, {})[key_of(new)] = new
        if old is None or new is None or _footing(old) != _footing(new):
            self._stand(old, new)

    def record_changed(self, old: GroupPlacement | None, new: GroupPlacement | None) -> None:
        before, after = held_slots(old) if old else (), held_slots(new) if new else ()
        if new is not None:
            self.record_of[key_of(new)] = new
        elif old is not None:
            self.record_of.pop(key_of(old), None)
        if before == after:
            return
        for held in before:
            del self._held[held.pod]
            self._fleet.release(_slot(held.pod))
        for held in after:
            self._held[held.pod] = held
            self._settle(held.pod)

    def _leave_group(self, pod: Pod) -> None:
        tenant = tenant_of(pod)
        if tenant is not None:
            pods = self.pods_of[tenant.group]
            del pods[key_of(pod)]
            if not pods:
                del self.pods_of[tenant.group]

    def _stand(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None:
            self._bound.pop(key_of(old), None)
            self._fleet.release(_pod(key_of(old)))
            self._settle(key_of(old))
        if new is not None and standing_node(new):
            self._bound[key_of(new)] = new
            self._charge_pod(key_of(new))
            self._settle(key_of(new))

    def _settle(self, pod: str) -> None:
        """Charge a held slot exactly while its member does not stand on its node."""
        held = self._held.get(pod)
        if held is None:
            return
        if standing_node(self._bound.get(pod)) == held.node:
            self._fleet.release(_slot(pod))
        else:
            self._fleet.charge(_slot(pod), held.node, held.requests, held.tenant)

    def _charge_pod(self, key: str) -> None:
        pod = self._bound[key]
        self._fleet.charge(_pod(key), standing_node(pod), pod_requests(pod.spec), tenant_of(pod))

    # --- readers -----------------------------------------------------------------------------------------------------

    def snapshot(self, without: Iterable[str] = ()) -> Snapshot:
        """The fleet as it is now, as if the members and slots of these groups were not there."""
        groups = sorted(without)
        pods = [pod for group in groups for pod in self.pods_of.get(group, ()) if pod in self._bound]
        slots = [held.pod for group in groups for held in self._slots(group)]
        for owner in (*map(_pod, pods), *map(_slot, slots)):
            self._fleet.release(owner)
        found = self._fleet.snapshot()
        for pod in pods:
            self._charge_pod(pod)
        for pod in slots:
            self._settle(pod)
        return found

    def _slots(self, group: str) -> Iterator[Held]:
        record = self.record_of.get(group)
        return iter(held_slots(record) if record is not None else ())


def _footing(pod: Pod) -> tuple[object, ...]:
    """All that decides about what a pod takes, and where."""
    return standing_node(pod), pod.spec, tenant_of(pod)


def _pod(key: str) -> str:
    return f"pod:{key}"


def _slot(pod: str) -> str:
    return f"slot:{pod}"
