"""The extender's verbs as the simulated kube-scheduler calls them, with an eye on what is promised of the calls.

I7  `filter` is pure: asked twice, it says the same, and it writes nothing.
I8  Pods that want no managed resource never reach the extender.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from lws_sched.api.core import Pod
from lws_sched.api.extender import BindingArgs, BindingResult, ExtenderArgs, FilterResult
from lws_sched.extender.verbs import Verbs
from lws_sched.sim.world import World
from tests.invariants.check import Violation


@dataclass(frozen=True)
class Witness:
    world: World
    managed: Collection[str]
    broken: list[Violation]

    def of(self, verbs: Verbs) -> Witnessed:
        return Witnessed(self, verbs)

    def note(self, invariant: str, sentence: str) -> None:
        self.broken.append(Violation(invariant, self.world.server.store.rv, self.world.elapsed, sentence))

    def wants_managed(self, pod: Pod) -> bool:
        containers = (*pod.spec.containers, *pod.spec.init_containers)
        named = {name for each in containers for name in (*each.resources.requests, *each.resources.limits)}
        return not named.isdisjoint(self.managed)


@dataclass(frozen=True)
class Witnessed:
    witness: Witness
    verbs: Verbs

    def filter(self, args: ExtenderArgs) -> FilterResult:
        store, name = self.witness.world.server.store, args.pod.metadata.name
        before = store.rv
        first, second = self.verbs.filter(args), self.verbs.filter(args)
        if first != second:
            self.witness.note("I7", f"filter of {name} answered {first}, and then {second}")
        if store.rv != before:
            self.witness.note("I7", f"filter of {name} wrote to the API server")
        if not self.witness.wants_managed(args.pod):
            self.witness.note("I8", f"filter was asked about {name}, which wants no managed resource")
        return second

    def bind(self, args: BindingArgs, respond: Callable[[BindingResult], None], is_alive: Callable[[], bool]) -> None:
        self.verbs.bind(args, respond, is_alive)
