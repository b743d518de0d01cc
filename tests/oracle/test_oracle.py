from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from lws_sched.placement import GroupRequest, Level, NodeState, Tenant
from lws_sched.placement.topology import Axis
from tests.oracle.brute_force import fits, fits_in_any_way, wrongs
from tests.oracle.instances import RACK, SISTERS, Instance, Standing, instance, shaped
from tests.oracle.moves_torus import Cell, boxes
from tests.oracle.pods import requests_of
from tests.oracle.run import drawn, run, run_wishes
from tests.oracle.wishes import unmet


def test_the_engine_refuses_nothing_that_fits_and_places_nothing_wrong() -> None:
    assert run(instances=400, seed=20) == {"instances": 400, "refused_but_fit": 0, "misfits": 0}


def test_the_engine_leaves_no_wish_unmet_that_could_be_met() -> None:
    found = run_wishes(instances=500, seed=21)
    assert all(judged for judged, _ in found.values()), found
    assert {wish: missed for wish, (_, missed) in found.items() if missed} == {}


@pytest.mark.parametrize("seed", range(3))
def test_the_oracle_agrees_with_trying_every_node_for_every_member(seed: int) -> None:
    random = Random(seed)
    small = [instance(random, most_nodes=4, most_pods=4) for _ in range(60)]
    verdicts = [fits(each) for each in small]
    assert verdicts == [fits_in_any_way(each) for each in small]
    assert len({*verdicts}) == 2


ASKED = {
    "a leader that differs": lambda each: each.leader != each.worker,
    "a required domain": lambda each: each.group.required,
    "an exclusive domain": lambda each: each.group.exclusive,
    "others that hold domains": lambda each: any(tenant.exclusive for tenant in others(each)),
    "other subgroups that hold domains": lambda each: any(tenant.subgroup_exclusive for tenant in others(each)),
    "subgroups with a domain": lambda each: each.group.subgroup_required,
    "subgroups with a domain each": lambda each: each.group.subgroup_exclusive,
    "a leader in no subgroup": lambda each: each.group.subgroup_size and each.group.subgroup_policy == "LeaderExcluded",
    "several levels preferred": lambda each: len(each.group.preferred) > 1,
    "groups spread": lambda each: each.group.spread and any(other.group in SISTERS for other in others(each)),
    "nodes to go back to": lambda each: each.group.stay,
    "nodes to avoid": lambda each: each.group.avoid,
    "other tolerations in each template": lambda each: each.leader.get("tolerations") != each.worker.get("tolerations"),
    "other selectors in each template": lambda each: each.leader.get("nodeSelector") != each.worker.get("nodeSelector"),
    "other affinity in each template": lambda each: each.leader.get("affinity") != each.worker.get("affinity"),
    "sidecars or init containers": lambda each: "initContainers" in each.leader or "initContainers" in each.worker,
    "overhead": lambda each: "overhead" in each.leader or "overhead" in each.worker,
    "a box in two dimensions": lambda each: each.group.box and axes_of(each) == 2,
    "a box in three dimensions": lambda each: each.group.box and axes_of(each) == 3,
    "a box and a required domain": lambda each: each.group.box and (each.group.required or each.group.exclusive),
    "a box of eight": lambda each: each.group.box and each.group.size == 8,
    "a box on full hosts": lambda each: each.group.box and any(10 in pod.requests.values() for pod in each.standing),
}


def others(each: Instance) -> list[Tenant]:
    return [pod.tenant for pod in each.standing if pod.tenant and pod.tenant.group != each.group.key]


def axes_of(each: Instance) -> int:
    return sum(len(level.axes) for level in each.levels)


@pytest.mark.parametrize("asks", ASKED.values(), ids=ASKED)
def test_groups_that_ask_for_anything_are_drawn_some_that_fit_and_some_that_do_not(
    asks: Callable[[Instance], object], verdicts: list[tuple[Instance, bool]]
) -> None:
    assert {verdict for each, verdict in verdicts if asks(each)} == {True, False}


