"""A minimal Kubernetes client for tests: plain JSON objects in and out, over kept-alive connections.

It shares no code with the product's client on purpose: a test must not believe the
product about what is in the cluster. No cache, no retry, no types. A refusal of the API
server is an `ApiError` carrying its status code and reason.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import urlencode

import msgspec
import urllib3

Object: TypeAlias = dict[str, Any]
PatchKind: TypeAlias = Literal["json", "merge", "strategic"]

PATCH_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
JSON_TYPE = "application/json"
APPLY_TYPE = "application/apply-patch+yaml"
CONNECTIONS = 64


class ApiError(RuntimeError):
    """The API server refused: `status` is the HTTP code, `reason` the machine-readable word."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class Event(NamedTuple):
    """One watch event: ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


def path_of(
    resource: str, namespace: str | None = None, name: str | None = None, subresource: str | None = None
) -> str:
    """The URL path of `resource`, written `pods` or `apps/v1/statefulsets`."""
    group, _, plural = resource.rpartition("/")
    parts = ["apis", *group.split("/")] if group else ["api", "v1"]
    parts += ["namespaces", namespace] if namespace else []
    return "/" + "/".join([*parts, plural, *(p for p in (name, subresource) if p)])


class Client:
    """Every call takes a URL path (see `path_of`); query parameters are keyword arguments."""

    def __init__(self, url: str, token: str, ca: Path) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}", "Accept": f"{JSON_TYPE}, */*;q=0.1"}
        self._pool = urllib3.PoolManager(
            num_pools=2, maxsize=CONNECTIONS, ca_certs=str(ca), retries=False, timeout=urllib3.Timeout(60)
        )

    def get(self, path: str, **query: str) -> Object:
        return self._call("GET", path, query)

    def text(self, path: str, **query: str) -> str:
        """The answer as it is, for what is not JSON (metrics, health)."""
        return self._request("GET", path, query).decode()

    def find(self, path: str, **query: str) -> Object | None:
        """The object, or None when there is no such object."""
        try:
            return self.get(path, **query)
        except ApiError as problem:
            if problem.status == 404:
                return None
            raise

    def list(self, path: str, **query: str) -> Sequence[Object]:
        """The items of a collection (`get` gives the list object with its resourceVersion)."""
        items: Sequence[Object] = self.get(path, **query)["items"]
        return items

    def create(self, path: str, body: Mapping[str, Any], **query: str) -> Object:
        return self._call("POST", path, query, body)

    def replace(self, path: str, body: Mapping[str, Any], **query: str) -> Object:
        return self._call("PUT", path, query, body)

    def delete(self, path: str, options: Mapping[str, Any] | None = None, **query: str) -> Object:
        """Delete one object, or a whole collection; `options` is the DeleteOptions body."""
        return self._call("DELETE", path, query, options)

    def patch(self, path: str, body: object, kind: PatchKind = "merge", **query: str) -> Object:
        return self._call("PATCH", path, query, body, PATCH_TYPES[kind])

    def apply(self, path: str, body: Mapping[str, Any], manager: str, force: bool = False, **query: str) -> Object:
        """Server-side apply as field manager `manager`."""
        query |= {"fieldManager": manager, "force": str(force).lower()}
        return self._call("PATCH", path, query, body, APPLY_TYPE)

    def watch(
        self, path: str, resource_version: str, timeout_seconds: float = 60.0, **query: str
    ) -> Generator[Event, None, None]:
        """Events after `resource_version`; ends when the server ends the watch."""
        query |= {"watch": "true", "resourceVersion": resource_version, "allowWatchBookmarks": "true"}
        query |= {"timeoutSeconds": str(max(1, round(timeout_seconds)))}
        # Beyond the server's own limit: an idle watch is quiet, not broken.
        patience = urllib3.Timeout(connect=10, read=timeout_seconds + 10)
        url = f"{self.url}{path}?{urlencode(query)}"
        response = self._pool.request("GET", url, headers=self._headers, preload_content=False, timeout=patience)
        try:
            if response.status >= 400:
                raise _refusal(response.status, response.read())
            for line in _lines(response):
                event = msgspec.json.decode(line)
                if event["type"] == "ERROR":
                    raise _refusal(event["object"].get("code", 500), line)
                yield Event(event["type"], event["object"])
        finally:
            # An unfinished stream cannot go back into the pool.
            response.close()

    def _call(
        self, method: str, path: str, query: Mapping[str, str], body: object = None, content_type: str = JSON_TYPE
    ) -> Object:
        answer: Object = msgspec.json.decode(self._request(method, path, query, body, content_type))
        return answer

    def _request(
        self, method: str, path: str, query: Mapping[str, str], body: object = None, content_type: str = JSON_TYPE
    ) -> bytes:
        suffix = f"?{urlencode(query)}" if query else ""
        response = self._pool.request(
            method,
            f"{self.url}{path}{suffix}",
            body=None if body is None else msgspec.json.encode(body),
            headers={**self._headers, "Content-Type": content_type},
        )
        if response.status >= 400:
            raise _refusal(response.status, response.data)
        return response.data


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    # Not read1: it may return nothing between two pieces of one chunk, which looks like the end.
    for chunk in response.stream(1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _refusal(status: int, data: bytes) -> ApiError:
    try:
        answer = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return ApiError(status, "", data.decode(errors="replace"))
    answer = answer.get("object", answer)
    return ApiError(status, answer.get("reason", ""), answer.get("message", ""))
