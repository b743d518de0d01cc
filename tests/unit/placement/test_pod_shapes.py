from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lws_sched.api.core import PodSpec
from lws_sched.api.quantity import MOST, InvalidQuantity, Resources
from lws_sched.placement import Requirement, Toleration, pod_requests, shape_of


def spec(**fields: Any) -> PodSpec:
    return msgspec.convert(fields, PodSpec)


def container(restart: str = "", limits: dict[str, str] | None = None, **requests: str) -> dict[str, Any]:
    resources: dict[str, Any] = {"requests": requests, "limits": limits or {}}
    return {"name": "c", "resources": resources, **({"restartPolicy": restart} if restart else {})}


@pytest.mark.parametrize(
    ("fields", "requests"),
    [
        pytest.param(
            {"containers": [container(cpu="1"), container(cpu="500m")]}, {"cpu": 1500}, id="containers add up"
        ),
        pytest.param(
            {"containers": [container(cpu="1")], "initContainers": [container(cpu="3"), container(cpu="2")]},
            {"cpu": 3000},
            id="the largest init container counts if it is more",
        ),
        pytest.param(
            {"containers": [container(cpu="1")], "initContainers": [container("Always", cpu="1"), container(cpu="3")]},
            {"cpu": 4000},
            id="an init container runs beside the sidecars before it",
        ),
        pytest.param(
            {"containers": [container(cpu="1")], "initContainers": [container(cpu="3"), container("Always", cpu="1")]},
            {"cpu": 3000},
            id="but not beside those after it",
        ),
        pytest.param(
            {"containers": [container(cpu="9223372036854775808"), container(cpu="4E")]},
            {"cpu": MOST},
            id="what no node has counts as more than any has",
        ),
        pytest.param(
            {
                "containers": [container(cpu="4")],
                "initContainers": [container("Always", cpu="1"), container("Always", cpu="2")],
            },
            {"cpu": 7000},
            id="sidecars add to the containers",
        ),
        pytest.param(
            {"containers": [container(cpu="1", memory="1Gi")], "overhead": {"cpu": "250m", "memory": "1Mi"}},
            {"cpu": 1250, "memory": (1 << 30) + (1 << 20)},
            id="overhead is added",
        ),
        pytest.param(
            {"containers": [container(limits={"cpu": "2", "nvidia.com/gpu": "8"}, cpu="1")]},
            {"cpu": 1000, "nvidia.com/gpu": 8},
            id="a missing request is the limit",
        ),
        pytest.param(
            {"containers": [container(limits={"lws-sched.io/member": "0"})]}, {}, id="zero amounts are left out"
        ),
    ],
)
def test_requests_are_counted_as_the_scheduler_does(fields: dict[str, Any], requests: Resources) -> None:
    assert pod_requests(spec(**fields)) == requests


def test_a_quantity_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidQuantity):
        pod_requests(spec(containers=[container(cpu="many")]))


def test_a_shape_keeps_what_the_pod_says_about_nodes() -> None:
    terms = [
        {
            "matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}],
            "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n-1"]}],
        }
    ]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    shape = shape_of(
        spec(
            containers=[container(cpu="1")],
            nodeSelector={"b": "2", "a": "1"},
            affinity={"nodeAffinity": required},
            tolerations=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}, {"operator": "Exists"}],
        )
    )
    assert shape.requests == (("cpu", 1000),)
    assert shape.selector == (("a", "1"), ("b", "2"))
    assert shape.terms == (
        (Requirement("zone", "In", ("a", "b")), Requirement("metadata.name", "In", ("n-1",), field=True)),
    )
    assert shape.tolerations == (Toleration("gpu", "Equal", "yes", "NoSchedule"), Toleration(operator="Exists"))
