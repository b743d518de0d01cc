"""How clients of the placement service learn whom to trust: a ConfigMap that everybody in the cluster may read.

It holds the authorities (`ca.crt`), so that a change of the certificate disturbs nobody who reads it anew, and the name
that the certificate is good for (`server-name`), which is not the address where somebody forwards a port. Where users
outside the cluster can reach the service, it also has the `address`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lws_sched.api.core import CONFIG_MAP, ConfigMap
from lws_sched.kube.errors import AlreadyExists, Conflict, NotFound
from lws_sched.kube.port import Cluster

if TYPE_CHECKING:
    from lws_sched.admission.certificates import Certificate

log = logging.getLogger(__name__)

NAME = "lws-sched-placement"
AUTHORITIES, SERVER_NAME, ADDRESS = "ca.crt", "server-name", "address"
PORT = 9444
"""Of the Service."""


@dataclass(frozen=True)
class PublishedAuthority:
    """`admission.server.Registration` in a ConfigMap."""

    cluster: Cluster
    namespace: str
    address: str = ""

    def keep(self, certificate: Certificate) -> bool:
        data = {AUTHORITIES: certificate.authority.decode(), SERVER_NAME: next(iter(certificate.names), "")}
        data |= {ADDRESS: self.address} if self.address else {}
        found = self._find()
        if found is not None and found.data == data:
            return True
        metadata = {"namespace": self.namespace, "name": NAME}
        try:
            if found is None:
                self.cluster.create(CONFIG_MAP, CONFIG_MAP.body(metadata, data=data))
            else:
                precondition = {"resourceVersion": found.metadata.resource_version}
                body = {"metadata": precondition, "data": {**dict.fromkeys(found.data), **data}}
                self.cluster.merge(CONFIG_MAP, self.namespace, NAME, body)
        except (AlreadyExists, Conflict):
            return False
        log.info("authorities of the placement service published configmap=%s/%s", self.namespace, NAME)
        return True

    def is_trusted(self, certificate: Certificate) -> bool:
        found = self._find()
        return found is not None and found.data.get(AUTHORITIES, "") == certificate.authority.decode()

    def _find(self) -> ConfigMap | None:
        try:
            return self.cluster.get(CONFIG_MAP, self.namespace, NAME)
        except NotFound:
            return None
