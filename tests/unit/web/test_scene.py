"""What the page shows of hosts and groups, as the cluster changes under it."""

from __future__ import annotations

from lws_sched.api.core import NODE, POD
from lws_sched.api.lws import LEADER_WORKER_SET
from lws_sched.api.placement import GROUP_PLACEMENT
from lws_sched.web.page import REFRESH_SECONDS
from tests.unit.web.stage import RACK, Stage, a_set

HOSTS = ("rack-00-host-00", "rack-00-host-01")


def two_racks() -> Stage:
    return Stage().racks(2, 3)


def running() -> Stage:
    stage = two_racks().asked(a_set()).recorded("llama-0", HOSTS, "Bound")
    return stage.bound("llama-0", 0, HOSTS[0]).bound("llama-0", 1, HOSTS[1])


def test_a_group_on_its_way_is_seen_reserved_then_in_part_then_complete() -> None:
    stage = two_racks().asked(a_set()).recorded("llama-0", HOSTS)

    assert [stage.uses()[host] for host in HOSTS] == ["h", "h"]
    stage.bound("llama-0", 0, HOSTS[0])
    assert [stage.uses()[host] for host in HOSTS] == ["s", "h"]
    stage.bound("llama-0", 1, HOSTS[1])
    assert [stage.uses()[host] for host in HOSTS] == ["c", "c"]
    assert stage.groups()["llama-0"]["members"] == "rr"


def test_what_a_group_leaves_is_free_again() -> None:
    stage = running()
    assert stage.uses()[HOSTS[0]] == "c"

    stage.gone(LEADER_WORKER_SET, "llama").gone(GROUP_PLACEMENT, "llama-0")
    stage.gone(POD, "llama-0").gone(POD, "llama-0-1")

    assert set(stage.uses().values()) == {"f"}
    assert stage.groups() == {}
    assert stage.state()["levels"][-1]["free"] == [24, 24]


def test_the_whole_group_is_shown_incomplete_when_one_member_goes() -> None:
    stage = running().gone(POD, "llama-0-1")

    # The other host is held for the member's return.
    assert [stage.uses()[host] for host in HOSTS] == ["s", "h"]
    assert stage.groups()["llama-0"]["members"] == "rs"


def test_a_slot_is_counted_once_whether_its_member_stands_there_or_not() -> None:
    stage = two_racks().asked(a_set()).recorded("llama-0", HOSTS)
    figures = stage.state()["levels"][-1]
    assert (figures["free"], figures["held"], figures["used"]) == ([8, 24], [16, 0], [0, 0])

    stage.bound("llama-0", 0, HOSTS[0]).bound("llama-0", 1, HOSTS[1])

    figures = stage.state()["levels"][-1]
    assert (figures["free"], figures["held"], figures["used"]) == ([8, 24], [0, 0], [16, 0])


def test_members_that_stand_elsewhere_than_their_slots_are_charged_where_they_stand() -> None:
    stage = two_racks().asked(a_set()).recorded("llama-0", HOSTS)
    stage.bound("llama-0", 0, "rack-01-host-00")

    figures = stage.state()["levels"][-1]
    assert (figures["held"], figures["used"]) == ([16, 0], [0, 8])


def test_other_pods_are_shown_where_they_take_accelerators() -> None:
    stage = two_racks().taken("rack-01-host-02", gpus=4)

    assert stage.uses()["rack-01-host-02"] == "t"
    assert stage.state()["free"] == [8, 8, 8, 8, 8, 4]


def test_a_cordoned_node_is_closed_and_counts_no_free_room() -> None:
    stage = two_racks().cordoned("rack-00-host-00")

    told = stage.state()
    assert told["closed"] == "100000"
    assert (told["levels"][-1]["free"], told["levels"][-1]["closed"]) == ([16, 24], [1, 0])


