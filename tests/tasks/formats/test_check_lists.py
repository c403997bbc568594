"""spec-kit, OpenSpec, plain check lists: what is an item, what it waits for, how it is ticked."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypervisor.tasks import formats
from tasks.formats.support import ended, items

SPEC = """\
# Tasks: X

- [P] tasks = different files

## Phase 1: Setup
- [x] T001 Create the layout
- [ ] T002 [P] Add the config in src/config.py
- [ ] T003 [P] [US1] Add the model in src/model.py
- [ ] T004 Wire it
- [ ] T005 [P] Test it
- [ ] **T006**: Bold

## Phase 2
- [ ] T007 [P] More (depends on T002-T004)
- [ ] T008a [P] Letters
- [ ] T1000 Last

- [ ] closing box without an id
"""


def test_a_spec_kit_phase_waits_for_the_one_before_and_in_it_what_is_not_parallel_waits() -> None:
    waits = {item_id: set(item.depends_on) for item_id, item in items("spec-kit", SPEC).items()}
    assert waits == {
        "T001": set(),
        "T002": set(),
        "T003": set(),
        "T004": {"T002", "T003"},
        "T005": {"T004"},
        "T006": {"T005"},
        "T007": {"T006", "T002", "T003", "T004"},
        "T008a": {"T006"},
        "T1000": {"T007", "T008a"},
    }


def test_a_phase_of_parallel_items_is_waited_for_wholly() -> None:
    text = "## 1\n- [ ] T001 [P] a\n- [ ] T002 [P] b\n## 2\n- [x] T003 c\n## 3\n- [ ] T004 d\n"
    assert items("spec-kit", text)["T004"].depends_on == ("T001", "T002")


def test_many_after_many_are_few_links_and_none_of_them_goes_before_its_time() -> None:
    text = ""
    for phase in (1, 2, 3):
        text += f"## {phase}\n"
        text += "".join(f"- [ ] T{phase}{number:03d} [P] x\n" for number in range(200))
    found = items("spec-kit", text)
    assert sum(len(one.depends_on) for one in found.values()) < 1000
    after: set[str] = set()
    behind: dict[str, set[str]] = {}
    for item_id in sorted(found, key=lambda one: (one[1], one.endswith("199"))):
        waits = found[item_id].depends_on
        behind[item_id] = after = {*waits, *(far for one in waits for far in behind[one])}
        assert {one for one in found if one[1] < item_id[1]} <= after


def test_a_spec_kit_item_has_a_title_and_names_its_files() -> None:
    item = items("spec-kit", SPEC)["T003"]
    assert (item.title, item.files) == ("Add the model in src/model.py", ("src/model.py",))


def test_spec_kit_boxes_are_ticked_as_the_others_are() -> None:
    bare = "- [ ] T001 a\n"
    assert ended("spec-kit", bare, "T001") == "- [X] T001 a\n", "as its own command does"
    upper = SPEC.replace("[x]", "[X]")
    assert ended("spec-kit", upper, "T004") == upper.replace("- [ ] T004", "- [X] T004")
    assert ended("spec-kit", SPEC, "T004") == SPEC.replace("- [ ] T004", "- [x] T004")
    assert ended("spec-kit", SPEC, "T001") == SPEC
    assert ended("spec-kit", SPEC, "T004", state="blocked") == SPEC


def test_a_feature_folder_stands_for_its_tasks_and_names_what_to_read(tmp_path: Path) -> None:
    feature = tmp_path / "specs/001-x"
    (feature / "checklists").mkdir(parents=True)
    (tmp_path / ".specify/memory").mkdir(parents=True)
    (tmp_path / ".specify/memory/constitution.md").write_text("# C\n")
    (feature / "tasks.md").write_text(SPEC)
    (feature / "plan.md").write_text("# Plan\n")
    (feature / "checklists/ux.md").write_text("- [ ] a\n- [x] b\n")
    [(kind, file)] = formats.in_folder(str(feature))
    assert (kind.name, file) == ("spec-kit", str(feature / "tasks.md"))
    read = [Path(name).name for name in kind.context(file, str(tmp_path))]
    assert read == ["plan.md", "constitution.md"]
    assert kind.notes(file) == ["checklists/ux.md has 1 open box"]
    assert formats.in_folder(str(tmp_path)) == []


OPEN = """\
## 1. Parser
- [x] 1.1 Read events
- [ ] 1.2 Reject empty files
* [] 1.3 No blank
-[~] 2.1 Odd
- [A](u) a link
```
- [ ] 2.2 In code
```
<!-- - [ ] no line of its own -->
- [ ] 2.2 The same number
"""
CHANGE = "/p/openspec/changes/add/tasks.md"


def test_openspec_counts_the_boxes_that_its_tool_counts_one_after_the_other() -> None:
    found = items("openspec", OPEN, CHANGE)
    assert list(found) == ["1.1", "1.2", "1.3", "2.1", "step 5", "step 6"]
    assert [item.depends_on for item in found.values()] == [
        (), (), ("1.2",), ("1.3",), ("2.1",), ("step 5",),
    ]  # fmt: skip


def test_an_openspec_step_goes_behind_those_that_are_in_it() -> None:
    text = "- [ ] 1.1 A\n  - [ ] 1.1.1 B\n  - [x] 1.1.2 C\n    - [ ] 1.1.2.1 D\n- [ ] 1.2 E\n"
    found = items("openspec", text, CHANGE)
    assert {name: one.depends_on for name, one in found.items()} == {
        "1.1": ("1.1.2.1",), "1.1.1": (), "1.1.2": (), "1.1.2.1": ("1.1.1",), "1.2": ("1.1",),
    }  # fmt: skip


def test_an_openspec_box_is_ticked_whatever_stands_in_it() -> None:
    assert ended("openspec", OPEN, "1.3", CHANGE) == OPEN.replace("* [] 1.3", "* [x] 1.3")
    assert ended("openspec", OPEN, "2.1", CHANGE) == OPEN.replace("-[~] 2.1", "-[x] 2.1")


def test_openspec_is_known_by_its_folder_and_never_by_its_archive() -> None:
    kind = formats.get("openspec")
    assert kind.recognises(CHANGE, OPEN)
    assert not kind.recognises("/p/openspec/changes/archive/2026-01-01-add/tasks.md", OPEN)
    assert not kind.recognises("/p/openspec/changes/add/specs/a/spec.md", OPEN)
    assert not kind.recognises("/p/docs/tasks.md", OPEN)


LIST = """\
# Notes

