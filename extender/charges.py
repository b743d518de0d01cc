"""Who takes what on which node, and what is promised to groups that wait for others to leave.

A group whose place is being cleared (its predecessors are evicted or replaced) has a *claim* on nodes on which they
still stand. What they take is not counted twice: of a claim, a node is charged what its predecessors do not take there
any more, so room that they leave is the claimant's at once, and nobody else ever sees it free.

Not thread-safe: the ledger calls it under its lock.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lws_sched.api import placement as api
from lws_sched.api.placement import GroupPlacement
from lws_sched.api.quantity import Resources
from lws_sched.intake.standing import Held, slots_on
from lws_sched.placement import Fleet, Snapshot, Tenant


@dataclass(frozen=True)
class Claim:
    """The slots that a waiting group gets once its predecessors, by key, are gone."""

    slots: tuple[Held, ...]
    predecessors: frozenset[str]


@dataclass(frozen=True)
class _Charge:
    node: str
    requests: Mapping[str, int]
    tenant: Tenant | None
    who: str
    """Key of the group, or of the pod where it is in none."""


def claim_of(record: GroupPlacement) -> Claim | None:
    """What a record claims; None where it waits for nobody."""
    status = record.status
    if status.state != api.WAITING or not status.claims:
        return None
    return Claim(
        slots_on(record, status.claims), frozenset(f"{each.namespace}/{each.name}" for each in status.predecessors)
    )


class Charges:
    """A fleet, with an account of its charges."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._charges: dict[str, _Charge] = {}
        self._on_node: defaultdict[str, set[str]] = defaultdict(set)
        self._claims: dict[str, Claim] = {}
        self._claimed_on: defaultdict[str, set[str]] = defaultdict(set)
        self._promised: dict[tuple[str, str], list[str]] = {}
        """Owners of what a claim is charged on a node, by claimant and node."""

    def charge(
        self, owner: str, node: str, requests: Mapping[str, int], tenant: Tenant | None = None, who: str = ""
    ) -> None:
        """`owner` takes these amounts on the node, in place of what it took before."""
        self.release(owner)
        self.fleet.charge(owner, node, requests, tenant)
        self._charges[owner] = _Charge(node, requests, tenant, tenant.group if tenant else who)
        self._on_node[node].add(owner)
        self._settle(node)

    def release(self, owner: str) -> str:
        """Take back a charge. Answers with the node that it was on; unknown owners are ignored, and are on none."""
        charge = self._charges.pop(owner, None)
        if charge is None:
            return ""
        self.fleet.release(owner)
        self._on_node[charge.node].discard(owner)
        self._settle(charge.node)
        return charge.node

    def claim(self, key: str, claim: Claim | None) -> frozenset[str]:
        """Put a group's claim in place of the one it had. Answers with the nodes that this concerns."""
        before = self._claims.pop(key, None)
        nodes = frozenset(each.node for each in (*(before.slots if before else ()), *(claim.slots if claim else ())))
        if before == claim:
            if claim is not None:
                self._claims[key] = claim
            return frozenset()
        for each in before.slots if before else ():
            self._claimed_on[each.node].discard(key)
        if claim is not None:
            self._claims[key] = claim
            for each in claim.slots:
                self._claimed_on[each.node].add(key)
        for node in nodes:
            self._settle_claim(key, node)
        return nodes

    def is_claimed(self, node: str) -> bool:
        return bool(self._claimed_on.get(node))

    @contextmanager
    def without(self, owners: Iterable[str], claimants: Iterable[str]) -> Iterator[Snapshot]:
        """A snapshot of the fleet as if these charges and claims were not there."""
        charges = {owner: self._charges[owner] for owner in owners if owner in self._charges}
        claims = {key: self._claims[key] for key in claimants if key in self._claims}
        for key in claims:
            self.claim(key, None)
        for owner in charges:
            self.release(owner)
        try:
            yield self.fleet.snapshot()
        finally:
            for owner, each in charges.items():
                self.charge(owner, each.node, each.requests, each.tenant, each.who)
            for key, claim in claims.items():
                self.claim(key, claim)

    def _settle(self, node: str) -> None:
        for key in self._claimed_on.get(node, ()):
            self._settle_claim(key, node)

    def _settle_claim(self, key: str, node: str) -> None:
        """Charge what the claim's predecessors leave of it on the node."""
        for owner in self._promised.pop((key, node), ()):
            self.fleet.release(owner)
        claim = self._claims.get(key)
        slots = [each for each in claim.slots if each.node == node] if claim else []
        if claim is None or not slots:
            return
        standing = [
            each for owner in self._on_node.get(node, ()) if (each := self._charges[owner]).who in claim.predecessors
        ]
        rest = unpaid([each.requests for each in slots], [each.requests for each in standing])
        owners = self._promised[key, node] = [f"claim:{key}:{node}:{number}" for number in range(len(rest))]
        for owner, requests in zip(owners, rest, strict=True):
            self.fleet.charge(owner, node, requests, slots[0].tenant)


def unpaid(claimed: Sequence[Mapping[str, int]], taken: Sequence[Mapping[str, int]]) -> list[Resources]:
    """What of some pods' requests is not covered by what others take: one entry per pod that is not covered, the
    first with all amounts. There is always one entry, so that the claimant is seen on the node."""
    lacking = Counter[str]()
    for each in claimed:
        lacking.update(each)
    for each in taken:
        lacking.subtract(each)
    amounts = {resource: amount for resource, amount in sorted(lacking.items()) if amount > 0}
    return [amounts, *({} for _ in range(len(claimed) - len(taken) - 1))]
