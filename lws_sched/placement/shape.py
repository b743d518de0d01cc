"""From a pod's spec to what placement needs of it, by kube-scheduler's own rules.

Requests follow the scheduler's resource helper: containers and sidecars (init containers that restart Always) run
together and add up; an ordinary init container runs beside the sidecars started before it; the larger of the two
counts, plus the overhead. A request that is missing defaults to the limit.
"""

from __future__ import annotations

from collections.abc import Iterable

from lws_sched.api.core import Container, NodeSelectorRequirement, NodeSelectorTerm, PodSpec
from lws_sched.api.quantity import MOST, Resources, amounts
from lws_sched.placement.node import PODS
from lws_sched.placement.request import PodShape, Requirement, Toleration


def pod_requests(spec: PodSpec) -> Resources:
    """What the pod takes from a node, in scheduler units, zero amounts left out and `pods` not counted; MOST at most.

    Raises InvalidQuantity for an amount that is not a quantity.
    """
    running = _sum(_container(each) for each in spec.containers)
    sidecars: Resources = {}
    starting: Resources = {}
    for container in spec.init_containers:
        wanted = _container(container)
        if container.restart_policy == "Always":
            running = _sum((running, wanted))
            sidecars = wanted = _sum((sidecars, wanted))
        else:
            wanted = _sum((wanted, sidecars))
        starting = _most(starting, wanted)
    total = _sum((_most(running, starting), amounts(spec.overhead)))
    return {
        resource: min(amount, MOST) for resource, amount in sorted(total.items()) if amount > 0 and resource != PODS
    }


def shape_of(spec: PodSpec) -> PodShape:
    """The pod as placement sees it. Raises InvalidQuantity for an amount that is not a quantity."""
    affinity = spec.affinity.node_affinity if spec.affinity else None
    required = affinity.required if affinity else None
    return PodShape(
        requests=tuple(sorted(pod_requests(spec).items())),
        selector=tuple(sorted(spec.node_selector.items())),
        terms=tuple(_term(each) for each in required.node_selector_terms) if required else (),
        tolerations=tuple(
            Toleration(key=each.key, operator=each.operator or "Equal", value=each.value, effect=each.effect)
            for each in spec.tolerations
        ),
    )


def _container(container: Container) -> Resources:
    return amounts({**container.resources.limits, **container.resources.requests})


def _sum(parts: Iterable[Resources]) -> Resources:
    total: Resources = {}
    for part in parts:
        for resource, amount in part.items():
            total[resource] = total.get(resource, 0) + amount
    return total


def _most(first: Resources, second: Resources) -> Resources:
    return {each: max(first.get(each, 0), second.get(each, 0)) for each in first.keys() | second.keys()}


def _term(term: NodeSelectorTerm) -> tuple[Requirement, ...]:
    return (
        *(_requirement(each, field=False) for each in term.match_expressions),
        *(_requirement(each, field=True) for each in term.match_fields),
    )


def _requirement(wanted: NodeSelectorRequirement, field: bool) -> Requirement:
    return Requirement(key=wanted.key, operator=wanted.operator, values=wanted.values, field=field)
