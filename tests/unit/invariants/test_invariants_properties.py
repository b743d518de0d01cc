"""Random histories: whatever a correct product may do breaks nothing, and one thing done wrong is found."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.invariants.check import check
from tests.invariants.objects import LWS
from tests.invariants.story import DEVICE, RACK, Story

Line = dict[str, Any]
Life = Iterator[None]
HOSTS = 4
seeds = st.integers(min_value=0, max_value=2**32 - 1)


def history(seed: int) -> list[Line]:
    """The log of a small cluster where everything goes by the rules, told in the order in which watches might."""
    chance = random.Random(seed)
    story = Story()
    racks = [f"r{number}" for number in range(4)]
    for rack in racks:
        for host in range(HOSTS):
            story.node(f"{rack}-{host}", rack)
    story.set("own", exclusive=RACK)
    story.set("shared", required=RACK)
    lives = [group(story, chance, f"own-{index}", rack, 8) for index, rack in enumerate(racks[:2])]
    lives += [group(story, chance, f"shared-{index}", racks[2], 4) for index in range(2)]
    lives += [stranger(story, chance, f"stranger-{index}", f"{racks[3]}-{index}") for index in range(HOSTS)]
    while lives:
        life = chance.choice(lives)
        if next(life, "over") == "over":
            lives.remove(life)
    return as_watched(story.lines, chance)


def group(story: Story, chance: random.Random, leader: str, rack: str, devices: int) -> Life:
    size = chance.randint(2, HOSTS)
    slots = [f"{rack}-{host}" for host in chance.sample(range(HOSTS), size)]
    members = [leader, *(f"{leader}-{index}" for index in range(1, size))]
    story.record(leader, "Waiting")
    for _ in range(chance.randint(1, 3)):
        yield
        story.record(leader, "Reserved", slots, devices=devices)
        yield from bring_up(story, chance, leader, members, slots, devices)
        if chance.random() < 0.5:
            yield from replace_worker(story, chance, leader, members, slots, devices)
        story.record(leader, "Sticky", slots, devices=devices)
        for name in chance.sample(members, size):
            yield
            story.delete(name)
    story.delete_record(leader)


def bring_up(
    story: Story, chance: random.Random, leader: str, members: list[str], slots: list[str], devices: int
) -> Life:
    for name in members:
        yield
        story.member(name, leader, devices, gated=chance.random() < 0.3)
        if story.lines[-1]["object"]["spec"].get("schedulingGates"):
            yield
            story.lift_gate(name)
    yield
    uids = {name: story.uid(name) for name in members}
    story.record(leader, "Committed", slots, uids, devices, leaderUID=uids[leader])
    for name, node in chance.sample([*zip(members, slots, strict=True)], len(members)):
        yield
        story.bind(name, node)
    yield
    story.record(leader, "Bound", slots, uids, devices, leaderUID=uids[leader])


def replace_worker(
    story: Story, chance: random.Random, leader: str, members: list[str], slots: list[str], devices: int
) -> Life:
    lost = chance.randrange(1, len(members))
    story.leave(members[lost])
    yield
    story.delete(members[lost])
    yield
    story.member(members[lost], leader, devices)
    yield
    uids = {name: story.uid(name) for name in members}
    story.record(leader, "Bound", slots, uids, devices, leaderUID=uids[leader])
    yield
    story.bind(members[lost], slots[lost])


def stranger(story: Story, chance: random.Random, name: str, node: str) -> Life:
    for _ in range(chance.randint(1, 4)):
        story.stranger(name, devices=str(chance.randint(0, 8)), cpu=str(chance.randint(0, 64)))
        yield
        story.bind(name, node)
        yield
        if chance.random() < 0.5:
            story.end(name)
        story.delete(name)


def as_watched(lines: list[Line], chance: random.Random) -> list[Line]:
    """The same events as they may arrive: in order within each kind, in any order between kinds."""
    kinds: dict[str, list[Line]] = {}
    for line in reversed(lines):
        kinds.setdefault(line["object"]["kind"], []).append(line)
    arrived = []
    while kinds:
        kind = chance.choice(sorted(kinds))
        arrived.append(kinds[kind].pop())
        if not kinds[kind]:
            del kinds[kind]
    return arrived


# --- one thing done wrong --------------------------------------------------------------------------------------------


def rv_of(line: Line) -> int:
    return int(line["object"]["metadata"]["resourceVersion"])


def bindings(lines: list[Line]) -> list[Line]:
    """The version of each member that is the first with a node."""
    first: dict[str, Line] = {}
    for line in sorted(lines, key=rv_of):
        obj = line["object"]
        if obj["kind"] == "Pod" and LWS + "name" in obj["metadata"]["labels"] and obj["spec"].get("nodeName"):
            first.setdefault(obj["metadata"]["uid"], line)
    return list(first.values())


def versions_from(lines: list[Line], start: Line) -> list[Line]:
    """That version of a pod and all later ones."""
    uid = start["object"]["metadata"]["uid"]
    return [each for each in lines if each["object"]["metadata"].get("uid") == uid and rv_of(each) >= rv_of(start)]


def holding(lines: list[Line]) -> list[Line]:
    """Versions of records that hold slots."""
    return [each for each in lines if each["type"] != "DELETED" and each["object"].get("status", {}).get("slots")]


def uncommitted(lines: list[Line], chance: random.Random) -> list[Line]:
    """A member is bound that its record never listed."""
    pod = chance.choice(bindings(lines))["object"]["metadata"]
    for line in lines:
        committed = line["object"].get("status", {}).get("committed", {})
        if committed.get(pod["name"]) == pod["uid"]:
            del committed[pod["name"]]
    return lines


def bound_early(lines: list[Line], chance: random.Random) -> list[Line]:
    """A member's binding is written before the record that commits it."""
    bound = chance.choice(bindings(lines))
    pod = bound["object"]["metadata"]
    listing = [
        each for each in lines if each["object"].get("status", {}).get("committed", {}).get(pod["name"]) == pod["uid"]
    ]
    commit = min(listing, key=rv_of)
    # Later versions of both keep their place: only the two writes are exchanged.
    pod["resourceVersion"], commit["object"]["metadata"]["resourceVersion"] = str(rv_of(commit)), str(rv_of(bound))
    return lines


