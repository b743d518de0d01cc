from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from lws_sched.api.core import DAEMON_SET, LEASE, NODE, POD
from lws_sched.kube import errors
from lws_sched.kube.client import ATTEMPTS, PAGE, Client
from lws_sched.kube.port import Cluster
from lws_sched.kube.store import WatchEvent
from tests.unit.kube.apiserver import Asked, Reply, client_of, in_turn, page_json, pod_json, refusal, serving
from tests.unit.kube.builders import pod


def test_a_get_is_decoded_and_carries_who_asks() -> None:
    with serving(in_turn(Reply(body=pod_json("a", 3)))) as server:
        assert server.client().get(POD, "ns", "a") == pod("a", 3)
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("GET", "/api/v1/namespaces/ns/pods/a")
    assert asked.headers["Authorization"] == "Bearer secret"
    assert asked.headers["User-Agent"] == "lws-sched-test/1"


def test_an_apply_sends_json_as_an_apply_patch() -> None:
    with serving(in_turn(Reply(body=pod_json("a", 3)))) as server:
        body = POD.body({"namespace": "ns", "name": "a"}, spec={"nodeName": "n"})
        server.client().apply(POD, body, manager="me")
    asked = server.asked[0]
    assert asked.body == body
    assert asked.headers["Content-Type"] == "application/apply-patch+yaml"
    assert asked.query == {"fieldManager": "me", "force": "true"}


def test_bind_and_delete_need_no_object_in_the_answer() -> None:
    with serving(in_turn(Reply(201, {"kind": "Status", "status": "Success"}))) as server:
        server.client().bind("ns", "a", "uid", "n1")
        server.client().delete(POD, "ns", "a", uid="uid", grace_seconds=0)
    assert [asked.method for asked in server.asked] == ["POST", "DELETE"]


def test_a_list_takes_all_pages() -> None:
    def script(asked: Asked) -> Reply:
        assert asked.query["limit"] == str(PAGE)
        assert asked.query["labelSelector"] == "a=b"
        if "continue" not in asked.query:
            return Reply(body=page_json(pod_json("a", 1), token="more", version=7))
        assert asked.query["continue"] == "more"
        return Reply(body=page_json(pod_json("b", 2), version=7))

    with serving(script) as server:
        listing = server.client().listing(POD, labels="a=b")
    assert listing.items == [pod("a", 1), pod("b", 2)]
    assert listing.version == 7


def test_a_list_whose_continuation_expires_starts_again() -> None:
    replies = (
        Reply(body=page_json(pod_json("a", 1), token="more", version=7)),
        refusal(410, "Expired", "the provided continue parameter is too old"),
        Reply(body=page_json(pod_json("b", 8), version=9)),
    )
    with serving(in_turn(*replies)) as server:
        listing = server.client().listing(POD)
    assert listing.items == [pod("b", 8)]
    assert listing.version == 9


def test_an_unreadable_object_is_named_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    odd = pod_json("odd", 2, spec={"nodeName": 7})
    with serving(in_turn(Reply(body=page_json(pod_json("a", 1), odd, pod_json("c", 3))))) as server:
        listing = server.client().listing(POD)
    assert [obj.metadata.name for obj in listing.items] == ["a", "c"]
    assert listing.unreadable == {"ns/odd"}
    assert [record.getMessage().startswith("Pod ns/odd cannot be read") for record in caplog.records] == [True]


def test_a_null_is_a_field_left_out() -> None:
    template = {"metadata": {"creationTimestamp": None, "labels": {"a": "b"}}, "spec": {"containers": None}}
    body = {"metadata": {"name": "d", "namespace": "ns"}, "spec": {"template": template}}
    with serving(in_turn(Reply(body=body))) as server:
        obj = server.client().get(DAEMON_SET, "ns", "d")
    assert obj.spec.template.metadata.labels == {"a": "b"}


def test_a_list_without_items_is_empty() -> None:
    with serving(in_turn(Reply(body={"metadata": {"resourceVersion": "5"}, "items": None}))) as server:
        assert server.client().list(NODE) == []


