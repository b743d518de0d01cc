"""An installation broken on purpose: what is wrong, and what to do, is said wherever a user would look.

Each break is read off the same four places: the events of the set, its record, `lws-sched explain` and `lws-sched
check`. Once it is mended as they say, the group is placed.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lws_sched.admission import certificates
from tests.controlplane.client import path_of
from tests.controlplane.wait import wait_until
from tests.scenarios.manifests import LeaderWorkerSet, lws
from tests.system.product import EXTENDER
from tests.system.test_asking_plane import RECORDS, SETS, TEAM, Asking, asking_on

pytestmark = pytest.mark.plane

PODS = path_of("pods", TEAM)
EVENTS = path_of("events.k8s.io/v1/events", TEAM)
ROLES = path_of("rbac.authorization.k8s.io/v1/clusterroles")
POD_WEBHOOK = path_of("admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", name="lws-sched-pod-placement")
GIVE_RIGHTS = "give lws-sched the rights of its roles again"
APPLY = "fix: kubectl apply --server-side -k deploy"


@pytest.fixture(scope="module")
def asking() -> Iterator[Asking]:
    with asking_on(racks=2, hosts=4) as asking:
        yield asking


@pytest.fixture(autouse=True)
def an_empty_team(asking: Asking) -> Iterator[None]:
    """What a test has made takes no room from the next."""
    yield
    client = asking.plane.client
    client.delete(SETS, {"propagationPolicy": "Background"})
    wait_until(lambda: not client.list(PODS), "the team's pods are gone", 60)


@contextmanager
def without_right(asking: Asking, account: str, resource: str, *verbs: str) -> Iterator[None]:
    """Somebody took these verbs off the account's role."""
    client, path = asking.plane.client, f"{ROLES}/{account}"
    before = client.get(path)["rules"]
    kept = [
        {**rule, "verbs": [each for each in rule["verbs"] if resource not in rule["resources"] or each not in verbs]}
        for rule in before
    ]
    client.patch(path, {"rules": [rule for rule in kept if rule["verbs"]]})
    try:
        yield
    finally:
        client.patch(path, {"rules": before})


def apply(asking: Asking, manifest: LeaderWorkerSet) -> None:
    asking.plane.client.create(SETS, manifest.body)


def notes(asking: Asking, name: str) -> str:
    """What events say about objects of that name."""
    found = asking.plane.client.list(EVENTS)
    return "\n".join(each.get("note") or "" for each in found if (each.get("regarding") or {}).get("name") == name)


def status(asking: Asking, group: str) -> dict[str, Any]:
    record = asking.plane.client.find(f"{RECORDS}/{group}")
    return dict(record["status"]) if record else {}


def is_placed(asking: Asking, name: str) -> bool:
    pods = [each for each in asking.plane.client.list(PODS) if each["metadata"]["name"].startswith(f"{name}-")]
    return len(pods) == 2 and all(each["spec"].get("nodeName") for each in pods)


def eventually_placed(asking: Asking, name: str) -> None:
    wait_until(lambda: is_placed(asking, name), f"{name} is placed once all is mended", 60)
    asking.plane.client.delete(f"{SETS}/{name}", {"propagationPolicy": "Background"})


def test_without_the_right_to_bind_the_group_says_so_and_is_bound_once_it_is_given_back(asking: Asking) -> None:
    with without_right(asking, "lws-sched-extender", "pods/binding", "create"):
        apply(asking, lws("unbound", size=2).required())
        wait_until(lambda: "pods/binding" in status(asking, "unbound-0").get("reason", ""), "the record says why", 30)

        assert GIVE_RIGHTS in status(asking, "unbound-0")["fix"]
        told = notes(asking, "unbound")
        assert 'groups of unbound wait: pods "unbound-0' in told
        assert GIVE_RIGHTS in told
        explained = asking.ask("explain", f"{TEAM}/unbound").out
        assert 'cannot create resource "pods/binding"' in explained
        assert f"fix: {GIVE_RIGHTS}" in explained
        checked = asking.ask("check")
        assert (checked.code, "lws-sched-extender may not create pods/binding" in checked.out) == (1, True)
        assert APPLY in checked.out
    wait_until(lambda: status(asking, "unbound-0").get("state") == "Bound", "it is bound", 60)
    assert "reason" not in status(asking, "unbound-0")
    eventually_placed(asking, "unbound")


