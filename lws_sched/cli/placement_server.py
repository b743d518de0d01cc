"""The placement service inside the extender's process: where it listens, and with which certificate."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from lws_sched.admission.callers import Callers
from lws_sched.admission.published import PublishedAuthority
from lws_sched.admission.server import Upkeep
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.cli import endpoints
from lws_sched.cli.config import ExtenderConfiguration, address
from lws_sched.kube.runtime import ThreadedRuntime
from lws_sched.service.calls import Calls
from lws_sched.service.desk import Desk
from lws_sched.service.feed import Feed
from lws_sched.service.server import CallMeter, PlacementServer
from lws_sched.service.watching import Hub
from lws_sched.telemetry.counts import Instrument


@dataclass
class PlacementService:
    """The server, and the thread that looks after its certificate."""

    server: PlacementServer
    upkeep: Upkeep
    meter: CallMeter
    _stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Once the caches are complete. Raises OSError where the port is taken."""
        self.server.start()
        name = "placement-certificate"
        threading.Thread(target=self.upkeep.run, args=(self._stopped,), name=name, daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        self.server.stop()

    def instruments(self) -> tuple[Instrument, ...]:
        return self.meter.instruments()


def placement_calls(runtime: ThreadedRuntime) -> Calls:
    """What the service and the page ask. To be called before the runtime starts."""
    hub = Hub(runtime.informer(GROUP_PLACEMENT))
    return Calls(runtime, Callers(runtime.cluster, runtime.clock), Desk(Feed(runtime)), hub)


def placement_service(
    configuration: ExtenderConfiguration, runtime: ThreadedRuntime, namespace: str, calls: Calls
) -> PlacementService | None:
    """Not started yet; None where it is turned off. To be called before the runtime starts."""
    where = address(configuration.placement_service.bind_address)
    if where is None:
        return None
    meter = CallMeter(runtime.clock)
    server = PlacementServer(calls, *where, meter, runtime.clock)
    source = endpoints.webhook_certificate(configuration, runtime.cluster, runtime.clock, namespace)
    authority = PublishedAuthority(runtime.cluster, namespace, configuration.placement_service.published_address)
    what = "the certificate of the placement service"
    return PlacementService(server, Upkeep(server, source, authority, runtime.leads, what=what), meter)
