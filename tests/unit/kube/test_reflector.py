from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from lws_sched.api.core import POD, Pod
from lws_sched.kube.errors import Gone, NotFound, Unavailable
from lws_sched.kube.informer import LONGEST_WAIT, PATIENCE, Informer, Reflector
from lws_sched.kube.port import Change
from lws_sched.kube.store import Listing, WatchEvent
from tests.unit.kube.builders import HeldClock, pod

Step = WatchEvent[Pod] | Exception | float
"""What a scripted watch does next: tell, break, or be silent for some seconds."""


class ScriptedWatch:
    def __init__(self, steps: list[Step], clock: HeldClock) -> None:
        self._steps, self._clock = steps, clock

    def __iter__(self) -> Iterator[WatchEvent[Any]]:
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                self._clock.time += step
            else:
                yield step

    def stop(self) -> None:
        return


class ScriptedSource:
    """Answers lists and watches in the order given, then refuses; keeps what was asked."""

    def __init__(self, clock: HeldClock, lists: list[Listing[Pod] | Exception], watches: list[list[Step]]) -> None:
        self._clock, self._lists, self._watches = clock, lists, watches
        self.asked: list[str | int] = []

    def listing(self, kind: Any, namespace: str = "", labels: str = "") -> Listing[Any]:
        assert (kind, namespace, labels) == (POD, "", "a=b")
        self.asked.append("list")
        answer = self._lists.pop(0) if self._lists else Unavailable("refused")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def watch(self, kind: Any, version: int, labels: str = "") -> ScriptedWatch:
        assert (kind, labels) == (POD, "a=b")
        self.asked.append(version)
        return ScriptedWatch(self._watches.pop(0) if self._watches else [Unavailable("refused")], self._clock)


class Bench:
    """A reflector whose waits are counted instead of waited; it is stopped after `rounds` waits."""

    def __init__(
        self,
        *,
        lists: list[Listing[Pod] | Exception],
        watches: list[list[Step]] | None = None,
        rounds: int = 1,
        then: Callable[[], None] | None = None,
    ) -> None:
        self.clock = HeldClock()
        self.source = ScriptedSource(self.clock, lists, watches or [])
        self.informer = Informer(POD, "a=b")
        self.waits: list[float] = []
        self.rounds = rounds
        self.reflector = Reflector(self.source, self.informer, self.clock, Random(1), self.wait)

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.clock.time += seconds
        return len(self.waits) >= self.rounds

    def run(self) -> Bench:
        self.reflector.run()
        return self

    def names(self) -> list[str]:
        return sorted(obj.metadata.name for obj in self.informer.objects())


def added(name: str, version: int) -> WatchEvent[Pod]:
    return WatchEvent("ADDED", version, pod(name, version))


def deleted(name: str, version: int) -> WatchEvent[Pod]:
    return WatchEvent("DELETED", version, pod(name, version))


def bookmark(version: int) -> WatchEvent[Pod]:
    return WatchEvent("BOOKMARK", version)


def test_a_list_is_followed_by_a_watch_from_its_version() -> None:
    bench = Bench(lists=[Listing([pod("a", 3)], 7)], watches=[[added("b", 8), deleted("a", 9)]]).run()
    assert bench.source.asked == ["list", 7]
    assert bench.names() == ["b"]
    assert bench.reflector.synced.is_set()


def test_a_watch_goes_on_from_the_last_event_or_bookmark() -> None:
    watches: list[list[Step]] = [
        [added("b", 8), 300.0],
        [bookmark(20), 300.0],
        [10.0, Unavailable("reset")],
        [added("c", 21)],
    ]
    bench = Bench(lists=[Listing([], 7)], watches=watches, rounds=2).run()
    assert bench.source.asked == ["list", 7, 8, 20, 20]
    assert bench.names() == ["b", "c"]


