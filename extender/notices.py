"""Events about things that are no part of any group, and that a user would otherwise wait on in vain."""

from __future__ import annotations

from dataclasses import dataclass

from lws_sched.api import names
from lws_sched.api.core import POD, Pod
from lws_sched.kube.port import Change, Runtime


@dataclass(frozen=True)
class Notices:
    runtime: Runtime

    def look_at_pod(self, change: Change[Pod]) -> None:
        """Say so on a new pod that asks for a topology nobody will look at: the webhook sees only our scheduler's."""
        pod = change.new
        if change.old is not None or pod is None or names.SET_NAME in pod.metadata.labels:
            return
        for key in names.TOPOLOGY_ANNOTATIONS:
            if key in pod.metadata.annotations:
                note = (
                    f"the annotation {key} has no effect: the pod belongs to no group; put it on a LeaderWorkerSet "
                    f"whose templates have schedulerName: {names.SCHEDULER}"
                )
                self.runtime.recorder.event(
                    POD, pod, type="Warning", reason="TopologyIgnored", action="Place", note=note
                )
                return
