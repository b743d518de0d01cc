from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.api.core import Lease
from lws_sched.api.timestamps import micro_time
from lws_sched.kube.errors import AlreadyExists, Conflict, LostLease, NotFound, Unavailable
from lws_sched.kube.lease import Candidacy, Elector, LeaseName, Terms, Write
from tests.unit.kube.builders import HeldClock

TERMS = Terms()


@dataclass
class LeaseServer:
    """One Lease, with the API server's preconditions. `failing` answers nothing; `lossy` acts first."""

    lease: dict[str, Any] | None = None
    version: int = 0
    failing: bool = False
    lossy: bool = False
    requests: list[str] = field(default_factory=list)

    def get(self, kind: object, namespace: str, name: str) -> Lease:
        assert (namespace, name) == ("ns", "l")
        self._note(f"get {kind}")
        return self._answer()

    def create(self, kind: object, body: Any, *, dry_run: bool = False) -> Lease:
        self._note(f"create {kind} {dry_run}")
        if self.lease is not None:
            raise AlreadyExists("there is one")
        return self._store({"metadata": {}, "spec": {}}, body)

    def merge(self, kind: object, namespace: str, name: str, body: Any, *, subresource: str = "") -> Lease:
        assert (namespace, name, subresource) == ("ns", "l", "")
        self._note(f"merge {kind}")
        if self.lease is None:
            raise NotFound("there is none")
        if body["metadata"]["resourceVersion"] != str(self.version):
            raise Conflict("it has changed")
        return self._store(self.lease, body)

    def _note(self, request: str) -> None:
        self.requests.append(request)
        if self.failing:
            raise Unavailable("no answer")

    def _store(self, lease: dict[str, Any], body: Any) -> Lease:
        self.version += 1
        spec = {key: value for key, value in {**lease["spec"], **body["spec"]}.items() if value is not None}
        self.lease = {"metadata": {"name": "l", "resourceVersion": str(self.version)}, "spec": spec}
        if self.lossy:
            raise Unavailable("the answer was lost")
        return self._answer()

    def _answer(self) -> Lease:
        if self.lease is None:
            raise NotFound("there is none")
        return msgspec.convert(self.lease, Lease)


def body_of(write: Write, identity: str, clock: HeldClock) -> dict[str, Any]:
    spec = {
        "holderIdentity": identity,
        "leaseTransitions": write.transitions,
        "leaseDurationSeconds": 15,
        "renewTime": micro_time(clock.now()),
    }
    return {"metadata": {"resourceVersion": write.version}, "spec": spec}


@dataclass
class Process:
    """A candidate that may pause between any two of: read, decide, send, have the effect, hear the answer."""

    name: str
    skew: float
    """Its clock's distance from the true time."""
    clock: HeldClock
    candidacy: Candidacy = field(init=False)
    write: Write | None = None
    sent_at: float = 0.0
    answer: Lease | None = None

    def __post_init__(self) -> None:
        self.candidacy = Candidacy(self.name, TERMS)

    def now(self) -> float:
        return self.clock.time + self.skew

    def read(self, server: LeaseServer) -> None:
        try:
            lease: Lease | None = server.get("Lease", "ns", "l")
        except NotFound:
            lease = None
        self.candidacy.observe(lease, self.now())

    def decide(self, server: LeaseServer) -> None:
        assert server is not None
        self.write, self.answer = self.candidacy.decide(self.now()), None
        self.sent_at = self.now()

    def effect(self, server: LeaseServer) -> None:
        if self.write is None:
            return
        write, self.write = self.write, None
        try:
            body = body_of(write, self.name, self.clock)
            self.answer = server.merge("Lease", "ns", "l", body) if write.version else server.create("Lease", body)
        except (Conflict, AlreadyExists, NotFound):
            return

    def hear(self, server: LeaseServer) -> None:
        assert server is not None
        if self.answer is not None:
            self.candidacy.written(self.answer, self.sent_at, self.now())
            self.answer = None


ACTIONS = ("read", "decide", "effect", "hear", "all")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from((*ACTIONS, "all", "all")), st.sampled_from([0, 1, 4, 9, 15])),
        max_size=40,
    )
)
def test_no_two_processes_ever_hold_the_lease_and_epochs_grow(script: list[tuple[int, str, int]]) -> None:
    clock, server = HeldClock(), LeaseServer()
    processes = [Process("a", 0.0, clock), Process("b", 5000.0, clock), Process("c", -700.0, clock)]
    highest, highest_holder = 0, ""
    for number, action, pause in script:
        process = processes[number]
        for step in ACTIONS[:-1] if action == "all" else (action,):
            getattr(process, step)(server)
        holders = [each for each in processes if each.candidacy.holds(each.now())]
        assert len(holders) <= 1
        for holder in holders:
            epoch = holder.candidacy.epoch(holder.now())
            assert epoch >= highest
            assert epoch > highest or holder.name == highest_holder, "another holder, another epoch"
            highest, highest_holder = epoch, holder.name
        clock.time += pause