def test_nodes_come_and_go() -> None:
    stage = Stage()
    assert (stage.state()["use"], stage.layout()["hosts"]) == ("", [])

    stage.racks(1, 2)
    assert stage.state()["layout"] == stage.page.layout().tag
    assert stage.layout()["hosts"] == ["rack-00-host-00", "rack-00-host-01"]

    stage.gone(NODE, "rack-00-host-00")
    assert stage.state()["use"] == "f"
    assert stage.layout()["hosts"] == ["rack-00-host-01"]


def test_every_level_is_told_with_each_hosts_domain() -> None:
    stage = Stage().racks(9, 1)
    stage.state()

    levels = {level["name"]: level for level in stage.layout()["levels"]}
    assert [*levels] == ["zone", "block", "rack"]
    assert (levels["rack"]["label"], len(levels["rack"]["domains"])) == (RACK, 9)
    assert (levels["block"]["domains"], levels["block"]["of"]) == (["block-00", "block-01"], [0] * 8 + [1])


def test_groups_that_a_set_wants_are_shown_before_they_have_pods_or_records() -> None:
    stage = two_racks().asked(a_set(replicas=2))

    assert {name: group["state"] for name, group in stage.groups().items()} == {
        "llama-0": "NoPods",
        "llama-1": "NoPods",
    }


def test_groups_beyond_a_smaller_set_are_shown_until_they_are_gone() -> None:
    stage = two_racks().asked(a_set(replicas=2)).bound("llama-1", 0, "rack-01-host-00")
    assert [*stage.groups()] == ["llama-0", "llama-1"]

    stage.asked(a_set(replicas=1))
    assert [*stage.groups()] == ["llama-0", "llama-1"]

    stage.gone(POD, "llama-1")
    assert [*stage.groups()] == ["llama-0"]


def test_a_group_of_no_known_set_has_the_size_that_its_record_says() -> None:
    stage = two_racks().recorded("orphan-3", HOSTS)

    assert stage.groups()["orphan-3"]["members"] == "ss"


def test_groups_that_wait_share_their_reason() -> None:
    stage = two_racks().asked(a_set(replicas=2))
    for name in ("llama-0", "llama-1"):
        stage.recorded(name, state="Waiting", reason="rack-00 lacks 1 host", fix="free rack-00-host-00")

    assert stage.state()["causes"] == [["rack-00 lacks 1 host", "free rack-00-host-00"]]
    assert {group["why"] for group in stage.groups().values()} == {("rack-00 lacks 1 host", "free rack-00-host-00")}


def test_nothing_is_made_anew_where_nothing_changed() -> None:
    stage = running()
    stage.state()
    before = stage.page.state()
    [heartbeat] = [node for node in stage.sources.nodes.objects() if node.metadata.name == HOSTS[0]]
    stage.put(NODE, {"metadata": {"name": HOSTS[0], "labels": heartbeat.metadata.labels}, "status": _status(heartbeat)})

    stage.after(REFRESH_SECONDS)
    assert stage.page.state() is before


def test_changes_within_a_second_are_told_together() -> None:
    stage = two_racks()
    stage.state()
    before = stage.page.state()
    stage.taken("rack-00-host-00")

    assert stage.page.state() is before
    stage.after(REFRESH_SECONDS)
    assert stage.page.state() is not before


def test_one_group_in_full_says_what_explain_says() -> None:
    stage = running()
    stage.state()

    found = stage.page.group("default", "llama-0")
    assert found is not None
    assert found["facts"][0] == ("asks for", "one rack per group")
    assert [(member["pod"], member["state"], member["node"]) for member in found["members"]] == [
        ("llama-0", "Ready", HOSTS[0]),
        ("llama-0-1", "Ready", HOSTS[1]),
    ]
    assert stage.page.group("default", "llama-7") is None


def test_the_leader_and_what_is_missing_are_told() -> None:
    stage = two_racks()
    stage.missing = ("GroupPlacement",)

    told = stage.state()
    assert told["leader"] == {"state": "leads", "holder": "extender-0"}
    assert told["missing"] == ["GroupPlacement"]


def _status(node: object) -> object:
    import msgspec

    return msgspec.to_builtins(node)["status"]
