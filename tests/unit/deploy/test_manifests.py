"""The scheduler's configuration, the roles and the samples must agree with the code."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from lws_sched.admission.registration import CONTROLLER, EXTENDER
from lws_sched.api import names
from lws_sched.api.core import PodSpec
from lws_sched.api.lws import LEADER_READY, LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.api.placement import GROUP_PLACEMENT
from tests.unit.deploy.manifests import DEPLOY, Json, document, documents, files

SCHEDULER_FILE = "scheduler/kube-scheduler-config.yaml"
SAMPLES = files("samples")


def the_extender() -> Json:
    (extender,) = document(SCHEDULER_FILE)["extenders"]
    return dict(extender)


def cluster_role(path: str) -> list[Json]:
    (role,) = [d for d in documents(path) if d["kind"] == "ClusterRole"]
    rules: list[Json] = role["rules"]
    return rules


def verbs(path: str, group: str, resource: str) -> set[str]:
    return {
        verb
        for rule in cluster_role(path)
        if group in rule["apiGroups"] and resource in rule["resources"]
        for verb in rule["verbs"]
    }


def sets(path: str) -> list[LeaderWorkerSet]:
    """The LeaderWorkerSets of a sample, which may bring other objects along."""
    found = [each for each in documents(path) if each["kind"] == LEADER_WORKER_SET.kind]
    return [msgspec.convert(each, LeaderWorkerSet) for each in found]


def sample(path: str) -> LeaderWorkerSet:
    (only,) = sets(path)
    return only


def pod_spec(template: Json) -> PodSpec:
    return msgspec.convert(template["spec"], PodSpec)


def test_our_profile_stands_beside_the_default_one() -> None:
    profiles = document(SCHEDULER_FILE)["profiles"]

    assert [profile["schedulerName"] for profile in profiles] == ["default-scheduler", names.SCHEDULER]
    assert profiles[0] == {"schedulerName": "default-scheduler"}


def test_our_profile_looks_at_every_node_and_never_evicts_a_single_pod() -> None:
    ours = document(SCHEDULER_FILE)["profiles"][1]

    assert ours["percentageOfNodesToScore"] == 100
    assert ours["plugins"]["postFilter"]["disabled"] == [{"name": "DefaultPreemption"}]


def test_the_extender_is_asked_to_filter_bind_and_preempt_and_its_failure_is_not_passed_over() -> None:
    extender = the_extender()

    assert (extender["filterVerb"], extender["bindVerb"], extender["preemptVerb"]) == ("filter", "bind", "preempt")
    assert (extender["nodeCacheCapable"], extender["ignorable"], extender["httpTimeout"]) == (True, False, "15s")
    assert urlsplit(extender["urlPrefix"]).port == 8900


def test_the_managed_resources_are_those_of_the_code() -> None:
    listed = the_extender()["managedResources"]

    assert tuple(resource["name"] for resource in listed) == names.MANAGED_RESOURCES
    assert all(resource["ignoredByScheduler"] is False for resource in listed)


def test_the_installation_lists_every_crd_and_role() -> None:
    for folder in document("kustomization.yaml")["resources"]:
        assert sorted(document(f"{folder}/Kustomization")["resources"]) == [
            path.rpartition("/")[2] for path in files(folder)
        ]


@pytest.mark.parametrize(
    ("path", "group", "resource", "needed"),
    [
        ("rbac/extender.yaml", GROUP_PLACEMENT.group, GROUP_PLACEMENT.plural, {"create", "update", "delete", "watch"}),
        ("rbac/extender.yaml", "", "pods", {"list", "watch", "get", "create", "patch", "delete"}),
        ("rbac/extender.yaml", "", "pods/binding", {"create"}),
        ("rbac/controller.yaml", LEADER_WORKER_SET.group, "leaderworkersets/status", {"patch"}),
        ("rbac/controller.yaml", "apps", "statefulsets", {"list", "watch", "create", "patch"}),
        ("rbac/controller.yaml", "", "pods", {"list", "watch", "delete"}),
    ],
)
def test_a_component_may_do_what_it_does(path: str, group: str, resource: str, needed: set[str]) -> None:
    assert needed <= verbs(path, group, resource)


def test_nobody_but_the_extender_may_write_placements_or_bind() -> None:
    others = ["rbac/controller.yaml"]
    for path in others:
        assert not verbs(path, GROUP_PLACEMENT.group, GROUP_PLACEMENT.plural) & {"create", "update", "patch", "delete"}
        assert not verbs(path, "", "pods/binding")


@pytest.mark.parametrize(
    ("path", "resource", "name"),
    [
        ("rbac/controller.yaml", "mutatingwebhookconfigurations", CONTROLLER.mutating),
        ("rbac/controller.yaml", "validatingwebhookconfigurations", CONTROLLER.validating),
        ("rbac/extender.yaml", "mutatingwebhookconfigurations", EXTENDER.mutating),
    ],
)
def test_a_component_may_write_its_own_webhook_configuration_only(path: str, resource: str, name: str) -> None:
    creating, keeping = (rule for rule in cluster_role(path) if resource in rule.get("resources", ()))

    # Kubernetes cannot restrict creation to a name.
    assert (creating["verbs"], creating.get("resourceNames")) == (["create"], None)
    assert (keeping["verbs"], keeping["resourceNames"]) == (["get", "patch"], [name])


@pytest.mark.parametrize("path", SAMPLES)
def test_a_sample_is_placed_by_us_and_says_where(path: str) -> None:
    for lws in sets(path):
        template = lws.spec.leader_worker_template
        specs = [pod_spec(t) for t in (template.actual_leader_template, template.worker_template)]

        assert {spec.scheduler_name for spec in specs} == {names.SCHEDULER}
        assert {names.REQUIRED_TOPOLOGY, names.EXCLUSIVE_TOPOLOGY} & lws.metadata.annotations.keys()
        known = {*names.TOPOLOGY_ANNOTATIONS, names.EXCLUSIVE_TOPOLOGY}
        assert lws.metadata.annotations.keys() <= known
        assert lws.metadata.name.startswith(Path(path).stem)


@pytest.mark.parametrize("path", SAMPLES)
def test_a_sample_says_on_top_what_it_shows(path: str) -> None:
    first, *_ = (DEPLOY / path).read_text().splitlines()
    assert first.startswith("# ")
    assert len(first) > 40


@pytest.mark.parametrize("path", SAMPLES)
def test_the_accelerators_of_a_sample_are_managed(path: str) -> None:
    for lws in sets(path):
        (container,) = pod_spec(lws.spec.leader_worker_template.worker_template).containers

        assert set(container.resources.limits) - {"cpu", "memory"} <= set(names.MANAGED_RESOURCES)
        assert set(container.resources.limits) & set(names.MANAGED_RESOURCES)


def test_the_trap_is_24_groups_of_12_hosts_each_in_a_rack_of_its_own() -> None:
    lws = sample("samples/trap.yaml")

    assert (lws.spec.replicas, lws.spec.leader_worker_template.size) == (24, 12)
    assert lws.metadata.annotations == {names.EXCLUSIVE_TOPOLOGY: "topology.lws-sched.io/rack"}


def test_the_cpu_leader_asks_for_no_accelerator() -> None:
    template = sample("samples/cpu-leader.yaml").spec.leader_worker_template

    (leader,) = pod_spec(template.actual_leader_template).containers
    asked = {*leader.resources.requests, *leader.resources.limits}
    assert not asked & set(names.MANAGED_RESOURCES)


def test_the_leader_ready_sample_waits_for_its_leader() -> None:
    assert sample("samples/leader-ready.yaml").spec.startup_policy == LEADER_READY
