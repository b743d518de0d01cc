"""Leader election on a Lease, with a fencing token.

At most one process holds the Lease by its own reckoning at any time, for any pauses and any clocks, as long as clocks
run at about the same speed:

* The holder trusts itself until `renew_deadline` after it *sent* its last successful write.
* Another may take the Lease only `duration` after it *saw* the holder's last write, which is later; duration is longer.
* Every write is conditional on the resourceVersion read before it, so of two takers one fails.

Times written in the Lease are never compared with our clock. Each acquisition, also by the same process, raises
`leaseTransitions`, so the epoch (transitions + 1) grows with every holder and tells old writes from new.

`Candidacy` decides, without clock, thread or I/O; `Elector` asks the cluster and calls back. Identities must be unique
to a process: the Lease found under one's own name is taken at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from lws_sched.api.core import LEASE, Lease
from lws_sched.api.timestamps import micro_time
from lws_sched.kube.errors import AlreadyExists, ApiError, Conflict, LostLease, NotFound
from lws_sched.kube.port import Clock, Cluster

log = logging.getLogger(__name__)
NEVER = float("-inf")
JITTER = 1.2
"""By how much other programs for such Leases may stretch a retry: what they accept as terms is accepted here."""


@dataclass(frozen=True)
class Terms:
    """Seconds. Without a holder's release, the next one starts `duration` to `duration + retry_period` later."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration > self.renew_deadline > JITTER * self.retry_period > 0:
            raise ValueError(f"needs leaseDuration > renewDeadline > {JITTER} x retryPeriod > 0")


@dataclass(frozen=True)
class Write:
    """What to write to the Lease: `version` is the resourceVersion to find there, "" where there must be none."""

    version: str
    transitions: int
    renewal: bool = False


class Candidacy:
    """One process's view of one Lease. All times are its own monotonic seconds."""

    def __init__(self, identity: str, terms: Terms) -> None:
        self._identity, self._terms = identity, terms
        self._seen: Lease | None = None
        self._seen_at = 0.0
        self._missing = False
        self._transitions = -1
        """The highest ever seen."""
        self._held: tuple[int, float] | None = None
        """Epoch, and until when. Replaced as a whole: `epoch` is called from any thread."""

    def epoch(self, now: float) -> int:
        """Raises LostLease where the Lease is not held, or not known to be."""
        held = self._held
        if held is None or now >= held[1]:
            raise LostLease(f"{self._identity} does not hold the lease: it must not write until it holds it again")
        return held[0]

    def holds(self, now: float) -> bool:
        held = self._held
        return held is not None and now < held[1]

    @property
    def until(self) -> float:
        """The end of what is held."""
        return NEVER if self._held is None else self._held[1]

    def observe(self, lease: Lease | None, now: float) -> None:
        """Take in what a read that has just returned showed; None where there is no Lease."""
        self._missing = lease is None
        if lease is None:
            return
        if self._seen is None or self._seen.spec != lease.spec:
            self._seen_at = now
        self._seen = lease
        self._transitions = max(self._transitions, lease.spec.lease_transitions)
        if lease.spec.holder_identity != self._identity:
            self._held = None

    def decide(self, now: float) -> Write | None:
        """What to write now; None is to wait."""
        if self.holds(now) and self._seen is not None and not self._missing:
            return Write(self._seen.metadata.resource_version, self._seen.spec.lease_transitions, renewal=True)
        if self._seen is not None and not self._free(self._seen, now):
            return None
        version = "" if self._seen is None or self._missing else self._seen.metadata.resource_version
        return Write(version, self._transitions + 1)

    def written(self, lease: Lease, sent_at: float, now: float) -> None:
        """A write that was sent at `sent_at` has succeeded."""
        self.observe(lease, now)
        self._held = (lease.spec.lease_transitions + 1, sent_at + self._terms.renew_deadline)

    def resign(self) -> Write | None:
        """Stop holding it, and what to write so that the next one need not wait."""
        held, self._held = self._held, None
        if held is None or self._seen is None:
            return None
        return Write(self._seen.metadata.resource_version, self._seen.spec.lease_transitions)

    def _free(self, lease: Lease, now: float) -> bool:
        if lease.spec.holder_identity in ("", self._identity):
            return True
        # A deleted Lease may still be held by one who has not noticed: it counts as long as a present one.
        return now >= self._seen_at + max(lease.spec.lease_duration_seconds, self._terms.duration)


@dataclass(frozen=True)
class LeaseName:
    namespace: str
    name: str
    identity: str
    """Unique to this process."""


