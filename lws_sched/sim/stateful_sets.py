"""The StatefulSet controller: carries out `stateful_set_plan`, keeps revisions, writes status.

Pods are made in batches that double (1, 2, 4, ...) and end at the first batch with a refusal; the StatefulSet is then
tried again after a back-off that doubles up to 1,000 s. That back-off is why a StatefulSet created anew while pods of
its namesake still terminate takes so long. Pods of all StatefulSets are treated as podManagementPolicy Parallel, and
volume claims are not made.
"""

from __future__ import annotations

from typing import Any

from lws_sched.api.core import CONTROLLER_REVISION, POD, STATEFUL_SET
from lws_sched.api.meta import split_key
from lws_sched.kube.errors import ApiError, NotFound
from lws_sched.sim.api_server import ApiServer
from lws_sched.sim.loop import Loop
from lws_sched.sim.objects import Json, controller_uid, is_terminating, key_of, owners
from lws_sched.sim.pod_index import PodIndex
from lws_sched.sim.stateful_set_plan import Revision, Revisions, plan, revision_name, status
from lws_sched.sim.store import Event, Version
from lws_sched.sim.work import Steady

WORKERS = 5


class StatefulSets:
    def __init__(self, loop: Loop, server: ApiServer, pods: PodIndex) -> None:
        self._loop = loop
        self._server = server
        self._pods = pods
        self._history: dict[str, dict[str, Version]] = {}
        """ControllerRevisions by the owner's UID and their name."""
        self._coming: set[str] = set()
        self._queue = Steady(loop, server.store).queue("statefulsets", self._sync, WORKERS)
        server.store.listeners.append(self._observe)

    def _observe(self, event: Event) -> None:
        if event.kind == STATEFUL_SET.kind:
            self._expect("/".join(key_of(event.body)))
        elif event.kind == POD.kind:
            for ref in owners(event.body):
                if ref.get("controller") and ref["kind"] == STATEFUL_SET.kind:
                    self._expect(f"{event.body['metadata']['namespace']}/{ref['name']}")
        elif event.kind == CONTROLLER_REVISION.kind:
            revisions = self._history.setdefault(controller_uid(event.body), {})
            revisions.pop(event.body["metadata"]["name"], None)
            if event.type != "DELETED":
                revisions[event.body["metadata"]["name"]] = event.version

    def _expect(self, key: str) -> None:
        """Look at a StatefulSet once its event has reached the controller."""
        if key in self._coming:
            return
        self._coming.add(key)

        def arrive() -> None:
            self._coming.discard(key)
            self._queue.add(key)

        self._loop.soon(self._loop.latencies.watch, arrive)

    def _sync(self, key: str) -> None:
        version = self._server.store.get(STATEFUL_SET.kind, *split_key(key))
        if version is None:
            return
        body = version.body
        pods = self._pods.of_controller(version.uid)
        revisions = self._revisions(body)
        refusal = None if is_terminating(body) else self._carry_out(body, revisions, pods)
        self._write_status(version, status(body, revisions, pods))
        if refusal is not None:
            raise refusal

    def _carry_out(self, body: Json, revisions: Revisions, pods: list[Json]) -> ApiError | None:
        """The refusal that ended it, if any: what comes after in the order of things waits for the next look."""
        todo = plan(body, revisions, pods)
        for pod in todo.replace:
            self._delete(pod)
        refusal = self._create(todo.create)
        if refusal is None:
            for pod in (*todo.surplus, *todo.outdated):
                self._delete(pod)
        return refusal

    def _create(self, bodies: tuple[Json, ...]) -> ApiError | None:
        at, size = 0, 1
        while at < len(bodies):
            refusal: ApiError | None = None
            for body in bodies[at : at + size]:
                try:
                    self._server.create(POD, body)
                except ApiError as error:
                    refusal = error
            if refusal is not None:
                return refusal
            at, size = at + size, size * 2
        return None

    def _delete(self, pod: Json) -> None:
        try:
            self._server.delete(POD, *key_of(pod), uid=pod["metadata"]["uid"])
        except NotFound:
            return

    def _write_status(self, version: Version, new: Json) -> None:
        if version.body.get("status") != new:
            self._server.merge(STATEFUL_SET, *key_of(version.body), {"status": new}, subresource="status")

    def _revisions(self, body: Json) -> Revisions:
        """The template as it is, recorded if it is new, and the one that was current."""
        template = body["spec"]["template"]
        uid = body["metadata"]["uid"]
        known = sorted(self._history.get(uid, {}).values(), key=lambda each: int(each.body["revision"]))
        name = revision_name(body, template)
        latest = int(known[-1].body["revision"]) if known else 0
        same = next((each for each in known if each.body["metadata"]["name"] == name), None)
        if same is None:
            self._server.create(CONTROLLER_REVISION, _revision_body(body, name, latest + 1))
        elif int(same.body["revision"]) < latest:
            self._server.merge(CONTROLLER_REVISION, *key_of(same.body), {"revision": latest + 1})
        update = Revision(name, template)
        current = (body.get("status") or {}).get("currentRevision")
        found = next((each.body for each in known if each.body["metadata"]["name"] == current), None)
        return Revisions(update if found is None else _revision(found), update)


def _revision(body: Json) -> Revision:
    template = {field: value for field, value in body["data"]["spec"]["template"].items() if field != "$patch"}
    return Revision(body["metadata"]["name"], template)


def _revision_body(stateful_set: Json, name: str, number: int) -> dict[str, Any]:
    meta, template = stateful_set["metadata"], stateful_set["spec"]["template"]
    reference = {
        "apiVersion": STATEFUL_SET.api_version,
        "kind": STATEFUL_SET.kind,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    labels = {**((template.get("metadata") or {}).get("labels") or {}), "controller.kubernetes.io/hash": name[-10:]}
    return CONTROLLER_REVISION.body(
        {"name": name, "namespace": meta["namespace"], "labels": labels, "ownerReferences": [reference]},
        data={"spec": {"template": {**template, "$patch": "replace"}}},
        revision=number,
    )
