"""Of `lws-sched check` what concerns kube-scheduler: does it look at our pods, is it configured for them, may it call?

The configuration of the cluster's own scheduler is a file on its host that no API shows: it is checked where somebody
names it, and otherwise judged by what becomes of pods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from lws_sched.admission import verb_access
from lws_sched.api import names
from lws_sched.api.core import LEASE, POD, SECRET
from lws_sched.api.meta import Kind, Meta, Wire
from lws_sched.api.timestamps import age, seconds_of
from lws_sched.cli.config import ExtenderConfiguration
from lws_sched.cli.findings import FAILED, OK, SOON_DAYS, STALE_SECONDS, WARNING, Finding, Reads
from lws_sched.cli.output import listed, plural
from lws_sched.intake.scheduler_profile import faults
from lws_sched.kube.errors import NotFound

STUCK_SECONDS = 30.0
OURS = "lws-sched-scheduler"
"""The second scheduler's Deployment and Lease."""
CONFIG_MAP_NAME = f"{OURS}-config"
GIVEN = "give kube-scheduler the profile and the extender of deploy/scheduler/kube-scheduler-config.yaml"


class ConfigMap(Wire, frozen=True, kw_only=True):
    metadata: Meta
    data: dict[str, str] = msgspec.field(default_factory=dict)


CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", ConfigMap)


def scheduler(client: Reads, namespace: str, now: float, given: tuple[str, str]) -> Iterator[Finding]:
    """`given` is the name of a configuration file and its text; "" where none was named."""
    yield from _configurations(client, namespace, given)
    yield from _second(client, namespace, now)
    yield _profile(client, now)


def _configurations(client: Reads, namespace: str, given: tuple[str, str]) -> Iterator[Finding]:
    if given[0]:
        yield configured(f"scheduler configuration {given[0]}", given[1])
    try:
        data = client.get(CONFIG_MAP, namespace, CONFIG_MAP_NAME).data
    except NotFound:
        return
    for name, text in data.items():
        yield configured(f"scheduler configuration {CONFIG_MAP_NAME}/{name}", text)


def configured(what: str, text: str) -> Finding:
    """Judges one KubeSchedulerConfiguration."""
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        return Finding(what, FAILED, f"it is no YAML: {' '.join(str(problem).split())}", "mend the file")
    if not isinstance(document, Mapping) or document.get("kind") != "KubeSchedulerConfiguration":
        return Finding(what, FAILED, "it is no KubeSchedulerConfiguration", GIVEN)
    found = [*faults(document)]
    if found:
        return Finding(what, FAILED, "; ".join(each.said for each in found), "; ".join(each.fix for each in found))
    return Finding(what, OK, f"profile {names.SCHEDULER}, every node looked at, the extender asked to filter and bind")


def _second(client: Reads, namespace: str, now: float) -> Iterator[Finding]:
    """A second scheduler is there where it has a Lease; then it needs its client certificate."""
    try:
        spec = client.get(LEASE, namespace, OURS).spec
    except NotFound:
        return
    silent = now - seconds_of(spec.renew_time)
    if silent > max(STALE_SECONDS, 3 * spec.lease_duration_seconds) or not spec.holder_identity:
        said = f"{spec.holder_identity or 'nobody'} last renewed the Lease {age(seconds_of(spec.renew_time), now)} ago"
        yield Finding("scheduler leader", FAILED, said, f"look at the logs of the pods of {OURS}")
    else:
        yield Finding("scheduler leader", OK, spec.holder_identity)
    yield from _secret(client, namespace, now)


def _secret(client: Reads, namespace: str, now: float) -> Iterator[Finding]:
    name = ExtenderConfiguration().verbs.secret_name
    what = "certificates of kube-scheduler's calls"
    try:
        data = client.get(SECRET, namespace, name).data
    except NotFound:
        said = f"no Secret {namespace}/{name}: the scheduler's pods cannot start"
        yield Finding(what, FAILED, said, "the extender writes it: look at its logs")
        return
    if verb_access.CLIENT_CERTIFICATE not in data:
        return  # cert-manager's: the client's is in a Secret of its own
    access = verb_access.read(data)
    if access.held.serving is None or access.client is None:
        said = f"the Secret {namespace}/{name} holds no certificates that trust each other"
        yield Finding(what, FAILED, said, f"delete it: the extender makes it anew; then restart {OURS}")
        return
    ends = min(access.held.serving.not_after, access.client.not_after)
    until = datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%d")
    if ends < now + SOON_DAYS * 86400:
        said = f"they end on {until}"
        yield Finding(what, FAILED if ends < now else WARNING, said, "the extender renews them: look at its logs")
    else:
        yield Finding(what, OK, f"good until {until}")


def _profile(client: Reads, now: float) -> Finding:
    """That no scheduler looks at our pods can be seen on them."""
    pods = [pod for pod in client.list(POD) if pod.spec.scheduler_name == names.SCHEDULER]
    unseen = [
        f"{pod.metadata.namespace}/{pod.metadata.name}"
        for pod in pods
        if not pod.spec.node_name
        and not pod.spec.scheduling_gates
        and not any(condition.type == "PodScheduled" for condition in pod.status.conditions)
        and now - seconds_of(pod.metadata.creation_timestamp) > STUCK_SECONDS
    ]
    what = f"scheduler profile {names.SCHEDULER}"
    if unseen:
        return Finding(what, FAILED, f"no scheduler looks at {plural(len(unseen), 'pod')}: {listed(unseen)}", GIVEN)
    bound = sum(bool(pod.spec.node_name) for pod in pods)
    if bound:
        return Finding(what, OK, f"it has bound {plural(bound, 'pod')}")
    said = "no pod of it is bound yet, so nothing shows that it is there"
    return Finding(what, WARNING, said, "apply deploy/samples/first.yaml")


def read_file(path: str) -> tuple[str, str]:
    """A configuration file and its text. Raises BadInput."""
    from pathlib import Path

    from lws_sched.intake.documents import BadInput

    if not path:
        return "", ""
    try:
        return path, Path(path).read_text()
    except (OSError, UnicodeDecodeError) as problem:
        said: Any = getattr(problem, "strerror", None) or problem
        raise BadInput(f"{path} cannot be read: {said}") from problem
