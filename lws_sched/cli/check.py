"""`lws-sched check`: is the installation whole? One line for each thing that has to be right, and what to do if not.

It asks the API server only, and writes nothing: what webhooks do is tried with dry runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import msgspec

from lws_sched.admission.registration import CONTROLLER, EXTENDER
from lws_sched.api import names
from lws_sched.api.core import LEASE, MUTATING_WEBHOOKS, NODE, POD, VALIDATING_WEBHOOKS, Node
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.meta import Kind, Meta, Object, Wire
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.api.timestamps import age, seconds_of
from lws_sched.cli.config import Configuration, ExtenderConfiguration
from lws_sched.cli.output import Cell, Exit, listed, plural, print_json, print_lines, print_table
from lws_sched.cli.source import Source, speaking
from lws_sched.kube.errors import ApiError, Forbidden, Invalid, NotFound
from lws_sched.kube.port import Body
from lws_sched.placement import levels_on

T = TypeVar("T", bound=Object)

OK, WARNING, FAILED = "ok", "warning", "failed"
_STYLES = {OK: "green", WARNING: "yellow", FAILED: "red"}
STALE_SECONDS = 60.0
STUCK_SECONDS = 30.0
SOON_DAYS = 3


@dataclass(frozen=True)
class Finding:
    what: str
    result: str
    detail: str
    fix: str = ""


class AccessReviewStatus(Wire, frozen=True, kw_only=True):
    allowed: bool = False


class AccessReview(Wire, frozen=True, kw_only=True):
    metadata: Meta = Meta()
    status: AccessReviewStatus = AccessReviewStatus()


ACCESS_REVIEW = Kind(
    "authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", AccessReview, namespaced=False
)

_NEEDED = {
    "lws-sched-controller": (
        ("create", "apps", "statefulsets"),
        ("patch", "leaderworkerset.x-k8s.io", "leaderworkersets/status"),
        ("delete", "", "pods"),
    ),
    "lws-sched-extender": (
        ("create", "lws-sched.io", "groupplacements"),
        ("create", "", "pods/binding"),
        ("patch", "", "pods"),
        ("list", "", "nodes"),
    ),
}
"""Of each service account's rights those without which nothing works; (verb, API group, resource)."""


def run(source: Mapping[str, Any], namespace: str, *, as_json: bool) -> Exit:
    with speaking():
        opened = Source(**source).live()
        found = [*findings(opened.client, namespace, opened.now())]
    if as_json:
        print_json({"checks": [{"what": f.what, "result": f.result, "detail": f.detail, "fix": f.fix} for f in found]})
    else:
        print_table(("", "CHECK", "DETAIL"), [_row(each) for each in found])
        for each in found:
            if each.fix:
                print_lines("", f"{each.what}: {each.detail}.", f"  fix: {each.fix}")
    return Exit.FAILED if any(each.result == FAILED for each in found) else Exit.OK


def _row(finding: Finding) -> tuple[Cell, ...]:
    return ((finding.result, _STYLES[finding.result]), finding.what, finding.detail)


class Reads(Protocol):
    """Of a client what the checks use."""

    def get(self, kind: Kind[T], namespace: str, name: str) -> T: ...

    def list(self, kind: Kind[T]) -> list[T]: ...

    def create(self, kind: Kind[T], body: Body, *, dry_run: bool = False) -> T: ...


def findings(client: Reads, namespace: str, now: float) -> Iterator[Finding]:
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: _kinds(client),
        lambda: _leaders(client, namespace, now),
        lambda: _webhooks(client, now),
        lambda: _hooks_answer(client),
        lambda: _scheduler(client, now),
        lambda: _access(client, namespace),
        lambda: _nodes(client),
    )
    for check in checks:
        try:
            yield from check()
        except Forbidden as error:
            yield Finding(
                "access",
                WARNING,
                f"you may not look: {error}",
                "ask for the right to, or have an administrator run this",
            )


def _kinds(client: Reads) -> Iterator[Finding]:
    kinds: tuple[Kind[Any], ...] = (LEADER_WORKER_SET, GROUP_PLACEMENT)
    for kind in kinds:
        what = f"kind {kind}"
        try:
            count = len(client.list(kind))
        except NotFound:
            yield Finding(what, FAILED, "the API server does not know it", "kubectl apply --server-side -k deploy")
        else:
            yield Finding(what, OK, f"{kind.api_version}, {plural(count, 'object')}")


