from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from lws_sched.placement import NodeState, PodShape, Tenant
from tests.oracle.brute_force import fits, fits_in_any_way, wrongs
from tests.oracle.instances import RACK, Instance, Standing, instance
from tests.oracle.run import run


def test_the_engine_refuses_nothing_that_fits_and_places_nothing_wrong() -> None:
    assert run(instances=400, seed=20) == {"instances": 400, "refused_but_fit": 0, "misfits": 0}


@pytest.mark.parametrize("seed", range(3))
def test_the_oracle_agrees_with_trying_every_node_for_every_member(seed: int) -> None:
    random = Random(seed)
    drawn = [instance(random, most_nodes=4, most_pods=4) for _ in range(60)]
    verdicts = [fits(each) for each in drawn]
    assert verdicts == [fits_in_any_way(each) for each in drawn]
    assert len({*verdicts}) == 2


def two_racks(**more: object) -> Instance:
    nodes = tuple(NodeState(f"n{i}", {RACK: f"{i // 2}"}, {"cpu": 4, "pods": 10}) for i in range(4))
    shape = PodShape(requests=(("cpu", 2),))
    group = replace(instance(Random(1)).group, key="here/it-0", size=5, leader=shape, worker=shape)
    plain = replace(group, required="", exclusive="", spread="", preferred=(), stay=(), avoid=frozenset())
    return Instance(nodes, (), replace(plain, **more))  # type: ignore[arg-type]


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
