"""What the page looks like at 10, 1,000 and 5,000 hosts, in light and dark, wide and narrow: drawn, whole, readable.

The pictures are left in tests/browser/pictures: look at them after a change.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.browser.chromium import Browser
from tests.browser.conftest import PICTURES, WIDE
from tests.browser.scenery import scenery
from tests.browser.served import page_of, served

pytestmark = pytest.mark.browser
NARROW = (390, 844)
LARGE = (1920, 1080)

_COLOURS = """
const canvas = document.getElementById("map"), pen = canvas.getContext("2d");
const {data} = pen.getImageData(0, 0, canvas.width, canvas.height), found = new Map();
for (let at = 0; at < data.length; at += 4) {
  if (data[at + 3] < 255) continue;
  const colour = [data[at], data[at + 1], data[at + 2]].join();
  found.set(colour, (found.get(colour) ?? 0) + 1);
}
return [...found].filter(([, count]) => count > 40).map(([colour]) => colour);
"""
_CONTRASTS = """
const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
const contrast = (a, b) => {
  const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
};
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
};
const poor = [];
for (const element of document.querySelectorAll("body *")) {
  const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!hasText || !element.checkVisibility() || element.closest(".unseen, .skip, option")) continue;
  const found = contrast(parse(getComputedStyle(element).color), ground(element));
  if (found < 4.5) poor.push(`${found.toFixed(2)} ${element.tagName} ${element.textContent.trim().slice(0, 40)}`);
}
return poor;
"""
_SHAPES = """
const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const probe = document.body.appendChild(document.createElement("i"));
const light = (name) => {
  probe.style.color = `var(--${name})`;
  const [r, g, b] = getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number);
  return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
};
const names = [...Array(10).keys()].map((hue) => `hue-${hue}`).concat("taken", "edge", "accent");
const poor = names.map((name) => {
  const [high, low] = [light(name), light("ground")].sort((a, b) => b - a);
  return [name, (high + 0.05) / (low + 0.05)];
}).filter(([, found]) => found < 3);
probe.remove();
return poor;
"""


@cache
def page_with(hosts: int) -> Any:
    return page_of(scenery(hosts).cluster())


@pytest.fixture(scope="module", params=[10, 1000, 5000])
def address(request: pytest.FixtureRequest) -> Iterator[tuple[int, str]]:
    with served(page_with(request.param)) as found:
        yield request.param, found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [NARROW, WIDE, LARGE], ids=["narrow", "wide", "large"])
def test_the_page_is_whole(
    browser: Browser, address: tuple[int, str], size: tuple[int, int], scheme: str, request: pytest.FixtureRequest
) -> None:
    hosts, where = address
    browser.size(*size)
    browser.prefer(scheme)
    browser.open(where)
    browser.until_text("#summary", "groups whole and bound")
    browser.until_text("#waiting", "It needs 40 hosts")

    browser.picture(PICTURES / f"{hosts}-{request.node.callspec.id}.png")
    assert browser.js("return document.documentElement.scrollWidth <= innerWidth"), "it is wider than the window"
    assert len(browser.js(_COLOURS)) >= 5, "groups, free hosts and names have colours of their own"
    assert browser.js(_CONTRASTS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_shapes_stand_out_from_the_ground(browser: Browser, address: tuple[int, str], scheme: str) -> None:
    browser.prefer(scheme)
    browser.open(address[1])

    assert browser.js(_SHAPES) == []


@pytest.mark.parametrize("tab", ["timeline", "groups", "what-if"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_panel_is_readable(browser: Browser, scheme: str, tab: str) -> None:
    browser.prefer(scheme)
    with served(page_with(1000)) as where:
        browser.open(where)
        browser.until_text("#waiting", "It needs 40 hosts")
        browser.click(f"#tab-{tab}")
        browser.click("#as-table")
        if tab == "what-if":
            browser.click("#example")
            browser.click("#ask")
            browser.until_text("#answer", "2 of 2 groups have a place")
        if tab == "groups":
            browser.click("#group-list button")
            browser.until_text("#details", "asks for")

        browser.picture(PICTURES / f"panel-{tab}-{scheme}.png")
        assert browser.js(_CONTRASTS) == []


def test_the_theme_that_was_chosen_stays_chosen(browser: Browser) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    with served(page_with(10)) as where:
        browser.open(where)
        light = browser.js(ground)
        browser.click("#theme")
        browser.click("#theme")
        assert browser.text("#theme") == "Dark"
        dark = browser.js(ground)
        browser.open(where)

        assert (browser.text("#theme"), browser.js(ground)) == ("Dark", dark)
        assert dark != light


def test_nothing_moves_for_those_who_want_it_still(browser: Browser) -> None:
    moving = """return [...document.querySelectorAll("*")].filter((each) => {
        const style = getComputedStyle(each);
        return style.transitionDuration !== "0s" || style.animationName !== "none";
    }).length"""
    with served(page_with(10)) as where:
        browser.prefer(motion="reduce")
        browser.open(where)
        browser.until_text("#waiting", "It needs 40 hosts")

        assert browser.js(moving) == 0
