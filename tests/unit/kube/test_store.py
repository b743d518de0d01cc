from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.api.core import Pod
from lws_sched.api.meta import key_of
from lws_sched.kube.port import Change, Informer
from lws_sched.kube.store import Listing, Store, WatchEvent, version_of
from tests.unit.kube.builders import pod

Kind = Literal["ADDED", "MODIFIED", "DELETED"]


def event(kind: Kind, obj: Pod) -> WatchEvent[Pod]:
    return WatchEvent(kind, version_of(obj), obj)


def listing(*pods: Pod, version: int, unreadable: frozenset[str] = frozenset()) -> Listing[Pod]:
    return Listing(list(pods), version, unreadable)


@dataclass
class Watcher:
    """Follows a store through its changes alone."""

    seen: dict[str, Pod] = field(default_factory=dict)
    count: int = 0

    def __call__(self, change: Change[Pod]) -> None:
        key = key_of(change.latest)
        assert self.seen.get(key) == change.old, "a change starts from where the one before ended"
        if change.old is not None and change.new is not None:
            assert version_of(change.new) > version_of(change.old)
            assert change.new.metadata.uid == change.old.metadata.uid
        self.count += 1
        if change.new is None:
            del self.seen[key]
        else:
            self.seen[key] = change.new


def by_node(obj: Pod) -> tuple[str, ...]:
    return (obj.spec.node_name,) if obj.spec.node_name else ()


def watched_store() -> tuple[Store[Pod], Watcher]:
    store, watcher = Store[Pod]({"node": by_node}), Watcher()
    store.subscribe(watcher)
    return store, watcher


@dataclass(frozen=True)
class History:
    """What happened in a cluster: the n-th event has version n."""

    events: tuple[WatchEvent[Pod], ...]

    def at(self, version: int) -> dict[str, Pod]:
        content: dict[str, Pod] = {}
        for each in self.events[:version]:
            assert each.obj is not None
            if each.type == "DELETED":
                del content[key_of(each.obj)]
            else:
                content[key_of(each.obj)] = each.obj
        return content

    def listing(self, version: int) -> Listing[Pod]:
        return Listing(list(self.at(version).values()), version)


@st.composite
def histories(draw: st.DrawFn) -> History:
    alive: dict[str, str] = {}
    events = []
    for version in range(1, draw(st.integers(1, 14)) + 1):
        name = draw(st.sampled_from("abc"))
        node = draw(st.sampled_from(["", "n1", "n2"]))
        kind: Kind = "ADDED"
        if name in alive:
            kind = draw(st.sampled_from(("MODIFIED", "DELETED")))
        uid = alive.setdefault(name, f"uid-{version}")
        if kind == "DELETED":
            del alive[name]
        events.append(event(kind, pod(name, version, uid=uid, node=node)))
    return History(tuple(events))


@settings(deadline=None)
@given(histories(), st.data())
def test_whatever_comes_late_doubled_or_out_of_order_the_store_ends_at_the_truth(
    history: History, data: st.DataObject
) -> None:
    store, watcher = watched_store()
    last, listed = len(history.events), 0
    for _ in range(data.draw(st.integers(0, 25))):
        what = data.draw(st.sampled_from(["event", "learn", "list"]))
        version = data.draw(st.integers(1, last))
        each = history.events[version - 1]
        if what == "event":
            store.apply(each)
        elif what == "learn" and each.obj is not None and each.type != "DELETED":
            store.learn(each.obj)
        elif what == "list":
            listed = max(listed, version)
            store.replace(history.listing(listed))
        assert {key_of(obj): obj for obj in store.objects()} == watcher.seen
    for each in history.events[listed:]:
        store.apply(each)
    truth = history.at(last)
    assert watcher.seen == truth
    assert {key_of(obj): obj for obj in store.objects()} == truth
    for node in ("n1", "n2"):
        assert store.by_index("node", node) == [
            truth[key] for key in sorted(truth) if truth[key].spec.node_name == node
        ]


