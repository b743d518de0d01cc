"""The roles are enough for everything that the programs do, and allow nothing that they do not do.

Scenarios run on the default installation, each program under its own service account, while the API server writes down
what each account asks for: as few as use every right once. That the rights are enough for all else is seen in every
other test on the control plane, as the programs have the same accounts there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.controlplane.client import path_of
from tests.controlplane.plane import ControlPlane
from tests.controlplane.wait import wait_until
from tests.scenarios import test_foreign_gates as foreign_gates
from tests.scenarios import test_life_of_a_group as life
from tests.scenarios import test_lws_api as api
from tests.scenarios import test_preemption as preemption
from tests.scenarios.cluster import Cluster
from tests.scenarios.conditions import all_groups_complete, only_groups_are
from tests.scenarios.manifests import lws
from tests.scenarios.plane_cluster import PlaneCluster
from tests.system.audit import Audit, Right, granted, rights, unused
from tests.system.product import CONTROLLER, EXTENDER
from tests.system.replicas import NAMESPACE
from tests.system.second_scheduler import SecondScheduler

pytestmark = pytest.mark.plane

PRIVATE, PUBLIC = "tls.key", "ca.crt"
KEPT_WHOLE = {
    path_of("secrets", NAMESPACE, "lws-webhook-server-cert"): PRIVATE,
    path_of("secrets", NAMESPACE, "lws-sched-extender-cert"): PRIVATE,
    path_of("secrets", NAMESPACE, "lws-sched-extender-verbs"): PRIVATE,
    path_of("configmaps", NAMESPACE, "lws-sched-placement"): PUBLIC,
}
"""What the programs keep, and a key of its data."""
_REGISTERED = "admissionregistration.k8s.io/v1"
WEBHOOKS = (
    path_of(f"{_REGISTERED}/mutatingwebhookconfigurations", name="lws-mutating-webhook-configuration"),
    path_of(f"{_REGISTERED}/validatingwebhookconfigurations", name="lws-validating-webhook-configuration"),
    path_of(f"{_REGISTERED}/mutatingwebhookconfigurations", name="lws-sched-pod-placement"),
)
ACCOUNTS = ("lws-sched-controller", "lws-sched-extender", "lws-sched-scheduler")


def a_group_with_a_restart_budget_fails_and_another_goes(cluster: Cluster) -> None:
    cluster.has_racks(1, hosts=4)
    cluster.apply(lws("limited", replicas=2, size=2).required().restarts_at_most(3))
    cluster.eventually(all_groups_complete("limited"))
    before = cluster.uids("limited")
    cluster.scale("limited", 1)
    cluster.eventually(only_groups_are("limited", ["limited-0"]))
    cluster.delete_pod("limited-0-1")
    cluster.eventually(all_groups_complete("limited", other_than=before))


SCENARIOS: tuple[Callable[..., Any], ...] = (
    life.test_the_same_manifest_without_our_scheduler_is_a_plain_leaderworkerset,
    api.test_an_update_by_surge_in_which_the_set_grows_and_then_shrinks_to_nothing,
    api.test_services_follow_the_groups_from_one_network_to_the_other_and_back,
    preemption.test_a_group_of_higher_priority_takes_the_place_of_a_whole_one,
    foreign_gates.test_plain_pods_that_carry_the_labels_of_a_group_are_placed_as_one,
    a_group_with_a_restart_budget_fails_and_another_goes,
)
_OWNER = "asked for by OwnerReferencesPermissionEnforcement, which is on here, in no request of its own"
KEPT: dict[str, dict[str, str]] = {
    "lws-sched-controller": {
        "update leaderworkersets/finalizers.leaderworkerset.x-k8s.io": _OWNER,
        "update pods/finalizers": _OWNER,
    },
    "lws-sched-extender": {"update leaderworkersets/finalizers.leaderworkerset.x-k8s.io": _OWNER},
    "lws-sched-scheduler": {},
}
"""Rights that no request names, and why each is there. Reviewed by hand: add only what you have seen to be needed."""
RARE: dict[str, dict[str, str]] = {
    "lws-sched-controller": {
        "get pods": "a deleted leader is seen to go after its StatefulSet: tests/unit/controller",
    },
    "lws-sched-extender": {
        "get groupplacements.lws-sched.io": "the answer to a reservation's write is lost: tests/drills/simulated.py",
    },
    "lws-sched-scheduler": {},
}
"""Rights for what only a fault brings about, which may or may not happen here; and the tests that bring it about."""


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return Audit(tmp_path_factory.mktemp("audit"))


@pytest.fixture(scope="module")
def product(audit: Audit) -> Iterator[SecondScheduler]:
    strict = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
    with ControlPlane(apiserver_args=[*audit.arguments, strict]) as plane:
        product = SecondScheduler(plane, serves_people=True)
        product.install()
        yield product


@pytest.fixture(scope="module")
def exercised(product: SecondScheduler, tmp_path_factory: pytest.TempPathFactory) -> SecondScheduler:
    """After everything that the programs do was done once."""
    for number, scenario in enumerate(SCENARIOS):
        cluster = PlaneCluster(product, number, tmp_path_factory.mktemp("log"))
        cluster.open()
        try:
            scenario(cluster)
        finally:
            cluster.close()
    upkeep(product)
    return product


def upkeep(product: SecondScheduler) -> None:
    """Somebody spoils what the programs keep, and then deletes it; somebody reads the metrics."""
    client = product.plane.client

    def are_whole() -> bool:
        found = [client.find(path) for path in KEPT_WHOLE]
        is_whole = all(each and key in each["data"] for each, key in zip(found, KEPT_WHOLE.values(), strict=True))
        return is_whole and all(client.find(path) for path in WEBHOOKS)

    for path, key in KEPT_WHOLE.items():
        client.patch(path, {"data": {key: None}})
    wait_until(are_whole, "the programs mend what was spoilt", 60)
    for path in (*KEPT_WHOLE, *WEBHOOKS):
        client.delete(path)
    for name in (CONTROLLER, EXTENDER):
        assert "leader_election_master_status" in product.metrics(name)
    wait_until(are_whole, "the programs make anew what was deleted", 60)


@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_may_do_all_that_it_does(exercised: SecondScheduler, audit: Audit, account: str) -> None:
    assert audit.used(account), f"{account} asked for nothing"
    assert {str(right) for right in audit.refused(account)} == set()


@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_does_all_that_it_may(exercised: SecondScheduler, audit: Audit, account: str) -> None:
    allowed = granted(exercised.documents, account)
    left = {str(right) for right in unused(allowed, audit.used(account))}

    assert left - RARE[account].keys() == KEPT[account].keys()
    assert RARE[account].keys() <= {str(right) for right in allowed}


def test_a_rule_that_nothing_uses_is_found() -> None:
    rule = {"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get", "list"], "resourceNames": ["a"]}
    used = {Right("", "pods", "get", "a"), Right("", "pods", "list", "b"), Right("", "secrets", "get", "a")}

    assert unused(rights(rule), used) == {Right("", "pods", "list", "a"), Right("", "secrets", "list", "a")}
