"""What a PromQL expression asks of our metrics, checked against the metrics that there are.

It finds what promtool would (an expression that does not parse), and what promtool cannot know: a metric or a label
that no program has, a counter that is looked at bare, a gauge whose rate is taken, a quantile without buckets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

import promql_parser
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    UnaryExpr,
    VectorSelector,
)

from lws_sched.telemetry.families import COUNTER, GAUGE, HISTOGRAM, Family

TARGET = frozenset({"pod", "namespace", "job", "instance", "service", "container", "endpoint"})
"""Labels that the Prometheus operator puts on whoever is scraped; a metric's own win (honorLabels)."""
RATES = ("rate", "increase", "irate")


@dataclass(frozen=True)
class Metrics:
    """The time series that there are: labels and kinds by their names."""

    labels: Mapping[str, Set[str]]
    kinds: Mapping[str, str]

    def matching(self, selector: Any) -> list[str]:
        """The names that a selector asks for, known or not."""
        if selector.name is not None:
            return [selector.name]
        patterns = [each.value for each in selector.matchers.matchers if each.name == "__name__"]
        found = [name for name in self.labels if all(re.fullmatch(each, name) for each in patterns)]
        return found or [*patterns, "a selector without a name"][:1]


def metrics_of(families: list[Family]) -> Metrics:
    labels: dict[str, Set[str]] = {}
    kinds: dict[str, str] = {}
    for each in families:
        if each.kind == HISTOGRAM:
            for part, more in (("bucket", {"le"}), ("sum", set()), ("count", set())):
                labels[f"{each.name}_{part}"] = {*each.labels, *more}
                kinds[f"{each.name}_{part}"] = COUNTER
        else:
            labels[each.name], kinds[each.name] = set(each.labels), each.kind
    return Metrics(labels, kinds)


def faults(text: str, metrics: Metrics, legend: str = "") -> list[str]:
    """What is wrong with an expression, and with the labels that its legend names."""
    try:
        expression = promql_parser.parse(text)
    except ValueError as problem:
        return [f"it does not parse: {problem}"]
    found = [*_faults(expression, metrics, around="")]
    given = _labels(expression, metrics)
    named = set(re.findall(r"(?:\$labels\.|\{\{\s*)(\w+)", legend))
    return [*found, *(f"its legend names {each}, which it does not keep" for each in sorted(named - given))]


def asked(text: str, metrics: Metrics) -> set[str]:
    """The metrics that an expression reads."""
    return {name for selector in _selectors(promql_parser.parse(text)) for name in metrics.matching(selector)}


def _faults(expression: Any, metrics: Metrics, around: str) -> Iterator[str]:
    """`around` is the function that the expression is the argument of."""
    if isinstance(expression, VectorSelector | MatrixSelector):
        yield from _of_selector(_vector(expression), metrics, around)
    elif isinstance(expression, AggregateExpr):
        yield from _faults(expression.expr, metrics, around)
        lost = set(expression.modifier.labels if expression.modifier else ()) - _labels(expression.expr, metrics)
        yield from (f"it groups by {each}, which is not there" for each in sorted(lost))
    elif isinstance(expression, Call):
        name = expression.func.name
        if name == "histogram_quantile" and "le" not in _labels(expression.args[1], metrics):
            yield "it takes a quantile without le"
        for each in expression.args:
            yield from _faults(each, metrics, name if name in RATES else around)
    else:
        for each in _parts(expression):
            yield from _faults(each, metrics, around)


def _of_selector(selector: Any, metrics: Metrics, around: str) -> Iterator[str]:
    for name in metrics.matching(selector):
        if name not in metrics.labels:
            yield f"there is no metric {name}"
            continue
        known = {*metrics.labels[name], *TARGET, "__name__"}
        yield from (f"{name} has no label {each.name}" for each in selector.matchers.matchers if each.name not in known)
        if metrics.kinds[name] == COUNTER and not around and not name.startswith("grpc_server_"):
            yield f"{name} is a counter, and its rate is not taken"
        if metrics.kinds[name] == GAUGE and around:
            yield f"{name} is a gauge, and its {around} is taken"


def _labels(expression: Any, metrics: Metrics) -> Set[str]:
    """The labels that the result of an expression carries."""
    if isinstance(expression, VectorSelector | MatrixSelector):
        names = metrics.matching(_vector(expression))
        return {*TARGET, *(label for name in names for label in metrics.labels.get(name, ()))}
    if isinstance(expression, AggregateExpr):
        inner = _labels(expression.expr, metrics)
        return set(expression.modifier.labels) & inner if expression.modifier else set()
    if isinstance(expression, Call):
        found = {label for each in expression.args for label in _labels(each, metrics)}
        return found - {"le"} if expression.func.name == "histogram_quantile" else found
    return {label for each in _parts(expression) for label in _labels(each, metrics)}


def _selectors(expression: Any) -> Iterator[Any]:
    if isinstance(expression, VectorSelector | MatrixSelector):
        yield _vector(expression)
    for each in _parts(expression):
        yield from _selectors(each)


def _parts(expression: Any) -> list[Any]:
    if isinstance(expression, BinaryExpr):
        return [expression.lhs, expression.rhs]
    if isinstance(expression, AggregateExpr | ParenExpr | UnaryExpr):
        return [expression.expr]
    if isinstance(expression, Call):
        return [*expression.args]
    assert isinstance(expression, NumberLiteral | VectorSelector | MatrixSelector), expression
    return []


def _vector(selector: Any) -> Any:
    return selector.vector_selector if isinstance(selector, MatrixSelector) else selector
