"""The report in a real browser, opened from disk. The tests save screenshots for people to look at."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from browser.window import Browser
from reports import HOSTILE, lines_of_the_day, shop
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from obs_middleware.__main__ import main

WIDTHS = [320, 390, 800, 1280, 1920]


def requested(browser: Browser) -> set[str]:
    """Return the addresses that the page has requested since the last call."""
    messages = (json.loads(entry["message"])["message"] for entry in browser.log("performance"))
    return {
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    }


def column(browser: Browser, table: str, name: str) -> list[Any]:
    """Return the values of a column in their current order, None for an unknown value."""
    values: list[Any] = browser.ask(
        """
        const table = document.querySelector(`#${arguments[0]} table.rows`);
        const index = [...table.tHead.rows[0].cells].findIndex((head) => head.textContent === arguments[1]);
        return [...table.tBodies[0].rows].map((row) => {
          const cell = row.cells[index];
          if (cell.querySelector(".missing")) return null;
          return "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent;
        });
        """,
        table,
        name,
    )
    return values


def head(browser: Browser, table: str, name: str) -> Any:
    """Return the button in the heading of a column."""
    return next(button for button in browser.all(f"#{table} thead button") if button.text == name)


def shown(browser: Browser, table: str) -> list[str]:
    """Return the texts of the visible rows."""
    return [row.text for row in browser.all(f"#{table} tbody tr") if row.is_displayed()]


def press(browser: Browser, *keys: str) -> None:
    """Press the keys in order, at the current focus."""
    for key in keys:
        ActionChains(browser.driver).send_keys(key).perform()


def in_sight(browser: Browser, selector: str) -> bool:
    """Whether an element is inside the window and not behind the bar at the top."""
    top: float = browser.ask("return arguments[0].getBoundingClientRect().top", browser.one(selector))
    return 40 < top < 900


def focused(browser: Browser, what: str) -> Any:
    """Return a property of the focused element."""
    return browser.ask("return document.activeElement[arguments[0]]", what)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_from_disk_without_any_request(browser: Browser, page: Path, scheme: str) -> None:
    requested(browser)
    browser.open(page, scheme=scheme)
    browser.picture(scheme)

    assert {url for url in requested(browser) if not url.startswith("data:image/svg+xml,")} == {page.as_uri()}
    assert browser.ask("return performance.getEntriesByType('resource').map(({ name }) => name)") == []
    assert browser.driver.title == "shop: report of requests"


def test_the_screenshot_for_the_docs_is_taken(browser: Browser, page: Path) -> None:
    """Copy it to docs/images by hand when the page has changed."""
    browser.open(page, width=1200, height=1830)

    assert browser.picture("report", whole=False).stat().st_size > 10_000


def test_the_policy_stops_injected_elements(window: Browser, page: Path) -> None:
    """Uses `window` instead of `browser`, because the console must have messages."""
    window.open(page)
    window.complaints()
    window.ask(
        """
        const image = document.createElement("img");
        image.src = "http://127.0.0.1:9/x.png";
        const script = document.createElement("div");
        document.body.append(image, script);
        try { script.innerHTML = "<b>markup</b>"; } catch { script.textContent = "refused"; }
        """
    )

    assert window.text("body > div:last-child") == "refused"
    assert any("Content Security Policy" in entry["message"] for entry in window.complaints())


def test_hostile_values_have_no_effect(browser: Browser, hostile_page: Path) -> None:
    browser.open(hostile_page)
    browser.picture("hostile")

    with pytest.raises(NoAlertPresentException):
        _ = browser.driver.switch_to.alert.text
    assert len(browser.all("script")) == 1
    assert (
        browser.all("img, iframe, object, embed, body svg[onload], main script, [onerror], a[href^='javascript']") == []
    )
    assert browser.text("h1") == HOSTILE[0]
    press(browser, "/", *"onerror")
    assert shown(browser, "routes")
    assert all("onerror" in row for row in shown(browser, "routes"))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_every_width(browser: Browser, page: Path, hostile_page: Path, width: int) -> None:
    for file in (page, hostile_page):
        browser.open(file, width=width)

        assert browser.ask("return document.documentElement.scrollWidth") <= width
    if width == 390:
        browser.open(page, width=width)
        browser.picture("narrow")


OUTSIDE = """
const seen = (one) => { const box = one.getBoundingClientRect(); return box.width > 0 && box.left >= 0 &&
  box.right <= innerWidth + 0.5; };
