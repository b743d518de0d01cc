"""Where kube-scheduler's calls are let in: plain from this host, by client certificate from elsewhere."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from lws_sched.admission.server import Upkeep
from lws_sched.admission.sources import CertificateFiles, CertificateSource
from lws_sched.admission.verb_access import SharedAccess
from lws_sched.cli import endpoints
from lws_sched.cli.config import ExtenderConfiguration, address, is_loopback
from lws_sched.extender.listener import Listener, Verbs
from lws_sched.kube.port import Clock, Cluster
from lws_sched.telemetry import families
from lws_sched.telemetry.counts import Gauge, Instrument


@dataclass
class VerbServer:
    """The listener, and the thread that looks after its certificate where it needs one."""

    listener: Listener
    upkeep: Upkeep | None
    _stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Raises OSError where the port is taken."""
        self.listener.start()
        if self.upkeep is not None:
            threading.Thread(
                target=self.upkeep.run, args=(self._stopped,), name="verbs-certificate", daemon=True
            ).start()

    def stop(self) -> None:
        self._stopped.set()
        self.listener.stop()

    def problem(self) -> str:
        """Why kube-scheduler cannot call; "" where it can."""
        problem = self.upkeep.problem if self.upkeep is not None else ""
        return problem and f"kube-scheduler cannot call: {problem}"

    def instruments(self) -> tuple[Instrument, ...]:
        upkeep = self.upkeep
        if upkeep is None:
            return ()
        return (Gauge(families.VERBS_CERTIFICATE_ENDS, lambda: {(): ends} if (ends := upkeep.ends) else {}),)


def verb_server(
    configuration: ExtenderConfiguration, verbs: Verbs, cluster: Cluster, clock: Clock, namespace: str
) -> VerbServer:
    """The verbs at the address of the configuration, not started yet."""
    where = address(configuration.verbs.bind_address)
    assert where is not None
    if is_loopback(where[0]):
        return VerbServer(Listener(verbs, *where), None)
    listener = Listener(verbs, *where, tls=endpoints.tls_policy(configuration.tls))
    source = _source(configuration, cluster, clock, namespace)
    return VerbServer(listener, Upkeep(listener, source, None, lambda: True, what="the certificate of the verbs"))


def _source(configuration: ExtenderConfiguration, cluster: Cluster, clock: Clock, namespace: str) -> CertificateSource:
    verbs = configuration.verbs
    if not configuration.internal_cert_management.enable:
        return CertificateFiles(Path(verbs.cert_dir), clock)
    names = (f"{verbs.service_name}.{namespace}.svc",)
    return SharedAccess(cluster, clock, namespace, verbs.secret_name, names)
