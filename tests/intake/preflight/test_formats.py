"""What pre-flight makes of files of many formats: rows that wait, words that settings explain,
and files that are broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.intake.preflight import Preflight

Write = Callable[..., Path]
Sort = Callable[..., Preflight]
CONFLICT = "<<<<<<< ours\n{}\n=======\n>>>>>>> theirs\n"


def test_rows_with_names_wait_for_each_other_whoever_made_them(write: Write, sort: Sort) -> None:
    write("r.csv", 'id,depends_on,blocks\na,,\nb,a,\nc,"a, none",b\nd,gone,\n')
    checked = sort("r.csv", id_column="id", instructions=True)
    told = {entry.id: entry.after or entry.reason for entry in checked.held}
    assert [entry.id for entry in checked.ready] == ["a"]
    assert told == {"b": ("a", "c"), "c": ("a",), "d": "depends on gone, which does not exist"}


def test_a_link_of_a_row_that_nobody_understands_holds_it(write: Write, sort: Sort) -> None:
    write("r.jsonl", '{"id":"a","depends_on":[{"when":"later"}]}\n{"id":"b","depends_on":{}}\n')
    checked = sort("r.jsonl", id_column="id", instructions=True)
    assert [entry.id for entry in checked.ready] == ["b"]
    assert "value of depends_on can't be read" in checked.held[0].reason


def test_rows_of_names_are_no_issues(write: Write, sort: Sort) -> None:
    write("people.csv", "number,title,state\n1,Ms,CA\n2,Mr,TX\n")
    assert len(sort("people.csv", instructions=True).ready) == 2


def test_settings_explain_a_mark_that_its_format_does_not_know(write: Write, sort: Sort) -> None:
    write("specs/1/tasks.md", "- [~] T001 a\n- [?] T002 [P] b\n")
    checked = sort("specs/1")
    assert checked.settings()[-1] == 'waiting = ["[~]", "[?]"]'
    write("hypervisor.toml", '[status]\nready = ["[?]"]\nblocked = ["[~]"]\n')
    assert [entry.kind for entry in sort("specs/1").held] == ["blocked", "waits_for"]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        (".taskmaster/tasks/tasks.json", '{"master": {"tasks": [\n,]}}', 2),
        ("todo.txt", CONFLICT, 1),
        ("sprint-status.yaml", f"development_status:\n{CONFLICT}", 2),
        ("specs/1/tasks.md", f"- [ ] T001 a\n{CONFLICT}", 2),
        ("any.json", '{"a":\n', 2),
    ],
)
def test_a_broken_file_of_items_is_told_with_its_line(
    name: str, text: str, line: int, write: Write, sort: Sort
) -> None:
    write(name, text)
    for source in {name, name.rpartition("/")[0] if name.startswith("specs") else name}:
        told = [(one.path, one.line) for one in sort(source).broken]
        assert told == [(name, line)], source


def test_a_todo_whose_name_alone_says_how_it_stands_is_a_task(write: Write, sort: Sort) -> None:
    write("todos/001-ready-p1-a.md", '---\nissue_id: "001"\n---\n')
    assert [entry.id for entry in sort("todos").ready] == ["001"]


def test_an_issue_of_tbd_that_was_opened_again_is_open(write: Write, sort: Sort) -> None:
    write(".tbd/issues/is-a.md", "---\nid: is-a\nstatus: open\nclose_reason: done before\n---\n")
    assert [entry.id for entry in sort(".tbd/issues").ready] == ["is-a"]


def issues(**told: str) -> str:
    """Return rows of beads: of each issue its status, its parent and what it waits for."""
    lines = []
    for name, words in told.items():
        status, parent, *waits = words.split()
        kinds = [("parent-child", parent), *(("blocks", other) for other in waits)]
        links = [{"depends_on_id": other, "type": kind} for kind, other in kinds if other != "-"]
        row = {"id": name, "title": name, "status": status, "dependencies": links}
        lines.append(json.dumps(row | {"issue_type": "epic" if "epic" in name else "task"}))
    return "\n".join(lines)


def test_in_beads_what_keeps_a_parent_keeps_all_below_it(write: Write, sort: Sort) -> None:
    write("issues.jsonl", issues(
        epic="open - first", first="open epic", a="open epic", b="open a",
        late="deferred -", c="open late", epic2="blocked -", d="open epic2", epic3="open -",
        e="open epic3", epic4="closed - a", f="open epic4",
    ))  # fmt: skip
    checked = sort("issues.jsonl")
    assert {entry.id for entry in checked.ready} == {"first", "e", "f"}
    told = {entry.id: entry.after or entry.reason for entry in checked.held}
    assert told["b"] == ("first",)
    assert told["c"] == "waits for late (deferred)"
    assert told["d"] == "waits for epic2 (blocked)"
    assert told["epic3"] == "worked on by its parts"


def test_two_items_of_one_id_on_one_line_are_both_held(write: Write, sort: Sort) -> None:
    tasks = [{"id": one, "title": "t", "status": "pending"} for one in (1, 1, 2)]
    write("tasks.json", json.dumps({"tasks": tasks}))
    for sources in (["tasks.json"], ["tasks.json", "tasks.json"]):
        checked = sort(*sources)
        assert [entry.kind for entry in checked.held] == ["same_id", "same_id"]
        assert [entry.id for entry in checked.ready] == ["tasks.json#2"]


def test_what_is_closed_for_whatever_reason_keeps_no_issue_waiting(
    write: Write, sort: Sort
) -> None:
    nodes = [{"number": 2, "state": "OPEN"}, {"number": 9, "state": "CLOSED"}]
    rows = [
        {"number": 1, "title": "a", "state": "OPEN", "blockedBy": nodes},
        {"number": 2, "title": "b", "state": "CLOSED", "stateReason": "NOT_PLANNED"},
    ]
    write("issues.json", json.dumps(rows))
    assert [entry.id for entry in sort("issues.json").ready] == ["1"]
    write(".obsidian/plugins/obsidian-tasks-plugin/data.json", "{}")
    write("notes/a.md", "- [ ] a ⛔ x\n- [-] b 🆔 x\n- [ ] c 🔁 every day\n- [x] d 🔁 every day\n")
    checked = sort("notes")
    assert [entry.title for entry in checked.ready] == ["a"]
    assert [entry.reason.split(":")[0] for entry in checked.held] == [
        "it recurs, and only the plugin writes the next",
    ]  # fmt: skip


def test_items_of_a_file_and_of_a_link_to_it_are_the_same(
    write: Write, sort: Sort, project: Path
) -> None:
    write("specs/1/tasks.md", "- [ ] T001 a\n")
    (project / "specs/2").mkdir()
    (project / "specs/2/tasks.md").symlink_to("../1/tasks.md")
    write("r.jsonl", '{"number": 1, "title": "a", "state": "OPEN"}\n')
    (project / "s.jsonl").symlink_to("r.jsonl")
    checked = sort("specs", "r.jsonl", "s.jsonl")
    assert [entry.id for entry in checked.ready] == ["specs/1/tasks.md#T001", "1"]
    assert [entry.kind for entry in checked.skipped] == ["duplicate", "duplicate"]


def test_as_many_issues_as_a_page_has_are_told(write: Write, sort: Sort) -> None:
    rows = [{"number": number, "title": "t", "state": "OPEN"} for number in range(30)]
    write("a.json", json.dumps(rows))
    write("b.json", json.dumps(rows[1:]))
    told = [(one.path, one.reason) for one in sort("a.json", "b.json").warnings]
    assert told == [("a.json", "30 issues, as many as are listed unless more are asked for")]


def test_the_folder_of_beads_is_its_issues_and_one_for_a_failure_is_held(
    write: Write, sort: Sort
) -> None:
    link = {"depends_on_id": "a", "type": "conditional-blocks"}
    row = {"id": "b", "title": "b", "status": "open", "issue_type": "task", "dependencies": [link]}
    write(".beads/issues.jsonl", issues(a="open -") + "\n" + json.dumps(row))
    checked = sort(".beads")
    assert [entry.id for entry in checked.ready] == ["a"]
    assert checked.held[0].reason.startswith("it is for the case that a fails")


def test_a_box_comes_after_those_in_it_and_a_list_that_is_done_stays_one(
    write: Write, sort: Sort
) -> None:
    write("TODO.md", "- [ ] a\n  - [ ] b\n    - [ ] c\n  - [x] d\n")
    checked = sort("TODO.md")
    assert [entry.id for entry in checked.ready] == ["TODO.md#c"]
    assert {entry.id: entry.after for entry in checked.held} == {
        "TODO.md#a": ("TODO.md#b",), "TODO.md#b": ("TODO.md#c",),
    }  # fmt: skip
    write("TODO.md", "- [x] a\n  - [X] b\n")
    checked = sort("TODO.md")
    assert [entry.kind for entry in checked.skipped] == ["complete", "complete"]


def test_what_was_not_asked_for_is_found_by_those_that_wait_for_it(
    write: Write, sort: Sort
) -> None:
    write("specs/1/tasks.md", "- [X] T001 a\n- [ ] T002 b\n- [ ] T003 c\n")
    assert [entry.id for entry in sort("specs/1/tasks.md#T002").ready] == ["specs/1/tasks.md#T002"]
    checked = sort("specs/1/tasks.md#T003")
    assert checked.held[0].reason == "waits for specs/1/tasks.md#T002 ([ ])"
    rows = [
        {"id": "a", "team": "x", "done": True},
        {"id": "b", "team": "y", "depends_on": ["a"]},
        {"id": "c", "team": "y", "depends_on": ["d"]},
        {"id": "d", "team": "x", "blocks": ["e"]},
        {"id": "e", "team": "y"},
    ]
    write("r.json", json.dumps(rows))
    checked = sort("r.json", where=["team=y"], instructions=True, id_column="id")
    assert [entry.id for entry in checked.ready] == ["b"]
    told = {entry.id: entry.reason for entry in checked.held}
    assert told == {"c": "waits for d (ready)", "e": "waits for d (ready)"}


def test_a_task_of_taskmaster_is_named_with_its_subtasks(write: Write, sort: Sort) -> None:
    subtasks = [{"id": 1, "title": "s", "status": "pending"}]
    tasks = [{"id": 2, "title": "t", "status": "pending", "subtasks": subtasks}]
    write("tasks.json", json.dumps({"tasks": tasks}))
    for name in ("2", "2.1", "master"):
        assert [entry.id for entry in sort(f"tasks.json#{name}").ready] == ["tasks.json#2.1"]


def test_a_folder_in_a_list_is_what_it_is_by_itself(write: Write, sort: Sort) -> None:
    write("specs/1/tasks.md", "- [ ] T001 a\n")
    write("all.list", "specs/1\n")
    assert [entry.id for entry in sort("all.list").ready] == ["specs/1/tasks.md#T001"]


def test_a_file_of_several_tags_names_them_where_none_is_meant(write: Write, sort: Sort) -> None:
    task = {"id": 1, "title": "t", "status": "pending"}
    write(".taskmaster/tasks/tasks.json", json.dumps({tag: {"tasks": [task]} for tag in "ab"}))
    for source in (".taskmaster", ".taskmaster/tasks/tasks.json#c"):
        (broken,) = sort(source).broken
        file = ".taskmaster/tasks/tasks.json"
        assert broken.fix == f"name one: '{file}#a', '{file}#b'"
        assert len(sort(f"{file}#b").ready) == 1


def test_what_follows_a_doubled_number_is_in_no_circle(write: Write, sort: Sort) -> None:
    write(".kiro/specs/a/tasks.md", "- [ ] 1. a\n- [ ] 2. b\n- [ ] 3. c\n- [ ] 2. d\n- [ ] 4. e\n")
    kinds = {entry.id.partition("#")[2]: entry.kind for entry in sort(".kiro/specs/a").held}
    assert kinds == {"2": "same_id", "3": "waits_for", "4": "waits_for"}


def test_a_word_of_rows_that_nobody_knows_holds_them_and_may_be_data(
    write: Write, sort: Sort
) -> None:
    write("r.csv", "id,title,Status\n1,a,Zu erledigen\n2,b,open\n3,c,404\n")
    checked = sort("r.csv", instructions=True)
    assert [entry.title for entry in checked.ready] == ["b", "c"]
    assert checked.settings()[2:] == [
        'waiting = ["Zu erledigen"]',
        "[preflight]",
        "# columns of data, if they don't say how a row stands (add them without the #)",
        '# ignore_keys = ["Status"]',
    ]
    write("hypervisor.toml", "\n".join(checked.settings()).replace("# ignore", "ignore"))
    assert len(sort("r.csv", instructions=True).ready) == 3


def test_a_current_page_is_no_task_until_something_says_so(write: Write, sort: Sort) -> None:
    page = "---\ntitle: A\nstatus: active\n---\nDo it.\n"
    write("a.md", page)
    write("b.md", page.replace("title: A", "title: B\npriority: 1"))
    write("c.md", page.replace("status: active", "status: \U0001f7e2 Active"))
    checked = sort()
    assert [entry.path for entry in checked.ready] == ["b.md"]
    assert checked.settings()[-1] == 'waiting = ["active", "\U0001f7e2 Active"]'
    write("hypervisor.toml", '[status]\nready = ["active"]\n')
    assert len(sort().ready) == 3


def test_rows_without_an_id_wait_for_each_other_by_their_titles(write: Write, sort: Sort) -> None:
    write("r.csv", "title,depends on\nBuild,Design\nDesign,\nTest,Nothing\n")
    checked = sort("r.csv", instructions=True)
    assert [entry.title for entry in checked.ready] == ["Design"]
    assert {entry.kind for entry in checked.held} == {"waits_in_batch", "missing_dependency"}


def test_lines_that_are_almost_boxes_are_told(write: Write, sort: Sort) -> None:
    almost = "-[ ] b\n- [ ]c\n- [] d\n```\n-[ ] e\n```\n- [x](f) g\n- [](h)\n"
    write("TODO.md", f"- [ ] a\n{almost}")
    (warned,) = sort("TODO.md").warnings
    assert warned.reason.endswith("line 2, 3, 4")
