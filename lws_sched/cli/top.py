"""`lws-sched top` and `lws-sched topology`: what the domains of a cluster have left, and how they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lws_sched.api import names
from lws_sched.cli.output import Cell, Exit, console, listed, print_json, print_lines, print_table, say
from lws_sched.cli.source import Source, speaking
from lws_sched.intake import capacity
from lws_sched.intake.capacity import Domain, Level
from lws_sched.intake.cluster import Cluster
from lws_sched.intake.documents import BadInput
from lws_sched.intake.uses import IDLE, host_uses
from lws_sched.placement import Snapshot, UnknownLevel, resolve
from lws_sched.placement.topology import level_of
from lws_sched.placement.wording import amount

MAP_WIDTH = 120
MAP_HOSTS = 64
"""Domains with more hosts than this are not drawn host by host."""


def run(source: Mapping[str, Any], level: str, resource: str, *, as_json: bool) -> Exit:
    with speaking():
        cluster = Source(**source).open().read()
        snapshot = cluster.snapshot()
        resource = resource or capacity.main_resource(snapshot)
        if resource not in snapshot.resources:
            raise BadInput(f"no node offers {resource}; there is {', '.join(sorted(snapshot.resources))}")
        label = _label(snapshot, level)
        found = capacity.domains(snapshot, cluster.outstanding(), label, resource)
    broken = capacity.fragmentation(found)
    if as_json:
        print_json(
            {
                "level": label,
                "resource": resource,
                "fragmentation": round(broken, 4),
                "domains": [_domain_json(domain) for domain in found],
            }
        )
    else:
        headers = (
            level_of(label, snapshot.table.keys).upper(),
            "NODES",
            "FREE",
            "HELD",
            "USED",
            "CAPACITY",
            "BROKEN UP",
            "FITS",
        )
        print_table(headers, [_row(domain, resource) for domain in sorted(found, key=_most_room_first)])
        free = amount(resource, sum(domain.free for domain in found))
        best = max(found, key=lambda domain: domain.largest, default=None)
        say(
            f"{free} free in {len(found)} domains of {label}; the largest group of whole hosts that fits in one has "
            f"{best.largest if best else 0} members; fragmentation {broken:.2f}"
        )
    return Exit.OK


def run_topology(source: Mapping[str, Any], *, as_json: bool) -> Exit:
    with speaking():
        cluster = Source(**source).open().read()
        snapshot = cluster.snapshot()
        levels = capacity.levels(snapshot)
    if as_json:
        print_json({"nodes": len(snapshot.table), "levels": [_level_json(snapshot, level) for level in levels]})
        return Exit.OK
    total = len(snapshot.table)
    print_table(
        ("LEVEL", "LABEL", "DOMAINS", "NODES", "WITHOUT"),
        [(each.name, each.label, str(each.domains), str(each.nodes), _without(total - each.nodes)) for each in levels],
    )
    _map(cluster, snapshot, levels)
    return Exit.OK


def _label(snapshot: Snapshot, level: str) -> str:
    """The label of a level's name; without one that of the narrowest level wider than a host."""
    if not level:
        return capacity.narrowest(snapshot)
    label = resolve(level, snapshot.table.keys)
    if isinstance(label, UnknownLevel):
        raise BadInput(f"{label.sentence}: {label.fix}")
    return label


def _most_room_first(domain: Domain) -> tuple[int, int]:
    return (-domain.largest, -domain.free)


def _row(domain: Domain, resource: str) -> tuple[Cell, ...]:
    def said(value: int) -> str:
        return amount(resource, value).partition(" ")[0]

    nodes = f"{domain.nodes}" + (f" ({domain.unschedulable} closed)" if domain.unschedulable else "")
    free: Cell = (said(domain.free), "green" if domain.largest else "")
    numbers = (said(domain.held), said(domain.used), said(domain.capacity))
    return (domain.name, nodes, free, *numbers, f"{domain.fragmentation:.0%}", str(domain.largest))


def _domain_json(domain: Domain) -> dict[str, Any]:
    return {
        "name": domain.name,
        "nodes": domain.nodes,
        "closed": domain.unschedulable,
        "free": domain.free,
        "held": domain.held,
        "used": domain.used,
        "capacity": domain.capacity,
        "fragmentation": round(domain.fragmentation, 4),
        "largest": domain.largest,
    }


def _level_json(snapshot: Snapshot, level: Level) -> dict[str, Any]:
    total = len(snapshot.table)
    return {
        "name": level.name,
        "label": level.label,
        "domains": level.domains,
        "nodes": level.nodes,
        "without": total - level.nodes,
    }


def _without(count: int) -> Cell:
    return (str(count), "yellow" if count else "")


def _map(cluster: Cluster, snapshot: Snapshot, levels: tuple[Level, ...]) -> None:
    """Every host as one cell, domain by domain of the narrowest level."""
    from lws_sched.cli.rackmap import Host, legend, rack_map

    label = capacity.narrowest(snapshot)
    partition, column = snapshot.table.partition((label,)), snapshot.table.column(label)
    sizes = [len(partition.members(number)) for number in range(partition.count)]
    if label == names.HOSTNAME or not sizes or max(sizes) > MAP_HOSTS:
        say("no map: there is no level of small domains" if levels else "no map: the nodes carry no topology label")
        return
    uses = host_uses(cluster)
    numbers: dict[str, int] = {}
    racks = []
    for number in range(partition.count):
        at = partition.members(number)
        found = [uses.get(snapshot.table.names[node], IDLE) for node in at]
        hosts = [Host(each.use, _number(numbers, each.groups)) for each in found]
        racks.append((column.values[column.codes[at[0]]], hosts))
    screen = console()
    print_lines("")
    with screen.capture() as drawn:
        screen.print(rack_map(racks, min(screen.width, MAP_WIDTH)))
    print_lines(*(line.rstrip() for line in drawn.get().splitlines()))
    screen.print(legend(), soft_wrap=True)
    outside = [snapshot.table.names[node] for node in (partition.codes < 0).nonzero()[0]]
    if outside:
        say(f"{len(outside)} nodes carry no {label}: {listed(outside)}")


def _number(numbers: dict[str, int], groups: Sequence[str]) -> int:
    """A group's number, for its colour: in the order in which the map shows them."""
    return numbers.setdefault(groups[0], len(numbers)) if groups else 0
