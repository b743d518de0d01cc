"""Why a group has no place, as the smallest reason and the nearest fix, in sentences for a user.

Causes are tried from the most basic to the most circumstantial: a level nobody has, a resource nobody offers, no node
that takes the pods, no label, nodes set aside, domains held by others, a group larger than any domain, and last too
little room now. Whatever a fix promises is tried by search first: that a wider level fits, that emptying these nodes
is enough, that these groups alone are in the way.

Called only for a request that `exact.search` refused on the same snapshot.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from lws_sched.placement import topology, wording
from lws_sched.placement.eligibility import affine, eligible, repelling, selected
from lws_sched.placement.exact import search
from lws_sched.placement.request import GroupRequest, PodShape
from lws_sched.placement.room import NEVER, Asked, Need, Room, asked, avoided, barring, closed_to, room_for, whole_need
from lws_sched.placement.snapshot import Snapshot, namespace_of
from lws_sched.placement.table import Ints, Partition
from lws_sched.placement.topology import UnknownLevel


@dataclass(frozen=True)
class Diagnosis:
    """A refusal's reason and fix, and what the fix consists of where it is more than words."""

    reason: str
    fix: str
    emptied: tuple[str, ...] = ()
    """With nothing standing on these nodes the group fits."""
    removed: tuple[str, ...] = ()
    """Without these groups it fits."""
    revived: tuple[str, ...] = ()
    """With these nodes schedulable it fits."""
    wider: str = ""
    """Asking for this label instead makes it fit."""


def diagnose(snapshot: Snapshot, request: GroupRequest) -> Diagnosis:
    keys = asked(snapshot.table, request)
    if isinstance(keys, UnknownLevel):
        return Diagnosis(keys.sentence, keys.fix)
    found = (
        _unoffered(snapshot, request)
        or _repelled(snapshot, request)
        or _oversized(snapshot, request)
        or _unlabelled(snapshot, request, keys)
        or _set_aside(snapshot, request)
    )
    return found or _Case(snapshot, request, keys).diagnose()


def _roles(request: GroupRequest) -> tuple[tuple[str, PodShape], ...]:
    if request.size == 1 or request.leader == request.worker:
        return (("members", request.leader),)
    return (("leader", request.leader), ("workers", request.worker))


def _needing(role: str) -> str:
    return f"the {role} {'needs' if role == 'leader' else 'need'}"


def _unoffered(snapshot: Snapshot, request: GroupRequest) -> Diagnosis | None:
    if not len(snapshot.table):
        return Diagnosis("there are no nodes", "add nodes")
    for role, shape in _roles(request):
        for resource, _ in shape.requests:
            if not wording.offered(snapshot, resource).any():
                return Diagnosis(
                    f"{_needing(role)} {resource}, and no node offers it",
                    f"add nodes that offer {resource}, or start the device plugin that announces it",
                )
    return None


def _repelled(snapshot: Snapshot, request: GroupRequest) -> Diagnosis | None:
    for role, shape in _roles(request):
        if (eligible(snapshot.table, shape) & snapshot.schedulable).any():
            continue
        causes = _causes(snapshot, shape)
        total = len(snapshot.table)
        listed = "; ".join(f"{count} of {total} nodes {cause}" for cause, _, count in causes)
        return Diagnosis(f"no node takes the {role}: {listed}", causes[0][1].format(role=role))
    return None


def _causes(snapshot: Snapshot, shape: PodShape) -> list[tuple[str, str, int]]:
    """(cause, fix, nodes), the cause that keeps most nodes out first. A node counts for its first cause."""
    table = snapshot.table
    is_selected, is_affine = selected(table, shape), affine(table, shape)
    wanted = ",".join(f"{key}={value}" for key, value in shape.selector)
    causes: Counter[tuple[str, str]] = Counter()
    for index in range(len(table)):
        taint = repelling(table.nodes[index].taints, shape.tolerations)
        if not is_selected[index]:
            cause = (
                f"do not match the nodeSelector {wanted}",
                f"label nodes with {wanted}, or change the nodeSelector",
            )
        elif not is_affine[index]:
            cause = ("do not match the node affinity", "label nodes as the node affinity asks, or change it")
        elif taint is not None:
            text = f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"
            cause = (f"have the taint {text}", f"let the {{role}} tolerate {text}, or remove the taint")
        else:
            cause = ("are cordoned, not ready or leaving", "uncordon or repair nodes")
        causes[cause] += 1
    ranked = sorted(causes.items(), key=lambda item: (-item[1], item[0]))
    return [(text, fix, count) for (text, fix), count in ranked]


def _oversized(snapshot: Snapshot, request: GroupRequest) -> Diagnosis | None:
    for role, shape in _roles(request):
        nodes = eligible(snapshot.table, shape)
        for resource, amount in shape.requests:
            largest = int(wording.offered(snapshot, resource)[nodes].max())
            if largest < amount:
                if not largest:
                    return Diagnosis(
                        f"{_needing(role)} {resource}, and no node that they may use offers it",
                        f"add nodes that offer {resource}, or let the pods use those that do (taints, nodeSelector)",
                    )
                wanted, most = wording.amount(resource, amount), wording.amount(resource, largest)
                return Diagnosis(
                    f"{_needing(role)} {wanted} on one node; the largest node that they may use offers {most}",
                    f"ask for at most {most} per pod, or add larger nodes",
                )
    return None