def test_without_the_right_to_keep_records_the_set_is_told(asking: Asking) -> None:
    with without_right(asking, "lws-sched-extender", "groupplacements", "create"):
        apply(asking, lws("unrecorded", size=2).required())
        wait_until(lambda: "groupplacements" in notes(asking, "unrecorded"), "the set is told", 30)

        told = notes(asking, "unrecorded")
        assert "groups of unrecorded wait: groupplacements.lws-sched.io is forbidden" in told
        assert GIVE_RIGHTS in told
        explained = asking.ask("explain", f"{TEAM}/unrecorded").out
        assert "why: there is no GroupPlacement of it" in explained
        assert "fix: see whether the extender runs: `lws-sched check`" in explained
        checked = asking.ask("check").out
        assert "lws-sched-extender may not create groupplacements" in checked
        assert APPLY in checked
    eventually_placed(asking, "unrecorded")


def test_without_the_right_to_make_pods_appear_the_set_is_told(asking: Asking) -> None:
    with without_right(asking, "lws-sched-controller", "statefulsets", "create", "patch"):
        apply(asking, lws("unmade", size=2).required())
        wait_until(lambda: "statefulsets" in notes(asking, "unmade"), "the set is told", 30)

        assert "Failed to create leader statefulset unmade" in notes(asking, "unmade")
        wait_until(lambda: status(asking, "unmade-0").get("state") == "Reserved", "its place is kept", 30)
        explained = asking.ask("explain", f"{TEAM}/unmade").out
        assert "why: none of its pods exists, which the controller makes within seconds" in explained
        assert "`kubectl describe leaderworkerset unmade`, and `lws-sched check`" in explained
        checked = asking.ask("check").out
        assert "lws-sched-controller may not create statefulsets, patch statefulsets" in checked
    eventually_placed(asking, "unmade")


def test_a_webhook_whose_certificate_has_ended_and_that_nobody_serves_is_named(asking: Asking) -> None:
    client = asking.plane.client
    asking.plane.stop_component(EXTENDER)
    try:
        ended = certificates.issue(["x"], time.time() - 2 * 365 * 86400).authority
        value = base64.b64encode(ended).decode()
        client.patch(
            POD_WEBHOOK, [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": value}], "json"
        )
        apply(asking, lws("unseen", size=2).required())
        wait_until(lambda: "failed calling webhook" in notes(asking, "unseen"), "its StatefulSet says so", 30)

        explained = asking.ask("explain", f"{TEAM}/unseen")
        assert 'no pod of unseen could be created now: Internal error occurred: failed calling webhook "pods.lws' in (
            explained.err
        )
        assert "`lws-sched check` tells more" in explained.err
        assert "fix: see whether the extender runs: `lws-sched check`" in explained.out
        checked = asking.ask("check").out
        assert "the certificate authority ended on 20" in checked
        assert "fix: restart the extender: it makes a new one" in checked
    finally:
        asking.plane.start_component(EXTENDER)
    eventually_placed(asking, "unseen")


@pytest.mark.parametrize(
    ("manifest", "why", "fix"),
    [
        (lws("mislabelled", size=2).required("rak"), "no node carries the topology level or label rak", "ask for rack"),
        (
            lws("oversized", size=5).required(),
            "rack-00, holds 4 even when empty",
            "ask for topology.lws-sched.io/block",
        ),
    ],
    ids=["a wrong label", "a group too large"],
)
def test_what_cannot_be_is_said_in_the_same_words_everywhere(
    asking: Asking, manifest: LeaderWorkerSet, why: str, fix: str
) -> None:
    apply(asking, manifest)
    group = f"{manifest.name}-0"
    wait_until(lambda: notes(asking, manifest.name).count("waits"), "the set is told", 30)

    said = status(asking, group)
    assert (why in said["reason"], fix in said["fix"]) == (True, True), said
    assert f"group {group} waits: {said['reason']}; {said['fix']}" in notes(asking, manifest.name)
    explained = asking.ask("explain", f"{TEAM}/{manifest.name}").out
    assert f"why: {said['reason']}" in explained
    assert f"fix: {said['fix']}" in explained
