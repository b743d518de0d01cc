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
from math import prod
from typing import Any

import numpy as np

from lws_sched.placement import topology, wording
from lws_sched.placement.boxes import is_box
from lws_sched.placement.eligibility import affine, eligible, repelling, selected
from lws_sched.placement.exact import fits, search, space_for
from lws_sched.placement.misfit import misfit
from lws_sched.placement.request import LEADER_EXCLUDED, NO_SUBGROUP, GroupRequest, PodShape
from lws_sched.placement.room import NEVER, Asked, asked, avoided, barring, closed_to
from lws_sched.placement.snapshot import Snapshot, namespace_of
from lws_sched.placement.space import Space
from lws_sched.placement.subgroups import Layout, Nested, layout_of
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
    widened: str = ""
    """The field of the request that `wider` is for."""
    smaller: int = 0
    """With this size it fits."""


def diagnose(snapshot: Snapshot, request: GroupRequest) -> Diagnosis:
    """Why a request that `plan` refuses on this snapshot has no place, and what would help."""
    keys = asked(snapshot.table, request)
    if isinstance(keys, UnknownLevel):
        return Diagnosis(keys.sentence, keys.fix)
    if request.box and not is_box(request, keys):
        return _no_box(request, keys)
    if not request.box and keys.inner and layout_of(request) is None:
        return _indivisible(request)
    found = (
        _unoffered(snapshot, request)
        or _repelled(snapshot, request)
        or _oversized(snapshot, request)
        or _unlabelled(snapshot, request, keys)
        or _set_aside(snapshot, request)
    )
    return found or _Case(snapshot, request, keys).diagnose()


def _no_box(request: GroupRequest, keys: Asked) -> Diagnosis:
    said = " x ".join(map(str, request.box))
    if keys.inner:
        return Diagnosis(
            f"it asks for a box of {said} hosts and for domains of its subgroups", "ask for one of the two"
        )
    return Diagnosis(
        f"its {request.size} members are not as many as the hosts of a box of {said}",
        f"ask for a box whose sides multiply to {request.size}, or set the size to {prod(request.box)}",
    )


def _indivisible(request: GroupRequest) -> Diagnosis:
    size = request.subgroup_size
    whole = "size - 1" if request.subgroup_policy == LEADER_EXCLUDED else "size or size - 1"
    return Diagnosis(
        f"its {request.size} members cannot be divided into subgroups of {size} ({request.subgroup_policy})",
        f"set a size for which {whole} is a multiple of {size}, or another subGroupSize",
    )


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
    wanted = keys.base
    if request.size > 1 or request.subgroup_of(0) != NO_SUBGROUP:
        wanted = tuple(dict.fromkeys((*keys.base, *keys.inner)))
    if (takers & (snapshot.table.partition(wanted).codes >= 0)).any():
        return None
    names = " and ".join(wanted)
    return Diagnosis(
        f"none of the {int(takers.sum())} nodes that take the group carries the label {names}",
        f"label these nodes with {names}",
    )