@pytest.fixture(scope="module")
def verdicts() -> list[tuple[Instance, bool]]:
    return [(each, fits(each)) for each in drawn(instances=800, seed=22)]


def test_the_oracle_writes_down_every_box_of_a_torus() -> None:
    def cells(shape: Cell, wraps: tuple[bool, ...], box: Cell) -> list[list[Cell]]:
        return sorted(sorted(each) for each in {*boxes(shape, wraps, box)})

    assert cells((3, 1), (False, False), (2, 1)) == [[(0, 0), (1, 0)], [(1, 0), (2, 0)]]
    assert cells((3, 1), (True, False), (1, 1, 2)) == [[(0, 0), (1, 0)], [(0, 0), (2, 0)], [(1, 0), (2, 0)]]
    assert len(cells((3, 4, 1), (False, False, False), (2, 2))) == 6
    assert len(cells((3, 4, 1), (True, False, False), (2, 2))) == 9
    assert len(cells((2, 2, 2), (False, False, False), (1, 2, 1))) == 12
    assert cells((2, 2), (True, True), (3, 1)) == cells((2, 2), (True, True), (2, 2, 2)) == []


@pytest.mark.parametrize(
    ("slots", "more", "wrong"),
    [
        pytest.param("0132", {}, False, id="a square"),
        pytest.param("0134", {}, True, id="four hosts that make none"),
        pytest.param("0123", {"required": RACK}, True, id="a square in two racks"),
        pytest.param("2345", {}, False, id="a square further on"),
        pytest.param("4501", {}, False, id="across the seam"),
        pytest.param("0011", {}, True, id="two members to a host"),
        pytest.param("0246", {"box": (4, 1)}, True, id="a line that is too long for its axis"),
        pytest.param("6601", {}, True, id="a host that is in no torus"),
    ],
)
def test_the_oracle_knows_a_wrong_box(slots: str, more: dict[str, object], wrong: bool) -> None:
    each = a_torus(**more)
    assert bool(wrongs(each, [f"n{digit}" for digit in slots])) == wrong


def a_torus(**more: object) -> Instance:
    """Three pairs of hosts in a ring, a rack to a pair; one host more that has no place in it."""
    axes = (Axis("x", 3, wraps=True), Axis("y", 2))
    pair = [{RACK: f"{i // 2}", "pod": "0", "x": f"{i // 2}", "y": f"{i % 2}"} for i in range(8)]
    nodes = tuple(NodeState(f"n{i}", pair[i], {"cpu": 4, "pods": 10}) for i in range(7))
    levels = (Level("pod", ("pod",), axes),)
    return replace(two_racks(**{"size": 4, "box": (2, 2), **more}), nodes=nodes, levels=levels)


@pytest.mark.parametrize(
    ("slots", "more", "missed"),
    [
        pytest.param("0132", {}, set(), id="a square"),
        pytest.param("0123", {}, {"ranks"}, id="neighbouring ranks apart"),
        pytest.param("13", {"size": 2, "box": (2, 1)}, set(), id="between walls and what is full"),
        pytest.param("02", {"size": 2, "box": (2, 1)}, {"spot"}, id="away from what is full"),
        pytest.param("45", {"size": 2, "box": (2, 1), "stay": ("n2", "n4")}, {"stay"}, id="a group that could return"),
        pytest.param("24", {"size": 2, "box": (2, 1), "stay": ("n2", "")}, set(), id="one that returns in part"),
        pytest.param("23", {"size": 2, "box": (2, 1), "stay": ("n0", "n3")}, set(), id="one that cannot return"),
    ],
)
def test_the_oracle_knows_an_unmet_wish_of_a_box(slots: str, more: dict[str, object], missed: set[str]) -> None:
    each = a_torus(**more)
    if each.group.size == 2:
        each = replace(each, standing=(Standing("n5", {"cpu": 3}, None),))
    assert {wish for wish, is_unmet in unmet(each, [f"n{digit}" for digit in slots]).items() if is_unmet} == missed


