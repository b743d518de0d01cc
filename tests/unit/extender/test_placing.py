"""How the decisions of a batch are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from lws_sched.api.placement import GroupPlacement
from lws_sched.extender.ledger import Ledger
from lws_sched.extender.placing import LANES, Placing, Seeker
from lws_sched.extender.plan_meter import PlanMeter
from lws_sched.kube.errors import Conflict, Unavailable
from tests.unit.extender.builders import STAMP, group
from tests.unit.extender.fakes import CONFLICT, FakeInformer, FakeRuntime


@dataclass
class Noted(FakeRuntime):
    """Notes how many tasks were gathered each time."""

    gathered: list[int] = field(default_factory=list)

    def gather(self, tasks: Sequence[Callable[[], None]]) -> list[BaseException | None]:
        self.gathered += [len(tasks)] if tasks else []
        return super().gather(tasks)


@dataclass
class Records:
    """Takes every record, but for those whose write is to fail."""

    failures: dict[str, Exception] = field(default_factory=dict)
    written: list[GroupPlacement] = field(default_factory=list)

    def get(self, _: str) -> GroupPlacement | None:
        return None

    def write(self, record: GroupPlacement) -> GroupPlacement:
        if record.metadata.name in self.failures:
            raise self.failures[record.metadata.name]
        self.written.append(record)
        return record


def placing(runtime: FakeRuntime, records: Records) -> Placing:
    """On a cluster without a node, where nobody gets a place."""
    observer = SimpleNamespace(
        stamp=lambda: STAMP, sources=SimpleNamespace(pods=FakeInformer(indexes={"vetoed": _none}))
    )
    notices = SimpleNamespace(waiting=lambda _: None)
    evictions = SimpleNamespace(offered=lambda _: ())
    parts: list[Any] = [
        runtime,
        observer,
        Ledger(),
        records,
        notices,
        evictions,
        lambda _: None,
        lambda _: None,
        PlanMeter(),
    ]
    return Placing(*parts)


def names(records: Records) -> list[str]:
    return sorted(record.metadata.name for record in records.written)


def _none(_: object) -> tuple[str, ...]:
    return ()


def seekers(count: int) -> list[Seeker]:
    return [Seeker(replace(group(), index=index), None) for index in range(count)]


def test_refusals_are_written_few_side_by_side_and_all_of_them() -> None:
    runtime, records = Noted(), Records()
    placing(runtime, records).place(seekers(7))
    assert runtime.gathered == [LANES]
    assert names(records) == [f"a-{index}" for index in range(7)]


def test_a_refusal_that_its_record_tells_already_is_not_written_again() -> None:
    runtime, records = Noted(), Records()
    one, [seeker] = placing(runtime, records), seekers(1)
    one.place([seeker])
    one.place([replace(seeker, record=records.written[0])])
    assert names(records) == ["a-0"]
    assert runtime.gathered == [1]


def test_a_refusal_that_cannot_be_written_leaves_the_others_written_and_the_worst_failure_is_raised() -> None:
    records = Records({"a-0": CONFLICT, "a-2": Unavailable("the API server is away", status=503)})
    with pytest.raises(Unavailable):
        placing(FakeRuntime(), records).place(seekers(5))
    assert names(records) == ["a-1", "a-3", "a-4"]


def test_a_write_that_only_lost_a_race_is_raised_as_that() -> None:
    with pytest.raises(Conflict):
        placing(FakeRuntime(), Records({"a-0": CONFLICT})).place(seekers(3))
