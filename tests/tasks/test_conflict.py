"""A file that a merge has left in two minds is no task yet."""

from __future__ import annotations

import pytest

from hypervisor.system.errors import BrokenFile
from hypervisor.tasks import read

HEAD = "---\nid: a\nstatus: todo\n---\n"
CONFLICT = "<<<<<<< HEAD\nDrop it.\n=======\nKeep it.\n>>>>>>> other\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_conflict_is_told_with_its_line(newline: str) -> None:
    raw = (HEAD + "Text.\n" + CONFLICT).replace("\n", newline).encode()
    with pytest.raises(BrokenFile) as told:
        read.parse(raw, "a.md")
    assert told.value.line == 6
    assert "merge conflict" in told.value.what


def test_a_conflict_in_the_front_matter_is_told_as_one() -> None:
    raw = f"---\nid: a\n{CONFLICT}---\n".encode()
    with pytest.raises(BrokenFile, match="merge conflict") as told:
        read.parse(raw, "a.md")
    assert told.value.line == 3


@pytest.mark.parametrize(
    "body",
    [
        f"```\n{CONFLICT}```\n",
        f"~~~ text\n{CONFLICT}~~~\n",
        "    <<<<<<< HEAD\n    =======\n    >>>>>>> other\n",
        "<<<<<<< HEAD\nno end\n=======\n",
        "Title\n=======\n\n>>>>>>> quoted often\n",
        "> <<<<<<< HEAD\n> =======\n> >>>>>>> other\n",
    ],
)
def test_what_shows_the_marks_of_a_conflict_is_none(body: str) -> None:
    assert read.parse((HEAD + body).encode(), "a.md").body == body


def test_a_conflict_behind_a_fence_that_was_closed_is_one() -> None:
    with pytest.raises(BrokenFile):
        read.parse(f"{HEAD}```\ncode\n```\n{CONFLICT}".encode(), "a.md")
