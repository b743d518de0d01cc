"""Components in the world: their runtime, their faults, time, and the log."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.admission.hook import Hook, Verdict
from lws_sched.api.core import EVENT, POD, SERVICE, STATEFUL_SET, Service
from lws_sched.api.meta import key_of
from lws_sched.kube.errors import Conflict, LostLease, Unavailable
from lws_sched.kube.port import Change, Runtime
from lws_sched.sim.faults import Crash, Faults, Refusal
from lws_sched.sim.manifests import rack_nodes
from lws_sched.sim.objects import Json
from lws_sched.sim.world import NotReached, World
from tests.unit.sim.builders import NAMESPACE, node, pod, stateful_set


def service(name: str, **labels: str) -> Json:
    return SERVICE.body({"name": name, "namespace": NAMESPACE, "labels": labels})


@dataclass
class Copier:
    """A component: for each service `x` that has no copy it makes one, `x-copy`."""

    runtime: Runtime
    changes: list[str] = field(default_factory=list)
    runs: list[tuple[float, str]] = field(default_factory=list)
    hooks: tuple[Hook, ...] = ()

    def __post_init__(self) -> None:
        self.services = self.runtime.informer(SERVICE, indexes={"by-copy": lambda each: (copy_of(each),)})
        self.queue = self.runtime.queue("copies", self.reconcile)
        self.services.subscribe(self.changed)

    def changed(self, change: Change[Service]) -> None:
        kind = "added" if change.old is None else "deleted" if change.new is None else "changed"
        self.changes.append(f"{kind} {change.latest.metadata.name}")
        self.queue.add(key_of(change.latest))

    def reconcile(self, key: str) -> float | None:
        self.runs.append((self.runtime.clock.monotonic(), key))
        name = key.partition("/")[2]
        original = self.services.get(NAMESPACE, name)
        if original is None or name.endswith("-copy") or self.services.get(NAMESPACE, f"{name}-copy"):
            return None
        self.services.learn(self.runtime.cluster.create(SERVICE, service(f"{name}-copy")))
        return None


def copy_of(each: Service) -> str:
    return each.metadata.name.removesuffix("-copy")


def copied_world(faults: Faults | None = None, *names: str) -> tuple[World, Copier]:
    world = World()
    copier = world.start("copier", Copier, faults=faults or Faults())
    world.settle()
    for name in names:
        world.server.create(SERVICE, service(name))
    world.settle()
    return world, world.app("copier") or copier


def services(world: World) -> list[str]:
    return [each.body["metadata"]["name"] for each in world.server.list(SERVICE)]


# --- the runtime -----------------------------------------------------------------------------------------------------


def test_a_component_sees_what_is_there_and_what_comes_and_acts_on_it() -> None:
    world = World()
    world.server.create(SERVICE, service("a"))
    copier = world.start("copier", Copier)
    assert copier.changes == []
    world.settle()
    world.server.create(SERVICE, service("b"))
    world.server.delete(SERVICE, NAMESPACE, "a")
    world.settle()
    assert services(world) == ["a-copy", "b", "b-copy"]
    assert [each for each in copier.changes if "copy" not in each] == ["added a", "added b", "deleted a"]
    assert [each.metadata.name for each in copier.services.by_index("by-copy", "b")] == ["b", "b-copy"]


def test_what_a_writer_learnt_is_told_once() -> None:
    _, copier = copied_world(None, "a")
    assert copier.changes == ["added a", "added a-copy"]


def test_an_informer_with_a_selector_sees_objects_come_and_go_as_their_labels_change() -> None:
    world = World()
    seen: list[str] = []

    def build(runtime: Runtime) -> None:
        informer = runtime.informer(SERVICE, labels="app=x")
        informer.subscribe(lambda change: seen.append("gone" if change.new is None else change.new.metadata.name))

    world.start("watcher", build)
    world.server.create(SERVICE, service("a", app="y"))
    world.settle()
    for value in ("x", "y", "x"):
        world.server.merge(SERVICE, NAMESPACE, "a", {"metadata": {"labels": {"app": value}}})
        world.settle()
    assert seen == ["a", "gone", "a"]


def test_no_queue_runs_before_every_informer_has_its_list() -> None:
    world = World()
    world.server.create(SERVICE, service("a"))
    order: list[str] = []

    def build(runtime: Runtime) -> None:
        def reconcile(key: str) -> None:
            order.append(key)

        pods, found = runtime.informer(POD), runtime.informer(SERVICE)
        found.subscribe(lambda _: order.append("list"))
        runtime.queue("q", reconcile).add("key")
        assert pods.objects() == []

    world.start("c", build)
    world.settle()
    assert order == ["list", "key"]


def test_a_key_that_fails_is_tried_again_after_growing_pauses() -> None:
    world, times = World(), []

    def build(runtime: Runtime) -> None:
        def reconcile(key: str) -> None:
            times.append(runtime.clock.monotonic())
            if len(times) < 6:
                raise Conflict("busy")

        runtime.queue("q", reconcile).add("key")

    world.start("c", build)
    world.settle()
    gaps = [round(after - before, 2) for before, after in pairwise(times)]
    assert gaps == sorted(gaps)
    assert len(times) == 6


def test_an_exception_that_is_no_refusal_ends_the_simulation() -> None:
    world = World()

    def build(runtime: Runtime) -> None:
        def reconcile(key: str) -> None:
            raise KeyError(key)

        runtime.queue("q", reconcile).add("key")

    world.start("c", build)
    with pytest.raises(KeyError):
        world.settle()


def test_tasks_side_by_side_take_as_long_as_the_longest_and_their_refusals_are_returned() -> None:
    world = World()
    outcomes: list[Any] = []

    def refuse() -> None:
        raise Unavailable("no")

    def build(runtime: Runtime) -> None:
        def write(name: str) -> Callable[[], None]:
            return lambda: outcomes.append(runtime.cluster.create(SERVICE, service(name)).metadata.name)

        def reconcile(key: str) -> None:
            found = runtime.gather([*[write(f"s{number}") for number in range(50)], refuse])
            outcomes.append([type(each).__name__ for each in found if each is not None])

        queue = runtime.queue("q", reconcile)
        queue.add("first")

    world.start("c", build)
    world.settle()
    assert outcomes[-1] == ["Unavailable"]
    assert sorted(outcomes[:-1]) == sorted(f"s{number}" for number in range(50))
    assert world.elapsed < 0.02


def test_timers_run_when_they_are_due_and_not_when_cancelled() -> None:
    world, rung = World(), []

    def build(runtime: Runtime) -> None:
        runtime.call_later(5, lambda: rung.append(runtime.clock.monotonic()))
        runtime.call_later(6, lambda: rung.append(-1.0)).cancel()

    world.start("c", build)
    world.run(limit_seconds=10)
    assert rung == [5.0]


def test_the_same_event_is_written_once_in_ten_minutes() -> None:
    world = World()
    about = world.cluster.create(SERVICE, service("a"))
    runtimes: list[Runtime] = []
    world.start("c", runtimes.append)
    for _ in range(3):
        runtimes[0].recorder.event(SERVICE, about, type="Normal", reason="R", action="A", note="n")
        world.run(limit_seconds=250)
    events = world.cluster.list(EVENT)
    assert [(each.reason, each.note, each.regarding.name) for each in events] == [("R", "n", "a")]
    world.run(limit_seconds=200)
    runtimes[0].recorder.event(SERVICE, about, type="Normal", reason="R", action="A", note="n")
    world.settle()
    assert len(world.cluster.list(EVENT)) == 2


def test_the_epoch_grows_with_every_start_and_a_former_leader_has_none() -> None:
    world = World()
    runtimes: list[Runtime] = []
    world.start("a", runtimes.append)
    world.restart("a")
    assert runtimes[1].epoch() == 2
    world.start("b", runtimes.append, lease="a")
    assert runtimes[2].epoch() == 3
    with pytest.raises(LostLease):
        runtimes[1].epoch()


def test_hooks_of_a_component_are_called_while_it_is_up() -> None:
    world = World()

    def build(runtime: Runtime) -> Copier:
        hook = Hook("h", "/h", SERVICE, ("CREATE",), False, lambda _: Verdict(allowed=False, message="no"))
        return Copier(runtime, hooks=(hook,))

    world.start("c", build)
    with pytest.raises(Unavailable, match="connection refused"):
        world.server.create(SERVICE, service("a"))
    world.settle()
    with pytest.raises(Exception, match="denied the request: no"):
        world.server.create(SERVICE, service("a"))
    world.crash("c")
    with pytest.raises(Unavailable):
        world.server.create(SERVICE, service("a"))


# --- faults ----------------------------------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")
ALL = sorted([*NAMES, *(f"{name}-copy" for name in NAMES)])


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("write", [1, 2, 4])
def test_a_component_that_crashes_at_a_write_picks_up_where_it_was(write: int, after: bool) -> None:
    faults = Faults(crashes=(Crash(write=write, after=after, restart_after=3.0),))
    world, copier = copied_world(faults, *NAMES)
    assert len(services(world)) == 4 + write - (not after)
    world.run(limit_seconds=5)
    assert services(world) == ALL
    assert world.app("copier") is not copier or write == 4


def test_after_a_crash_nothing_of_that_incarnation_runs_or_writes() -> None:
    world, copier = copied_world(None)
    world.server.create(SERVICE, service("a"))
    while not copier.changes:
        world.loop.step()
    world.crash("copier")
    world.run(limit_seconds=5)
    assert services(world) == ["a"]
    assert copier.runs == []
    world.restart("copier")
    world.settle()
    assert services(world) == ["a", "a-copy"]


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(Refusal(write=2), id="conflict"),
        pytest.param(Refusal(write=2, unavailable=True), id="unavailable"),
        pytest.param(Refusal(write=2, unavailable=True, took_effect=True), id="unavailable, but it took effect"),
    ],
)
def test_a_refused_write_is_tried_again(refusal: Refusal) -> None:
    world, _ = copied_world(Faults(refusals=(refusal,)), *NAMES)
    assert services(world) == ALL


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 1000),
    st.sampled_from(
        [Faults(late=0.5), Faults(doubled=0.5), Faults(dropped=0.3), Faults(late=0.3, doubled=0.3, dropped=0.3)]
    ),
)
def test_however_events_arrive_the_copy_ends_up_as_the_cluster_is_and_never_goes_backwards(
    seed: int, faults: Faults
) -> None:
    world = World(seed)
    seen: dict[str, int] = {}

    def build(runtime: Runtime) -> Any:
        informer = runtime.informer(SERVICE)

        def note(change: Change[Service]) -> None:
            version = int(change.latest.metadata.resource_version)
            assert version >= seen.get(change.latest.metadata.uid, 0)
            seen[change.latest.metadata.uid] = version

        informer.subscribe(note)
        return informer

    informer = world.start("c", build, faults=faults)
    for number in range(30):
        name = f"s{number % 4}"
        if world.server.store.get("Service", NAMESPACE, name) is None:
            world.server.create(SERVICE, service(name))
        elif number % 3:
            world.server.merge(SERVICE, NAMESPACE, name, {"metadata": {"labels": {"n": str(number)}}})
        else:
            world.server.delete(SERVICE, NAMESPACE, name)
        world.run(limit_seconds=0.01)
    world.settle(quiet_seconds=5)
    versions = {each.metadata.name: each.metadata.resource_version for each in informer.objects()}
    assert versions == {
        each.body["metadata"]["name"]: each.body["metadata"]["resourceVersion"] for each in world.server.list(SERVICE)
    }


def test_an_informer_that_fell_behind_the_history_lists_again() -> None:
    world = World(history=5)
    informer = world.start("c", lambda runtime: runtime.informer(SERVICE), faults=Faults(late=1.0, late_seconds=1.0))
    world.settle()
    for number in range(20):
        world.server.create(SERVICE, service(f"s{number}"))
    world.settle()
    assert len(informer.objects()) == 20


# --- time and the log ------------------------------------------------------------------------------------------------


def busy_world(seed: int) -> World:
    world = World(seed)
    world.create_nodes(rack_nodes(2, 4))
    world.start("copier", Copier, faults=Faults(late=0.2, doubled=0.2, dropped=0.1, crashes=(Crash(write=2),)))
    for name in NAMES:
        world.server.create(SERVICE, service(name))
    for number in range(6):
        world.server.create(POD, pod(f"p{number}"))
    world.server.create(STATEFUL_SET, stateful_set("a", 5))
    world.run(limit_seconds=2)
    world.server.merge(STATEFUL_SET, NAMESPACE, "a", {"spec": {"replicas": 2}})
    world.lose_node("rack-00-host-00")
    world.settle()
    return world


def test_the_same_seed_gives_the_same_log_to_the_byte(tmp_path: Path) -> None:
    logs = []
    for number, seed in enumerate((7, 7, 8)):
        busy_world(seed).write_log(tmp_path / str(number))
        logs.append((tmp_path / str(number)).read_bytes())
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


def test_the_log_has_every_change_in_order_and_says_up_to_where_it_is_complete(tmp_path: Path) -> None:
    world = busy_world(1)
    world.write_log(tmp_path / "log")
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    events = [line for line in lines if "object" in line]
    assert [int(line["object"]["metadata"]["resourceVersion"]) for line in events] == list(range(1, len(events) + 1))
    assert {line["type"] for line in events} == {"ADDED", "MODIFIED", "DELETED"}
    assert [line["t"] for line in events] == sorted(line["t"] for line in events)
    complete = [line for line in lines if "complete" in line]
    assert {line["rv"] for line in complete} == {len(events)}
    assert {line["complete"] for line in complete} == {line["object"]["kind"] for line in events}


def test_a_predicate_that_is_not_reached_shows_the_world() -> None:
    world = World()
    world.create_nodes([node("n")])
    world.start("copier", Copier)
    for name in ("a", "b"):
        world.server.create(POD, pod(name))
    with pytest.raises(NotReached) as caught:
        world.run(until=lambda: False, limit_seconds=5)
    text = str(caught.value)
    assert "not within 5 simulated seconds" in text
    assert "component copier is ready" in text
    assert "1 pending, 1 ready" in text
    assert "1 Insufficient nvidia.com/gpu" in text
    assert world.elapsed == 5.0


def test_run_without_a_predicate_lets_time_pass_and_settle_stops_when_it_is_quiet() -> None:
    world = World()
    world.create_nodes([node("n")])
    world.server.create(POD, pod("a"))
    stopped = world.settle()
    assert (stopped.reason, stopped.seconds < 1) == ("quiet", True)
    assert world.run(limit_seconds=30).reason == "limit"
    assert world.elapsed == pytest.approx(30 + stopped.seconds)
