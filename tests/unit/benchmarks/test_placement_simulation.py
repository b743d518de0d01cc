"""The simulated queue: who starts when, what is held meanwhile, and how figures of segments are compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.placement import arrivals, baselines, convert_traces, quality
from benchmarks.placement.arrivals import RULES, Job, group
from benchmarks.placement.comparison import beyond_noise, chance_of, compare
from benchmarks.placement.fleets import BLOCK, RACK, generated, lingjun
from benchmarks.placement.ours import PATIENCE, Ours, OursMoving, OursTogether
from benchmarks.placement.simulation import EVERY, Life, Outcome, Simulation

HOSTS = generated(racks=2, hosts_per_rack=2)
RULE = RULES["B"]


def job(name: str, size: int, arrival: float, duration: float, segment: int = 0) -> Job:
    return Job(group(name, RULE, size, HOSTS), arrival, duration, segment)


def play(policy: baselines.Policy, jobs: Sequence[Job]) -> Outcome:
    return Simulation(HOSTS, policy, RULE).run(jobs)


def waits(outcome: Outcome) -> dict[str, tuple[float, bool]]:
    return {life.job.request.key.removeprefix("bench/"): (life.wait, life.started) for life in outcome.lives}


@pytest.mark.parametrize("policy", [Ours(), OursTogether(), *baselines.policies(seed=1)], ids=lambda each: each.name)
def test_a_group_that_waits_starts_when_room_comes_back(policy: baselines.Policy) -> None:
    jobs = [job("a", 2, 0, 100), job("b", 2, 0, 50), job("c", 2, 10, 100), job("end", 2, 500, 1)]
    outcome = play(policy, jobs)
    assert waits(outcome) == {"a": (0, True), "b": (0, True), "c": (40, True), "end": (0, True)}


def test_whoever_fits_passes_a_head_that_does_not() -> None:
    jobs = [job("a", 2, 0, 100), job("lone", 1, 0, 300), job("head", 2, 1, 10), job("small", 1, 2, 10)]
    found = waits(play(Ours(), [*jobs, job("end", 1, 200, 1)]))
    assert (found["head"], found["small"]) == ((99, True), (0, True))


def test_hosts_of_half_placed_groups_are_seen_as_held() -> None:
    jobs = [job("lone", 1, 0, 3 * EVERY), job("half", 2, 1, 10), job("late", 2, 2, 9 * EVERY), job("end", 1, EVERY, 1)]
    # The first pod of `half` goes to the emptier rack; where `late` then lands, only its leader finds a host.
    looks = play(baselines.PodByPod(seed=1, leaders_first=False), jobs).looks
    assert looks.held_hosts[-1] == 1
    assert max(play(Ours(), jobs).looks.held_hosts) == 0


def test_others_are_moved_for_a_group_that_has_waited_too_long() -> None:
    long = 3 * PATIENCE
    one_in_each_rack = [job("a", 1, 0, long), job("b", 1, 0, 10), job("c", 1, 1, long)]
    jobs = [*one_in_each_rack, job("late", 2, 20, 10), job("d", 1, 30, PATIENCE), job("end", 1, long, 1)]
    moving, staying = play(OursMoving(), jobs), play(Ours(), jobs)
    assert (moving.disturbed, staying.disturbed) == (1, 0)
    assert waits(moving)["late"] == (PATIENCE + 10, True)
    assert waits(staying)["late"][0] > 2 * PATIENCE


def test_a_group_that_never_starts_waits_until_the_end() -> None:
    jobs = [job("long", 2, 0, 1_000), job("other", 2, 0, 1_000), job("never", 2, 10, 1), job("end", 2, 60, 1)]
    assert waits(play(Ours(), jobs))["never"] == (50, False)


def test_a_group_larger_than_any_rack_asks_for_a_block() -> None:
    assert group("fits", RULE, 2, HOSTS).required == RACK
    assert group("large", RULE, 3, HOSTS).required == BLOCK
    assert group("per-gpu", RULES["A"], 16, HOSTS).required == RACK


def test_generated_jobs_follow_from_the_seed_alone() -> None:
    first = arrivals.generated_jobs(RULE, HOSTS, count=20, load=0.9, seed=4)
    assert first == arrivals.generated_jobs(RULE, HOSTS, count=20, load=0.9, seed=4)
    assert first != arrivals.generated_jobs(RULE, HOSTS, count=20, load=0.9, seed=5)
    assert {each.segment for each in first} == {0, 1, 2, 3}


ORIGINAL_JOBS = """timestamp,duration,num_gpus,gpu_time,cluster
2017-09-05 00:00:10,60.0,8,480.0,aa
2017-09-05 00:00:00,30.0,1,30.0,bb
2017-09-05 00:01:00,90.0,16,1440.0,bb
2017-12-01 00:00:00,30.0,1,30.0,aa
"""
ORIGINAL_HOSTS = "ip,DSW,PSW,ASW\nfeed,G6,P8,S2\nbeef,G6,P10,S1\ncafe,G6,P8,S2\n"


def convert(folder: Path, monkeypatch: pytest.MonkeyPatch, jobs: str = ORIGINAL_JOBS) -> int:
    (folder / "philly.csv").write_text(jobs)
    (folder / "topo.csv").write_text(ORIGINAL_HOSTS)
    words = ["--philly", folder / "philly.csv", "--lingjun", folder / "topo.csv", "--out", folder / "traces"]
    monkeypatch.setattr("sys.argv", ["convert_traces", *map(str, words)])
    return convert_traces.main()


def test_the_converter_makes_the_files_that_the_benchmark_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert convert(tmp_path, monkeypatch) == 0
    nodes = lingjun(tmp_path / "traces")
    assert [node.labels[RACK] for node in nodes] == ["P10-S1", "P8-S2", "P8-S2"]
    jobs = arrivals.philly(tmp_path / "traces", RULE, nodes, load=2.0, seed=0)
    assert [(each.arrival, each.duration, each.request.size) for each in jobs] == [(5.0, 60.0, 8), (30.0, 90.0, 16)]
    everyone = arrivals.philly(tmp_path / "traces", RULES["A"], nodes, load=1.0, seed=0)
    assert [each.request.size for each in everyone] == [1, 8, 16]
    moved = arrivals.philly(tmp_path / "traces", RULE, nodes, load=2.0, seed=1)
    assert [each.arrival for each in moved] != [5.0, 30.0]


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ("when,duration\n", "no column timestamp"),
        (ORIGINAL_JOBS.replace("60.0,8", "60.0,many"), "line 2 of the Philly file"),
        ("timestamp,duration,num_gpus,gpu_time,cluster\n", "no job before 01 November 2017"),
    ],
)
def test_the_converter_says_what_is_wrong_with_an_original(
    jobs: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, monkeypatch, jobs) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "traces").exists()


def lives(waits: Sequence[float], size: int = 8) -> tuple[Life, ...]:
    return tuple(Life(job(f"j{number}", size, 0, 1), wait, started=True) for number, wait in enumerate(waits))


def outcome(waits: Sequence[float]) -> Outcome:
    looks = play(Ours(), [job("only", 1, 0, 1)]).looks
    return Outcome(lives(waits), looks, disturbed=0, checked=0)


def test_ours_is_worse_only_where_chance_would_hardly_make_it_look_so() -> None:
    """Two hours late counts in both figures. Late in all of twelve runs is no accident; in three of them it may be."""
    prompt, late = outcome([0.0] * 40), outcome([7_200.0] * 40)

    def worse(ours: Sequence[Outcome], best_fit: Sequence[Outcome]) -> list[str]:
        runs = [
            quality.run_of(quality.OURS, ours, RULE.large),
            quality.run_of(quality.REFERENCE, best_fit, RULE.large),
        ]
        return [each.figure for each in beyond_noise([*quality.compared(quality.FULL[0], runs)])]

    assert worse([prompt] * 12, [prompt] * 12) == []
    assert worse([late] * 12, [prompt] * 12) == ["admitted", "large_wait_p95"]
    assert worse([prompt] * 12, [late] * 12) == []
    assert worse([late] * 3 + [prompt] * 9, [prompt] * 12) == []
    assert worse([late, prompt] * 6, [prompt, late] * 6) == []


def test_the_chance_of_a_difference_counts_all_ways_to_set_its_signs() -> None:
    assert chance_of([1.0]) == 1 / 2
    assert chance_of([1.0, 2.0]) == 1 / 4
    assert chance_of([-1.0, 2.0]) == 2 / 4
    assert chance_of([0.0, 0.0]) == 1
    with pytest.raises(ValueError, match="17 runs"):
        chance_of([1.0] * 17)


def test_more_comparisons_ask_for_a_clearer_difference() -> None:
    clear = compare("a trace", 0, "admitted", [0.8] * 8, [0.9] * 8, more_is_worse=False)
    vague = [compare("a trace", at, "admitted", [0.9, 0.8], [0.8, 0.9], more_is_worse=False) for at in range(20)]
    assert beyond_noise([clear]) == [clear]
    assert beyond_noise([clear, *vague]) == []
