"""One LeaderWorkerSet in a namespace of its own, and the hands that play the rest of the cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from tests.controlplane.client import ApiError, Client, Object, path_of
from tests.controlplane.wait import wait_until
from tests.hand_made.simulated import SimulatedApi

SETS = "leaderworkerset.x-k8s.io/v1/leaderworkersets"
STATEFUL_SETS, REVISIONS = "apps/v1/statefulsets", "apps/v1/controllerrevisions"
PODS, SERVICES, EVENTS = "pods", "services", "events.k8s.io/v1/events"
PREFIX = "leaderworkerset.sigs.k8s.io/"
REVISION = "template-revision-hash"
NAME = "test-sample"
WITHIN, POLL = 15.0, 0.02
IMAGE = "docker.io/nginxinc/nginx-unprivileged:1.27"


def pod_template(container: str, **more: Any) -> Object:
    return {"spec": {"containers": [{"name": container, "image": IMAGE, **more}]}}


def manifest(
    *, annotations: Mapping[str, str] | None = None, template: Mapping[str, Any] | None = None, **spec: Any
) -> Object:
    """Two groups of two unless told otherwise; `template` goes into the group's template."""
    group = {
        "size": 2,
        "restartPolicy": "RecreateGroupOnPodRestart",
        "leaderTemplate": pod_template("leader"),
        "workerTemplate": pod_template("worker", ports=[{"containerPort": 8080, "protocol": "TCP"}]),
        **(template or {}),
    }
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": NAME, "annotations": dict(annotations or {})},
        "spec": {"replicas": 2, "leaderWorkerTemplate": group, **spec},
    }


def rolling(**configuration: Any) -> dict[str, Any]:
    whole = {"partition": 0, "maxUnavailable": 1, "maxSurge": 0, **configuration}
    return {"rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": whole}}


