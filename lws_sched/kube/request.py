"""Requests to the API server as values: which method, path, query, body and content type each verb needs.

Pure: nothing is sent or encoded here. `client` sends what these functions return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from lws_sched.api.meta import Kind

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
"""Server-side apply. JSON is YAML too."""

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    """What is encoded as JSON; None sends no body."""
    content_type: str = JSON

    @property
    def target(self) -> str:
        """Path and query as they stand in the request line."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


def path_of(kind: Kind[Any], namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The path of a kind's collection (everywhere, or in one namespace), of one object, or of its subresource."""
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    scope = ["namespaces", namespace] if kind.namespaced and namespace else []
    parts = [*scope, kind.plural, *(part for part in (name, subresource) if part)]
    return "/".join([root, *(quote(part, safe="") for part in parts)])


def get(kind: Kind[Any], namespace: str, name: str) -> Request:
    return Request("GET", _object_path(kind, namespace, name))


def list_page(kind: Kind[Any], namespace: str, labels: str, limit: int, token: str = "") -> Request:
    """One page of a list; `token` is the previous page's `continue`."""
    optional = (("labelSelector", labels), ("continue", token))
    query = (("limit", str(limit)), *(entry for entry in optional if entry[1]))
    return Request("GET", path_of(kind, namespace), query)


def watch(kind: Kind[Any], labels: str, version: int, seconds: int) -> Request:
    """All changes after `version`, in all namespaces, until the server ends the stream after `seconds`."""
    query = (
        ("watch", "true"),
        ("allowWatchBookmarks", "true"),
        ("resourceVersion", str(version)),
        ("timeoutSeconds", str(seconds)),
        *((("labelSelector", labels),) if labels else ()),
    )
    return Request("GET", path_of(kind), query)


def create(kind: Kind[Any], body: Body, *, dry_run: bool = False) -> Request:
    namespace = body["metadata"].get("namespace", "")
    _check_namespace(kind, namespace)
    return Request("POST", path_of(kind, namespace), (("dryRun", "All"),) if dry_run else (), body)


def replace(kind: Kind[Any], body: Body) -> Request:
    return Request("PUT", _body_path(kind, body), body=body)


def apply(kind: Kind[Any], body: Body, manager: str) -> Request:
    query = (("fieldManager", manager), ("force", "true"))
    return Request("PATCH", _body_path(kind, body), query, body, APPLY_PATCH)


def merge(kind: Kind[Any], namespace: str, name: str, body: Body, subresource: str = "") -> Request:
    path = _object_path(kind, namespace, name, subresource)
    return Request("PATCH", path, body=body, content_type=MERGE_PATCH)


def patch(kind: Kind[Any], namespace: str, name: str, operations: Sequence[Mapping[str, Any]]) -> Request:
    return Request("PATCH", _object_path(kind, namespace, name), body=list(operations), content_type=JSON_PATCH)


@dataclass(frozen=True)
class Deletion:
    """How to delete: only this incarnation (`uid`), what becomes of the dependents, how long a pod may take."""

    uid: str = ""
    propagation: str = "Background"
    grace_seconds: int | None = None

    def body(self) -> dict[str, Any]:
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": self.propagation}
        if self.uid:
            options["preconditions"] = {"uid": self.uid}
        if self.grace_seconds is not None:
            options["gracePeriodSeconds"] = self.grace_seconds
        return options


def delete(kind: Kind[Any], namespace: str, name: str, deletion: Deletion) -> Request:
    return Request("DELETE", _object_path(kind, namespace, name), body=deletion.body())


def bind(pods: Kind[Any], namespace: str, pod: str, uid: str, node: str) -> Request:
    """The UID in the binding's metadata is a precondition on the pod's."""
    body = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"namespace": namespace, "name": pod, "uid": uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
    return Request("POST", _object_path(pods, namespace, pod, "binding"), body=body)


def _body_path(kind: Kind[Any], body: Body) -> str:
    return _object_path(kind, body["metadata"].get("namespace", ""), body["metadata"]["name"])


def _object_path(kind: Kind[Any], namespace: str, name: str, subresource: str = "") -> str:
    _check_namespace(kind, namespace)
    if not name:
        raise ValueError(f"a request for one {kind} needs its name")
    return path_of(kind, namespace, name, subresource)


def _check_namespace(kind: Kind[Any], namespace: str) -> None:
    if kind.namespaced and not namespace:
        raise ValueError(f"a {kind} lives in a namespace, and none was given")
