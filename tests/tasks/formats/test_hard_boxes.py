"""Boxes as people and tools write them: what each format takes for one, and what it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hypervisor.tasks import formats
from hypervisor.tasks.formats.boxes import boxes
from tasks.formats.support import ended, items

CHANGE = "/p/openspec/changes/add/tasks.md"


@pytest.mark.parametrize(
    "text",
    ["-[ ] a", "- [ ]a", "- []", "- [  ] a", "- [\u00a0] a", "- [ ]", "- [ ]* x",
     "```\n- [ ] a\n```", "<!--\n- [ ] a\n-->", "<div>\n- [ ] a\n</div>", "    - [ ] a",
     "> - [ ] somebody else's"],
)  # fmt: skip
def test_what_only_looks_like_a_box_is_none(text: str) -> None:
    assert boxes(text, odd=True) == []


@pytest.mark.parametrize(
    "text", ["* [ ] a", "+ [x] a", "1. [X] a", "12) [ ] a", "- - [ ] a", "-   [ ] a", "- [\t] a"]
)
def test_any_marker_of_a_list_makes_a_box(text: str) -> None:
    assert [box.text for box in boxes(text)] == ["a"]
    after = ended("checklist", text, "a", "/p/todo.md")
    assert after in (text, text.replace("[ ]", "[x]").replace("[\t]", "[x]"))
    assert items("checklist", after, "/p/todo.md")["a"].state == "done"


def test_a_mark_that_markdown_does_not_know_is_held_and_not_dropped() -> None:
    found = items("checklist", "- [-] a\n- [~] b\n```\n- [-] code\n```\n", "/p/todo.md")
    assert {name: one.state for name, one in found.items()} == {"a": "unknown", "b": "unknown"}
    assert items("spec-kit", "- [-] T001 a\n- [ ] T002 b\n")["T002"].depends_on == ("T001",)


def test_placeholders_legends_and_closing_boxes_of_spec_kit_are_no_items() -> None:
    text = (
        "- [P] tasks = different files\n- [ ] TXXX [P] Documentation\n- [ ] T-shirts\n"
        "- [ ] Quality checked\n- [ ] T001 `[P]` a\n"
    )
    assert list(items("spec-kit", text)) == ["T001"]
    assert not formats.get("spec-kit").recognises("/p/tasks.md", "- [ ] TXXX a\n")


@pytest.mark.parametrize(
    "line",
    ["T001 [P] a", "[T001] [P] a", "(T001) [P] a", "**T001** [P] a", "`T001` [p] a", "T001. [P] a",
     "T001: [P] a", "T001 - [P] a", "T001 — [P] [US1] a", "[P] T001 a", "[P] [US1] [T001] a"],
)  # fmt: skip
def test_an_item_of_spec_kit_is_known_however_its_id_and_labels_are_written(line: str) -> None:
    found = items("spec-kit", f"- [ ] {line}\n- [ ] T002 [P] b\n")
    assert (found["T001"].title, found["T002"].depends_on) == ("a", ())


@pytest.mark.parametrize("ids", ["t001 t002", "T1 T2", "T-001 T-002", "TASK-01 TASK-02"])
def test_ids_of_a_feature_may_be_shorter_or_longer_than_the_tool_writes_them(ids: str) -> None:
    first, second = ids.split()
    found = items("spec-kit", f"- [ ] {first} [P] a\n- [ ] {second} [P] b (depends on T001)\n")
    assert found[second].depends_on == (first,)


def test_a_letter_behind_an_id_is_of_the_id() -> None:
    assert list(items("spec-kit", "- [ ] T003A a\n- [ ] T003b b\n")) == ["T003A", "T003b"]


@pytest.mark.parametrize(
    "words",
    ["(depends on T001)", "(depends: T001)", "Dependencies: T001", "**Depends on**: T001",
     "_Depends on T001_", "[deps: T001]", "(prerequisite: `T001`)", "(waits for [T001])",
     "(once T001 is done)", "\n  - Dependencies: T001"],
)  # fmt: skip
def test_what_an_item_of_spec_kit_waits_for_is_said_in_many_words(words: str) -> None:
    found = items("spec-kit", f"- [ ] T001 [P] a\n- [ ] T002 [P] b {words}\n- [ ] T003 [P] c\n")
    assert [one.depends_on for one in found.values()] == [(), ("T001",), ()]


@pytest.mark.parametrize(
    "heads", ["# Phase 1 # Phase 2", "## Tasks\n### Phase 1 ### Phase 2", "### Setup ### Core"]
)
def test_the_phases_of_a_feature_may_be_headings_of_any_level(heads: str) -> None:
    first, _, second = heads.rpartition(" #")
    text = f"{first}\n- [ ] T001 [P] a\n\n#{second}\n- [ ] T002 [P] b\n"
    assert items("spec-kit", text)["T002"].depends_on == ("T001",)


def test_boxes_without_an_id_are_steps_of_the_item_that_they_are_in() -> None:
    text = "- [ ] T001 a\n  - [ ] the schema\n  - [x] the loader\n- [ ] T002 b\n"
    assert items("spec-kit", text)["T001"].text == text.partition("- [ ] T002")[0].rstrip("\n")
    assert ended("spec-kit", text, "T001") == text.replace("[ ] T001", "[X] T001")


def test_spec_kit_lines_end_as_they_ended_and_keep_their_mark_of_byte_order() -> None:
    text = "\ufeff- [ ] T001 a\r\n\t- [ ] T002 b\r\n"
    assert ended("spec-kit", text, "T001") == text.replace("[ ] T001", "[X] T001")
    assert ended("spec-kit", text, "T002") == text.replace("[ ] T002", "[X] T002")


def test_the_folder_of_spec_kit_stands_for_the_feature_that_the_project_is_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("001-a", "002-b"):
        (tmp_path / "specs" / name).mkdir(parents=True)
        (tmp_path / "specs" / name / "tasks.md").write_text("- [ ] T001 a\n")
    (tmp_path / ".specify").mkdir()
    own = str(tmp_path / ".specify")
    told = Path(own, "feature.json")
    for text in ("", "[]", '{"feature_directory": 3}', '{"feature_directory": "../../etc"}'):
        told.write_text(text)
        assert formats.in_folder(own) == []
    told.write_text(json.dumps({"feature_directory": "specs/002-b"}))
    [(_, file)] = formats.in_folder(own)
    assert file == str(tmp_path / "specs/002-b/tasks.md")
    monkeypatch.setenv("SPECIFY_FEATURE_DIRECTORY", "specs/001-a")
    [(_, file)] = formats.in_folder(own)
    assert file == str(tmp_path / "specs/001-a/tasks.md")


def test_openspec_knows_boxes_by_its_own_rule() -> None:
    text = (
        "\ufeff* [ ] 1.1 a\r\n+ [ x ] 1.2 b\r\n 3. [ ] 1.3 c\r\n9)[] 3.6a d\r\n- [ ]\r\n"
        "- [A](u)\r\n- [x][ref]\r\n- [-] 1.4 e\r\n<!--\r\n- [X] 1.5 f\r\n-->\r\n"
    )
    found = items("openspec", text, CHANGE)
    assert {name: one.state for name, one in found.items()} == {
        "1.1": "ready", "1.2": "done", "1.3": "ready", "3.6a": "ready", "1.4": "unknown",
        "1.5": "done",
    }  # fmt: skip
    assert found["1.1"].text == "* [ ] 1.1 a"
    after = ended("openspec", text, "3.6a", CHANGE)
    assert after == text.replace("[] 3.6a", "[x] 3.6a")


def test_a_list_of_ten_thousand_boxes_is_read_and_one_of_them_is_found() -> None:
    text = "".join(f"- [ ] T{n:05} task {n}\n" for n in range(10_000))
    kind = formats.get("spec-kit")
    assert len(kind.items("/p/tasks.md", text)) == 10_000
    [one] = kind.find("/p/tasks.md", text, "T07000", "task 7000")
    assert one.line == 7001
