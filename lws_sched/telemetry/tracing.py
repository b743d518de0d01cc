"""Traces of what the programs do, by OpenTelemetry: only where somebody asks for them.

This module is the one that imports `opentelemetry`, and nothing imports it before traces are asked for. The sampler,
the batches and what else OpenTelemetry's SDK has are set by its own environment variables.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode

from lws_sched import __version__

__all__ = ["Attributes", "Span", "SpanContext", "Tracer", "exporting", "failed"]

Attributes = Mapping[str, str | int | bool]


class Tracer:
    """Begins and ends spans. Thread-safe."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("lws-sched", __version__)

    @contextmanager
    def span(self, name: str, attributes: Attributes, parent: Span | None = None) -> Iterator[Span]:
        """A span of the time inside; an exception is noted on it. Within `parent`, or within the thread's own span."""
        context = None if parent is None else trace.set_span_in_context(parent)
        with self._tracer.start_as_current_span(name, context, attributes=attributes) as span:
            yield span

    @contextmanager
    def root(self, name: str, attributes: Attributes, cause: SpanContext | None) -> Iterator[Span]:
        """The same, as the first span of a trace of its own, which refers to what caused it."""
        links = [] if cause is None else [Link(cause)]
        with self._tracer.start_as_current_span(name, Context(), attributes=attributes, links=links) as span:
            yield span

    def told(self, name: str, attributes: Attributes, seconds: float = 0.0, parent: Span | None = None) -> Span:
        """A span that ends now, and began so many seconds ago."""
        context = None if parent is None else trace.set_span_in_context(parent)
        end = time.time_ns()
        span = self._tracer.start_span(name, context, attributes=attributes, start_time=end - round(seconds * 1e9))
        span.end(end)
        return span

    def stop(self) -> None:
        """Send what was not sent yet; waits for it some seconds at most."""
        self._provider.shutdown()


def failed(span: Span, why: str) -> None:
    """Mark a span as failed where nothing was raised."""
    span.set_status(Status(StatusCode.ERROR, why))


def exporting(service: str, endpoint: str = "") -> Tracer:
    """A tracer whose spans go to `endpoint`; where that is "", as the environment says. What names the service there
    wins over `service`."""
    own = Resource({SERVICE_NAME: service, SERVICE_VERSION: __version__})
    provider = TracerProvider(resource=Resource.create().merge(own).merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint or None)))
    return Tracer(provider)
