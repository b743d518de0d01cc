"""Kubernetes quantities as exact integers, in the units that kube-scheduler counts in.

kube-scheduler counts CPU in thousandths and everything else in whole units, both rounded up
(`resource.Quantity.MilliValue` and `.Value`). Planning in other units would let a plan differ from what the
scheduler then accepts, so these are ours too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

Resources = dict[str, int]
"""Resource name to amount: milli-CPUs for `cpu`, whole units (bytes, devices, pods) for all else."""

MOST = 2**52
"""What is more than this counts as this: no node has as much of anything (4 PiB of memory), and two thousand of it
still add up within 64 bits. Whoever asks for more fits nowhere, and is told so like others."""

_SUFFIX: Mapping[str, Fraction] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,3})|([numkMGTPE]i?|[KMGTPE]i|))")


class InvalidQuantity(ValueError):
    """The text is not a Kubernetes quantity. `path` is where in the object it is, as far as that is known."""

    def __init__(self, text: str | int | float, path: str = "") -> None:
        super().__init__(f"{str(text)!r} is not a Kubernetes quantity such as 500m, 8 or 16Gi")
        self.text, self.path = text, path

    def below(self, field: str) -> InvalidQuantity:
        """The same, seen from the object that has it in this field."""
        return InvalidQuantity(self.text, f"{field}.{self.path}" if self.path else field)


def parse(text: str | int | float) -> Fraction:
    """The exact value of a quantity. Raises InvalidQuantity."""
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None or (match[3] or "") not in _SUFFIX:
        raise InvalidQuantity(text)
    number = Fraction(match[1])
    if match[2] is not None:
        return number * Fraction(10) ** int(match[2])
    return number * _SUFFIX[match[3] or ""]


@lru_cache(maxsize=8192)
def amount(resource: str, text: str | int | float) -> int:
    """The integer kube-scheduler would count for `resource: text`, MOST at most. Raises InvalidQuantity."""
    value = parse(text) * 1000 if resource == "cpu" else parse(text)
    return max(-MOST, min(-((-value.numerator) // value.denominator), MOST))


def amounts(quantities: Mapping[str, str | int | float]) -> Resources:
    """`amount` of each entry."""
    return {resource: amount(resource, text) for resource, text in quantities.items()}
