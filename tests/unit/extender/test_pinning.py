"""Pinning, gating and marking are edits of a pod's JSON that lose nothing of it."""

from __future__ import annotations

from typing import Any

from lws_sched.api import names
from lws_sched.extender import pinning

PIN = {"key": "metadata.name", "operator": "In", "values": ["n1"]}


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a-0"}, "spec": {"containers": [{"name": "c"}], "futureField": 1, **spec}}


def terms(pod: dict[str, Any]) -> Any:
    affinity = pod["spec"]["affinity"]["nodeAffinity"]
    return affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]


def with_terms(*given: dict[str, Any]) -> dict[str, Any]:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(given)}}
    return pod(affinity={"nodeAffinity": required, "podAffinity": {"kept": True}})


def test_a_pod_without_affinity_gets_one_term() -> None:
    assert terms(pinning.pinned(pod(), "n1")) == [{"matchFields": [PIN]}]


def test_the_pin_is_added_to_every_alternative() -> None:
    zone = {"key": "zone", "operator": "In", "values": ["a"]}
    before = with_terms({"matchExpressions": [zone]}, {"matchFields": [{**PIN, "values": ["n1", "n2"]}]})
    after = pinning.pinned(before, "n1")
    assert terms(after) == [
        {"matchExpressions": [zone], "matchFields": [PIN]},
        {"matchFields": [{**PIN, "values": ["n1", "n2"]}, PIN]},
    ]
    assert after["spec"]["affinity"]["podAffinity"] == {"kept": True}


def test_an_empty_alternative_matches_nothing_and_stays_so() -> None:
    assert terms(pinning.pinned(with_terms({}, {"matchFields": [PIN]}), "n1"))[0] == {}


def test_pinning_lifts_our_gate_and_no_other() -> None:
    both = pod(schedulingGates=[{"name": "quota.example/queue"}, {"name": names.GATE}])
    assert pinning.pinned(both, "n1")["spec"]["schedulingGates"] == [{"name": "quota.example/queue"}]
    assert "schedulingGates" not in pinning.pinned(pinning.gated(pod()), "n1")["spec"]


def test_gating_twice_is_gating_once() -> None:
    once = pinning.gated(pod())
    assert pinning.gated(once) == once
    assert once["spec"]["schedulingGates"] == [{"name": names.GATE}]


def test_a_member_asks_for_nothing_of_the_member_resource_and_keeps_what_it_asked_for() -> None:
    asked = pod(containers=[{"name": "c", "resources": {"requests": {"cpu": "1"}}}, {"name": "d"}])
    containers = pinning.as_member(asked)["spec"]["containers"]
    assert containers[0]["resources"] == {
        "requests": {"cpu": "1", names.MEMBER_RESOURCE: "0"},
        "limits": {names.MEMBER_RESOURCE: "0"},
    }
    assert containers[1] == {"name": "d"}


def test_nothing_of_the_pod_given_is_changed_and_unknown_fields_survive() -> None:
    before = pod()
    after = pinning.as_member(pinning.pinned(pinning.gated(before), "n1"))
    assert before == pod()
    assert after["spec"]["futureField"] == 1
