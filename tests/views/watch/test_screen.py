"""The live view in a real terminal: what it shows, its keys, and the terminal afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger
from views.watch.support import HYPERVISOR, Screen, steady

SCREENS = Path(__file__).parent / "screens"
SIZES = [(120, 40), (80, 24), (46, 14)]
Open = Callable[..., Screen]


def kept(size: tuple[int, int], shown: str) -> str:
    """Return the screen that is kept for a size; HYPERVISOR_TEST_SCREENS=write keeps this one."""
    path = SCREENS / f"{size[0]}x{size[1]}.txt"
    if os.environ.get("HYPERVISOR_TEST_SCREENS") == "write":
        path.write_text(steady(shown), encoding="utf-8")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_screen_shows_problems_bars_and_workers_at_each_size(
    queues: Path, screen: Open, size: tuple[int, int]
) -> None:
    terminal = screen(size)
    terminal.watch()
    shown = terminal.text()
    assert steady(shown) == kept(size, shown)


def test_a_new_size_is_drawn_at_once(queues: Path, screen: Open) -> None:
    terminal = screen(SIZES[0])
    terminal.watch()
    for size in SIZES[1:]:
        terminal.resize(size)
        terminal.wait_for(lambda text, size=size: steady(text) == kept(size, text))


def test_a_screen_too_small_for_anything_is_drawn_and_left(queues: Path, screen: Open) -> None:
    terminal = screen((80, 24))
    terminal.watch()
    terminal.resize((12, 3))
    terminal.wait_for(lambda text: text.count("\n") == 3 and "q leaves" in text)
    terminal.key("q")
    terminal.wait_for(lambda text: "ready>" in text)


def test_no_key_but_the_one_that_leaves_does_anything(queues: Path, screen: Open) -> None:
    terminal = screen()
    terminal.watch()
    with Ledger.open(str(queues)) as ledger:
        before = [(row.name, row.state) for row in ledger.queues.all()]
        terminal.key("p", "j", "k", "Up", "Down", "Escape", "r", "x", "Enter")
        terminal.resize((100, 30))
        terminal.wait_for(lambda text: text.count("\n") == 30 and "q leaves" in text)
        assert [(row.name, row.state) for row in ledger.queues.all()] == before


def test_what_other_processes_do_is_seen(queues: Path, screen: Open) -> None:
    terminal = screen((120, 40))
    terminal.watch("inbox")
    assert "done 127" in terminal.text()
    with Ledger.open(str(queues)) as ledger:
        for claim in ledger.claims.claim("inbox", "another", 3):
            ledger.ends.finish(claim.token, "done", {})
        ledger.claims.claim("inbox", "the-13th")
    terminal.wait_for(lambda text: "done 130" in text and "the-13th" in text)


def _end(terminal: Screen, how: str) -> None:
    if how.startswith("SIG"):
        os.kill(terminal.child(), signal.Signals[how])
    else:
        terminal.key(how)


@pytest.mark.parametrize(
    ("how", "code"),
    [("q", 0), ("C-c", 130), ("SIGTERM", 143), ("SIGHUP", 129), ("SIGKILL", 137)],
)
def test_the_terminal_is_as_before_however_the_view_ends(
    queues: Path, screen: Open, how: str, code: int
) -> None:
    terminal = screen()
    terminal.run("stty", "-a")
    before = terminal.wait_for(lambda text: "icanon" in text and text.count("ready>") == 2)
    terminal.watch()
    assert terminal.tell("alternate_on") == "1"
    _end(terminal, how)
    terminal.wait_for(lambda text: "q leaves" not in text and "ready>" in text)
    terminal.wait_for(lambda _: terminal.tell("alternate_on") == "0")
    assert terminal.tell("cursor_flag") == "1"
    assert settings(before) == settings(terminal.text()), "what stood there is back"
    terminal.tmux("send-keys", "-l", "echo code $?")
    terminal.key("Enter")
    terminal.wait_for(lambda text: f"\ncode {code}\n" in text)
    terminal.run("clear")
    terminal.wait_for(lambda text: "code" not in text)
    terminal.run("stty", "-a")
    after = terminal.wait_for(lambda text: "icanon" in text)
    assert settings(after) == settings(before)


def settings(text: str) -> str:
    """Return what `stty -a` has printed."""
    lines = text.split("\n")
    begun = next(place for place, line in enumerate(lines) if line.startswith("speed"))
    return "\n".join(lines[begun : begun + 7])


def test_a_stopped_view_gives_the_terminal_back_until_it_goes_on(
    queues: Path, screen: Open
) -> None:
    terminal = screen()
    terminal.watch()
    terminal.key("C-z")
    terminal.wait_for(lambda text: "Stopped" in text)
    assert terminal.tell("alternate_on") == "0"
    terminal.run("fg")
    terminal.wait_for(lambda text: "q leaves" in text)
    terminal.key("q")
    terminal.wait_for(lambda text: "q leaves" not in text and "ready>" in text)


def test_no_color_means_none(queues: Path, screen: Open) -> None:
    import re

    def colours(env: dict[str, str]) -> list[str]:
        terminal = screen((100, 30), env)
        terminal.watch()
        return re.findall(r"\x1b\[[\d;]*m", terminal.tmux("capture-pane", "-p", "-e"))

    coloured = re.compile(r"\x1b\[(?:[\d;]*;)?(?:3[0-7]|4[0-7]|9[0-7]|38|48)(?:;[\d;]*)?m")
    assert any(coloured.fullmatch(code) for code in colours({}))
    assert not any(coloured.fullmatch(code) for code in colours({"NO_COLOR": "1"}))


def test_a_terminal_that_knows_ascii_only_gets_nothing_else(queues: Path, screen: Open) -> None:
    terminal = screen((100, 30), {"LANG": "C"})
    terminal.watch()
    shown = terminal.text()
    assert "notes paused" in shown and "....----" in shown and "??????-7" in shown
    assert shown.isascii()


def test_an_unknown_queue_and_a_root_without_one_are_told_in_a_line(
    project: Path, screen: Open
) -> None:
    terminal = screen((240, 24))
    terminal.run(HYPERVISOR, "status", "--watch")
    terminal.wait_for(
        lambda text: "no queue was ever opened here" in text and "hint: hypervisor open" in text
    )
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [])
    terminal.run(HYPERVISOR, "status", "--watch", "nowhere")
    terminal.wait_for(lambda text: "no queue 'nowhere'" in text)
