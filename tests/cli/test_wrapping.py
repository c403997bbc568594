"""What is printed fits a terminal, and what is to be copied from it stays whole."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from hypervisor.cli import main
from hypervisor.cli.messages import complain, note
from hypervisor.cli.wrapping import Wrapped
from hypervisor.system.text import Shown
from worker.support import open_queue, write_task


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, what: str, hint: str) -> list[str]:
    monkeypatch.setenv("COLUMNS", "40")
    screen = Shown(stream)
    monkeypatch.setattr(sys, "stderr", Wrapped(screen) if stream.isatty() else screen)
    complain(what, hint)
    note(what)
    return stream.getvalue().splitlines()


WHAT = "the answers that came back were of a shape that nobody has asked for"


def test_a_terminal_gets_messages_that_fit_and_a_pipe_whole_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = shown(monkeypatch, Terminal(), WHAT, WHAT)
    assert max(map(len, lines)) <= 40 and len(lines) == 6
    assert [line[:2] for line in lines[1::2]] == ["  ", "  ", "  "]
    piped = shown(monkeypatch, io.StringIO(), WHAT, WHAT)
    assert piped == [f"error: {WHAT}", f"hint: {WHAT}", f"note: {WHAT}"]


@pytest.mark.parametrize(
    "whole",
    [
        "hypervisor check q 'make test; make lint' --from-base Makefile",
        'git config user.name "…" && git config user.email "…"',
        "export HYPERVISOR_STORE='postgresql://host/a database of ours'",
        "HYPERVISOR_PYTHON='/opt/my python/bin/python3' hypervisor status",
        "chmod 700 '/home/me/my projects/one of them/.hypervisor'",
        "'/opt/my python/bin/python3' -m pip install 'mcp<3,>=2.3'",
        "/home/me/my projects/one of them that has a long name/a task.md",
        "limits.item_minutes = 90000000000000000000000000",
        '{"a": "what an item is about, with spaces", "b": ["one", "two", "three"]}',
    ],
)
def test_what_is_to_be_copied_is_on_one_line(monkeypatch: pytest.MonkeyPatch, whole: str) -> None:
    hint = f"look at it, then run {whole}; then go on with it"
    lines = shown(monkeypatch, Terminal(), WHAT, hint)
    assert [line for line in lines if whole in line]


def test_the_place_of_an_error_is_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "my notes/what I have read and not yet summed up.md:11"
    lines = shown(monkeypatch, Terminal(), f"{place}: {WHAT}", "")
    assert [line for line in lines if place in line]


def on_screen(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    main(list(words))
    return screen.getvalue().splitlines()


@pytest.fixture
def narrow(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a queue of one item of a long title, at a terminal of 40 columns."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "40")
    write_task(project, "a", title=WHAT)
    open_queue(project)
    return project


def test_a_terminal_gets_what_was_asked_for_in_lines_that_fit(
    narrow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (("status", "q"), ("show", "a"), ("summary", "q")):
        lines = on_screen(monkeypatch, *words)
        assert max(map(len, lines)) <= 40
        first = next(place for place, line in enumerate(lines) if "the answers" in line)
        indent = len(lines[first]) - len(lines[first].lstrip())
        assert lines[first + 1].startswith(" " * (indent + 2))


def test_what_programs_read_and_what_people_copy_stays_whole_on_a_terminal(
    narrow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [line] = on_screen(monkeypatch, "status", "q", "--json")
    assert json.loads(line)["queue"] == "q"
    _, row = on_screen(monkeypatch, "results", "q")
    assert row.startswith(f"a,tasks/a.md,{WHAT},not_attempted,")
    command = "test -d tasks && test -d tasks/. && test -d tasks/../tasks"
    shown = on_screen(monkeypatch, "check", "q", command)
    assert shown[0] == f"before an item of q is done: {command}"
    line = "echo one two three four five six seven eight nine ten"
    assert on_screen(monkeypatch, "work", "q", "--dry-run", "--", *line.split()) == [line]
    shown = on_screen(monkeypatch, "work", "q", "--keep-order", "--", *line.split())
    assert line.removeprefix("echo ") in shown


def test_wide_characters_count_as_the_two_columns_that_they_take() -> None:
    screen = Terminal()
    print("件" * 9, "件" * 9, "x" * 12, file=Wrapped(Shown(screen)))
    assert screen.getvalue().splitlines()[0] == f"{'件' * 9} {'件' * 9} {'x' * 12}"
    print(("件" * 9 + " ") * 5, file=Wrapped(Shown(screen)))
    assert [len(line) for line in screen.getvalue().splitlines()[1:]] == [39, 11]
