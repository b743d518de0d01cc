"""kube-scheduler's side of an extender: who is asked about which pods, time limits, and broken connections.

`filter` is asked inside the scheduling cycle; `bind` beside it: the answer comes later, or does not, and then the time
limit is the answer. Once the caller has given up, or its connection broke, `alive` says so and answers are not heard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Reached:
    """The process that a call comes to."""

    server: ExtenderServer
    process: object
    """Tells one process from the next."""
    is_frozen: bool
    guarded: Callable[[Callable[[], None]], Callable[[], None]]
    """An action as that process runs it: later if it is frozen, not at all if it is dead."""


class ExtenderError(Exception):
    """The call failed; `seconds` is how long it took."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class ExtenderLink:
    """One entry of the scheduler's `extenders`, with filter and bind, not ignorable."""

    def __init__(self, loop: Loop, managed_resources: Sequence[str], reach: Callable[[], Reached | None]) -> None:
        self.hangs = False
        """Whether calls are taken and never answered."""
        self._loop = loop
        self._managed = frozenset(managed_resources)
        self._reach = reach
        self._open: dict[int, _BindCall] = {}
        self._serial = 0

    def is_interested(self, view: PodView) -> bool:
        return not self._managed.isdisjoint(view.named_resources)

    def filter(self, pod: Pod, nodes: Sequence[str]) -> FilterResult:
        """The nodes that the extender leaves. Raises ExtenderError."""
        reached = self._reach()
        if self.hangs or (reached is not None and reached.is_frozen):
            raise ExtenderError("context deadline exceeded", self._loop.latencies.extender_timeout)
        if reached is None:
            raise ExtenderError("connection refused", self._loop.latencies.extender_call)
        result = reached.server.filter(ExtenderArgs(pod=pod, node_names=tuple(nodes)))
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
        reached = None if self.hangs else self._reach()
        call = self._open[self._serial] = _BindCall(self._loop, done, reached.process if reached else None)
        if reached is not None:
            server = reached.server
            reached.guarded(lambda: server.bind(args, call.respond, call.is_alive))()
        elif not self.hangs:
            self._loop.after(self._loop.latencies.extender_call, lambda: call.end("connection refused"))
        self._open = {serial: each for serial, each in self._open.items() if each.is_alive()}

    def disconnect(self, process: object) -> None:
        """A process of the extender died: every call that waits for it fails now."""
        for call in list(self._open.values()):
            if call.process is process:
                call.end("connection reset by peer")

    def cut(self, share: float) -> int:
        """Break the connections of about this share of the calls that wait; how many."""
        waiting = [call for call in self._open.values() if call.is_alive()]
        broken = [call for call in waiting if self._loop.rng.random() < share]
        for call in broken:
            call.end("connection reset by peer")
        return len(broken)

    def abandon(self) -> None:
        """The scheduler died: nobody waits for an answer any more."""
        for call in self._open.values():
            call.drop()
        self._open.clear()


class _BindCall:
    def __init__(self, loop: Loop, done: Callable[[str], None], process: object) -> None:
        self.process = process
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
