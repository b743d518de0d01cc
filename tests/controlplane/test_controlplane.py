"""The harness keeps what it promises: a cluster that works, breaks on demand, comes back, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.controlplane import janitor
from tests.controlplane.client import ApiError, path_of
from tests.controlplane.nodes import NODES, set_readiness
from tests.controlplane.plane import ControlPlane, KubectlFailed
from tests.controlplane.process import ProcessFailed
from tests.controlplane.scheduler_config import load_scheduler_config
from tests.controlplane.start import start_plane
from tests.controlplane.wait import wait_until

REPOSITORY = Path(__file__).parents[2]
STOCK = ("etcd", "apiserver", "controller-manager", "scheduler", "kwok")
ANNOTATION = "controlplane.lws-sched.io"

pytestmark = pytest.mark.plane


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with start_plane(racks=2, hosts_per_rack=16) as plane:
        yield plane


def pod_path(name: str) -> str:
    return path_of("pods", "default", name)


def pod(name: str, scheduler: str = "default-scheduler", **annotations: str) -> dict[str, Any]:
    keyed = {f"{ANNOTATION}/{key.replace('_', '-')}": value for key, value in annotations.items()}
    container = {"name": "main", "image": "busybox", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    spec = {"schedulerName": scheduler, "containers": [container], "terminationGracePeriodSeconds": 1}
    return {"metadata": {"name": name, "annotations": keyed}, "spec": spec}


def is_ready(status: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))


def run_pod(plane: ControlPlane, name: str, scheduler: str = "default-scheduler", **annotations: str) -> None:
    """Create a pod, wait until it is Running and Ready."""
    plane.client.create(path_of("pods", "default"), pod(name, scheduler, **annotations))
    wait_until(lambda: is_ready(plane.client.get(pod_path(name))["status"]), f"pod {name} is Ready")


def delete_pod(plane: ControlPlane, name: str) -> None:
    plane.client.delete(pod_path(name))
    wait_until(lambda: plane.client.find(pod_path(name)) is None, f"pod {name} is gone")


def test_a_statefulset_runs_on_the_racks(plane: ControlPlane) -> None:
    template = pod("unused")
    template["metadata"] = {"labels": {"app": "web"}}
    template["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = "8"
    spec = {"replicas": 20, "podManagementPolicy": "Parallel", "serviceName": "web"}
    spec |= {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    path = path_of("apps/v1/statefulsets", "default")
    plane.client.create(path, {"metadata": {"name": "web"}, "spec": spec})

    wait_until(lambda: plane.client.get(f"{path}/web")["status"].get("readyReplicas") == 20, "20 replicas are Ready")
    pods = plane.client.list(path_of("pods", "default"), labelSelector="app=web")
    assert len({p["spec"]["nodeName"] for p in pods}) == 20
    assert all(p["status"]["phase"] == "Running" and p["status"]["podIP"] for p in pods)

    plane.client.delete(f"{path}/web", {"propagationPolicy": "Foreground"})
    wait_until(lambda: plane.client.find(f"{path}/web") is None, "the StatefulSet and its pods are gone")


@pytest.mark.parametrize("name", STOCK)
def test_a_killed_component_comes_back(plane: ControlPlane, name: str) -> None:
    plane.kill_component(name)
    assert not plane.component(name).alive
    plane.start_component(name)

    assert len(plane.client.list(NODES)) == 32
    run_pod(plane, f"after-kill-of-{name}")
    delete_pod(plane, f"after-kill-of-{name}")


@pytest.mark.parametrize("name", STOCK)
def test_a_component_restarts(plane: ControlPlane, name: str) -> None:
    plane.restart_component(name)
    run_pod(plane, f"after-restart-of-{name}")
    delete_pod(plane, f"after-restart-of-{name}")


@pytest.mark.parametrize("name", ["etcd", "apiserver"])
def test_with_the_store_those_come_back_that_would_be_slow_to_ask_it_again(plane: ControlPlane, name: str) -> None:
    before = {each: plane.component(each).launched_at for each in ("controller-manager", "kwok")}
    plane.kill_component(name)
    plane.start_component(name)
    assert all(plane.component(each).launched_at > at for each, at in before.items())


def test_a_paused_component_hangs_until_resumed(plane: ControlPlane) -> None:
    plane.component("scheduler").pause()
    plane.client.create(path_of("pods", "default"), pod("patient"))
    with pytest.raises(TimeoutError):
        wait_until(lambda: plane.client.get(pod_path("patient"))["spec"].get("nodeName"), "it is bound", timeout=1)
    plane.component("scheduler").resume()
    wait_until(lambda: is_ready(plane.client.get(pod_path("patient"))["status"]), "it is Ready")
    delete_pod(plane, "patient")


def test_the_scheduler_gets_its_configuration_at_its_next_start(plane: ControlPlane) -> None:
    plane.set_scheduler_config({"profiles": [{"schedulerName": "default-scheduler"}, {"schedulerName": "gang"}]})
    plane.restart_component("scheduler")
    run_pod(plane, "ganged", scheduler="gang")
    assert 'profile="gang",result="scheduled"' in plane.metrics("scheduler")
    delete_pod(plane, "ganged")
    plane.set_scheduler_config(None)
    plane.restart_component("scheduler")


def test_a_second_scheduler_is_supervised_like_the_stock_one(plane: ControlPlane, tmp_path: Path) -> None:
    config = tmp_path / "scheduler.yaml"
    config.write_text(yaml.safe_dump(plane.complete_scheduler_config({"profiles": [{"schedulerName": "second"}]})))
    plane.spawn("second", [str(plane.bin("kube-scheduler")), f"--config={config}", "--secure-port=0"])
    run_pod(plane, "by-second", scheduler="second")
    plane.kill_component("second")
    plane.start_component("second")
    delete_pod(plane, "by-second")
    run_pod(plane, "by-second", scheduler="second")
    plane.stop_component("second")
    delete_pod(plane, "by-second")


def test_load_scheduler_config_points_the_extender_at_us(tmp_path: Path) -> None:
    shipped = tmp_path / "config.yaml"
    shipped.write_text("extenders: [{urlPrefix: http://extender.svc, bindVerb: bind}]\nprofiles: []\n")
    config = load_scheduler_config(shipped, "http://127.0.0.1:1")
    assert config["extenders"] == [{"urlPrefix": "http://127.0.0.1:1", "bindVerb": "bind"}]


def test_a_lost_node_is_tainted_and_comes_back(plane: ControlPlane) -> None:
    def taints() -> set[str]:
        node = plane.client.get(path_of("nodes", name="rack-01-host-15"))
        return {taint["key"] for taint in node["spec"].get("taints", [])}

    set_readiness(plane, "rack-01-host-15", "Unknown")
    wait_until(lambda: "node.kubernetes.io/unreachable" in taints(), "the node is tainted")
    set_readiness(plane, "rack-01-host-15", "True")
    wait_until(lambda: not taints(), "the taint is gone")


def test_annotations_bend_the_life_of_a_pod(plane: ControlPlane) -> None:
    def status(name: str) -> Any:
        return plane.client.get(pod_path(name))["status"]

    run_pod(plane, "restarting", restart_after="100ms")
    wait_until(lambda: status("restarting")["containerStatuses"][0]["restartCount"] == 1, "its container restarted")
    run_pod(plane, "completing", complete_after="1s")
    wait_until(lambda: status("completing")["phase"] == "Succeeded", "it completed")
    run_pod(plane, "failing")
    plane.client.patch(pod_path("failing"), {"metadata": {"annotations": {f"{ANNOTATION}/fail-after": "0s"}}})
    wait_until(lambda: status("failing")["phase"] == "Failed", "it failed")
    plane.client.create(path_of("pods", "default"), pod("slow", ready_after="1h"))
    wait_until(lambda: plane.client.get(pod_path("slow"))["spec"].get("nodeName"), "it is bound")
    assert not is_ready(status("slow"))
    for name in ("restarting", "completing", "failing", "slow"):
        delete_pod(plane, name)


def test_a_pod_can_be_kept_terminating(plane: ControlPlane) -> None:
    run_pod(plane, "stuck", keep_terminating="true")
    plane.client.delete(pod_path("stuck"))
    with pytest.raises(TimeoutError):
        wait_until(lambda: plane.client.find(pod_path("stuck")) is None, "it is gone", timeout=2)
    plane.client.delete(pod_path("stuck"), {"gracePeriodSeconds": 0})


def test_the_client_watches_applies_and_reports_refusals(plane: ControlPlane) -> None:
    maps = path_of("configmaps", "default")
    start = plane.client.get(maps)["metadata"]["resourceVersion"]
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen"}, "data": {"a": "1"}}
    plane.client.apply(f"{maps}/seen", manifest, manager="test")
    plane.client.patch(f"{maps}/seen", [{"op": "add", "path": "/data/b", "value": "2"}], kind="json")
    plane.client.delete(f"{maps}/seen")

    events = plane.client.watch(maps, start, timeout_seconds=5)
    assert [next(events).type for _ in range(3)] == ["ADDED", "MODIFIED", "DELETED"]
    events.close()
    with pytest.raises(ApiError) as refused:
        plane.client.get(f"{maps}/seen")
    assert (refused.value.status, refused.value.reason) == (404, "NotFound")


def test_kubectl_says_why_it_failed(plane: ControlPlane) -> None:
    plane.kubectl("apply", "-f", "-", input="{apiVersion: v1, kind: Namespace, metadata: {name: by-kubectl}}")
    plane.wait_namespace("by-kubectl")
    with pytest.raises(KubectlFailed, match="not found"):
        plane.kubectl("get", "pod", "nobody")


def test_a_component_that_cannot_start_shows_its_log(plane: ControlPlane) -> None:
    program = "import sys; print('the reason'); sys.exit(3)"
    with pytest.raises(ProcessFailed, match=r"(?s)status 3.*broken\.log.*the reason"):
        plane.spawn("broken", [sys.executable, "-c", program], ready=lambda: False)
    plane.kill_component("broken")


def test_stop_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    before = set(janitor.carriers(janitor.mark()[janitor.VARIABLE]))
    with ControlPlane(tmp_path / "plane", scheduler=False, kwok=False) as plane:
        # A child that starts a child of its own, as a solver in a worker process does.
        plane.spawn("parent", ["sh", "-c", "sleep 1000 & sleep 1000"])
    assert set(janitor.carriers(janitor.mark()[janitor.VARIABLE])) <= before
    assert not (tmp_path / "plane").exists()


def test_logs_are_kept_after_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def a_failing_test() -> None:
        with ControlPlane(tmp_path / "plane", scheduler=False, kwok=False) as plane:
            os.kill(plane.component("controller-manager").pid, signal.SIGKILL)
            wait_until(lambda: plane.component("controller-manager").crashed, "it died")
            raise AssertionError("the test fails")

    with pytest.raises(AssertionError, match="the test fails"):
        a_failing_test()
    assert (tmp_path / "plane" / "logs" / "apiserver.log").exists()
    assert "controller-manager had crashed" in capsys.readouterr().err


def test_nothing_outlives_a_killed_parent(tmp_path: Path) -> None:
    program = f"""
        import pathlib, signal
        from tests.controlplane import janitor
        from tests.controlplane.plane import ControlPlane
        plane = ControlPlane(pathlib.Path({str(tmp_path / "plane")!r}))
        plane.start()
        print(janitor.mark()[janitor.VARIABLE], flush=True)
        signal.pause()
    """
    script = "\n".join(line.strip() for line in program.splitlines())
    with subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        token = parent.stdout.readline().strip()
        assert len(set(janitor.carriers(token))) == len(STOCK)
        parent.kill()
    wait_until(lambda: not set(janitor.carriers(token)), "all its processes are gone", timeout=10)


def build_with_path(path: Path | str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "tests.controlplane.build"]
    env = {**os.environ, "PATH": str(path)}
    return subprocess.run(argv, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)


def test_without_go_the_build_says_one_sentence() -> None:
    run = build_with_path("")
    assert run.returncode == 1
    assert run.stderr.startswith("Go is not installed")
    assert run.stderr.count("\n") == 1


def test_with_an_old_go_the_build_says_which_one_it_needs(tmp_path: Path) -> None:
    old = tmp_path / "go"
    old.write_text("#!/bin/sh\necho 'go: go.mod requires go >= 1.26.0 (running go 1.20)' >&2\nexit 1\n")
    old.chmod(0o755)
    run = build_with_path(tmp_path)
    assert run.returncode == 1
    assert run.stderr.startswith("Go 1.26.0 or newer is needed")
    assert "running go 1.20" in run.stderr
