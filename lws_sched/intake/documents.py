"""Kubernetes objects out of files: YAML or JSON, several documents, `List`s taken apart.

Whatever cannot be read is `BadInput`: one sentence that says where (file, line or document, object, field) and what was
expected there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import yaml

from lws_sched.api.meta import Kind, Object
from lws_sched.api.nulls import without_nulls
from lws_sched.api.quantity import InvalidQuantity, parse
from lws_sched.intake import kubectl_yaml

T = TypeVar("T", bound=Object)
Body = dict[str, Any]

_SEPARATOR = re.compile(r"^---(?:[ \t]+#.*|[ \t]*)$", re.MULTILINE)
_PATH = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_AMOUNTS = ("requests", "limits", "overhead", "allocatable")


class BadInput(Exception):
    """What was given cannot be used. The message is one sentence for the user."""


@dataclass(frozen=True)
class Document:
    """One object, as it was written."""

    body: Body
    source: str
    """The file, and where it holds several objects, which one."""

    @property
    def kind(self) -> str:
        return str(self.body.get("kind") or "")

    @property
    def group(self) -> str:
        return str(self.body.get("apiVersion") or "").rpartition("/")[0]

    @property
    def where(self) -> str:
        """`nodes.yaml, item 3 (Node n-2)`."""
        meta = self.body.get("metadata")
        meta = meta if isinstance(meta, dict) else {}
        name = "/".join(str(meta[field]) for field in ("namespace", "name") if meta.get(field))
        return f"{self.source} ({f'{self.kind} {name}'.strip()})" if self.kind else self.source

    def is_a(self, kind: Kind[Any]) -> bool:
        return self.kind == kind.kind and self.group == kind.group


def read(source: str, data: bytes) -> list[Document]:
    """All objects of a file, `List`s taken apart. `source` is what messages call it. Raises BadInput."""
    text = text_of(source, data)
    if not text.strip():
        raise BadInput(f"{source} is empty: give YAML or JSON, as `kubectl get -o yaml` prints it")
    try:
        values = [*(_json_values(source, text) if text.lstrip()[0] == "{" else _yaml_values(source, text))]
        documents: list[Document] = []
        for number, value in enumerate(values, start=1):
            place = f"{source}, document {number}" if len(values) > 1 else source
            documents += _objects(place, value)
    except RecursionError as error:
        raise _too_deep(source) from error
    return documents


def text_of(source: str, data: bytes) -> str:
    """Raises BadInput."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{source} is not text (byte {error.start} is not UTF-8): give YAML or JSON") from error


def decode(kind: Kind[T], document: Document) -> T:
    """The object as our type for it. Raises BadInput."""
    body = document.body
    try:
        try:
            obj = msgspec.convert(body, kind.type)
        except msgspec.ValidationError:
            obj = msgspec.convert(without_nulls(body), kind.type)
    except msgspec.ValidationError as error:
        raise BadInput(f"{document.where}: {_said(error)}") from error
    if not obj.metadata.name:
        raise BadInput(f"{document.where} has no metadata.name: give it one")
    return obj


def bad_quantity(document: Document, error: InvalidQuantity) -> BadInput:
    """The same, with the object and the field that the amount stands in."""
    field = next(_bad_amounts(document.body, ""), "")
    return BadInput(f"{document.where}: {f'{field}: ' if field else ''}{error}")


def _json_values(source: str, text: str) -> Iterator[Any]:
    """One value after the other, as several `kubectl get -o json` in one file."""
    try:
        yield msgspec.json.decode(text)
        return
    except msgspec.DecodeError:
        pass  # several values, or a mistake: read them one by one
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise BadInput(f"{source}, line {error.lineno}: this is not JSON: {error.msg}") from error
        yield value
        at += len(text[at:]) - len(text[at:].lstrip())


def _yaml_values(source: str, text: str) -> Iterator[Any]:
    line = 0
    for part in _SEPARATOR.split(text):
        try:
            items = kubectl_yaml.items_of(part.lstrip("\n"))
            value = {"kind": "List", "items": items} if items is not None else kubectl_yaml.load(part)
        except kubectl_yaml.TooDeep as error:
            raise _too_deep(source) from error
        except yaml.YAMLError:
            value = _retold(source, part, line)
        if value is not None:
            yield value
        line += part.count("\n")


def _too_deep(source: str) -> BadInput:
    return BadInput(f"{source} is nested more than {kubectl_yaml.MOST_NESTED} levels deep: no Kubernetes object is")


def _retold(source: str, part: str, line: int) -> Any:
    """Read again by the general parser, whose mistakes carry a line."""
    try:
        return kubectl_yaml.load(part)
    except yaml.MarkedYAMLError as error:
        # What is never closed is noticed only at the end: then say where it began.
        last = part.rstrip().count("\n")
        marks = [mark.line for mark in (error.problem_mark, error.context_mark) if mark]
        found = next((number for number in marks if number <= last), last)
        said = ", ".join(text for text in (error.context, error.problem) if text)
        raise BadInput(f"{source}, line {line + found + 1}: this is not YAML: {said}") from error
    except yaml.YAMLError as error:
        raise BadInput(f"{source}: this is not YAML: {' '.join(str(error).split())}") from error


def _objects(source: str, value: Any) -> Iterator[Document]:
    if not isinstance(value, dict):
        raise BadInput(f"{source} holds {_noun(value)} where a Kubernetes object is expected")
    kind = value.get("kind")
    if not isinstance(kind, str) or not kind:
        raise BadInput(f"{source} has no kind: a Kubernetes object starts with apiVersion and kind")
    if not kind.endswith("List") or "items" not in value:
        yield Document(value, source)
        return
    items = value["items"] or ()
    if not isinstance(items, list | tuple):
        raise BadInput(f"{source}: items is {_noun(items)}, not a list")
    for number, item in enumerate(items, start=1):
        at = f"{source}, item {number}"
        if not isinstance(item, dict):
            raise BadInput(f"{at} is {_noun(item)} where a Kubernetes object is expected")
        # The API server leaves kind and apiVersion out of the items of a typed list.
        typed = {"kind": kind.removesuffix("List"), "apiVersion": value.get("apiVersion")} if kind != "List" else {}
        yield from _objects(at, {**typed, **item} if typed else item)


def _noun(value: Any) -> str:
    nouns = {list: "a list", dict: "a mapping", str: "text", type(None): "nothing"}
    return nouns.get(type(value), f"the value {value}")


def _said(error: msgspec.ValidationError) -> str:
    text = str(error)
    found = _PATH.search(text)
    path = found[1] if found else ""
    said = text[: found.start()] if found else text
    said = said.replace("`", "").replace("Object missing required field", "missing required field")
    return f"{path}: {said[:1].lower()}{said[1:]}" if path else said


def _bad_amounts(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            at = f"{path}.{key}" if path else str(key)
            if key in _AMOUNTS and isinstance(each, Mapping):
                yield from (f"{at}.{resource}" for resource, amount in each.items() if not _is_quantity(amount))
            else:
                yield from _bad_amounts(each, at)
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _bad_amounts(each, f"{path}[{index}]")


def _is_quantity(amount: Any) -> bool:
    try:
        parse(amount)
    except InvalidQuantity:
        return False
    return True
