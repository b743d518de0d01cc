"""The default installation on the real control plane: a second kube-scheduler that calls the extender over TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from http.client import HTTPSConnection
from typing import Any

import pytest
import yaml

from tests.controlplane.client import path_of
from tests.controlplane.nodes import create_nodes, rack_nodes
from tests.controlplane.start import start_plane
from tests.controlplane.wait import wait_until
from tests.system.product import DEPLOY
from tests.system.second_scheduler import SCHEDULER, SecondScheduler

pytestmark = pytest.mark.plane

FIRST = DEPLOY / "samples" / "first.yaml"
PODS = path_of("pods", "default")


@pytest.fixture(scope="module")
def product() -> Iterator[SecondScheduler]:
    with start_plane() as plane:
        create_nodes(plane, rack_nodes(2, 4))
        product = SecondScheduler(plane)
        product.install()
        yield product


def test_a_group_is_placed_whole_over_the_secured_calls(product: SecondScheduler) -> None:
    product.plane.kubectl("apply", "-f", str(FIRST))

    wait_until(lambda: all_bound(product, 8), "both groups are bound", 60)
    pods = product.plane.client.list(PODS)
    racks = {(pod["metadata"]["name"].split("-")[1], pod["spec"]["nodeName"].rpartition("-host")[0]) for pod in pods}
    assert len(racks) == 2, f"each group in one rack, and not {sorted(racks)}"
    tainted = product.plane.client.list(path_of("nodes"))
    assert all(any(t["key"] == "lws-sched.io/reserved" for t in each["spec"].get("taints", ())) for each in tainted)


def test_the_second_scheduler_leads_by_a_lease_of_its_own(product: SecondScheduler) -> None:
    lease = product.plane.client.get(path_of("coordination.k8s.io/v1/leases", "lws-system", SCHEDULER))

    assert lease["spec"]["holderIdentity"]


def test_nobody_else_is_answered(product: SecondScheduler) -> None:
    folder = product.mounted_secret()
    stranger = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    stranger.check_hostname = False
    with pytest.raises((ssl.SSLError, ConnectionError)):
        asked(product, stranger)

    stranger.load_cert_chain(folder / "client.crt", folder / "client.key")
    assert "NodeNames" in asked(product, stranger)


def test_new_certificates_reach_a_scheduler_that_is_restarted(product: SecondScheduler) -> None:
    """What docs/configuration.md says to do when a key was lost."""
    plane = product.plane
    before = (product.mounted_secret() / "ca.crt").read_bytes()
    plane.kubectl("delete", "secret", "lws-sched-extender-verbs", "--namespace=lws-system")
    secret = path_of("secrets", "lws-system", "lws-sched-extender-verbs")
    wait_until(lambda: plane.client.find(secret), "the extender makes new certificates", 30)
    folder = product.mounted_secret()
    assert (folder / "ca.crt").read_bytes() != before
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.check_hostname = False
    context.load_cert_chain(folder / "client.crt", folder / "client.key")
    wait_until(lambda: is_answered(product, context), "they are served", 30)

    plane.restart_component(SCHEDULER)
    plane.kubectl("delete", "-f", str(FIRST), "--cascade=foreground")
    again = yaml.safe_load(FIRST.read_text()) | {"metadata": {"name": "again"}}
    plane.kubectl("apply", "-f", "-", input=json.dumps(again))
    wait_until(lambda: all_bound(product, 8), "both groups are bound", 90)


def all_bound(product: SecondScheduler, count: int) -> bool:
    return len([pod for pod in product.plane.client.list(PODS) if pod["spec"].get("nodeName")]) == count


def is_answered(product: SecondScheduler, context: ssl.SSLContext) -> bool:
    try:
        return "NodeNames" in asked(product, context)
    except (ssl.SSLError, ConnectionError):
        return False


def asked(product: SecondScheduler, context: ssl.SSLContext) -> Any:
    connection = HTTPSConnection(*product.verbs_address, timeout=10, context=context)
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": []}}
    connection.request("POST", "/filter", json.dumps({"Pod": pod, "NodeNames": ["a"]}))
    return json.loads(connection.getresponse().read())
