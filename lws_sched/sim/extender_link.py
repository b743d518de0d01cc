"""kube-scheduler's side of an extender: who is asked about which pods, time limits, and broken connections.

`filter` is asked inside the scheduling cycle; `bind` beside it: the answer comes later, or does not, and then the time
limit is the answer. Once the caller has given up, or its connection broke, `alive` says so and answers are not heard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from lws_sched.api.core import Pod
from lws_sched.api.extender import BindingArgs, BindingResult, ExtenderArgs, FilterResult
from lws_sched.sim.loop import Loop
from lws_sched.sim.pod_view import PodView


class ExtenderServer(Protocol):
    """What answers the calls."""

    def filter(self, args: ExtenderArgs, /) -> FilterResult: ...

    def bind(
        self, args: BindingArgs, respond: Callable[[BindingResult], None], alive: Callable[[], bool], /
    ) -> None: ...


class ExtenderError(Exception):
    """The call failed; `seconds` is how long it took."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class ExtenderLink:
    """One entry of the scheduler's `extenders`, with filter and bind, not ignorable."""

    def __init__(
        self, loop: Loop, managed_resources: Sequence[str], serving: Callable[[], ExtenderServer | None]
    ) -> None:
        self.hangs = False
        """Whether calls are taken and never answered."""
        self._loop = loop
        self._managed = frozenset(managed_resources)
        self._serving = serving
        self._open: dict[int, _BindCall] = {}
        self._serial = 0

    def is_interested(self, view: PodView) -> bool:
        return not self._managed.isdisjoint(view.named_resources)

    def filter(self, pod: Pod, nodes: Sequence[str]) -> FilterResult:
        """The nodes that the extender leaves. Raises ExtenderError."""
        if self.hangs:
            raise ExtenderError("context deadline exceeded", self._loop.latencies.extender_timeout)
        server = self._serving()
        if server is None:
            raise ExtenderError("connection refused", self._loop.latencies.extender_call)
        result = server.filter(ExtenderArgs(pod=pod, node_names=tuple(nodes)))
        if result.error:
            raise ExtenderError(result.error, self._loop.latencies.extender_call)
        foreign = sorted(set(result.node_names or ()) - set(nodes))
        if foreign:
            message = f"the extender claims a filtered node {foreign[0]} which is not found in the input node list"
            raise ExtenderError(message, self._loop.latencies.extender_call)
        return result

    def bind(self, args: BindingArgs, done: Callable[[str], None]) -> None:
        """Ask for a binding; `done` is called once, later, with the error or ""."""
        self._serial += 1
        call = self._open[self._serial] = _BindCall(self._loop, done)
        server = None if self.hangs else self._serving()
        if server is not None:
            server.bind(args, call.respond, call.is_alive)
        elif not self.hangs:
            self._loop.after(self._loop.latencies.extender_call, lambda: call.end("connection refused"))
        self._open = {serial: each for serial, each in self._open.items() if each.is_alive()}

    def disconnect(self) -> None:
        """The extender's process died: every call that waits for it fails now."""
        for call in list(self._open.values()):
            call.end("connection reset by peer")

    def abandon(self) -> None:
        """The scheduler died: nobody waits for an answer any more."""
        for call in self._open.values():
            call.drop()
        self._open.clear()


class _BindCall:
    def __init__(self, loop: Loop, done: Callable[[str], None]) -> None:
        self._loop = loop
        self._done: Callable[[str], None] | None = done
        self._limit = loop.after(loop.latencies.extender_timeout, lambda: self.end("context deadline exceeded"))

    def is_alive(self) -> bool:
        return self._done is not None

    def respond(self, result: BindingResult) -> None:
        """The extender's answer, on its way back."""
        if self._done is not None:
            self._loop.soon(self._loop.latencies.extender_call, lambda: self.end(result.error))

    def end(self, error: str) -> None:
        done, self._done = self._done, None
        if done is not None:
            self._limit.cancel()
            done(error)

    def drop(self) -> None:
        self._done = None
        self._limit.cancel()
