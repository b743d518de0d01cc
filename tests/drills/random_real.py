"""Random drills on the real control plane: as `simulated`, with faults that only real processes have.

Each drill is drawn from one seed and has a namespace, nodes and a watch log of its own; what is judged is what a
separate process wrote down. Time is real, so a drill has many groups, and what is drawn again from the same seed meets
a cluster that is a little ahead or behind.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from tests.controlplane.start import start_plane
from tests.drills import outcome, workload
from tests.drills.outcome import Picture
from tests.drills.real import DrillSystem, RealCluster, SecondSchedulerSystem
from tests.drills.result import RECOVERY_SECONDS, Result
from tests.drills.sabotage import Act, Saboteur

ACTS = 12
QUIET_SECONDS = 4.0
"""How long nothing may be wrong for a cluster to be at rest."""
LOOK_SECONDS = 0.5
PATIENCE_SECONDS = RECOVERY_SECONDS + 10.0
PAUSES = (0.1, 0.5, 1.0, 4.0)
REPLAY = ".venv/bin/python -m tests.drills --replay-real"
SYSTEMS: tuple[type[DrillSystem], ...] = (DrillSystem, SecondSchedulerSystem)


def run(first: int, placements: int) -> Iterator[Result]:
    """Drills with consecutive seeds until so many groups were placed: the first half with one kube-scheduler, the rest
    with two."""
    seed = first
    for kind in SYSTEMS:
        left = placements // len(SYSTEMS)
        for result in _series(kind, seed, seed + placements):
            yield result
            seed, left = result.seed + 1, left - result.placements
            if left <= 0:
                break


def replay(seed: int) -> list[Result]:
    """The drills of one seed, with one kube-scheduler and with two."""
    return [result for kind in SYSTEMS for result in _series(kind, seed, seed + 1)]


def _series(kind: type[DrillSystem], first: int, end: int) -> Iterator[Result]:
    with start_plane() as plane:
        system = kind(plane)
        system.install()
        try:
            for seed in range(first, end):
                folder = plane.logs / f"drill-{seed}"
                folder.mkdir()
                result = _Drill(RealCluster(system, seed, folder), seed).perform()
                if result.is_good:
                    shutil.rmtree(folder)
                else:
                    plane.keep_logs()
                yield result
        finally:
            system.close()


class _Drill:
    def __init__(self, cluster: RealCluster, seed: int) -> None:
        self._cluster, self._seed = cluster, seed
        self._rng = Random(f"real drill {seed}")
        self._saboteur = _RealSaboteur(cluster, self._rng, workload.draw_many_racks(self._rng))

    def perform(self) -> Result:
        self._cluster.open()
        self._saboteur.begin()
        for _ in range(ACTS):
            time.sleep(self._rng.random() * self._rng.choice(PAUSES))
            self._saboteur.act()
        time.sleep(self._rng.random())
        self._cluster.let_bindings_pass()
        self._saboteur.heal()
        found = self._recover()
        self._cluster.ask_filter_again()
        self._cluster.mend()
        self._cluster.close()
        report = self._cluster.judge()
        lost = tuple(f"the watch log lacks events of {kind}" for kind in report.gaps)
        violations = tuple(report.violations)
        return replace(
            found,
            violations=violations,
            idle=(*found.idle, *lost),
            placements=report.placements,
            restarted=tuple(map(str, self._cluster.restarts)),
            unexplained=self._cluster.unexplained,
        )

    def _recover(self) -> Result:
        """Let the cluster come to rest; what is wrong with it then."""
        start, unwell_until, restless_at = time.monotonic(), 0.0, time.monotonic()
        while True:
            start = max([start, *(each.at for each in self._cluster.restarts)])  # its end was a fault
            picture = Picture.of(self._cluster)
            partial, idle = outcome.partial(picture), outcome.idle(picture)
            now = time.monotonic()
            if partial:
                unwell_until = now - start
            if partial or idle:
                restless_at = now
            if now - restless_at > QUIET_SECONDS or now - start > PATIENCE_SECONDS:
                break
            time.sleep(LOOK_SECONDS)
            self._saboteur.attempt(self._saboteur.lift_foreign_gates)
        return Result(
            seed=self._seed,
            violations=(),
            partial=tuple(partial),
            idle=tuple(idle),
            recovery=unwell_until,
            placements=0,
            story=tuple(self._saboteur.story),
            replay=f"{REPLAY} {self._seed}",
        )


class _RealSaboteur(Saboteur):
    """What only real processes suffer comes on top, and more groups at once."""

    def __init__(self, cluster: RealCluster, rng: Random, racks: workload.Racks) -> None:
        self._real = cluster
        super().__init__(cluster, rng, racks)

    def acts(self) -> Sequence[tuple[Act, int]]:
        real = ((self.restart_etcd, 2), (self.lose_an_answer, 3), (self.crash_amid_bindings, 3))
        return (*super().acts(), *real, (self.restart_a_set, 8))

    def restart_etcd(self) -> str:
        self._real.restart_etcd()
        return "etcd is killed and comes back"

    def lose_an_answer(self) -> str:
        number = self.rng.randint(1, 8)
        self._real.lose_the_answer_of_binding(number)
        return f"the answer of binding {number} from now on will be lost"

    def crash_amid_bindings(self) -> str:
        number = self.rng.randint(1, 8)
        self._real.crash_at_binding(number)
        return f"the extender will be killed at binding {number} from now on"