class Elector:
    """Keeps trying to get and keep the Lease. The callbacks run on its thread and must be quick."""

    def __init__(
        self,
        cluster: Cluster,
        lease: LeaseName,
        clock: Clock,
        random: Random,
        *,
        on_started: Callable[[int], None],
        on_lost: Callable[[], None],
        terms: Terms | None = None,
    ) -> None:
        self._cluster, self._lease, self._clock, self._random = cluster, lease, clock, random
        self._on_started, self._on_lost = on_started, on_lost
        self._terms = terms or Terms()
        self._candidacy = Candidacy(lease.identity, self._terms)
        self._announced: int | None = None
        self._stopping = threading.Event()

    def epoch(self) -> int:
        """Raises LostLease."""
        return self._candidacy.epoch(self._clock.monotonic())

    def holds(self) -> bool:
        return self._candidacy.holds(self._clock.monotonic())

    def run(self) -> None:
        """Until `stop`."""
        while not self._stopping.is_set():
            try:
                self.step()
            except Exception:
                log.exception("leader election failed and goes on lease=%s", self._lease.name)
            self._stopping.wait(self._pause())

    def stop(self) -> None:
        """End `run`. The Lease is kept until `release`, or until it runs out."""
        self._stopping.set()

    def step(self) -> None:
        """One round: read if there is need, write if the Lease is ours or free, call back if that changed anything."""
        try:
            self._round()
        except (Conflict, AlreadyExists, NotFound):
            self._look_again()
        except ApiError as problem:
            log.warning("lease round failed lease=%s holds=%s reason=%s", self._lease.name, self.holds(), problem)
        self._announce()

    def release(self) -> None:
        """Give the Lease back, once nothing that needs it runs any more. Failing to is harmless: it runs out."""
        write = self._candidacy.resign()
        self._announce()
        if write is None:
            return
        body = self._body(write, None)
        body["spec"]["leaseDurationSeconds"] = 1
        try:
            self._cluster.merge(LEASE, self._lease.namespace, self._lease.name, body)
        except ApiError as problem:
            log.info("lease not released lease=%s reason=%s", self._lease.name, problem)

    def _round(self) -> None:
        if not self.holds():
            self._read()
        write = self._candidacy.decide(self._clock.monotonic())
        if write is None:
            return
        sent_at = self._clock.monotonic()
        body = self._body(write, self._lease.identity)
        if write.version:
            lease = self._cluster.merge(LEASE, self._lease.namespace, self._lease.name, body)
        else:
            lease = self._cluster.create(LEASE, body)
        self._candidacy.written(lease, sent_at, self._clock.monotonic())

    def _look_again(self) -> None:
        """Another write came first: see whose, to stop at once if it took the Lease from us."""
        try:
            self._read()
        except ApiError as problem:
            log.warning("lease not read lease=%s reason=%s", self._lease.name, problem)

    def _read(self) -> None:
        try:
            lease: Lease | None = self._cluster.get(LEASE, self._lease.namespace, self._lease.name)
        except NotFound:
            lease = None
        self._candidacy.observe(lease, self._clock.monotonic())

    def _body(self, write: Write, holder: str | None) -> dict[str, Any]:
        """A whole Lease to create, or a merge patch that finds it at `write.version`."""
        now = micro_time(self._clock.now())
        spec: dict[str, Any] = {"holderIdentity": holder, "renewTime": now, "leaseTransitions": write.transitions}
        spec["leaseDurationSeconds"] = round(self._terms.duration)
        if not write.renewal:
            spec["acquireTime"] = now
        metadata = {"namespace": self._lease.namespace, "name": self._lease.name}
        return LEASE.body(metadata | ({"resourceVersion": write.version} if write.version else {}), spec=spec)

    def _announce(self) -> None:
        now = self._clock.monotonic()
        epoch = self._candidacy.epoch(now) if self._candidacy.holds(now) else None
        if epoch == self._announced:
            return
        if self._announced is not None:
            log.warning("leadership lost lease=%s epoch=%d", self._lease.name, self._announced)
            self._on_lost()
        self._announced = epoch
        if epoch is not None:
            log.info("leadership won lease=%s identity=%s epoch=%d", self._lease.name, self._lease.identity, epoch)
            self._on_started(epoch)

    def _pause(self) -> float:
        """Until the next round; not beyond the end of what is held, so that its loss is told when it happens."""
        pause = self._terms.retry_period * self._random.uniform(0.8, 1.2)
        left = self._candidacy.until - self._clock.monotonic()
        return min(pause, left) if left > 0 else pause
