"""`defrag --yes`: the groups of a plan, moved one after the other, each whole.

Of each step the planner is told which nodes the group is to leave, and the group is taken down when its set can spare
it. Once it runs elsewhere the next step is planned anew, from what the cluster then is: whoever stops this, and runs it
again, goes on where it stood.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.meta import key_of
from lws_sched.cli.output import Exit, plural, say
from lws_sched.cli.source import LiveCluster
from lws_sched.cli.takedown import LOOK_SECONDS, can_spare, delete_leader, is_back, tell_to_leave
from lws_sched.core.rollout import budget
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.defrag import Plan, Step, plan_moves
from lws_sched.intake.groups import Group, all_groups
from lws_sched.intake.wanted import MemberShapes

Condition: TypeAlias = Callable[[Cluster], bool]


@dataclass
class Mover:
    """Moves groups until those of `sets` have room."""

    cluster: LiveCluster
    sets: tuple[LeaderWorkerSet, ...]
    shapes: Mapping[str, MemberShapes]
    patience: float
    """Seconds without progress after which it gives up."""
    moved: set[str] = field(default_factory=set)

    def run(self, plans: Sequence[Plan]) -> Exit:
        """Raises ApiError."""
        self._note_absent()
        while step := next((step for plan in plans if plan.answer.feasible for step in plan.steps), None):
            if step.group in self.moved:
                say(f"{step.group} would have to move once more, as others took the room: run it again")
                return Exit.FAILED
            if not self._move(step, _room_for(plans)):
                return Exit.FAILED
            self.moved.add(step.group)
            plans = plan_moves(self.cluster.read(), self.sets, self.shapes, only_ours=True)
        placed = sum(plan.answer.feasible for plan in plans)
        say(f"{plural(len(self.moved), 'group')} moved; {placed} of {plural(len(plans), 'group')} have room now")
        return Exit.OK if placed == len(plans) else Exit.REFUSED

    def _note_absent(self) -> None:
        there = {key_of(lws) for lws in self.cluster.read().sets}
        for name in (key_of(lws) for lws in self.sets if key_of(lws) not in there):
            say(f"note: {name} is not on the cluster: apply it first, or others may take the room that is made")

    def _move(self, step: Step, room: Sequence[str]) -> bool:
        """Move a group off the nodes of the step, and away from the room that is being made."""
        leave = sorted({*room} | {before for _, before, _ in step.pods})
        if not self._within(lambda found: _can_go(step.group, found)):
            say(f"gave up: its set cannot spare {step.group} now, as other groups of it are not ready")
            return False
        if not tell_to_leave(self.cluster, step.group, leave):
            say(f"gave up: the extender does not answer, and {step.group} was not touched; see `lws-sched check`")
            return False
        delete_leader(self.cluster, step.group)
        say(f"{step.group} taken down, to leave {', '.join(sorted(before for _, before, _ in step.pods))}")
        if not self._within(lambda found: is_back(_groups(found).get(step.group), leave)):
            say(f"gave up on {step.group} after {self.patience:g} s: `lws-sched explain {step.group}` tells why")
            return False
        say(f"{step.group} runs again")
        return True

    def _within(self, condition: Condition) -> bool:
        """Wait until a condition of the cluster holds; False where that took longer than the patience is."""
        deadline = time.monotonic() + self.patience
        while not condition(self.cluster.read()):
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_SECONDS)
        return True


def _can_go(key: str, found: Cluster) -> bool:
    groups = _groups(found)
    group = groups.get(key)
    if group is None or group.ready < group.size:
        return False
    set_key = f"{group.namespace}/{group.set_name}"
    at_once = next((budget(lws).unavailable for lws in found.sets if key_of(lws) == set_key), 1)
    return can_spare(set_key, key, max(1, at_once), groups)


def _room_for(plans: Sequence[Plan]) -> tuple[str, ...]:
    """The nodes on which blocked groups are to stand."""
    return tuple(node for plan in plans if plan.steps for _, node in plan.answer.slots)


def _groups(cluster: Cluster) -> dict[str, Group]:
    return {group.key: group for _, groups in all_groups(cluster) for group in groups}
