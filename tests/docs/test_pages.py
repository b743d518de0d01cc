"""Every page's commands, in order, on the real control plane."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.controlplane.start import start_plane
from tests.docs.blocks import ROOT, Block, blocks, commands, pages
from tests.docs.not_run import NOT_RUN
from tests.docs.playground import Playground, WrongOutput
from tests.system.product import LwsSched

RUN = ("console", "sh", "yaml")


@pytest.fixture(scope="session")
def playground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    with start_plane() as plane:
        product = LwsSched(plane)
        product.install()
        yield Playground(product, tmp_path_factory.mktemp("reader"))
        if request.session.testsfailed:
            plane.keep_logs()


def pages_with(*languages: str) -> list[object]:
    return [
        pytest.param(page, id=str(page.relative_to(ROOT)))
        for page in pages()
        if any(block.language in languages for block in blocks(page.read_text()))
    ]


@pytest.mark.plane
@pytest.mark.parametrize("page", pages_with(*RUN))
def test_every_command_of_the_page_does_what_the_page_says(playground: Playground, page: Path) -> None:
    try:
        for block in blocks(page.read_text()):
            follow(playground, page, block)
    finally:
        playground.reset()


def follow(playground: Playground, page: Path, block: Block) -> None:
    line = block.line
    try:
        if block.language == "console":
            for command in commands(block):
                line = command.line
                if command.text not in NOT_RUN:
                    playground.follow(command.text, command.expected)
        elif block.language == "sh" and block.text.strip() not in NOT_RUN:
            playground.follow(block.text, ())
        elif block.language == "yaml" and block.file:
            path = playground.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.language == "yaml" and all(isinstance(each, dict) and "kind" in each for each in loaded(block)):
            playground.accepts(block.text)
    except WrongOutput as wrong:
        raise AssertionError(f"{page.relative_to(ROOT)}, line {line}:\n{wrong}") from None


def loaded(block: Block) -> list[object]:
    return [each for each in yaml.safe_load_all(block.text) if each is not None]


@pytest.mark.parametrize("page", pages_with("yaml", "json"))
def test_what_is_shown_as_yaml_or_json_is_that(page: Path) -> None:
    for block in blocks(page.read_text()):
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "yaml":
            assert loaded(block)


def test_every_block_says_what_it_is() -> None:
    """A block without a language would be run by nobody."""
    nameless = [
        f"{page.relative_to(ROOT)}:{block.line}"
        for page in pages()
        for block in blocks(page.read_text())
        if not block.language
    ]
    assert not nameless


def test_what_is_not_run_is_in_some_page() -> None:
    shown = {
        text
        for page in pages()
        for block in blocks(page.read_text())
        for text in ([each.text for each in commands(block)] if block.language == "console" else [block.text.strip()])
    }
    assert not {*NOT_RUN} - shown