def _leaders(client: Reads, namespace: str, now: float) -> Iterator[Finding]:
    for program, configuration in (("controller", Configuration()), ("extender", ExtenderConfiguration())):
        name = configuration.leader_election.resource_name
        what = f"{program} leader"
        try:
            spec = client.get(LEASE, namespace, name).spec
        except NotFound:
            yield Finding(
                what,
                FAILED,
                f"no Lease {namespace}/{name}",
                f"start lws-sched {program}, or name its namespace with -n",
            )
            continue
        silent = now - seconds_of(spec.renew_time)
        if silent > max(STALE_SECONDS, 3 * spec.lease_duration_seconds) or not spec.holder_identity:
            said = (
                f"{spec.holder_identity or 'nobody'} last renewed the Lease {age(seconds_of(spec.renew_time), now)} ago"
            )
            yield Finding(what, FAILED, said, f"look at the logs of the {program}")
        else:
            yield Finding(what, OK, spec.holder_identity)


def _webhooks(client: Reads, now: float) -> Iterator[Finding]:
    for kind, name, program in (
        (MUTATING_WEBHOOKS, CONTROLLER.mutating, "controller"),
        (VALIDATING_WEBHOOKS, CONTROLLER.validating, "controller"),
        (MUTATING_WEBHOOKS, EXTENDER.mutating, "extender"),
    ):
        what = f"webhooks {name}"
        try:
            webhooks = client.get(kind, "", name).webhooks
        except NotFound:
            yield Finding(
                what, FAILED, "not registered", f"the {program} registers them when it leads: look at its logs"
            )
            continue
        yield _certificates(what, program, webhooks, now)


def _certificates(what: str, program: str, webhooks: tuple[dict[str, Any], ...], now: float) -> Finding:
    import base64

    from cryptography import x509

    bundles = {str(each.get("clientConfig", {}).get("caBundle", "")) for each in webhooks}
    try:
        ends = [
            certificate.not_valid_after_utc.timestamp()
            for bundle in bundles
            for certificate in x509.load_pem_x509_certificates(base64.b64decode(bundle))
        ]
    except ValueError:
        return Finding(
            what, FAILED, "no certificate authority is registered", f"restart the {program}: it writes its own"
        )
    last = max(ends)
    until = datetime.fromtimestamp(last, UTC).strftime("%Y-%m-%d")
    if last < now:
        return Finding(
            what, FAILED, f"the certificate authority ended on {until}", f"restart the {program}: it makes a new one"
        )
    if last < now + SOON_DAYS * 86400:
        return Finding(
            what,
            WARNING,
            f"the certificate authority ends on {until}",
            f"the {program} should have renewed it: look at its logs",
        )
    return Finding(what, OK, f"{plural(len(webhooks), 'webhook')}, trusted until {until}")


def _hooks_answer(client: Reads) -> Iterator[Finding]:
    """A set that only the webhook finds fault with, and a pod that only the webhook changes, both as dry runs."""
    template = {"spec": {"schedulerName": names.SCHEDULER, "containers": [{"name": "c", "image": "i"}]}}
    leader = {"spec": {"containers": [{"name": "c", "image": "i"}]}}
    body = LEADER_WORKER_SET.body(
        {"name": "lws-sched-check", "namespace": "default"},
        spec={"leaderWorkerTemplate": {"size": 2, "leaderTemplate": leader, "workerTemplate": template}},
    )
    yield _answers(
        "controller answers",
        "controller",
        lambda: client.create(LEADER_WORKER_SET, body, dry_run=True),
        refused="it let a wrong LeaderWorkerSet pass",
    )
    pod = POD.body(
        {
            "name": "lws-sched-check-0",
            "namespace": "default",
            "labels": {names.SET_NAME: "lws-sched-check", names.WORKER_INDEX: "0"},
            "annotations": {names.SIZE: "1"},
        },
        spec=template["spec"],
    )
    try:
        made = client.create(POD, pod, dry_run=True)
    except (Invalid, ApiError) as error:
        said = str(error)
        # A refusal in its own words is an answer too.
        result = OK if isinstance(error, Invalid) and "lws-sched" in said and "failed calling" not in said else FAILED
        yield Finding("extender answers", result, said, "" if result == OK else "look at the logs of the extender")
        return
    gated = any(gate.name == names.GATE for gate in made.spec.scheduling_gates)
    if gated or names.MEMBER_RESOURCE in str(msgspec.to_builtins(made.spec)):
        yield Finding("extender answers", OK, "it sees the members of groups before they are scheduled")
    else:
        yield Finding(
            "extender answers", FAILED, "a member of a group passed unseen", "look at the logs of the extender"
        )