def _unlabelled(snapshot: Snapshot, request: GroupRequest, keys: Asked) -> Diagnosis | None:
    takers = np.logical_or.reduce([eligible(snapshot.table, shape) for _, shape in _roles(request)])
    inside = snapshot.table.partition(keys.base).codes >= 0
    if (takers & inside).any():
        return None
    names = " and ".join(keys.base)
    return Diagnosis(
        f"none of the {int(takers.sum())} nodes that take the group carries the label {names}",
        f"label these nodes with {names}",
    )


def _set_aside(snapshot: Snapshot, request: GroupRequest) -> Diagnosis | None:
    """Room there is, but on nodes that are out for now."""
    if request.avoid and search(snapshot, replace(request, avoid=frozenset())) is not None:
        nodes = wording.listed(sorted(request.avoid), "node")
        return Diagnosis(
            f"it would fit only on nodes that the scheduler refused for it lately: {nodes}",
            "it is planned again when the refusals expire; the scheduler's events on its pods tell why",
        )
    awake = replace(snapshot, schedulable=np.ones_like(snapshot.schedulable))
    placed = search(awake, request)
    if placed is None:
        return None
    asleep = {node for node in placed.slots if not snapshot.schedulable[snapshot.table.position[node]]}
    revived = tuple(node for node in snapshot.table.names if node in asleep)
    listed = wording.listed(revived, "node")
    return Diagnosis(
        f"it would fit in {placed.domain_value or 'the cluster'}, but nodes there take no new pods: {listed}",
        f"uncordon or repair {listed}",
        revived=revived,
    )


