"""The certificates of kube-scheduler's calls: server and client never disagree, whoever writes first."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lws_sched.admission import certificates, verb_access
from lws_sched.admission.certificates import is_signed_by_any
from lws_sched.admission.rotation import EMPTY
from lws_sched.admission.verb_access import LIFETIME_SECONDS, TRUSTED_SECONDS, Access, SharedAccess, turned
from lws_sched.api.core import SECRET
from lws_sched.sim.world import World

NOW = 1_800_000_000.0
NAMES = ("lws-sched-extender-verbs.lws-system.svc",)
RENEWAL = NOW + 0.67 * LIFETIME_SECONDS


def stored(access: Access) -> dict[str, bytes]:
    return {key: value for key, value in verb_access.written(access).items() if value is not None}


def step(data: Mapping[str, bytes], at: float) -> dict[str, bytes]:
    return stored(turned(verb_access.read(data), NAMES, at))


def agrees(data: Mapping[str, bytes]) -> bool:
    """Whether each side trusts what the other shows."""
    access = verb_access.read(data)
    assert access.held.serving is not None
    assert access.client is not None
    return is_signed_by_any(access.held.serving, data["ca.crt"]) and is_signed_by_any(access.client, data["ca.crt"])


def test_the_first_replica_makes_both_sides_and_the_second_leaves_them_alone() -> None:
    access = turned(Access(EMPTY, None), NAMES, NOW)
    read = verb_access.read(stored(access))

    assert agrees(stored(access))
    assert access.client is not None
    assert access.client.names == ("lws-sched-scheduler",)
    assert turned(read, NAMES, NOW + 1) is read


def test_a_scheduler_that_was_started_before_the_change_trusts_what_is_served_for_a_year() -> None:
    first = step({}, NOW)
    staged = step(first, RENEWAL)

    assert agrees(staged)
    assert staged["tls.crt"] == first["tls.crt"]
    # The scheduler reads its client certificate anew, and the extender trusts the next authority already.
    assert staged["client.crt"] != first["client.crt"]
    assert step(staged, RENEWAL + TRUSTED_SECONDS - 1) == staged

    served = step(staged, RENEWAL + TRUSTED_SECONDS)
    assert served["tls.crt"] == staged["next.crt"]
    assert served["client.crt"] == staged["client.crt"]
    assert agrees(served)
    # Whoever still shows the old client certificate is let in until that ends.
    assert served["ca.crt"] == staged["ca.crt"]


@pytest.mark.parametrize("lost", ["client.crt", "client.key", "ca.crt", "tls.key"])
def test_a_secret_that_lost_a_part_is_made_whole_in_one_step(lost: str) -> None:
    first = step({}, NOW)

    mended = step({key: value for key, value in first.items() if key != lost}, NOW + 1)

    assert agrees(mended)
    assert step(mended, NOW + 2) == mended


def test_a_client_certificate_of_somebody_else_is_replaced() -> None:
    foreign = certificates.issue(["x"], NOW)
    data = step({}, NOW) | {"client.crt": foreign.certificate, "client.key": foreign.key}

    assert step(data, NOW)["client.crt"] != foreign.certificate


def test_replicas_share_the_secret() -> None:
    world = World()
    first = SharedAccess(world.cluster, world.clock, "lws-system", "verbs", NAMES).look()
    second = SharedAccess(world.cluster, world.clock, "lws-system", "verbs", NAMES).look()

    assert first == second
    data = world.cluster.get(SECRET, "lws-system", "verbs").data
    assert set(data) == {"tls.crt", "tls.key", "ca.crt", "client.crt", "client.key"}