@dataclass
class Office:
    """Electors of one lease on one clock."""

    server: LeaseServer = field(default_factory=LeaseServer)
    clock: HeldClock = field(default_factory=HeldClock)
    said: list[str] = field(default_factory=list)

    def elector(self, name: str) -> Elector:
        return Elector(
            self.server,  # type: ignore[arg-type]
            LeaseName("ns", "l", name),
            self.clock,
            Random(1),
            on_started=lambda epoch: self.said.append(f"{name} leads at {epoch}"),
            on_lost=lambda: self.said.append(f"{name} lost"),
        )

    def pass_time(self, seconds: float, *electors: Elector) -> None:
        for _ in range(round(seconds)):
            self.clock.time += 1.0
            for each in electors:
                each.step()


def test_the_first_takes_the_lease_and_keeps_it() -> None:
    office = Office()
    a, b = office.elector("a"), office.elector("b")
    a.step()
    office.pass_time(60, a, b)
    assert office.said == ["a leads at 1"]
    assert a.epoch() == 1
    with pytest.raises(LostLease, match="b does not hold"):
        b.epoch()


def test_a_crashed_holder_is_followed_after_the_lease_duration() -> None:
    office = Office()
    a, b = office.elector("a"), office.elector("b")
    a.step()
    b.step()
    office.pass_time(14, b)
    assert office.said == ["a leads at 1"]
    office.pass_time(1, b)
    assert office.said == ["a leads at 1", "b leads at 2"]


def test_a_released_lease_is_free_at_once() -> None:
    office = Office()
    a, b = office.elector("a"), office.elector("b")
    a.step()
    b.step()
    a.release()
    b.step()
    assert office.said == ["a leads at 1", "a lost", "b leads at 2"]


def test_a_holder_without_an_answer_steps_down_and_comes_back_with_a_new_epoch() -> None:
    office = Office()
    a = office.elector("a")
    a.step()
    office.server.failing = True
    office.pass_time(9, a)
    assert a.epoch() == 1
    office.pass_time(1, a)
    assert office.said == ["a leads at 1", "a lost"]
    office.server.failing = False
    a.step()
    assert a.epoch() == 2


def test_a_renewal_whose_answer_was_lost_is_found_and_does_not_end_the_term() -> None:
    office = Office()
    a = office.elector("a")
    a.step()
    office.server.lossy = True
    office.pass_time(2, a)
    office.server.lossy = False
    office.pass_time(30, a)
    assert office.said == ["a leads at 1"]


def test_a_holder_that_sees_another_in_the_lease_stops_at_once() -> None:
    office = Office()
    a = office.elector("a")
    a.step()
    assert office.server.lease is not None
    office.server.lease["spec"] |= {"holderIdentity": "b", "leaseTransitions": 7}
    office.server.version += 1
    a.step()
    assert office.said == ["a leads at 1", "a lost"]


def test_a_deleted_lease_is_not_taken_while_its_holder_may_trust_it() -> None:
    office = Office()
    a, b = office.elector("a"), office.elector("b")
    a.step()
    b.step()
    office.server.lease = None
    office.pass_time(14, b)
    assert office.said == ["a leads at 1"]
    office.pass_time(1, b)
    assert office.said == ["a leads at 1", "b leads at 2"]


def test_a_holder_whose_lease_was_deleted_writes_it_again() -> None:
    office = Office()
    a = office.elector("a")
    a.step()
    office.server.lease = None
    office.pass_time(2, a)
    assert a.epoch() == 2


def test_a_renewal_is_one_request() -> None:
    office = Office()
    a = office.elector("a")
    a.step()
    office.server.requests.clear()
    office.pass_time(1, a)
    assert office.server.requests == ["merge Lease"]


def test_terms_that_let_two_lead_are_refused() -> None:
    with pytest.raises(ValueError, match="leaseDuration > renewDeadline"):
        Terms(duration=10, renew_deadline=10)


def test_a_holder_trusts_its_lease_from_when_it_asked_not_from_when_it_was_answered() -> None:
    clock, server = HeldClock(), LeaseServer()
    process = Process("a", 0.0, clock)
    process.read(server)
    process.decide(server)
    process.effect(server)
    clock.time += 9
    process.hear(server)
    assert process.candidacy.holds(clock.time)
    clock.time += 1
    assert not process.candidacy.holds(clock.time)
