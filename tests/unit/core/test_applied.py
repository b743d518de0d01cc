"""Telling a leader StatefulSet that is as it shall be from one that must be written."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import msgspec
import pytest

from lws_sched.core.applied import WholeStatefulSet, is_applied
from lws_sched.core.desired import leader_stateful_set
from lws_sched.core.rollout import Current, Rollout
from tests.unit.core.samples import sample

CONTAINER = {"name": "leader", "image": "x", "resources": {"limits": {"cpu": "1000m"}}, "command": []}
DESIRED = leader_stateful_set(
    sample(template={"leaderTemplate": {"spec": {"containers": [CONTAINER]}}}), "key", Rollout(partition=1, replicas=2)
)
OWNED = {
    "f:metadata": {
        "f:labels": {"f:leaderworkerset.sigs.k8s.io/name": {}},
        "f:ownerReferences": {'k:{"uid":"lws-uid"}': {}},
    },
    "f:spec": {
        "f:replicas": {},
        "f:template": {"f:spec": {"f:containers": {'k:{"name":"leader"}': {".": {}, "f:image": {}, "f:name": {}}}}},
    },
}


def _live() -> dict[str, Any]:
    """DESIRED as an API server would keep it: quantities rewritten, defaults filled in."""
    live = deepcopy(DESIRED)
    container = live["spec"]["template"]["spec"]["containers"][0]
    container |= {"resources": {"limits": {"cpu": "1"}}, "imagePullPolicy": "Always"}
    del container["command"]
    live["spec"]["template"]["spec"] |= {"restartPolicy": "Always", "securityContext": {}}
    live["spec"]["revisionHistoryLimit"] = 10
    live["metadata"]["managedFields"] = [{"manager": "lws", "operation": "Apply", "fieldsV1": OWNED}]
    return live


def _is_applied(live: dict[str, Any]) -> bool:
    return is_applied(msgspec.convert(live, WholeStatefulSet), DESIRED)


def test_defaults_and_rewritten_quantities_are_no_difference() -> None:
    assert _is_applied(_live())


def test_a_switched_off_feature_is_no_difference() -> None:
    live = _live()
    del live["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"]
    assert _is_applied(live)


def test_a_strangers_container_label_and_field_are_no_difference() -> None:
    live = _live()
    live["spec"]["template"]["spec"]["containers"].insert(0, {"name": "sidecar"})
    live["metadata"]["labels"]["theirs"] = "x"
    live["metadata"]["managedFields"].append(
        {"manager": "other", "operation": "Apply", "fieldsV1": {"f:metadata": {"f:labels": {"f:theirs": {}}}}}
    )
    assert _is_applied(live)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "replicas"), 3),
        (("spec", "updateStrategy", "rollingUpdate", "partition"), 0),
        (("spec", "template", "spec", "containers"), []),
        (("metadata", "labels"), {}),
        (("metadata", "annotations"), {"leaderworkerset.sigs.k8s.io/replicas": "9"}),
        (("metadata", "ownerReferences"), []),
    ],
)
def test_drift_is_a_difference(path: tuple[str, ...], value: Any) -> None:
    live = _live()
    below = live
    for field in path[:-1]:
        below = below[field]
    below[path[-1]] = value
    assert not _is_applied(live)


FORMER_RETENTION = {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}
OURS_ONCE = [
    pytest.param(
        {"f:metadata": {"f:labels": {"f:former": {}}}}, {"metadata": {"labels": {"former": "x"}}}, id="a label"
    ),
    pytest.param(
        {"f:spec": {"f:persistentVolumeClaimRetentionPolicy": {"f:whenDeleted": {}}}},
        {"spec": FORMER_RETENTION},
        id="a field",
    ),
    pytest.param(
        {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"former"}': {".": {}}}}}}},
        {"spec": {"template": {"spec": {"containers": [{"name": "former"}]}}}},
        id="a container",
    ),
    pytest.param(
        {"f:metadata": {"f:finalizers": {'v:"former"': {}}}}, {"metadata": {"finalizers": ["former"]}}, id="a finalizer"
    ),
]


def _ours(owned: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"manager": "lws", "operation": "Apply", "fieldsV1": owned}]


def _with(live: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """`live` with more said: lists grow, objects are merged."""
    merged = dict(live)
    for field, value in more.items():
        before = merged.get(field)
        if isinstance(value, dict) and isinstance(before, dict):
            merged[field] = _with(before, value)
        else:
            merged[field] = [*before, *value] if isinstance(before, list) else value
    return merged


@pytest.mark.parametrize(("owned", "there"), OURS_ONCE)
def test_a_field_that_we_own_and_no_longer_want_is_a_difference(owned: dict[str, Any], there: dict[str, Any]) -> None:
    live = _with(_live(), there)
    assert _is_applied(live)
    live["metadata"]["managedFields"] = _ours(owned)
    assert not _is_applied(live)


@pytest.mark.parametrize(("owned", "there"), OURS_ONCE)
def test_a_field_that_we_own_and_that_is_gone_is_no_difference(owned: dict[str, Any], there: dict[str, Any]) -> None:
    live = _live()
    live["metadata"]["managedFields"] = _ours(owned)
    assert _is_applied(live)


def test_what_only_a_go_program_writes_is_no_difference() -> None:
    """Its zero values are owned by its field manager, which is ours too: adopting its StatefulSets writes nothing."""
    live = _live()
    pods = live["spec"]["template"]
    container = pods["spec"]["containers"][0]
    container["env"] = [{"name": "E", "valueFrom": {"resourceFieldRef": {"divisor": "0", "resource": "limits.cpu"}}}]
    container["resources"] = {**container["resources"], "claims": []}
    pods["metadata"]["creationTimestamp"] = None
    live["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{}"
    fields: dict[str, Any] = {"f:env": {'k:{"name":"E"}': {"f:valueFrom": {"f:resourceFieldRef": {"f:divisor": {}}}}}}
    owned = {
        "f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}},
        "f:spec": {
            "f:template": {
                "f:metadata": {"f:creationTimestamp": {}},
                "f:spec": {"f:containers": {'k:{"name":"leader"}': {**fields, "f:resources": {"f:claims": {}}}}},
            }
        },
    }
    live["metadata"]["managedFields"] = _ours(owned)
    wanted = deepcopy(DESIRED)
    reference = {"resourceFieldRef": {"resource": "limits.cpu"}}
    wanted["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "E", "valueFrom": reference}]
    assert is_applied(msgspec.convert(live, WholeStatefulSet), wanted)


@pytest.mark.parametrize(("written", "scaled_for"), [("4", 4), ("four", None), (None, None)])
def test_what_a_rollout_needs_is_read_even_where_the_record_is_damaged(
    written: str | None, scaled_for: int | None
) -> None:
    live = _live()
    live["metadata"]["annotations"] = {} if written is None else {"leaderworkerset.sigs.k8s.io/replicas": written}
    assert msgspec.convert(live, WholeStatefulSet).current == Current(1, 2, scaled_for)


def test_giving_up_a_field_that_is_not_versioned_is_no_difference() -> None:
    """Leaders would be replaced one by one, and their groups with them, without an update that counts them."""
    live = _with(_live(), {"spec": {"template": {"spec": {"fromTheFuture": True}}}})
    live["metadata"]["managedFields"] = _ours({"f:spec": {"f:template": {"f:spec": {"f:fromTheFuture": {}}}}})
    assert _is_applied(live)
