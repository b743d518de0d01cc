from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.placement import Fleet, GroupRequest, NodeState, Placed, PodShape, Tenant, plan
from tests.unit.placement.cluster import GPU, RACK, fleet_of, group, host, racks


def test_a_charge_takes_its_amounts_and_one_pod() -> None:
    fleet = fleet_of([host("h-0")])
    fleet.charge("p", "h-0", {GPU: 2, "cpu": 500})
    assert fleet.free("h-0") == {"cpu": 63_500, GPU: 6, "pods": 109}


def test_charging_again_replaces_and_releasing_gives_back() -> None:
    fleet = fleet_of([host("h-0"), host("h-1")])
    fleet.charge("p", "h-0", {GPU: 2})
    fleet.charge("p", "h-1", {GPU: 5})
    assert (fleet.free("h-0")[GPU], fleet.free("h-1")[GPU]) == (8, 3)
    fleet.release("p")
    fleet.release("p")
    assert (fleet.free("h-1")[GPU], fleet.free("h-1")["pods"]) == (8, 110)


def test_charges_on_a_node_that_is_not_known_yet_count_once_it_appears() -> None:
    fleet = Fleet()
    fleet.charge("p", "h-0", {GPU: 2, "example.com/nic": 1})
    assert fleet.free("h-0") == {}
    assert fleet.snapshot().table.names == ()
    fleet.set_node(host("h-0"))
    assert fleet.free("h-0")[GPU] == 6
    fleet.remove_node("h-0")
    assert fleet.free("h-0") == {}
    fleet.set_node(host("h-0", gpu=4))
    assert fleet.free("h-0")[GPU] == 2


def test_a_snapshot_does_not_follow_later_events() -> None:
    fleet = fleet_of(racks(1, 2))
    before = fleet.snapshot()
    fleet.charge("p", "r0-h0", {GPU: 8}, Tenant("default/x-0", "default", RACK))
    fleet.set_node(replace(host("r0-h1", "rack-0"), schedulable=False))
    fleet.remove_node("r0-h0")
    assert isinstance(plan(before, [group("a-0", 2, required=RACK)])[0], Placed)
    assert before.version < fleet.version


def test_nodes_are_listed_as_people_count() -> None:
    fleet = fleet_of([host("n-10"), host("n-9"), host("n-1")])
    assert [each.name for each in fleet.nodes()] == ["n-1", "n-9", "n-10"]
    assert fleet.snapshot().table.names == ("n-1", "n-9", "n-10")


def test_a_snapshot_as_plain_facts_tells_who_stands_where() -> None:
    fleet = fleet_of([host("h-0", "rack-0")])
    fleet.charge("p", "h-0", {GPU: 3}, Tenant("default/x-0", "default", "rack"))
    facts = fleet.snapshot().facts()["h-0"]
    assert facts.free[GPU] == 5
    assert facts.tenants == (Tenant("default/x-0", "default", RACK),)


def test_the_fleet_grows_beyond_its_first_arrays() -> None:
    fleet = fleet_of(host(f"n-{i}") for i in range(200))
    for index in range(200):
        fleet.charge(
            f"p{index}", f"n-{index}", {f"example.com/r{index % 20}": 1}, Tenant(f"default/g{index}-0", "default")
        )
    assert len(fleet.snapshot().tenancy.positions) == 200
    assert {fleet.free(f"n-{i}")["pods"] for i in range(200)} == {109}


