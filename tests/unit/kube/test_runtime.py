from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest

from lws_sched.api.core import NODE, POD, Pod
from lws_sched.kube.errors import LostLease
from lws_sched.kube.lease import LeaseName
from lws_sched.kube.port import Runtime
from lws_sched.kube.runtime import Settings, ThreadedRuntime
from tests.unit.kube.apiserver import Asked, Reply, client_of, page_json, pod_json, refusal, serving
from tests.unit.kube.builders import HeldClock, pod

SOON = 10.0
SETTINGS = Settings(name="lws-sched-test", instance="test-0")
LEASED = replace(SETTINGS, lease=LeaseName("ns", "l", "test-0"))


@dataclass
class SmallCluster:
    """Two pods, no nodes, one Lease. Lists of nodes wait until `nodes_listed` is set."""

    nodes_listed: threading.Event = field(default_factory=threading.Event)
    lease: dict[str, Any] | None = None
    lease_writes: list[Any] = field(default_factory=list)
    taken: bool = False

    def __call__(self, asked: Asked) -> Reply:
        if "leases" in asked.path:
            return self._lease(asked)
        if asked.query.get("watch"):
            return Reply(lines=[], ending="stays open")
        if asked.path.endswith("/nodes"):
            self.nodes_listed.wait(SOON)
            return Reply(body=page_json(version=5))
        return Reply(body=page_json(pod_json("a", 1), pod_json("b", 2), version=5))

    def _lease(self, asked: Asked) -> Reply:
        if asked.method == "GET" and self.lease is None:
            return refusal(404, "NotFound", "none")
        if self.taken:
            self.lease = {"metadata": {"name": "l", "resourceVersion": "99"}, "spec": {"holderIdentity": "another"}}
            return Reply(body=self.lease) if asked.method == "GET" else refusal(409, "Conflict", "changed")
        if asked.body:
            self.lease_writes.append(asked.body["spec"])
            self.lease = {"metadata": {"name": "l", "resourceVersion": "1"}, "spec": asked.body["spec"]}
        return Reply(body=self.lease)


@contextmanager
def runtime_on(script: SmallCluster, settings: Settings = SETTINGS) -> Iterator[ThreadedRuntime]:
    before = set(threading.enumerate())
    with serving(script) as server:
        runtime = ThreadedRuntime(client_of(server.url, []), settings, random=Random(1))
        try:
            yield runtime
        finally:
            runtime.stop()
            leftover = [each for each in threading.enumerate() if each not in before and not _is_server(each)]
            assert [each.name for each in leftover if each.name.startswith(("watch", "election", "alarms", "q-"))] == []
            assert all(each.daemon for each in leftover)


def _is_server(thread: threading.Thread) -> bool:
    return "serve_forever" in thread.name or "process_request" in thread.name


def test_queues_run_only_when_every_informer_has_its_first_list() -> None:
    cluster = SmallCluster()
    runs: list[tuple[str, bool]] = []
    done = threading.Event()
    with runtime_on(cluster) as runtime:
        pods = runtime.informer(POD)
        runtime.informer(NODE)

        def reconcile(key: str) -> float | None:
            runs.append((key, cluster.nodes_listed.is_set()))
            if len(runs) == 2:
                done.set()
            return None

        queue = runtime.queue("q", reconcile)
        pods.subscribe(lambda change: queue.add(change.latest.metadata.name))
        starting = threading.Thread(target=runtime.start)
        starting.start()
        assert not runtime.until_synced(0.05)
        assert runs == []
        cluster.nodes_listed.set()
        starting.join(SOON)
        assert runtime.until_synced(0)
        assert done.wait(SOON)
        assert runtime.epoch() == 0
    assert sorted(runs) == [("a", True), ("b", True)]


def test_one_informer_serves_all_who_ask_for_the_same() -> None:
    cluster = SmallCluster()
    cluster.nodes_listed.set()
    with runtime_on(cluster) as runtime:
        first = runtime.informer(POD, indexes={"name": _name})
        assert runtime.informer(POD, indexes={"uid": _uid}) is first
        assert runtime.informer(POD, labels="a=b") is not first
        with pytest.raises(ValueError, match="already another index"):
            runtime.informer(POD, indexes={"name": _uid})
        runtime.start()
        assert first.by_index("name", "a") == first.by_index("uid", "uid-of-a") == [pod("a", 1)]
        with pytest.raises(RuntimeError, match="before the runtime is started"):
            runtime.informer(NODE)


def _name(obj: Pod) -> tuple[str, ...]:
    return (obj.metadata.name,)


def _uid(obj: Pod) -> tuple[str, ...]:
    return (obj.metadata.uid,)


def test_the_leader_works_and_gives_the_lease_back_when_it_stops() -> None:
    cluster, ran, told = SmallCluster(), threading.Event(), list[str]()
    with runtime_on(cluster, LEASED) as runtime:

        def reconcile(key: str) -> float | None:
            assert (key, runtime.epoch()) == ("k", 1)
            ran.set()
            return None

        runtime.queue("q", reconcile).add("k")
        runtime.on_leadership(lambda epoch: told.append(f"leads at {epoch}"), lambda: told.append("lost"))
        with pytest.raises(LostLease):
            runtime.epoch()
        runtime.start()
        assert ran.wait(SOON)
    assert told == ["leads at 1", "lost"]
    assert cluster.lease_writes[0]["holderIdentity"] == "test-0"
    assert cluster.lease_writes[-1]["holderIdentity"] is None


def test_who_is_not_the_leader_does_not_work() -> None:
    cluster = SmallCluster(taken=True, lease={})
    with runtime_on(cluster, LEASED) as runtime:
        runtime.queue("q", lambda key: pytest.fail(key)).add("k")
        runtime.start()
        assert not runtime.leads()
    assert cluster.lease_writes == []


def test_who_stands_down_takes_no_lease_though_it_is_free() -> None:
    cluster = SmallCluster()
    with runtime_on(cluster, LEASED) as runtime:
        runtime.stand_down()
        runtime.start()
        assert not runtime.leads()
    assert cluster.lease_writes == []


def test_submitted_gathered_and_later_tasks_run() -> None:
    with runtime_on(SmallCluster()) as runtime:
        runtime.start()
        ran = [threading.Event() for _ in range(3)]
        runtime.submit(ran[0].set)
        runtime.call_later(0.001, ran[1].set)
        assert runtime.gather([ran[2].set, lambda: None]) == [None, None]
        assert all(each.wait(SOON) for each in ran)


def test_a_threaded_runtime_is_a_runtime() -> None:
    runtime: Runtime = ThreadedRuntime(client_of("http://127.0.0.1:1", []), SETTINGS, HeldClock())
    assert runtime.cluster is not None
