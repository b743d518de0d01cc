"""Revision data and keys, against vectors computed by the API's reference implementation."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from lws_sched.api.core import CONTROLLER_REVISION, ControllerRevision
from lws_sched.api.lws import LEADER_WORKER_SET, LeaderWorkerSet
from lws_sched.controller import app as controller
from lws_sched.core import revision
from lws_sched.core.canonical import compact_json
from lws_sched.extender import app as extender
from lws_sched.kube.port import Runtime
from lws_sched.sim.world import World
from tests.unit.core.samples import sample, sample_json

_NGINX = r"""{"spec":{"leaderWorkerTemplate":{"$patch":"replace","leaderTemplate":{"metadata":{},"spec":{"containers":[{"image":"docker.io/nginxinc/nginx-unprivileged:1.27","name":"leader","resources":{}}]}},"restartPolicy":"RecreateGroupOnPodRestart","size":2,"workerTemplate":{"metadata":{},"spec":{"containers":[{"image":"docker.io/nginxinc/nginx-unprivileged:1.27","name":"worker","ports":[{"containerPort":8080,"protocol":"TCP"}],"resources":{}}]}}},"networkConfig":{"$patch":"replace","subdomainPolicy":"Shared"}}}"""  # noqa: E501
_CLAIMS = r"""{"spec":{"leaderWorkerTemplate":{"$patch":"replace","persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Delete"},"restartPolicy":"None","size":1,"volumeClaimTemplates":[{"metadata":{"name":"data"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"512Mi"}}},"status":{}}],"workerTemplate":{"metadata":{},"spec":{"containers":[{"image":"i","name":"w","resources":{}}]}}},"networkConfig":{"$patch":"replace","subdomainPolicy":"UniquePerReplica"}}}"""  # noqa: E501
_ESCAPES = r"""{"spec":{"leaderWorkerTemplate":{"$patch":"replace","restartPolicy":"RecreateGroupOnPodRestart","size":2,"workerTemplate":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"args":["a","é\u2028"],"env":[{"name":"E"},{"name":"F","valueFrom":{"resourceFieldRef":{"divisor":"0","resource":"limits.cpu"}}}],"image":"img\u003c\u0026\u003e","livenessProbe":{"grpc":{"port":5,"service":null}},"name":"w","readinessProbe":{"httpGet":{"port":"http"},"periodSeconds":5},"resources":{"limits":{"cpu":"1","memory":"1Gi","nvidia.com/gpu":"8"},"requests":{"cpu":"500m","memory":"1k"}}}],"terminationGracePeriodSeconds":0,"volumes":[{"emptyDir":{"sizeLimit":"1536Mi"},"name":"d"},{"ephemeral":{"volumeClaimTemplate":{"metadata":{},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}},"name":"e"},{"name":"p","projected":{"sources":null}}]}}},"networkConfig":{"$patch":"replace","subdomainPolicy":"Shared"}}}"""  # noqa: E501


@pytest.mark.parametrize(
    ("vector", "key"),
    [
        pytest.param(_NGINX, "7bdcf6cbd6", id="two templates of size two"),
        pytest.param(_NGINX.replace('"size":2', '"size":4'), "757864876d", id="the same of size four"),
        pytest.param(_CLAIMS, "67586bfd68", id="claims and a subdomain per replica"),
        pytest.param(_ESCAPES, "55847c7d9", id="escapes and quantities"),
    ],
)
def test_data_is_rebuilt_to_the_byte_and_has_the_known_key(vector: str, key: str) -> None:
    lws = _of(json.loads(vector))
    content = revision.data(lws)
    assert compact_json(content) == vector.encode()
    assert revision.key(content) == key


def test_the_sample_has_the_key_of_its_vector() -> None:
    assert revision.key(revision.data(sample())) == "7bdcf6cbd6"


def test_a_set_without_network_config_is_shared() -> None:
    assert revision.key(revision.data(sample(networkConfig=None))) == "7bdcf6cbd6"


def test_what_is_not_versioned_does_not_change_the_key() -> None:
    changed = sample(replicas=7, startupPolicy="LeaderReady", annotations={"a": "b"})
    assert revision.data(changed) == revision.data(sample())


def test_a_revision_written_in_another_form_is_equal() -> None:
    content = revision.data(sample())
    stored = json.loads(compact_json(content))
    stored["spec"]["leaderWorkerTemplate"]["workerTemplate"]["metadata"]["creationTimestamp"] = None
    assert revision.equal(_stored(stored), content)
    assert not revision.equal(_stored(stored), revision.data(sample(template={"size": 3})))


def test_restoring_brings_back_what_is_versioned_and_keeps_the_rest() -> None:
    old = sample()
    new = sample(replicas=5, template={"size": 4}, networkConfig={"subdomainPolicy": "UniquePerReplica"})
    restored = revision.restored(new, _stored(revision.data(old)))
    assert restored.spec.replicas == 5
    assert restored.spec.leader_worker_template.size == 2
    assert restored.spec.network_config == old.spec.network_config
    assert revision.data(restored) == revision.data(old)


def test_restoring_the_live_revision_keeps_fields_that_are_not_versioned() -> None:
    body = sample_json()
    body["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["fromTheFuture"] = True
    lws = msgspec.convert(body, LeaderWorkerSet)
    assert revision.restored(lws, _stored(revision.data(lws))) is lws


def test_a_stored_revision_keeps_what_its_templates_say_beyond_what_is_versioned() -> None:
    body = sample_json()
    body["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["fromTheFuture"] = True
    old = msgspec.convert(body, LeaderWorkerSet)
    kept = msgspec.convert(revision.body(old, revision.data(old), "key", []), ControllerRevision)
    restored = revision.restored(sample(template={"size": 4}), kept)
    assert restored.spec.leader_worker_template == old.spec.leader_worker_template
    forged = msgspec.structs.replace(kept, data=revision.data(sample(template={"leaderTemplate": None})))
    assert "fromTheFuture" not in revision.restored(old, forged).spec.leader_worker_template.worker_template["spec"]


def test_a_revision_is_stored_as_the_api_has_it_where_all_is_versioned() -> None:
    assert "annotations" not in revision.body(sample(), revision.data(sample()), "key", [])["metadata"]


def test_the_newest_revision_of_a_key_is_found_and_the_empty_key_never() -> None:
    first, second = _stored({}, number=1, key="k"), _stored({}, number=2, key="k")
    assert revision.find([first, second], "k") is second
    assert revision.find([first, second], "other") is None
    assert revision.find([_stored({}, number=1, key="")], "") is None


def test_a_new_revision_is_numbered_after_the_highest_and_named_with_its_hash() -> None:
    content = revision.data(sample())
    body = revision.body(sample(), content, "label", [_stored({}, number=3), _stored({}, number=7)])
    assert body["metadata"]["name"] == "test-sample-7bdcf6cbd6-8"
    assert body["revision"] == 8
    assert body["metadata"]["labels"] == {
        "leaderworkerset.sigs.k8s.io/name": "test-sample",
        "leaderworkerset.sigs.k8s.io/template-revision-hash": "label",
    }


def test_revisions_of_a_former_set_of_the_same_name_are_not_ours() -> None:
    mine, orphan = _stored({}, owner="lws-uid", number=2), _stored({}, number=1)
    former = _stored({}, owner="older", number=3)
    assert revision.owned([mine, former, orphan], sample()) == [orphan, mine]


def test_neither_process_keeps_the_revisions_that_stateful_sets_make() -> None:
    runtimes: list[Runtime] = []

    def run_controller(runtime: Runtime) -> None:
        runtimes.append(runtime)
        controller.build(runtime, controller.Options())

    def run_extender(runtime: Runtime) -> None:
        runtimes.append(runtime)
        extender.build(runtime)

    world = World()
    world.start("controller", run_controller)
    world.start("extender", run_extender)
    world.cluster.create(LEADER_WORKER_SET, sample_json())
    world.settle()
    assert len(world.server.list(CONTROLLER_REVISION)) > 1
    for runtime in runtimes:
        kept = runtime.informer(CONTROLLER_REVISION, labels=revision.REVISIONS_OF_SETS).objects()
        assert [each.metadata.name for each in kept] == ["test-sample-7bdcf6cbd6-1"]


def _of(content: dict[str, Any]) -> LeaderWorkerSet:
    spec = {field: {k: v for k, v in value.items() if k != "$patch"} for field, value in content["spec"].items()}
    return msgspec.convert({"metadata": {"name": "x"}, "spec": spec}, LeaderWorkerSet)


def _stored(content: dict[str, Any], *, number: int = 1, key: str = "", owner: str = "") -> ControllerRevision:
    owners = [{"uid": owner, "controller": True}] if owner else []
    labels = {"leaderworkerset.sigs.k8s.io/template-revision-hash": key}
    body = {
        "metadata": {"name": f"r-{number}", "labels": labels, "ownerReferences": owners},
        "revision": number,
        "data": content,
    }
    return msgspec.convert(body, ControllerRevision)
