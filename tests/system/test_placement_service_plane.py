"""The placement service of a running extender, on a real API server, asked as users of a namespace would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from lws_sched.service import placement_pb2 as pb
from lws_sched.service.placement_pb2_grpc import PlacementStub
from tests.collector import Got, collecting
from tests.controlplane.client import path_of
from tests.controlplane.nodes import create_nodes, rack_nodes
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOCALHOST
from tests.controlplane.start import start_plane
from tests.controlplane.wait import wait_until
from tests.scenarios.manifests import lws
from tests.system.product import EXTENDER, LwsSched
from tests.system.replicas import NAMESPACE

pytestmark = pytest.mark.plane

TEAM = "team"
SETS = path_of("leaderworkerset.x-k8s.io/v1/leaderworkersets", TEAM)
RECORDS = path_of("lws-sched.io/v1alpha1/groupplacements", TEAM)
PUBLISHED = path_of("configmaps", NAMESPACE, "lws-sched-placement")
BIND = """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: planners, namespace: team}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: lws-sched-view}
subjects: [{kind: ServiceAccount, name: planner, namespace: team}]
"""


@dataclass
class Service:
    product: LwsSched
    folder: Path
    traces: Got
    """What both programs tell a collector."""

    @property
    def plane(self) -> ControlPlane:
        return self.product.plane

    @property
    def address(self) -> str:
        return f"{LOCALHOST}:{self.product.placement_port}"

    def token(self, account: str) -> str:
        return self.plane.kubectl("create", "token", account, f"--namespace={TEAM}").strip()

    def channel(self) -> grpc.Channel:
        published = self.plane.client.get(PUBLISHED)["data"]
        options = (("grpc.ssl_target_name_override", published["server-name"]),)
        return grpc.secure_channel(self.address, grpc.ssl_channel_credentials(published["ca.crt"].encode()), options)

    def command(self, account: str, *argv: str) -> tuple[int, str, str]:
        """A command as the account runs it, with a kubeconfig that holds its token and nothing else."""
        config = yaml.safe_load(self.plane.kubeconfig.read_text())
        config["users"] = [{"name": "admin", "user": {"token": self.token(account)}}]
        path = self.folder / f"{account}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        whole = [sys.executable, "-m", "lws_sched.cli.main", *argv, "--kubeconfig", str(path)]
        environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        done = subprocess.run(whole, capture_output=True, text=True, timeout=60, env=environment, check=False)
        return done.returncode, done.stdout, done.stderr

    def file(self, name: str, manifest: Any) -> str:
        path = self.folder / name
        path.write_text(yaml.safe_dump(manifest.body))
        return str(path)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Three racks of four hosts. In `team`: llama stands, wide waits; planner may look there, stranger may nothing."""
    with start_plane() as plane, collecting() as (collector, traces):
        tracing = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector, "OTEL_BSP_SCHEDULE_DELAY": "500"}
        product = LwsSched(plane, tracing)
        product.install()
        create_nodes(plane, rack_nodes(3, 4))
        plane.create_namespace(TEAM)
        for account in ("planner", "stranger"):
            plane.kubectl("create", "serviceaccount", account, f"--namespace={TEAM}")
        plane.kubectl("apply", "-f", "-", input=BIND)
        for each in (lws("llama", replicas=1, size=4).required(), lws("wide", replicas=1, size=6).required()):
            plane.client.create(SETS, each.body)
        states = {"llama-0": "Bound", "wide-0": "Waiting"}
        wait_until(lambda: states_of(plane) == states, "llama stands and wide waits", 60)
        yield Service(product, tmp_path_factory.mktemp("service"), traces)


def states_of(plane: ControlPlane) -> dict[str, str]:
    return {each["metadata"]["name"]: each["status"]["state"] for each in plane.client.list(RECORDS)}


def mine(service: Service, account: str = "planner", timeout: float = 30.0) -> dict[str, Any]:
    return {"timeout": timeout, "metadata": [("authorization", f"Bearer {service.token(account)}")]}


def test_what_became_of_a_group_reaches_a_collector_of_traces(service: Service) -> None:
    found: dict[str, set[str]] = {"lws-controller": set(), "lws-extender": set()}
    bound: set[str] = set()

    def is_told() -> bool:
        while not service.traces.empty():
            for resource in service.traces.get().resource_spans:
                named = {each.key: each.value.string_value for each in resource.resource.attributes}
                for span in (each for scope in resource.scope_spans for each in scope.spans):
                    found[named["service.name"]].add(span.name)
                    attributes = {each.key: each.value.string_value for each in span.attributes}
                    bound.update([attributes["k8s.pod.name"]] if span.name == "bind" else [])
        return {"plan", "decide", "commit", "record", "bind"} <= found["lws-extender"] and len(bound) >= 4

    wait_until(is_told, "the spans of a group's way have come", 30)
    assert bound == {"llama-0", "llama-0-1", "llama-0-2", "llama-0-3"}
    assert {"reconcile sets", "reconcile groups"} <= found["lws-controller"]