@settings(deadline=None)
@given(histories(), st.data())
def test_one_object_never_goes_backwards(history: History, data: st.DataObject) -> None:
    store, _ = watched_store()
    newest: dict[str, int] = {}
    for number in data.draw(st.lists(st.integers(0, len(history.events) - 1), max_size=30)):
        each = history.events[number]
        if each.type == "DELETED" or data.draw(st.booleans()):
            store.apply(each)
        else:
            assert each.obj is not None
            store.learn(each.obj)
        for obj in store.objects():
            assert version_of(obj) >= newest.get(key_of(obj), 0)
            newest[key_of(obj)] = version_of(obj)


def test_the_watch_does_not_repeat_what_was_learnt() -> None:
    store, watcher = watched_store()
    store.learn(pod("a", 5))
    assert watcher.count == 1
    store.apply(event("ADDED", pod("a", 5)))
    assert watcher.count == 1


def test_a_late_answer_does_not_bring_a_deleted_object_back() -> None:
    store, watcher = watched_store()
    store.apply(event("ADDED", pod("a", 5)))
    store.apply(event("DELETED", pod("a", 7)))
    store.learn(pod("a", 6))
    store.apply(event("MODIFIED", pod("a", 6)))
    assert store.objects() == []
    assert watcher.count == 2


def test_an_object_replaced_by_a_namesake_is_first_gone_and_then_new() -> None:
    store = Store[Pod]()
    changes: list[Change[Pod]] = []
    store.subscribe(changes.append)
    first, second = pod("a", 1, uid="one"), pod("a", 4, uid="two")
    store.apply(event("ADDED", first))
    store.replace(listing(second, version=6))
    assert changes == [Change(None, first), Change(first, None), Change(None, second)]


def test_a_list_deletes_what_it_lacks_but_not_what_is_newer_or_unreadable() -> None:
    store, _ = watched_store()
    store.replace(listing(pod("old", 1), pod("odd", 2), version=3))
    store.learn(pod("new", 9))
    store.replace(listing(version=5, unreadable=frozenset({"ns/odd"})))
    assert sorted(obj.metadata.name for obj in store.objects()) == ["new", "odd"]


def test_after_a_rewind_the_next_list_is_taken_as_it_is() -> None:
    store = Store[Pod]({"node": by_node})
    store.replace(listing(pod("a", 100), pod("b", 101), version=120))
    store.rewind()
    store.replace(listing(pod("a", 40, uid="uid-of-a", node="n1"), version=50))
    assert [version_of(obj) for obj in store.objects()] == [40]
    assert store.by_index("node", "n1") == [pod("a", 40, node="n1")]


def test_a_late_subscriber_is_told_of_what_is_there() -> None:
    store, _ = watched_store()
    store.apply(event("ADDED", pod("a", 1)))
    late = Watcher()
    store.subscribe(late)
    store.apply(event("MODIFIED", pod("a", 2)))
    assert late.seen == {"ns/a": pod("a", 2)}


def test_what_a_handler_learns_does_not_overtake_what_is_being_told() -> None:
    store = Store[Pod]()
    told: list[int] = []

    def eager(change: Change[Pod]) -> None:
        if version_of(change.latest) == 1:
            store.learn(pod("a", 2))

    store.subscribe(eager)
    store.subscribe(lambda change: told.append(version_of(change.latest)))
    store.apply(event("ADDED", pod("a", 1)))
    assert told == [1, 2]


def test_an_index_added_later_files_what_is_already_there() -> None:
    store = Store[Pod]()
    store.apply(event("ADDED", pod("a", 1, node="n1")))
    store.add_index("node", by_node)
    store.add_index("node", by_node)
    assert store.by_index("node", "n1") == [pod("a", 1, node="n1")]
    with pytest.raises(ValueError, match="already another index"):
        store.add_index("node", lambda _: ())


def test_a_store_is_an_informer() -> None:
    informer: Informer[Pod] = Store[Pod]()
    assert informer.get("ns", "a") is None
