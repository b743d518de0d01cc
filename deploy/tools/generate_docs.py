"""Writes the reference pages under docs/ from the code: `python -m deploy.tools.generate_docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from deploy.tools import reference
from lws_sched.cli.config import (
    API_VERSIONS,
    FLAGS,
    Common,
    Configuration,
    ExtenderConfiguration,
    GangSchedulingManagement,
    Section,
)
from lws_sched.telemetry import families
from lws_sched.telemetry.families import HISTOGRAM, Family

DOCS = Path(__file__).parents[2] / "docs"
MARK = "<!-- Written by deploy/tools/generate_docs.py. Do not edit. -->\n"

CONFIGURATION = """\
# Configuration of the controller and the extender

```console
$ lws-sched controller --config lws.yaml
$ lws-sched extender --config extender.yaml
```

The controller reads the `Configuration` of the LeaderWorkerSet project: a ConfigMap written for that works unchanged.
The extender reads an `ExtenderConfiguration`. Both may be left out; a section given in part keeps the defaults of the
rest. A flag overrides the file where it is given. A file that cannot be used ends the program with one sentence:

```text
lws-controller cannot start: lws.yaml: line 4: webhook.prot: there is no such field; see docs/configuration.md
```

Not taken over from the LeaderWorkerSet project: the `zap` flags (use `--log-level`), and `ENABLE_WEBHOOKS`, without
which no pod would learn its place in its group. `clientConnection` limits nothing unless it is set: the API server's
priority and fairness does.

## Certificates

By default the webhooks' certificate is made by the programs themselves. It is kept in a Secret, which all replicas of a
program share; the leader keeps the webhook configurations and their `caBundle` right. When two thirds of its year are
over, the next certificate is made, its authority is trusted beside the old one for five minutes, and only then is it
served. `/readyz` answers 503 with the reason until the certificate is served and the API server trusts it.

To bring your own, for example with cert-manager, turn `internalCertManagement.enable` off and mount the Secret
(`tls.crt`, `tls.key`) at `webhook.certDir`. Changed files are served within five seconds. The webhook configurations
are then yours: `deploy/kustomize/cert-manager` has them, with the annotation that fills in the `caBundle`.
"""

METRICS = """\
# Metrics

Both programs serve `/metrics` over TLS (`--metrics-bind-address`, `:8443`) to callers whose token may GET the
nonResourceURL `/metrics`; the ClusterRole `lws-sched-metrics` allows it. In Prometheus' text format or, where the
scraper asks for it, OpenMetrics. `process_*` and `python_info` come with it.

Every replica serves its own: counters of work (queues, decisions, restarts) move on the leader alone, gauges of what
there is (sets, groups, placements) are the same everywhere, so take their maximum, not their sum.
"""

SPANS = {
    "plan": (
        "within `reconcile placements`: the search for places, of all groups that were planned together",
        "lws_sched.groups lws_sched.placed lws_sched.value lws_sched.bound",
    ),
    "decide": (
        "within `plan`, one for each group: its place, or why it has none",
        "lws_sched.group lws_sched.result lws_sched.proof lws_sched.level lws_sched.domain lws_sched.members "
        "lws_sched.reason lws_sched.fix",
    ),
    "commit": (
        "begins a trace, with a link to the `decide` that it carries out: from a full barrier to the last binding",
        "lws_sched.group lws_sched.members",
    ),
    "record": ("within `commit`: the write after which the group only goes forward", "lws_sched.group"),
    "bind": (
        "within `commit`, or within `reconcile placements` where a commit is finished after a crash",
        "k8s.namespace.name k8s.pod.name k8s.pod.uid k8s.node.name",
    ),
    "reconcile sets": ("the controller looks at a set", "lws_sched.key lws_sched.again_seconds"),
    "reconcile groups": ("the controller looks at a group", "lws_sched.key lws_sched.again_seconds"),
    "reconcile placements": (
        "the extender looks at a set, at a group, or at all that need a place",
        "lws_sched.key lws_sched.again_seconds",
    ),
    "review <webhook>": (
        "an admission review, what the hook waited for included",
        "lws_sched.kind lws_sched.operation lws_sched.name k8s.namespace.name lws_sched.dry_run lws_sched.allowed "
        "lws_sched.patched",
    ),
}
"""Of traces: where each span is, and what it says."""

TRACES = """
## Traces

Both programs can tell OpenTelemetry what they do (`pip install 'lws-sched[otel]'`; the image has it). They do so where
the configuration says where to, or OpenTelemetry's own environment variables do:

