"""The controller as a function of a runtime: informers, queues, subscriptions, and the admission hooks.

`build` is all that a program needs: it returns at once, and from then on the runtime calls the reconcilers. The hooks
are served by whoever runs the webhook server; they need no leader lease.
"""

from __future__ import annotations

from dataclasses import dataclass

from lws_sched.admission.hook import Hook
from lws_sched.api.meta import Object
from lws_sched.controller.effects import Effects
from lws_sched.controller.groups import GroupReconciler
from lws_sched.controller.hooks import hooks
from lws_sched.controller.lost import LostPods
from lws_sched.controller.sets import SetReconciler
from lws_sched.controller.watches import Subscriptions, open_watches
from lws_sched.kube.port import Runtime


@dataclass(frozen=True)
class Options:
    """How the controller runs."""

    workers: int = 4
    """Reconciliations side by side, per queue."""
    gang_provider: str = ""
    """`volcano`, or none."""


@dataclass(frozen=True)
class App:
    """What a running controller offers to the program around it."""

    hooks: tuple[Hook, ...]


def build(runtime: Runtime, options: Options) -> App:
    """Wire the controller into a runtime."""
    watches, lost = open_watches(runtime), LostPods()

    def wrote(obj: Object) -> None:
        subscriptions.wrote(obj)

    effects = Effects(runtime, wrote)
    sets = SetReconciler(watches, effects, runtime.clock)
    groups = GroupReconciler(watches, effects, runtime.cluster, runtime.clock, lost)
    subscriptions = Subscriptions(
        watches=watches,
        sets=runtime.queue("sets", sets.reconcile, workers=options.workers),
        groups=runtime.queue("groups", groups.reconcile, workers=options.workers),
        lost=lost,
    )
    subscriptions.start()
    if not options.gang_provider:
        return App(hooks=hooks())
    # Imported where it is asked for: it brings placement's arithmetic into the process.
    from lws_sched.controller import volcano

    volcano.start(runtime, watches, effects)
    return App(hooks=hooks(volcano.with_group_name))
