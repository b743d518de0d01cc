from __future__ import annotations

import time

from lws_sched.admission import certificates
from lws_sched.admission.certificates import Certificate
from lws_sched.admission.published import NAME, PublishedAuthority
from lws_sched.api.core import CONFIG_MAP
from lws_sched.sim.world import World

WHERE = "lws-sched-extender.lws-system.svc"


def published(world: World) -> dict[str, str]:
    return dict(world.cluster.get(CONFIG_MAP, "lws-system", NAME).data)


def test_the_leader_tells_whom_to_trust_and_under_which_name_and_corrects_what_others_change() -> None:
    world, certificate = World(), certificates.issue([WHERE], time.time())
    authority = PublishedAuthority(world.cluster, "lws-system")
    wanted = {"ca.crt": certificate.authority.decode(), "server-name": WHERE}
    assert not authority.is_trusted(certificate)

    assert authority.keep(certificate)
    assert published(world) == wanted
    assert authority.is_trusted(certificate)

    world.cluster.merge(CONFIG_MAP, "lws-system", NAME, {"data": {"ca.crt": "another", "more": "x"}})
    assert not authority.is_trusted(certificate)
    assert authority.keep(certificate)
    assert published(world) == wanted


def test_where_users_outside_reach_it_is_told_where_that_is_known() -> None:
    world, certificate = World(), certificates.issue([WHERE], time.time())
    PublishedAuthority(world.cluster, "lws-system", "placement.example:443").keep(certificate)
    assert published(world)["address"] == "placement.example:443"

    PublishedAuthority(world.cluster, "lws-system").keep(certificate)
    assert "address" not in published(world)


def test_what_is_right_already_is_not_written_again() -> None:
    world, certificate = World(), certificates.issue([WHERE], time.time())
    authority = PublishedAuthority(world.cluster, "lws-system")
    authority.keep(certificate)
    before = world.cluster.get(CONFIG_MAP, "lws-system", NAME).metadata.resource_version

    assert authority.keep(certificate)
    assert world.cluster.get(CONFIG_MAP, "lws-system", NAME).metadata.resource_version == before


def test_during_a_change_both_authorities_are_told() -> None:
    world = World()
    old, new = (certificates.issue([WHERE], time.time()) for _ in range(2))
    both = Certificate(old.certificate, old.key, old.authority + new.authority)
    authority = PublishedAuthority(world.cluster, "lws-system")
    authority.keep(old)
    authority.keep(both)

    assert published(world)["ca.crt"].count("BEGIN CERTIFICATE") == 2
