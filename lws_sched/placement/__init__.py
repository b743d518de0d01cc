"""Placement of whole groups onto topology domains: a pure, deterministic engine that needs no cluster.

A `Fleet` is told of nodes and of what stands on them, one event at a time; a snapshot of it and a few requests go into
`plan`, and out comes a place for every member of a group, or one sentence on why there is none and one on what would
help:

    fleet = Fleet()
    for rack in range(2):
        for host in range(4):
            fleet.set_node(NodeState(
                name=f"host-{rack}-{host}",
                labels={"topology.lws-sched.io/rack": f"rack-{rack}"},
                allocatable={"cpu": 64_000, "nvidia.com/gpu": 8, "pods": 110},
            ))
    pod = PodShape(requests=(("nvidia.com/gpu", 8),))
    group = GroupRequest(key="default/llama-0", size=4, leader=pod, worker=pod, required="rack")
    [decision] = plan(fleet.snapshot(), [group])
    # Placed(key="default/llama-0", slots=("host-0-0", "host-0-1", "host-0-2", "host-0-3"), ...)

Amounts are integers in scheduler units (`lws_sched.api.quantity`); `shape_of` makes a `PodShape` of a pod's spec.

- snapshot: `Fleet.set_node`, `remove_node`, `charge`, `release`, then `snapshot()`: an immutable value, independent of
  the order of those events. Taking one after a few events, and searching it, costs time in proportion to these events
  and not to the fleet, as far as the same pod shapes were asked about before.
- request: `GroupRequest`. What must hold: `required`, `exclusive`, `subgroup_required`, `subgroup_exclusive`. What is
  wished for, in this order: `stay`, `spread`, `preferred`; then the tightest of the domains that members must share and
  the narrowest part of it, or, where they need not share any, the narrowest domain and of those the tightest.
- plan: `plan(snapshot, requests, budget)`, or `plan_together` for the value and bound of the whole batch. One group is
  decided by a closed form; with no deterministic time in the budget a batch is too, greedily.
- explain: `diagnose(snapshot, request)` for a refused request, with what the fix consists of.
- what could be done about it: `defragment`, `preempt`, `replace_lost`.
- `load_solver` reads the solver's libraries in before the first question needs them.
- `violations` checks a placement independently of all that; `plan` does so before it answers, and raises
  AssertionError where a placement is wrong. What a user got wrong is never raised: it is a refusal with a sentence.

A module is imported when a name of it is first asked for: who only wants to say what a node or a request is loads no
search, and no numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lws_sched.placement.batch import BatchAnswer, plan_together
    from lws_sched.placement.check import violations
    from lws_sched.placement.defragmentation import Defragmentation, defragment
    from lws_sched.placement.explain import Diagnosis, diagnose
    from lws_sched.placement.fleet import Fleet
    from lws_sched.placement.node import NodeFacts, NodeState, Taint, Tenant
    from lws_sched.placement.planning import plan
    from lws_sched.placement.preemption import Eviction, preempt
    from lws_sched.placement.relocation import Movable, Move
    from lws_sched.placement.replacement import Replacement, replace_lost
    from lws_sched.placement.request import (
        Amounts,
        Budget,
        Decision,
        GroupRequest,
        Placed,
        PodShape,
        Refused,
        Requirement,
        Toleration,
    )
    from lws_sched.placement.room import intruder
    from lws_sched.placement.shape import pod_requests, shape_of
    from lws_sched.placement.snapshot import Snapshot
    from lws_sched.placement.solver import load_solver
    from lws_sched.placement.topology import LEVELS, Level, UnknownLevel, levels_on, resolve
    from lws_sched.placement.torus import fit_box, pack_boxes, preempt_box
    from lws_sched.placement.torus_grid import BoxRequest, Torus
    from lws_sched.placement.victims import Cost, Victim

__all__ = [
    "Amounts",
    "BatchAnswer",
    "BoxRequest",
    "Budget",
    "Cost",
    "Decision",
    "Defragmentation",
    "Diagnosis",
    "Eviction",
    "Fleet",
    "GroupRequest",
    "LEVELS",
    "Level",
    "Movable",
    "Move",
    "NodeFacts",
    "NodeState",
    "Placed",
    "PodShape",
    "Refused",
    "Replacement",
    "Requirement",
    "Snapshot",
    "Taint",
    "Tenant",
    "Toleration",
    "Torus",
    "UnknownLevel",
    "Victim",
    "defragment",
    "diagnose",
    "fit_box",
    "intruder",
    "levels_on",
    "load_solver",
    "pack_boxes",
    "pod_requests",
    "plan",
    "plan_together",
    "preempt",
    "preempt_box",
    "replace_lost",
    "resolve",
    "shape_of",
    "violations",
]

_HOMES = {
    "batch": "BatchAnswer plan_together",
    "check": "violations",
    "defragmentation": "Defragmentation defragment",
    "explain": "Diagnosis diagnose",
    "fleet": "Fleet",
    "node": "NodeFacts NodeState Taint Tenant",
    "planning": "plan",
    "preemption": "Eviction preempt",
    "relocation": "Movable Move",
    "replacement": "Replacement replace_lost",
    "request": "Amounts Budget Decision GroupRequest Placed PodShape Refused Requirement Toleration",
    "room": "intruder",
    "shape": "pod_requests shape_of",
    "snapshot": "Snapshot",
    "solver": "load_solver",
    "topology": "LEVELS Level UnknownLevel levels_on resolve",
    "torus": "fit_box pack_boxes preempt_box",
    "torus_grid": "BoxRequest Torus",
    "victims": "Cost Victim",
}
"""The names by the module that defines them. No module may be called like one of them: it would stand in its place."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

if not TYPE_CHECKING:  # else any name would be right

    def __getattr__(name: str) -> Any:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__} has no attribute {name}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
        return found