DENIAL = 'admission webhook "pods.lws-sched.io" denied the request: no'
UID_CAUSE = {"causes": [{"field": "metadata.uid", "message": "field is immutable"}]}
REFUSALS: dict[str, tuple[Reply, type[errors.ApiError]]] = {
    "not found": (refusal(404, "NotFound", "no"), errors.NotFound),
    "a kind that is not served": (Reply(404, "404 page not found\n"), errors.NotFound),
    "already exists": (refusal(409, "AlreadyExists", "no"), errors.AlreadyExists),
    "conflict": (refusal(409, "Conflict", "no"), errors.Conflict),
    "forbidden": (refusal(403, "Forbidden", "no"), errors.Forbidden),
    "unknown credentials": (refusal(401, "Unauthorized", "no"), errors.Forbidden),
    "too old": (refusal(410, "Expired", "no"), errors.Gone),
    "invalid": (refusal(422, "Invalid", "no"), errors.Invalid),
    "malformed": (refusal(400, "BadRequest", "no"), errors.Invalid),
    "a patch for another uid": (refusal(422, "Invalid", "no", details=UID_CAUSE), errors.Conflict),
    "a webhook's denial": (refusal(403, "Forbidden", DENIAL), errors.Invalid),
    "a webhook's denial as a conflict": (refusal(409, "Conflict", DENIAL), errors.Invalid),
    "a webhook that fails": (refusal(500, "InternalError", "failed calling webhook"), errors.Unavailable),
    "a proxy's error page": (Reply(502, "<html>bad gateway</html>"), errors.Unavailable),
    "a timeout": (refusal(504, "Timeout", "no"), errors.Unavailable),
    "too many requests, for ever": (Reply(429, "slow down"), errors.Unavailable),
    "anything else": (refusal(405, "MethodNotAllowed", "no"), errors.ApiError),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_each_refusal_has_its_error(name: str) -> None:
    reply, expected = REFUSALS[name]
    with serving(in_turn(reply)) as server, pytest.raises(errors.ApiError) as caught:
        server.client().merge(POD, "ns", "a", {})
    assert type(caught.value) is expected
    assert caught.value.status == reply.status
    assert len(server.asked) == 1


def test_the_servers_sentence_is_the_errors() -> None:
    with serving(in_turn(refusal(404, "NotFound", 'pods "a" not found'))) as server:
        with pytest.raises(errors.NotFound, match=r'^pods "a" not found$') as caught:
            server.client().get(POD, "ns", "a")
        assert caught.value.reason == "NotFound"


def test_reads_are_tried_again_a_few_times() -> None:
    with serving(in_turn(Reply(503), Reply(500), Reply(body=pod_json("a", 1)))) as server:
        assert server.client().get(POD, "ns", "a") == pod("a", 1)
    assert len(server.sleeps) == 2
    with serving(in_turn(Reply(503))) as server, pytest.raises(errors.Unavailable):
        server.client().get(POD, "ns", "a")
    assert len(server.asked) == ATTEMPTS


def test_what_was_sent_away_with_a_time_comes_back_then() -> None:
    busy = Reply(429, headers={"Retry-After": "3"})
    with serving(in_turn(busy, Reply(body=pod_json("a", 1)))) as server:
        server.client().create(POD, POD.body({"namespace": "ns", "name": "a"}))
    assert server.sleeps == [3.0]
    patient = Reply(429, headers={"Retry-After": "600"})
    with serving(in_turn(patient)) as server, pytest.raises(errors.Unavailable):
        server.client().create(POD, POD.body({"namespace": "ns", "name": "a"}))
    assert server.sleeps == []


def refusing_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_refused_connection_is_unavailable_and_does_not_spin() -> None:
    sleeps: list[float] = []
    client = client_of(f"http://127.0.0.1:{refusing_port()}", sleeps)
    with pytest.raises(errors.Unavailable, match=r"no answer from the API server at 127.0.0.1:\d+ to GET"):
        client.listing(POD)
    assert len(sleeps) == ATTEMPTS - 1
    assert all(pause > 0 for pause in sleeps)
    with pytest.raises(errors.Unavailable):
        client.merge(POD, "ns", "a", {})
    assert len(sleeps) == ATTEMPTS - 1, "a write is sent once"


def frame(kind: str, obj: Any) -> dict[str, Any]:
    return {"type": kind, "object": obj}


def bookmark(version: int) -> dict[str, Any]:
    return frame("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": str(version), "creationTimestamp": None}})


