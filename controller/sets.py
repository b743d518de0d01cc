"""The reconciler of LeaderWorkerSets: snapshot from the watches, plan, carry out.

What it remembers between two runs only saves work: the versioned part of a set by its generation, and applies that were
found to be futile. A restarted controller computes both again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import key_of, split_key
from lws_sched.api.quantity import InvalidQuantity
from lws_sched.api.timestamps import time_of
from lws_sched.controller.effects import Apply, Effects, Plan, Refusal
from lws_sched.controller.set_plan import SetSnapshot, plan, unversionable
from lws_sched.controller.watches import Watches
from lws_sched.core import revision
from lws_sched.core.applied import fingerprint, is_applied
from lws_sched.kube.errors import AlreadyExists, Conflict, NotFound
from lws_sched.kube.port import Clock

_SOON_SECONDS = 1.0


@dataclass(frozen=True)
class SetReconciler:
    """Brings LeaderWorkerSets to their spec, one key at a time."""

    watches: Watches
    effects: Effects
    clock: Clock
    _contents: dict[str, tuple[str, int, revision.Data]] = field(default_factory=dict)
    _futile: dict[str, bytes] = field(default_factory=dict)

    def reconcile(self, key: str) -> float | None:
        lws = self.watches.sets.get(*split_key(key))
        if lws is None or lws.metadata.deletion_timestamp:
            self._contents.pop(key, None)
            self._futile.pop(key, None)
            return None
        try:
            planned = plan(self._snapshot(key, lws))
        except InvalidQuantity as error:
            self.effects.carry_out(unversionable(error), lws)
            return None
        refusal = self.effects.carry_out(planned, lws)
        if refusal is not None:
            return self._refused(refusal, lws)
        self._note_futile(key, planned)
        return planned.again

    def _snapshot(self, key: str, lws: LeaderWorkerSet) -> SetSnapshot:
        watches, (namespace, name) = self.watches, split_key(key)
        leaders = watches.leaders_of_set(key)
        found = ((leader.metadata.name, watches.worker_sets.get(*split_key(key_of(leader)))) for leader in leaders)
        return SetSnapshot(
            lws=lws,
            content=self._content(key, lws),
            leader_set=watches.leader_sets.get(namespace, name),
            leaders=leaders,
            worker_sets={leader: workers for leader, workers in found if workers is not None},
            revisions=watches.revisions_of_set(key),
            service=watches.services.get(namespace, name),
            now=time_of(self.clock.now()),
            futile=self._futile.get(key, b""),
        )

    def _content(self, key: str, lws: LeaderWorkerSet) -> revision.Data:
        meta = lws.metadata
        known = self._contents.get(key)
        if known is None or known[:2] != (meta.uid, meta.generation):
            known = (meta.uid, meta.generation, revision.data(lws))
            self._contents[key] = known
        return known[2]

    def _note_futile(self, key: str, planned: Plan) -> None:
        for step in planned.steps:
            live = self.watches.leader_sets.get(*split_key(key))
            if isinstance(step.write, Apply) and live is not None and not is_applied(live, step.write.body):
                self._futile[key] = fingerprint(live, step.write.body)

    def _refused(self, refusal: Refusal, lws: LeaderWorkerSet) -> float | None:
        """A snapshot that was too old is taken again soon; all else is told to the user and tried with back-off."""
        if isinstance(refusal.error, (Conflict, AlreadyExists, NotFound)):
            return _SOON_SECONDS
        self.effects.report(refusal, lws)
        raise refusal.error