class Stage:
    """`quiet` is for how many seconds nothing must move before a state counts as the one that is stayed in; `tells`
    whether every event is sure to be written."""

    def __init__(self, client: Client | SimulatedApi, namespace: str, quiet: float, *, tells: bool = True) -> None:
        self.client, self.namespace, self._quiet, self._tells = client, namespace, quiet, tells
        client.create(path_of("namespaces"), {"metadata": {"name": namespace}})

    # --- the objects -------------------------------------------------------------------------------------------------
    def path(self, resource: str, name: str | None = None, subresource: str | None = None) -> str:
        return path_of(resource, self.namespace, name, subresource)

    def find(self, resource: str, name: str) -> Object | None:
        return self.client.find(self.path(resource, name))

    def get(self, resource: str, name: str) -> Object:
        """The object, waited for."""
        return wait_until(lambda: self.find(resource, name), f"{resource} {name} is there", WITHIN, POLL) or {}

    def all(self, resource: str) -> list[Object]:
        return list(self.client.list(self.path(resource)))

    def names(self, resource: str) -> list[str]:
        return sorted(each["metadata"]["name"] for each in self.all(resource))

    def versions(self) -> dict[str, str]:
        """Of all that the controller writes."""
        found = [each["metadata"] for kind in (SETS, STATEFUL_SETS, REVISIONS, SERVICES) for each in self.all(kind)]
        return {meta["uid"]: meta["resourceVersion"] for meta in found}

    def change(self, resource: str, name: str, change: Callable[[Object], None], subresource: str = "") -> None:
        """Read, change, write back; again where somebody else wrote in between."""
        while True:
            body = self.get(resource, name)
            change(body)
            try:
                self.client.replace(self.path(resource, name, subresource or None), body)
            except ApiError as refused:
                if refused.status != 409:
                    raise
            else:
                return

    def notes(self) -> list[tuple[str, str, str]]:
        """Reason, type and note of all events."""
        return [(each["reason"], each["type"], each["note"]) for each in self.all(EVENTS)]

    # --- the user ----------------------------------------------------------------------------------------------------
    def create(self, **more: Any) -> None:
        """Create the set, and the leaders that its StatefulSet asks for."""
        self.client.create(self.path(SETS), manifest(**more))
        self.make_leaders(0, self.set["spec"]["replicas"])

    @property
    def set(self) -> Object:
        return self.get(SETS, NAME)

    def edit(self, **change: Any) -> None:
        self.client.patch(self.path(SETS, NAME), {"spec": change})

    def rename_containers(self, template: str, name: str, **spec: Any) -> None:
        """Change one of the templates as users do, and more of the spec with it."""

        def renamed(lws: Object) -> None:
            lws["spec"]["leaderWorkerTemplate"][template]["spec"]["containers"][0]["name"] = name
            lws["spec"] |= spec

        self.change(SETS, NAME, renamed)

    # --- the StatefulSet controller ----------------------------------------------------------------------------------
    @property
    def leader_set(self) -> Object:
        return self.get(STATEFUL_SETS, NAME)

    def make_leaders(self, start: int, stop: int, content: Object | None = None, key: str = "") -> None:
        """Leaders as a suite makes them, without the webhook's labels and variables; of a stored revision if given."""
        owner = self.leader_set["metadata"]
        group = (content or self.set["spec"])["leaderWorkerTemplate"]
        for index in range(start, stop):
            labels = {"name": NAME, "worker-index": "0", "group-index": str(index), "group-key": "randomValue"}
            labels[REVISION] = key or owner["labels"][PREFIX + REVISION]
            meta = {
                "name": f"{NAME}-{index}",
                "labels": {PREFIX + label: value for label, value in labels.items()},
                "annotations": {PREFIX + "size": str(group["size"])},
                "ownerReferences": [_owner("apps/v1", "StatefulSet", owner)],
            }
            self.client.create(self.path(PODS), {"metadata": meta, "spec": group["leaderTemplate"]["spec"]})

    def make_leaders_of(self, number: int, start: int, stop: int) -> None:
        """Leaders of a stored revision, by its number."""
        (stored,) = (each for each in self.all(REVISIONS) if each["revision"] == number)
        self.make_leaders(start, stop, stored["data"]["spec"], stored["metadata"]["labels"][PREFIX + REVISION])

    def make_workers(self, group: int) -> None:
        """Workers that belong to their leader directly, as suites make them."""
        leader = self.get(PODS, f"{NAME}-{group}")["metadata"]
        template = self.set["spec"]["leaderWorkerTemplate"]
        for index in range(1, template["size"]):
            labels = {"name": NAME, "worker-index": str(index), "group-index": str(group)}
            labels[REVISION] = leader["labels"][PREFIX + REVISION]
            meta = {
                "name": f"{leader['name']}-{index}",
                "labels": {PREFIX + label: value for label, value in labels.items()},
                "annotations": {PREFIX + "size": str(template["size"])},
                "ownerReferences": [_owner("v1", "Pod", leader)],
            }
            self.client.create(self.path(PODS), {"metadata": meta, "spec": template["workerTemplate"]["spec"]})

    def take_down(self, start: int, stop: int) -> None:
        """Groups end: the leader, and what would be collected with it."""
        for index in range(start, stop):
            self.client.delete(self.path(PODS, f"{NAME}-{index}"))
            self.client.delete(self.path(STATEFUL_SETS, f"{NAME}-{index}"))

    # --- the kubelets ------------------------------------------------------------------------------------------------
    def run(self, pod: str, *, ready: bool = False, restarts: int = 0) -> None:
        """The pod runs, and is ready if told so."""

        def running(body: Object) -> None:
            body["status"] |= {"phase": "Running"}
            if ready:
                body["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
            if restarts:
                image = {"image": IMAGE, "imageID": "", "ready": True, "started": True}
                name = body["spec"]["containers"][0]["name"]
                body["status"]["containerStatuses"] = [{"name": name, "restartCount": restarts, **image}]

        self.change(PODS, pod, running, "status")

    def lead(self, group: int) -> None:
        """A leader turns into one of the current revision, in place, and becomes ready; its workers' set goes."""
        name = f"{NAME}-{group}"
        key = self.leader_set["metadata"]["labels"][PREFIX + REVISION]
        self.change(PODS, name, lambda pod: pod["metadata"]["labels"].update({PREFIX + REVISION: key}))
        if self.find(STATEFUL_SETS, name) is not None:
            self.client.delete(self.path(STATEFUL_SETS, name))
        self.run(name, ready=True)

    def ready(self, *groups: int) -> None:
        """Whole groups become ready at the current revision."""
        for group in groups:
            before = self.get(STATEFUL_SETS, f"{NAME}-{group}")["metadata"]["uid"]
            self.lead(group)
            self.workers_ready(group, other_than=before)

    def workers_ready(self, group: int, *, other_than: str = "") -> None:
        name = f"{NAME}-{group}"

        def there() -> bool:
            found = self.find(STATEFUL_SETS, name)
            return found is not None and found["metadata"]["uid"] != other_than

        wait_until(there, f"{name} has a worker StatefulSet", WITHIN, POLL)

        def all_ready(workers: Object) -> None:
            count = workers["spec"]["replicas"]
            workers["status"] = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas"), count)

        self.change(STATEFUL_SETS, name, all_ready, "status")

    def workers_unready(self, group: int) -> None:
        """The worker StatefulSet is in the middle of something."""

        def rolling_on(workers: Object) -> None:
            workers["status"] |= {"currentRevision": "fuz", "updateRevision": "bar"}

        self.change(STATEFUL_SETS, f"{NAME}-{group}", rolling_on, "status")

    # --- what can be seen --------------------------------------------------------------------------------------------
    def seen(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the fields that `sees` knows."""
        views: dict[str, Callable[[], Any]] = {
            "replicas": lambda: self.leader_set["spec"]["replicas"],
            "partition": lambda: self.leader_set["spec"]["updateStrategy"]["rollingUpdate"].get("partition", 0),
            "counts": lambda: tuple(self.set.get("status", {}).get(field, 0) for field in _COUNTS),
            "true": lambda: {type_ for type_, each in self.conditions().items() if each["status"] == "True"},
            "revisions": lambda: len(self.all(REVISIONS)),
            "worker_sets": lambda: [name for name in self.names(STATEFUL_SETS) if name != NAME],
            "services": lambda: self.names(SERVICES),
        }
        return {field: views[field]() for field in fields}

    def conditions(self) -> dict[str, Object]:
        return {each["type"]: each for each in self.set.get("status", {}).get("conditions", ())}

    def sees(self, **wanted: Any) -> None:
        """The controller comes to this state, and stays there."""
        began = time.monotonic()
        since: float | None = None
        while since is None or time.monotonic() - since < self._quiet:
            found, now = self.seen(wanted), time.monotonic()
            if found != wanted:
                assert now - began < WITHIN * bool(self._quiet), f"{found}, not {wanted}"
                since = None
            elif since is None:
                since = now
            time.sleep(min(self._quiet, POLL))

    def says(self, reason: str, note: str, type: str = "Normal") -> None:
        """An event tells so."""
        if not self._tells:
            return
        wanted = (reason, type, note)
        try:
            wait_until(lambda: wanted in self.notes(), note, WITHIN, POLL)
        except TimeoutError:
            raise AssertionError(f"no event {wanted}, but {self.notes()}") from None


_COUNTS = ("readyReplicas", "updatedReplicas")
AVAILABLE, PROGRESSING, UPDATING = {"Available"}, {"Progressing"}, {"Progressing", "UpdateInProgress"}


def _owner(api_version: str, kind: str, meta: Object) -> Object:
    owner = {"name": meta["name"], "uid": meta["uid"], "controller": True, "blockOwnerDeletion": True}
    return {"apiVersion": api_version, "kind": kind, **deepcopy(owner)}


def workers_of(*groups: int) -> list[str]:
    """The names of these groups' worker StatefulSets (and leaders)."""
    return [f"{NAME}-{group}" for group in groups]


def labels_of(body: Object) -> dict[str, str]:
    return {key.removeprefix(PREFIX): value for key, value in body["metadata"].get("labels", {}).items()}


def annotations_of(body: Object) -> dict[str, str]:
    return {key.removeprefix(PREFIX): value for key, value in body["metadata"].get("annotations", {}).items()}
