"""The garbage collector: an object all of whose owners are gone goes too.

Background: once the owner is gone its dependents are deleted. Foreground: the owner stays, with a finalizer, until
every dependent that blocks it (`blockOwnerDeletion`) is gone; dependents that have dependents themselves are deleted in
the foreground in turn. A dependent with another owner that stays only loses the reference.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from lws_sched.api import core
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.meta import Kind
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.api.volcano import POD_GROUP
from lws_sched.kube.errors import NotFound
from lws_sched.sim.api_server import ApiServer
from lws_sched.sim.loop import Loop
from lws_sched.sim.objects import FOREGROUND, Json, is_terminating, key_of, owners
from lws_sched.sim.store import Event, Version
from lws_sched.sim.work import Steady

_KINDS: dict[str, Kind[Any]] = {
    kind.kind: kind
    for kind in (
        core.POD,
        core.SERVICE,
        core.STATEFUL_SET,
        core.DAEMON_SET,
        core.CONTROLLER_REVISION,
        LEADER_WORKER_SET,
        GROUP_PLACEMENT,
        POD_GROUP,
    )
}
"""Kinds that own or are owned."""
WORKERS = 20


class GarbageCollector:
    def __init__(self, loop: Loop, server: ApiServer) -> None:
        self._loop = loop
        self._server = server
        self._versions: dict[str, Version] = {}
        """Every object of these kinds, by UID."""
        self._dependents: dict[str, dict[str, None]] = {}
        """UIDs of an owner's dependents, by the owner's UID; the owner may be gone."""
        self._queue = Steady(loop, server.store).queue("garbage", self._look_at, WORKERS)
        server.store.listeners.append(self._observe)

    def _observe(self, event: Event) -> None:
        if event.kind not in _KINDS:
            return
        uid = event.version.uid
        for ref in owners(event.old.body) if event.old is not None else ():
            self._dependents.get(ref["uid"], {}).pop(uid, None)
        if event.type == "DELETED":
            self._versions.pop(uid, None)
            self._expect(*self._dependents.get(uid, {}), *(ref["uid"] for ref in owners(event.body)))
            return
        self._versions[uid] = event.version
        for ref in owners(event.body):
            self._dependents.setdefault(ref["uid"], {})[uid] = None
        if _waits_for_dependents(event.body):
            self._expect(uid, *self._dependents.get(uid, {}))
        elif event.old is None and owners(event.body):
            self._expect(uid)

    def _expect(self, *uids: str) -> None:
        for uid in uids:
            self._loop.soon(self._loop.latencies.collector, partial(self._queue.add, uid))

    def _look_at(self, uid: str) -> None:
        version = self._versions.get(uid)
        if version is None:
            return
        try:
            if _waits_for_dependents(version.body):
                self._let_go(version)
            elif not is_terminating(version.body):
                self._collect(version)
        except NotFound:
            return

    def _let_go(self, version: Version) -> None:
        """Remove the finalizer of an owner whose last blocking dependent is gone."""
        if any(self._blocks(each, version.uid) for each in self._dependents.get(version.uid, {})):
            return
        rest = [each for each in version.body["metadata"]["finalizers"] if each != FOREGROUND]
        self._server.merge(_kind(version), *key_of(version.body), {"metadata": {"finalizers": rest}})

    def _blocks(self, dependent: str, owner: str) -> bool:
        refs = owners(self._versions[dependent].body)
        return any(ref["uid"] == owner and ref.get("blockOwnerDeletion") for ref in refs)

    def _collect(self, version: Version) -> None:
        refs = owners(version.body)
        staying = [ref for ref in refs if self._stays(ref["uid"])]
        if not refs or len(staying) == len(refs):
            return
        key = key_of(version.body)
        if staying:
            self._server.merge(_kind(version), *key, {"metadata": {"ownerReferences": staying}})
            return
        waited_for = any(ref["uid"] in self._versions for ref in refs)
        has_dependents = bool(self._dependents.get(version.uid))
        propagation = "Foreground" if waited_for and has_dependents else "Background"
        self._server.delete(_kind(version), *key, uid=version.uid, propagation=propagation)

    def _stays(self, uid: str) -> bool:
        owner = self._versions.get(uid)
        return owner is not None and not _waits_for_dependents(owner.body)


def _waits_for_dependents(body: Json) -> bool:
    return is_terminating(body) and FOREGROUND in (body["metadata"].get("finalizers") or ())


def _kind(version: Version) -> Kind[Any]:
    return _KINDS[version.body["kind"]]
