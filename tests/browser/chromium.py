"""Debian's Chromium, driven from here. Needs `chromium` and `chromedriver` on the machine, and the extra `browser`.

Selenium is imported when a browser is first started, so that the other tests need none of this.
"""

from __future__ import annotations

import base64
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromedriver")
FLAGS = (
    "--headless",
    # As root, and without a graphics card.
    "--no-sandbox",
    "--disable-gpu",
    # Without these it looks for its maker's hosts, again and again.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    # Certificates here are the product's own.
    "--ignore-certificate-errors",
)
WITHIN = 40.0


class Browser:
    """One window. Selectors are CSS."""

    def __init__(self) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.options import Options
        from selenium.webdriver.chrome.service import Service

        self.forgiven = ""
        """What a test provokes: complaints that say so are none."""
        self._profile = tempfile.mkdtemp(prefix="lws-sched-chromium-")
        options = Options()
        options.binary_location = _path("chromium")
        for flag in (*FLAGS, f"--user-data-dir={self._profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver: Any = webdriver.Chrome(options=options, service=Service(_path("chromedriver")))

    def close(self) -> None:
        self.driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)

    # --- how it looks at things ---------------------------------------------------------------------------------------

    def size(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)

    def prefer(self, scheme: str = "light", motion: str = "no-preference") -> None:
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.command("Emulation.setEmulatedMedia", features=features)

    def command(self, name: str, **arguments: Any) -> Any:
        """Of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    # --- what a person does ------------------------------------------------------------------------------------------

    def open(self, address: str) -> None:
        self.driver.get(address)

    def click(self, selector: str) -> None:
        self.element(selector).click()

    def type(self, selector: str, text: str) -> None:
        self.element(selector).send_keys(text)

    def press(self, *keys: str) -> None:
        """Keys by Selenium's names, or characters, to whatever has the focus."""
        from selenium.webdriver.common.keys import Keys

        chain = [getattr(Keys, key) if len(key) > 1 else key for key in keys]
        for key in chain:
            self.driver.switch_to.active_element.send_keys(key)

    # --- what a person sees ------------------------------------------------------------------------------------------

    def element(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        """What is to be read there; "" where nothing is, or it is hidden."""
        found = self.driver.find_elements("css selector", selector)
        return str(found[0].text) if found else ""

    def js(self, script: str, *arguments: Any) -> Any:
        """The value of a script's `return`."""
        return self.driver.execute_script(script, *arguments)

    def until(self, holds: Callable[[], Any], within: float = WITHIN) -> Any:
        """What `holds` comes to say. Raises AssertionError."""
        end = time.monotonic() + within
        while not (said := holds()):
            if time.monotonic() > end:
                raise AssertionError(f"not within {within:.0f} s; the page says:\n{self.text('body')}")
            time.sleep(0.05)
        return said

    def until_text(self, selector: str, text: str) -> None:
        self.until(lambda: text in self.text(selector))

    def complaints(self) -> list[str]:
        """What the browser complained of on its console since last time, policy violations included."""
        said = [each["message"] for each in self.driver.get_log("browser") if each["level"] in ("WARNING", "SEVERE")]
        # A server that a test has ended, and a machine that is slow to use what was loaded, are not the page's faults.
        forgiven = ("net::ERR_", "but not used within a few seconds", *([self.forgiven] if self.forgiven else []))
        return [each for each in said if not any(text in each for text in forgiven)]

    def picture(self, path: Path) -> None:
        """The whole page."""
        found = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def accessible(self) -> list[dict[str, Any]]:
        """The accessibility tree as screen readers get it: role and name of each node that is not ignored."""
        nodes = self.command("Accessibility.getFullAXTree")["nodes"]
        return [
            {"role": each["role"]["value"], "name": each.get("name", {}).get("value", ""), **_properties(each)}
            for each in nodes
            if not each.get("ignored") and "role" in each
        ]


def _properties(node: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each["value"].get("value") for each in node.get("properties", ())}


def _path(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise AssertionError(f"{program} is not installed: apt-get install chromium chromium-driver")
    return found
