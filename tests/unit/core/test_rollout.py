"""The rolling update, against the sequences that the API's tests pin, and as properties of whole rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.core.rollout import Current, Rollout, State, budget, is_reclaiming, next_rollout, scaled
from tests.unit.core.samples import rolling, sample

DONE, OLD, DOWN = State(True, True), State(True, False), State(False, False)


def _set(replicas: int, *, unavailable: int | str = 1, surge: int | str = 0, partition: int = 0) -> LeaderWorkerSet:
    strategy = rolling(partition=partition, maxUnavailable=unavailable, maxSurge=surge)
    return sample(replicas=replicas, rolloutStrategy=strategy)


def _at(partition: int, replicas: int, scaled_for: int | None = None) -> Current:
    return Current(partition, replicas, scaled_for)


@pytest.mark.parametrize(
    ("value", "up", "wanted"),
    [(3, False, 3), ("25%", False, 0), ("25%", True, 1), ("50%", False, 1), ("100%", True, 3), ("0%", True, 0)],
)
def test_percentages_are_of_the_replicas(value: int | str, up: bool, wanted: int) -> None:
    assert scaled(value, 3, up=up) == wanted


def test_a_set_that_may_neither_lose_nor_add_groups_may_lose_one() -> None:
    assert budget(_set(3, unavailable="25%")).unavailable == 1
    assert budget(_set(3, unavailable="25%")).together == 1


@pytest.mark.parametrize(
    ("lws", "current", "states", "is_new", "wanted"),
    [
        pytest.param(_set(4), None, [DOWN] * 4, False, (0, 4), id="a new set has all its replicas"),
        pytest.param(_set(6, partition=4), None, [DOWN] * 6, False, (4, 6), id="the partition rests at the spec's"),
        pytest.param(_set(4), _at(0, 4, 4), [DONE] * 4, True, (4, 4), id="an update starts above the last group"),
        pytest.param(_set(4, surge=1), _at(0, 4, 4), [DONE] * 4, True, (4, 5), id="surge comes with the update"),
        pytest.param(
            _set(2, surge=4), _at(0, 2, 2), [DONE] * 2, True, (2, 3), id="surge is capped, minus what may miss"
        ),
        pytest.param(_set(4, surge=2), _at(0, 2, 2), [DONE] * 4, True, (2, 4), id="scaling up goes before surge"),
        pytest.param(_set(4), _at(0, 4, 4), [DONE] * 4, False, (0, 4), id="at rest nothing moves"),
        pytest.param(_set(6), _at(2, 4, 4), [OLD] * 2 + [DONE] * 2 + [DOWN] * 2, False, (2, 6), id="scale up mid-way"),
        pytest.param(_set(4), _at(4, 4, 4), [OLD] * 4, False, (3, 4), id="the last group goes first"),
        pytest.param(_set(4), _at(3, 4, 4), [OLD] * 3 + [DOWN], False, (3, 4), id="one at a time"),
        pytest.param(_set(4), _at(3, 4, 4), [OLD] * 3 + [DONE], False, (2, 4), id="then the one before"),
        pytest.param(
            _set(4), _at(2, 4, 4), [OLD, DONE, DOWN, DONE], False, (2, 4), id="a group out of order does not help"
        ),
        pytest.param(_set(4, unavailable=10), _at(4, 4, 4), [OLD] * 4, False, (0, 4), id="all at once when allowed"),
        pytest.param(
            _set(4, unavailable=2), _at(4, 4, 4), [OLD, DOWN, OLD, OLD], False, (3, 4), id="a lame group counts"
        ),
        pytest.param(_set(2), _at(2, 2, 2), [DOWN] * 2, False, (1, 2), id="groups that are down cost nothing"),
        pytest.param(_set(4, unavailable=0, surge=1), _at(4, 5, 4), [OLD] * 4 + [DONE], False, (3, 5), id="by surge"),
        pytest.param(
            _set(4, unavailable=0, surge=1),
            _at(0, 5, 4),
            [DOWN] + [DONE] * 4,
            False,
            (0, 5),
            id="surge is kept to the end",
        ),
        pytest.param(
            _set(4, unavailable=0, surge=1), _at(0, 5, 4), [DONE] * 5, False, (0, 4), id="and then given back"
        ),
        pytest.param(_set(3), _at(5, 6, 6), [OLD] * 3, False, (3, 3), id="a scale-down mid-way"),
        pytest.param(
            _set(2, surge=2), _at(3, 8, 6), [OLD] * 2 + [DOWN] * 6, False, (3, 3), id="a scale-down mid-way with surge"
        ),
        pytest.param(
            _set(4, surge=2),
            _at(0, 5, 5),
            [DONE, State(False, True)] * 2 + [DONE],
            False,
            (0, 4),
            id="a plain scale-down",
        ),
        pytest.param(
            _set(5, surge=2), _at(6, 6, 6), [OLD] * 6, False, (6, 6), id="a scale-down mid-way adds no groups first"
        ),
        pytest.param(_set(3), _at(2, 3, None), [OLD] * 2 + [DONE], False, (1, 3), id="a lost record does not stop it"),
    ],
)
def test_next_rollout(
    lws: LeaderWorkerSet, current: Current | None, states: Sequence[State], is_new: bool, wanted: tuple[int, int]
) -> None:
    assert next_rollout(lws, current, states, is_new=is_new) == Rollout(*wanted)


def test_only_surge_is_reclaimed() -> None:
    assert is_reclaiming(_set(4), _at(0, 5, 4), Rollout(0, 4))
    assert not is_reclaiming(_set(4), _at(0, 5, 5), Rollout(0, 4))


@dataclass(frozen=True)
class _Cluster:
    """Groups by index, and the StatefulSet over them, as the cluster would move them."""

    lws: LeaderWorkerSet
    current: Current
    states: tuple[State, ...]

    def control(self, *, is_new: bool = False) -> _Cluster:
        """The controller writes."""
        planned = next_rollout(self.lws, self.current, self.states, is_new=is_new)
        return replace(self, current=Current(planned.partition, planned.replicas, self.lws.spec.replicas))

    def replace_pods(self) -> _Cluster:
        """The StatefulSet adds new groups, drops surplus ones, and takes down old ones at and above the partition."""
        kept = self.states[: self.current.replicas]
        rolled = tuple(
            State(False, True) if index >= self.current.partition and not state.updated else state
            for index, state in enumerate(kept)
        )
        return replace(self, states=rolled + (State(False, True),) * (self.current.replicas - len(rolled)))

    def become_ready(self, rng: Random) -> _Cluster:
        """Some of the groups that are coming up are there; at least one."""
        coming = [index for index, state in enumerate(self.states) if not state.ready]
        chosen = set(rng.sample(coming, rng.randint(1, len(coming)))) if coming else set()
        states = (State(state.ready or index in chosen, state.updated) for index, state in enumerate(self.states))
        return replace(self, states=tuple(states))

    @property
    def is_done(self) -> bool:
        replicas = self.lws.spec.replicas
        return self.states == (DONE,) * replicas and self.current == Current(0, replicas, replicas)


@settings(max_examples=150, deadline=None)
@given(
    replicas=st.integers(1, 9),
    unavailable=st.one_of(st.integers(0, 10), st.sampled_from(["10%", "25%", "50%", "100%"])),
    surge=st.one_of(st.integers(0, 4), st.sampled_from(["10%", "34%", "100%"])),
    seed=st.integers(0, 2**16),
)
def test_a_rollout_ends_within_its_budget(replicas: int, unavailable: int | str, surge: int | str, seed: int) -> None:
    lws, rng = _set(replicas, unavailable=unavailable, surge=surge), Random(seed)
    allowed = budget(lws)
    cluster = _Cluster(lws, _at(0, replicas, replicas), (OLD,) * replicas).control(is_new=True)
    for _ in range(12 * replicas + 24):
        if cluster.is_done:
            break
        before = cluster.current.partition
        cluster = cluster.control()
        assert cluster.current.partition <= before
        assert replicas <= cluster.current.replicas <= replicas + allowed.surge
        cluster = cluster.replace_pods()
        assert sum(state.ready for state in cluster.states) >= replicas - allowed.unavailable
        cluster = cluster.become_ready(rng)
    assert cluster.is_done


@settings(max_examples=100, deadline=None)
@given(replicas=st.integers(0, 8), target=st.integers(0, 8), surge=st.integers(0, 3), seed=st.integers(0, 2**16))
def test_scaling_in_the_midst_of_a_rollout_ends_at_the_new_size(
    replicas: int, target: int, surge: int, seed: int
) -> None:
    rng = Random(seed)
    cluster = _Cluster(_set(replicas, surge=surge), _at(0, replicas, replicas), (OLD,) * replicas).control(is_new=True)
    for _ in range(rng.randint(0, 6)):
        cluster = cluster.control().replace_pods().become_ready(rng)
    cluster = replace(cluster, lws=_set(target, surge=surge))
    for _ in range(12 * max(replicas, target) + 24):
        cluster = cluster.control().replace_pods().become_ready(rng)
        assert cluster.current.replicas <= max(target + surge, replicas + surge)
    assert cluster.is_done


@settings(max_examples=100, deadline=None)
@given(replicas=st.integers(1, 8), states=st.data())
def test_at_rest_the_plan_is_a_fixed_point(replicas: int, states: st.DataObject) -> None:
    lws = _set(replicas, surge=states.draw(st.integers(0, 3)))
    seen = tuple(states.draw(st.sampled_from([DONE, State(False, True)])) for _ in range(replicas))
    rest = _Cluster(lws, _at(0, replicas, replicas), seen)
    assert rest.control() == rest
