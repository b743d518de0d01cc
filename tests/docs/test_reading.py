"""How pages are read, and that their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks, commands, pages
from tests.docs.compare import matches

PAGE = """\
Words.

```console
$ kubectl apply -f a.yaml \\
    --server-side
a serverside-applied
$ kubectl get a
```

- in a list

  ```yaml
  # b/c.yaml
  kind: A
  ```
"""


def test_a_page_s_blocks_and_commands_are_found_with_their_lines() -> None:
    console, manifest = blocks(PAGE)
    apply, get = commands(console)
    assert (apply.text, apply.expected, apply.line) == (
        "kubectl apply -f a.yaml \\\n    --server-side",
        ("a serverside-applied",),
        4,
    )
    assert (get.text, get.expected, get.line) == ("kubectl get a", (), 7)
    assert (manifest.language, manifest.file, manifest.text) == ("yaml", "b/c.yaml", "# b/c.yaml\nkind: A\n")


def test_a_console_block_that_begins_without_a_command_is_refused() -> None:
    [block] = blocks("```console\nkubectl get a\n```\n")
    with pytest.raises(ValueError, match="begins with a command"):
        commands(block)


def test_output_is_compared_by_words_and_ages_match_one_another() -> None:
    assert matches(["NAME   AGE", "a   2s"], ["NAME AGE", "a    3m10s"])
    assert matches(["a <unknown>"], ["a 0s"])
    assert matches(["Waiting for 2s; 0 of 4"], ["Waiting for 31s; 0 of 4"])
    assert not matches(["a 2s"], ["b 2s"])
    assert not matches(["a 2"], ["a 3"])
    assert not matches(["a"], ["a", "b"])
    assert not matches(["a", "b"], ["a"])


def test_three_dots_stand_for_lines_or_for_the_rest_of_one() -> None:
    assert matches(["a", "...", "z"], ["a", "b", "c", "z"])
    assert matches(["a", "..."], ["a"])
    assert matches(["it waits: ..."], ["it waits: for room"])
    assert not matches(["it waits: ..."], ["it runs: for ever"])
    assert matches(["group batch-... leaves"], ["group batch-3 leaves"])
    assert not matches(["group batch-... leaves"], ["group serve-3 leaves"])
    assert not matches(["...", "z"], ["a", "z", "b"])


LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()])
def test_every_link_leads_to_a_file_and_a_heading_of_it(page: Path) -> None:
    text = page.read_text()
    broken = [link for link in LINK.findall(_prose(text)) if not _leads_somewhere(page, link)]
    assert not broken


def _leads_somewhere(page: Path, link: str) -> bool:
    if link.startswith(("https://", "http://")):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists() or ROOT not in target.parents:
        return False
    return not anchor or anchor in _anchors(target.read_text())


def _anchors(text: str) -> set[str]:
    """As GitHub makes them of headings, and those written by hand."""
    headings = re.findall(r"^#+ (.+)$", _prose(text), re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).replace(" ", "-") for heading in headings}
    return made | {*re.findall(r'<a (?:id|name)="([^"]+)"', text)}


def _prose(text: str) -> str:
    """Without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def test_every_alert_has_its_place_in_the_troubleshooting() -> None:
    alerts = (ROOT / "deploy" / "kustomize" / "prometheus" / "alerts.yaml").read_text()
    anchors = _anchors((ROOT / "docs" / "troubleshooting.md").read_text())
    named = {name.lower() for name in re.findall(r"- alert: (\w+)", alerts)}
    assert named
    assert named <= anchors
