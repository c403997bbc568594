"""The page in a real browser: what a person can do with it, and what it never does."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from hypervisor.ledger import Ledger, NewItem
from hypervisor.views import page as pages
from views.page import batches

Show = Callable[..., Page]
ROWS = "#list tbody tr"
SHOWN = f"{ROWS}:visible"


def column(page: Page, number: int) -> list[str]:
    cells = page.locator(f"{ROWS}:not([hidden]) td:nth-child({number})")
    return [text.strip() for text in cells.all_text_contents()]


def test_an_empty_queue_has_a_page_too(show: Show, empty: Path) -> None:
    page = show(empty)
    assert page.locator("h1").inner_text() == "inbox"
    assert "no items" in page.locator(".lead").inner_text()
    assert page.locator("#list, #controls:visible, .stack").count() == 0
    assert violations(page) == []


def test_the_page_of_a_batch_typed_by_workers_tells_what_became_of_it(
    show: Show, typed: Path
) -> None:
    page = show(typed)
    assert page.locator(ROWS).count() == 26
    assert page.locator(".legend li").all_inner_texts() == ["22 done", "2 blocked", "2 failed"]
    assert page.locator(".lanes tbody th").all_inner_texts()[1:] == ["anna", "ben", "cleo"]
    assert "tasks" in page.locator(".asked").inner_text()
    reasons = page.locator(".groups li p:first-child").all_inner_texts()
    assert reasons == [
        "2 failed three rows expected, two found",
        "2 blocked the archive is missing",
    ]
    commands = page.locator(".steps code").all_inner_texts()
    assert commands[:2] == ["hypervisor retry inbox --failed", "hypervisor retry inbox --blocked"]
    row = page.locator("#i13")
    row.locator("summary").click()
    tries = [text for text in row.locator("dd").all_inner_texts() if "failed" in text]
    assert len(tries) == 2 and all("three rows expected" in text for text in tries)


def test_a_filter_by_outcome_and_text_leaves_what_matches_both(show: Show, small: Path) -> None:
    page = show(small)
    status = page.get_by_role("status")
    assert status.inner_text() == "60 of 60 shown"
    done = page.get_by_role("button", name=re.compile("^done"))
    done.click()
    assert done.get_attribute("aria-pressed") == "true"
    assert set(column(page, 3)) == {"done"}
    page.get_by_role("searchbox").fill("Translate INBOX-003a")
    left = page.locator(SHOWN)
    assert 0 < left.count() < 10
    assert all("Translate" in text for text in left.all_inner_texts())
    assert status.inner_text() == f"{left.count()} of 60 shown"
    page.get_by_role("searchbox").fill("nothing is called that")
    assert left.count() == 0
    page.get_by_role("searchbox").fill("")
    page.get_by_role("button", name="all 60").click()
    assert left.count() == 60


def test_every_column_sorts_both_ways_and_says_so(show: Show, small: Path) -> None:
    page = show(small)
    heads = page.locator("#list thead th")
    assert page.locator("#list [aria-sort]").count() == 0
    names = ["No.", "Item", "Outcome", "Worker", "Tries", "Time", "Tokens", "Ended"]
    assert heads.all_inner_texts() == names
    for number, name in enumerate(names, 1):
        head, orders = heads.nth(number - 1), []
        for order in ("ascending", "descending"):
            head.get_by_role("button").press("Enter")
            assert head.get_attribute("aria-sort") == order
            assert page.locator("#list [aria-sort]").count() == 1
            orders.append([value(name, text) for text in column(page, number)])
        up, down = orders
        assert len(set(up)) > 1
        assert (up, down) == (sorted(up), sorted(down, reverse=True)), name


def value(name: str, text: str) -> float | str:
    """Read a cell as a person does."""
    if name in ("No.", "Tries", "Tokens"):
        return int(text.replace(",", ""))
    if name == "Time":
        units = {"ms": 0.001, "s": 1, "min": 60, "h": 3600}
        return sum(float(n) * units[unit] for n, unit in re.findall(r"([\d.]+) (\w+)", text))
    if name == "Worker":
        return int(text.removeprefix("worker-"))
    return text.lower()


def test_an_item_opens_from_the_keyboard_to_all_that_is_known_of_it(
    show: Show, small: Path
) -> None:
    page = show(small)
    row = page.locator(ROWS, has_text="its worker died").first
    details = row.locator("details")
    assert not row.locator("dl").is_visible()
    row.locator("summary").press("Enter")
    assert row.locator("dl").is_visible() and details.get_attribute("open") is not None
    facts = dict(
        zip(row.locator("dt").all_inner_texts(), row.locator("dd").all_inner_texts(), strict=True)
    )
    assert re.fullmatch(r"tasks/inbox/inbox-[0-9a-f]{5}\.md", facts["File"])
    assert re.fullmatch("[0-9a-f]{10}", facts["Commit"])
    assert facts["Files"].startswith("src/garden/inbox-")
    assert "its worker died. API error 529" in facts["Try 1"]
    assert facts["Try 2"].endswith("done")
    assert re.fullmatch(r"agent-a\w+\.jsonl", facts["Transcript"])


def test_a_link_to_an_item_opens_it_whatever_the_filter_hides(show: Show, small: Path) -> None:
    page = show(small)
    page.get_by_role("searchbox").fill("nothing is called that")
    link = page.locator(".groups a").first
    link.click()
    row = page.locator(link.get_attribute("href") or "")
    row.locator("dl").wait_for()
    assert page.locator(SHOWN).count() == 60


def test_it_is_dark_where_the_system_is_and_where_the_reader_says_so(
    show: Show, small: Path
) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light = show(small).evaluate(paper)
    page = show(small, color_scheme="dark")
    dark = page.evaluate(paper)
    assert (
        sum(map(int, re.findall(r"\d+", light)))
        > 700
        > 120
        > sum(map(int, re.findall(r"\d+", dark)))
    )
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(paper) == light
    page.reload()
    assert page.evaluate("localStorage.getItem('hypervisor-theme')") == "light"
    assert page.evaluate(paper) == light, "the choice is kept"
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(paper) == dark


def test_a_command_is_copied_or_where_that_is_forbidden_selected(show: Show, small: Path) -> None:
    page = show(small)
    command = page.locator(".steps code").first.inner_text()
    copy = page.locator(".steps button").first
    page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', { configurable: true, value: "
        "{ writeText: async (text) => { document.title = text; } } })"
    )
    copy.click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.title() == command
    page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', { value: undefined });"
        "document.execCommand = () => false"
    )
    copy.click()
    page.get_by_role("button", name="Selected").wait_for()
    assert page.evaluate("getSelection().toString()") == command


def test_a_hostile_title_is_shown_as_text(show: Show, small: Path, typed: Path) -> None:
    for path in (small, typed):
        page = show(path)
        assert batches.HOSTILE in page.locator("#i7 summary").inner_text()
        assert page.locator("img").count() == 0
        assert page.title() == "inbox: report of a batch"


def test_paper_shows_every_row_and_no_control(show: Show, small: Path) -> None:
    page = show(small, color_scheme="dark")
    page.get_by_role("searchbox").fill("Translate")
    assert page.locator(SHOWN).count() < 60
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator(SHOWN).count() == 60
    assert page.locator("#controls:visible, .theme:visible, .skip:visible").count() == 0
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(28, 27, 25)"
    page.set_viewport_size({"width": 680, "height": 900})
    assert page.evaluate(CUT) == []
    sheets = len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))
    assert 4 <= sheets <= 9


# What is wider than the cell in which it stands.
CUT = """[...document.querySelectorAll("td, th")]
    .filter((cell) => cell.offsetParent && cell.scrollWidth > cell.clientWidth + 1)
    .map((cell) => cell.textContent.trim())"""


def test_without_javascript_all_of_it_can_be_read(show: Show, small: Path) -> None:
    page = show(small, java_script_enabled=False)
    assert page.locator(SHOWN).count() == 60
    assert page.locator("button:visible, input:visible").count() == 0
    page.locator("#i9 summary").click()
    assert page.locator("#i9 dl").is_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 900), ("light", 390)])
def test_axe_finds_nothing_to_mend(show: Show, full: Path, scheme: str, width: int) -> None:
    page = show(full, color_scheme=scheme, viewport={"width": width, "height": 900})
    assert page.locator("h2").all_inner_texts() == [
        "What to do next", "What was asked", "How it went", "What it cost",
        "How the session heard of it", "Review", "Items",
    ]  # fmt: skip
    asked = page.locator(".asked dt").all_inner_texts()
    assert {"Answer", "Budget", "Budget of an item"} <= set(asked)
    page.get_by_role("searchbox").fill("died")
    page.get_by_role("button", name="Open all").click()
    page.locator("#list thead button").nth(1).click()
    assert page.locator("#list dd", has_text="refused by answer").count() == 1
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_axe_would_find_what_is_wrong(browser: Browser, small: Path, tmp_path: Path) -> None:
    text = small.read_text(encoding="utf-8").replace('<html lang="en">', "<html>")
    path = tmp_path / "wrong.html"
    path.write_text(text)
    page = browser.new_page()
    page.goto(path.as_uri())
    page.evaluate("document.documentElement.style.setProperty('--soft', '#aaa')")
    assert violations(page) == ["color-contrast", "html-has-lang"]
    page.close()


def violations(page: Page) -> list[str]:
    found = Axe().run(page, options={"resultTypes": ["violations"]})
    return [broken["id"] for broken in found.response["violations"]]


def test_the_policy_forbids_every_load(browser: Browser, small: Path) -> None:
    page = browser.new_page()
    page.goto(small.as_uri())
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        denied = page.evaluate(LOAD, address)
        assert heard(server) == b""
    policies = {"img-src", "script-src-elem", "style-src-elem", "frame-src", "connect-src"}
    assert policies <= set(denied)
    assert page.title() == "inbox: report of a batch"
    page.close()


def heard(server: socket.socket) -> bytes:
    """Return what was sent to `server`. Chromium connects ahead for a frame that it then denies."""
    told = b""
    with suppress(TimeoutError):
        while True:
            connection, _ = server.accept()
            with connection, suppress(TimeoutError):
                connection.settimeout(0.3)
                told += connection.recv(1000)
    return told


LOAD = """async (address) => {
    const denied = [];
    addEventListener("securitypolicyviolation", (e) => denied.push(e.effectiveDirective));
    const add = (name, key, value) => {
        const made = document.createElement(name);
        made[key] = value;
        document.body.append(made);
    };
    for (const name of ["img", "script", "iframe"]) add(name, "src", address);
    add("script", "textContent", "document.title = 'run'");
    add("style", "textContent", "body { display: none }");
    await fetch(address).catch(() => {});
    await new Promise((done) => setTimeout(done, 300));
    return denied;
}"""


def test_two_thousand_items_of_fifty_workers_are_one_small_file_that_works(
    show: Show, large: Path
) -> None:
    assert large.stat().st_size < 1_000_000
    page = show(large)
    assert page.locator(ROWS).count() == 2000
    assert page.locator(".lane").count() == 50
    page.get_by_role("button", name=re.compile("^failed")).click()
    failed = int(page.locator(".legend li", has_text="failed").inner_text().split()[0])
    assert page.locator(SHOWN).count() == failed > 20
    page.get_by_role("button", name="Time", exact=True).click()
    times = [value("Time", text) for text in column(page, 6)]
    assert times == sorted(times)
    page.locator(f"{SHOWN} summary").first.click()
    assert "Try 3" in page.locator("#list dl:visible").inner_text()


def test_what_has_not_ended_is_named_apart_and_stands_in_line(show: Show, project: Path) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem(name) for name in "abc"])
        [failed, _] = ledger.claims.claim("q", "w", 2)
        ledger.ends.finish(failed.token, "failed", {"reason": "no network"})
        kept = pages.keep(ledger.state, ledger.queues.get("q"), pages.render(ledger, "q"))
    page = show(Path(kept))
    legend = ["1 at work", "1 to be tried again", "1 not attempted"]
    assert page.locator(".legend li").all_inner_texts() == legend
    assert page.locator("#i1 q").inner_text() == "to be tried again (after: no network)"
    dots = "cell => getComputedStyle(cell, '::before').backgroundColor"
    colours = [page.locator(f"#i{row} td:nth-child(3)").evaluate(dots) for row in (1, 2, 3)]
    assert len(set(colours)) == 3
    side = "cell => getComputedStyle(cell).textAlign"
    sides = [page.locator(f"#i{row} td:nth-child(2)").evaluate(side) for row in (1, 2, 3)]
    assert sides == ["left"] * 3
    assert violations(page) == []
