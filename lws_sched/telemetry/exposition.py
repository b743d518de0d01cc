"""Instruments as Prometheus' text, beside what every Python process tells of itself (CPU, memory, files)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from lws_sched.telemetry.counts import Counter, Gauge, Histogram, Instrument
from lws_sched.telemetry.families import Family

log = logging.getLogger(__name__)


class Exposition:
    """What one process exposes."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(_Instruments(instruments))

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics in the format that the caller accepts, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Instruments(Collector):
    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._instruments = instruments

    def collect(self) -> Iterable[Metric]:
        by_family: dict[Family, list[Instrument]] = {}
        for instrument in self._instruments:
            by_family.setdefault(instrument.family, []).append(instrument)
        for family, instruments in sorted(by_family.items(), key=lambda item: item[0].name):
            yield from _metric(family, instruments)


def _metric(family: Family, instruments: Sequence[Instrument]) -> Iterator[Metric]:
    """One family. An instrument that fails leaves its numbers out, not everybody's."""
    metric = _FAMILIES[family.kind](family.name, family.help, labels=family.labels)
    for instrument in instruments:
        try:
            _fill(metric, instrument)
        except Exception:
            log.exception("a metric could not be read name=%s", family.name)
    yield metric


_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}


def _fill(metric: Metric, instrument: Instrument) -> None:
    match instrument, metric:
        case Counter(), CounterMetricFamily():
            for labels, count in sorted(instrument.values().items()):
                metric.add_metric(labels, count)
        case Gauge(), GaugeMetricFamily():
            for labels, value in sorted(instrument.read().items()):
                metric.add_metric(labels, value)
        case Histogram(), HistogramMetricFamily():
            bounds = [*(str(bound) for bound in instrument.family.buckets), "+Inf"]
            for labels, found in sorted(instrument.values().items()):
                metric.add_metric(labels, list(zip(bounds, accumulate(found.counts), strict=True)), found.sum)
