"""The certificate's life: no replica ever serves one that an API server may not trust yet."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.admission import certificates, rotation
from lws_sched.admission.certificates import Certificate, is_signed_by_any
from lws_sched.admission.rotation import TRUSTED_SECONDS, Held, turned

NOW = 1_800_000_000.0
NAMES = ("lws.svc",)
LIFE = 9000.0
EMPTY = Held(None, None, b"")


@functools.cache
def issued(at: float, number: int = 0, names: tuple[str, ...] = NAMES) -> Certificate:
    return certificates.issue(names, at, LIFE)


def step(state: Held, at: float, names: tuple[str, ...] = NAMES) -> Held:
    return turned(state, names, at, lambda: issued(at, names=names))


def stored(state: Held) -> Held:
    """What another replica reads after the state was written to the Secret."""
    return rotation.held({key: value for key, value in rotation.data(state).items() if value is not None})


def test_the_first_replica_makes_a_certificate_and_the_second_leaves_it_alone() -> None:
    first = step(EMPTY, NOW)
    assert first.serving is not None
    assert first.following is None

    read = stored(first)
    assert step(read, NOW + 1) is read


def test_a_certificate_is_changed_in_steps_and_the_old_authority_stays_until_it_ends() -> None:
    old = stored(step(EMPTY, NOW))
    late = NOW + 0.7 * LIFE

    staged = stored(step(old, late))
    assert staged.serving is not None
    assert old.serving is not None
    assert staged.following is not None
    assert staged.serving.certificate == old.serving.certificate
    assert is_signed_by_any(staged.following, staged.authorities)
    assert step(staged, late + TRUSTED_SECONDS - 1) is staged

    served = stored(step(staged, late + TRUSTED_SECONDS))
    assert served.serving is not None
    assert (served.serving.certificate, served.following) == (staged.following.certificate, None)
    assert served.authorities == staged.authorities

    over = step(served, NOW + LIFE + 1)
    assert over.authorities == certificates.bundle(staged.authorities, now=NOW + LIFE + 1) != staged.authorities
    assert over.serving is not None
    assert over.serving.certificate == served.serving.certificate


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(lambda: step(EMPTY, NOW - LIFE - 1), id="expired"),
        pytest.param(lambda: step(EMPTY, NOW, ("other.svc",)), id="for another name"),
        pytest.param(lambda: Held(issued(NOW), None, b""), id="without its authority"),
    ],
)
def test_a_certificate_that_is_of_no_use_is_replaced_at_once(state: object) -> None:
    assert callable(state)
    found = stored(state())

    new = step(found, NOW)

    assert new.serving is not None
    assert new.serving.names == NAMES
    assert new.serving.not_after > NOW
    assert is_signed_by_any(new.serving, new.authorities)


def test_nonsense_in_the_secret_is_as_good_as_nothing() -> None:
    state = rotation.held({"tls.crt": b"x", "tls.key": b"y", "ca.crt": b"z"})

    assert (state.serving, state.following) == (None, None)
    assert step(state, NOW).serving is not None


def test_a_staged_certificate_replaces_an_expired_one_without_a_third() -> None:
    staged = stored(step(stored(step(EMPTY, NOW)), NOW + 0.7 * LIFE))

    now = step(staged, NOW + LIFE + 1)

    assert staged.following is not None
    assert now.serving is not None
    assert now.serving.certificate == staged.following.certificate


def pauses() -> st.SearchStrategy[list[float]]:
    """Seconds between two looks of anybody at the Secret: moments, minutes, or half a life."""
    return st.lists(st.sampled_from([1.0, TRUSTED_SECONDS / 2, TRUSTED_SECONDS, LIFE / 4, LIFE / 2]), max_size=20)


@settings(max_examples=40, deadline=None)
@given(pauses())
def test_what_is_served_is_trusted_for_long_enough_unless_it_came_too_late(pauses: list[float]) -> None:
    """However seldom anybody looks: a certificate that takes over from a good one was trusted for TRUSTED_SECONDS, and
    the one before it still is."""
    for before, after, now, trusted_since in _life(pauses):
        assert after.serving is not None
        assert is_signed_by_any(after.serving, after.authorities)
        if before.serving is None or after.serving.certificate == before.serving.certificate:
            continue
        if now < before.serving.not_after:
            assert now - trusted_since[after.serving.certificate] >= TRUSTED_SECONDS
            assert is_signed_by_any(before.serving, after.authorities)


def _life(pauses: list[float]) -> Iterator[tuple[Held, Held, float, dict[bytes, float]]]:
    state, now, trusted_since = EMPTY, NOW, dict[bytes, float]()
    for pause in [0.0, *pauses]:
        now += pause
        after = stored(step(state, now))
        for each in (after.serving, after.following):
            if each is not None:
                trusted_since.setdefault(each.certificate, now)
        yield state, after, now, trusted_since
        state = after
