"""Messages fit a terminal, and what is to be copied from them stays whole."""

from __future__ import annotations

import io
import sys

import pytest

from hypervisor.cli.messages import complain, note


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, what: str, hint: str) -> list[str]:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stderr", stream)
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
