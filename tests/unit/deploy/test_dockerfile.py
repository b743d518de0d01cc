"""The image cannot be built here, for want of an engine. Its recipe is read; its steps are those of any environment."""

from __future__ import annotations

import json
import re
import tomllib
from typing import NamedTuple

from lws_sched import __version__
from tests.unit.deploy.manifests import DEPLOY, document, documents

ROOT = DEPLOY.parent


class Step(NamedTuple):
    word: str
    text: str


def stages() -> list[list[Step]]:
    """The stages of the Dockerfile; what comes before the first is one too."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    steps = [Step(*line.split(" ", 1)) for line in text.splitlines() if line and not line.startswith("#")]
    found: list[list[Step]] = [[]]
    for step in steps:
        if step.word == "FROM":
            found.append([])
        found[-1].append(step)
    return found


def texts(stage: list[Step], word: str) -> list[str]:
    return [step.text for step in stage if step.word == word]


def test_it_is_built_in_two_stages_from_one_pinned_base() -> None:
    (arguments, build, final) = stages()

    (base,) = texts(arguments, "ARG")
    assert re.fullmatch(r"BASE=python:\d+\.\d+\.\d+-slim-\w+", base)
    assert (texts(build, "FROM"), texts(final, "FROM")) == (["${BASE} AS build"], ["${BASE}"])


def test_its_python_is_one_that_the_package_runs_on() -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    (base,) = texts(stages()[0], "ARG")

    found = re.search(r"python:(\d+)\.(\d+)", base)
    least = re.fullmatch(r">=(\d+)\.(\d+)", required)
    assert found
    assert least
    assert tuple(map(int, found.groups())) >= tuple(map(int, least.groups()))


def test_what_is_installed_is_what_was_tested() -> None:
    _, build, _ = stages()

    (install,) = (text for text in texts(build, "RUN") if "install" in text)
    assert "--constraint constraints.txt" in install
    assert "--no-cache-dir" in install


def test_the_image_holds_the_environment_alone_and_runs_as_nobody() -> None:
    _, _, final = stages()

    assert texts(final, "COPY") == ["--from=build /venv /venv"]
    assert texts(final, "RUN") == []
    assert texts(final, "USER") == ["65532:65532"]
    for path in ("controller", "extender"):
        (deployment,) = (each for each in documents(f"kustomize/default/{path}.yaml") if each["kind"] == "Deployment")
        assert deployment["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == 65532


def test_it_starts_a_program_of_the_package() -> None:
    (entry,) = texts(stages()[-1], "ENTRYPOINT")
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

    assert set(json.loads(entry)) <= scripts.keys()


def test_everything_that_is_copied_is_there_and_nothing_else_gets_in() -> None:
    _, build, _ = stages()
    copied = {name for text in texts(build, "COPY") for name in text.split()[:-1]}
    let_in = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}

    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)
    assert "*" in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()


def test_the_tag_is_the_version() -> None:
    (image,) = document("kustomize/default/kustomization.yaml")["images"]

    assert f"-t {image['name']}:{__version__} " in (DEPLOY / "Dockerfile").read_text()
    assert image["newTag"] == __version__
