"""What watchers are told, whatever happens between the list and the watch, and what becomes of slow ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from lws_sched.api.meta import Meta
from lws_sched.api.placement import GroupPlacement, GroupPlacementSpec
from lws_sched.kube.port import Change, Informer
from lws_sched.service import placement_pb2 as pb
from lws_sched.service.refusal import Refusal
from lws_sched.service.watching import MOST_UNTOLD, WATCHERS, Hub


class Placements:
    """An informer that a test feeds."""

    def __init__(self, *there: GroupPlacement) -> None:
        self.there = list(there)
        self.tell: Callable[[Change[GroupPlacement]], None] = lambda _: None
        self.before_listing: Callable[[], None] = lambda: None

    def subscribe(self, handler: Callable[[Change[GroupPlacement]], None]) -> None:
        self.tell = handler

    def objects(self) -> list[GroupPlacement]:
        self.before_listing()
        return [*self.there]


def record(name: str, version: int) -> GroupPlacement:
    meta = Meta(namespace="team", name=name, resource_version=str(version))
    return GroupPlacement(metadata=meta, spec=GroupPlacementSpec(leader_worker_set="llama"))


def hub(placements: Placements) -> Hub:
    return Hub(cast("Informer[GroupPlacement]", placements))


def anything(_: GroupPlacement) -> bool:
    return True


def told(events: Any, count: int) -> list[tuple[str, str, str]]:
    found = [next(events) for _ in range(count)]
    return [
        (pb.PlacementEvent.Type.Name(each.type), each.placement.name, each.placement.resource_version) for each in found
    ]


def test_what_changes_while_the_list_is_made_is_not_told_backwards() -> None:
    old, new = record("a", 5), record("a", 7)
    placements = Placements(new)
    gone = record("b", 6)
    found = hub(placements)

    def meanwhile() -> None:
        placements.tell(Change(None, old))
        placements.tell(Change(old, new))
        placements.tell(Change(gone, None))

    placements.before_listing = meanwhile
    events = found.watch(anything, lambda: None).events(lambda: 5.0)
    placements.tell(Change(new, record("a", 9)))
    placements.tell(Change(record("a", 9), None))

    assert told(events, 4) == [
        ("LISTED", "a", "7"),
        ("COMPLETE", "", ""),
        ("CHANGED", "a", "9"),
        ("GONE", "a", "9"),
    ]


def test_one_that_takes_nothing_is_ended_and_the_others_go_on() -> None:
    placements = Placements()
    found, overruns = hub(placements), []
    slow = found.watch(anything, lambda: overruns.append("slow")).events(lambda: 5.0)
    quick = found.watch(anything, lambda: overruns.append("quick")).events(lambda: 5.0)
    assert told(slow, 1) == told(quick, 1) == [("COMPLETE", "", "")]

    for version in range(1, MOST_UNTOLD + 10):
        placements.tell(Change(None, record("a", version)))
        assert told(quick, 1) == [("CHANGED", "a", str(version))]

    assert overruns == ["slow"]
    with pytest.raises(Refusal, match="1000 changes were not taken in time: watch again") as raised:
        next(slow)
    assert raised.value.code == "RESOURCE_EXHAUSTED"


def test_a_watch_ends_when_its_time_is_over() -> None:
    events = hub(Placements()).watch(anything, lambda: None).events(lambda: 0.0)

    assert told(events, 1) == [("COMPLETE", "", "")]
    assert list(events) == []


def test_a_hub_that_stops_ends_all_watches_and_begins_no_other() -> None:
    found = hub(Placements())
    events = found.watch(anything, lambda: None).events(lambda: 5.0)
    told(events, 1)
    found.stop()

    with pytest.raises(Refusal) as raised:
        next(events)
    assert raised.value.code == "UNAVAILABLE"
    with pytest.raises(Refusal):
        found.watch(anything, lambda: None)


def test_there_are_so_many_watches_and_one_that_was_left_makes_room() -> None:
    found = hub(Placements())
    watches = [found.watch(anything, lambda: None) for _ in range(WATCHERS)]
    with pytest.raises(Refusal) as raised:
        found.watch(anything, lambda: None)
    assert raised.value.code == "RESOURCE_EXHAUSTED"

    found.leave(watches[0])
    found.watch(anything, lambda: None)
