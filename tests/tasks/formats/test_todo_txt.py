"""todo.txt: a line a task, ended as its tools end it."""

from __future__ import annotations

import time

from tasks.formats.support import ended, items

TODAY = time.strftime("%Y-%m-%d")
TEXT = """\
(A) 2026-01-01 Call +proj @ctx
x 2026-01-02 Old
Ship it id:1

Build it p:1
Later t:2999-01-01
Every week rec:1w
Same
Same
"""
PATH = "/p/todo.txt"


def test_lines_are_items_by_their_text() -> None:
    found = items("todo.txt", TEXT, PATH)
    assert {item_id: item.state for item_id, item in found.items()} == {
        "Call +proj @ctx": "ready",
        "Old": "done",
        "Ship it id:1": "ready",
        "Build it p:1": "ready",
        "Later t:2999-01-01": "waiting",
        "Every week rec:1w": "waiting",
        "Same": "ready",
        "Same (2)": "ready",
    }
    assert found["Call +proj @ctx"].priority == "0"
    assert found["Build it p:1"].blocks == ("Ship it id:1",)


def test_done_is_x_and_today_and_the_priority_goes() -> None:
    after = ended("todo.txt", TEXT, "Call +proj @ctx", PATH)
    assert after == TEXT.replace("(A) 2026-01-01", f"x {TODAY} 2026-01-01")
    crlf = TEXT.replace("\n", "\r\n")
    after = ended("todo.txt", crlf, "Ship it id:1", PATH)
    assert after == crlf.replace("Ship it", f"x {TODAY} Ship it")
    assert ended("todo.txt", TEXT, "Old", PATH) == TEXT
