from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from lws_sched.api import placement as api
from lws_sched.api.extender import BindingArgs, BindingResult, ExtenderArgs, FilterResult
from lws_sched.api.meta import Meta
from lws_sched.api.placement import GroupPlacement, GroupPlacementSpec, GroupPlacementStatus
from lws_sched.api.timestamps import micro_time, time_of
from lws_sched.extender.metering import MeteredVerbs, PlacementMeter
from lws_sched.extender.verbs import Verbs
from lws_sched.kube.errors import LostLease
from lws_sched.kube.port import Runtime
from lws_sched.telemetry.counts import Instrument
from tests.unit.extender.fakes import FakeClock, FakeInformer


class Process:
    """A runtime that may or may not lead."""

    def __init__(self) -> None:
        self.clock, self.leads = FakeClock(), True
        self.records: FakeInformer[GroupPlacement] = FakeInformer()

    def informer(self, _: object) -> FakeInformer[GroupPlacement]:
        return self.records

    def epoch(self) -> int:
        if not self.leads:
            raise LostLease("another leads")
        return 1

    def sees(
        self, state: str, after: float = 0.0, name: str = "a-0", age: float = 0.0, proof: str = "", since: str = ""
    ) -> None:
        """The record is seen in a state, some seconds later."""
        self.clock.seconds += after
        self.records.learn(
            GroupPlacement(
                metadata=Meta(namespace="ns", name=name, creation_timestamp=time_of(self.clock.now() - age)),
                spec=GroupPlacementSpec(leader_worker_set="a"),
                status=GroupPlacementStatus(state=state, proof=proof, since=since),
            )
        )


def told(*instruments: Instrument) -> dict[str, Any]:
    """What each metric says: counts, or observations and their sum."""
    found: dict[str, Any] = {}
    for each in instruments:
        values: Any = each.read() if hasattr(each, "read") else each.values()
        found[each.family.name.removeprefix("lws_sched_")] = {
            "/".join(labels): (sum(value.counts), value.sum) if hasattr(value, "counts") else value
            for labels, value in values.items()
            if value
        }
    return found


def test_the_life_of_a_group_is_decisions_stages_and_a_time_to_commit() -> None:
    process = Process()
    meter = PlacementMeter(cast("Runtime", process))

    process.sees(api.WAITING, proof="infeasible")
    assert told(*meter.instruments())["waiting_groups"] == {"infeasible": 1}
    process.sees(api.RESERVED, after=4)
    process.sees(api.RESERVED, after=1)
    process.sees(api.COMMITTED, after=1)
    process.sees(api.BOUND, after=3)
    process.sees(api.STICKY, after=100)
    process.sees(api.RESERVED, after=1)
    process.sees(api.COMMITTED, after=2)

    assert told(*meter.instruments()) == {
        "decisions_total": {"refused": 1, "placed": 1, "returned": 1},
        "stage_seconds": {"wait": (1, 4.0), "gather": (2, 4.0), "bind": (1, 3.0)},
        "time_to_commit_seconds": {"": (2, 8.0)},
        "placements": {"Committed": 1},
        "waiting_groups": {},
        "oldest_placement_seconds": {},
    }


def test_the_oldest_of_each_state_is_told_whatever_this_process_has_seen() -> None:
    process = Process()
    meter = PlacementMeter(cast("Runtime", process))
    now = process.clock.now()
    for name, state, age in (("a-0", api.WAITING, 40), ("b-0", api.WAITING, 3600), ("c-0", api.COMMITTED, 5)):
        process.sees(state, name=name, since=micro_time(now - age))

    assert told(*meter.instruments())["oldest_placement_seconds"] == {"Waiting": 3600.0, "Committed": 5.0}


def test_only_the_leader_counts_and_not_what_was_there_before() -> None:
    process = Process()
    meter = PlacementMeter(cast("Runtime", process))

    process.sees(api.RESERVED, age=60, name="old-0")
    process.leads = False
    process.sees(api.RESERVED)
    process.sees(api.COMMITTED, after=1)

    found = told(*meter.instruments())
    assert (found["decisions_total"], found["stage_seconds"], found["time_to_commit_seconds"]) == ({}, {}, {})
    assert found["placements"] == {"Reserved": 1, "Committed": 1}


@dataclass
class Scripted:
    """Verbs that answer as told, binds when told."""

    clock: FakeClock
    answer: Callable[[], None] | None = None

    def filter(self, _: ExtenderArgs) -> FilterResult:
        self.clock.seconds += 0.5
        return FilterResult(error="no")

    def bind(self, _: BindingArgs, respond: Callable[[BindingResult], None], __: Callable[[], bool]) -> None:
        self.answer = lambda: respond(BindingResult())


def test_a_bind_call_counts_from_its_arrival_to_its_answer() -> None:
    clock, answers = FakeClock(), list[BindingResult]()
    scripted = Scripted(clock)
    verbs = MeteredVerbs(cast("Verbs", scripted), clock)
    verbs.bind(BindingArgs(pod_name="p", pod_namespace="n", pod_uid="u", node="x"), answers.append, lambda: True)
    clock.seconds += 7

    assert scripted.answer is not None
    scripted.answer()
    verbs.filter(cast("ExtenderArgs", None))

    assert answers == [BindingResult()]
    assert told(*verbs.instruments()) == {
        "verb_seconds": {"bind": (1, 7.0), "filter": (1, 0.5)},
        "verb_refusals_total": {"filter": 1},
    }