@dataclass(frozen=True)
class _Case:
    """Nodes take the members, but no domain takes all of them: who or what is in the way."""

    snapshot: Snapshot
    request: GroupRequest
    keys: Asked

    def diagnose(self) -> Diagnosis:
        closed = self._closed()
        if closed is not None:
            return closed
        empty = self.snapshot.emptied(np.arange(len(self.snapshot.table)))
        could = self._room(empty)
        slack = could.slack(self._base, self._need)
        if not (slack >= 0).any():
            return self._too_large(could)
        return self._too_full(slack)

    @property
    def _base(self) -> Partition:
        return self.snapshot.table.partition(self.keys.base)

    @property
    def _need(self) -> Need:
        return whole_need(self.request)

    def _room(self, snapshot: Snapshot) -> Room:
        return room_for(snapshot, self.request, closed_to(snapshot, self.request, self.keys))

    def _closed(self) -> Diagnosis | None:
        """Other groups of the namespace hold every domain that has room."""
        tenancy = self.snapshot.tenancy
        nobody = replace(self.snapshot, tenancy=tenancy.without(np.ones(len(tenancy.positions), dtype=np.bool_)))
        placed = search(nobody, self.request)
        if placed is None:
            return None
        room = self._room(nobody)
        roomy = int((room.slack(self._base, self._need) >= 0).sum())
        slots = np.array([self.snapshot.table.position[node] for node in placed.slots], dtype=np.int64)
        groups = tuple(tenancy.group_names(barring(self.snapshot, self.request, self.keys, slots)))
        there = f"{wording.listed(groups, 'group')} in {placed.domain_value or 'the cluster'}"
        where = wording.place(self.keys)
        kinds = f"all {roomy} domains with room for it are" if roomy > 1 else "the only domain with room for it is"
        return Diagnosis(
            f"it needs {wording.members(self.snapshot, self.request)}{where}; {kinds} closed to it by other groups of "
            f"namespace {namespace_of(self.request)}, such as {there}",
            f"move {there} elsewhere" + (", or do without the exclusive topology" if self.keys.exclusive else ""),
            removed=groups,
        )

    def _too_large(self, could: Room) -> Diagnosis:
        """No domain takes the group even with nothing else on it."""
        best = int(np.argmax(could.slack(self._base, self._need)))
        size = self._held(could, best)
        fix, wider = self._wider()
        if not fix:
            fix = f"set its size to at most {size}, or add hosts to {self._named(best)}" if size else "add larger nodes"
        largest = f"the largest, {self._named(best)}," if self.keys.base else "the cluster"
        return Diagnosis(
            f"{self._needs(best)}; {largest} holds {self._said(could, best)} even when empty{self._left_out(best)}",
            fix,
            wider=wider,
        )

    def _too_full(self, empty_slack: Ints) -> Diagnosis:
        """It would fit, were there not others."""
        closed = closed_to(self.snapshot, self.request, self.keys)
        if closed is not None and (closed.to_leader | (self._base.codes < 0)).all():
            closed = None
        now = room_for(self.snapshot, self.request, closed)
        best = int(np.argmax(np.where(empty_slack >= 0, now.slack(self._base, self._need), -2 * NEVER)))
        nodes = self._to_empty(best, now)
        wider_fix, wider = self._wider()
        many = f"{len(nodes)} hosts" if len(nodes) > 1 else "1 host"
        fix = f"free {many} in {self._named(best)} ({wording.listed(nodes, 'node')})"
        where = f"the best, {self._named(best)}," if self.keys.base else "the cluster"
        return Diagnosis(
            f"{self._needs(best)}; {where} {self._state(now, best)}{self._left_out(best)}",
            f"{fix}, or {wider_fix}" if wider_fix else fix,
            emptied=nodes,
            wider=wider,
        )

    def _state(self, now: Room, domain: int) -> str:
        entries = barring(self.snapshot, self.request, self.keys, self._base.members(domain))
        groups = self.snapshot.tenancy.group_names(entries)
        closed = f"is closed to it by {wording.listed(groups, 'group')} and " if groups else ""
        return f"{closed}has room for {self._said(now, domain)}"

    def _to_empty(self, domain: int, now: Room) -> tuple[str, ...]:
        """Few nodes that, once empty, let the group into a domain: those of groups that bar it, then those that gain
        most room, as many as it takes."""
        snapshot, members = self.snapshot, self._base.members(domain)
        bars = np.unique(snapshot.tenancy.positions[barring(snapshot, self.request, self.keys, members)])
        empty = room_for(snapshot.emptied(members), self.request, None)
        members = members[~np.isin(members, bars)]
        fits_leader = (empty.loss[members] < NEVER).astype(np.int64) - (now.loss[members] < NEVER)
        gain = empty.workers[members] - now.workers[members]
        order = np.concatenate([bars, members[np.lexsort((members, -fits_leader, -gain))]])
        low, high = max(len(bars), 1), len(order)
        while low < high:
            middle = (low + high) // 2
            if search(snapshot.emptied(order[:middle]), self.request) is not None:
                high = middle
            else:
                low = middle + 1
        return tuple(snapshot.table.names[index] for index in sorted(order[:low].tolist()))

    def _wider(self) -> tuple[str, str]:
        """A wider level that takes the group now, as a fix and as a label; empty where there is none."""
        if not self.keys.base:
            return "", ""
        field = "required" if self.request.required else "exclusive"
        table = self.snapshot.table
        asked_for = table.column(self.keys.base[0])
        levels = [key for key in topology.levels_on(table.keys) if key not in self.keys.base]
        wider = [key for key in levels if len(table.column(key).values) < len(asked_for.values)]
        for key in sorted(wider, key=lambda key: -len(table.column(key).values)):
            if search(self.snapshot, _asking(self.request, field, key)) is not None:
                return f"ask for {key}, where it fits", key
        if search(self.snapshot, _asking(self.request, field, "")) is not None:
            return f"do without the {field} topology, then it fits", ""
        return "", ""

    def _held(self, room: Room, domain: int) -> int:
        """How many members of the group the domain holds; without a place for the leader, how many workers."""
        members = self._base.members(domain)
        loss = int(room.loss[members].min())
        total = int(room.workers[members].sum())
        if loss >= NEVER:
            return total
        return min(total - loss, self.request.size - 1) + 1

    def _said(self, room: Room, domain: int) -> str:
        if int(room.loss[self._base.members(domain)].min()) < NEVER:
            return str(self._held(room, domain))
        if self.request.size == 1 or self.request.leader == self.request.worker:
            return "none"
        workers = self._held(room, domain)
        return f"{workers} {'worker' if workers == 1 else 'workers'} but not the leader"

    def _named(self, domain: int) -> str:
        node = int(self._base.members(domain)[0])
        columns = [self.snapshot.table.column(key) for key in self.keys.base]
        return " / ".join(column.values[column.codes[node]] for column in columns) or "the cluster"

    def _needs(self, domain: int) -> str:
        scarce = wording.scarcest(self.snapshot, self.request, self._base.members(domain))
        return f"it needs {wording.members(self.snapshot, self.request, scarce)}{wording.place(self.keys)}"

    def _left_out(self, domain: int) -> str:
        """Nodes that do not count, in the domain or for want of a label: they are easily overlooked."""
        members, schedulable = self._base.members(domain), self.snapshot.schedulable
        takers = np.logical_or.reduce([eligible(self.snapshot.table, shape) for _, shape in _roles(self.request)])
        counts = (
            (int((~takers[members]).sum()), "of its nodes closed to the pods by taint, selector or affinity"),
            (int((takers & ~schedulable)[members].sum()), "of its nodes cordoned, not ready or leaving"),
            (
                int((avoided(self.snapshot.table, self.request))[members].sum()),
                "of its nodes refused by the scheduler lately",
            ),
            (int((self._base.codes < 0).sum()), f"of all nodes without the label {' or '.join(self.keys.base)}"),
        )
        said = [f"{count} {text}" for count, text in counts if count]
        return f" ({'; '.join(said)})" if said else ""


def _asking(request: GroupRequest, field: str, key: str) -> GroupRequest:
    return replace(request, required=key) if field == "required" else replace(request, exclusive=key)
