"""Agent OS: subtasks are the work, the last of them ticks their task, a block is told in a line."""

from __future__ import annotations

from hypervisor.tasks import formats
from tasks.formats.support import ended, items

PATH = "/p/.agent-os/specs/2026-01-02-import/tasks.md"
V1 = """\
# Spec Tasks

- [ ] 1. Parser
  - [x] 1.1 Write tests
  - [ ] 1.2 Read events
- [ ] 2. Docs
- [x] 3. Old
  - [ ] 3.1 Left over
- [ ] 4. Later
  - [ ] 4.1 Wait
    ⚠️ Blocking issue: no access
"""
V2 = """\
#### Task Group 1: Data
**Dependencies:** None

- [ ] 1.0 Complete the data layer
  - [ ] 1.1 Write tests
  - [ ] 1.2 Add the table

**Acceptance Criteria:**
- it works

#### Task Group 2: API
**Dependencies:** None
- [ ] 2.0 Complete the API
  - [ ] 2.1 Route

#### Task Group 3: UI
**Dependencies:** Task Groups 1-2
- [ ] 3.0 Complete the UI
  - [ ] 3.1 Form
"""


def test_subtasks_are_the_work_one_after_the_other() -> None:
    found = items("agent-os", V1, PATH)
    assert {name: one.state for name, one in found.items()} == {
        "1.1": "done", "1.2": "ready", "2": "ready", "3.1": "done", "4.1": "blocked",
    }  # fmt: skip
    assert found["2"].depends_on == ("1.2",)
    assert found["1.2"].text.startswith("- [ ] 1. Parser\n")


def test_a_group_waits_for_the_groups_that_it_names() -> None:
    found = items("agent-os", V2, PATH)
    assert {name: set(one.depends_on) for name, one in found.items()} == {
        "1.1": set(), "1.2": {"1.1"}, "2.1": set(), "3.1": {"1.1", "1.2", "2.1"},
    }  # fmt: skip


def test_the_last_subtask_ticks_its_task() -> None:
    assert ended("agent-os", V1, "1.2", PATH) == V1.replace("[ ] 1", "[x] 1")
    once = ended("agent-os", V2, "1.1", PATH)
    assert once == V2.replace("[ ] 1.1", "[x] 1.1")
    assert ended("agent-os", once, "1.2", PATH) == V2.replace("[ ] 1", "[x] 1")


def blocked(text: str, item_id: str, why: str) -> str:
    kind = formats.get("agent-os")
    item = items("agent-os", text, PATH)[item_id]
    return formats.spliced(text, kind.block(text, item, why) or [])


def test_a_block_is_a_line_under_the_box_once() -> None:
    after = blocked(V1, "1.2", "no\nkey\x1b[31m - [ ] x <!-- y")
    line = next(line for line in after.split("\n") if "Blocking issue: no" in line)
    assert line.startswith("    ⚠️ Blocking issue: no") and "\x1b" not in line
    assert after.replace(f"{line}\n", "") == V1
    assert items("agent-os", after, PATH)["1.2"].state == "blocked"
    assert list(items("agent-os", after, PATH)) == list(items("agent-os", V1, PATH))
    assert blocked(after, "1.2", "again") == after
    crlf = V1.replace("\n", "\r\n")
    assert blocked(crlf, "2", "why").replace("    ", "  ") == crlf.replace(
        "2. Docs\r\n", "2. Docs\r\n  ⚠️ Blocking issue: why\r\n"
    ).replace("    ", "  ")


def test_a_block_may_stand_in_an_entry_beside_the_box() -> None:
    text = "- [ ] 1. A\n  - [ ] 1.1 B\n  - ⚠️ Blocking issue: no key\n"
    assert items("agent-os", text, PATH)["1.1"].state == "blocked"


def test_it_is_known_by_its_folder() -> None:
    kind = formats.get("agent-os")
    assert kind.recognises(PATH, V1)
    assert kind.recognises(PATH.replace(".agent", "agent"), V1)
    assert not kind.recognises("/p/specs/2026-01-02-import/tasks.md", V1)


def test_what_stands_in_brackets_names_no_group_and_a_group_that_is_gone_holds() -> None:
    text = """\
#### Task Group 1: a
**Dependencies:** None
- [ ] 1.1 a
#### Task Group 2: b
**Dependencies:** Task Group 1 (3 models)
- [ ] 2.1 b
#### Task Group 3: c
**Dependencies:** Task Group 9
- [ ] 3.1 c
"""
    assert {one.id: one.depends_on for one in items("agent-os", text, PATH).values()} == {
        "1.1": (), "2.1": ("1.1",), "3.1": ("Task Group 9",),
    }  # fmt: skip
