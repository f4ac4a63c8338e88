"""A window of a real browser."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any, Final

from paths import ROOT
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

__all__ = ["FLAGS", "Browser"]

FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
PICTURES: Final = Path(os.environ.get("OBS_SCREENSHOTS") or ROOT / "build" / "screenshots")
"""Folder of the screenshots."""


class Browser:
    """
    A window of a browser, with the operations that tests need.

    Args:
        driver: The driver from Selenium.
    """

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Open *page* from disk, with the given window size and colour scheme."""
        self.command("Emulation.setScriptExecutionDisabled", value=False)
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        self.media("screen", scheme)
        self.driver.get(page.as_uri())

    def media(self, name: str, scheme: str = "light") -> None:
        """Emulate a medium, ``screen`` or ``print``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.command("Emulation.setEmulatedMedia", media=name, features=features)

    def command(self, name: str, **arguments: Any) -> Any:
        """Send a command of the DevTools protocol and return its result."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def ask(self, script: str, *arguments: Any) -> Any:
        """Run *script* and return its result."""
        return self.driver.execute_script(script, *arguments)

    def one(self, selector: str) -> WebElement:
        """Return the first element that matches."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """Return all elements that match."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """Return the text of the first element that matches, as it is in the document."""
        return str(self.one(selector).get_property("textContent"))

    def complaints(self) -> list[dict[str, Any]]:
        """Return the messages of the console since the last call."""
        return self.log("browser")

    def log(self, name: str) -> list[dict[str, Any]]:
        """Return the new entries of a log of the driver."""
        entries: list[dict[str, Any]] = self.driver.get_log(name)  # type: ignore[no-untyped-call]
        return entries

    def picture(self, name: str, *, whole: bool = True) -> Path:
        """Save a screenshot of the whole page, or of its visible part."""
        shot = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        PICTURES.mkdir(parents=True, exist_ok=True)
        file = PICTURES / f"{name}.png"
        file.write_bytes(base64.b64decode(shot["data"]))
        return file
