"""Whether the programs tell of traces, and what of both is traced: runs of their queues, and admission reviews."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from lws_sched.admission.hook import Hook, JsonObject, Request, Verdict
from lws_sched.cli.config import Common, InvalidConfiguration
from lws_sched.kube.client import Client
from lws_sched.kube.port import Reconcile
from lws_sched.kube.runtime import Settings, ThreadedRuntime
from lws_sched.kube.workqueue import WorkQueue

if TYPE_CHECKING:
    from lws_sched.telemetry.tracing import Attributes, Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
DISABLED, EXPORTER, PROTOCOLS = (
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"),
)
GRPC, OTLP, NONE = "grpc", "otlp", "none"


def tracer_of(configuration: Common, service: str, environment: Mapping[str, str] = os.environ) -> Tracer | None:
    """None where nobody asks for traces. Raises InvalidConfiguration."""
    endpoint = configuration.tracing.endpoint
    exporter = environment.get(EXPORTER, "")
    asked = endpoint or exporter or any(environment.get(each) for each in ENDPOINTS)
    if not asked or exporter == NONE or environment.get(DISABLED, "").lower() == "true":
        return None
    if exporter not in ("", OTLP):
        raise InvalidConfiguration(f"{EXPORTER} is {exporter}, and traces go out by OTLP alone: set it to {OTLP}")
    protocol = next((environment[each] for each in PROTOCOLS if environment.get(each)), GRPC)
    if protocol != GRPC:
        raise InvalidConfiguration(
            f"OTLP is asked for over {protocol}, and traces go out over {GRPC} alone: ask for that"
        )
    if importlib.util.find_spec("opentelemetry.exporter") is None:
        raise InvalidConfiguration(
            "traces are asked for, and OpenTelemetry is not installed: pip install 'lws-sched[otel]', or ask for none"
        )
    from lws_sched.telemetry.tracing import exporting

    return exporting(service, endpoint)


class TracedRuntime(ThreadedRuntime):
    """Each run of a queue is a span."""

    def __init__(self, client: Client, settings: Settings, tracer: Tracer) -> None:
        super().__init__(client, settings)
        self._tracer = tracer

    def queue(self, name: str, reconcile: Reconcile, *, workers: int = 1) -> WorkQueue:
        return super().queue(name, traced(name, reconcile, self._tracer), workers=workers)


def traced(queue: str, reconcile: Reconcile, tracer: Tracer) -> Reconcile:
    def run(key: str) -> float | None:
        with tracer.span(f"reconcile {queue}", {"lws_sched.key": key}) as span:
            again = reconcile(key)
            if again is not None:
                span.set_attribute("lws_sched.again_seconds", again)
            return again

    return run


def traced_hooks(hooks: Sequence[Hook], tracer: Tracer) -> tuple[Hook, ...]:
    """Each review is a span."""
    return tuple(replace(hook, decide=partial(_decided, hook, hook.decide, tracer)) for hook in hooks)


def _decided(hook: Hook, decide: Callable[[Request], Verdict], tracer: Tracer, request: Request) -> Verdict:
    from lws_sched.telemetry.tracing import failed

    attributes: Attributes = {
        "lws_sched.kind": hook.kind.kind,
        "lws_sched.operation": request.operation,
        "lws_sched.name": _name(request.object),
        "k8s.namespace.name": request.namespace,
        "lws_sched.dry_run": request.dry_run,
    }
    with tracer.span(f"review {hook.name}", attributes) as span:
        verdict = decide(request)
        span.set_attribute("lws_sched.allowed", verdict.allowed)
        span.set_attribute("lws_sched.patched", bool(verdict.patch))
        if not verdict.allowed:
            failed(span, verdict.message)
        return verdict


def _name(found: JsonObject) -> str:
    """A StatefulSet's pod has its name when it is reviewed; others have what it is to begin with."""
    metadata = found.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    return str(names.get("name") or names.get("generateName") or "")
