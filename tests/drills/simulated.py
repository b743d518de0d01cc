"""One simulated drill: a world, its faults and its end, all drawn from one seed.

Beside what `sabotage` does, the components' writes crash them, are refused, or take effect though they seem to fail,
and their watches are late, stutter and break; that ends with the last fault. The cluster then has RECOVERY_SECONDS.
"""

from __future__ import annotations

from random import Random

from lws_sched.sim.faults import NONE, Crash, Faults, Refusal
from lws_sched.sim.loop import Latencies
from tests.drills import outcome, workload
from tests.drills.result import RECOVERY_SECONDS, Result
from tests.drills.sabotage import Breakable, Saboteur
from tests.scenarios.cluster import CONTROLLER, EXTENDER
from tests.scenarios.sim_cluster import REPLICA, SimCluster

LOOK_SECONDS = 1.0
FAULTY_WRITES = 60
"""A fault of a write hits one of the first so many."""
SECOND_EVERY = 4
REPLAY = ".venv/bin/python -m tests.drills --replay"
SLOW_COLLECTOR_EVERY = 3
LATENCIES = Latencies(orphaned_pod=2.0)
"""Pods of deleted nodes go after seconds, not a minute: a drill is about what follows."""
SLOW_LATENCIES = Latencies(orphaned_pod=300.0)
"""Nobody clears up after a deleted node in time: those that are leaving it must not be waited for."""


def run(seed: int) -> Result:
    return Drill(seed).perform()


class Drill(SimCluster, Breakable):
    """A simulated cluster, and what is done to it. One in SECOND_EVERY has a second kube-scheduler for our profile, and
    one in SLOW_COLLECTOR_EVERY a collector of deleted nodes' pods that is slow."""

    def __init__(self, seed: int) -> None:
        latencies = SLOW_LATENCIES if seed % SLOW_COLLECTOR_EVERY == 0 else LATENCIES
        super().__init__(seed, second_scheduler=seed % SECOND_EVERY == 0, latencies=latencies)
        self._seed = seed
        self._rng = Random(f"drill {seed}")
        self._saboteur = Saboteur(self, self._rng, workload.draw_racks(self._rng))

    def perform(self) -> Result:
        for component in (EXTENDER, CONTROLLER):
            self.world.give_faults(component, _draw_faults(self._rng))
        self._saboteur.begin()
        for _ in range(self._rng.randint(2, 6)):
            self.world.run(limit_seconds=_pause(self._rng))
            self._saboteur.act()
        self.world.run(limit_seconds=_pause(self._rng))
        self._heal()
        recovery = self._recover()
        picture = outcome.Picture.of(self)
        report = self.judge()
        return Result(
            seed=self._seed,
            violations=report.violations,
            partial=tuple(outcome.partial(picture)),
            idle=tuple(outcome.idle(picture)),
            recovery=recovery,
            placements=report.placements,
            story=tuple(self._saboteur.story),
            replay=f"{REPLAY} {self._seed}",
        )

    def _heal(self) -> None:
        for component in (EXTENDER, REPLICA, CONTROLLER):
            if self.world.is_known(component):
                self.world.give_faults(component, NONE)
        self._saboteur.heal()

    def _recover(self) -> float:
        """Let the cluster come to rest; the seconds until it did."""
        start, unwell_until, looked_at = self.now(), 0.0, -1
        while self.now() - start < RECOVERY_SECONDS:
            self.world.run(limit_seconds=LOOK_SECONDS)
            self._saboteur.attempt(self._saboteur.lift_foreign_gates)
            if self.world.server.store.rv != looked_at:
                looked_at, unwell = self.world.server.store.rv, bool(outcome.partial(outcome.Picture.of(self)))
            if unwell:
                unwell_until = self.now() - start
        return unwell_until


def _pause(rng: Random) -> float:
    """Seconds; mostly so few that the next thing happens amid what the last one caused."""
    return rng.random() * rng.choice((0.05, 0.3, 1.0, 4.0, 15.0))


def _draw_faults(rng: Random) -> Faults:
    crashes = tuple(
        Crash(rng.randint(1, FAULTY_WRITES), after=rng.random() < 0.5, restart_after=rng.choice((0.1, 1.0, 5.0)))
        for _ in range(rng.choice((0, 0, 1, 2)))
    )
    refusals = tuple(
        Refusal(rng.randint(1, FAULTY_WRITES), unavailable=kind != "conflict", took_effect=kind == "answer lost")
        for kind in rng.choices(("conflict", "refused", "answer lost"), k=rng.choice((0, 1, 4)))
    )
    if rng.random() < 0.6:
        return Faults(crashes, refusals)
    late, late_seconds = rng.choice((0.05, 0.3)), rng.choice((0.1, 1.0))
    return Faults(crashes, refusals, late=late, late_seconds=late_seconds, doubled=0.1, dropped=0.02)
