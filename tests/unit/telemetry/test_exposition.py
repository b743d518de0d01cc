from __future__ import annotations

import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lws_sched.telemetry import families
from lws_sched.telemetry.counts import Counter, Gauge, Histogram, Instrument
from lws_sched.telemetry.exposition import Exposition
from lws_sched.telemetry.families import COUNTER, HISTOGRAM, Family

ALL = [each for each in vars(families).values() if isinstance(each, Family)]


def samples(*instruments: Instrument) -> dict[tuple[str, tuple[str, ...]], float]:
    """What a scraper reads: value by sample name and the values of its labels, in the order of their names."""
    text, content_type = Exposition(instruments).text()
    assert content_type.startswith("text/plain")
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for metric in text_string_to_metric_families(text.decode())
        for sample in metric.samples
    }


def test_a_counter_is_told_by_its_labels() -> None:
    counter = Counter(families.QUEUE_ADDS)
    counter.add("sets")
    counter.add("groups", by=3)

    found = samples(counter)

    assert found["workqueue_adds_total", ("sets",)] == 1
    assert found["workqueue_adds_total", ("groups",)] == 3


def test_a_histogram_counts_up_to_each_bound_and_sums() -> None:
    histogram = Histogram(Family("t_seconds", HISTOGRAM, "Test", ("verb",), (0.1, 1.0)))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds, "bind")

    found = samples(histogram)

    assert found["t_seconds_bucket", ("0.1", "bind")] == 2
    assert found["t_seconds_bucket", ("1.0", "bind")] == 3
    assert found["t_seconds_bucket", ("+Inf", "bind")] == found["t_seconds_count", ("bind",)] == 4
    assert found["t_seconds_sum", ("bind",)] == pytest.approx(7.65)


def test_two_instruments_of_one_family_are_one_metric() -> None:
    first = Gauge(families.PLACEMENTS, lambda: {("Bound",): 1})
    second = Gauge(families.PLACEMENTS, lambda: {("Waiting",): 2})

    found = samples(first, second)

    assert (found["lws_sched_placements", ("Bound",)], found["lws_sched_placements", ("Waiting",)]) == (1, 2)


def test_a_gauge_that_fails_leaves_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    counter = Counter(families.QUEUE_ADDS)
    counter.add("sets")

    found = samples(Gauge(families.READY, lambda: {(): 1 / 0}), counter)

    assert found["workqueue_adds_total", ("sets",)] == 1
    assert "name=lws_sched_ready" in caplog.text


def test_the_process_itself_is_told_of() -> None:
    assert samples()["process_resident_memory_bytes", ()] > 1e6


def test_nothing_is_lost_between_threads() -> None:
    counter, histogram = Counter(families.QUEUE_ADDS), Histogram(families.QUEUE_WAIT)

    def work() -> None:
        for _ in range(2000):
            counter.add("q")
            histogram.observe(0.1, "q")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counter.values() == {("q",): 8000}
    assert sum(histogram.values()["q",].counts) == 8000


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_a_family_is_well_formed(family: Family) -> None:
    assert family.name.endswith("_total") == (family.kind == COUNTER)
    assert bool(family.buckets) == (family.kind == HISTOGRAM)
    assert list(family.buckets) == sorted(set(family.buckets))
    assert family.help[0].isupper() or family.help[0].isdigit()


def test_names_are_unique() -> None:
    assert len({family.name for family in ALL}) == len(ALL)
