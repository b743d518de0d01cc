"""The commit barrier: bind calls of one stage are held until all its members have arrived.

A stage is a set of members that can exist at the same time: normally all of a group; for LeaderReady the leader alone,
then the workers. kube-scheduler keeps a pod whose bind call is held *assumed*, its room taken, and goes on with other
pods; so holding the calls is a gang-wide Permit. The barrier only collects: `Verbs` decides what to do when it is full.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from lws_sched.api.extender import BindingArgs, BindingResult


@dataclass(frozen=True)
class BindCall:
    """One bind call of kube-scheduler, to be answered exactly once."""

    args: BindingArgs
    respond: Callable[[BindingResult], None]
    is_alive: Callable[[], bool]
    """False once the caller has gone: its pod is no longer assumed, so the call does not count."""

    def refuse(self, error: str) -> None:
        self.respond(BindingResult(error=error))

    def confirm(self) -> None:
        self.respond(BindingResult())


@dataclass
class _Stage:
    serial: int
    expected: frozenset[str]
    calls: dict[str, BindCall] = field(default_factory=dict)


@dataclass(frozen=True)
class Arrival:
    """What an arrival came to. `full` holds every member's call once the stage is complete, in pod name order."""

    serial: int
    opened: bool = False
    full: tuple[BindCall, ...] = ()
    surplus: tuple[BindCall, ...] = ()
    """Calls that must be refused: an older one of the same pod, and those that belong to another stage."""


class Barrier:
    """Held calls by group. Thread-safe; never calls out while it holds its lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, _Stage] = {}
        self._serial = 0

    def arrive(self, group: str, expected: frozenset[str], call: BindCall) -> Arrival:
        """Hold a call. A stage that expects other members than before is a new stage, and the old one's calls end."""
        with self._lock:
            stage = self._stages.get(group)
            surplus: list[BindCall] = []
            if stage is not None and stage.expected != expected:
                surplus += stage.calls.values()
                stage = None
            opened = stage is None
            if stage is None:
                self._serial += 1
                stage = self._stages[group] = _Stage(self._serial, expected)
            if call.args.pod_name in stage.calls:
                surplus.append(stage.calls[call.args.pod_name])
            stage.calls[call.args.pod_name] = call
            if len(stage.calls) >= len(expected):
                stage.calls = {name: each for name, each in stage.calls.items() if each.is_alive()}
            if not expected <= stage.calls.keys():
                return Arrival(stage.serial, opened, surplus=tuple(surplus))
            del self._stages[group]
            return Arrival(
                stage.serial, opened, tuple(stage.calls[name] for name in sorted(stage.calls)), tuple(surplus)
            )

    def release(self, group: str, serial: int | None = None) -> tuple[BindCall, ...]:
        """Take all held calls of a group away, to be refused; with `serial`, only if that stage is still the one."""
        with self._lock:
            stage = self._stages.get(group)
            if stage is None or (serial is not None and stage.serial != serial):
                return ()
            del self._stages[group]
            return tuple(stage.calls[name] for name in sorted(stage.calls))

    def holds(self, group: str, pod_name: str) -> bool:
        with self._lock:
            stage = self._stages.get(group)
            return stage is not None and pod_name in stage.calls

    def held(self, group: str) -> frozenset[str]:
        """Members whose calls are held, by name."""
        with self._lock:
            stage = self._stages.get(group)
            return frozenset(stage.calls) if stage is not None else frozenset()

    def missing(self, group: str) -> tuple[str, ...]:
        """Members that a group's stage still waits for, by name."""
        with self._lock:
            stage = self._stages.get(group)
            return tuple(sorted(stage.expected - stage.calls.keys())) if stage else ()

    def drain(self) -> tuple[BindCall, ...]:
        """Take away every held call: this process must not bind any more."""
        with self._lock:
            calls = tuple(call for stage in self._stages.values() for call in stage.calls.values())
            self._stages.clear()
            return calls
