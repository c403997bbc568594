"""Keys taken out, numbers set, and text added or replaced: each changes its own bytes only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.system.errors import HypervisorError
from hypervisor.tasks import markdown
from hypervisor.tasks.create import create
from hypervisor.tasks.edit import (
    AppendText,
    EditRefused,
    PutSection,
    RemoveKey,
    ReplaceBody,
    SetKey,
    edit,
)
from hypervisor.tasks.read import Document
from tasks.support import HEADER, document

HOSTILE = (
    "---\nid: other\nstatus: done\n---\n",
    "<!-- /hypervisor:report -->\n<!-- hypervisor:report 1-aaaa -->\n## Completion report",
    "```\nunclosed",
    "<!-- unclosed",
    "a\r\nb\rc",
    "\x00 \ud800 x",
    "## Close Reason\n\nFixed.",
)


def after(text: str, *edits: object) -> str:
    return edit(document(text), edits).after.decode()  # type: ignore[arg-type]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("before", "gone"),
    [
        ("a: 1\ndue: x\nb: 2", "a: 1\nb: 2"),
        ("due: x # why\nb: 2", "b: 2"),
        ("a: 1\ndue:", "a: 1"),
        ("a: 1\ndue:\n- x\n- y # c\nb: 2", "a: 1\nb: 2"),
        ("a: 1\ndue:\n  - x\n  - y\n# kept\nb: 2", "a: 1\n# kept\nb: 2"),
        ("a: 1\ndue: [x,\n  y]\nb: 2", "a: 1\nb: 2"),
        ('a: 1\ndue: "two\n  lines"\nb: 2', "a: 1\nb: 2"),
        ("a: 1\ndue: {x: {y: 1}}\nb: 01", "a: 1\nb: 01"),
        ("a: 1\ndue:\n  x:\n    y: 1\nb: 2", "a: 1\nb: 2"),
        ("a: 1\ndue: |\n  text\n  more\nb: 2", "a: 1\nb: 2"),
        ("# first\ndue: x\n\nb: 2", "# first\n\nb: 2"),
    ],
)
def test_a_key_goes_with_its_lines_and_no_other(before: str, gone: str, newline: str) -> None:
    frame = "---\n{}\n---\n\n# T\n\ndue: text\n"
    text = frame.format(before).replace("\n", newline)
    assert after(text, RemoveKey("due")) == frame.format(gone).replace("\n", newline)
    assert after(text, RemoveKey("missing")) == text


@pytest.mark.parametrize("header", ["{a: 1, due: x}", "? due\n: x\na: 1", "a: &k due\n*k : x"])
def test_a_key_whose_lines_are_not_its_own_is_left(header: str) -> None:
    with pytest.raises(EditRefused):
        after(f"---\n{header}\n---\n", RemoveKey("due"))


def test_a_number_is_written_so_that_a_number_is_read() -> None:
    text = "---\npriority: 2 # c\norder: '3'\nstatus: x\n---\n"
    told = after(text, SetKey("priority", 1), SetKey("order", 4), SetKey("new", 5))
    assert told == "---\npriority: 1 # c\norder: 4\nstatus: x\nnew: 5\n---\n"
    assert after(told, SetKey("priority", 1)) == told
    assert document(told).meta == {"priority": 1, "order": 4, "status": "x", "new": 5}


@pytest.mark.parametrize("added", ["Words.", "# H\n\n- [ ] box", *HOSTILE], ids=range(9))
@pytest.mark.parametrize(
    "body", ["", "Text.\n", "Text", "\n\nText.\r\nMore\r\n", "```\nopen\n", "<!-- open\n"]
)
def test_added_text_comes_behind_what_stands_and_changes_none_of_it(body: str, added: str) -> None:
    before = document(HEADER + body)
    if added.startswith("---") and (not body or body[0] in "<`"):
        with pytest.raises(EditRefused, match="second front matter"):
            edit(before, [AppendText(added)])
        return
    now = edit(before, [AppendText(added)])
    read = document(now.after)
    assert read.meta == before.meta
    unclosed = markdown.scan(before.body).unclosed
    place = len(body) if unclosed is None else unclosed
    assert read.body.startswith(before.body[:place]) and read.body.endswith(before.body[place:])
    assert not markdown.own_sections(read.body)
    assert len(now.after) > len(before.raw)
    twice = document(edit(read, [AppendText("Again.")]).after).body
    assert twice.replace("Again.", "").split() == read.body.split()


@pytest.mark.parametrize("text", ["New.", "", *HOSTILE], ids=range(9))
def test_a_replaced_body_keeps_the_header_and_the_reports(text: str) -> None:
    with_report = edit(
        document(HEADER + "\nOld.\n"), [PutSection("1-aaaa", ["## Blocked", "", "> why"])]
    ).after
    before = document(with_report)
    if "unclosed" in text or text.startswith("---"):
        with pytest.raises(EditRefused):
            edit(before, [ReplaceBody(text)])
        return
    read = document(edit(before, [ReplaceBody(text)]).after)
    assert "Old." not in read.body and read.meta == before.meta
    (span,) = markdown.own_sections(read.body)
    assert "## Blocked\n\n> why" in read.body[slice(*span)]


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_added_or_refused(body: str, added: str) -> None:
    try:
        before: Document = document(HEADER + body)
        read = document(edit(before, [AppendText(added)]).after)
    except HypervisorError:
        return
    except UnicodeEncodeError:
        return
    assert read.meta == before.meta
    assert len(read.body) >= len(before.body)


def test_a_new_file_is_whole_and_never_in_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "new.md"
    create(str(path), b"one\n")
    with pytest.raises(HypervisorError, match="already exists"):
        create(str(path), b"two\n")
    assert path.read_bytes() == b"one\n"
    assert os.listdir(path.parent) == ["new.md"]
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(HypervisorError, match="already exists"):
        create(str(tmp_path / "link"), b"two\n")
    with pytest.raises(HypervisorError, match="not written"):
        create(str(path / "below.md"), b"x")
