"""kube-scheduler: one pod at a time through filters, extender and score, then bound beside the cycle.

A pod that has a node is *assumed* there until the API server says so, or the binding fails. Pods that name a managed
resource go through the extender: its `filter` may take nodes away, and its `bind` binds in the scheduler's place.
Preemption is left out. `kill` and `start` are the drills: held binds die with the process, and the cache is built anew.
"""

from __future__ import annotations

from collections.abc import Callable

from lws_sched.api.core import NODE, POD, Pod
from lws_sched.api.extender import BindingArgs
from lws_sched.kube.errors import ApiError, NotFound
from lws_sched.sim.api_server import ApiServer
from lws_sched.sim.extender_link import ExtenderError, ExtenderLink
from lws_sched.sim.filters import Verdict, best, filter_nodes
from lws_sched.sim.loop import Loop
from lws_sched.sim.node_cache import NodeCache
from lws_sched.sim.objects import Json, condition, is_terminating, with_condition
from lws_sched.sim.pod_view import PodView, PodViews
from lws_sched.sim.scheduling_queue import Happened, SchedulingQueue
from lws_sched.sim.store import Event, Version

PROFILES = ("default-scheduler", "lws-sched")
ORDER = 1e-9
"""Seconds between events that arrive one after the other."""


class Scheduler:
    def __init__(self, loop: Loop, server: ApiServer, profiles: tuple[str, ...] = PROFILES) -> None:
        self.extender: ExtenderLink | None = None
        self.attempts = 0
        self._loop = loop
        self._server = server
        self._profiles = profiles
        self._views = PodViews()
        self._queue = SchedulingQueue(loop, self._kick)
        self._cache = NodeCache()
        self._assumed: dict[str, str] = {}
        """Nodes of pods that are being bound, by UID."""
        self._is_running = False
        self._is_busy = False
        self._incarnation = 0
        self._told = 0.0
        """When the latest event reaches the scheduler."""
        server.store.listeners.append(self._observe)

    @property
    def is_running(self) -> bool:
        return self._is_running

    def start(self) -> None:
        """Build the cache from what is there, and go."""
        self._is_running = True
        self._incarnation += 1
        for version in self._server.store.objects(NODE.kind):
            self._cache.set_node(version.body)
        for version in self._server.store.objects(POD.kind):
            self._pod_changed(None, version)

    def kill(self) -> None:
        """The process dies: nothing that it assumed or waited for is known any more."""
        self._is_running = self._is_busy = False
        self._incarnation += 1
        self._queue.clear()
        self._assumed.clear()
        self._cache = NodeCache()
        self._views = PodViews()
        if self.extender is not None:
            self.extender.abandon()

    # --- what happens ------------------------------------------------------------------------------------------------

    def _observe(self, event: Event) -> None:
        """The scheduler's watches lag as every watch does, and keep their order."""
        if self._is_running and event.kind in (NODE.kind, POD.kind):
            self._told = max(self._told + ORDER, self._loop.elapsed + self._loop.jitter(self._loop.latencies.watch))
            self._loop.at(self._told, self._still_running(lambda: self._learn(event)))

    def _learn(self, event: Event) -> None:
        if event.kind == NODE.kind:
            self._node_changed(event)
        elif event.kind == POD.kind and event.type == "DELETED":
            self._pod_gone(event.version)
        elif event.kind == POD.kind:
            self._pod_changed(event.old, event.version)

    def _node_changed(self, event: Event) -> None:
        if event.type == "DELETED":
            self._cache.remove_node(event.body["metadata"]["name"])
        elif event.old is None or _is_other_node(event.old.body, event.body):
            self._cache.set_node(event.body)
            self._queue.happened(Happened.NODE)

    def _pod_gone(self, version: Version) -> None:
        self._queue.remove(version.uid)
        self._views.forget(version.uid)
        if version.uid in self._assumed:
            return  # its binding will fail, and tell
        self._queue.happened(Happened.FREED if self._cache.displace(version.uid) else Happened.OTHER)

    def _pod_changed(self, old: Version | None, version: Version) -> None:
        body = version.body
        view = self._views.of(version)
        if body["status"].get("phase") in ("Failed", "Succeeded"):
            self._queue.remove(view.uid)
            if self._cache.displace(view.uid):
                self._queue.happened(Happened.FREED)
        elif body["spec"].get("nodeName"):
            self._bound(old, version, view)
        elif view.scheduler in self._profiles and not body["spec"].get("schedulingGates"):
            self._unbound(view)

    def _bound(self, old: Version | None, version: Version, view: PodView) -> None:
        node = version.body["spec"]["nodeName"]
        is_news = old is None or not old.body["spec"].get("nodeName")
        self._queue.remove(view.uid)
        if is_news:
            self._assumed.pop(view.uid, None)
        if is_news or self._views.of(old) is not view:  # type: ignore[arg-type]
            self._cache.place(view, node)
            self._queue.happened(Happened.PLACED)

    def _unbound(self, view: PodView) -> None:
        if view.uid in self._assumed:
            return
        if view.uid in self._queue:
            self._queue.update(view)
        else:
            self._queue.add(view)
            self._queue.happened(Happened.OTHER)

    # --- the cycle ---------------------------------------------------------------------------------------------------

    def _kick(self) -> None:
        if self._is_running and not self._is_busy:
            self._is_busy = True
            self._loop.soon(self._loop.latencies.scheduling_cycle, self._still_running(self._cycle))

    def _cycle(self) -> None:
        view = self._queue.pop()
        spent = self._schedule(view) if view is not None else 0.0
        self._loop.after(spent, self._still_running(self._go_on))

    def _go_on(self) -> None:
        self._is_busy = False
        if self._queue.has_ready():
            self._kick()

    def _schedule(self, view: PodView) -> float:
        """One attempt; the simulated seconds that calls within the cycle took."""
        version = self._server.store.get(POD.kind, view.namespace, view.name)
        if version is None or version.uid != view.uid or is_terminating(version.body):
            self._queue.remove(view.uid)
            return 0.0
        self.attempts += 1
        if not self._cache.nodes:
            self._attempt_failed(version, "no nodes available to schedule pods")
            return 0.0
        is_extended = self.extender is not None and self.extender.is_interested(view)
        spent = self._loop.jitter(self._loop.latencies.extender_call) if is_extended else 0.0
        try:
            choice = self._choose(view, version, is_extended=is_extended)
        except ExtenderError as error:
            self._attempt_failed(version, str(error))
            return error.seconds
        if isinstance(choice, Verdict):
            self._queue.unschedulable(view.uid, choice.plugins)
            self._tell(version, "Unschedulable", choice.message())
        else:
            self._assume(view, choice, is_extended=is_extended)
        return spent

    def _attempt_failed(self, version: Version, error: str) -> None:
        self._queue.failed(version.uid)
        self._tell(version, "SchedulerError", error)

    def _choose(self, view: PodView, version: Version, *, is_extended: bool) -> str | Verdict:
        """The node for a pod, or why none will do. Raises ExtenderError."""
        verdict = filter_nodes(view, self._cache)
        passed = verdict.passed
        if passed and is_extended:
            assert self.extender is not None
            offered = [node.name for node in passed]
            self._loop.rng.shuffle(offered)  # kube-scheduler filters in parallel: the order is no one's
            result = self.extender.filter(version.read(Pod), offered)
            left = set(result.node_names or ())
            passed = [node for node in passed if node.name in left]
            reasons = {**result.failed_nodes, **result.failed_and_unresolvable_nodes}
            for name in sorted(set(offered) - left):
                verdict.refuse("Extender", *([reasons[name]] if name in reasons else []))
        if not passed:
            return verdict
        return self._loop.rng.choice(best(view, passed)).name

    # --- binding -----------------------------------------------------------------------------------------------------

    def _assume(self, view: PodView, node: str, *, is_extended: bool) -> None:
        self._queue.binding(view.uid)
        self._assumed[view.uid] = node
        self._cache.place(view, node)
        if is_extended:
            assert self.extender is not None
            args = BindingArgs(pod_name=view.name, pod_namespace=view.namespace, pod_uid=view.uid, node=node)
            incarnation = self._incarnation
            self.extender.bind(args, lambda error: self._answered(incarnation, view, error))
        else:
            self._loop.soon(self._loop.latencies.write, self._still_running(lambda: self._bind(view, node)))

    def _bind(self, view: PodView, node: str) -> None:
        if not self._server.is_up:
            self._binding_failed(view, "connection refused")
            return
        try:
            self._server.bind(view.namespace, view.name, view.uid, node)
        except ApiError as error:
            self._binding_failed(view, str(error))

    def _answered(self, incarnation: int, view: PodView, error: str) -> None:
        if error and incarnation == self._incarnation:
            self._binding_failed(view, error)

    def _binding_failed(self, view: PodView, error: str) -> None:
        """Forget the assumed pod, and try it again unless it is bound or gone."""
        if self._assumed.pop(view.uid, None) is None:
            return
        self._cache.displace(view.uid)
        self._queue.happened(Happened.FREED)
        version = self._server.store.get(POD.kind, view.namespace, view.name)
        if version is None or version.uid != view.uid or is_terminating(version.body):
            self._queue.remove(view.uid)
            return
        self._attempt_failed(version, f"binding rejected: {error}")

    def _tell(self, version: Version, reason: str, message: str) -> None:
        """Say in the pod's conditions why it has no node."""
        before = condition(version.body, "PodScheduled")
        if before and (before["status"], before.get("reason"), before.get("message")) == ("False", reason, message):
            return
        new: Json = {
            "type": "PodScheduled",
            "status": "False",
            "reason": reason,
            "message": message,
            "lastTransitionTime": self._server.now(),
        }
        meta = version.body["metadata"]
        change = {"status": {"conditions": with_condition(version.body, new)}}
        try:
            self._server.merge(POD, meta["namespace"], meta["name"], change, subresource="status")
        except NotFound:
            return

    def _still_running(self, action: Callable[[], None]) -> Callable[[], None]:
        """The action, unless this incarnation has died meanwhile."""
        incarnation = self._incarnation

        def run() -> None:
            if incarnation == self._incarnation:
                action()

        return run


def _is_other_node(old: Json, new: Json) -> bool:
    """Whether anything changed that decides who may stand on the node."""
    if old.get("spec") != new.get("spec"):
        return True
    before, after = old.get("status") or {}, new.get("status") or {}
    labels = old["metadata"].get("labels"), new["metadata"].get("labels")
    return before.get("allocatable") != after.get("allocatable") or labels[0] != labels[1]
