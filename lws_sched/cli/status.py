"""`lws-sched status`: every set's groups at a glance."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.api.placement import ABORTING, STICKY, WAITING
from lws_sched.api.timestamps import age, seconds_of
from lws_sched.cli.output import Cell, Exit, print_json, print_lines, print_table, say
from lws_sched.cli.source import GROUP_KINDS, Source, speaking
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.groups import NO_PODS, PARTIAL, PENDING, Group, all_groups

WATCH_SECONDS = 2.0
_STYLES = {WAITING: "yellow", PENDING: "yellow", NO_PODS: "yellow", PARTIAL: "red", ABORTING: "red", STICKY: "yellow"}
HOME_AND_CLEAR = "\x1b[H\x1b[2J"

UNSETTLED = frozenset({WAITING, STICKY, ABORTING, NO_PODS, PENDING, PARTIAL})
"""States in which a reason is why a group does not run."""

Told = list[tuple[LeaderWorkerSet, tuple[Group, ...]]]


def run(source: Mapping[str, Any], namespace: str, *, as_json: bool, watch: bool) -> Exit:
    with speaking():
        opened = Source(**source).open()
        if watch:
            return _watch(
                lambda: opened.read(namespace, GROUP_KINDS),
                lambda found: _print(found, namespace, opened.now(), as_json=as_json),
            )
        _print(opened.read(namespace, GROUP_KINDS), namespace, opened.now(), as_json=as_json)
    return Exit.OK


def _watch(read: Callable[[], Cluster], show: Callable[[Cluster], None]) -> Exit:
    """Again and again, until Ctrl-C. Once it has begun, an API server that is away for a while does not end it."""
    from lws_sched.cli.refusals import sentence
    from lws_sched.kube.errors import Unavailable

    found = read()
    try:
        while True:
            if sys.stdout.isatty():
                sys.stdout.write(HOME_AND_CLEAR)
            show(found)
            sys.stdout.flush()
            time.sleep(WATCH_SECONDS)
            try:
                found = read()
            except Unavailable as error:
                say(f"lws-sched: {sentence(error)}")
    except KeyboardInterrupt:
        return Exit.OK


def _print(cluster: Cluster, namespace: str, now: float | None, *, as_json: bool) -> None:
    told = [*all_groups(cluster, namespace)]
    if as_json:
        print_json({"sets": [_json(lws, groups) for lws, groups in told]})
    elif told:
        _tables(told, now)
    else:
        say(f"there is no LeaderWorkerSet{f' in namespace {namespace}' if namespace else ''}")


def _json(lws: LeaderWorkerSet, groups: Sequence[Group]) -> dict[str, Any]:
    return {
        "name": lws.metadata.name,
        "namespace": lws.metadata.namespace,
        "replicas": lws.spec.replicas,
        "ready": sum(_is_ready(group) for group in groups),
        "updated": lws.status.updated_replicas,
        "groups": [_group_json(group) for group in groups],
    }


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "index": group.index,
        "state": group.state,
        "size": group.size,
        "bound": group.bound,
        "ready": group.ready,
        "revision": group.revision,
        "domain": {"level": group.level, "value": group.domain} if group.level else None,
        "restarts": group.restarts,
        "since": group.since,
        "reason": group.reason,
        "fix": group.fix,
    }


def _tables(told: Told, now: float | None) -> None:
    headers = ("NAMESPACE", "GROUP", "STATE", "READY", "BOUND", "DOMAIN", "REVISION", "RESTARTS", "FOR")
    rows = [_row(group, now) for _, groups in told for group in groups]
    print_table(headers, rows, expendable=("REVISION", "BOUND", "RESTARTS", "FOR"))
    groups = [group for _, groups in told for group in groups]
    causes: dict[tuple[str, str], list[str]] = {}
    for group in groups:
        if group.state in UNSETTLED and group.reason:
            causes.setdefault((group.reason, group.fix), []).append(group.name)
    for (reason, fix), waiting in causes.items():
        more = f" (and {len(waiting) - 1} more for the same reason)" if len(waiting) > 1 else ""
        print_lines("", f"{waiting[0]}{more} waits: {reason}.", *([f"  fix: {fix}"] if fix else []))
    ready = sum(_is_ready(group) for group in groups)
    say(f"{ready} of {len(groups)} groups are ready, in {len(told)} LeaderWorkerSet{'s' if len(told) != 1 else ''}")


def _row(group: Group, now: float | None) -> tuple[Cell, ...]:
    state: Cell = (group.state, "green" if _is_ready(group) else _STYLES.get(group.state, ""))
    return (
        group.namespace,
        group.name,
        state,
        f"{group.ready}/{group.size}",
        f"{group.bound}/{group.size}",
        group.domain or "-",
        group.revision or "-",
        str(group.restarts),
        age(seconds_of(group.since), now) if group.since else "-",
    )


def _is_ready(group: Group) -> bool:
    return group.ready == group.size
