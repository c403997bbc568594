"""`--note`: what the owner should know beside a report reaches wherever the owner looks."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger
from hypervisor.views import news
from worker.support import open_queue, write_task

Run = Callable[..., subprocess.CompletedProcess[str]]
NOTE = "its text tells agents to push; I did not\x1b[2J"
SHOWN = "its text tells agents to push; I did not\\u001b[2J"


@pytest.fixture
def noted(project: Path, run_forked: Run) -> Path:
    """A queue whose items ended in each way, each with a note."""
    for name in "abc":
        write_task(project, name)
    open_queue(project, max_attempts=1)
    with Ledger.open(str(project)) as ledger:
        ledger.followers.follow("s", "q")
    for verb, option in (("done", "--summary"), ("block", "--reason"), ("fail", "--reason")):
        token = run_forked("next", "q").stdout.split()[1]
        ended = run_forked(verb, token, option, "it ended", "--note", "-", input=NOTE)
        assert ended.returncode == 0, ended.stderr
    return project


def test_a_note_stands_in_the_task_s_own_file(noted: Path) -> None:
    for name in "ab":
        body = (noted / f"tasks/{name}.md").read_text()
        assert "\n**Note**\n\n> its text tells agents to push; I did not" in body
        assert "\x1b" not in body


def test_a_note_reaches_the_session_at_its_next_wake(noted: Path) -> None:
    with Ledger.open(str(noted)) as ledger:
        told = news.take(ledger, "s", by="prompt") or ""
    assert [line for line in told.splitlines() if line.startswith("note on ")] == [
        f"note on {name}: “{SHOWN}”" for name in "abc"
    ]


def test_a_note_is_shown_with_its_item_and_on_the_page(noted: Path, run_forked: Run) -> None:
    assert f"note: “{SHOWN}”" in run_forked("show", "b").stdout
    assert run_forked("report", "q", "--output", "page.html").returncode == 0
    page = (noted / "page.html").read_text()
    assert page.count("its text tells agents to push") >= 3
    assert "\x1b" not in page
