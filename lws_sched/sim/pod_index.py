"""Which pods a controller has made, and which pods stand on a node: the look-ups that several components share."""

from __future__ import annotations

from lws_sched.sim.objects import Json, Key, controller_uid, key_of
from lws_sched.sim.store import Event, ObjectStore


class PodIndex:
    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._by_controller: dict[str, dict[Key, None]] = {}
        self._by_node: dict[str, dict[Key, None]] = {}
        store.listeners.append(self._observe)

    def of_controller(self, uid: str) -> list[Json]:
        """The pods whose managing owner has this UID, by name."""
        return self._bodies(self._by_controller.get(uid, {}))

    def on_node(self, name: str) -> list[Json]:
        return self._bodies(self._by_node.get(name, {}))

    def _bodies(self, keys: dict[Key, None]) -> list[Json]:
        versions = (self._store.get("Pod", *key) for key in sorted(keys))
        return [version.body for version in versions if version is not None]

    def _observe(self, event: Event) -> None:
        if event.kind != "Pod":
            return
        key = key_of(event.body)
        if event.old is not None:
            self._by_controller.get(controller_uid(event.old.body), {}).pop(key, None)
            self._by_node.get(event.old.body["spec"].get("nodeName", ""), {}).pop(key, None)
        if event.type != "DELETED":
            self._by_controller.setdefault(controller_uid(event.body), {})[key] = None
            self._by_node.setdefault(event.body["spec"].get("nodeName", ""), {})[key] = None