- [ ] a note of no list of tasks

## Tasks
- [ ] Rename the loader
  - [x] Move the tests
  - [ ] Update docs/load.md
- [ ] Same
- [ ] Same
"""


def test_a_plain_list_is_what_stands_under_a_heading_that_says_tasks() -> None:
    found = items("checklist", LIST, "/p/notes.md")
    assert list(found) == [
        "Tasks/Rename the loader",
        "Tasks/Move the tests",
        "Tasks/Update docs/load.md",
        "Tasks/Same",
        "Tasks/Same (2)",
    ]
    assert len(items("checklist", LIST, "/p/todo.md")) == 6


def test_a_box_with_boxes_in_it_waits_for_those_that_are_open() -> None:
    found = items("checklist", LIST, "/p/notes.md")
    assert found["Tasks/Rename the loader"].depends_on == ("Tasks/Update docs/load.md",)
    assert found["Tasks/Update docs/load.md"].parent == "Tasks/Rename the loader"


def test_a_box_waits_for_what_is_open_in_one_that_is_ticked() -> None:
    found = items("checklist", "- [ ] a\n  - [x] b\n    - [ ] c\n", "/p/todo.md")
    assert found["a"].depends_on == ("c",)


@pytest.mark.parametrize(
    "head",
    ["✅ Tasks", "**To-Do**", "1. Tasks", "Tasks (3)", "Todo list:", "Open tasks",
     "Implementation Tasks", "📋 TODOs"],
)  # fmt: skip
def test_a_heading_says_tasks_whatever_stands_around_the_word(head: str) -> None:
    assert formats.get("checklist").recognises("/p/notes.md", f"# A\n\n## {head}\n\n- [ ] a\n")


@pytest.mark.parametrize("head", ["Task 3: the loader", "Tasks done by others", "My notes"])
def test_a_heading_that_only_has_the_word_says_no_tasks(head: str) -> None:
    assert not formats.get("checklist").recognises("/p/notes.md", f"## {head}\n\n- [ ] a\n")


def test_a_list_by_its_name_may_have_front_matter_that_is_no_tasks() -> None:
    kind, text = formats.get("checklist"), "---\ntags: [home]\n---\n- [ ] a\n"
    assert kind.recognises("/p/To do list.md", text)
    assert not kind.recognises("/p/notes.md", text.replace("- [", "## Tasks\n- ["))


def test_boxes_of_a_task_with_front_matter_are_no_list() -> None:
    kind = formats.get("checklist")
    assert kind.recognises("/p/notes.md", LIST)
    assert kind.recognises("/p/TODO.md", "- [ ] a\n")
    assert not kind.recognises("/p/readme.md", "- [ ] a\n")
    assert not kind.recognises("/p/todo.md", f"---\nid: a\nstatus: active\n---\n{LIST}")


def test_boxes_by_which_work_is_accepted_are_no_items() -> None:
    text = "- [ ] a\n## Acceptance Criteria\n- [ ] b\n## Definition of done\n- [ ] c\n"
    assert list(items("checklist", text)) == ["a"]


def test_headings_and_sections_say_what_items_of_a_feature_wait_for() -> None:
    text = """\
## Phase 1
- [ ] T001 [P] a
- [ ] T002 [P] b
### Rename (depends on T001)
- [ ] T003 [P] c
### Rest
- [ ] T004 [P] d
- [ ] T005 [P] e
## Dependencies
- Tests (T001-T002) before T004 but after T003
- T005 depends on T004
- T005 blocks T001
```
T001 -> T002
```
"""
    waits = {one.id: set(one.depends_on) for one in items("spec-kit", text).values()}
    assert waits == {
        "T001": set(), "T002": set(), "T003": {"T001"}, "T004": {"T001", "T002"}, "T005": {"T004"},
    }  # fmt: skip
