"""Makes the pictures of the docs, in docs/images.

    python bench/screenshots.py

Needs the libraries of requirements-dev.txt, tmux and Chromium; on Debian: apt-get install chromium
fonts-inter fonts-dejavu tmux. The batches that are shown are made by the ledger's own verbs.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

REPO = Path(__file__).resolve().parent.parent
IMAGES = REPO / "docs" / "images"
# In place of this folder, whose scripts have names that the tests use too.
sys.path[:1] = [str(REPO / "src"), str(REPO / "tests")]

from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.views import page as pages
from views.page import batches
from views.watch.support import Screen

SIZE = {"width": 1180, "height": 1630}
COLUMNS, LINES = 104, 15
TOOLS = ("Edit: loader.py", "Bash: npm test", "Read: slug.md", "Grep: retries", "Write: notes.md")
DARK = TerminalTheme(
    (21, 22, 26),
    (236, 234, 229),
    [(21, 22, 26), (232, 94, 80), (76, 175, 125), (222, 164, 52),
     (98, 155, 240), (190, 130, 220), (70, 184, 196), (200, 198, 192)],
    [(128, 128, 128), (240, 120, 106), (110, 200, 150), (240, 190, 90),
     (130, 180, 250), (210, 160, 235), (100, 205, 215), (255, 255, 255)],
)  # fmt: skip
TERMINAL = """<!DOCTYPE html><meta charset="utf-8"><style>
body { margin: 0; background: #15161a; color: #eceae5; display: inline-block; padding: 20px 24px; }
pre { margin: 0; font: 14px/1.4 "DejaVu Sans Mono", monospace; }
</style>"""


def main() -> int:
    IMAGES.mkdir(exist_ok=True)
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as at, sync_playwright() as playwright:
        # A terminal is started with these.
        os.environ.setdefault("HYPERVISOR_HOME", str(Path.home() / ".cache" / "hypervisor"))
        os.environ["HYPERVISOR_STATE"] = f"{at}/state"
        page = batch_page(Path(at))
        browser = playwright.chromium.launch(executable_path=browser_path, args=sandbox)
        for scheme in ("light", "dark"):
            shoot_page(browser, page, scheme, IMAGES / f"page-{scheme}.png")
        shoot_terminal(browser, live_view(Path(at) / "garden"), IMAGES / "watch.png")
        browser.close()
    for image in sorted(IMAGES.glob("*.png")):
        print(f"{image.relative_to(REPO)}: {image.stat().st_size // 1024} KB")
    return 0


def batch_page(root: Path) -> Path:
    """Make the page on a batch of 60 items and six workers; return its path."""
    end = batches.work_off(root, "inbox", 60, 6, hostile=False)
    path = root / "inbox.html"
    with Ledger.open(str(root)) as ledger:
        pages.write(str(path), pages.render(ledger, "inbox", end + 300))
    return path


def shoot_page(browser: Browser, page: Path, scheme: str, image: Path) -> None:
    """Take the upper part of `page` in light or dark."""
    context = browser.new_context(color_scheme=scheme, viewport=SIZE)
    shown = context.new_page()
    shown.goto(page.as_uri())
    shown.screenshot(path=image)
    context.close()


def live_view(root: Path) -> str:
    """Return the screen of `hypervisor status --watch` on a batch in mid-work, as HTML."""
    (root / ".hypervisor").mkdir(parents=True, mode=0o700)
    with Ledger.open(str(root), create=True) as ledger:
        items = [NewItem(f"garden-{number:04x}") for number in range(0x1A0, 0x2C0)]
        ledger.generations.open("inbox", items, Options(max_attempts=1))
        ledger.generations.open("attic", [NewItem(f"attic-{n:03}") for n in range(40)])
        for number in range(150):
            outcome = {60: "failed", 101: "blocked"}.get(number, "done")
            reason = {"failed": "no such table: plots", "blocked": "the archive is not here"}
            [claim] = ledger.claims.claim("inbox", "w")
            ledger.ends.finish(claim.token, outcome, {"reason": reason.get(outcome, "")})
        for claim in ledger.claims.claim("attic", "w", 40):
            ledger.ends.finish(claim.token, "done", {})
        for number, tool in enumerate(TOOLS):
            agent = f"worker-{number + 1}"
            [claim] = ledger.claims.claim("inbox", agent, session="s")
            ledger.sessions.assign("s", agent, [claim.token])
            ledger.agents.join(agent, "s", ledger.queues.get("inbox").no, None)
            ledger.agents.saw_tool(agent, tool)
            ledger.agents.set_usage(
                agent, (9000, 2345, 61_000 * (number + 1), 50), {}, complete=False
            )
        with ledger.store.write():
            now = time.time()
            ledger.store.change("update event set at = ?", (now - 1800,))
            ledger.store.change(
                "update item set finished_at = ? - 11 * (160 - finish_no % 160) "
                "where finish_no is not null",
                (now,),
            )
            ledger.store.change("update claim set claimed_at = ? - 40 * (no % 7)", (now - 45,))
    screen = Screen(root, (COLUMNS, LINES), {"TERM": "xterm-256color"})
    try:
        screen.watch()
        time.sleep(2)
        shown = screen.tmux("capture-pane", "-p", "-e")
    finally:
        screen.close()
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    # The folder is a temporary one, whose name says nothing to anybody.
    console.print(Text.from_ansi(shown.replace(str(root), f"{'~/garden':{len(str(root))}}")))
    return console.export_html(theme=DARK, inline_styles=True, code_format="{code}")


def shoot_terminal(browser: Browser, screen: str, image: Path) -> None:
    """Take a terminal's screen, given as HTML."""
    context = browser.new_context(device_scale_factor=2)
    shown = context.new_page()
    shown.set_content(f"{TERMINAL}<pre>{screen}</pre>")
    shown.locator("body").screenshot(path=image)
    context.close()


if __name__ == "__main__":
    raise SystemExit(main())
