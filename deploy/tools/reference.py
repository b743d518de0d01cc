"""The reference pages that come from names, CRDs and commands: docs/annotations.md, docs/kinds.md, docs/commands.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml

from deploy.tools.keys import SECTIONS
from lws_sched.cli.commands import COMMANDS
from lws_sched.cli.main import main as entry
from lws_sched.cli.run import controller, extender

CRDS = Path(__file__).parents[1] / "crds"
KINDS = ("leaderworkersets", "groupplacements", "topologies")
TEMPLATES = ("leaderTemplate", "workerTemplate", "volumeClaimTemplates")
"""Their fields are Kubernetes' own, which documents them."""
WIDTH = 100

ANNOTATIONS = """\
# Annotations and labels

Annotations of the first table go on the LeaderWorkerSet; a pod template may carry the topology ones as well, and the
LeaderWorkerSet's win. What is wrong with one is refused when the set is applied.
"""
KINDS_HEAD = """\
# Kinds

`kubectl explain lws`, `kubectl explain gp` and `kubectl explain topologies` show the same.
"""
COMMANDS_HEAD = """\
# Commands

What each command answers, with examples: [asking about groups](cli.md). The same commands are under `kubectl lws`.
"""


def annotations_page() -> str:
    parts = [ANNOTATIONS]
    for title, keys in SECTIONS:
        parts.append(f"\n## {title}\n\n| key | value | meaning |\n|---|---|---|\n")
        parts.extend(f"| `{key.name}` | {key.value} | {key.meaning} |\n" for key in keys)
    return "".join(parts)


def kinds_page() -> str:
    parts = [KINDS_HEAD]
    for name in KINDS:
        crd = yaml.load((CRDS / f"{name}.yaml").read_text(), Loader=yaml.CSafeLoader)
        spec = crd["spec"]
        version = next(each for each in spec["versions"] if each["storage"])
        schema = version["schema"]["openAPIV3Schema"]
        parts.append(f"\n## {spec['names']['kind']}\n\n")
        parts.append(f"`apiVersion: {spec['group']}/{version['name']}`, {spec['scope'].lower()}. ")
        parts.append(f"{_prose(schema.get('description', ''))}\n\n| field | type | meaning |\n|---|---|---|\n")
        for section in ("spec", "status"):
            found = schema["properties"].get(section, {})
            parts.extend(f"| `{path}` | {kind} | {text} |\n" for path, kind, text in _fields(section, found))
    return "".join(parts)


def commands_page() -> str:
    everything = [*COMMANDS, entry.commands["demo"], controller, extender]
    return COMMANDS_HEAD + "".join(f"\n## {each.name}\n\n```text\n{_help(each)}\n```\n" for each in everything)


def _help(command: click.Command) -> str:
    parent = click.Context(entry, info_name="lws-sched", **entry.context_settings)
    context = click.Context(command, parent, info_name=command.name, terminal_width=WIDTH, **command.context_settings)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def _fields(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, field in schema.get("properties", {}).items():
        inner = f"{path}.{name}"
        yield inner, _type(field), _meaning(field)
        if name in TEMPLATES:
            continue
        items = field.get("items", {})
        yield from _fields(f"{inner}[]" if items else inner, items or field)


def _type(field: dict[str, Any]) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if field.get("type") == "array":
        return f"list of {field['items'].get('type', 'object')}"
    return str(field.get("type", "any"))


def _meaning(field: dict[str, Any]) -> str:
    words = _prose(field.get("description", ""))
    if "enum" in field:
        words = f"{words} One of {', '.join(f'`{each}`' for each in field['enum'])}.".strip()
    default = field.get("default")
    return f"{words} Default `{default}`.".strip() if isinstance(default, str | int | bool) else words


def _prose(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
