"""Fixtures: headless Chromium with a new profile, and the pages to open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.window import FLAGS, Browser
from reports import hostile, shop
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from obs_middleware.read.show.page.page import render


@pytest.fixture(name="window", scope="session")
def _window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    window = Chrome(options, Service(driver))
    try:
        yield Browser(window)
    finally:
        window.quit()


@pytest.fixture(name="browser")
def _browser(window: Browser) -> Iterator[Browser]:
    """The window, without a theme from another test. The console must be empty after the test."""
    window.complaints()
    yield window
    said = window.complaints()
    window.ask("localStorage.clear()")
    assert said == []


@pytest.fixture(name="page", scope="session")
def _page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an ordinary day."""
    return _written(tmp_path_factory, render(shop()))


@pytest.fixture(name="hostile_page", scope="session")
def _hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same report with a hostile value in every text."""
    return _written(tmp_path_factory, render(hostile()))


def _written(factory: pytest.TempPathFactory, text: str) -> Path:
    file = factory.mktemp("report") / "report.html"
    file.write_text(text, encoding="utf-8")
    return file
