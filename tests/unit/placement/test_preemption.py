from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from lws_sched.placement import (
    Budget,
    Eviction,
    GroupRequest,
    Refused,
    Snapshot,
    Tenant,
    Victim,
    preempt,
    violations,
)
from tests.oracle.moves import cheapest_eviction, cost_of
from tests.unit.placement.cluster import (
    BLOCK,
    GPU,
    RACK,
    Instance,
    Standing,
    fits_somewhere,
    fleet_of,
    group,
    host,
    instances,
    pod,
    racks,
)

EXAMPLES = 60


def batch(
    name: str, *nodes: str, gpu: int = 8, priority: int = 0, protected: bool = False, created: str = ""
) -> Victim:
    """A group of one pod on each of the nodes."""
    return Victim(f"default/{name}", priority, tuple((node, ((GPU, gpu),)) for node in nodes), protected, created)


def standing(victims: Sequence[Victim], exclusive: str = "") -> list[Standing]:
    return [
        Standing(f"{each.key}-{index}", node, dict(requests), Tenant(each.key, each.key.partition("/")[0], exclusive))
        for each in victims
        for index, (node, requests) in enumerate(each.pods)
    ]


def urgent(size: int, **more: object) -> GroupRequest:
    return group("urgent-0", size, **{"priority": 100, "required": RACK, **more})  # type: ignore[arg-type]


def evicted(snapshot: Snapshot, request: GroupRequest, victims: Sequence[Victim]) -> tuple[str, ...]:
    answer = preempt(snapshot, request, victims)
    assert isinstance(answer, Eviction), answer
    assert answer.proof == "optimal"
    assert answer.value == answer.bound
    return tuple(key.removeprefix("default/") for key in answer.victims)


def test_nobody_is_evicted_for_a_group_that_fits() -> None:
    victims = [batch("a-0", "r0-h0")]
    assert evicted(fleet_of(racks(1, 4), standing(victims)).snapshot(), urgent(3), victims) == ()


def test_the_cheapest_rack_is_chosen_out_of_all() -> None:
    victims = [
        batch("big-0", "r0-h0", "r0-h1", "r0-h2", "r0-h3"),
        batch("two-0", "r1-h0", "r1-h1"),
        batch("one-0", "r1-h2"),
        batch("three-0", "r2-h0", "r2-h1", "r2-h2"),
    ]
    snapshot = fleet_of(racks(3, 4), standing(victims)).snapshot()
    assert evicted(snapshot, urgent(2), victims) == ("one-0",)
    assert evicted(snapshot, urgent(3), victims) == ("two-0",)
    assert evicted(snapshot, urgent(4), victims) == ("three-0",)


def test_many_pods_of_low_priority_go_before_one_of_higher_priority() -> None:
    victims = [batch("low-0", "r0-h0", "r0-h1", "r0-h2"), batch("mid-0", "r1-h0", priority=5)]
    snapshot = fleet_of(racks(2, 3), standing(victims)).snapshot()
    assert evicted(snapshot, urgent(3), victims) == ("low-0",)


def test_groups_of_the_same_or_higher_priority_are_never_evicted() -> None:
    victims = [batch("same-0", "r0-h0", priority=100)]
    answer = preempt(fleet_of(racks(1, 2), standing(victims)).snapshot(), urgent(2), victims)
    assert isinstance(answer, Refused)
    assert answer.proof == "infeasible"
    assert "nothing of lower priority is there" in answer.reason


def test_a_group_that_fits_nowhere_is_refused_whoever_is_evicted() -> None:
    victims = [batch("a-0", "r0-h0"), batch("b-0", "r0-h1")]
    answer = preempt(fleet_of(racks(1, 2), standing(victims)).snapshot(), urgent(3), victims)
    assert isinstance(answer, Refused)
    assert "even with all 2 groups and pods of lower priority evicted" in answer.reason


def test_protected_groups_go_last_and_the_reason_says_so() -> None:
    victims = [batch("kept-0", "r0-h0", protected=True), batch("wide-0", "r1-h0", "r1-h1", priority=50)]
    snapshot = fleet_of(racks(2, 2), standing(victims)).snapshot()
    assert evicted(snapshot, urgent(2), victims) == ("wide-0",)
    answer = preempt(snapshot, urgent(2), victims[:1])
    assert isinstance(answer, Eviction)
    assert answer.victims == ("default/kept-0",)
    assert "although disruption budgets protect default/kept-0" in answer.reason


