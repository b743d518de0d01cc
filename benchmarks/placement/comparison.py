"""Whether ours is worse than best-fit in a segment, told apart from chance.

Both play the same runs: the same jobs on the same hosts under the same names. So their figures are compared run by
run. Were both equally good, each run's difference would be as likely with the other sign; of all ways to set the signs
we count those whose mean is no better for ours than what was seen (the sign-flip test: exact, whatever the figures'
distribution). A report makes many comparisons, so ours counts as worse where that share is below `CHANCE` divided by
their number: then not one report in twenty names a segment in which the policies are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np

CHANCE = 0.05
"""The share of reports that may name a segment though there is nothing the matter."""
MOST_RUNS = 16
"""All ways to set the signs are tried, so there must not be more."""


@dataclass(frozen=True)
class Compared:
    """One figure of one segment over the runs of both policies."""

    scenario: str
    segment: int
    figure: str
    ours: float
    best_fit: float
    worse_by: float
    """How much worse ours is, on average; negative where it is better."""
    noise: float
    """The standard error of `worse_by` from run to run."""
    chance: float
    """How likely ours is to look that bad or worse where both are equally good."""

    @property
    def differs(self) -> bool:
        return self.worse_by != 0 or self.noise != 0


def compare(
    scenario: str, segment: int, figure: str, ours: Sequence[float], best_fit: Sequence[float], more_is_worse: bool
) -> Compared:
    """Both figures run by run, in the same order of runs."""
    sign = 1 if more_is_worse else -1
    differences = [sign * (mine - theirs) for mine, theirs in zip(ours, best_fit, strict=True)]
    spread = stdev(differences) if len(differences) > 1 else 0.0
    return Compared(
        scenario=scenario,
        segment=segment,
        figure=figure,
        ours=round(mean(ours), 4),
        best_fit=round(mean(best_fit), 4),
        worse_by=round(mean(differences), 4),
        noise=round(spread / len(differences) ** 0.5, 4),
        chance=round(chance_of(differences), 6),
    )


def chance_of(differences: Sequence[float]) -> float:
    """Of all ways to set the signs of the differences, the share whose sum is not below theirs."""
    if len(differences) > MOST_RUNS:
        raise ValueError(f"{len(differences)} runs have too many ways to set their signs; {MOST_RUNS} is the most")
    ways = np.arange(1 << len(differences))[:, None] >> np.arange(len(differences)) & 1
    sums = (1 - 2 * ways) @ np.array(differences)
    return float(np.mean(sums >= sums[0] - 1e-9))


def beyond_noise(comparisons: Sequence[Compared]) -> list[Compared]:
    """Those in which ours is worse by more than chance would have it."""
    differing = [each for each in comparisons if each.differs]
    return [each for each in differing if each.chance < CHANCE / len(differing)]
