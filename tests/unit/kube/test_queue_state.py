from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lws_sched.kube.workqueue import FIRST_BACKOFF, LONGEST_BACKOFF, QueueState

KEYS = st.sampled_from(["a", "b", "c"])


class QueueUnderFire(RuleBasedStateMachine):
    """Adds, runs and time in any order, against what is owed: `due` keys now, `later` keys from some time on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.state = QueueState()
        self.running: set[str] = set()
        self.due: set[str] = set()
        self.later: dict[str, float] = {}

    def _owe(self, key: str, seconds: float) -> None:
        if seconds <= 0:
            self.due.add(key)
        else:
            self.later[key] = min(self.now + seconds, self.later.get(key, float("inf")))

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.state.add(key)
        self._owe(key, 0)

    @rule(key=KEYS, seconds=st.sampled_from([0.0, 1.0, 2.5, 40.0]))
    def add_after(self, key: str, seconds: float) -> None:
        self.state.add_after(key, seconds, self.now)
        self._owe(key, seconds)

    @rule(seconds=st.sampled_from([0.001, 1.0, 7.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        self.due |= {key for key, due in self.later.items() if due <= self.now}
        self.later = {key: due for key, due in self.later.items() if due > self.now}
        key = self.state.next(self.now)
        assert (key is not None) == bool(self.due - self.running), "what is due is handed out"
        if key is not None:
            assert key not in self.running, "the same key twice at once"
            self.due.remove(key)
            self.running.add(key)

    @rule(key=KEYS, outcome=st.one_of(st.none(), st.sampled_from([0.5, 20.0]), st.just(RuntimeError())))
    def finish(self, key: str, outcome: float | RuntimeError | None) -> None:
        if key not in self.running:
            return
        self.running.remove(key)
        again = self.state.done(key, outcome, self.now)
        if isinstance(outcome, RuntimeError):
            assert again is not None
            assert FIRST_BACKOFF <= again <= LONGEST_BACKOFF
        else:
            assert again == outcome
        if again is not None:
            self._owe(key, again)

    @invariant()
    def the_earliest_delayed_key_is_known(self) -> None:
        assert self.state.next_due() == min(self.later.values(), default=None)


QueueUnderFire.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestQueueUnderFire = QueueUnderFire.TestCase


def run(state: QueueState, outcome: float | Exception | None, now: float) -> float | None:
    key = state.next(now)
    assert key is not None
    return state.done(key, outcome, now)


@settings(deadline=None)
@given(st.integers(1, 40))
def test_the_wait_doubles_with_each_failure_up_to_a_cap_and_a_success_resets_it(failures: int) -> None:
    state, now, waits = QueueState(), 0.0, []
    state.add("a")
    for _ in range(failures):
        wait = run(state, RuntimeError(), now)
        assert wait is not None
        waits.append(wait)
        assert state.next(now) is None
        now += wait
    assert waits == [min(FIRST_BACKOFF * 2**n, LONGEST_BACKOFF) for n in range(failures)]
    assert run(state, None, now) is None
    state.add("a")
    assert run(state, RuntimeError(), now) == FIRST_BACKOFF


def test_a_key_added_many_times_while_it_runs_runs_once_more() -> None:
    state = QueueState()
    state.add("a")
    assert state.next(0) == "a"
    for _ in range(3):
        state.add("a")
    assert state.next(0) is None
    state.done("a", None, 0)
    assert state.next(0) == "a"
    state.done("a", None, 0)
    assert state.next(0) is None


def test_keys_come_out_in_the_order_of_their_arrival() -> None:
    state = QueueState()
    for key in ("b", "a", "b", "c"):
        state.add(key)
    state.add_after("d", 1.0, 0)
    assert [state.next(2) for _ in range(4)] == ["b", "a", "c", "d"]


def test_of_two_delays_the_earlier_counts() -> None:
    state = QueueState()
    state.add_after("a", 10, 0)
    state.add_after("a", 3, 0)
    state.add_after("a", 7, 0)
    assert state.next_due() == 3
    assert state.next(3) == "a"
    state.done("a", None, 3)
    assert state.next_due() is None


def test_a_new_addition_does_not_wait_for_the_backoff() -> None:
    state = QueueState()
    state.add("a")
    run(state, RuntimeError(), 0)
    state.add("a")
    assert state.next(0) == "a"