def half_bound(lines: list[Line], chance: random.Random) -> list[Line]:
    """A member is never bound, and nobody takes the group away."""
    bound = chance.choice(bindings(lines))
    stop = rv_of(bound)
    kept = [each for each in lines if rv_of(each) < stop]
    end = copy.deepcopy(next(each for each in kept if each["object"]["kind"] == "Node"))
    end["object"]["metadata"]["resourceVersion"] = str(stop + 10_000)
    return [*kept, {**end, "t": end["t"] + 3600}]


def elsewhere(lines: list[Line], chance: random.Random) -> list[Line]:
    """A member is bound in a rack where the rest of its group is not."""
    bound = chance.choice(bindings(lines))
    for line in versions_from(lines, bound):
        line["object"]["spec"]["nodeName"] = "r3-0"
    return lines


def too_large(lines: list[Line], chance: random.Random) -> list[Line]:
    """A bound pod takes more than its node has."""
    bound = chance.choice(bindings(lines))
    for line in versions_from(lines, bound):
        line["object"]["spec"]["containers"][0]["resources"]["requests"][DEVICE] = "9"
    return lines


def intruder(lines: list[Line], chance: random.Random) -> list[Line]:
    """A pod of no group is bound into a held slot."""
    held = chance.choice(holding(lines))
    story = Story()
    story.stranger("intruder", devices="8")
    story.bind("intruder", chance.choice(held["object"]["status"]["slots"]))
    line = story.lines[-1]
    # Between two resourceVersions: the checker orders by integers, so the others make room.
    for each in lines:
        each["object"]["metadata"]["resourceVersion"] = str(rv_of(each) * 2)
    line["object"]["metadata"]["resourceVersion"] = str(rv_of(held) + 1)
    return [*lines, line]


def second_owner(lines: list[Line], chance: random.Random) -> list[Line]:
    """A second record holds the slot of a member."""
    held = chance.choice(holding(lines))
    for each in lines:
        each["object"]["metadata"]["resourceVersion"] = str(rv_of(each) * 2)
    rival = copy.deepcopy(held)
    rival["object"]["metadata"]["name"] += "-1"
    rival["object"]["metadata"]["resourceVersion"] = str(rv_of(held) + 1)
    rival["object"]["status"] |= {"state": "Reserved", "slots": ["r3-0"], "committed": {}}
    rival["object"]["spec"]["leader"]["requests"] = {}
    return [*lines, rival]


def gated(lines: list[Line], chance: random.Random) -> list[Line]:
    """A pod is bound behind its gate."""
    bound = chance.choice(bindings(lines))
    bound["object"]["spec"]["schedulingGates"] = [{"name": "any"}]
    return lines


MUTATIONS: list[tuple[str, Callable[[list[Line], random.Random], list[Line]]]] = [
    ("I1", uncommitted),
    ("I1", bound_early),
    ("I2", half_bound),
    ("I3", elsewhere),
    ("I4", too_large),
    ("I4", intruder),
    ("I5", second_owner),
    ("I9", gated),
]


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_a_history_that_keeps_the_rules_breaks_none(seed: int) -> None:
    report = check(history(seed))
    assert report.violations == ()
    assert report.bindings >= 8
    assert report.conclusive


@pytest.mark.parametrize(("invariant", "mutate"), MUTATIONS, ids=[each[1].__name__ for each in MUTATIONS])
@given(seeds)
@settings(max_examples=25, deadline=None)
def test_one_thing_done_wrong_is_found(
    invariant: str, mutate: Callable[[list[Line], random.Random], list[Line]], seed: int
) -> None:
    wrong = mutate(history(seed), random.Random(seed))
    assert invariant in {each.invariant for each in check(wrong).violations}


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_the_order_of_arrival_between_kinds_changes_nothing(seed: int) -> None:
    lines = intruder(history(seed), random.Random(seed))
    said = [(each.invariant, each.sentence) for each in check(lines).violations]
    again = [(each.invariant, each.sentence) for each in check(as_watched(lines, random.Random(seed + 1))).violations]
    assert said == again