```yaml
tracing:
  endpoint: http://otel-collector.monitoring:4317
```

Spans go out by OTLP over gRPC. `OTEL_EXPORTER_OTLP_*`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`, `OTEL_SERVICE_NAME` and
`OTEL_RESOURCE_ATTRIBUTES` mean what they mean everywhere; `OTEL_TRACES_EXPORTER=none` or `OTEL_SDK_DISABLED=true` turn
them off. Where nobody asks, nothing of OpenTelemetry is loaded.

SPANS
A span has failed where what it tells of was refused or raised; its status says why.
"""


def configuration() -> str:
    parts = [MARK, CONFIGURATION]
    for kind, whose in ((Configuration, "controller"), (ExtenderConfiguration, "extender")):
        parts.append(f"\n## The {whose}'s fields\n\n")
        parts.append(f"`apiVersion: {API_VERSIONS[kind]}`, `kind: {kind.__name__}`.\n\n")
        parts.append("| field | default | meaning |\n|---|---|---|\n")
        parts.extend(f"| `{path}` | {_shown(default)} | {text} |\n" for path, default, text in _fields(kind))
    parts.append("\n## Flags\n\n| flag | field |\n|---|---|\n")
    parts.extend(f"| `{flag.name}` | `{flag.path}` |\n" for flag in FLAGS)
    parts.append("| `--bind-address` (extender) | `verbs.bindAddress` |\n")
    parts.append("| `--placement-bind-address` (extender) | `placementService.bindAddress` |\n")
    parts.append("| `--placement-published-address` (extender) | `placementService.publishedAddress` |\n")
    parts.append("| `--page-bind-address` (extender) | `page.bindAddress` |\n")
    parts.append("| `--webhook-bind-address` | `webhook.host`, `webhook.port` |\n")
    parts.append(
        "\nBeside these: `--config`, `--kubeconfig`, `--log-level`, and `--namespace`, which wins over the pod's own "
        "namespace and `leaderElection.resourceNamespace`.\n"
    )
    return "".join(parts)


def metrics() -> str:
    found = sorted((each for each in vars(families).values() if isinstance(each, Family)), key=lambda each: each.name)
    lines = [f"| `{each.name}` | {each.kind} | {_labels(each)} | {_text(each.help)} |\n" for each in found]
    unit = "\nTimes are seconds. Bounds of the histograms: " + "; ".join(
        f"`{', '.join(f'{bound:g}' for bound in buckets)}` for {_names(found, buckets)}"
        for buckets in (families.QUICK, families.SLOW)
    )
    return "".join(
        [MARK, METRICS, "\n| metric | type | labels | meaning |\n|---|---|---|---|\n", *lines, unit, ".\n", traces()]
    )


def traces() -> str:
    rows = (
        f"| `{name}` | {where} | {', '.join(f'`{each}`' for each in attributes.split())} |\n"
        for name, (where, attributes) in SPANS.items()
    )
    return TRACES.replace("SPANS\n", f"| span | where | attributes |\n|---|---|---|\n{''.join(rows)}\n")


def _fields(kind: type[Common]) -> Iterator[tuple[str, Any, str]]:
    for section in msgspec.structs.fields(kind):
        default = section.default if isinstance(section.default, Section) else None
        if section.default is None:
            default = GangSchedulingManagement()
        if default is None:
            continue
        for field in msgspec.structs.fields(type(default)):
            (meta,) = field.type.__metadata__
            yield f"{section.encode_name}.{field.encode_name}", getattr(default, field.name), meta.description


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`" if default not in ("", ()) else ""


def _labels(family: Family) -> str:
    return ", ".join(f"`{label}`" for label in family.labels)


def _text(words: str) -> str:
    return words.replace("<", "&lt;")


def _names(found: list[Family], buckets: tuple[float, ...]) -> str:
    return ", ".join(f"`{each.name}`" for each in found if each.kind == HISTOGRAM and each.buckets == buckets)


def pages() -> dict[str, str]:
    """By their files' names."""
    return {
        "configuration.md": configuration(),
        "metrics.md": metrics(),
        "annotations.md": MARK + reference.annotations_page(),
        "kinds.md": MARK + reference.kinds_page(),
        "commands.md": MARK + reference.commands_page(),
    }


def main() -> None:
    for name, text in pages().items():
        (DOCS / name).write_text(text)


if __name__ == "__main__":
    main()
