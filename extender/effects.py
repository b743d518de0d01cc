"""Carries out one group's step: first the write of its record, then the deeds that follow from it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from lws_sched.admission.hook import changed
from lws_sched.api.core import NODE, POD, Pod
from lws_sched.api.meta import Kind, Meta, Wire
from lws_sched.extender import life, pinning
from lws_sched.extender.commit import Committer
from lws_sched.extender.life import Step, View
from lws_sched.extender.notices import GroupNotices
from lws_sched.extender.records import RecordStore
from lws_sched.kube.errors import Conflict, NotFound
from lws_sched.kube.port import Runtime

log = logging.getLogger(__name__)


class RawPod(Wire, frozen=True, kw_only=True):
    """A pod whose spec keeps every field, for edits."""

    metadata: Meta
    spec: dict[str, object]


RAW_POD = Kind("", "v1", "Pod", "pods", RawPod)


@dataclass(frozen=True)
class Effects:
    runtime: Runtime
    records: RecordStore
    committer: Committer
    notices: GroupNotices
    decided: Callable[[str], None]
    """Called with a group whose record was written: somebody may be waiting for it."""

    def carry_out(self, group: str, view: View, step: Step) -> None:
        """Write first: a deed without its record could not be understood after a crash. Raises the first failure."""
        if step.write is not None:
            self.records.write(step.write)
            self.decided(group)
            log.info("group=%s state=%s reason=%s", group, step.write.status.state, step.write.status.reason)
            self.notices.aborting(step.write)
        if step.remove and view.record is not None:
            self.records.delete(view.record)
        tasks = [partial(self._place, pod, node) for pod, node in step.place]
        tasks += [partial(self._bind, pod, node) for pod, node in step.bind]
        tasks += [partial(self._delete, pod) for pod in step.delete]
        tasks += [partial(self._let_go, pod) for pod in step.let_go]
        for failure in self.runtime.gather(tasks):
            if failure is not None:
                raise failure

    def are_lost(self, view: View, step: Step) -> bool:
        """Whether one of the members that our copy lacks is really gone: the copy may only be late."""
        assert view.record is not None
        for name in step.confirm_lost:
            try:
                pod = self.runtime.cluster.get(POD, view.record.metadata.namespace, name)
            except NotFound:
                return True
            same = pod.metadata.uid == view.record.status.committed[name]
            if not same or (life.is_leaving(pod) and not pod.spec.node_name):
                return True
        return False

    def _place(self, pod: Pod, node: str) -> None:
        """Pin a gated member to its slot and lift our gate, in one patch."""
        meta = pod.metadata
        raw = self.runtime.cluster.get(RAW_POD, meta.namespace, meta.name)
        before = {"spec": raw.spec}
        if not pinning.is_gated(before):
            return  # our copy of it is late: an earlier look has placed it
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": meta.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": raw.metadata.resource_version},
            *changed(before, pinning.pinned(before, node)),
        ]
        self.runtime.cluster.patch(RAW_POD, meta.namespace, meta.name, operations)

    def _bind(self, pod: Pod, node: str) -> None:
        self.committer.bind_pod(pod.metadata.namespace, pod.metadata.name, pod.metadata.uid, node)

    def _delete(self, pod: Pod) -> None:
        meta = pod.metadata
        try:
            self.runtime.cluster.delete(POD, meta.namespace, meta.name, uid=meta.uid, propagation="Foreground")
        except (NotFound, Conflict):
            return

    def _let_go(self, pod: Pod) -> None:
        """Remove a pod that stands on a node which is no more, unless only our copy lacks that node."""
        meta, cluster = pod.metadata, self.runtime.cluster
        try:
            cluster.get(NODE, "", pod.spec.node_name)
        except NotFound:
            with suppress(NotFound, Conflict):
                cluster.delete(POD, meta.namespace, meta.name, uid=meta.uid, grace_seconds=0)
