"""Replicas on one cluster: what they serve, what they register, and when they say that they are ready."""

from __future__ import annotations

import base64
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from lws_sched.admission import certificates
from lws_sched.admission.certificates import Certificate, InvalidCertificate
from lws_sched.admission.hook import ALLOWED, Hook
from lws_sched.admission.registration import CONTROLLER, Registrar, ServiceConnection
from lws_sched.admission.rotation import TRUSTED_SECONDS
from lws_sched.admission.server import Upkeep
from lws_sched.admission.sources import CertificateFiles, CertificateSource, SharedCertificate
from lws_sched.admission.web import WebServer
from lws_sched.api.core import MUTATING_WEBHOOKS, POD, SECRET, VALIDATING_WEBHOOKS
from lws_sched.kube.errors import NotFound, Unavailable
from lws_sched.sim.cluster import SimCluster
from lws_sched.sim.world import World

NAMESPACE, SERVICE, SECRET_NAME = "lws-system", "lws-webhook-service", "lws-webhook-server-cert"
NAMES = (f"{SERVICE}.{NAMESPACE}.svc",)
DAY = 86400.0
HOOKS = (
    Hook("mpod.kb.io", "/mutate", POD, ("CREATE",), True, lambda _: ALLOWED),
    Hook("vset.kb.io", "/validate", POD, ("CREATE", "UPDATE"), False, lambda _: ALLOWED),
    Hook("vpod.kb.io", "/validate--v1-pod", POD, ("CREATE",), False, lambda _: ALLOWED, registered=False),
)


def connection(authorities: bytes) -> ServiceConnection:
    return ServiceConnection(NAMESPACE, SERVICE, authorities)


class Server:
    """Remembers what it was told to serve."""

    def __init__(self) -> None:
        self.served: list[Certificate] = []

    def use(self, certificate: Certificate) -> None:
        self.served.append(certificate)


@dataclass
class Replica:
    """One replica's upkeep; `leads` as the test says."""

    world: World
    leads: bool
    source: CertificateSource | None = None
    server: Server = field(default_factory=Server)

    def __post_init__(self) -> None:
        shared = SharedCertificate(self.world.cluster, self.world.clock, NAMESPACE, SECRET_NAME, NAMES)
        registrar = Registrar(self.world.cluster, HOOKS, CONTROLLER, connection)
        server = cast("WebServer", self.server)
        self.upkeep = Upkeep(server, self.source or shared, registrar, lambda: self.leads)

    def look(self) -> str:
        self.upkeep.look()
        return self.upkeep.problem


def webhooks(world: World) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for kind, name in ((MUTATING_WEBHOOKS, CONTROLLER.mutating), (VALIDATING_WEBHOOKS, CONTROLLER.validating)):
        found |= {webhook["name"]: webhook for webhook in world.cluster.get(kind, "", name).webhooks}
    return found


def bundle(webhook: dict[str, Any]) -> bytes:
    return base64.b64decode(webhook["clientConfig"]["caBundle"])


def test_a_follower_is_ready_once_the_leader_has_registered_the_certificate_that_both_serve() -> None:
    world = World()
    leader, follower = Replica(world, leads=True), Replica(world, leads=False)

    assert follower.look().startswith("the webhooks are not registered with our certificate yet")
    assert leader.look() == ""
    assert follower.look() == ""

    assert leader.server.served == follower.server.served
    assert set(webhooks(world)) == {"mpod.kb.io", "vset.kb.io"}
    assert {bundle(each) for each in webhooks(world).values()} == {leader.server.served[0].authority}


def test_looking_again_writes_nothing() -> None:
    world = World()
    leader, follower = Replica(world, leads=True), Replica(world, leads=False)
    leader.look()
    written = len(world.log)

    for _ in range(3):
        leader.look()
        follower.look()

    assert len(world.log) == written
    assert len(leader.server.served) == 1


