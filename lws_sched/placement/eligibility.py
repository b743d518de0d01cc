"""Which nodes may take a pod of a given shape at all, whatever is free on them: selector, affinity and taints.

Rules as kube-scheduler's NodeAffinity and TaintToleration filters have them. A term without requirements matches no
node. Every requirement is decided once per distinct label value and every taint set once, then spread over the nodes;
the mask of a shape is kept with the table, so asking again costs a look-up.
"""

from __future__ import annotations

import re

import numpy as np

from lws_sched.placement.node import NodeState, Taint
from lws_sched.placement.request import PodShape, Requirement, Toleration
from lws_sched.placement.table import NODE_NAME, Bools, NodeTable, remember

_INTEGER = re.compile(r"[+-]?[0-9]+")
REPELLING = frozenset({"NoSchedule", "NoExecute"})


def eligible(table: NodeTable, shape: PodShape) -> Bools:
    """Shape [nodes]. The mask is shared: do not write into it."""
    key = (shape.selector, shape.terms, shape.tolerations)
    mask = table.masks.get(key)
    if mask is None:
        mask = selected(table, shape) & affine(table, shape) & tolerated(table, shape)
        remember(table.masks, key, mask)
    return mask


def takes(node: NodeState, shape: PodShape) -> bool:
    """`eligible`, of one node."""

    def holds(wanted: Requirement) -> bool:
        if wanted.field:
            return wanted.key == NODE_NAME and _matches(node.name, wanted)
        return _matches(node.labels.get(wanted.key), wanted)

    is_affine = not shape.terms or any(term and all(map(holds, term)) for term in shape.terms)
    is_selected = all(node.labels.get(key) == value for key, value in shape.selector)
    return is_affine and is_selected and repelling(node.taints, shape.tolerations) is None


def selected(table: NodeTable, shape: PodShape) -> Bools:
    """The nodes that the nodeSelector takes."""
    mask = np.ones(len(table), dtype=np.bool_)
    for key, value in shape.selector:
        mask &= _matching(table, Requirement(key=key, operator="In", values=(value,)))
    return mask


def affine(table: NodeTable, shape: PodShape) -> Bools:
    """The nodes that the required node affinity takes."""
    if not shape.terms:
        return np.ones(len(table), dtype=np.bool_)
    mask = np.zeros(len(table), dtype=np.bool_)
    for term in shape.terms:
        if term:
            mask |= np.logical_and.reduce([_matching(table, each) for each in term])
    return mask


def tolerated(table: NodeTable, shape: PodShape) -> Bools:
    """The nodes none of whose NoSchedule and NoExecute taints repels the pod."""
    verdicts = [repelling(taints, shape.tolerations) is None for taints in table.taint_sets]
    return np.array(verdicts, dtype=np.bool_)[table.taint_codes]


def repelling(taints: tuple[Taint, ...], tolerations: tuple[Toleration, ...]) -> Taint | None:
    """The first taint that keeps the pod away, or None."""
    for taint in taints:
        if taint.effect in REPELLING and not any(_tolerates(each, taint) for each in tolerations):
            return taint
    return None


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return toleration.operator in ("", "Equal") and toleration.value == taint.value


def _matching(table: NodeTable, wanted: Requirement) -> Bools:
    key = NODE_NAME if wanted.field else wanted.key
    if not wanted.field and key not in table.keys:
        return np.full(len(table), _matches(None, wanted), dtype=np.bool_)
    if wanted.field and wanted.key != NODE_NAME:
        return np.zeros(len(table), dtype=np.bool_)
    column = table.column(key)
    verdicts = [_matches(value, wanted) for value in column.values]
    verdicts.append(_matches(None, wanted))
    return np.array(verdicts, dtype=np.bool_)[column.codes]


def _matches(value: str | None, wanted: Requirement) -> bool:
    """One label value (None where the label is missing) against one requirement."""
    match wanted.operator:
        case "In":
            return value in wanted.values
        case "NotIn":
            return value not in wanted.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return value is not None and _compares(value, wanted)
    return False


def _compares(value: str, wanted: Requirement) -> bool:
    limit = wanted.values[0] if wanted.values else ""
    if not (_INTEGER.fullmatch(value) and _INTEGER.fullmatch(limit)):
        return False
    return int(value) > int(limit) if wanted.operator == "Gt" else int(value) < int(limit)
