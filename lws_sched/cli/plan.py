"""`lws-sched plan`: which groups of LeaderWorkerSets would find a place, where, or why not and what would help."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lws_sched.api.lws import LeaderWorkerSet
from lws_sched.cli.output import Cell, Exit, listed, print_json, print_lines, print_table, progress, say
from lws_sched.cli.source import Source, Written, once, read_files, sets_in, speaking
from lws_sched.intake.answers import Answer, answers_json

if TYPE_CHECKING:
    from lws_sched.cli.asking import Server


def run(files: Sequence[str], namespace: str, source: Mapping[str, Any], *, as_json: bool, server: Server) -> Exit:
    """Plan and print; the exit code."""
    with speaking():
        once(*files, *source["clusters"])
        written = read_files(files)
        answers = _asked(server, written, namespace, source)
        if answers is None:
            answers = _planned(written, namespace, source)
    if as_json:
        print_json({"groups": answers_json(answers)})
    else:
        _table(answers)
    return Exit.OK if all(answer.feasible for answer in answers) else Exit.REFUSED


def _planned(files: Sequence[Written], namespace: str, source: Mapping[str, Any]) -> Sequence[Answer]:
    sets = sets_in(files, namespace)
    opened = Source(**source).open()
    with ThreadPoolExecutor(1) as beside:
        # Importing it takes about as long as the API server takes to answer.
        planner = beside.submit(_planner)
        cluster = opened.read()
    sets = tuple(map(ours, sets))
    shapes = opened.shapes(cluster, sets)
    with progress("planning"):
        return planner.result()(cluster, sets, shapes, now=opened.now())


def _planner() -> Callable[..., tuple[Answer, ...]]:
    from lws_sched.intake.what_if import what_if

    return what_if


def _asked(
    server: Server, files: Sequence[Written], namespace: str, source: Mapping[str, Any]
) -> Sequence[Answer] | None:
    """What the placement service says; None where it is not to be asked, or has no answer."""
    from lws_sched.cli.asking import manifests_of, tell

    with progress("planning"):
        found = server.answer(source, lambda client: client.plan(manifests_of(files), namespace))
    if found is None:
        return None
    answers, notes = found
    tell(notes)
    return answers


def ours(lws: LeaderWorkerSet) -> LeaderWorkerSet:
    from lws_sched.intake.sets import planned_as_ours

    planned, notes = planned_as_ours(lws)
    for note in notes:
        say(f"note: {note}")
    return planned


def _table(answers: Sequence[Answer]) -> None:
    if not answers:
        return
    print_table(("GROUP", "PLACED", "DOMAIN", "PODS", "NODES", "PROOF"), map(_row, answers))
    causes: dict[tuple[str, str], list[str]] = {}
    for answer in answers:
        if answer.reason:
            causes.setdefault((answer.reason, answer.fix), []).append(answer.name)
    for (reason, fix), named in causes.items():
        print_lines("", f"{listed(named)}: {reason}.", *([f"  fix: {fix}"] if fix else []))
    placed = sum(answer.feasible for answer in answers)
    say(f"{placed} of {len(answers)} groups {'has' if len(answers) == 1 else 'have'} a place")


def _row(answer: Answer) -> tuple[Cell, ...]:
    pods = f"{len(answer.slots)}/{answer.size}"
    if not answer.feasible:
        verdict = ("undecided", "yellow") if answer.proof == "undecided" else ("no", "red")
        return (answer.name, verdict, "-", pods, "-", answer.proof)
    nodes = listed([*dict.fromkeys(node for _, node in answer.slots)])
    verdict = ("already" if answer.standing else "yes", "green")
    return (answer.name, verdict, answer.domain or "the cluster", pods, nodes, answer.proof)