def two_racks(**more: object) -> Instance:
    nodes = tuple(NodeState(f"n{i}", {RACK: f"{i // 2}"}, {"cpu": 4, "pods": 10}) for i in range(4))
    pod = {"containers": [{"resources": {"requests": {"cpu": "2m"}}}]}
    group = GroupRequest(key="here/it-0", size=5, leader=shaped(pod), worker=shaped(pod))
    return Instance(nodes, (), pod, pod, replace(group, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("slots", "more", "wrong"),
    [
        pytest.param("01233", {}, False, id="two members to a node"),
        pytest.param("00012", {}, True, id="three members on a node for two"),
        pytest.param("00112", {"required": RACK}, True, id="a group in two racks that should be in one"),
        pytest.param("00213", {"subgroup_size": 2, "subgroup_required": RACK}, True, id="a subgroup in two racks"),
        pytest.param("00123"[::-1], {"subgroup_size": 4, "subgroup_required": RACK}, True, id="and in two again"),
        pytest.param("00112", {"subgroup_size": 2, "subgroup_required": RACK}, True, id="workers 3 and 4 are apart"),
        pytest.param("00122", {"subgroup_size": 2, "subgroup_exclusive": RACK}, False, id="a rack to each subgroup"),
        pytest.param("00011", {"subgroup_size": 2, "subgroup_exclusive": RACK}, True, id="subgroups that share a rack"),
    ],
)
def test_the_oracle_knows_a_wrong_placement(slots: str, more: dict[str, object], wrong: bool) -> None:
    each = two_racks(subgroup_policy="LeaderWorker", **{"subgroup_size": 0, **more})
    assert bool(wrongs(each, [f"n{digit}" for digit in slots])) == wrong


def test_the_oracle_minds_subgroups_that_hold_a_domain() -> None:
    each = two_racks(size=3, subgroup_size=2, subgroup_policy="LeaderExcluded", subgroup_required=RACK)
    holder = Tenant("here/other-0", "here", subgroup=0, subgroup_exclusive=RACK)
    held = replace(each, standing=tuple(Standing(node, {"cpu": 0}, holder) for node in ("n0", "n2")))
    assert fits(each)
    assert not fits(held)
    assert fits(replace(held, standing=held.standing[:1]))


@pytest.mark.parametrize(
    ("slots", "more", "missed"),
    [
        pytest.param("00", {}, set(), id="two members on one node"),
        pytest.param("01", {}, {"level"}, id="two nodes where one would do"),
        pytest.param("01", {"preferred": (RACK,)}, set(), id="one rack is all that was wished for"),
        pytest.param("0022", {}, {"level", "parts"}, id="two racks where one would do"),
        pytest.param("0101", {}, {"ranks"}, id="neighbouring ranks apart"),
        pytest.param("00", {"spread": RACK}, {"spread"}, id="beside a group of the same set"),
        pytest.param("22", {"spread": RACK}, set(), id="away from the group of the same set"),
        pytest.param("01", {"stay": ("n0", "n1")}, set(), id="a group that returns"),
    ],
)
def test_the_oracle_knows_an_unmet_wish(slots: str, more: dict[str, object], missed: set[str]) -> None:
    sister = Standing("n1", {}, Tenant("here/it-1", "here"))
    each = replace(two_racks(**{"size": len(slots), **more}), standing=(sister,))
    assert {wish for wish, is_unmet in unmet(each, [f"n{digit}" for digit in slots]).items() if is_unmet} == missed


def test_the_oracle_plays_a_pods_start_step_by_step() -> None:
    def taking(cpu: int, **more: str) -> dict[str, object]:
        return {"resources": {"requests": {"cpu": f"{cpu}m"}}, **more}

    sidecar = {"restartPolicy": "Always"}
    starting = [taking(5), taking(1, **sidecar), taking(6), taking(2, **sidecar)]
    pod = {
        "initContainers": starting,
        "containers": [taking(2), {"resources": {"limits": {"memory": "3"}}}],
        "overhead": {"cpu": "1m"},
    }
    assert requests_of(pod) == {"cpu": 8, "memory": 3, "pods": 1}
    assert requests_of({**pod, "initContainers": starting[3:]}) == {"cpu": 5, "memory": 3, "pods": 1}
