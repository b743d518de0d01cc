"""Questions that nobody waits for any more, and planning processes that do not do what they should."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from lws_sched.api.core import NODE, POD
from lws_sched.service import desk as module
from lws_sched.service import frames
from lws_sched.service import placement_pb2 as pb
from lws_sched.service.desk import COMMAND, Desk
from lws_sched.service.feed import Feed
from lws_sched.service.frames import Admitted, Template
from lws_sched.service.refusal import Refusal
from lws_sched.sim.manifests import filler, rack_nodes
from lws_sched.sim.world import World

NEVER_ANSWERS = (sys.executable, "-c", "import time; time.sleep(600)")
READS_AND_NEVER_ANSWERS = (sys.executable, "-c", "import sys\nwhile sys.stdin.buffer.raw.read(65536): pass")
DIES = (sys.executable, "-c", "import os; os.kill(os.getpid(), 11)")
SETS = """
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: llama}
spec:
  replicas: 1
  leaderWorkerTemplate:
    size: 2
    workerTemplate:
      spec:
        schedulerName: lws-sched
        containers: [{name: main, image: none, resources: {limits: {nvidia.com/gpu: "8"}}}]
"""
QUESTION = frames.Plan(manifests=SETS, namespace="", cluster="", now=0.0)


@dataclass
class Caller:
    seconds: float = 120.0
    is_there: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.until = time.monotonic() + self.seconds
        self.is_there.set()

    def remaining(self) -> float:
        return self.until - time.monotonic()

    def is_wanted(self) -> bool:
        return self.is_there.is_set()


def templates_alone(sets: tuple[Template, ...]) -> Admitted:
    return Admitted(tuple(() for _ in sets))


@pytest.fixture
def world() -> World:
    world = World(seed=1)
    world.create_nodes(rack_nodes(1, 2))
    return world


@pytest.fixture
def desks(world: World) -> Iterator[Any]:
    made: list[Desk] = []

    def make(command: tuple[str, ...] = COMMAND, processes: int = 1, much: int = module.MUCH) -> Desk:
        found: list[Feed] = []

        def build(runtime: Any) -> Any:
            found.append(Feed(runtime))
            return type("Parts", (), {"hooks": ()})()

        world.start(f"feed-{len(made)}", build)
        world.settle()
        made.append(Desk(found[0], processes, command, much))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def refused(desk: Desk, caller: Caller, question: frames.Question = QUESTION) -> str:
    with pytest.raises(Refusal) as raised:
        desk.ask(question, templates_alone, caller)
    return raised.value.code


def is_feasible(desk: Desk) -> bool:
    answer = pb.PlanResponse()
    answer.ParseFromString(desk.ask(QUESTION, templates_alone, Caller()))
    return bool(answer.groups[0].feasible)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def pids(desk: Desk) -> list[int]:
    return [each._process.pid for each in (*desk._free, *desk._busy)]


@pytest.mark.parametrize("command", [NEVER_ANSWERS, READS_AND_NEVER_ANSWERS], ids=["reads nothing", "reads"])
def test_work_that_takes_too_long_is_stopped_and_does_not_run_on(desks: Any, command: tuple[str, ...]) -> None:
    desk, codes = desks(command), []
    thread = threading.Thread(target=lambda: codes.append(refused(desk, Caller(seconds=1.0))))
    thread.start()
    until(lambda: bool(codes or pids(desk)))
    (pid,) = pids(desk)

    thread.join()

    assert codes == ["DEADLINE_EXCEEDED"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert pids(desk) == []


def test_a_question_whose_caller_has_gone_away_is_stopped(desks: Any) -> None:
    desk, caller = desks(NEVER_ANSWERS), Caller()
    threading.Timer(0.3, caller.is_there.clear).start()

    assert refused(desk, caller) == "CANCELLED"
    assert pids(desk) == []


def test_who_waits_for_a_process_waits_no_longer_than_they_said(desks: Any) -> None:
    desk, first = desks(NEVER_ANSWERS), Caller()
    thread = threading.Thread(target=lambda: refused(desk, first))
    thread.start()
    until(lambda: bool(pids(desk)))

    assert refused(desk, Caller(seconds=0.2)) == "DEADLINE_EXCEEDED"
    assert len(pids(desk)) == 1

    first.is_there.clear()
    thread.join()


def test_more_than_so_many_do_not_wait(desks: Any) -> None:
    desk, callers = desks(NEVER_ANSWERS), [Caller() for _ in range(module.WAITING + 1)]
    threads = [threading.Thread(target=lambda each=each: refused(desk, each)) for each in callers]
    for thread in threads:
        thread.start()
    until(lambda: desk._waiting == module.WAITING)

    assert refused(desk, Caller()) == "RESOURCE_EXHAUSTED"

    for each in callers:
        each.is_there.clear()
    for thread in threads:
        thread.join()


def test_a_process_that_dies_costs_one_answer(desks: Any) -> None:
    assert refused(desks(DIES), Caller()) == "INTERNAL"


def test_a_question_that_needs_too_much_memory_is_refused_and_the_next_is_answered(desks: Any) -> None:
    desk = desks((*COMMAND[:-1], str(256 << 20)))
    layers = "\n".join(f"  b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 10)}]" for n in range(1, 10))
    bomb = f"{SETS}\nlaughs:\n  b0: &b0 {{ha: ha}}\n{layers}\n"

    code = refused(desk, Caller(), frames.Plan(manifests=bomb, namespace="", cluster="", now=0.0))

    assert code == "RESOURCE_EXHAUSTED"
    assert is_feasible(desk)


def test_a_refusal_while_asking_back_leaves_the_process_for_the_next_question(desks: Any) -> None:
    desk = desks()

    def deny(_: tuple[Template, ...]) -> Admitted:
        raise Refusal("PERMISSION_DENIED", "you may not")

    with pytest.raises(Refusal, match="you may not"):
        desk.ask(QUESTION, deny, Caller())
    before = pids(desk)
    assert is_feasible(desk)
    assert pids(desk) == before


def test_a_process_that_waits_is_told_of_changes_where_there_are_many(desks: Any, world: World) -> None:
    desk = desks(much=2)
    assert is_feasible(desk)
    (process,) = desk._free

    world.cluster.create(POD, filler("one", "rack-00-host-00", {"cpu": "1"}))
    world.settle()
    desk.tell()
    assert process.untold == 1

    world.cluster.create(POD, filler("two", "rack-00-host-01", {"cpu": "1"}))
    world.settle()
    desk.tell()
    assert process.untold == 0
    assert is_feasible(desk)
    assert desk._free == [process]


def test_a_process_that_ended_while_it_waited_costs_no_answer_once_that_is_noticed(desks: Any, world: World) -> None:
    desk = desks(much=1)
    assert is_feasible(desk)
    (ended,) = desk._free
    os.kill(ended._process.pid, 9)
    ended._process.wait()

    world.cluster.create(POD, filler("one", "rack-00-host-00", {"cpu": "1"}))
    world.settle()
    desk.tell()

    assert desk._free == []
    assert is_feasible(desk)


def test_a_desk_that_stops_ends_what_is_under_way(desks: Any) -> None:
    desk = desks(NEVER_ANSWERS)
    codes: list[str] = []
    thread = threading.Thread(target=lambda: codes.append(refused(desk, Caller())))
    thread.start()
    until(lambda: bool(pids(desk)))

    desk.stop()
    thread.join()

    assert codes == ["UNAVAILABLE"]
    assert refused(desk, Caller()) == "UNAVAILABLE"


def test_a_process_is_told_what_is_new_and_what_is_gone_and_nothing_twice(desks: Any, world: World) -> None:
    desk = desks()
    assert is_feasible(desk)
    (process,) = desk._free
    assert process._reader.untold == {}

    world.cluster.create(POD, filler("filler", "rack-00-host-00"))
    world.settle()
    assert [key for _, key in process._reader.untold] == ["fillers/filler"]
    assert not is_feasible(desk)

    world.cluster.delete(POD, "fillers", "filler")
    world.settle()
    assert list(process._reader.untold.values()) == [None]
    assert is_feasible(desk)

    world.cluster.delete(NODE, "", "rack-00-host-00")
    world.settle()
    assert not is_feasible(desk)
