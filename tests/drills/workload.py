"""What a drill starts from, drawn from its seed: racks of hosts, sets of groups that nearly fill them, other pods."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from random import Random

from tests.scenarios.manifests import ACCELERATOR, OUR_SCHEDULER, PER_HOST, Body, LeaderWorkerSet, lws, pod

FOREIGN_GATE = "example.com/queue"
HIGH_SHARE = 0.15
"""Of sets and rivals: those that others may be evicted for."""
LARGE_CPU = "60"
"""More than half of a host's CPUs: a pod that wants no accelerator and is in the way all the same."""


@dataclass(frozen=True)
class Racks:
    count: int
    hosts: int
    groups: tuple[int, int] = (1, 3)
    """How many groups a set of the drill has."""
    sets: tuple[int, int] = (1, 3)
    """How many sets there are at first."""


def draw_racks(rng: Random) -> Racks:
    return Racks(rng.randint(2, 4), rng.randint(2, 5))


def draw_many_racks(rng: Random) -> Racks:
    """For drills whose time is real: as much as may go wrong at once."""
    return Racks(rng.randint(14, 20), rng.randint(2, 4), groups=(4, 10), sets=(4, 6))


def draw_set(rng: Random, name: str, racks: Racks, high: str) -> LeaderWorkerSet:
    """Groups that may fit the racks; a few never do. `high` is a PriorityClass."""
    hosts = racks.hosts
    size = rng.choice((1, *range(2, hosts + 1), *range(2, hosts + 1), hosts + 1))
    manifest = lws(name, replicas=rng.randint(*racks.groups), size=size)
    topology = rng.random()
    if topology < 0.4:
        manifest = manifest.exclusive()
    elif topology < 0.8:
        manifest = manifest.required()
    manifest = manifest.accelerators(rng.choice((PER_HOST, PER_HOST, PER_HOST, PER_HOST // 2)))
    if rng.random() < 0.25:
        manifest = manifest.leader(accelerators=rng.choice((0, PER_HOST // 2)))
    if rng.random() < 0.3:
        manifest = manifest.leader_ready()
    manifest = manifest.restart_policy(rng.choice(("RecreateGroupOnPodRestart", "RecreateGroupOnPodRestart", "None")))
    if rng.random() < 0.3:
        manifest = manifest.asking_also(cpu="40")
    if rng.random() < HIGH_SHARE:
        manifest = manifest.priority(high)
    return manifest.gated_by(FOREIGN_GATE) if rng.random() < 0.1 else manifest


def rival(rng: Random, name: str, high: str) -> Body:
    """A pod of the default profile that wants what groups want."""
    priority = high if rng.random() < HIGH_SHARE else ""
    if rng.random() < 0.2:
        other = pod(name)
        resources = {"cpu": LARGE_CPU}
        other["spec"]["containers"][0]["resources"] = {"requests": resources, "limits": resources}
        return other
    return pod(name, accelerators=rng.choice((PER_HOST, PER_HOST // 2)), priority=priority)


def forged(rng: Random, victim: Body, number: int) -> Body:
    """A pod that carries a member's labels and is none: by its name, or by nobody having made it."""
    meta = copy.deepcopy(victim["metadata"])
    name = rng.choice((meta["name"], f"forged-{number}", f"{meta['name']}-{number}"))
    scheduler = rng.choice((OUR_SCHEDULER, "", OUR_SCHEDULER))
    body = pod(name, accelerators=PER_HOST, scheduler=scheduler)
    body["metadata"] |= {"labels": meta["labels"], "annotations": meta.get("annotations", {})}
    return body


__all__ = ["ACCELERATOR", "FOREIGN_GATE", "Racks", "draw_many_racks", "draw_racks", "draw_set", "forged", "rival"]
