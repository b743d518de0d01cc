from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Browser

PICTURES = Path(__file__).parent / "pictures"
"""Where screenshots are left to be looked at; not kept in the repository."""
WIDE = (1440, 900)


@pytest.fixture(scope="session")
def _browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def browser(_browser: Browser) -> Iterator[Browser]:
    """A wide window in light colours, as new. A test that leaves complaints on the console has failed."""
    _browser.driver.delete_all_cookies()
    _browser.size(*WIDE)
    _browser.prefer()
    _browser.complaints()
    _browser.forgiven = ""
    yield _browser
    said = _browser.complaints()
    _browser.open("about:blank")
    assert said == []
