"""Other slots for a few members of a group that stands: what to ask for, so that they join the others.

The members that stay cannot be moved, so the lost ones alone are asked for, all together, as workers of a group of
their own that is tied to the domain in which the others stand. Its tenants are the group itself, so its own exclusive
topology keeps nobody out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from lws_sched.placement import GroupRequest, Requirement, Snapshot, levels_on, resolve
from lws_sched.placement.table import NODE_NAME


def replacements(
    snapshot: Snapshot,
    whole: GroupRequest,
    slots: Sequence[str],
    lost: Collection[int],
    placed_in: Mapping[str, str],
    count: int,
) -> tuple[GroupRequest, ...]:
    """Requests to try in turn; the slots of each are for the first `count` lost worker indices in ascending order.

    `whole` is the request of the whole group and `slots` what it has. The lost members go into the domains that the
    group must share; within these, into the narrowest that the others happen to share, if there is room, and else into
    wider ones. Where the others share none any more (their nodes were given other labels), `placed_in`, the label and
    value that the group was placed by, holds. Members of a box go back to their own hosts or nowhere.
    """
    if whole.box:
        return (_back_to(whole, tuple(slots[index] for index in sorted(lost))[:count]),)
    standing = [node for index, node in enumerate(slots) if index not in lost and node in snapshot.table.position]
    shared = _shared(snapshot, standing)
    asked = [resolve(name, snapshot.table.keys) for name in (whole.required, whole.exclusive) if name]
    must = {**placed_in, **{key: shared[key] for key in asked if isinstance(key, str) and key in shared}}
    narrower = [key for key in reversed(levels_on(snapshot.table.keys)) if key in shared and key not in must]
    return tuple(_within(whole, count, domain) for domain in (*({**must, key: shared[key]} for key in narrower), must))


def _within(whole: GroupRequest, size: int, domain: Mapping[str, str]) -> GroupRequest:
    """Some workers of the group, on nodes that carry these labels."""
    selector = tuple(sorted({**dict(whole.worker.selector), **domain}.items()))
    worker = replace(whole.worker, selector=selector)
    return replace(whole, size=size, leader=worker, worker=worker, required="", preferred=(), stay=())


def _back_to(whole: GroupRequest, nodes: tuple[str, ...]) -> GroupRequest:
    """Some workers of a group that stands on a box of hosts: only on these nodes is the box whole again."""
    only = (Requirement(key=NODE_NAME, operator="In", values=nodes, field=True),)
    worker = replace(whole.worker, terms=tuple((*term, *only) for term in whole.worker.terms or ((),)))
    size = len(nodes)
    return replace(whole, size=size, leader=worker, worker=worker, required="", preferred=(), stay=nodes, box=())


def _shared(snapshot: Snapshot, nodes: Sequence[str]) -> Mapping[str, str]:
    """The labels that all of these nodes have in common."""
    labels = [snapshot.table.nodes[snapshot.table.position[node]].labels for node in nodes]
    if not labels:
        return {}
    return {key: value for key, value in labels[0].items() if all(each.get(key) == value for each in labels)}