def test_history_that_is_gone_is_listed_again() -> None:
    bench = Bench(
        lists=[Listing([pod("a", 3)], 7), Listing([pod("b", 30)], 40)],
        watches=[[300.0, Gone("too old resource version")], [added("c", 41)]],
        rounds=2,
    ).run()
    assert bench.source.asked == ["list", 7, "list", 40]
    assert bench.names() == ["b", "c"]


def test_a_refusing_server_is_asked_ever_more_rarely() -> None:
    bench = Bench(lists=[], rounds=12).run()
    assert len(bench.source.asked) == 12
    assert all(wait >= LONGEST_WAIT / 2 for wait in bench.waits[6:])
    assert max(bench.waits) <= LONGEST_WAIT
    assert not bench.reflector.synced.is_set()


def test_a_server_that_ends_every_watch_at_once_is_asked_ever_more_rarely() -> None:
    bench = Bench(lists=[Listing([], 7)], watches=[[] for _ in range(12)], rounds=12).run()
    assert bench.source.asked == ["list"] + [7] * 12
    assert sum(bench.waits) > 50


def test_history_that_is_gone_every_time_is_not_listed_in_a_tight_loop() -> None:
    bench = Bench(
        lists=[Listing([], 7)] * 12,
        watches=[[Gone("too old resource version")] for _ in range(12)],
        rounds=12,
    ).run()
    assert bench.source.asked == ["list", 7] * 12
    assert sum(bench.waits) > 50


def test_the_first_list_after_an_outage_does_not_wait_long() -> None:
    refused: list[Step] = [Unavailable("refused")]
    watches: list[list[Step]] = [refused, refused, refused, refused, [Gone("too old resource version")], [300.0]]
    bench = Bench(lists=[Listing([], 7), Listing([], 9)], watches=watches, rounds=6).run()
    assert bench.source.asked == ["list", 7, 7, 7, 7, 7, "list", 9, 9]
    assert bench.waits[4] <= 0.5


def test_a_watch_that_lived_makes_the_next_wait_short_again() -> None:
    broken: list[Step] = [Unavailable("reset")]
    watches: list[list[Step]] = [broken, broken, broken, [added("a", 8), 60.0, Unavailable("reset")]]
    bench = Bench(lists=[Listing([], 7)], watches=watches, rounds=4).run()
    assert bench.waits[3] < bench.waits[2]
    assert bench.waits[3] <= 0.5


def test_watches_that_keep_failing_end_in_a_new_list() -> None:
    bench = Bench(lists=[Listing([], 7), Listing([pod("a", 8)], 9)], rounds=PATIENCE + 1).run()
    assert bench.source.asked == ["list"] + [7] * PATIENCE + ["list", 9]


def test_a_watch_in_complete_silence_ends_in_a_new_list_even_of_an_older_cluster() -> None:
    bench = Bench(
        lists=[Listing([pod("a", 90), pod("b", 91)], 100), Listing([pod("a", 40)], 50)],
        watches=[[90.0, Unavailable("read timed out")], [added("c", 51)]],
        rounds=2,
    ).run()
    assert bench.source.asked == ["list", 100, "list", 50]
    assert bench.names() == ["a", "c"]
    assert bench.informer.get("ns", "a") == pod("a", 40)


def test_a_kind_that_is_not_served_yet_is_asked_for_again() -> None:
    missing = NotFound("404 page not found")
    bench = Bench(lists=[missing, missing, Listing([pod("a", 1)], 2)], watches=[[]], rounds=3).run()
    assert bench.names() == ["a"]


def test_a_handler_that_fails_does_not_keep_the_others_from_being_called() -> None:
    bench = Bench(lists=[Listing([pod("a", 1)], 2)])
    seen: list[Change[Pod]] = []

    def fails(change: Change[Pod]) -> None:
        raise RuntimeError(change)

    bench.informer.subscribe(fails)
    bench.informer.subscribe(seen.append)
    bench.run()
    assert seen == [Change(None, pod("a", 1))]


def test_a_stopped_reflector_does_nothing() -> None:
    bench = Bench(lists=[Listing([], 1)])
    bench.reflector.stop()
    assert bench.run().source.asked == []