def test_a_watch_tells_events_and_bookmarks_until_the_server_ends_it() -> None:
    lines = [frame("ADDED", pod_json("a", 3)), bookmark(9), frame("DELETED", pod_json("a", 11))]
    with serving(in_turn(Reply(lines=lines))) as server:
        events = list(server.client().watch(POD, 2, "a=b"))
    assert events == [
        WatchEvent("ADDED", 3, pod("a", 3)),
        WatchEvent("BOOKMARK", 9),
        WatchEvent("DELETED", 11, pod("a", 11)),
    ]
    query = server.asked[0].query
    assert query["resourceVersion"] == "2"
    assert query["labelSelector"] == "a=b"
    assert 240 <= int(query["timeoutSeconds"]) <= 360


def test_an_unreadable_object_in_a_watch_only_moves_the_version(caplog: pytest.LogCaptureFixture) -> None:
    lines = [frame("MODIFIED", pod_json("odd", 4, spec=[])), frame("ADDED", pod_json("b", 5))]
    with serving(in_turn(Reply(lines=lines))) as server:
        events = list(server.client().watch(POD, 2))
    assert events == [WatchEvent("BOOKMARK", 4), WatchEvent("ADDED", 5, pod("b", 5))]
    assert "Pod ns/odd cannot be read" in caplog.text


def watch_until_error(reply: Reply) -> tuple[list[WatchEvent[Any]], errors.ApiError]:
    events: list[WatchEvent[Any]] = []
    with serving(in_turn(reply)) as server, pytest.raises(errors.ApiError) as caught:
        events.extend(iter(server.client().watch(POD, 2)))
    return events, caught.value


def test_a_watch_that_is_too_old_is_gone_however_the_server_says_it() -> None:
    old = refusal(410, "Expired", "too old resource version: 2 (8)")
    for reply in (old, Reply(lines=[frame("ERROR", old.body)])):
        _, error = watch_until_error(reply)
        assert type(error) is errors.Gone
        assert str(error) == "too old resource version: 2 (8)"


def test_a_watch_that_breaks_off_is_unavailable() -> None:
    _, error = watch_until_error(Reply(lines=[frame("ADDED", pod_json("a", 3))], ending="breaks"))
    assert type(error) is errors.Unavailable
    _, error = watch_until_error(Reply(lines=['{"type": "ADDED", "object": {"meta']))
    assert type(error) is errors.Unavailable


def test_an_unreadable_object_that_is_deleted_calls_for_a_new_list() -> None:
    _, error = watch_until_error(Reply(lines=[frame("DELETED", pod_json("odd", 4, spec=[]))]))
    assert type(error) is errors.Gone


def test_an_open_watch_is_stopped_from_another_thread() -> None:
    with serving(in_turn(Reply(lines=[frame("ADDED", pod_json("a", 3))], ending="stays open"))) as server:
        watch = server.client().watch(POD, 2)
        events: list[WatchEvent[Any]] = []
        first = threading.Event()

        def follow() -> None:
            for event in watch:
                events.append(event)
                first.set()

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        assert first.wait(10)
        watch.stop()
        thread.join(10)
        assert not thread.is_alive()
    assert events == [WatchEvent("ADDED", 3, pod("a", 3))]


def test_a_watch_stopped_before_it_began_asks_nothing() -> None:
    with serving(in_turn(Reply(lines=[]))) as server:
        watch = server.client().watch(POD, 2)
        watch.stop()
        assert list(watch) == []
    assert server.asked == []


def test_an_impatient_client_shares_the_connections() -> None:
    client = client_of("http://127.0.0.1:1", [])
    hasty = client.impatient(0.5)
    assert hasty.transport.connection is client.transport.connection
    assert hasty.transport.read_timeout == 0.5


def test_the_client_is_a_cluster() -> None:
    make: Callable[[str, list[float]], Client] = client_of
    cluster: Cluster = make("http://127.0.0.1:1", [])
    assert cluster is not None


def test_an_answer_that_is_no_lease_is_refused_with_its_name() -> None:
    with (
        serving(
            in_turn(Reply(body={"metadata": {"name": "l", "namespace": "ns"}, "spec": {"leaseTransitions": "x"}}))
        ) as s,
        pytest.raises(errors.Invalid, match="Lease ns/l cannot be read"),
    ):
        s.client().get(LEASE, "ns", "l")
