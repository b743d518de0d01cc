"""Traces: what is told of a group's way, of reviews and of reconciliations, and that nothing is where nobody asks."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from deploy.tools.generate_docs import SPANS
from lws_sched.admission.hook import Request
from lws_sched.api.core import Pod
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.placement import BOUND, GROUP_PLACEMENT, GroupPlacement
from lws_sched.cli.config import ExtenderConfiguration, InvalidConfiguration, Tracing
from lws_sched.cli.tracing import traced, traced_hooks, tracer_of
from lws_sched.controller import app as controller
from lws_sched.extender import app as extender
from lws_sched.extender.ledger import Ledger
from lws_sched.extender.records import RecordStore
from lws_sched.extender.tracing import TracedCommitter
from lws_sched.kube.errors import Unavailable
from lws_sched.sim.manifests import ACCELERATOR, rack_nodes
from lws_sched.sim.world import World
from lws_sched.telemetry.tracing import Tracer, exporting
from tests.collector import collecting
from tests.scenarios.manifests import lws
from tests.unit.extender.fakes import FakeInformer, FakeRuntime


class Told:
    """A tracer, and the spans that ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = Tracer(provider)

    def of(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def world(told: Told) -> World:
    """Two racks of three hosts, under a traced extender."""
    world = World(seed=1)
    options = extender.Options(patience=0, tracer=told.tracer)
    world.start("controller", lambda runtime: controller.build(runtime, controller.Options()))
    world.start("extender", lambda runtime: extender.build(runtime, options))
    world.connect_extender("extender", [ACCELERATOR])
    world.create_nodes(rack_nodes(2, 3))
    world.settle()
    return world


def create(world: World, name: str, size: int) -> None:
    body = lws(name, size=size).required().body
    world.cluster.create(LEADER_WORKER_SET, {**body, "metadata": {**body["metadata"], "namespace": "team"}})


def is_in(world: World, group: str, state: str) -> bool:
    records = world.cluster.list(GROUP_PLACEMENT, "team")
    return any(each.metadata.name == group and each.status.state == state for each in records)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def is_within(inner: ReadableSpan, outer: ReadableSpan) -> bool:
    return inner.parent is not None and inner.parent == outer.get_span_context()


def test_a_group_is_told_of_from_its_decision_to_its_bindings(told: Told, world: World) -> None:
    create(world, "llama", 3)
    world.run(until=lambda: is_in(world, "llama-0", BOUND))

    (decided,) = [each for each in told.of("decide") if attributes(each)["lws_sched.result"] == "placed"]
    assert attributes(decided)["lws_sched.group"] == "team/llama-0"
    assert attributes(decided)["lws_sched.domain"] in ("rack-00", "rack-01")
    assert any(is_within(decided, plan) for plan in told.of("plan"))
    (commit,) = told.of("commit")
    assert commit.parent is None
    assert [link.context for link in commit.links] == [decided.get_span_context()]
    assert (attributes(commit)["lws_sched.group"], attributes(commit)["lws_sched.members"]) == ("team/llama-0", 3)
    (record,) = told.of("record")
    bindings = told.of("bind")
    assert all(is_within(each, commit) for each in (record, *bindings))
    assert {attributes(each)["k8s.pod.name"] for each in bindings} == {"llama-0", "llama-0-1", "llama-0-2"}


def test_a_group_that_waits_is_told_of_with_its_reason_and_its_fix(told: Told, world: World) -> None:
    create(world, "wide", 4)
    world.settle()

    refused = attributes(told.of("decide")[0])
    assert (refused["lws_sched.result"], refused["lws_sched.proof"]) == ("refused", "infeasible")
    assert refused["lws_sched.reason"]
    assert refused["lws_sched.fix"]
    plan = attributes(told.of("plan")[0])
    assert (plan["lws_sched.groups"], plan["lws_sched.placed"]) == (1, 0)
    assert told.of("commit") == []


def test_a_commit_that_is_refused_says_why(told: Told) -> None:
    runtime: Any = FakeRuntime()
    pods, records = FakeInformer[Pod](), FakeInformer[GroupPlacement]()
    store = RecordStore(runtime.cluster, records)
    committer = TracedCommitter(runtime, store, pods, Ledger(), lambda group: None, tracer=told.tracer, decisions={})

    committer.commit("team/llama-0", [])

    (record,), (commit,) = told.of("record"), told.of("commit")
    assert is_within(record, commit)
    assert record.status.status_code is StatusCode.ERROR
    assert "its reservation was given up" in str(record.status.description)


def test_a_reconciliation_that_fails_is_told_of_with_its_failure(told: Told) -> None:
    def fails(key: str) -> float | None:
        raise Unavailable(f"no answer about {key}")

    with pytest.raises(Unavailable):
        traced("sets", fails, told.tracer)("team/llama")
    assert traced("sets", lambda key: 2.5, told.tracer)("team/llama") == 2.5

    failed, done = told.of("reconcile sets")
    assert attributes(failed) == {"lws_sched.key": "team/llama"}
    assert failed.status.status_code is StatusCode.ERROR
    assert "no answer about team/llama" in str(failed.status.description)
    assert attributes(done) == {"lws_sched.key": "team/llama", "lws_sched.again_seconds": 2.5}


def test_a_review_is_told_of_with_its_verdict(told: Told) -> None:
    hooks = World(seed=1).start("controller", lambda runtime: controller.build(runtime, controller.Options())).hooks
    (hook,) = [
        each for each in traced_hooks(hooks, told.tracer) if each.kind is LEADER_WORKER_SET and not each.mutating
    ]
    body = lws("llama", size=2).leaders_on_default_scheduler().body

    verdict = hook.decide(Request("CREATE", "team", body))

    (review,) = told.of(f"review {hook.name}")
    said = attributes(review)
    assert (said["lws_sched.kind"], said["lws_sched.name"], said["k8s.namespace.name"]) == (
        "LeaderWorkerSet",
        "llama",
        "team",
    )
    assert (verdict.allowed, said["lws_sched.allowed"]) == (False, False)
    assert review.status.description == verdict.message


def test_all_that_is_told_is_documented(told: Told, world: World) -> None:
    create(world, "llama", 3)
    create(world, "wide", 4)
    world.run(until=lambda: is_in(world, "llama-0", BOUND))
    for span in ("plan", "decide", "commit", "record", "bind"):
        said = {name for each in told.of(span) for name in attributes(each)}
        assert said == {*SPANS[span][1].split()}


# --- whether, and where to -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("endpoint", "environment"),
    [
        ("", {}),
        ("http://collector:4317", {"OTEL_SDK_DISABLED": "true"}),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317", "OTEL_TRACES_EXPORTER": "none"}),
    ],
    ids=["nobody asks", "the SDK is disabled", "of traces nothing is to be exported"],
)
def test_there_are_none(endpoint: str, environment: dict[str, str]) -> None:
    assert tracer_of(ExtenderConfiguration(tracing=Tracing(endpoint=endpoint)), "lws-extender", environment) is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER is zipkin, and traces go out by OTLP alone"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "over http/protobuf, and traces go out over grpc alone"),
    ],
)
def test_what_cannot_be_done_is_said(name: str, value: str, said: str) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317", name: value}
    with pytest.raises(InvalidConfiguration, match=said):
        tracer_of(ExtenderConfiguration(), "lws-extender", environment)


def test_programs_of_which_nobody_asks_for_traces_do_not_even_load_them() -> None:
    script = (
        "import sys, lws_sched.cli.processes, lws_sched.extender.app, lws_sched.controller.app; "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_collector_gets_what_was_told_before_the_program_ends() -> None:
    with collecting() as (endpoint, got):
        tracer = exporting("lws-extender", endpoint)
        tracer.told("plan", {"lws_sched.groups": 3}, seconds=2.0)
        tracer.stop()
        (resource,) = got.get(timeout=10).resource_spans
    named = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert named["service.name"] == "lws-extender"
    (span,) = resource.scope_spans[0].spans
    assert (span.name, span.attributes[0].value.int_value) == ("plan", 3)
    assert span.end_time_unix_nano - span.start_time_unix_nano == 2_000_000_000