events = st.lists(
    st.one_of(
        st.tuples(
            st.just("node"), st.integers(0, 4), st.sampled_from(["a", "b", ""]), st.integers(0, 8), st.booleans()
        ),
        st.tuples(st.just("gone"), st.integers(0, 4)),
        st.tuples(st.just("charge"), st.integers(0, 5), st.integers(0, 4), st.integers(0, 4), st.integers(0, 3)),
        st.tuples(st.just("release"), st.integers(0, 5)),
        st.tuples(st.just("look")),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(events)
def test_after_any_events_the_fleet_is_as_if_told_only_the_last_of_each(story: list[tuple[object, ...]]) -> None:
    fleet = Fleet()
    nodes: dict[object, NodeState] = {}
    charges: dict[object, tuple[str, dict[str, int], Tenant | None]] = {}
    for kind, *what in story:
        if kind == "node":
            index, rack, gpu, schedulable = what
            nodes[index] = replace(host(f"n-{index}", str(rack), gpu=int(str(gpu))), schedulable=bool(schedulable))
            fleet.set_node(nodes[index])
        elif kind == "gone":
            nodes.pop(what[0], None)
            fleet.remove_node(f"n-{what[0]}")
        elif kind == "charge":
            owner, node, gpu, number = what
            tenant = Tenant(f"default/g{number}-0", "default", RACK if number == 1 else "") if number else None
            charges[owner] = (f"n-{node}", {GPU: int(str(gpu))}, tenant)
            fleet.charge(f"p{owner}", *charges[owner])
        elif kind == "release":
            charges.pop(what[0], None)
            fleet.release(f"p{what[0]}")
        else:
            fleet.snapshot()
    fresh = fleet_of(nodes.values())
    for owner, charge in charges.items():
        fresh.charge(f"p{owner}", *charge)
    ours, theirs = fleet.snapshot().facts(), fresh.snapshot().facts()
    assert ours.keys() == theirs.keys()
    for name, facts in ours.items():
        assert facts._replace(free={}, tenants=()) == theirs[name]._replace(free={}, tenants=())
        assert {key: value for key, value in facts.free.items() if value} == {
            key: value for key, value in theirs[name].free.items() if value
        }
        assert sorted(facts.tenants, key=str) == sorted(theirs[name].tenants, key=str)
        assert fleet.free(name) == fresh.free(name)


def test_a_placed_group_can_be_put_into_a_snapshot() -> None:
    snapshot = fleet_of(racks(1, 4)).snapshot()
    request: GroupRequest = group("a-0", 3, required=RACK)
    [placed] = plan(snapshot, [request])
    assert isinstance(placed, Placed)
    after = snapshot.with_group(request, placed.slots)
    assert not isinstance(plan(after, [group("b-0", 2, required=RACK)])[0], Placed)
    assert isinstance(plan(snapshot, [group("b-0", 2, required=RACK)])[0], Placed)


@given(slots=st.lists(st.sampled_from(["r0-h0", "r0-h1", "r1-h0"]), min_size=1, max_size=6), is_there=st.booleans())
def test_groups_that_are_taken_out_leave_a_snapshot_as_it_was_before_they_came(
    slots: list[str], is_there: bool
) -> None:
    fleet = fleet_of(racks(2, 2))
    leader, worker = PodShape(requests=((GPU, 1), ("cpu", 500))), PodShape(requests=((GPU, 2),))
    request, other = group("a-0", len(slots), worker, leader, exclusive=RACK), group("b-0", 1, worker)
    if is_there:
        fleet.charge("an old member", "r0-h0", {GPU: 1}, Tenant(request.key, "default", RACK))
    before = fleet.snapshot()
    full = before.with_groups([(request, slots), (other, ["r1-h1"])])
    after = full.without_groups([(request, [*slots, "a node that is gone"]), (other, ["r1-h1"])])
    assert after.facts() == before.facts()
    assert full.facts() != before.facts()


def test_a_snapshot_knows_whose_members_stand_whatever_comes_and_goes_later() -> None:
    fleet = Fleet()
    for node in racks(1, 2):
        fleet.set_node(node)
    fleet.charge("a-0", "r0-h0", {}, Tenant(group="here/a-0", namespace="here"))
    before = fleet.snapshot()
    fleet.release("a-0")
    fleet.charge("b-0", "r0-h0", {}, Tenant(group="here/b-0", namespace="here"))
    after = fleet.snapshot()
    assert [before.tenancy.stands(f"here/{name}-0") for name in "ab"] == [True, False]
    assert [after.tenancy.stands(f"here/{name}-0") for name in "ab"] == [False, True]


def test_groups_that_have_gone_are_forgotten_and_others_are_never_taken_for_them() -> None:
    fleet = Fleet()
    for node in racks(1, 2):
        fleet.set_node(node)
    fleet.charge("stays", "r0-h0", {}, Tenant(group="here/stays-0", namespace="here"))
    first = fleet.snapshot()
    for number in range(500):
        fleet.charge("guest", "r0-h1", {}, Tenant(group=f"here/guest-{number}", namespace="here"))
    last = fleet.snapshot()
    assert len(last.tenancy.group_numbers) < 250
    assert [each.group for each in last.facts()["r0-h1"].tenants] == ["here/guest-499"]
    assert [each.group for each in first.facts()["r0-h0"].tenants] == ["here/stays-0"]
    assert first.tenancy.group_numbers["here/stays-0"] == last.tenancy.group_numbers["here/stays-0"]
