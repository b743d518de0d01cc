"""`lws-sched check`: is the installation whole? One line for each thing that has to be right, and what to do if not.

It asks the API server only, and writes nothing: what webhooks do is tried with dry runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from lws_sched.admission.registration import CONTROLLER, EXTENDER
from lws_sched.api import names
from lws_sched.api.core import LEASE, MUTATING_WEBHOOKS, NODE, POD, VALIDATING_WEBHOOKS, Node, Taint
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.meta import Kind, Meta, Wire
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.api.timestamps import age, seconds_of
from lws_sched.api.topology import TOPOLOGY
from lws_sched.cli.check_scheduler import read_file, scheduler
from lws_sched.cli.config import Configuration, ExtenderConfiguration
from lws_sched.cli.findings import FAILED, OK, SOON_DAYS, STALE_SECONDS, WARNING, Finding, Reads
from lws_sched.cli.output import Cell, Exit, listed, plural, print_json, print_lines, print_table
from lws_sched.cli.rights import NEEDED
from lws_sched.cli.source import Source, speaking
from lws_sched.core.group import is_gated
from lws_sched.kube.errors import ApiError, Forbidden, Invalid, NotFound
from lws_sched.placement import levels_on

_STYLES = {OK: "green", WARNING: "yellow", FAILED: "red"}


class AccessReviewStatus(Wire, frozen=True, kw_only=True):
    allowed: bool = False


class AccessReview(Wire, frozen=True, kw_only=True):
    metadata: Meta = Meta()
    status: AccessReviewStatus = AccessReviewStatus()


ACCESS_REVIEW = Kind(
    "authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", AccessReview, namespaced=False
)


def run(source: Mapping[str, Any], namespace: str, *, as_json: bool, scheduler_config: str = "") -> Exit:
    with speaking():
        configuration = read_file(scheduler_config)
        opened = Source(**source).live()
        found = [*findings(opened.client, namespace, opened.now(), configuration)]
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


def findings(client: Reads, namespace: str, now: float, configuration: tuple[str, str] = ("", "")) -> Iterator[Finding]:
    """`configuration` is that of the cluster's own kube-scheduler, by the name of its file, where somebody gives it."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: _kinds(client),
        lambda: _leaders(client, namespace, now),
        lambda: _webhooks(client, now),
        lambda: _hooks_answer(client),
        lambda: scheduler(client, namespace, now, configuration),
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
    kinds: tuple[Kind[Any], ...] = (LEADER_WORKER_SET, GROUP_PLACEMENT, TOPOLOGY)
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
    if is_gated(made) or names.MEMBER_RESOURCE in str(msgspec.to_builtins(made.spec)):
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


def _access(client: Reads, namespace: str) -> Iterator[Finding]:
    for account, needed in NEEDED.items():
        user = f"system:serviceaccount:{namespace}:{account}"
        missing = [right for right in map(_right, needed) if not _may(client, namespace, user, right)]
        if missing:
            said = f"{user} may not {listed([f'{each.verb} {each.resource}' for each in missing], 5)}"
            yield Finding(f"rights of {account}", FAILED, said, "kubectl apply --server-side -k deploy")
        else:
            yield Finding(f"rights of {account}", OK, f"it may do all of the {len(needed)} things that it does")


class Right(NamedTuple):
    is_ours: bool
    """In the namespace of the installation only."""
    verb: str
    group: str
    resource: str
    name: str


def _right(text: str) -> Right:
    where, verb, group, resource, name = text.split()
    return Right(where == "ours", verb, "" if group == "core" else group, resource, "" if name == "*" else name)


def _may(client: Reads, namespace: str, user: str, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "name": right.name,
        "namespace": namespace if right.is_ours else "",
    }
    groups = ["system:serviceaccounts", "system:authenticated", f"system:serviceaccounts:{namespace}"]
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
    bare = [node.metadata.name for node in nodes if not any(map(_keeps_off, node.spec.taints))]
    if not bare:
        return Finding("accelerator nodes", OK, f"{plural(len(nodes), 'node')}, all tainted against other pods")
    return Finding(
        "accelerator nodes",
        WARNING,
        f"{len(bare)} of {plural(len(nodes), 'node')} have no taint: pods that want no accelerator may take CPU "
        "and memory of reserved slots",
        f"taint them, for example {bare[0]} with nvidia.com/gpu=:NoSchedule",
    )


def _keeps_off(taint: Taint) -> bool:
    """For good: not while a group holds the node, or while it is cordoned or unwell."""
    is_passing = taint.key == names.RESERVED_TAINT or taint.key.startswith("node.kubernetes.io/")
    return taint.effect in ("NoSchedule", "NoExecute") and not is_passing


def _has_accelerators(node: Node) -> bool:
    return any(each in node.status.allocatable for each in names.MANAGED_RESOURCES if each != names.MEMBER_RESOURCE)
