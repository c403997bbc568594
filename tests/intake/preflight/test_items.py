"""Items among each other and among other tools: ids, locks, queues, conditions, instructions."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypervisor.intake.preflight import Preflight
from hypervisor.ledger import Ledger, NewItem
from hypervisor.system.errors import UsageError
from hypervisor.system.files import fingerprint

Write = Callable[..., Path]
Sort = Callable[..., Preflight]
Reason = Callable[..., str]


@pytest.fixture
def ledger(project: Path) -> Iterator[Ledger]:
    with Ledger.open(str(project), create=True) as opened:
        yield opened


def test_one_id_in_two_files_holds_both_and_names_the_other(task: Write, sort: Sort) -> None:
    task("a.md", id="aops-1")
    task("b.md", id="aops-1")
    checked = sort()
    told = {entry.path: entry.reason.split(";")[0] for entry in checked.held}
    assert told == {"a.md": "same id as b.md", "b.md": "same id as a.md"}
    assert not checked.ready


@pytest.mark.parametrize("copy", ["a (1).md", "a.sync-conflict-20260101-120000-ABCDEFG.md"])
@pytest.mark.parametrize("purpose", ["work", "triage"])
def test_a_copy_that_a_sync_made_is_held_with_its_original(
    copy: str, purpose: str, task: Write, sort: Sort
) -> None:
    task("a.md", id="aops-1")
    task(copy, id="aops-1")
    assert {entry.path for entry in sort(purpose=purpose).held} == {"a.md", copy}


def test_a_finished_copy_stays_finished_and_holds_the_open_one(task: Write, sort: Sort) -> None:
    task("a.md", id="aops-1")
    task("b.md", id="aops-1", status="done")
    checked = sort()
    assert [(entry.path, entry.kind) for entry in checked.held] == [("a.md", "same_id")]
    assert [(entry.path, entry.kind) for entry in checked.skipped] == [("b.md", "complete")]


def test_one_id_in_files_that_are_all_finished_is_skipped(task: Write, sort: Sort) -> None:
    task("a.md", id="aops-1", status="done")
    task("b.md", id="aops-1", status="cancelled")
    assert len(sort().skipped) == 2


def test_a_copy_that_the_condition_leaves_out_still_holds_the_other(
    task: Write, sort: Sort
) -> None:
    task("a.md", id="aops-1", project="x")
    task("b.md", id="aops-1", project="y")
    checked = sort(where=["project=x"])
    assert [entry.kind for entry in checked.held] == ["same_id"]
    assert checked.not_matching == 1


def test_a_dependency_on_an_id_of_two_files_is_not_satisfied_by_either(
    task: Write, sort: Sort
) -> None:
    task("a.md", id="aops-1")
    task("b.md", id="aops-1", status="done")
    task("c.md", depends_on="[aops-1]")
    told = {entry.id: entry.reason for entry in sort().held}
    assert told["c"].startswith("waits for aops-1 (an id that is there twice)")


def test_a_file_named_twice_is_one_item(task: Write, sort: Sort, project: Path) -> None:
    task("t/a.md", id="a")
    (project / "t/link.md").symlink_to("a.md")
    checked = sort("t/a.md", "t", str(project / "t/a.md"))
    assert [entry.path for entry in checked.ready] == ["t/a.md"]
    assert [(entry.kind, entry.reason) for entry in checked.skipped] == [
        ("duplicate", "named twice"),
        ("duplicate", "the same file as t/a.md"),
        ("duplicate", "named twice"),
    ]


def test_a_broken_file_named_twice_is_told_once(write: Write, sort: Sort) -> None:
    write("a.md", "---\nid: a\ntitle: a: b\n---\n")
    checked = sort("a.md", "a.md")
    assert (len(checked.broken), len(checked.skipped)) == (1, 1)


def test_an_unusable_file_named_twice_is_told_once(write: Write, sort: Sort) -> None:
    write("a.md", "---\nid: a\nstatus: active\ntitle: {a: b}\n---\n")
    checked = sort("a.md", "a.md")
    assert (len(checked.broken), len(checked.skipped)) == (1, 1)


def test_a_dependency_and_a_child_that_are_named_twice_count_once(task: Write, sort: Sort) -> None:
    task("a.md", depends_on="[b]")
    task("b.md", parent="e")
    task("e.md", type="epic")
    told = {entry.id: entry.reason for entry in sort(".", "b.md").held}
    assert told["a"] == "waiting on b, which is in this batch"
    assert told["e"] == "has 1 open child"


def test_a_note_is_no_task_and_no_item_without_instructions(write: Write, sort: Sort) -> None:
    write("note.md", "# A note\n")
    write("page.md", "---\nlayout: post\n---\ntext\n")
    write("x.py", "print()\n")
    checked = sort(".", "x.py")
    assert {entry.path: entry.kind for entry in checked.skipped} == dict.fromkeys(
        ("note.md", "page.md", "x.py"), "not_a_task"
    )


def test_files_that_are_no_tasks_are_items_with_instructions(
    write: Write, task: Write, sort: Sort
) -> None:
    write("src/x.py", "print()\n")
    write("src/data.bin", b"\0\xff")
    write("note.md", "# A note\n")
    task("a.md", status="done")
    checked = sort(instructions=True)
    assert {entry.id for entry in checked.ready} == {"src/x.py", "src/data.bin", "note.md"}
    assert all(entry.fingerprint is None for entry in checked.ready)
    assert [entry.id for entry in checked.skipped] == ["a"]


def test_triage_takes_tasks_only(write: Write, task: Write, sort: Sort) -> None:
    write("note.md", "# A note\n")
    write("r.csv", "a\n1\n")
    task("a.md")
    checked = sort(".", "r.csv", purpose="triage", instructions=True)
    assert [entry.id for entry in checked.ready] == ["a"]
    assert {entry.kind for entry in checked.skipped} == {"not_a_task"}


def test_rows_are_items_with_instructions_and_held_without(write: Write, sort: Sort) -> None:
    write("r.csv", "id,title,x\n1,One,a\n2,Two,b\n")
    (held, _) = sort("r.csv", id_column="id").held
    assert held.reason.endswith("rows need --instructions FILE")
    first, second = sort("r.csv", id_column="id", instructions=True).ready
    assert (first.id, first.path, first.title) == ("1", "r.csv", "One")
    assert first.payload == {"id": "1", "title": "One", "x": "a"}
    assert second.fingerprint is None


def test_two_rows_of_one_id_are_both_held(write: Write, sort: Sort) -> None:
    write("r.csv", "id\n1\n1\n2\n")
    checked = sort("r.csv", id_column="id", instructions=True)
    assert [entry.kind for entry in checked.held] == ["same_id", "same_id"]
    assert len(checked.ready) == 1


def test_a_table_named_twice_gives_each_row_once(write: Write, sort: Sort) -> None:
    write("r.csv", "id\n1\n2\n")
    checked = sort("r.csv", "r.csv", id_column="id", instructions=True)
    assert (len(checked.ready), len(checked.skipped)) == (2, 2)


def test_the_ready_come_by_priority_then_order_then_path(task: Write, sort: Sort) -> None:
    task("a.md")
    task("b.md", priority="P1")
    task("c.md", priority="low")
    task("d.md", priority="1", order="5")
    task("e.md", priority="0")
    task("f.md", priority="high", order="-1")
    task("g.md", priority="frog", ordinal=".nan")
    assert [entry.id for entry in sort().ready] == ["e", "f", "b", "d", "a", "g", "c"]


def test_a_fingerprint_is_as_the_verbs_of_workers_write_it(
    task: Write, sort: Sort, project: Path
) -> None:
    task("a.md")
    (entry,) = sort().ready
    assert entry.fingerprint == fingerprint(str(project / "a.md"))


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        (["project=AOPS"], {"a", "c"}),
        (["project=aops", "tags=Code"], {"a"}),
        (["tags=writing"], {"b", "c"}),
        (["priority=1"], {"b"}),
        (["leaf=true"], {"a"}),
        (["assignee=codex"], {"c"}),
        (["assignee="], {"a", "b"}),
        (["due=2026-02-01"], {"b"}),
        (["Project=aops"], {"a", "c"}),
        (["nothing=x"], set()),
    ],
)
def test_conditions_on_the_front_matter_choose_items(
    conditions: list[str], ids: set[str], task: Write, write: Write, sort: Sort
) -> None:
    task("a.md", project="aops", tags="[code, x]", leaf="true")
    task("b.md", project="osb", tags="writing", priority="1", due="2026-02-01")
    task("c.md", project="Aops", labels="[Writing]", assignee="['@Codex']", dependencies="[]")
    write("note.md", "# A note\n")
    checked = sort(where=conditions)
    assert {entry.id for entry in checked.ready} == ids
    if conditions != ["assignee="]:
        assert checked.not_matching == 4 - len(ids)


def test_conditions_on_columns_choose_rows(write: Write, sort: Sort) -> None:
    write("r.csv", "id,lang\n1,en\n2,de\n")
    checked = sort("r.csv", id_column="id", instructions=True, where=["lang=DE"])
    assert [entry.id for entry in checked.ready] == ["2"]


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        (["priority<=1"], {"zero", "one", "high", "p1"}),
        (["priority<1"], {"zero"}),
        (["priority<=high"], {"zero", "one", "high", "p1"}),
        (["priority >= 2"], {"two", "low"}),
        (["priority>medium"], {"low"}),
        (["priority=1"], {"one", "high", "p1"}),
        (["priority!=1"], {"zero", "two", "low", "none", "odd"}),
        (["priority="], {"none"}),
        (["priority!="], {"zero", "one", "high", "p1", "two", "low", "odd"}),
        (["points<10"], {"zero", "one"}),
        (["points=2.0"], {"one"}),
        (["due<=2026-03-01"], {"zero"}),
        (["due>2026-03-01"], {"one"}),
        (["tags!=code"], {"one", "high", "p1", "two", "low", "none", "odd"}),
        (["priority<=1", "points>=2"], {"one", "high"}),
        (["all"], {"zero", "one", "high", "p1", "two", "low", "none", "odd"}),
    ],
)
def test_conditions_compare_numbers_as_numbers_and_priorities_in_their_order(
    conditions: list[str], ids: set[str], task: Write, sort: Sort
) -> None:
    task("0.md", id="zero", priority="critical", points="1.5", due="2026-02-01", tags="[code]")
    task("1.md", id="one", priority="1", points="2", due="2026-04-01", tags="[x, y]")
    task("2.md", id="high", priority="High", points="10")
    task("3.md", id="p1", priority="P1", points="many")
    task("4.md", id="two", priority="2")
    task("5.md", id="low", priority="low")
    task("6.md", id="none")
    task("7.md", id="odd", priority="soon")
    checked = sort(where=conditions)
    assert {entry.id for entry in checked.ready} == ids


@pytest.mark.parametrize("condition", ["priority<=", "points>", "priority<=hihg"])
def test_a_comparison_with_nothing_or_with_what_is_no_priority_is_refused(
    condition: str, sort: Sort
) -> None:
    with pytest.raises(UsageError, match=r"compares with nothing|hihg is not a priority"):
        sort(where=[condition])


@pytest.mark.parametrize("condition", ["project", "=x", ""])
def test_a_condition_that_is_none_is_refused(condition: str, sort: Sort) -> None:
    with pytest.raises(UsageError, match="is not a condition"):
        sort(where=[condition])


@pytest.mark.parametrize(
    "place",
    [
        ".hypervisor/locks/aops-1",
        "locks/aops-1",
        "locks/aops-1.lock",
        "locks/20260112-write",
        "locks/20260112-write.lock",
        "t/20260112-write.md.lock",
        "t/20260112-write.lock",
        "t/aops-1.lock",
        "batch/locks/aops-1",
    ],
)
@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("purpose", ["work", "triage"])
def test_a_lock_of_another_tool_holds_a_task(
    place: str, kind: str, purpose: str, task: Write, project: Path, reason: Reason
) -> None:
    task("t/20260112-write.md", id="aops-1")
    lock = project / place
    lock.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        lock.touch()
    else:
        lock.mkdir()
    os.utime(lock, (1_767_000_000, 1_767_000_000))
    told = reason("t", purpose=purpose, lock_folders=["batch/locks"])
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(1_767_000_000))
    assert told.startswith(f"held: locked by another tool ({place}) since {since}; ")
    if "locks/" in place:
        assert f"`hypervisor unlock {Path(place).name.removesuffix('.lock')}`" in told
    else:
        assert told.endswith("remove it once that tool is gone")


def test_a_lock_that_is_a_link_tells_its_owner(task: Write, project: Path, reason: Reason) -> None:
    task("a.md", id="aops-1")
    (project / ".hypervisor/locks/aops-1").symlink_to("17-x7q2@else:host:1\n\x1b[31m")
    assert reason().startswith(r"held: locked by 17-x7q2@else:host:1\u000a\u001b[31m since ")


def test_the_lock_of_an_item_whose_id_ends_in_lock_is_not_that_of_its_stem(
    task: Write, project: Path, sort: Sort
) -> None:
    task("a.md", id="aops-1")
    (project / ".hypervisor/locks/aops-1.lock").symlink_to("owner")
    assert len(sort().ready) == 1


@pytest.mark.parametrize("item_id", ["../../etc", "a b", "x/y", "ä", "x" * 300, "$(id)", "a\\nb"])
def test_a_lock_on_an_odd_id_is_found_under_its_encoded_name(
    item_id: str, task: Write, project: Path, reason: Reason
) -> None:
    from hypervisor.system.keys import key

    task("t.md", id=f'"{item_id}"')
    (project / ".hypervisor/locks" / key(item_id.replace("\\n", "\n"))).mkdir()
    assert reason().startswith("held: locked by another tool")


def test_a_stem_in_a_mend_is_quoted_for_the_shell(
    task: Write, project: Path, reason: Reason
) -> None:
    task("$(touch x).md", id="aops-1")
    (project / "locks").mkdir()
    (project / "locks/$(touch x)").mkdir()
    assert "`hypervisor unlock '$(touch x)'`" in reason()


def test_a_lock_outlives_no_finished_task(task: Write, project: Path, sort: Sort) -> None:
    task("a.md", status="done")
    (project / ".hypervisor/locks/a").mkdir()
    assert len(sort().skipped) == 1


def test_an_item_that_is_open_in_a_queue_is_held_by_its_name(
    task: Write, ledger: Ledger, sort: Sort, reason: Reason
) -> None:
    task("a.md")
    ledger.generations.open("spring", [NewItem("a", "a.md")])
    assert reason(ledger=ledger) == "held: open in queue spring"
    assert reason(ledger=ledger, purpose="triage") == "held: open in queue spring"
    assert len(sort(ledger=ledger, queue="spring").ready) == 1
    (claim,) = ledger.claims.claim("spring", "w")
    assert reason(ledger=ledger) == "held: open in queue spring"
    ledger.ends.finish(claim.token, "done", {"summary": "x"})
    assert len(sort(ledger=ledger).ready) == 1


def test_a_lock_that_a_crash_of_ours_left_holds_nothing(
    task: Write, ledger: Ledger, project: Path, sort: Sort
) -> None:
    task("a.md")
    (project / ".hypervisor/locks/a").symlink_to(f"1-abcd@{ledger.ledger_id}:host:99")
    assert len(sort(ledger=ledger).ready) == 1
    assert len(sort().held) == 1


def test_a_task_behind_a_locked_one_says_so(task: Write, project: Path, sort: Sort) -> None:
    task("a.md", depends_on="[b]")
    task("b.md")
    (project / "locks").mkdir()
    (project / "locks/b").mkdir()
    told = {entry.id: entry.reason for entry in sort().held}
    assert told["a"].startswith("waits for b (locked by another tool (locks/b) since ")


def test_an_item_is_named_by_its_path_where_it_has_no_id(task: Write, sort: Sort) -> None:
    task("t/a.md", id=None, title="Test thing", status="todo")
    (entry,) = sort().ready
    assert (entry.id, entry.path) == ("t/a.md", "t/a.md")


def test_a_file_named_through_a_link_to_the_root_is_told_from_the_root(
    task: Write, sort: Sort, project: Path, tmp_path: Path
) -> None:
    task("t/a.md", id="a")
    (tmp_path / "link").symlink_to(project)
    assert sort(str(tmp_path / "link/t")).ready[0].path == "t/a.md"


def test_a_file_outside_the_root_is_told_from_the_root(
    sort: Sort, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.md").write_text("---\nid: a\nstatus: active\n---\n")
    (entry,) = sort("../a.md").ready
    assert entry.path == "../a.md" and (project / entry.path).samefile(tmp_path / "a.md")


def test_dots_behind_a_link_lead_where_the_system_goes(
    task: Write, sort: Sort, project: Path
) -> None:
    task("deep/er/a.md", id="a")
    task("deep/b.md", id="b")
    (project / "link").symlink_to("deep/er")
    assert sort("link/../b.md").ready[0].path == "deep/b.md"


def test_a_pipe_in_a_list_is_broken_and_is_not_waited_for(
    write: Write, sort: Sort, project: Path
) -> None:
    os.mkfifo(project / "a.md")
    os.mkfifo(project / "b.bin")
    write("queue.txt", "a.md\nb.bin\n")
    checked = sort("queue.txt", instructions=True)
    assert [broken.reason for broken in checked.broken] == ["not a regular file"] * 2


def test_rows_of_a_tool_say_whose_they_are(write: Write, sort: Sort) -> None:
    write("issues.json", '[{"number": 7, "title": "Crash", "state": "OPEN", "body": "now"}]')
    write("r.csv", "id,text\n1,a\n")
    checked = sort("issues.json", "r.csv")
    assert checked.formats == {"issues.json": "github"}
    assert [entry.id for entry in checked.ready] == ["7"]


def test_rows_and_items_that_share_a_line_are_each_one(write: Write, sort: Sort) -> None:
    write("issues.json", '[{"number": 7, "title": "A", "state": "OPEN", "body": ""}, '
          '{"number": 8, "title": "A", "state": "OPEN", "body": ""}]')  # fmt: skip
    write("tasks.json", '{"tasks": [{"id": 1, "title": "A"}, {"id": 2, "title": "B"}]}')
    checked = sort("issues.json", "tasks.json", "issues.json", "tasks.json")
    assert [entry.id for entry in checked.ready] == ["7", "8", "tasks.json#1", "tasks.json#2"]
    assert [entry.kind for entry in checked.skipped] == ["duplicate"] * 4


def test_a_file_of_a_known_format_is_no_list_of_paths(write: Write, sort: Sort) -> None:
    write("todo.txt", "Call\n")
    assert [entry.id for entry in sort("todo.txt").ready] == ["todo.txt#Call"]


def test_tasks_that_number_theirs_alike_in_each_folder_are_told_apart(
    task: Write, sort: Sort
) -> None:
    for folder in ("a", "b"):
        task(f"{folder}/1.md", id="T1", title=f"First of {folder}")
        task(f"{folder}/2.md", id="T2", title=f"Second of {folder}", depends_on="[T1]")
    task("b/1.md", id="T1", title="First of b", status="done")
    checked = sort()
    assert [entry.id for entry in checked.ready] == ["a/1.md#T1", "b/2.md#T2"]
    assert [entry.after for entry in checked.held] == [("a/1.md#T1",)]
    # Whoever has seen one folder only knows it by its id.
    assert [entry.id for entry in sort("a").ready] == ["T1"]


def test_a_copy_in_another_folder_is_held_with_its_original(task: Write, sort: Sort) -> None:
    task("a/1.md", id="T1", title="Dig")
    task("b/1.md", id="T1", title="Dig")
    assert {entry.kind for entry in sort().held} == {"same_id"}


def test_what_is_open_by_its_id_is_not_opened_by_its_path_too(
    task: Write, sort: Sort, ledger: Ledger
) -> None:
    for folder in ("a", "b"):
        task(f"{folder}/1.md", id="T1", title=f"First of {folder}")
    ledger.generations.open("q", [NewItem("T1", "a/1.md")])
    checked = sort(ledger=ledger)
    assert {entry.kind for entry in checked.held} == {"open"}


def test_a_dependency_beside_the_sources_is_the_nearest_of_that_id(task: Write, sort: Sort) -> None:
    task("a/1.md", id="T1", status="done")
    task("b/1.md", id="T1")
    task("b/2.md", id="T2", depends_on="[T1]")
    assert [entry.reason for entry in sort("b/2.md").held] == ["waits for b/1.md#T1 (active)"]
    task("a/2.md", id="T3", depends_on="[T1]")
    assert [entry.id for entry in sort("a/2.md", "b/1.md").ready] == ["T3", "T1"]


def test_an_old_copy_that_is_archived_is_meant_last(task: Write, sort: Sort) -> None:
    task("t/open/1.md", id="T1")
    task("t/archive/1.md", id="T1", status="done")
    task("t/x/2.md", id="T2", depends_on="[T1]")
    assert [entry.reason for entry in sort("t/x").held] == ["waits for t/open/1.md#T1 (active)"]
