from __future__ import annotations

import pytest

from lws_sched.placement import NodeState, PodShape, Requirement, Taint, Toleration
from lws_sched.placement.eligibility import eligible, takes
from tests.unit.placement.cluster import fleet_of

NODES = (
    NodeState("n-0", {"zone": "a", "generation": "4"}),
    NodeState("n-1", {"zone": "b", "generation": "5"}),
    NodeState("n-2", {"generation": "five"}),
)


def takers(shape: PodShape, *taints: Taint) -> list[str]:
    nodes = [NodeState(node.name, node.labels, node.allocatable, taints) for node in NODES]
    table = fleet_of(nodes).snapshot().table
    found = [name for name, is_taker in zip(table.names, eligible(table, shape), strict=True) if is_taker]
    assert found == [node.name for node in nodes if takes(node, shape)], "asked one by one, they say something else"
    return found


@pytest.mark.parametrize(
    ("requirement", "names"),
    [
        pytest.param(Requirement("zone", "In", ("a", "c")), ["n-0"], id="In"),
        pytest.param(Requirement("zone", "NotIn", ("a",)), ["n-1", "n-2"], id="NotIn holds without the label"),
        pytest.param(Requirement("zone", "Exists"), ["n-0", "n-1"], id="Exists"),
        pytest.param(Requirement("zone", "DoesNotExist"), ["n-2"], id="DoesNotExist"),
        pytest.param(Requirement("generation", "Gt", ("4",)), ["n-1"], id="Gt reads integers only"),
        pytest.param(Requirement("generation", "Lt", ("5",)), ["n-0"], id="Lt reads integers only"),
        pytest.param(Requirement("generation", "Lt", ("x",)), [], id="a limit that is no integer matches nothing"),
        pytest.param(Requirement("nowhere", "NotIn", ("a",)), ["n-0", "n-1", "n-2"], id="a label that nobody has"),
        pytest.param(Requirement("metadata.name", "In", ("n-2",), field=True), ["n-2"], id="the node's name"),
        pytest.param(Requirement("metadata.name", "NotIn", ("n-2",), field=True), ["n-0", "n-1"], id="not that node"),
        pytest.param(Requirement("spec.x", "In", ("n-2",), field=True), [], id="no other field"),
        pytest.param(Requirement("zone", "Near", ("a",)), [], id="an operator that does not exist"),
    ],
)
def test_requirements_match_as_in_the_scheduler(requirement: Requirement, names: list[str]) -> None:
    assert takers(PodShape(terms=((requirement,),))) == names


def test_any_term_must_hold_whole_and_an_empty_one_holds_nowhere() -> None:
    in_a, named = Requirement("zone", "In", ("a",)), Requirement("metadata.name", "In", ("n-1",), field=True)
    assert takers(PodShape(terms=((in_a,), (named,)))) == ["n-0", "n-1"]
    assert takers(PodShape(terms=((in_a, named),))) == []
    assert takers(PodShape(terms=((),))) == []


def test_the_selector_and_the_affinity_must_both_hold() -> None:
    not_b = Requirement("zone", "NotIn", ("b",))
    assert takers(PodShape(selector=(("zone", "a"),), terms=((not_b,),))) == ["n-0"]
    assert takers(PodShape(selector=(("zone", "b"),), terms=((not_b,),))) == []


@pytest.mark.parametrize(
    ("taint", "tolerations", "tolerated"),
    [
        pytest.param(Taint("gpu", "yes", "NoSchedule"), (), False, id="none"),
        pytest.param(Taint("gpu", "yes", "PreferNoSchedule"), (), True, id="a soft taint repels nobody"),
        pytest.param(Taint("gpu", "yes", "NoSchedule"), (Toleration("gpu", "Equal", "yes"),), True, id="equal"),
        pytest.param(Taint("gpu", "yes", "NoSchedule"), (Toleration("gpu", "", "yes"),), True, id="equal by default"),
        pytest.param(Taint("gpu", "yes", "NoSchedule"), (Toleration("gpu", "Equal", "no"),), False, id="another value"),
        pytest.param(Taint("gpu", "yes", "NoExecute"), (Toleration("gpu", "Exists"),), True, id="exists"),
        pytest.param(Taint("gpu", "", "NoExecute"), (Toleration(operator="Exists"),), True, id="everything"),
        pytest.param(
            Taint("gpu", "", "NoExecute"),
            (Toleration("gpu", "Exists", "", "NoSchedule"),),
            False,
            id="another effect",
        ),
    ],
)
def test_taints_repel_as_in_the_scheduler(taint: Taint, tolerations: tuple[Toleration, ...], tolerated: bool) -> None:
    assert bool(takers(PodShape(tolerations=tolerations), taint)) == tolerated


def test_every_taint_must_be_tolerated() -> None:
    shape = PodShape(tolerations=(Toleration("a", "Exists"),))
    assert takers(shape, Taint("a", "", "NoSchedule"), Taint("b", "", "NoSchedule")) == []