return [...document.querySelectorAll(".rows td:is([data-name^=p], .path, .error, .id)")]
  .filter((one) => !seen(one)).map((one) => one.textContent);
"""
"""Returns the cells with percentiles, paths, errors and ids that you do not see without scrolling sideways."""


@pytest.mark.parametrize("width", [320, 390, 600])
def test_a_phone_shows_percentiles_paths_and_errors(
    browser: Browser, page: Path, hostile_page: Path, width: int
) -> None:
    for file in (page, hostile_page):
        browser.open(file, width=width)

        assert browser.ask(OUTSIDE) == []
    browser.open(page, width=width)
    head(browser, "routes", "p95").click()
    assert column(browser, "routes", "p95") == sorted(column(browser, "routes", "p95"), reverse=True)


@pytest.mark.parametrize("width", [710, 1039])
def test_paper_shows_percentiles_paths_and_errors(browser: Browser, page: Path, hostile_page: Path, width: int) -> None:
    """A4 with margins, in portrait and in landscape, at 96 pixels per inch."""
    for file in (page, hostile_page):
        browser.open(file, width=width)
        browser.media("print")

        assert browser.ask(OUTSIDE) == []
        assert browser.ask("return document.documentElement.scrollWidth") <= width


def places(browser: Browser) -> list[list[float]]:
    """Return position and size of the elements of the page."""
    found: list[list[float]] = browser.ask(
        """
        const all = document.querySelectorAll("section, figure, figcaption, .chart, h2, th, td, input, #theme");
        return [...all].map((one) => {
          const { x, y, width, height } = one.getBoundingClientRect();
          return [x, y, width, height].map(Math.round);
        });
        """
    )
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_the_script_moves_nothing(browser: Browser, page: Path, width: int) -> None:
    """Neither at the start nor with a readout."""
    browser.open(page, width=width)
    with_script = places(browser)
    for key in (Keys.ARROW_RIGHT, Keys.HOME):
        for chart in browser.all(".chart"):
            browser.ask("arguments[0].focus({ preventScroll: true })", chart)
            press(browser, key)
            assert browser.ask("return document.activeElement.closest('figure').querySelector('output').textContent")
            assert places(browser) == with_script
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.driver.refresh()

    assert browser.all("thead button") == []
    assert places(browser) == with_script


# Sorting


def test_a_click_sorts_by_value_and_a_second_click_reverses(browser: Browser, page: Path) -> None:
    browser.open(page)
    before = column(browser, "routes", "p95")
    head(browser, "routes", "p95").click()

    assert before != column(browser, "routes", "p95") == sorted(before, reverse=True)
    assert browser.one("#routes th[aria-sort]").get_attribute("aria-sort") == "descending"
    head(browser, "routes", "p95").click()
    assert column(browser, "routes", "p95") == sorted(before)
    assert browser.one("#routes th[aria-sort]").get_attribute("aria-sort") == "ascending"
    head(browser, "routes", "Method").click()
    assert column(browser, "routes", "Method") == sorted(column(browser, "routes", "Method"))
    assert [one.text for one in browser.all("#routes th[aria-sort]")] == ["Method"]


def test_rows_without_a_value_stay_last(browser: Browser, page: Path) -> None:
    browser.open(page)
    users = column(browser, "slowest", "User")
    known = len([user for user in users if user is not None])
    assert 0 < known < len(users)
    for _ in range(2):
        head(browser, "slowest", "User").click()
        assert column(browser, "slowest", "User")[known:] == [None] * (len(users) - known)


def test_equal_rows_keep_their_order(browser: Browser, page: Path) -> None:
    browser.open(page)
    head(browser, "slowest", "Method").click()
    durations = [
        (method, -duration)
        for method, duration in zip(
            column(browser, "slowest", "Method"), column(browser, "slowest", "Duration"), strict=True
        )
    ]

    assert durations == sorted(durations)


# Filtering


def test_the_filter_keeps_rows_that_contain_every_word(browser: Browser, page: Path) -> None:
    browser.open(page)
    press(browser, "/", *"post  CHECKOUT")

    assert focused(browser, "id") == "filter"
    assert [row.split()[:2] for row in shown(browser, "routes")] == [["POST", "checkout/"]]
    assert browser.text("#routes .count") == f"1 of {len(shop().routes)}"
    total = sum(len(shown(browser, table)) for table in ("routes", "why", "places", "slowest", "errors"))
    assert browser.text("#matches") == f"{total} rows match"
    assert not in_sight(browser, "#routes h2")
    press(browser, Keys.ENTER)
    assert in_sight(browser, "#routes h2")
    browser.picture("filtered", whole=False)
    press(browser, *"nowhere", Keys.ENTER)
    assert shown(browser, "routes") == []
    assert browser.one("#routes .none").is_displayed()
    press(browser, Keys.ESCAPE)
    assert len(shown(browser, "routes")) == len(shop().routes)
    assert browser.text("#routes .count") == str(len(shop().routes))


def test_a_number_is_found_as_it_is_written(browser: Browser, page: Path) -> None:
    browser.open(page)
    text = browser.text("#slowest tbody td")
    browser.one("#filter").send_keys(text)

    assert text.endswith(" s")
    assert shown(browser, "slowest")


# Theme


def test_the_theme_is_the_systems_until_the_button_is_pressed(browser: Browser, page: Path) -> None:
    browser.open(page, scheme="light")
    light = browser.one("body").value_of_css_property("background-color")
    browser.one("#theme").click()
    dark = browser.one("body").value_of_css_property("background-color")

    assert light != dark
    assert browser.one("#theme").get_attribute("aria-pressed") == "true"
    browser.driver.refresh()
    assert browser.one("body").value_of_css_property("background-color") == dark
    browser.one("#theme").click()
    assert browser.one("body").value_of_css_property("background-color") == light
    browser.ask("localStorage.clear()")
    browser.open(page, scheme="dark")
    assert browser.one("body").value_of_css_property("background-color") == dark
    assert browser.one("#theme").get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(browser: Browser, page: Path, scheme: str) -> None:
    """By WCAG 2, level AA: 4.5 to 1."""
    browser.open(page, scheme=scheme)

    for selector, behind in [
        ("body", "body"),
        (".hint", "figure"),
        (".bad", ".card"),
        ("td.poor", ".scroll"),
        (".strong dd", ".card"),
        ("td.small", ".scroll"),
        (".id", ".scroll"),
        ("footer", "body"),
    ]:
        letters = luminance(browser.one(selector).value_of_css_property("color"))
        ground = luminance(browser.one(behind).value_of_css_property("background-color"))
        dark, bright = sorted((letters, ground))
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, selector


def luminance(colour: str) -> float:
    """Return the relative luminance of ``rgb(r, g, b)``, as WCAG 2 defines it."""
    parts = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# Keyboard and charts


def test_the_tab_key_reaches_everything_visibly(browser: Browser, page: Path) -> None:
    browser.open(page)
    expected = browser.ask(
        "return [...document.querySelectorAll('a, button, input, summary, [tabindex]')].filter((one) => "
        "one.checkVisibility()).length"
    )
    reached = set()
    for _ in range(expected):
        press(browser, Keys.TAB)
        reached.add(browser.driver.switch_to.active_element.id)
        assert browser.ask("return getComputedStyle(document.activeElement).outlineStyle") != "none"

    assert len(reached) == expected


def test_a_table_is_sorted_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)
    before = column(browser, "routes", "Requests")
    browser.ask("document.querySelector('#routes .scroll').focus()")
    press(browser, Keys.TAB, Keys.TAB, Keys.TAB, Keys.ENTER)

    assert focused(browser, "textContent") == "Requests"
    assert column(browser, "routes", "Requests") == sorted(before, reverse=True)


def test_the_arrow_keys_read_the_heat_map(browser: Browser, page: Path) -> None:
    heat = shop().heat_map
    assert heat is not None
    browser.open(page)
    readout, chart = "[data-chart=matrix] .readout", browser.one("[data-chart=matrix] .chart")
    chart.send_keys(Keys.HOME)
    middle = (len(heat.durations) - 1) // 2

    assert browser.text(readout).startswith("2026-11-23 06:00 to 06:15 · ")
    assert browser.text(readout).endswith(f" · {heat.counts[0][middle]} requests")
    chart.send_keys(Keys.END, Keys.ARROW_LEFT, Keys.ARROW_DOWN)
    assert browser.text(readout).endswith(f" · {heat.counts[-2][middle - 1]} requests")
    chart.send_keys(Keys.ARROW_UP, *[Keys.ARROW_RIGHT] * 3)
    assert browser.text(readout).endswith(f" · {heat.counts[-1][middle]} requests")
    chart.send_keys(Keys.ESCAPE)
    assert browser.text(readout) == ""


def test_the_pointer_reads_a_chart(browser: Browser, page: Path) -> None:
    browser.open(page)
    plot = browser.one("#time [data-chart=rows] .plot")
    # A few pixels to the right of the border between two columns.
    ActionChains(browser.driver).move_to_element_with_offset(plot, 3, 0).perform()
    middle = shop().course[len(shop().course) // 2]
    read = browser.text("#time [data-chart=rows] .readout")
    browser.picture("hover", whole=False)

    assert f"Requests {middle.requests} · " in read
    assert read.endswith(f" · n {middle.durations.n}")
    ActionChains(browser.driver).move_to_element(browser.one("h1")).perform()
    assert browser.text("#time [data-chart=rows] .readout") == ""


# Without a script, and on paper


def test_it_is_complete_without_its_script(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.driver.refresh()

    assert len(browser.all("#routes tbody tr")) == len(shop().routes)
    assert browser.all("#routes thead button") == []
    assert browser.one(".tools").value_of_css_property("visibility") == "hidden"
    browser.one("summary").click()
    assert browser.one("details table").is_displayed()


def test_it_prints_for_paper(browser: Browser, page: Path) -> None:
    browser.open(page, scheme="dark")
    pdf = base64.b64decode(browser.command("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])
    (browser.picture("dark").parent / "print.pdf").write_bytes(pdf)
    browser.media("print", "dark")

    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 6
    assert not browser.one(".bar-top").is_displayed()
    assert not browser.one("summary").is_displayed()
    assert browser.one("body").value_of_css_property("color") == "rgba(27, 30, 33, 1)"
    assert browser.one("#routes .scroll").value_of_css_property("overflow-x") == "visible"


def test_the_picture_in_the_documentation_is_of_the_command(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is saved as report.png, to be copied to docs/images."""
    monkeypatch.chdir(tmp_path)
    Path("access.log").write_text("\n".join(lines_of_the_day()))
    assert main(["report", "access.log", "-o", "report.html"]) == 0
    page = tmp_path / "report.html"
    browser.open(page, width=1200)
    bottom = browser.ask("return document.querySelector('#durations').getBoundingClientRect().bottom + scrollY")
    browser.open(page, width=1200, height=int(bottom) + 24)
    browser.picture("report", whole=False)

    assert browser.text("h1") == "shop"
    assert "other log lines" in browser.text("#durations")