def _answers(what: str, program: str, ask: Callable[[], object], refused: str) -> Finding:
    try:
        ask()
    except Invalid as error:
        if "failed calling webhook" in str(error):
            return Finding(what, FAILED, str(error), f"look at the logs of the {program}")
        return Finding(what, OK, "it refuses what breaks a rule")
    except NotFound as error:
        return Finding(what, FAILED, str(error), "kubectl apply --server-side -k deploy")
    except ApiError as error:
        return Finding(what, FAILED, str(error), f"look at the logs of the {program}")
    return Finding(what, FAILED, refused, f"look at the logs of the {program}")


def _scheduler(client: Reads, now: float) -> Iterator[Finding]:
    """Its configuration cannot be read from here; that it does not look at our pods can be seen on them."""
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
        yield Finding(
            what,
            FAILED,
            f"no scheduler looks at {plural(len(unseen), 'pod')}: {listed(unseen)}",
            "give kube-scheduler the profile and the extender of deploy/scheduler/kube-scheduler-config.yaml",
        )
    elif any(pod.spec.node_name for pod in pods):
        yield Finding(what, OK, f"it has bound {plural(sum(bool(pod.spec.node_name) for pod in pods), 'pod')}")
    else:
        yield Finding(
            what,
            WARNING,
            "no pod of it is bound yet, so nothing shows that it is there",
            "apply deploy/samples/first.yaml",
        )


def _access(client: Reads, namespace: str) -> Iterator[Finding]:
    for account, needed in _NEEDED.items():
        user = f"system:serviceaccount:{namespace}:{account}"
        missing = [
            f"{verb} {resource}" for verb, group, resource in needed if not _may(client, user, verb, group, resource)
        ]
        if missing:
            said = f"{user} may not {', '.join(missing)}"
            yield Finding(f"rights of {account}", WARNING, said, "kubectl apply --server-side -k deploy")
        else:
            yield Finding(f"rights of {account}", OK, "it may do what it must")


def _may(client: Reads, user: str, verb: str, group: str, resource: str) -> bool:
    name, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": name, "subresource": subresource, "namespace": "default"}
    groups = ["system:serviceaccounts", "system:authenticated", f"system:serviceaccounts:{user.split(':')[2]}"]
    review = {"user": user, "groups": groups, "resourceAttributes": attributes}
    return client.create(ACCESS_REVIEW, ACCESS_REVIEW.body({}, spec=review)).status.allowed


def _nodes(client: Reads) -> Iterator[Finding]:
    nodes = client.list(NODE)
    levels = [
        key for key in levels_on({key for node in nodes for key in node.metadata.labels}) if key != names.HOSTNAME
    ]
    if not levels:
        yield Finding(
            "topology labels",
            WARNING,
            f"none of {plural(len(nodes), 'node')} carries one",
            "label the nodes, for example with topology.lws-sched.io/rack, or ask for no topology",
        )
    else:
        without = [node.metadata.name for node in nodes if levels[-1] not in node.metadata.labels]
        said = f"{', '.join(levels)}; {plural(len(without), 'node')} without the last"
        fix = (
            f"label {listed(without)} with {levels[-1]}, or groups that ask for it stay away from them"
            if without
            else ""
        )
        yield Finding("topology labels", WARNING if without else OK, said, fix)
    yield _taints([node for node in nodes if _has_accelerators(node)])


def _taints(nodes: list[Node]) -> Finding:
    bare = [node.metadata.name for node in nodes if not any(taint.effect == "NoSchedule" for taint in node.spec.taints)]
    if not bare:
        return Finding("accelerator nodes", OK, f"{plural(len(nodes), 'node')}, all tainted against other pods")
    return Finding(
        "accelerator nodes",
        WARNING,
        f"{len(bare)} of {plural(len(nodes), 'node')} have no taint: pods that want no accelerator may take CPU "
        "and memory of reserved slots",
        f"taint them, for example {bare[0]} with nvidia.com/gpu=:NoSchedule",
    )


def _has_accelerators(node: Node) -> bool:
    return any(each in node.status.allocatable for each in names.MANAGED_RESOURCES if each != names.MEMBER_RESOURCE)
