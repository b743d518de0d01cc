"""What a plan says of one group, and how that is told in JSON: all that who only passes answers on has to import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What becomes of one group. `slots` are (pod, node) pairs by worker index; empty where it has no place."""

    key: str
    """`namespace/leader-pod-name`."""
    size: int
    feasible: bool
    level: str = ""
    domain: str = ""
    slots: tuple[tuple[str, str], ...] = ()
    proof: str = ""
    """`exact`, `optimal`, `feasible`, `infeasible` or `undecided`."""
    value: int = 0
    bound: int = 0
    reason: str = ""
    fix: str = ""
    standing: bool = False
    """Whether it has this place already."""

    @property
    def name(self) -> str:
        return self.key.partition("/")[2]

    @property
    def namespace(self) -> str:
        return self.key.partition("/")[0]


def answers_json(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """The answers in their order. A name that two of them share is given with its namespace."""
    names = Counter(answer.name for answer in answers)
    return [answer_json(each) | ({"name": each.key} if names[each.name] > 1 else {}) for each in answers]


def answer_json(answer: Answer) -> dict[str, Any]:
    """As commands and the page tell it."""
    return {
        "name": answer.name,
        "feasible": answer.feasible,
        "domain": {"level": answer.level, "value": answer.domain} if answer.feasible else None,
        "slots": [{"pod": pod, "node": node} for pod, node in answer.slots],
        "proof": answer.proof,
        "value": answer.value,
        "bound": answer.bound,
        "reason": answer.reason,
        "fix": answer.fix,
    }
