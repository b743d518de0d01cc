"""The engine against the oracle, instance by instance."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from lws_sched.placement import Fleet, Placed, plan
from tests.oracle.brute_force import fits, wrongs
from tests.oracle.instances import Instance, instance


def run(instances: int, seed: int) -> dict[str, int]:
    """How many instances there were, how many groups that fit were refused, and how many placements were wrong.

    A group that the engine leaves undecided counts as refused.
    """
    refused = misfits = 0
    for each in drawn(instances, seed):
        decision = plan(fleet_of(each).snapshot(), [each.group])[0]
        if isinstance(decision, Placed):
            misfits += bool(wrongs(each, decision.slots))
        else:
            refused += fits(each)
    return {"instances": instances, "refused_but_fit": refused, "misfits": misfits}


def drawn(instances: int, seed: int) -> Iterator[Instance]:
    random = Random(seed)
    for _ in range(instances):
        yield instance(random)


def fleet_of(each: Instance) -> Fleet:
    fleet = Fleet()
    for node in each.nodes:
        fleet.set_node(node)
    for number, pod in enumerate(each.standing):
        fleet.charge(f"pod-{number}", pod.node, pod.requests, pod.tenant)
    return fleet
