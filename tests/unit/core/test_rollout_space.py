"""Rollouts from any state that a set can be found in: the state is drawn, not reached.

The StatefulSet and the groups behave as in a cluster: groups at and above the partition that are of an old revision are
taken down, at most as many at once as the StatefulSet allows; groups come up in any order, and may fail again. Whatever
the start, the rollout must end; on the way it takes no ready group down that the budget needs, never has more groups
than the budget allows, and never raises the partition but to the spec's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.core.rollout import Current, State, budget, next_rollout
from tests.unit.core.samples import rolling, sample

STATES = st.sampled_from([State(ready, updated) for ready in (True, False) for updated in (True, False)])


@dataclass(frozen=True)
class Scene:
    """A set in the middle of something."""

    lws: LeaderWorkerSet
    current: Current
    states: tuple[State, ...]
    """By index; groups that do not exist are missing at the end."""

    @property
    def floor(self) -> int:
        strategy = self.lws.spec.rollout_strategy.rolling_update_configuration
        assert strategy is not None
        return strategy.partition

    @property
    def ready(self) -> int:
        return sum(state.ready for state in self.states)

    def controlled(self) -> Scene:
        """The controller writes."""
        planned = next_rollout(self.lws, self.current, self.states, is_new=False)
        return replace(self, current=Current(planned.partition, planned.replicas, self.lws.spec.replicas))

    def replaced(self) -> Scene:
        """The StatefulSet controller acts: at once on what is down, on ready groups within its maxUnavailable."""
        kept = list(self.states[: self.current.replicas])
        kept += [State(False, True)] * (self.current.replicas - len(kept))
        allowed = budget(self.lws).together - sum(not state.ready for state in kept)
        for index in reversed(range(len(kept))):
            state = kept[index]
            if index < self.current.partition or state.updated:
                continue
            if not state.ready:
                kept[index] = State(False, True)
            elif allowed > 0:
                kept[index], allowed = State(False, True), allowed - 1
        return replace(self, states=tuple(kept))

    def come_up(self, chosen: Callable[[int], bool]) -> Scene:
        states = (State(state.ready or chosen(index), state.updated) for index, state in enumerate(self.states))
        return replace(self, states=tuple(states))

    @property
    def is_over(self) -> bool:
        """At rest: the spec's replicas where nothing is left to roll, every group from the spec's partition on done."""
        replicas = self.lws.spec.replicas
        done = all(state.done for state in self.states[min(self.floor, replicas) : replicas])
        rest = replace(self.controlled(), current=replace(self.current, scaled_for=replicas)) == self
        return done and rest and len(self.states) >= replicas


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    replicas = draw(st.integers(1, 8))
    unavailable = draw(st.one_of(st.integers(0, 9), st.sampled_from(["0%", "25%", "60%", "100%"])))
    surge = draw(st.one_of(st.integers(0, 9), st.sampled_from(["0%", "25%", "100%"])))
    partition = draw(st.one_of(st.just(0), st.integers(0, 10)))
    strategy = rolling(partition=partition, maxUnavailable=unavailable, maxSurge=surge)
    lws = sample(replicas=replicas, rolloutStrategy=strategy)
    existing = draw(st.integers(0, replicas + budget(lws).surge))
    states = tuple(draw(st.lists(STATES, min_size=existing, max_size=existing)))
    scaled_for = draw(st.sampled_from([replicas, replicas, None, draw(st.integers(0, 9))]))
    return Scene(lws, Current(draw(st.integers(0, 12)), existing, scaled_for), states)


@settings(max_examples=150, deadline=None)
@given(scene=scenes(), seed=st.integers(0, 2**16))
def test_from_any_state_a_rollout_ends_and_its_partition_never_rises(scene: Scene, seed: int) -> None:
    rng = Random(seed)
    for _ in range(10 * (len(scene.states) + scene.lws.spec.replicas) + 40):
        before = scene
        scene = scene.controlled()
        assert scene.current.partition <= max(before.current.partition, scene.floor)
        assert scene.current.partition >= scene.floor
        ceiling = scene.lws.spec.replicas + budget(scene.lws).surge
        assert scene.current.replicas <= ceiling
        scene = scene.replaced()
        if scene == before and scene.is_over:
            return
        lucky = rng.randrange(max(1, len(scene.states)))
        scene = scene.come_up(lambda index, lucky=lucky: index == lucky or rng.random() < 0.5)  # type: ignore[misc]
    raise AssertionError(f"stuck at {scene}")


@settings(max_examples=150, deadline=None)
@given(scene=scenes(), seed=st.integers(0, 2**16))
def test_a_rollout_takes_no_group_down_that_its_floor_needs(scene: Scene, seed: int) -> None:
    """Down are only groups that come up at the new revision: one that failed on its own counts as the API's formula has
    it, which may take one more down beside it. Surge groups that are given back are not counted either."""
    rng, replicas = Random(seed), scene.lws.spec.replicas
    # An update goes from the last group to the first, and surge comes at the new revision.
    old = sum(not state.updated for state in scene.states[:replicas])
    ready = [state.ready for state in scene.states] + [False] * (replicas - len(scene.states))
    states = tuple(State(each or index < old, index >= old) for index, each in enumerate(ready))
    scene = replace(scene, states=states, current=Current(old, len(states), replicas))
    least = replicas - budget(scene.lws).unavailable
    for _ in range(40):
        scene = scene.controlled()
        before = sum(state.ready for state in scene.states[: scene.current.replicas])
        scene = scene.replaced()
        assert scene.ready >= min(before, least), scene
        scene = scene.come_up(lambda _: rng.random() < 0.4)


@settings(max_examples=100, deadline=None)
@given(scene=scenes())
def test_where_all_surge_is_done_the_partition_is_what_the_apis_formula_says(scene: Scene) -> None:
    replicas, most = scene.lws.spec.replicas, budget(scene.lws).surge
    desired = (*scene.states, *[State()] * replicas)[:replicas]

    def at(surge: int) -> Scene:
        states = (*desired, *[State(True, True)] * surge)
        # From partition 1 on: at 0 nothing is left to roll.
        return replace(scene, states=states, current=Current(max(1, scene.current.partition), len(states), replicas))

    # As much surge as is wanted: what is given back stands in for nobody.
    scene = at(next_rollout(scene.lws, at(most).current, at(most).states, is_new=False).replicas - replicas)
    planned = next_rollout(scene.lws, scene.current, scene.states, is_new=False)
    assert planned.replicas == len(scene.states)
    assert planned.partition == max(scene.floor, _formula(scene))


def _formula(scene: Scene) -> int:
    """The rule of the API's reference: as many groups below the finished tail as the budget has left, more where some
    further down are not ready, and those that cost nothing."""
    states, allowed, existing = scene.states, budget(scene.lws), len(scene.states)
    step = allowed.unavailable + allowed.surge - (scene.lws.spec.replicas + allowed.surge - existing)
    finished = 0
    while finished < existing and states[existing - 1 - finished].done:
        finished += 1
    base = max(0, existing - finished - step)
    lowest = base + sum(not state.ready for state in states[:base])
    for index in range(min(lowest, existing - 1), base - 1, -1):
        if states[index].ready and not states[index].updated:
            break
        lowest = index
    return min(lowest, scene.current.partition)