def _set_aside(snapshot: Snapshot, request: GroupRequest) -> Diagnosis | None:
    """Room there is, but on nodes that are out for now."""
    if request.avoid and fits(snapshot, replace(request, avoid=frozenset())):
        nodes = wording.listed(sorted(request.avoid), "node")
        return Diagnosis(
            f"it would fit only on nodes that the scheduler refused for it lately: {nodes}",
            "it is planned again when the refusals expire; the scheduler's events on its pods tell why",
        )
    if snapshot.schedulable.all():
        return None
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
        if self.request.box:
            found = misfit(self.snapshot, self.request, self.keys)
            return Diagnosis(found.reason, found.fix, emptied=found.emptied)
        could = self._space(self.snapshot.empty)
        slack = could.slack(self._base)
        if not (slack >= 0).any():
            return self._too_large(could, slack)
        return self._too_full(slack)

    @property
    def _base(self) -> Partition:
        return self.snapshot.table.partition(self.keys.base)

    def _space(self, snapshot: Snapshot) -> Space:
        space = space_for(snapshot, self.request, self.keys)
        assert space is not None
        return space

    def _closed(self) -> Diagnosis | None:
        """Other groups of the namespace hold every domain that has room."""
        tenancy = self.snapshot.tenancy
        if not (tenancy.is_exclusive or self.keys.exclusive or self.keys.inner_exclusive):
            return None
        nobody = replace(self.snapshot, tenancy=tenancy.without(np.ones(len(tenancy.positions), dtype=np.bool_)))
        placed = search(nobody, self.request)
        if placed is None:
            return None
        roomy = int((self._space(nobody).slack(self._base) >= 0).sum())
        slots = np.array([self.snapshot.table.position[node] for node in placed.slots], dtype=np.int64)
        groups = tuple(tenancy.group_names(barring(self.snapshot, self.request, self.keys, slots)))
        there = f"{wording.listed(groups, 'group')} in {placed.domain_value or 'the cluster'}"
        where = wording.place(self.keys)
        kinds = f"all {roomy} domains with room for it are" if roomy > 1 else "the only domain with room for it is"
        return Diagnosis(
            f"it needs {wording.members(self.snapshot, self.request)}{where}; {kinds} closed to it by other groups of "
            f"namespace {namespace_of(self.request)}, such as {there}",
            f"move {there} elsewhere" + self._sharing(),
            removed=groups,
        )

    def _sharing(self) -> str:
        alone = replace(self.request, exclusive="", subgroup_exclusive="")
        return ", or do without the exclusive topology" if fits(self.snapshot, alone) else ""

    def _too_large(self, could: Space, slack: Ints) -> Diagnosis:
        """No domain takes the group even with nothing else on it."""
        best = int(np.argmax(slack))
        fix, wider, widened = self._wider()
        smaller = 0 if fix else self._fits_with()
        if not fix:
            shrink = f"set its size to at most {smaller}, or " if smaller else ""
            has_leader = _takes_leader(slack[best])
            fix = f"{shrink}add {'hosts' if has_leader else 'larger nodes'} to {self._named(best)}"
        largest = f"the largest, {self._named(best)}," if self.keys.base else "the cluster"
        return Diagnosis(
            f"{self._needs(best)}; {largest} holds {self._said(could, slack, best)} even when empty"
            f"{self._left_out(best)}",
            fix,
            wider=wider,
            widened=widened,
            smaller=smaller,
        )

    def _fits_with(self) -> int:
        """The largest size with which the group fits now, all else being equal; 0 where there is none."""
        step = self.request.subgroup_size if self.keys.inner else 1
        sizes = range(self.request.size % step or step, self.request.size, step)
        best, low, high = 0, 0, len(sizes)
        while low < high:
            middle = (low + high) // 2
            if fits(self.snapshot, replace(self.request, size=sizes[middle], stay=())):
                best, low = sizes[middle], middle + 1
            else:
                high = middle
        return best

    def _too_full(self, empty_slack: Ints) -> Diagnosis:
        """It would fit, were there not others."""
        closed = closed_to(self.snapshot, self.request, self.keys)
        if closed is not None and (closed.to_workers | (self._base.codes < 0)).all():
            nobody = self.snapshot.tenancy.without(np.ones(len(self.snapshot.tenancy.positions), dtype=np.bool_))
            now = self._space(replace(self.snapshot, tenancy=nobody))
        else:
            now = self._space(self.snapshot)
        slack = now.slack(self._base)
        best = int(np.argmax(np.where(empty_slack >= 0, slack, -2 * NEVER)))
        nodes = self._to_empty(best, now)
        wider_fix, wider, widened = self._wider()
        many = f"{len(nodes)} hosts" if len(nodes) > 1 else "1 host"
        fix = f"free {many} in {self._named(best)} ({wording.listed(nodes, 'node')})"
        where = f"the best, {self._named(best)}," if self.keys.base else "the cluster"
        return Diagnosis(
            f"{self._needs(best)}; {where} {self._state(now, slack, best)}{self._left_out(best)}",
            f"{fix}, or {wider_fix}" if wider_fix else fix,
            emptied=nodes,
            wider=wider,
            widened=widened,
        )

    def _state(self, now: Space, slack: Ints, domain: int) -> str:
        entries = barring(self.snapshot, self.request, self.keys, self._base.members(domain))
        groups = self.snapshot.tenancy.group_names(entries)
        closed = f"is closed to it by {wording.listed(groups, 'group')} and " if groups else ""
        return f"{closed}has room for {self._said(now, slack, domain)}"

    def _to_empty(self, domain: int, space: Space) -> tuple[str, ...]:
        """Few nodes that, once empty, let the group into a domain: those of groups that bar it, then those that gain
        most room, as many as it takes."""
        snapshot, members = self.snapshot, self._base.members(domain)
        bars = np.unique(snapshot.tenancy.positions[barring(snapshot, self.request, self.keys, members)])
        now, empty = space.room, self._space(snapshot.empty).room
        members = members[~np.isin(members, bars)]
        fits_leader = (empty.loss[members] < NEVER).astype(np.int64) - (now.loss[members] < NEVER)
        gain = empty.workers[members] - now.workers[members]
        order = np.concatenate([bars, members[np.lexsort((members, -fits_leader, -gain))]])

        def fits_without(nodes: Ints) -> bool:
            if len(bars):
                return fits(snapshot.emptied(nodes), self.request)
            room = now.patched(snapshot.table, nodes, empty.workers[nodes], empty.loss[nodes])
            return len(space.given(room).takers(self._base)) > 0

        low, high = max(len(bars), 1), len(order)
        while low < high:
            middle = (low + high) // 2
            if fits_without(order[:middle]):
                high = middle
            else:
                low = middle + 1
        return tuple(snapshot.table.names[index] for index in sorted(order[:low].tolist()))

    def _wider(self) -> tuple[str, str, str]:
        """A wider level that takes the group now: as a fix, as a label and the request's field; else empty."""
        for field in ("required", "exclusive", "subgroup_required", "subgroup_exclusive"):
            asked_for = getattr(self.request, field)
            if asked_for and (field.startswith("subgroup") <= bool(self.keys.inner)):
                found = self._wider_for(field, topology.key_or_name(asked_for, self.snapshot.table.keys))
                if found[0]:
                    return found
        return "", "", ""

    def _wider_for(self, field: str, asked_for: str) -> tuple[str, str, str]:
        table = self.snapshot.table
        count = len(table.column(asked_for).values)
        levels = [key for key in topology.levels_on(table.keys) if len(table.column(key).values) < count]
        for key in sorted(levels, key=lambda key: (-len(table.column(key).values), -topology.rank(key, table.keys))):
            if fits(self.snapshot, _asking(self.request, field, key)):
                whole = f"ask for {key}, where it fits"
                return f"let each subgroup use one {key}, then it fits" if "subgroup" in field else whole, key, field
        if fits(self.snapshot, _asking(self.request, field, "")):
            return f"do without the {field.replace('_', ' ')} topology, then it fits", "", field
        return "", "", ""

    def _said(self, space: Space, slack: Ints, domain: int) -> str:
        """What the domain holds, in members or subgroups."""
        if isinstance(space, Nested):
            return self._said_in_subgroups(space.layout, slack[domain])
        if _takes_leader(slack[domain]):
            return str(min(int(slack[domain]) + self.request.size, self.request.size))
        if self.request.size == 1 or self.request.leader == self.request.worker:
            return "none"
        workers = int(space.room.workers[self._base.members(domain)].sum())
        return f"{workers} {'worker' if workers == 1 else 'workers'} but not the leader"

    def _said_in_subgroups(self, layout: Layout, slack: int) -> str:
        total = layout.plain + layout.leader_inside
        if not _takes_leader(slack):
            return "no subgroup with the leader" if layout.leader_inside else "no leader"
        return f"{min(int(slack) + total, total)} of its {total} subgroups"

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
    changed: dict[str, Any] = {field: key}
    return replace(request, **changed)


def _takes_leader(slack: int) -> bool:
    return slack > -NEVER // 2