def test_the_service_says_that_it_is_well(service: Service) -> None:
    wait_until(lambda: service.plane.client.list(path_of("configmaps", NAMESPACE)), "its authority is published")
    with service.channel() as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_user_of_a_namespace_may_plan_and_explain_there_without_seeing_nodes(service: Service) -> None:
    new = service.file("new.yaml", lws("new", replicas=3, size=4).required())

    code, out, said = service.command(
        "planner", "plan", "-f", new, "-n", TEAM, "-o", "json", "--server", service.address
    )
    groups = json.loads(out)["groups"]
    assert (code, [group["feasible"] for group in groups].count(True)) == (3, 2), said
    assert "may not create such sets in team" in said

    code, out, said = service.command("planner", "explain", f"{TEAM}/wide", "--server", service.address)
    assert (code, "why: " in out) == (0, True), said
    assert service.command("planner", "plan", "-f", new, "-n", TEAM)[0] == 1


def test_an_administrator_gets_from_the_service_what_the_command_works_out(service: Service) -> None:
    new = service.file("new.yaml", lws("new", replicas=3, size=4).required())
    environment = {**os.environ, "LWS_SCHED_TOKEN": service.plane.token}
    for argv in (
        ["plan", "-f", new, "-n", TEAM],
        ["explain", "llama", "-n", TEAM],
        ["explain", "wide", "-n", TEAM],
        ["defrag", "--for", new, "-n", TEAM],
    ):
        whole = [sys.executable, "-m", "lws_sched.cli.main", *argv, "-o", "json"]
        whole += ["--kubeconfig", str(service.plane.kubeconfig)]
        asked, direct = (
            subprocess.run(each, capture_output=True, text=True, timeout=60, env=environment, check=False)
            for each in ([*whole, "--server", service.address], whole)
        )
        assert json.loads(asked.stdout) == json.loads(direct.stdout), asked.stderr
        assert asked.returncode == direct.returncode


def test_the_service_is_asked_without_being_named_where_the_cluster_tells_its_address(service: Service) -> None:
    """Told of in the team's namespace, as if lws-sched were installed there; the planner may not see nodes."""
    team = f"--namespace={TEAM}"
    planner = f"--user=system:serviceaccount:{TEAM}:planner"
    service.plane.kubectl("create", "role", "read", "--verb=get", "--resource=configmaps", team)
    service.plane.kubectl("create", "rolebinding", "read", "--role=read", planner, team)
    data = service.plane.client.get(PUBLISHED)["data"]
    copies = path_of("configmaps", TEAM)
    told = {"metadata": {"name": "lws-sched-placement"}, "data": {**data, "address": service.address}}
    service.plane.client.create(copies, told)
    argv = ("plan", "-f", service.file("new.yaml", lws("new", replicas=3, size=4).required()), "-n", TEAM)

    code, out, said = service.command("planner", *argv, "-o", "json", "--server-namespace", TEAM)
    assert (code, len(json.loads(out)["groups"])) == (3, 3), said

    nobody = f"{LOCALHOST}:1"
    service.plane.client.patch(f"{copies}/lws-sched-placement", {"data": {"address": nobody}})
    code, out, said = service.command("planner", *argv, "--server-namespace", TEAM)
    assert (code, out) == (1, "")
    assert f"note: the cluster is read, as the placement service at {nobody} has no answer: " in said
    assert "may not list nodes" in said or "nodes is forbidden" in said


def test_who_may_not_is_told_what_is_missing(service: Service) -> None:
    code, _, said = service.command("stranger", "explain", f"{TEAM}/llama", "--server", service.address)

    assert (code, said.strip()) == (
        1,
        f"lws-sched: the placement service at {service.address} says: system:serviceaccount:team:stranger may not get "
        "groupplacements.lws-sched.io in the namespace team: bind it to the role lws-sched-view",
    )
    code, _, said = service.command("planner", "explain", f"{TEAM}/llama", "--server", f"{LOCALHOST}:1")
    assert (code, "does not answer" in said) == (1, True)


def test_a_watcher_sees_a_group_come_and_hears_that_the_replica_stops(service: Service) -> None:
    with service.channel() as channel:
        stream = PlacementStub(channel).WatchPlacements(pb.WatchPlacementsRequest(namespace=TEAM), **mine(service))
        while next(stream).type != pb.PlacementEvent.COMPLETE:
            pass
        service.plane.client.create(SETS, lws("late", replicas=1, size=2).body)
        states: list[str] = []
        while not states or states[-1] != "Bound":
            event = next(stream)
            if event.placement.name == "late-0":
                states.append(event.placement.state)
        assert {"Reserved", "Committed"} <= set(states)

        began = time.monotonic()
        service.plane.stop_component(EXTENDER)
        with pytest.raises(grpc.RpcError) as raised:
            deque(stream)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert time.monotonic() - began < 15
    service.plane.start_component(EXTENDER)


def test_calls_are_counted_and_no_secret_is_logged(service: Service) -> None:
    token = service.token("planner")
    request = pb.ExplainRequest(namespace=TEAM, name="nothing")
    with service.channel() as channel, pytest.raises(grpc.RpcError):
        PlacementStub(channel).Explain(request, timeout=30, metadata=[("authorization", f"Bearer {token}")])

    text = service.product.metrics(EXTENDER)
    (counted,) = (line for line in text.splitlines() if 'grpc_method="Explain"' in line and "NotFound" in line)
    assert (counted.partition("{")[0], counted.rpartition(" ")[2]) == ("grpc_server_handled_total", "1.0")
    log = (service.plane.logs / f"{EXTENDER}.log").read_text()
    assert token.rpartition(".")[2] not in log
    assert "forbidden" not in log.lower()
