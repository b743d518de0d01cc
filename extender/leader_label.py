"""The label by which kube-scheduler's Service finds the replica that leads: on the leader's own pod and no other.

The verbs are the leader's alone: another replica may not bind. Whoever becomes the leader takes the label from whoever
has it, dead or alive, and then puts it on itself; until then the Service has no endpoint, and bindings wait.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from lws_sched.api.core import POD
from lws_sched.kube.errors import ApiError, LostLease, NotFound
from lws_sched.kube.port import Runtime

log = logging.getLogger(__name__)

LEADER = "lws-sched.io/leader"
AGAIN_SECONDS = 1.0


@dataclass(frozen=True)
class LeaderLabel:
    """`pod` is the name of this process's own pod, in `namespace`."""

    runtime: Runtime
    namespace: str
    pod: str

    def take(self) -> None:
        """Move the label here, as often as it takes; may block."""
        try:
            self.runtime.epoch()
            self._move()
        except LostLease:
            return
        except NotFound:
            log.info("there is no pod %s/%s to label: kube-scheduler must know our address", self.namespace, self.pod)
        except ApiError as problem:
            log.warning("the leader's pod is not labelled yet: %s", problem)
            self.runtime.call_later(AGAIN_SECONDS, self.take)

    def _move(self) -> None:
        for other in self.runtime.cluster.list(POD, self.namespace, f"{LEADER}=true"):
            if other.metadata.name != self.pod:
                self._label(other.metadata.name, None)
        self._label(self.pod, "true")
        log.info("kube-scheduler's calls come here pod=%s/%s", self.namespace, self.pod)

    def _label(self, pod: str, value: str | None) -> None:
        try:
            self.runtime.cluster.merge(POD, self.namespace, pod, {"metadata": {"labels": {LEADER: value}}})
        except NotFound:
            if value is not None:
                raise
