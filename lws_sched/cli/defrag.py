"""`lws-sched defrag`: the fewest pods to move so that a blocked group fits, in an order that can be carried out.

Without --yes it only tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lws_sched.cli.output import Exit, plural, print_json, print_lines, progress, say
from lws_sched.cli.plan import ours
from lws_sched.cli.source import FileCluster, LiveCluster, Source, Written, once, read_files, sets_in, speaking
from lws_sched.intake.answers import answers_json
from lws_sched.intake.defrag import Plan, Step, plan_moves
from lws_sched.intake.documents import BadInput

if TYPE_CHECKING:
    from lws_sched.cli.asking import Server


def run(
    files: Sequence[str],
    namespace: str,
    source: Mapping[str, Any],
    *,
    as_json: bool,
    act: bool,
    patience: float,
    server: Server,
) -> Exit:
    """Plan, print, and where asked to, do it; the exit code."""
    with speaking():
        once(*files, *source["clusters"])
        written = read_files(files)
        told = _asked(server, written, namespace, source, act=act)
        if told is not None:
            _tell(told, as_json=as_json, act=act)
            return _code(told)
        sets = tuple(map(ours, sets_in(written, namespace)))
        opened = Source(**source).open()
        if act and isinstance(opened, FileCluster):
            raise BadInput("nothing can be moved on a cluster in a file: leave out --yes, or --cluster")
        cluster = opened.read()
        shapes = opened.shapes(cluster, sets)
        with progress("looking for the fewest moves"):
            plans = plan_moves(cluster, sets, shapes, only_ours=act)
        _tell(plans, as_json=as_json, act=act)
        if act and isinstance(opened, LiveCluster):
            from lws_sched.cli.moving import Mover

            return Mover(opened, sets, shapes, patience).run(plans)
    return _code(plans)


def _asked(
    server: Server, files: Sequence[Written], namespace: str, source: Mapping[str, Any], *, act: bool
) -> tuple[Plan, ...] | None:
    """What the placement service says; None where it is not to be asked, or has no answer."""
    from lws_sched.cli.asking import manifests_of, tell

    if act and server.address:
        raise BadInput("groups are moved with your own rights, not by the placement service: leave out --server")
    if act:
        return None
    with progress("looking for the fewest moves"):
        found = server.answer(source, lambda client: client.defragment(manifests_of(files), namespace))
    if found is None:
        return None
    plans, notes = found
    tell(notes)
    return plans


def _code(plans: Sequence[Plan]) -> Exit:
    return Exit.OK if all(plan.answer.feasible for plan in plans) else Exit.REFUSED


def _tell(plans: Sequence[Plan], *, as_json: bool, act: bool) -> None:
    if as_json:
        answers = answers_json([plan.answer for plan in plans])
        print_json({"groups": [answer | _moves(plan) for answer, plan in zip(answers, plans, strict=True)]})
        return
    for plan in plans:
        print_lines(*_sentences(plan))
    placed, moved = sum(plan.answer.feasible for plan in plans), sum(plan.moved for plan in plans)
    fit = f"{placed} of {plural(len(plans), 'group')} {'fits' if placed == 1 else 'fit'}"
    if not moved:
        say(f"{fit}; there is nothing to move")
    elif not act:
        say(f"{fit} once {plural(moved, 'pod')} moved; nothing was done: --yes moves the groups")


def _sentences(plan: Plan) -> list[str]:
    answer = plan.answer
    if not answer.feasible:
        return [f"{answer.name}: {answer.reason}.", *([f"  fix: {answer.fix}"] if answer.fix else [])]
    where = f"{answer.domain or 'the cluster'}"
    if answer.standing:
        return [f"{answer.name}: it stands already, in {where}"]
    if not plan.steps:
        return [f"{answer.name}: it fits in {where} as things are: nothing has to move"]
    proof = "fewer cannot do" if plan.moved == plan.at_least else f"at least {plan.at_least} have to"
    lines = [f"{answer.name}: fits in {where} once {plural(plan.moved, 'pod')} moved ({proof}):"]
    for number, step in enumerate(plan.steps, start=1):
        lines.append(
            f"  {number}. {step.group}{'' if step.is_owned else ' (nobody makes this pod anew: do it yourself)'}"
        )
        lines += [f"       {pod}: {before} -> {after}" for pod, before, after in step.pods]
    return lines


def _moves(plan: Plan) -> dict[str, Any]:
    return {"moves": [_step(step) for step in plan.steps], "moved": plan.moved, "atLeast": plan.at_least}


def _step(step: Step) -> dict[str, Any]:
    return {
        "group": step.group,
        "pods": [{"pod": pod, "from": before, "to": after} for pod, before, after in step.pods],
    }
