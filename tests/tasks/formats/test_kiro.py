"""Kiro and cc-sdd: leaves are the work, in waves or one after the other; only a box is ticked."""

from __future__ import annotations

import json
from pathlib import Path

from hypervisor.tasks import formats
from tasks.formats.support import ended, items

PATH = "/p/.kiro/specs/import/tasks.md"
SPEC = """\
# Implementation Plan

- [x] 1. Layout
- [-] 2. Import
  - [x] 2.1 Parser
    - read it in src/ics.py
    - _Requirements: 1.1, 1.2_
  - [ ]* 2.2 Property tests
  - [ ] 2.3 Errors
- [ ] 3. Checkpoint - ensure all tests pass
- [~] 4. Export
- [ ] 5. Docs
  - [ ]* 5.1 Examples
- [?] 6. Odd
"""


def test_what_has_parts_is_worked_on_by_them_and_what_is_optional_or_a_gate_is_left_out() -> None:
    found = items("kiro", SPEC, PATH)
    assert {name: one.state for name, one in found.items()} == {
        "1": "done", "2.1": "done", "2.3": "ready", "4": "in_progress", "5": "ready",
        "6": "unknown",
    }  # fmt: skip
    assert [one.depends_on for one in found.values()] == [(), (), (), ("2.3",), ("4",), ("5",)]
    assert found["2.1"].files == ("src/ics.py",)
    assert found["2.3"].text == "- [-] 2. Import\n  - [ ] 2.3 Errors"


def test_a_number_may_be_bold_or_that_of_the_list_and_is_never_lost() -> None:
    text = "1. [ ] A\n   - [ ] **1.1** B\n   - [ ] Task 1.2: C\n   - [ ] 1.3* D\n2. [ ] **E**\n"
    found = items("kiro", text, PATH)
    assert [(name, one.title) for name, one in found.items()] == [
        ("1.1", "B"), ("1.2", "C"), ("2", "**E**"),
    ]  # fmt: skip
    assert found["2"].depends_on == ("1.2",)
    assert ended("kiro", text, "2", PATH) == text.replace("2. [ ]", "2. [x]")


def test_waves_say_what_waits_for_what() -> None:
    text = (
        "- [ ] 1. A\n- [ ] 2. B\n  - [ ] 2.1 C\n  - [ ] 2.2 D\n- [ ] 3. E\n- [ ] 4. F\n\n"
        '```json\n{"waves": [["1", "3"], ["2"], ["4"]]}\n```\n'
    )
    waits = {name: set(one.depends_on) for name, one in items("kiro", text, PATH).items()}
    assert waits == {
        "1": set(), "2.1": {"1", "3"}, "2.2": {"1", "3"}, "3": set(), "4": {"2.1", "2.2"},
    }  # fmt: skip
    broken = items("kiro", text.replace('["4"]]', '["4"'), PATH)
    assert broken["3"].depends_on == ("2.2",)


def test_cc_sdd_marks_what_is_parallel_and_names_what_a_task_waits_for() -> None:
    text = (
        "- [ ] 1. A\n- [ ] 2. B\n  - [ ] 2.1 (P) C\n  - [ ] 2.2 (P) D\n    - _Depends: 3_\n"
        "- [ ] 3. E\n  - [ ] 3.1 (P) F\n    - _Boundary: api_\n"
    )
    found = items("kiro", text, PATH)
    assert found["2.1"].title == "C" and found["2.1"].depends_on == ("1",)
    assert found["2.2"].depends_on == ("1", "3.1")
    assert found["3.1"].depends_on == ("1",)


def test_a_spec_that_nobody_approved_is_a_draft(tmp_path: Path) -> None:
    folder = tmp_path / ".kiro/specs/import"
    folder.mkdir(parents=True)
    path = str(folder / "tasks.md")
    Path(path).write_text(SPEC)
    assert items("kiro", SPEC, path)["2.3"].state == "ready"
    for approved in (False, "yes", None):
        told = {"approvals": {"tasks": {"generated": True, "approved": approved}}}
        (folder / "spec.json").write_text(json.dumps(told))
        found = items("kiro", SPEC, path)
        assert (found["2.3"].state, found["2.1"].state) == ("draft", "done")
    (folder / "spec.json").write_text("{")
    assert items("kiro", SPEC, path)["2.3"].state == "draft"
    (folder / "spec.json").write_text('{"approvals": {"tasks": {"approved": true}}}')
    assert items("kiro", SPEC, path)["2.3"].state == "ready"


def test_only_the_box_of_the_item_is_ticked() -> None:
    assert ended("kiro", SPEC, "2.3", PATH) == SPEC.replace("[ ] 2.3", "[x] 2.3")
    assert ended("kiro", SPEC, "2.1", PATH) == SPEC
    assert ended("kiro", SPEC, "2.3", PATH, "blocked") == SPEC


def test_a_folder_of_kiro_stands_for_its_specs(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / ".kiro/specs" / name).mkdir(parents=True)
        (tmp_path / ".kiro/specs" / name / "tasks.md").write_text(SPEC)
    (tmp_path / ".kiro/specs/c").mkdir()
    (tmp_path / ".kiro/steering").mkdir()
    (tmp_path / ".kiro/specs/a/design.md").write_text("# D\n")
    both = [str(tmp_path / ".kiro/specs" / name / "tasks.md") for name in ("a", "b")]
    for folder, files in ((".kiro", both), (".kiro/specs", both), (".kiro/specs/a", both[:1])):
        told = formats.in_folder(str(tmp_path / folder))
        assert [(kind.name, file) for kind, file in told] == [("kiro", file) for file in files]
    kind = formats.of_file(both[0], SPEC)
    assert kind is not None and kind.name == "kiro"
    read = [Path(file).name for file in kind.context(both[0], str(tmp_path))]
    assert read == ["design.md", "steering"]
    assert kind.notes(both[0]) == ["3 open optional boxes or checkpoints are left out"]


def test_what_has_work_of_its_own_is_an_item_beside_what_is_numbered_like_a_part() -> None:
    flat = "- [ ] 5. a\n  - do it\n- [x] 5.1 b\n- [ ] 6. c\n- [ ] 6.1 d\n- [ ] 7. 检查点 - e\n"
    assert {one.id: one.depends_on for one in items("kiro", flat, PATH).values()} == {
        "5": (), "5.1": (), "6.1": ("5",),
    }  # fmt: skip
