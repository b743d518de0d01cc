"""`lws-sched demo`: the trap, twice, on the simulated cluster.

62 racks of 16 hosts, every second rack half full; 24 groups of 12 hosts that must each have a rack to themselves. All
of them fit. Pod affinity places each leader without knowing its workers, so leaders land in racks too small for the
group; the extender places whole groups.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.text import Text

from lws_sched.api import names
from lws_sched.cli.rackmap import Host, legend, rack_map
from lws_sched.controller import app as controller
from lws_sched.extender import app as extender
from lws_sched.intake.uses import Use
from lws_sched.sim.trap import GROUPS, HOSTS_PER_RACK, RACKS, SIZE, Outcome, play
from lws_sched.sim.world import World

MAP_WIDTH = 100


@dataclass(frozen=True)
class Figures:
    """One run in five numbers. `seconds` is simulated time until nothing changed any more."""

    groups: int
    complete: int
    partial: int
    stranded_hosts: int
    seconds: float


def run(*, as_json: bool, seed: int) -> None:
    """Play the trap both ways; print two maps and the figures, or one JSON object."""
    say = _silent if as_json else _progress
    say(f"{RACKS} racks of {HOSTS_PER_RACK} hosts, every second rack half full.")
    say(f"{GROUPS} groups of {SIZE} hosts, each to have a rack to itself: all of them fit.\n")
    say("1 of 2: pod affinity on the default scheduler (leader first, workers follow) ...")
    affinity = play(_controller, ours=False, seed=seed)
    say("2 of 2: lws-sched (whole groups) ...")
    ours = play(_both, ours=True, seed=seed)
    if as_json:
        print(json.dumps({"ours": asdict(figures(ours)), "affinity": asdict(figures(affinity))}))
        return
    console = Console()
    _draw(console, "By pod affinity", affinity)
    _draw(console, "By lws-sched", ours)
    console.print(legend(), soft_wrap=True)
    console.print("Seconds are simulated: until nothing changed any more.", style="dim", soft_wrap=True)


def _controller(world: World) -> None:
    world.start("controller", lambda runtime: controller.build(runtime, controller.Options()))


def _both(world: World) -> None:
    _controller(world)
    # Nothing else runs while a hook waits in a simulation, so it must not.
    world.start("extender", lambda runtime: extender.build(runtime, extender.Options(patience=0)))
    world.connect_extender("extender", names.MANAGED_RESOURCES)


def figures(outcome: Outcome) -> Figures:
    members = outcome.bound_by_group
    complete = sum(len(hosts) == SIZE for hosts in members.values())
    partial = [hosts for hosts in members.values() if 0 < len(hosts) < SIZE]
    return Figures(
        groups=GROUPS,
        complete=complete,
        partial=len(partial),
        stranded_hosts=sum(len(hosts) for hosts in partial),
        seconds=round(outcome.seconds, 1),
    )


def _draw(console: Console, title: str, outcome: Outcome) -> None:
    numbers = figures(outcome)
    colour = "green" if numbers.complete == GROUPS else "red"
    verdict = Text.assemble(
        (f"\n{title}: ", "bold"),
        (f"{numbers.complete} of {GROUPS} groups complete", f"bold {colour}"),
        f", {numbers.partial} half-bound, {numbers.stranded_hosts} hosts stranded, {numbers.seconds:g} s",
    )
    console.print(verdict, soft_wrap=True)
    console.print(rack_map(_racks(outcome), min(console.width, MAP_WIDTH)))


def _racks(outcome: Outcome) -> list[tuple[str, list[Host]]]:
    uses = dict.fromkeys(outcome.taken_hosts, Host(Use.TAKEN))
    for group, hosts in outcome.bound_by_group.items():
        use = Use.COMPLETE if len(hosts) == SIZE else Use.STRANDED
        uses.update(dict.fromkeys(hosts, Host(use, group)))
    return [(rack, [uses.get(host, Host(Use.FREE)) for host in hosts]) for rack, hosts in outcome.racks.items()]


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _silent(_: str) -> None:
    return
