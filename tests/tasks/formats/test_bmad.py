"""BMAD: lines of `sprint-status.yaml`, and stories with a state below their heading."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from hypervisor.system.errors import BrokenFile
from hypervisor.tasks import formats
from tasks.formats.support import ended, items

SPRINT = (
    'story_location: "{project-root}/stories"\n\n'
    "development_status:\n"
    "  # first\n"
    "  epic-1: in-progress\n"
    "  1-1-a: done # kept\n"
    "  1-2-b: ready-for-dev   # the item\n"
    "  1-3b-c: 'drafted'\n"
    "  1-4-d: backlog\n"
    "  1-5-e: review\n"
    "  1-6-f: contexted\n"
    "  1-7-g: odd\n"
    "  epic-1-retrospective: optional\n"
    "\naction_items:\n  1-9-x: ready-for-dev\n"
)


def sprint(text: str, path: str = "/none/sprint-status.yaml") -> dict[str, str]:
    return {key: item.state for key, item in items("bmad", text, path).items()}


def test_only_stories_are_items_by_the_words_of_the_sprint() -> None:
    assert sprint(SPRINT) == {
        "1-1-a": "done", "1-2-b": "ready", "1-3b-c": "ready", "1-4-d": "draft",
        "1-5-e": "in_progress", "1-6-f": "in_progress", "1-7-g": "unknown",
    }  # fmt: skip


def test_a_separator_of_unicode_in_a_remark_ends_no_line() -> None:
    text = "development_status:\n  # a\u2028b\n  1-1-a: ready-for-dev # \x85 \x0c\n  1-2-b: done"
    assert sprint(text) == {"1-1-a": "ready", "1-2-b": "done"}
    told = ended("bmad", text, "1-1-a", "/none/sprint-status.yaml")
    assert told == text.replace("ready-for-dev", "review")


def test_a_done_story_goes_to_review_and_never_backwards() -> None:
    path = "/none/sprint-status.yaml"
    told = ended("bmad", SPRINT, "1-2-b", path)
    assert told == SPRINT.replace("1-2-b: ready-for-dev ", "1-2-b: review ")
    assert ended("bmad", SPRINT, "1-3b-c", path) == SPRINT.replace("'drafted'", "'review'")
    for key in ("1-1-a", "1-5-e", "1-7-g"):
        assert ended("bmad", SPRINT, key, path) == SPRINT
    assert ended("bmad", SPRINT, "1-2-b", path, "blocked") == SPRINT


@pytest.mark.parametrize("order", list(itertools.permutations(["1-2-b", "1-3b-c", "1-6-f"])))
def test_stories_end_in_any_order(order: tuple[str, ...]) -> None:
    text = SPRINT.replace("\n", "\r\n")
    for key in order:
        text = ended("bmad", text, key, "/none/sprint-status.yaml")
    expected = SPRINT.replace("1-2-b: ready-for-dev", "1-2-b: review")
    expected = expected.replace("drafted", "review").replace("contexted", "review")
    assert text == expected.replace("\n", "\r\n")


def test_a_story_that_says_otherwise_is_held(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "stories").mkdir()
    (tmp_path / "stories/1-1-a.md").write_text("# Story\n\nStatus: ready-for-dev\n")
    (tmp_path / "stories/1-2-b.md").write_text("---\nstatus: done\n---\n# Story\n")
    (tmp_path / "stories/1-5-e.md").write_text("---\nstatus: done\n---\n# Story\n")
    found = items("bmad", SPRINT, str(tmp_path / "out/sprint-status.yaml"))
    assert [key for key, item in found.items() if item.held] == ["1-1-a", "1-2-b"]
    assert "done" in found["1-2-b"].held
    assert "../stories/1-2-b.md" in found["1-2-b"].text


def test_a_key_that_stands_twice_breaks_the_sprint() -> None:
    with pytest.raises(BrokenFile, match="twice"):
        formats.get("bmad").items("/s.yaml", SPRINT.replace("1-3b-c", "1-2-b"))


STORY = (
    "# Story 1.2: Import calendars\n\n## Status\n\nApproved\n\n## Story\n\n"
    "**Status:** Done\n**Status: PASS**\n\n- [ ] read\n"
)
PATH = "/p/docs/stories/1.2.import.md"


@pytest.mark.parametrize(
    ("word", "state"),
    [("Draft", "draft"), ("Approved", "ready"), ("InProgress", "in_progress"),
     ("In Progress", "in_progress"), ("Review", "in_progress"), ("Ready for Review", "in_progress"),
     ("Done", "done"), ("**Done**", "done"), ("Soon", "unknown")],
)  # fmt: skip
def test_only_the_line_below_the_heading_is_the_state_of_a_story(word: str, state: str) -> None:
    [story] = items("bmad-story", STORY.replace("Approved", word), PATH).values()
    assert (story.id, story.title, story.state) == ("1.2", "Import calendars", state)


def test_done_is_written_below_the_heading_and_nowhere_else() -> None:
    assert ended("bmad-story", STORY, "1.2", PATH) == STORY.replace("Approved", "Done")
    done = STORY.replace("Approved", "Done")
    assert ended("bmad-story", done, "1.2", PATH) == done


def test_a_story_is_known_by_its_name_and_its_heading() -> None:
    kind = formats.get("bmad-story")
    assert kind.recognises(PATH, STORY)
    assert not kind.recognises("/p/docs/1.2.import.md", "# Import\n\n**Status:** Done\n")
    assert not kind.recognises("/p/docs/import.md", STORY)
    assert formats.names()("1.2.import.md") and not formats.names()("import.md")


def test_a_story_is_one_however_its_key_and_word_are_spelt(tmp_path: Path) -> None:
    text = (
        "development_status:\n  epic-1: in-progress\n  1.2-import: Ready_For_Dev\n"
        "  story-1-3: done\n"
        "  1-4: {status: done}\n  1-5-b:\n    note: x\n  epic-1-retrospective: optional\n"
    )
    path = str(tmp_path / "sprint-status.yaml")
    assert {name: one.state for name, one in items("bmad", text, path).items()} == {
        "1.2-import": "ready", "story-1-3": "done", "1-4": "unknown", "1-5-b": "unknown",
    }  # fmt: skip
    assert ended("bmad", text, "1.2-import", path) == text.replace("Ready_For_Dev", "review")


@pytest.mark.parametrize("said", ["**Status**: Done", "## Status\n\nDone", "Status: done"])
def test_the_folder_of_stories_may_be_told_from_the_project(said: str, tmp_path: Path) -> None:
    (tmp_path / "docs/stories").mkdir(parents=True)
    (tmp_path / "docs/stories/1-2-b.md").write_text(f"# Story\n\n{said}\n")
    text = "story_location: docs/stories\ndevelopment_status:\n  1-2-b: ready-for-dev\n"
    assert items("bmad", text, str(tmp_path / "docs/sprint-status.yaml"))["1-2-b"].held


@pytest.mark.parametrize(
    ("said", "after"),
    [("## Status: Approved", "## Status: Done"), ("## Status\n\n- [x] Approved", None),
     ("## \U0001f4ca Status\n<!-- whose -->\n> **Approved** - by Ann", None)],
)  # fmt: skip
def test_a_state_is_read_and_written_where_it_stands(said: str, after: str | None) -> None:
    text = f"# Story 1.2: A\n\n{said}\n\n## QA\n\n**Status:** Approved\n"
    path = "/p/docs/stories/1.2.a.md"
    expected = after or said.replace("Approved", "Done")
    assert ended("bmad-story", text, "1.2", path) == text.replace(said, expected)
