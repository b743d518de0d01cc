from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from lws_sched.placement import GroupRequest, NodeState, Tenant
from tests.oracle.brute_force import fits, fits_in_any_way, wrongs
from tests.oracle.instances import RACK, Instance, Standing, instance, shaped
from tests.oracle.pods import requests_of
from tests.oracle.run import run, run_wishes
from tests.oracle.wishes import unmet


def test_the_engine_refuses_nothing_that_fits_and_places_nothing_wrong() -> None:
    assert run(instances=400, seed=20) == {"instances": 400, "refused_but_fit": 0, "misfits": 0}


def test_the_engine_leaves_no_wish_unmet_that_could_be_met() -> None:
    found = run_wishes(instances=400, seed=21)
    assert all(judged for judged, _ in found.values()), found
    assert {wish: missed for wish, (_, missed) in found.items() if missed} == {}


@pytest.mark.parametrize("seed", range(3))
def test_the_oracle_agrees_with_trying_every_node_for_every_member(seed: int) -> None:
    random = Random(seed)
    drawn = [instance(random, most_nodes=4, most_pods=4) for _ in range(60)]
    verdicts = [fits(each) for each in drawn]
    assert verdicts == [fits_in_any_way(each) for each in drawn]
    assert len({*verdicts}) == 2


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
