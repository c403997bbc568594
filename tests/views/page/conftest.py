"""Pages of real runs, and a real browser that opens them and tells of all that it does."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from hypervisor.config.roots import create_state
from hypervisor.ledger import Ledger
from hypervisor.ledger.reviews import Sample
from hypervisor.views import page as pages
from repository import REPO
from views.page import batches

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# It shall talk to nobody, also when it starts.
_QUIET = (
    "--disable-background-networking", "--disable-component-update", "--disable-gpu",
    "--disable-quic", "--disable-sync", "--no-first-run",
)  # fmt: skip
_TASK = """---
id: {id}
title: {title}
type: task
status: active
---

Do it.
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium, without a window."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=[*_QUIET, *sandbox])
        yield started
        started.close()


@pytest.fixture
def show(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`show(path, **context)`: a page in the browser. At the end of the test, none of them has
    said a word on its console, thrown an error, or asked for anything but itself."""
    contexts, said, asked, given = [], [], set(), set()

    def show(path: Path, **context: Any) -> Page:
        contexts.append(browser.new_context(**context))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.add(request.url))
        given.add(path.as_uri())
        page.goto(path.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert (said, asked) == ([], given)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page on 60 items that six agents worked on, with every kind of end."""
    return _made_once(tmp_path_factory, "small", lambda root: _simulated(root, 60, 6))


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that has every section: a sample is reviewed, answers and budgets are asked for,
    and checks have refused reports."""
    return _made_once(tmp_path_factory, "full", _reviewed)


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page on 2,000 items that fifty agents worked on."""
    return _made_once(tmp_path_factory, "large", lambda root: _simulated(root, 2000, 50))


@pytest.fixture(scope="session")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page on 26 task files that three workers ended with the commands they are told."""
    return _made_once(tmp_path_factory, "typed", _typed)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page on a queue without items."""

    def make(root: Path) -> None:
        with Ledger.open(str(root), create=True) as ledger:
            ledger.generations.open("inbox", [])
        assert _hypervisor(root, "report", "inbox").returncode == 0

    return _made_once(tmp_path_factory, "empty", make)


def _simulated(root: Path, count: int, workers: int) -> None:
    end = batches.work_off(root, "inbox", count, workers)
    with Ledger.open(str(root)) as ledger:
        pages.keep(
            ledger.state, ledger.queues.get("inbox"), pages.render(ledger, "inbox", end + 60)
        )


def _reviewed(root: Path) -> None:
    end = batches.work_off(root, "inbox", 60, 6)
    with Ledger.open(str(root)) as ledger, batches.Clock(end).running():
        queue = ledger.queues.get("inbox")
        ledger.store.change(
            "update queue set answer = ?, budget_usd = 5, budget_tokens = 9000000, item_usd = 0.5",
            ('{"type": "object", "properties": {"label": {"enum": ["bug", "feature"]}}}',),
        )
        ledger.store.change(
            "update claim set answer = ? where outcome = 'done'", ('{"label": "bug", "sure": 0.9}',)
        )
        drawn = ledger.reviews.reports(queue.no)[:5]
        ledger.reviews.keep(
            Sample(queue.no, 1, end, "5", "7", "folder", 58),
            [(report.claim, "tasks/inbox", False) for report in drawn],
        )
        ledger.reviews.accept("inbox", drawn[0].id, "ada")
        ledger.reviews.reject("inbox", drawn[1].id, "ada", "This is a feature.", lambda item: None)
        [again] = ledger.claims.claim("inbox", "worker-1")
        for why in ("answer.sure: 11 is above 1", "the check failed: exit code 2"):
            ledger.refusals.note(again.token, "answer", why, "")
        page = pages.render(ledger, "inbox", end + 60)
        pages.keep(ledger.state, ledger.queues.get("inbox"), page)


def _typed(root: Path) -> None:
    folder = root / "tasks"
    folder.mkdir()
    for number, title in enumerate(batches.titles(26), 1):
        path = folder / f"t-{number:02}.md"
        path.write_text(_TASK.format(id=path.stem, title=f"'{title.replace(chr(39), '’')}'"))
    assert _hypervisor(root, "open", "inbox", "tasks", "--max-attempts", "2").returncode == 0
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda name: _work(root, name), ("anna", "ben", "cleo")))
    assert _hypervisor(root, "report", "inbox").returncode == 0


def _work(root: Path, name: str) -> None:
    """Do as the printed commands say: every tenth item is blocked, every thirteenth fails."""
    said = _hypervisor(root, "next", "inbox", "--worker", name).stdout
    while said.startswith("claim ") or "\nclaim " in said:
        token = said.partition("claim ")[2].split()[0]
        number = int(said.partition("item: t-")[2][:2])
        if number % 10 == 0:
            end = ("block", token, "--reason", "the archive is missing")
        elif number % 13 == 0:
            end = ("fail", token, "--reason", "three rows expected, two found")
        else:
            end = ("done", token, "--summary", f"Did {number}.", "--commit", f"{number:07x}")
        said = _hypervisor(root, *end, "--next").stdout


def _hypervisor(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [REPO / "bin" / "hypervisor", *words], cwd=root, capture_output=True, encoding="utf-8"
    )


def _made_once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]
) -> Path:  # fmt: skip
    """Return the page of the run `name`, which one of the processes of this test run makes."""
    base = factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"page-{name}"
    with _locked(root.with_suffix(".lock")):
        path = root / ".hypervisor/reports/inbox.html"
        if not path.exists():
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            create_state(str(root))
            make(root)
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def run(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """`run(*words)`: the exit code, the output and the complaint of a command line."""
    from hypervisor.cli import main

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.chdir(project)
        capfd.readouterr()
        code = main([str(word) for word in words])
        sys.stdout.flush()
        said = capfd.readouterr()
        return code, said.out, said.err

    return run
