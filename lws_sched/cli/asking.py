"""Commands that ask the placement service in place of reading the cluster: with --server, and where it can be reached.

Whom to trust is in a ConfigMap that everybody may read, the token is that of the kubeconfig (or of the pod's service
account), so nothing else has to be given. A kubeconfig that has a client certificate and no token does not do: the
service does not see client certificates. `LWS_SCHED_TOKEN` gives one then.

Without --server, the service is asked where the ConfigMap tells its address, and in a pod of the cluster, which knows
the Service by its name. If it then does not answer, or says no, the cluster is read, which says what is wrong, if
anything is.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lws_sched import __version__
from lws_sched.cli.output import Exit, fail, say
from lws_sched.cli.source import Written
from lws_sched.intake.documents import BadInput
from lws_sched.service.refusal import Refusal

if TYPE_CHECKING:
    from lws_sched.service.client import PlacementClient

T = TypeVar("T")
TOKEN = "LWS_SCHED_TOKEN"
CONNECT_SECONDS = 1.0
"""How long a service that was not asked for by name may take to be there."""
_OF_THE_USER = ("INVALID_ARGUMENT", "NOT_FOUND")


@dataclass(frozen=True)
class Server:
    """Where the placement service is ("" for where the cluster says), and in which namespace lws-sched is installed."""

    address: str
    namespace: str

    def answer(self, source: Mapping[str, Any], question: Callable[[PlacementClient], T]) -> T | None:
        """The service's answer; None where nobody said that it is to be asked and it is not there, or has none. Where
        somebody did, a refusal ends the command. Raises BadInput, ConfigError, ApiError."""
        if self.address:
            return self._asked(source, question)
        return None if source["clusters"] or source["levels"] else self._offered(source, question)

    def _asked(self, source: Mapping[str, Any], question: Callable[[PlacementClient], T]) -> T:
        for option, name in (("clusters", "--cluster"), ("levels", "--levels")):
            if source[option]:
                raise BadInput(f"{name} is for a cluster that is read here: leave it out, or --server")
        client = self._client(source)
        try:
            return question(client)
        except Refusal as refusal:
            if refusal.code in _OF_THE_USER:
                raise BadInput(refusal.sentence) from None
            if refusal.code == "UNAVAILABLE":
                fail(
                    f"the placement service at {self.address} does not answer: {refusal.sentence}; is that its address "
                    "(the port 9444 of the Service lws-sched-extender, forwarded perhaps)?",
                    Exit.FAILED,
                )
            fail(f"the placement service at {self.address} says: {refusal.sentence}", Exit.FAILED)

    def _offered(self, source: Mapping[str, Any], question: Callable[[PlacementClient], T]) -> T | None:
        from lws_sched.admission.published import ADDRESS, PORT, SERVER_NAME
        from lws_sched.kube.config import is_in_cluster
        from lws_sched.kube.errors import Forbidden, NotFound

        try:
            published, token = self._published(source)
        except (NotFound, Forbidden):
            return None
        address = published.get(ADDRESS, "")
        if not address and is_in_cluster(source["kubeconfig"], source["context"]):
            address = f"{published.get(SERVER_NAME, '')}:{PORT}"
        if not address or not token:
            return None
        try:
            _knock(address)
            return question(_placement_client(address, published, token))
        except (OSError, Refusal) as problem:
            say(f"note: the cluster is read, as the placement service at {address} has no answer: {problem}")
            return None

    def _client(self, source: Mapping[str, Any]) -> PlacementClient:
        from lws_sched.admission.published import NAME
        from lws_sched.kube.errors import NotFound

        try:
            published, token = self._published(source)
        except NotFound:
            fail(
                f"there is no ConfigMap {self.namespace}/{NAME}, which says whom to trust: is lws-sched installed in "
                "another namespace (--server-namespace), or with the placement service turned off?",
                Exit.FAILED,
            )
        if not token:
            fail(
                "your credentials have no token, and the placement service knows callers by that: set "
                f"{TOKEN}, for example to what `kubectl create token <service account>` prints",
                Exit.FAILED,
            )
        return _placement_client(self.address, published, token)

    def _published(self, source: Mapping[str, Any]) -> tuple[Mapping[str, str], str]:
        """What the cluster tells of the service, and the user's token. Raises ConfigError, ApiError."""
        from lws_sched.admission.published import NAME
        from lws_sched.api.core import CONFIG_MAP
        from lws_sched.kube.client import Client

        cluster = Client.connect(
            f"lws-sched-cli/{__version__}", source["kubeconfig"] or None, source["context"] or None
        )
        published = cluster.get(CONFIG_MAP, self.namespace, NAME).data
        return published, os.environ.get(TOKEN, "") or cluster.token()


def _placement_client(address: str, published: Mapping[str, str], token: str) -> PlacementClient:
    from lws_sched.admission.published import AUTHORITIES, SERVER_NAME
    from lws_sched.service.client import PlacementClient

    return PlacementClient(address, published.get(AUTHORITIES, "").encode(), published.get(SERVER_NAME, ""), token)


def _knock(address: str) -> None:
    """Raises OSError where nobody listens: gRPC would go on trying for long."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


def manifests_of(files: Sequence[Written]) -> str:
    """The files as one text. Raises BadInput."""
    texts = [file.text for file in files]
    return texts[0] if len(texts) == 1 else "".join(f"---\n{text}\n" for text in texts)


def tell(notes: Sequence[str]) -> None:
    for note in notes:
        say(f"note: {note}")
