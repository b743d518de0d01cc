"""Writes the templates of deploy/helm/lws-sched from the kustomize bases: `python -m deploy.tools.generate_chart`.

A manifest becomes a template by the changes listed here, each of which has to find its text exactly as often as it
says: a base that was changed so that a value would no longer reach it fails here, not at a user's. What the bases say
beyond that comes along by itself. Written by hand are the helpers, the values with their schema, the notes, and what
only Helm has (the hook that prepares an uninstallation). The kinds, alerts and the dashboard are copied whole, and read
by the templates as files: links would make Helm print a warning for each, at every command.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from lws_sched.admission.registration import EXTENDER
from lws_sched.cli.config import Common, Configuration, ExtenderConfiguration, GangSchedulingManagement, Section

DEPLOY = Path(__file__).parents[1]
CHART = DEPLOY / "helm" / "lws-sched"
TEMPLATES, FILES = CHART / "templates", CHART / "files"
HEADER = "{{- /* Written by deploy/tools/generate_chart.py from deploy/%s. Do not edit. */}}\n"
SCHEMA = Path(__file__).with_name("values.schema.yaml")
CONFIGURATIONS: Mapping[str, type[Common]] = {"controller": Configuration, "extender": ExtenderConfiguration}
NAMESPACE = "{{ .Release.Namespace }}"
IS_SECOND = 'eq .Values.scheduler.mode "second"'
IS_CERT_MANAGER = 'eq .Values.certificates.source "cert-manager"'


class Change(NamedTuple):
    """`old` is found `times` times and becomes `new`."""

    old: str
    new: str
    times: int = 1


class Unfit(ValueError):
    """A base is not as the changes expect it. The message is for who changed it."""


def program(name: str) -> tuple[Change, ...]:
    """What the Deployment of one of our programs gets from the values."""
    return (
        *pod(name),
        Change("        image: lws-sched\n", '        {{- include "lws-sched.image" . | nindent 8 }}\n'),
        Change(
            f"        args: [{name}, --config=/config/",
            f"        args: [{name}, {{{{ with .Values.{name}.logLevel }}}}--log-level={{{{ . }}}}, {{{{ end }}}}"
            "--config=/config/",
        ),
        Change(
            "        volumeMounts:\n",
            f'        volumeMounts:\n        {{{{- include "lws-sched.{name}.certificateMounts" . }}}}\n',
        ),
        Change(
            "      volumes:\n",
            f'      volumes:\n      {{{{- include "lws-sched.{name}.certificateVolumes" . }}}}\n',
        ),
    )


def pod(name: str) -> tuple[Change, ...]:
    """What any Deployment gets from the values."""
    labels = f"      labels: {{app.kubernetes.io/name: lws-sched, app.kubernetes.io/component: {name}}}\n"
    return (
        Change("  replicas: 2\n", f"  replicas: {{{{ .Values.{name}.replicas }}}}\n"),
        Change(
            labels,
            f"{labels}      annotations:\n"
            f'        checksum/config: {{{{ include "lws-sched.{name}.config" . | sha256sum }}}}\n',
        ),
        Change(
            "      priorityClassName: system-cluster-critical\n",
            f'      {{{{- include "lws-sched.pod" (list . .Values.{name}) | nindent 6 }}}}\n',
        ),
    )


TEMPLATE_OF: Mapping[str, tuple[Change, ...]] = {
    "rbac/controller.yaml": (),
    "rbac/extender.yaml": (),
    "rbac/users.yaml": (),
    "kustomize/default/webhooks.yaml": (),
    "kustomize/default/controller.yaml": program("controller"),
    "kustomize/default/extender.yaml": program("extender"),
    "kustomize/default/scheduler.yaml": (
        *pod("scheduler"),
        Change(
            "      - name: verbs\n        secret:\n          secretName: lws-sched-extender-verbs\n          items:\n"
            "          - {key: ca.crt, path: ca.crt}\n          - {key: client.crt, path: client.crt}\n"
            "          - {key: client.key, path: client.key}\n",
            '      - name: verbs\n        {{- include "lws-sched.scheduler.verbs" . | nindent 8 }}\n',
        ),
        Change(
            "        image: registry.k8s.io/kube-scheduler:v1.37.2\n",
            '        image: {{ include "lws-sched.scheduler.image" . }}\n',
        ),
        Change("        # The version of the cluster.\n", ""),
    ),
    "kustomize/cert-manager/certificates.yaml": (),
    "kustomize/volcano/rbac.yaml": (),
}
"""The bases, and what is changed in each beside what is changed in all."""

COPIED: Mapping[str, str] = {
    "crds": "crds/*.yaml",
    "prometheus": "kustomize/prometheus/[am]*.yaml",
    "grafana": "grafana/*.json",
}
"""The folders of copied files, and what is in them."""

CONDITIONS: Mapping[str, str] = {
    "kustomize/default/scheduler.yaml": IS_SECOND,
    "kustomize/cert-manager/certificates.yaml": IS_CERT_MANAGER,
    "kustomize/volcano/rbac.yaml": ".Values.controller.volcano",
}
"""When a file is part of the installation, where it is not always."""


def changed(text: str, changes: tuple[Change, ...], path: str) -> str:
    """Raises Unfit."""
    for old, new, times in changes:
        if text.count(old) != times:
            raise Unfit(
                f"deploy/{path} has {old.strip()!r} {text.count(old)} times, not {times}: change it together with "
                "deploy/tools/generate_chart.py"
            )
        text = text.replace(old, new)
    return text


def template(path: str) -> str:
    """The template of a base. Raises Unfit."""
    text = (DEPLOY / path).read_text()
    if "{{" in text:
        raise Unfit(f"deploy/{path} has {{{{ in it, which Helm would read")
    text = changed(text, TEMPLATE_OF[path], path)
    text = re.sub(r"resources:\n( +)requests: .*\n(?: +limits: .*\n)?", _resources(path), text)
    text = text.replace("lws-system", NAMESPACE)
    text = "---\n".join(_guarded(path, document) for document in text.split("---\n"))
    condition = CONDITIONS.get(path)
    if condition is not None:
        text = f"{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n"
    return HEADER % path + text


def _resources(path: str) -> str:
    name = Path(path).stem
    return f"resources:\n          {{{{- toYaml .Values.{name}.resources | nindent 10 }}}}\n"


def _guarded(path: str, document: str) -> str:
    """One document: with the values in its ConfigMap, and left out where a value says so."""
    name = Path(path).stem
    if "kind: ConfigMap\n" in document:
        head, found, _ = document.partition(": |\n")
        if not found:
            raise Unfit(f"the ConfigMap in deploy/{path} holds no text")
        return f'{head}: |\n    {{{{- include "lws-sched.{name}.config" . | nindent 4 }}}}\n'
    if "kind: PodDisruptionBudget\n" in document:
        return f"{{{{- if gt (int .Values.{name}.replicas) 1 }}}}\n{document}{{{{- end }}}}\n"
    if "kind: NetworkPolicy\n" in document:
        return f"{{{{- if .Values.networkPolicy.enabled }}}}\n{_open_to_cluster(document)}{{{{- end }}}}\n"
    if "WebhookConfiguration\n" in document:
        return _registered(document)
    return document


def _registered(document: str) -> str:
    """One webhook configuration: annotated for cert-manager. Where the webhooks are called by a URL, the program
    registers them itself, in words that Helm would not merge with these."""
    name = re.search(r"metadata:\n  name: (\S+)\n", document)
    if name is None:
        raise Unfit("a webhook configuration has no name")
    program = "extender" if name[1] == EXTENDER.mutating else "controller"
    annotated = document.replace(name[0], f'{name[0]}  {{{{- include "lws-sched.injected" (list . "{name[1]}") }}}}\n')
    return f'{{{{- if not (dig "webhook" "url" "" .Values.{program}.config) }}}}\n{annotated}{{{{- end }}}}\n'


def _open_to_cluster(document: str) -> str:
    """A scheduler of the cluster's own calls from outside the pod network: the client certificate is what it is known
    by."""
    callers = re.search(r"  - from:\n(?:    .*\n)*?(?=    ports:\n    - \{port: verbs\})", document)
    if callers is None:
        raise Unfit("the NetworkPolicy does not say who may call the verbs")
    opened = f"{{{{- if {IS_SECOND} }}}}\n{callers[0]}{{{{- else }}}}\n  -\n{{{{- end }}}}\n"
    return document.replace(callers[0], opened)


def config_helpers() -> str:
    """The configurations of the ConfigMaps, as named templates that the helpers merge the values into."""
    parts = [HEADER % "kustomize/default"]
    for name in ("controller", "extender", "scheduler"):
        text = (DEPLOY / "kustomize" / "default" / f"{name}.yaml").read_text()
        block = re.search(r"\.yaml: \|\n((?:    .*\n)+)", text)
        if block is None:
            raise Unfit(f"deploy/kustomize/default/{name}.yaml has no configuration")
        body = re.sub(r"^    ", "", block[1], flags=re.MULTILINE).replace("lws-system", NAMESPACE)
        parts.append(f'{{{{- define "lws-sched.{name}.defaults" -}}}}\n{body}{{{{- end }}}}\n')
    return "".join(parts)


def schema(part: Any) -> Any:
    """The values' schema, with `$config` replaced by the fields of that program's configuration."""
    if isinstance(part, list):
        return [schema(each) for each in part]
    if not isinstance(part, dict):
        return part
    if "$config" in part:
        return _of_configuration(CONFIGURATIONS[part["$config"]])
    return {name: schema(each) for name, each in part.items()}


def _of_configuration(kind: type[Common]) -> dict[str, Any]:
    sections = {each.encode_name: each for each in msgspec.structs.fields(kind)}
    described = {
        name: _of_section(each.default) for name, each in sections.items() if each.default is None or each.default
    }
    words = "Sections of the program's configuration file; see docs/configuration.md."
    return {"type": "object", "description": words, "additionalProperties": False, "properties": described}


def _of_section(default: Any) -> dict[str, Any]:
    kind = type(default) if isinstance(default, Section) else GangSchedulingManagement
    fields = {each.encode_name: _of_field(each.type, each.default) for each in msgspec.structs.fields(kind)}
    return {"type": "object", "additionalProperties": False, "properties": fields}


def _of_field(type_: Any, default: Any) -> dict[str, Any]:
    """Its type as YAML has it: durations are texts."""
    kinds = {bool: "boolean", int: "integer", float: "number", tuple: "array"}
    return {"type": kinds.get(type(default), "string"), "description": type_.__metadata__[0].description}


def rendered() -> Iterator[tuple[Path, str]]:
    """Each generated file and its text. Raises Unfit."""
    for base in TEMPLATE_OF:
        folder, name = Path(base).parent.name, Path(base).name
        yield TEMPLATES / (name if folder == "default" else f"{folder}-{name}"), template(base)
    yield TEMPLATES / "_config.tpl", config_helpers()
    yield CHART / "values.schema.json", json.dumps(schema(yaml.safe_load(SCHEMA.read_text())), indent=2) + "\n"
    for folder, pattern in COPIED.items():
        for path in sorted(DEPLOY.glob(pattern)):
            yield FILES / folder / path.name, path.read_text()


def main() -> None:
    for path, text in rendered():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
