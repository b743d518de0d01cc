"""Every rule of the validating webhook, with the case that breaks it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lws_sched.api import names
from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.core.validation import created, message, updated, warnings
from tests.unit.core.samples import rolling, sample

ROLLING = "spec.rolloutStrategy.rollingUpdateConfiguration"
SUBGROUP = "spec.leaderWorkerTemplate.SubGroupPolicy.subGroupSize"


def _subgroups(size: int, *, type: str = "LeaderWorker", of: int = 4) -> LeaderWorkerSet:
    policy = {"subGroupSize": size, "subGroupPolicyType": type}
    return sample(template={"size": of, "subGroupPolicy": policy})


def _named(name: str) -> LeaderWorkerSet:
    lws = sample()
    return msgspec.structs.replace(lws, metadata=msgspec.structs.replace(lws.metadata, name=name))


def _claiming(storage: str, labels: dict[str, str] | None = None) -> LeaderWorkerSet:
    claim = {
        "metadata": {"name": "data", "labels": labels or {}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}},
    }
    return sample(template={"volumeClaimTemplates": [claim]})


def _scheduled(leader: str, worker: str) -> LeaderWorkerSet:
    return sample(
        template={
            "leaderTemplate": {"spec": {"schedulerName": leader}},
            "workerTemplate": {"spec": {"schedulerName": worker}},
        }
    )


def _requesting(cpu: str, **more: Any) -> dict[str, Any]:
    return {"name": "worker", "image": "i", "resources": {"requests": {"cpu": cpu}}, **more}


@pytest.mark.parametrize(
    ("lws", "wanted"),
    [
        (_named("2cube"), 'metadata.name: Invalid value: "2cube": a DNS-1035 label must consist of'),
        (_named("a" * 64), "must be no more than 63 characters"),
        (sample(replicas=-1), "spec.replicas: Invalid value: -1: replicas must be equal or greater than 0"),
        (sample(replicas=1000001), "replicas must be equal or less than 1000000"),
        (
            sample(replicas=100000, template={"size": 1000000}),
            "the product of replicas and worker replicas must not exceed 2147483647",
        ),
        (
            sample(template={"size": 0}),
            "spec.leaderWorkerTemplate.size: Invalid value: 0: size must be equal or greater",
        ),
        (sample(rolloutStrategy=rolling(maxUnavailable="200%")), "must not be greater than 100%"),
        (sample(rolloutStrategy=rolling(maxUnavailable="2")), "a valid percent string must be a numeric string"),
        (sample(rolloutStrategy=rolling(maxSurge="two")), f'{ROLLING}.maxSurge: Invalid value: "two": invalid value'),
        (
            sample(template={"workerTemplate": {"spec": {"containers": [_requesting("1e1.5")]}}}),
            "spec.leaderWorkerTemplate.workerTemplate.spec.containers.resources.requests: Invalid value: "
            '"1e1.5": must be a Kubernetes quantity such as 500m, 8 or 16Gi',
        ),
        (sample(rolloutStrategy=rolling(maxUnavailable=-1)), f"{ROLLING}.maxUnavailable: Invalid value: -1: must be"),
        (sample(rolloutStrategy=rolling(maxSurge="200%")), f'{ROLLING}.maxSurge: Invalid value: "200%"'),
        (sample(rolloutStrategy=rolling(maxSurge=-1)), f"{ROLLING}.maxSurge: Invalid value: -1: must be greater than"),
        (sample(rolloutStrategy=rolling(maxUnavailable=0)), "must not be 0 when `maxSurge` is 0"),
        (sample(rolloutStrategy=rolling(maxUnavailable="25%")), "must not be 0 when `maxSurge` is 0"),
        (
            sample(rolloutStrategy=rolling(partition=-1)),
            f"{ROLLING}.partition: Invalid value: -1: must be greater than",
        ),
        (_subgroups(-1), f"{SUBGROUP}: Invalid value: -1: subGroupSize must be equal or greater than 1"),
        (
            sample(template={"subGroupPolicy": {}}),
            f"{SUBGROUP}: Invalid value: 0: subGroupSize must be equal or greater",
        ),
        (_subgroups(3, of=5), "size or size - 1 must be divisible by subGroupSize"),
        (_subgroups(5), "subGroupSize cannot be larger than size"),
        (_subgroups(2, type="LeaderExcluded"), "size-1 must be divisible by subGroupSize when using LeaderExcluded"),
        (
            sample(annotations={names.SUBGROUP_EXCLUSIVE_TOPOLOGY: "rack"}),
            "cannot have subgroup-exclusive-topology without subGroupSize set",
        ),
        (_scheduled("lws-sched", "default-scheduler"), "a group is placed whole only if one scheduler places all"),
        (_scheduled("", "lws-sched"), "a group is placed whole only if one scheduler places all its pods"),
        (sample(annotations={names.MAX_GROUP_RESTARTS: "-1"}), "must be a whole number such as 3"),
        (sample(annotations={names.RESTART_BACKOFF: "10"}), "must be a duration such as 10s, 2m or 1h30m"),
        (sample(annotations={names.REQUIRED_TOPOLOGY: ""}), f"metadata.annotations.{names.REQUIRED_TOPOLOGY}"),
        (sample(annotations={names.REQUIRED_TOPOLOGY: "a b"}), "must be a level name or node label key"),
        (sample(annotations={names.PREFERRED_TOPOLOGY: "rack,,block"}), "separated by commas"),
        (sample(annotations={names.SUBGROUP_REQUIRED_TOPOLOGY: "rack"}), "cannot have subgroup-required-topology"),
        (
            sample(template={"workerTemplate": {"metadata": {"annotations": {names.REQUIRED_TOPOLOGY: "-"}}}}),
            "spec.leaderWorkerTemplate.workerTemplate.metadata.annotations",
        ),
    ],
)
def test_a_broken_rule_is_named(lws: LeaderWorkerSet, wanted: str) -> None:
    assert wanted in message(created(lws))
    assert wanted in message(updated(lws, lws))


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"replicas": 0, "rolloutStrategy": rolling(maxUnavailable="25%", maxSurge="25%")},
        {"rolloutStrategy": rolling(maxUnavailable=10, maxSurge=10, partition=5)},
        {"rolloutStrategy": rolling(maxUnavailable=0, maxSurge=1)},
        {"rolloutStrategy": {"type": "RollingUpdate"}},
    ],
)
def test_a_good_set_is_accepted(spec: dict[str, Any]) -> None:
    assert created(sample(**spec)) == ()


@pytest.mark.parametrize("value", ["rack", "topology.kubernetes.io/zone", "cloud.google.com/gke-nodepool"])
def test_levels_and_label_keys_are_topologies(value: str) -> None:
    lws = sample(annotations={names.REQUIRED_TOPOLOGY: value, names.PREFERRED_TOPOLOGY: f"{value}, block"})
    assert created(lws) == ()


def test_both_templates_may_be_ours() -> None:
    assert created(_scheduled("lws-sched", "lws-sched")) == ()


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (_subgroups(1), _subgroups(2), f"{SUBGROUP}: Invalid value: 2: field is immutable"),
        (sample(), _subgroups(2), "cannot enable subGroupSize after the lws is already created"),
        (_subgroups(2), sample(), "cannot remove subGroupSize after enabled"),
        (sample(), sample(networkConfig={}), "cannot set subdomainPolicy as null"),
        (_claiming("1Gi"), _claiming("2Gi"), 'volumeClaimTemplates: Invalid value: ["data"]: field is immutable'),
        (sample(), _claiming("1Gi"), 'volumeClaimTemplates: Invalid value: ["data"]: field is immutable'),
        (_claiming("1Gi"), sample(), "volumeClaimTemplates: Invalid value: []: field is immutable"),
    ],
)
def test_what_may_not_change_is_named(old: LeaderWorkerSet, new: LeaderWorkerSet, wanted: str) -> None:
    assert wanted in message(updated(old, new))


def test_the_same_claim_in_other_words_is_no_change() -> None:
    assert updated(_claiming("1Gi"), _claiming("1024Mi", {"dropped": "by the API"})) == ()


def test_all_else_may_change() -> None:
    new = sample(replicas=3, template={"size": 3}, networkConfig={"subdomainPolicy": "UniquePerReplica"})
    assert updated(sample(), new) == ()


@pytest.mark.parametrize(("replicas", "size", "most"), [(2, 4, 50), (10, 4, 50), (11, 4, 49), (11, 1, 52), (0, 4, 50)])
def test_a_name_that_leaves_no_room_for_the_pods_labels_is_allowed_with_a_warning(
    replicas: int, size: int, most: int
) -> None:
    def named(length: int) -> LeaderWorkerSet:
        lws = sample(replicas=replicas, template={"size": size})
        return msgspec.structs.replace(lws, metadata=msgspec.structs.replace(lws.metadata, name="n" * length))

    assert warnings(named(most)) == ()
    assert created(named(most + 1)) == ()
    (warning,) = warnings(named(most + 1))
    assert f"has {most + 1} characters" in warning
    assert warning.endswith(f"use at most {most} for {replicas} groups")


def test_what_is_not_passed_on_to_a_claim_is_told() -> None:
    claim = {
        "metadata": {"name": "data", "labels": {"a": "b"}, "creationTimestamp": None},
        "spec": {"accessModes": ["ReadWriteOnce"], "selector": {}, "dataSource": {"kind": "VolumeSnapshot"}},
    }
    kept = {"metadata": {"name": "rest"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    (warning,) = warnings(sample(template={"volumeClaimTemplates": [kept, claim]}))
    assert warning.startswith(
        "spec.leaderWorkerTemplate.volumeClaimTemplates[1]: metadata.labels, spec.dataSource: not passed on"
    )


def test_pod_fields_that_are_not_versioned_are_told_when_they_come_and_when_they_go() -> None:
    container = _requesting("1", livenessProbe={"grpc": {"port": 1, "mode": "TLS"}}, stdin=False, fromTheFuture={})
    newer = sample(template={"workerTemplate": {"spec": {"containers": [container], "hostUsers": False}}})
    for told in (warnings(newer), warnings(sample(), newer), warnings(newer, sample())):
        assert told == (
            "spec.leaderWorkerTemplate.workerTemplate.spec.containers[0].livenessProbe.grpc.mode: not versioned by the "
            "LeaderWorkerSet API: a change of it alone starts no update, and reaches the pods with the next one",
        )
    assert warnings(sample(), sample()) == ()


def test_several_errors_are_one_list() -> None:
    text = message(created(sample(replicas=-1, template={"size": 0})))
    assert text.startswith("[spec.replicas: ")
    assert text.endswith("]")