def test_a_rotation_reaches_every_replica_and_nobody_is_ever_without_trust() -> None:
    world = World()
    leader, follower = Replica(world, leads=True), Replica(world, leads=False)
    replicas = (leader, follower)
    leader.look()
    served_first = leader.server.served[0]
    # Looks over more than two lives of a certificate.
    for _ in range(60):
        world.clock.elapsed += 15 * DAY
        for pause in (0.0, TRUSTED_SECONDS + 1):
            world.clock.elapsed += pause
            # Whoever looks first acts; what the other serves meanwhile is trusted all the same.
            for replica in replicas:
                assert replica.look() == ""
                for each in replicas:
                    trusted = [bundle(webhook) for webhook in webhooks(world).values()]
                    if each.server.served:
                        assert all(certificates.is_signed_by_any(each.server.served[-1], one) for one in trusted)
    assert len(leader.server.served) >= 3
    assert [each.certificate for each in follower.server.served] == [each.certificate for each in leader.server.served]
    assert served_first.certificate != leader.server.served[-1].certificate


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"clientConfig": {"service": {"name": SERVICE, "namespace": NAMESPACE}}}, id="no caBundle"),
        pytest.param({"failurePolicy": "Ignore"}, id="failures ignored"),
        pytest.param({"rules": []}, id="no rules"),
    ],
)
def test_what_somebody_changed_is_corrected_and_what_they_added_is_kept(damage: dict[str, Any]) -> None:
    world = World()
    leader = Replica(world, leads=True)
    leader.look()
    right = webhooks(world)["mpod.kb.io"]
    selector = {"matchExpressions": [{"key": "control-plane", "operator": "DoesNotExist"}]}
    change = {"webhooks": [{**right, **damage, "namespaceSelector": selector}]}
    world.cluster.merge(MUTATING_WEBHOOKS, "", CONTROLLER.mutating, change)

    assert leader.look() == ""

    assert webhooks(world)["mpod.kb.io"] == {**right, "namespaceSelector": selector}


def test_a_deleted_configuration_comes_back() -> None:
    world = World()
    leader = Replica(world, leads=True)
    leader.look()
    world.cluster.delete(VALIDATING_WEBHOOKS, "", CONTROLLER.validating)

    leader.look()

    assert "vset.kb.io" in webhooks(world)


def test_webhooks_left_by_another_controller_at_our_address_go_and_others_stay() -> None:
    world = World()
    ours = ServiceConnection(NAMESPACE, SERVICE, b"old").client_config("/validate--v1-pod")
    theirs = ServiceConnection("elsewhere", SERVICE, b"old").client_config("/validate")
    body = VALIDATING_WEBHOOKS.body(
        {"name": CONTROLLER.validating, "labels": {"app": "lws"}},
        webhooks=[{"name": "vpod.kb.io", "clientConfig": ours}, {"name": "policy.test", "clientConfig": theirs}],
    )
    world.cluster.create(VALIDATING_WEBHOOKS, body)

    Replica(world, leads=True).look()

    found = world.cluster.get(VALIDATING_WEBHOOKS, "", CONTROLLER.validating)
    assert [each["name"] for each in found.webhooks] == ["policy.test", "vset.kb.io"]
    assert found.metadata.labels == {"app": "lws"}


def test_the_certificate_of_the_controller_that_was_there_before_is_served_on() -> None:
    """Replacing it is no downtime: the API server trusts that certificate already."""
    world = World()
    theirs = certificates.issue(NAMES, world.clock.now())
    texts = {"tls.crt": theirs.certificate, "tls.key": theirs.key, "ca.crt": theirs.authority, "ca.key": b"secret"}
    data = {key: base64.b64encode(text).decode() for key, text in texts.items()}
    world.cluster.create(SECRET, SECRET.body({"namespace": NAMESPACE, "name": SECRET_NAME}, data=data))
    registered = [
        {"name": name, "clientConfig": connection(theirs.authority).client_config("/x")}
        for name in ("mpod.kb.io", "vset.kb.io")
    ]
    for kind, name, webhook in (
        (MUTATING_WEBHOOKS, CONTROLLER.mutating, registered[0]),
        (VALIDATING_WEBHOOKS, CONTROLLER.validating, registered[1]),
    ):
        world.cluster.create(kind, kind.body({"name": name}, webhooks=[webhook]))

    follower = Replica(world, leads=False)

    assert follower.look() == ""
    assert [each.certificate for each in follower.server.served] == [theirs.certificate]
    assert set(world.cluster.get(SECRET, NAMESPACE, SECRET_NAME).data) == set(texts)