def test_the_youngest_goes_among_equals() -> None:
    victims = [batch(f"g{hour}-0", f"r{hour}-h0", created=f"2026-01-01T0{hour}:00:00Z") for hour in (2, 7, 4)]
    full = [Standing(f"s-{r}", f"r{r}-h0", {GPU: 8}) for r in (0, 1, 3, 5, 6)]
    snapshot = fleet_of(racks(8, 1), [*standing(victims), *full]).snapshot()
    assert evicted(snapshot, urgent(1), victims) == ("g7-0",)


def test_whoever_holds_the_rack_exclusively_must_go() -> None:
    victims = [batch("holder-0", "r0-h0"), batch("other-0", "r0-h1")]
    snapshot = fleet_of(racks(1, 4), [*standing(victims[:1], exclusive=RACK), *standing(victims[1:])]).snapshot()
    assert evicted(snapshot, urgent(2), victims) == ("holder-0",)
    assert evicted(snapshot, urgent(2, exclusive=RACK), victims) == ("holder-0", "other-0")


def test_groups_that_share_hosts_are_chosen_together() -> None:
    """Clearing three hosts takes five small groups, or two that stand on all of them and one more."""
    victims = [
        *(batch(f"small-{index}", f"r0-h{index}", gpu=2) for index in range(3)),
        batch("wide-0", "r0-h0", "r0-h1", "r0-h2", gpu=2),
        batch("pair-0", "r0-h1", "r0-h2", gpu=4),
    ]
    snapshot = fleet_of(racks(1, 3), standing(victims)).snapshot()
    assert evicted(snapshot, urgent(3, worker=pod(gpu=4)), victims) == ("pair-0",)
    assert evicted(snapshot, urgent(2), victims) == ("pair-0", "small-1", "small-2", "wide-0")


def test_the_leader_may_need_what_the_workers_do_not() -> None:
    """The workers fit; only a host with enough memory for the leader is missing."""
    victims = [batch("a-0", "r0-h0"), Victim("default/m-0", 0, (("r0-h1", (("cpu", 60_000),)),))]
    full = [Standing(f"c-{index}", f"r0-h{index}", {"cpu": 60_000}) for index in (0, 2, 3)]
    snapshot = fleet_of(racks(1, 4), [*standing(victims), *full]).snapshot()
    wanted = urgent(3, leader=pod(cpu=32_000), worker=pod(gpu=8))
    assert evicted(snapshot, wanted, victims) == ("m-0",)


def test_a_node_that_lacks_what_only_the_leader_asks_for_still_takes_workers() -> None:
    """The crowded host has promised more devices than it has. Workers ask for none; they lack a pod's place there."""
    victims = [
        Victim(f"default/{name}-0", 0, (("r0-h0", ()),), True, f"2026-01-0{day}") for day, name in ((1, "a"), (2, "b"))
    ]
    devices = Standing("driver", "r0-h0", {GPU: 9})
    nodes = [host("r0-h0", "rack-0", pods=3), host("r0-h1", "rack-0", pods=1)]
    snapshot = fleet_of(nodes, [devices, *standing(victims)]).snapshot()
    assert evicted(snapshot, urgent(2, leader=pod(gpu=8), worker=pod()), victims) == ("b-0",)
    assert evicted(snapshot, urgent(3, leader=pod(gpu=8), worker=pod()), victims) == ("a-0", "b-0")


def test_each_subgroup_needs_room_in_one_rack() -> None:
    """Four hosts are free in the block, but in pairs of one and three: the second pair needs one more in rack 0."""
    victims = [batch("a-0", "r0-h1"), batch("b-0", "r0-h2", created="2026-01-02"), batch("c-0", "r1-h3", "r1-h4")]
    full = [Standing(node, node, {GPU: 8}) for node in ("r0-h3", "r0-h4")]
    snapshot = fleet_of(racks(2, 5), [*standing(victims), *full])
    wanted = urgent(4, required=BLOCK, subgroup_size=2, subgroup_required=RACK)
    assert evicted(snapshot.snapshot(), wanted, victims) == ("b-0",)


