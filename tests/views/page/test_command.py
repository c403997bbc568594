"""`hypervisor report`: where the page goes, and what it never overwrites."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger, NewItem

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def queue(project: Path) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("inbox", [NewItem("a", title="One")])


def test_it_goes_into_the_state_folder_and_only_its_owner_reads_it(project: Path, run: Run) -> None:
    path = project / ".hypervisor" / "reports" / "inbox.html"
    for _ in range(2):
        assert run("report", "inbox") == (0, f"{path}\n", "")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["inbox.html"]
    assert "<h1>inbox</h1>" in path.read_text(encoding="utf-8")


def test_another_place_may_be_named(project: Path, run: Run) -> None:
    assert run("report", "inbox", "--output", "out.html") == (0, "out.html\n", "")
    assert run("report", "inbox", "--output", "out.html")[0] == 0, "a page of ours is replaced"
    assert not (project / ".hypervisor" / "reports").exists()


def test_a_file_that_is_no_page_is_never_overwritten(project: Path, run: Run) -> None:
    (project / "task.md").write_text("mine")
    (project / "folder").mkdir()
    for name, why in (("task.md", "not one of our pages"), ("folder", "is a folder")):
        code, _, said = run("report", "inbox", "--output", name)
        assert code == 2 and why in said and said.count("\n") == 2
    assert (project / "task.md").read_text() == "mine"
    code, _, said = run("report", "inbox", "--output", "no/such/folder.html")
    assert code == 1 and "No such file" in said


def test_an_unknown_queue_is_named_with_those_that_are_known(run: Run) -> None:
    code, _, said = run("report", "inbux")
    assert code == 2 and "queues here: inbox" in said


def test_open_hands_the_file_to_the_browser(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" >"{tmp_path}/shown"\n')
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    code, said, _ = run("report", "inbox", "--open")
    assert code == 0
    assert (tmp_path / "shown").read_text() == Path(said.strip()).as_uri()


def test_without_a_browser_it_says_so_and_the_file_stands(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda uri: False)
    code, said, complaint = run("report", "inbox", "--open")
    assert code == 1 and "no browser" in complaint
    assert Path(said.strip()).is_file()


def test_the_sources_are_shown_as_they_were_typed(project: Path, run: Run) -> None:
    (project / "my tasks").mkdir()
    task = "---\nid: t-1\ntitle: T\ntype: task\nstatus: active\n---\n"
    (project / "my tasks" / "t.md").write_text(task)
    assert run("open", "second", "my tasks", "--where", "type=task")[0] == 0
    (project / "my tasks" / "u.md").write_text(task.replace("t-1", "t-2"))
    assert run("open", "second", "my tasks")[0] == 0
    said = run("report", "second")[1]
    page = Path(said.strip()).read_text(encoding="utf-8")
    assert '<dd class="c">&#39;my tasks&#39; --where type=task\n&#39;my tasks&#39;</dd>' in page
    assert "</time><span>asked" in page, "what was added later is told with its time"


def test_the_page_on_commands_speaks_of_no_client_and_the_summary_of_no_transcript(
    project: Path, run: Run
) -> None:
    (project / "rows.csv").write_text("prompt\na\n")
    code, out, _ = run("work", "rows.csv", "--", "true")
    assert (code, "transcript" in out) == (0, False)
    page = (project / ".hypervisor" / "reports" / "rows.html").read_text(encoding="utf-8")
    shown = re.sub(r"<(style|script)\b.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)
    assert "rows.csv" in shown
    assert re.findall(r"\b(?:clients?|sessions?|transcripts?)\b", shown, re.IGNORECASE) == []
