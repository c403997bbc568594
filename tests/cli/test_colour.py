"""Colour: on a terminal only, and only where its user wants it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from hypervisor.cli import demo_files, main
from hypervisor.cli.colour import Coloured

PLAIN = "error: no command 'stauts'\nhint: did you mean 'hypervisor status'?\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "env", "coloured"),
    [
        (Terminal, {}, True),
        (io.StringIO, {}, False),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"TERM": "dumb"}, False),
    ],
)
def test_a_terminal_has_colour_unless_its_user_wants_none(
    monkeypatch: pytest.MonkeyPatch,
    stream: type[io.StringIO],
    env: dict[str, str],
    coloured: bool,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in ({"TERM": "xterm"} | env).items():
        monkeypatch.setenv(name, value)
    screen = stream()
    monkeypatch.setattr(sys, "stderr", screen)
    assert main(["stauts"]) == 2
    red = PLAIN.replace("error", "\x1b[31merror\x1b[0m").replace("hint", "\x1b[36mhint\x1b[0m")
    assert screen.getvalue() == (red if coloured else PLAIN)


def test_a_verb_that_calls_another_one_shows_the_colours_of_that(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(demo_files, "lay_out", lambda folder: 0)
    screens = {name: Terminal() for name in ("stdout", "stderr")}
    for name, screen in screens.items():
        monkeypatch.setattr(sys, name, screen)
    monkeypatch.chdir(tmp_path)
    main(["demo", "--dir", str(tmp_path)])
    told = "".join(screen.getvalue() for screen in screens.values())
    assert "\x1b[31merror\x1b[0m" in told and "\\u001b" not in told


def test_states_and_counts_have_colour_and_words_of_others_stay_escaped() -> None:
    screen = io.StringIO()
    print("q: paused, 3 items: 0 done, 2 failed (t-3 done, \x1b[2J)", file=Coloured(screen))
    shown = (
        "q: \x1b[33mpaused\x1b[0m, 3 items: 0 done, \x1b[31m2 failed\x1b[0m (t-3 done, \\u001b[2J)"
    )
    assert screen.getvalue() == f"{shown}\n"