def test_an_api_server_that_does_not_answer_changes_nothing() -> None:
    world = World()
    leader = Replica(world, leads=True)
    leader.look()

    class Down(SimCluster):
        def get(self, *_: Any, **__: Any) -> Any:
            raise Unavailable("no answer")

    leader.upkeep.source = SharedCertificate(Down(world.server, world.loop), world.clock, NAMESPACE, SECRET_NAME, NAMES)
    assert leader.look() == ""

    fresh = Replica(world, leads=True, source=leader.upkeep.source)
    assert fresh.look() == "the webhook certificate is not there yet: no answer"


class Race(SimCluster):
    """Lets another replica write first, once, whatever is about to be written."""

    def __init__(self, world: World) -> None:
        super().__init__(world.server, world.loop)
        self.other: Replica | None = Replica(world, leads=False)

    def create(self, *args: Any, **more: Any) -> Any:
        return self._after_the_other(super().create, *args, **more)

    def merge(self, *args: Any, **more: Any) -> Any:
        return self._after_the_other(super().merge, *args, **more)

    def _after_the_other(self, write: Any, *args: Any, **more: Any) -> Any:
        if self.other is not None:
            other, self.other = self.other, None
            other.look()
        return write(*args, **more)


@pytest.mark.parametrize("days", [pytest.param(0, id="the first certificate"), pytest.param(300, id="the next one")])
def test_of_two_replicas_that_make_a_certificate_at_once_one_wins_and_both_serve_that(days: int) -> None:
    world = World()
    if days:
        Replica(world, leads=False).look()
        world.clock.elapsed += days * DAY
    race = Race(world)
    other = race.other
    assert other is not None

    served = SharedCertificate(race, world.clock, NAMESPACE, SECRET_NAME, NAMES).look()

    assert [served.certificate] == [each.certificate for each in other.server.served]
    assert served.authority == world.cluster.get(SECRET, NAMESPACE, SECRET_NAME).data["ca.crt"]


def test_a_namespace_that_is_not_there_is_what_the_user_is_told() -> None:
    world = World()

    class Nowhere(SimCluster):
        def create(self, *_: Any, **__: Any) -> Any:
            raise NotFound('namespaces "lws-system" not found')

    nowhere = SharedCertificate(Nowhere(world.server, world.loop), world.clock, NAMESPACE, SECRET_NAME, NAMES)

    assert 'namespaces "lws-system" not found' in Replica(world, leads=True, source=nowhere).look()


class Picky(Server):
    def use(self, certificate: Certificate) -> None:
        raise ssl.SSLError("key too small")


class Broken:
    """A source that fails in a way that nobody thought of, then recovers."""

    def __init__(self, good: CertificateSource, stopped: threading.Event) -> None:
        self.good, self.stopped, self.looks = good, stopped, 0

    def look(self) -> Certificate:
        self.looks += 1
        if self.looks == 1:
            raise RuntimeError("a fault of ours")
        self.stopped.set()
        return self.good.look()


def test_a_certificate_that_openssl_refuses_is_told() -> None:
    replica = Replica(World(), leads=True, server=Picky())

    assert replica.look().startswith("the webhook certificate cannot be served: ")


def test_a_look_that_fails_is_followed_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    world, stopped = World(), threading.Event()
    good = SharedCertificate(world.cluster, world.clock, NAMESPACE, SECRET_NAME, NAMES)
    replica = Replica(world, leads=True, source=Broken(good, stopped))

    replica.upkeep.run(stopped)

    assert replica.upkeep.problem == ""
    assert "looking after the webhooks failed" in caplog.text


def files(folder: Path, certificate: Certificate) -> None:
    (folder / "tls.crt").write_bytes(certificate.certificate)
    (folder / "tls.key").write_bytes(certificate.key)


def test_given_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    world = World()
    first, second = (certificates.issue(NAMES, world.clock.now()) for _ in range(2))
    source = CertificateFiles(tmp_path, world.clock)
    files(tmp_path, first)
    assert source.look() is source.look()

    files(tmp_path, second)

    assert source.look().certificate == second.certificate


def test_given_files_that_are_of_no_use_are_named_with_the_next_step(tmp_path: Path) -> None:
    world = World()
    source = CertificateFiles(tmp_path, world.clock)
    with pytest.raises(InvalidCertificate, match=r"not there yet: .*tls.crt"):
        source.look()

    files(tmp_path, certificates.issue(NAMES, world.clock.now(), DAY))
    source.look()
    world.clock.elapsed += 2 * DAY
    with pytest.raises(InvalidCertificate, match=f"in {tmp_path} has expired: replace it"):
        source.look()
