"""
Draw docs/images/reasons.png: the reasons in a report, from a real run of the shop. Needs Chromium and its driver.

The picture ends below the last route whose line of code is known.
"""

import base64
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import demo
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

VISITORS = 1  # a blocked event loop would let the requests of others wait
SECONDS = 40
WIDTH = 1000
SECTION = "why"
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
MARGIN = 12


def main(picture: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="report-") as name:
        page = Path(name, "report.html")
        if demo.main(page, VISITORS, SECONDS) != 0:
            raise SystemExit("The demonstration failed.")
        picture.write_bytes(taken(page, Path(name, "profile")))
    print(f"\n{picture} shows the reasons.")


def taken(page: Path, profile: Path) -> bytes:
    """Return a picture of the section of *page*, as PNG."""
    options = ChromeOptions()
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        raise SystemExit("Install Chromium and its driver (Debian: chromium, chromium-driver).")
    options.binary_location = program
    for flag in [*FLAGS, f"--user-data-dir={profile}", f"--window-size={WIDTH},900"]:
        options.add_argument(flag)
    browser = Chrome(options, Service(driver))
    try:
        browser.get(page.as_uri())
        section = browser.find_element("id", SECTION)
        routes = [row for row in section.find_elements("css selector", "tbody tr") if " at shop/" in row.text]
        top = section.rect["y"] - MARGIN
        bottom = max(row.rect["y"] + row.rect["height"] for row in routes)
        clip = {"x": 0, "y": top, "width": WIDTH, "height": bottom - top, "scale": 1}
        shot: dict[str, Any] = browser.execute_cdp_cmd(
            "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
        )
        return base64.b64decode(shot["data"])
    finally:
        browser.quit()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else demo.SHOP.parent.parent / "docs" / "images" / "reasons.png")
