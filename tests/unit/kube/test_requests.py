from __future__ import annotations

import pytest

from lws_sched.api.core import LEASE, NODE, POD, STATEFUL_SET
from lws_sched.kube import request
from lws_sched.kube.request import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, Deletion, Request

BODY = POD.body({"namespace": "ns", "name": "p"})
SET = STATEFUL_SET.body({"namespace": "ns", "name": "s"})
OPERATIONS = [{"op": "test", "path": "/metadata/uid", "value": "u"}]

REQUESTS = {
    "get a pod": (request.get(POD, "ns", "p"), Request("GET", "/api/v1/namespaces/ns/pods/p")),
    "get a node": (request.get(NODE, "", "n"), Request("GET", "/api/v1/nodes/n")),
    "list everywhere": (
        request.list_page(STATEFUL_SET, "", "", 500),
        Request("GET", "/apis/apps/v1/statefulsets", (("limit", "500"),)),
    ),
    "list the second page of one namespace, with a selector": (
        request.list_page(POD, "ns", "a=b,c", 500, "token="),
        Request(
            "GET", "/api/v1/namespaces/ns/pods", (("limit", "500"), ("labelSelector", "a=b,c"), ("continue", "token="))
        ),
    ),
    "create": (request.create(POD, BODY), Request("POST", "/api/v1/namespaces/ns/pods", body=BODY)),
    "create as a dry run": (
        request.create(POD, BODY, dry_run=True),
        Request("POST", "/api/v1/namespaces/ns/pods", (("dryRun", "All"),), BODY),
    ),
    "replace": (request.replace(POD, BODY), Request("PUT", "/api/v1/namespaces/ns/pods/p", body=BODY)),
    "apply": (
        request.apply(STATEFUL_SET, SET, "me"),
        Request(
            "PATCH",
            "/apis/apps/v1/namespaces/ns/statefulsets/s",
            (("fieldManager", "me"), ("force", "true")),
            SET,
            APPLY_PATCH,
        ),
    ),
    "merge the status": (
        request.merge(POD, "ns", "p", {"status": {}}, "status"),
        Request("PATCH", "/api/v1/namespaces/ns/pods/p/status", (), {"status": {}}, MERGE_PATCH),
    ),
    "patch": (
        request.patch(POD, "ns", "p", OPERATIONS),
        Request("PATCH", "/api/v1/namespaces/ns/pods/p", (), OPERATIONS, JSON_PATCH),
    ),
    "delete one incarnation": (
        request.delete(POD, "ns", "p", Deletion("u", "Foreground", 0)),
        Request(
            "DELETE",
            "/api/v1/namespaces/ns/pods/p",
            body={
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": "Foreground",
                "preconditions": {"uid": "u"},
                "gracePeriodSeconds": 0,
            },
        ),
    ),
    "bind": (
        request.bind(POD, "ns", "p", "u", "n"),
        Request(
            "POST",
            "/api/v1/namespaces/ns/pods/p/binding",
            body={
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"namespace": "ns", "name": "p", "uid": "u"},
                "target": {"apiVersion": "v1", "kind": "Node", "name": "n"},
            },
        ),
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_each_verb_has_its_request(name: str) -> None:
    made, expected = REQUESTS[name]
    assert made == expected


def test_a_watch_asks_for_bookmarks_and_an_end() -> None:
    made = request.watch(POD, "a=b", 7, 300)
    assert made.target == (
        "/api/v1/pods?watch=true&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=300&labelSelector=a%3Db"
    )


def test_names_cannot_leave_their_place_in_the_path() -> None:
    assert request.get(NODE, "", "../x").path == "/api/v1/nodes/..%2Fx"


def test_a_namespaced_object_needs_its_namespace_and_every_object_a_name() -> None:
    with pytest.raises(ValueError, match="lives in a namespace"):
        request.get(LEASE, "", "l")
    with pytest.raises(ValueError, match="lives in a namespace"):
        request.create(POD, POD.body({"name": "p"}))
    with pytest.raises(ValueError, match="needs its name"):
        request.get(NODE, "", "")
