from __future__ import annotations

import re

from deploy.tools import generate_docs, keys
from lws_sched.api import names
from lws_sched.cli.config import Configuration
from lws_sched.cli.config_file import read


def test_the_reference_pages_are_what_the_code_says() -> None:
    """`python -m deploy.tools.generate_docs` writes them anew."""
    for name, text in generate_docs.pages().items():
        assert (generate_docs.DOCS / name).read_text() == text


def test_every_key_that_the_code_knows_is_explained() -> None:
    known = {
        value
        for value in vars(names).values()
        if isinstance(value, str) and value.startswith(("lws-sched.io/", "leaderworkerset.sigs.k8s.io/"))
    }
    explained = {key.name for _, section in keys.SECTIONS for key in section}
    assert {key for key in known if not key.endswith("/")} <= explained


def test_every_default_that_the_page_tells_can_be_written_into_a_file() -> None:
    page = generate_docs.configuration().partition("## The extender's fields")[0]
    fields = re.findall(r"^\| `([\w.]+)` \| `([^`]+)` \|", page, re.MULTILINE)
    lines = {"apiVersion": "config.lws.x-k8s.io/v1alpha1", "kind": "Configuration"}
    sections: dict[str, list[str]] = {}
    for path, default in fields:
        section, _, name = path.partition(".")
        sections.setdefault(section, []).append(f"  {name}: {default if default != '0.0' else 0}\n")
    text = "".join(f"{key}: {value}\n" for key, value in lines.items())
    text += "".join(f"{section}:\n{''.join(rows)}" for section, rows in sections.items())

    assert len(fields) > 15
    assert read(Configuration, text, "page", {}) == read(Configuration, "", "page", {})
