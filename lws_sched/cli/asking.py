"""Commands that ask the placement service in place of reading the cluster: with --server, and only then.

Whom to trust is in a ConfigMap that everybody may read, the token is that of the kubeconfig (or of the pod's service
account), so nothing else has to be given. A kubeconfig that has a client certificate and no token does not do: the
service does not see client certificates. `LWS_SCHED_TOKEN` gives one then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lws_sched import __version__
from lws_sched.cli.output import Exit, fail, say
from lws_sched.cli.source import read_texts
from lws_sched.intake.documents import BadInput
from lws_sched.service.client import PlacementClient
from lws_sched.service.refusal import Refusal

TOKEN = "LWS_SCHED_TOKEN"
_OF_THE_USER = ("INVALID_ARGUMENT", "NOT_FOUND")


@dataclass(frozen=True)
class Server:
    """Where the placement service is, and in which namespace lws-sched is installed."""

    address: str
    namespace: str

    @contextmanager
    def asked(self, source: Mapping[str, Any]) -> Iterator[PlacementClient]:
        """A client of it. A refusal ends the command. Raises BadInput, ConfigError, ApiError."""
        for option, name in (("clusters", "--cluster"), ("levels", "--levels")):
            if source[option]:
                raise BadInput(f"{name} is for a cluster that is read here: leave it out, or --server")
        client = self._client(source)
        try:
            yield client
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

    def _client(self, source: Mapping[str, Any]) -> PlacementClient:
        from lws_sched.admission.published import AUTHORITIES, NAME, SERVER_NAME
        from lws_sched.api.core import CONFIG_MAP
        from lws_sched.kube.client import Client
        from lws_sched.kube.errors import NotFound

        cluster = Client.connect(
            f"lws-sched-cli/{__version__}", source["kubeconfig"] or None, source["context"] or None
        )
        try:
            published = cluster.get(CONFIG_MAP, self.namespace, NAME).data
        except NotFound:
            fail(
                f"there is no ConfigMap {self.namespace}/{NAME}, which says whom to trust: is lws-sched installed in "
                "another namespace (--server-namespace), or with the placement service turned off?",
                Exit.FAILED,
            )
        token = os.environ.get(TOKEN, "") or cluster.token()
        if not token:
            fail(
                "your credentials have no token, and the placement service knows callers by that: set "
                f"{TOKEN}, for example to what `kubectl create token <service account>` prints",
                Exit.FAILED,
            )
        return PlacementClient(self.address, published[AUTHORITIES].encode(), published.get(SERVER_NAME, ""), token)


def manifests_of(files: Sequence[str]) -> str:
    """The files as one text. Raises BadInput."""
    texts = read_texts(files)
    return texts[0] if len(texts) == 1 else "".join(f"---\n{text}\n" for text in texts)


def tell(notes: Sequence[str]) -> None:
    for note in notes:
        say(f"note: {note}")