def test_hosts_that_the_members_may_not_use_are_not_cleared() -> None:
    tainted = replace(host("t0", "rack-t"), taints=(), schedulable=False)
    victims = [batch("cordoned-0", "t0"), batch("two-0", "r0-h0", "r0-h1")]
    snapshot = fleet_of([*racks(1, 2), tainted], standing(victims)).snapshot()
    assert evicted(snapshot, urgent(1), victims) == ("two-0",)


def test_without_a_topology_the_whole_fleet_is_one_domain() -> None:
    victims = [batch("a-0", "r0-h0", "r1-h0"), batch("b-0", "r0-h1"), batch("c-0", "r1-h1")]
    snapshot = fleet_of(racks(2, 2), standing(victims)).snapshot()
    assert evicted(snapshot, urgent(2, required=""), victims) == ("a-0",)
    assert len(evicted(snapshot, urgent(3, required=""), victims)) == 2


# --- against trying all sets -----------------------------------------------------------------------------------------


@st.composite
def crowded(draw: st.DrawFn) -> tuple[Instance, tuple[Victim, ...]]:
    """A small fleet with some victims, some of which share nodes or hold domains exclusively."""
    instance = draw(instances())
    names = [node.name for node in instance.nodes]
    victims, charges = [], list(instance.standing)
    for index in range(draw(st.integers(0, 5))):
        key = f"{draw(st.sampled_from(['default', 'default', 'elsewhere']))}/victim-{index}"
        exclusive = draw(st.sampled_from(["", "", "", RACK]))
        requests = tuple(
            (resource, amount) for resource in ("cpu", GPU) if (amount := draw(st.sampled_from([0, 1, 2, 4])))
        )
        pods = tuple((node, requests) for node in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)))
        priority, protected = draw(st.sampled_from([0, 0, 5, 9])), draw(st.integers(0, 4)) == 0
        victim = Victim(key, priority, pods, protected, draw(st.sampled_from(["", "2026-01-01", "2026-02-01"])))
        victims.append(victim)
        is_group = draw(st.booleans())
        charges += [replace(each, tenant=each.tenant if is_group else None) for each in standing([victim], exclusive)]
    request = replace(instance.request, priority=9)
    return Instance(instance.nodes, tuple(charges), request), tuple(victims)


@given(crowded())
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_cheaper_set_of_victims_makes_room(case: tuple[Instance, tuple[Victim, ...]]) -> None:
    instance, victims = case
    offered = [each for each in victims if each.priority < 9]

    def enough(gone: frozenset[str]) -> bool:
        left = [each for each in instance.standing if each.owner.rpartition("-")[0] not in gone]
        return fits_somewhere([*fleet_of(instance.nodes, left).snapshot().facts().values()], instance.request)

    answer = preempt(fleet_of(instance.nodes, instance.standing).snapshot(), instance.request, victims)
    best = cheapest_eviction(offered, enough)
    if best is None:
        assert isinstance(answer, Refused)
        return
    assert isinstance(answer, Eviction)
    chosen = [each for each in offered if each.key in answer.victims]
    assert cost_of(chosen, offered) == best
    assert (answer.value.protected, answer.value.pods, answer.value.victims, answer.value.age) == best
    assert (answer.proof, answer.bound) == ("optimal", answer.value)
    left = [each for each in instance.standing if each.owner.rpartition("-")[0] not in answer.victims]
    facts = fleet_of(instance.nodes, left).snapshot().facts().values()
    assert violations(facts, instance.request, answer.placed) == []


@given(crowded())
@settings(max_examples=30, deadline=None)
def test_without_a_solver_the_answer_is_minimal_and_says_whether_it_is_proven(
    case: tuple[Instance, tuple[Victim, ...]],
) -> None:
    instance, victims = case
    snapshot = fleet_of(instance.nodes, instance.standing).snapshot()
    greedy = preempt(snapshot, instance.request, victims, Budget(deterministic_time=0))
    solved = preempt(snapshot, instance.request, victims)
    if isinstance(greedy, Refused) or isinstance(solved, Refused):
        assert greedy == solved
        return
    assert greedy.bound <= solved.value <= greedy.value
    for spared in greedy.victims:
        left = [
            each
            for each in instance.standing
            if each.owner.rpartition("-")[0] == spared or each.owner.rpartition("-")[0] not in greedy.victims
        ]
        assert not fits_somewhere([*fleet_of(instance.nodes, left).snapshot().facts().values()], instance.request)
