"""Three hundred simulated drills. One that fails prints the command that runs it again."""

from __future__ import annotations

import pytest

from tests.drills import simulated

DRILLS = 300
PER_TEST = 10
"""Few enough that both workers are busy to the end."""


@pytest.mark.drill
@pytest.mark.parametrize("first", range(1, DRILLS + 1, PER_TEST), ids=lambda first: f"from seed {first}")
def test_whatever_breaks_every_group_ends_whole_or_unbound_and_no_invariant_breaks(first: int) -> None:
    for seed in range(first, first + PER_TEST):
        result = simulated.run(seed)
        assert result.is_good, "\n".join([result.replay, *result.problems()])
