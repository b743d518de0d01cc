"""The engine against the oracle, instance by instance: whether a group fits, and how well it is placed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from lws_sched.placement import Fleet, Placed, plan
from tests.oracle.brute_force import fits, wrongs
from tests.oracle.instances import Instance, instance
from tests.oracle.wishes import WISHES, unmet


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


def run_wishes(instances: int, seed: int) -> dict[str, tuple[int, int]]:
    """Of the placements: per wish, how many could be judged by it, and how many left it unmet."""
    found = dict.fromkeys(WISHES, (0, 0))
    for each in drawn(instances, seed):
        decision = plan(fleet_of(each).snapshot(), [each.group])[0]
        for wish, is_unmet in unmet(each, decision.slots).items() if isinstance(decision, Placed) else ():
            asked, missed = found[wish]
            found[wish] = (asked + 1, missed + is_unmet)
    return found


def drawn(instances: int, seed: int) -> Iterator[Instance]:
    random = Random(seed)
    for _ in range(instances):
        yield instance(random)


def fleet_of(each: Instance) -> Fleet:
    fleet = Fleet(each.levels)
    for node in each.nodes:
        fleet.set_node(node)
    for number, pod in enumerate(each.standing):
        fleet.charge(f"pod-{number}", pod.node, pod.requests, pod.tenant)
    return fleet
