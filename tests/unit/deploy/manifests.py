"""Reads the files under deploy/."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
Json: TypeAlias = dict[str, Any]


@cache
def documents(path: str) -> tuple[Json, ...]:
    """The YAML documents of a file, by its path inside deploy/. They are shared: do not change them."""
    return tuple(yaml.load_all((DEPLOY / path).read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def document(path: str) -> Json:
    (only,) = documents(path)
    return only


def files(folder: str) -> list[str]:
    return sorted(f"{folder}/{path.name}" for path in (DEPLOY / folder).glob("*.yaml"))


def root_schema(crd: Json) -> Json:
    (version,) = crd["spec"]["versions"]
    schema: Json = version["schema"]["openAPIV3Schema"]
    return schema
