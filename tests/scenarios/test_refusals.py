"""What cannot be done ends in one sentence on the object that asked for it, and is in nobody's way."""

from __future__ import annotations

import re

import pytest

from tests.controlplane.nodes import RACK_LABEL
from tests.scenarios.cluster import PODS, RECORDS, SETS, Cluster
from tests.scenarios.conditions import all_groups_complete, no_pod_is_bound, records_are, says
from tests.scenarios.manifests import REQUIRED, LeaderWorkerSet, lws, pod

UNKNOWN_LEVEL = lws("asker", size=2).required("rak")
TOO_LARGE = lws("asker", size=5).required("rack")
UNKNOWN_RESOURCE = lws("asker", size=2).required("rack").needing("example.com/tensor", 1)


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        pytest.param(UNKNOWN_LEVEL, r"no node carries the topology level or label rak", id="an unknown level"),
        pytest.param(TOO_LARGE, r"5 .*(rack|hosts)", id="a group larger than any rack"),
        pytest.param(UNKNOWN_RESOURCE, r"example.com/tensor, and no node offers it", id="a resource nobody offers"),
    ],
)
def test_what_cannot_be_placed_says_why_and_is_in_nobodys_way(
    cluster: Cluster, manifest: LeaderWorkerSet, reason: str
) -> None:
    cluster.has_racks(2, hosts=4)
    cluster.apply(manifest)
    cluster.eventually(says("asker", rf"^group asker-0 waits: .*{reason}"))
    cluster.eventually(records_are("Waiting", ["asker-0"]))
    assert_one_sentence(next(note for note in cluster.notes_on("asker") if "waits" in note))
    status = (cluster.record("asker-0") or {})["status"]
    assert re.search(reason, status["reason"])
    cluster.eventually(says("asker-0", rf"^group asker-0 waits: .*{reason}"))
    cluster.apply(lws("other", replicas=2, size=4).exclusive())
    cluster.eventually(all_groups_complete("other"))
    assert no_pod_is_bound("asker")(cluster) == ""


def test_a_set_with_resource_claims_is_refused_in_one_sentence_and_is_in_nobodys_way(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4)
    manifest = lws("claimant", size=2)
    template = manifest.body["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]
    template["resourceClaims"] = [{"name": "device", "resourceClaimTemplateName": "device"}]
    cluster.apply(manifest)
    cluster.eventually(says("claimant", r"^claimant uses resource claims .*which lws-sched cannot place"))
    assert_one_sentence(next(note for note in cluster.notes_on("claimant") if "resource claims" in note))
    cluster.apply(lws("other", size=4).exclusive())
    cluster.eventually(all_groups_complete("other"))
    assert no_pod_is_bound("claimant")(cluster) == ""
    assert cluster.records("claimant") == {}


def test_nodes_without_the_label_say_so(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4, labelled=False)
    cluster.has_racks(1, hosts=2, accelerators=0)
    cluster.apply(lws("asker", size=2).exclusive())
    cluster.eventually(says("asker", rf"label {RACK_LABEL}"))
    cluster.apply(lws("other", size=2))
    cluster.eventually(all_groups_complete("other"))
    cluster.has_racks(1, hosts=2)
    cluster.eventually(all_groups_complete("asker"))


def test_a_group_split_between_two_schedulers_is_refused_at_admission(cluster: Cluster) -> None:
    manifest = lws("torn", size=2).leaders_on_default_scheduler()
    said = cluster.refusal_of(SETS, manifest.body)
    assert "schedulerName" in said
    assert "must be the workers' schedulerName (lws-sched)" in said


def test_a_malformed_topology_is_refused_at_admission(cluster: Cluster) -> None:
    said = cluster.refusal_of(SETS, lws("odd", size=2).required("a rack!").body)
    assert REQUIRED in said
    assert "must be a level name or node label key" in said
    assert cluster.all(RECORDS) == []


def test_a_topology_annotation_on_a_pod_of_no_group_is_refused_where_we_are_its_scheduler(cluster: Cluster) -> None:
    said = cluster.refusal_of(PODS, pod("lonely", scheduler="lws-sched", annotations={REQUIRED: "rack"}))
    assert "pod lonely has the annotation lws-sched.io/required-topology but belongs to no group" in said


def test_a_topology_annotation_on_a_pod_of_another_scheduler_is_answered_by_an_event(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=1)
    cluster.create(PODS, pod("lonely", annotations={REQUIRED: "rack"}))
    cluster.eventually(says("lonely", "has no effect: the pod belongs to no group"))
    assert_one_sentence(cluster.notes_on("lonely")[0])


def assert_one_sentence(note: str) -> None:
    """Readable as it stands: one line, no traceback, no internal name."""
    assert "\n" not in note
    assert 20 < len(note) < 500
    assert not re.search(r"Traceback|Error\(|<.* object|None\b", note)
