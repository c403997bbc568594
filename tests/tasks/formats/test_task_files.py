"""Where a file is one task, its folder tells the format: what is read, and what an end writes."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.config.settings import load
from hypervisor.intake import opening
from hypervisor.intake.preflight import Preflight, check
from hypervisor.intake.sources import expand
from hypervisor.ledger import Ledger
from hypervisor.tasks import task_files, write
from hypervisor.tasks.edit import SetKey
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.read import read
from hypervisor.tasks.undo import UndoLog
from hypervisor.worker import outbox

Lay = Callable[..., Path]


@pytest.fixture
def lay(project: Path, monkeypatch: pytest.MonkeyPatch) -> Lay:
    """Writes a file below the project: its front matter, line by line, and its body."""
    for known in (task_files._known,):
        known.clear()

    def write(place: str, *lines: str, body: str = "\nDo it.\n", text: str | None = None) -> Path:
        path = project / place
        path.parent.mkdir(parents=True, exist_ok=True)
        head = "".join(f"{line}\n" for line in lines)
        path.write_text(f"---\n{head}---\n{body}" if text is None else text)
        return path

    return write


def sort(project: Path, *sources: str, told: str | None = None) -> Preflight:
    settings = load(str(project))
    found = expand(sources, root=str(project), cwd=str(project), settings=settings, format=told)
    return check(found, root=str(project), settings=settings)


def kinds(checked: Preflight) -> dict[str, str]:
    """Return the group of each task, or the kind of what holds it, by its file's name."""
    told = {Path(entry.path or "").name: "ready" for entry in checked.ready}
    for entry in [*checked.held, *checked.skipped]:
        told[Path(entry.path or "").name] = entry.kind
    return told


def end(project: Path, *sources: str, ids: list[str] | None = None) -> Ledger:
    """Open a queue and end its ready items as done, in the order of `ids`."""
    checked = sort(project, *sources)
    opening.open_queue(str(project), load(str(project)), "q", checked)
    ledger = Ledger.open(str(project))
    claims = {claim.id: claim for claim in worker.take(ledger, "q", "w", 50)}
    for item_id in ids or list(claims):
        worker.finish(ledger, claims[item_id].token, "done", {"summary": "did it"})
    assert ledger.outbox.pending() == []
    return ledger


def header(path: Path) -> dict[str, object]:
    return dict(read(str(path)).meta or {})


# -- Backlog.md --


def backlog(lay: Lay, name: str, *lines: str) -> Path:
    return lay(f"backlog/{name}", *lines, "dependencies: []" if "dep" not in str(lines) else "x: 1")


@pytest.fixture
def board(lay: Lay) -> Lay:
    lay("backlog/config.yml", text='task_prefix: "b"\nstatuses: [Todo, Doing, Done, Shipped]\n')
    return lay


def test_only_the_last_status_of_a_board_is_done_and_none_is_guessed(
    project: Path, board: Lay
) -> None:
    for number, status in enumerate(["todo", "Doing", "Done", "shipped", "Refining", "Ready"]):
        board(f"backlog/tasks/b-{number} - x.md", f"id: B-{number}", f"status: {status}")
    assert list(kinds(sort(project, "backlog/tasks")).values()) == [
        "ready", "in_progress", "in_progress", "unknown_status", "unknown_status", "complete",
    ]  # fmt: skip


def test_a_word_that_the_settings_add_is_known_on_a_board(project: Path, board: Lay) -> None:
    board("hypervisor.toml", text='[status]\nready = ["Ready"]\n')
    board("backlog/tasks/b-1 - x.md", "id: B-1", "status: Ready")
    assert kinds(sort(project, "backlog/tasks")) == {"b-1 - x.md": "ready"}


def test_what_lies_among_the_completed_satisfies_whatever_it_says(
    project: Path, board: Lay
) -> None:
    board("backlog/completed/b-007 - x.md", "id: B-007", "status: Doing")
    for number, name in enumerate(["7", "b-7", "B-007", "B-8"]):
        waits = f"dependencies: [{name}]"
        board(f"backlog/tasks/b-1{number} - x.md", f"id: B-1{number}", "status: Todo", waits)
    found = kinds(sort(project, "backlog/tasks"))
    assert list(found.values()) == ["ready", "ready", "ready", "missing_dependency"]


@pytest.mark.parametrize("name", ["7", "'007'", "b-7"])
def test_what_is_archived_is_found_by_its_number_alone(
    name: str, project: Path, board: Lay
) -> None:
    board("backlog/archive/tasks/b-007 - x.md", "id: B-007", "status: Doing")
    board("backlog/tasks/b-1 - x.md", "id: B-1", "status: Todo", f"dependencies: [{name}]")
    assert [entry.reason for entry in sort(project, "backlog").held] == ["waits for B-007 (Doing)"]


def test_an_id_that_is_also_archived_is_held_with_what_waits_for_it(
    project: Path, board: Lay
) -> None:
    board("backlog/archive/tasks/b-1 - old.md", "id: B-1", "status: Shipped")
    board("backlog/tasks/b-1 - x.md", "id: B-1", "status: Todo")
    board("backlog/tasks/b-2 - x.md", "id: B-2", "status: Todo", "dependencies: [b-1]")
    found = sort(project, "backlog")
    assert kinds(found) == {"b-1 - x.md": "disagreement", "b-2 - x.md": "waits_for"}
    assert found.left_out == {"backlog/archive": 1}


def test_pages_of_a_board_are_no_tasks_and_drafts_are_counted(project: Path, board: Lay) -> None:
    board("backlog/decisions/decision-1 - x.md", "id: decision-1", "status: accepted")
    board("backlog/drafts/draft-1 - x.md", "id: DRAFT-1", "status: Todo")
    board("backlog/tasks/b-1 - x.md", "id: B-1", "status: Todo")
    found = sort(project, "backlog")
    assert (found.counts["ready"], found.kinds()["skipped"]) == (1, {"not_a_task": 1})
    assert found.left_out == {"backlog/drafts": 1}
    assert "1 file" in "\n".join(found.lines())
    assert found.formats == {"backlog/tasks": "backlog"}
    assert kinds(sort(project, "backlog/drafts")) == {"draft-1 - x.md": "draft"}


def test_done_on_a_board_is_its_last_word_and_the_time(project: Path, board: Lay) -> None:
    marks = "\n<!-- AC:BEGIN -->\n- [x] #1 one\n<!-- AC:END -->\n"
    path = board(
        "backlog/tasks/b-1 - x.md", "id: B-1", "status: todo # now", "updated_date: '2026-01-01'",
        body=marks,
    )  # fmt: skip
    end(project, "backlog/tasks").close()
    told = header(path)
    assert told["status"] == "Shipped"
    assert len(str(told["updated_date"])) == len("2026-01-01 10:00")
    assert marks in path.read_text() and "# now" in path.read_text()


# -- ccpm --


def test_an_epic_is_its_numbered_files(project: Path, lay: Lay) -> None:
    folder = ".claude/epics/login"
    lay(f"{folder}/epic.md", "name: login", "status: in-progress")
    lay(f"{folder}/github-mapping.md", "status: open")
    lay(f"{folder}/2-analysis.md", "status: open")
    lay(f"{folder}/updates/2/progress.md", "status: open")
    lay(f"{folder}/1.md", "name: One", "status: closed")
    two = lay(f"{folder}/2.md", "name: Two", "status: open", "depends_on: [1]")
    lay(f"{folder}/3.md", "name: Three", "status: active")
    found = sort(project, ".claude/epics")
    assert {name: kind for name, kind in kinds(found).items() if kind != "not_a_task"} == {
        "2.md": "ready", "1.md": "complete", "3.md": "unknown_status",
    }  # fmt: skip
    assert (found.ready[0].title, found.formats) == ("Two", {folder: "ccpm"})
    assert kinds(sort(project, f"{folder}/2.md")) == {"2.md": "ready"}
    end(project, f"{folder}/2.md").close()
    assert header(two)["status"] == "closed"
    assert re.search(r"(?m)^updated: [\d-]{10}T[\d:]{8}Z$", two.read_text())


def test_what_is_in_conflict_or_not_parallel_is_never_out_with_others(
    project: Path, lay: Lay
) -> None:
    folder = ".claude/epics/login"
    lay(f"{folder}/epic.md", "name: login")
    lay(f"{folder}/1.md", "status: open", "conflicts_with: [3]")
    lay(f"{folder}/2.md", "status: open")
    lay(f"{folder}/3.md", "status: open")
    lay(f"{folder}/4.md", "status: open", "parallel: false")
    checked = sort(project, ".claude/epics")
    opening.open_queue(str(project), load(str(project)), "q", checked)
    with Ledger.open(str(project)) as ledger:
        out = [claim.id for claim in worker.take(ledger, "q", "w", 9)]
        assert [Path(one).name for one in out] == ["1.md", "2.md"]
        assert worker.take(ledger, "q", "w", 9) == []


# -- taskmd --


def test_taskmd_has_its_own_words_and_ids_from_names(project: Path, lay: Lay) -> None:
    lay(".taskmd.yaml", text="dir: ./work # here\n")
    one = lay("work/001-a.md", 'id: "001"', "status: pending", "touches: [cli]")
    lay("work/002-b.md", "status: pending", 'dependencies: ["001"]', "touches: [cli]")
    lay("work/003-c.md", 'id: "003"', "status: cancelled")
    lay("work/004-d.md", 'id: "004"', "status: pending", 'dependencies: ["003"]')
    found = sort(project, "work")
    assert kinds(found) == {
        "001-a.md": "ready", "002-b.md": "waits_in_batch", "003-c.md": "cancelled",
        "004-d.md": "cancelled_dependency",
    }  # fmt: skip
    assert found.held[0].id == "002"
    before = one.read_text()
    end(project, "work/001-a.md").close()
    after = one.read_text()
    assert after.startswith(before.replace("pending", "completed"))


def test_what_taskmd_leaves_out_is_no_task_and_its_archive_satisfies(
    project: Path, lay: Lay
) -> None:
    lay(".taskmd.yaml", text="dir: ./tasks\n")
    lay("tasks/build/001-a.md", 'id: "001"', "status: pending")
    lay("tasks/archive/002-b.md", 'id: "002"', "status: completed")
    lay("tasks/003-c.md", 'id: "003"', "status: pending", 'dependencies: ["002"]')
    assert kinds(sort(project, "tasks")) == {"003-c.md": "ready", "001-a.md": "not_a_task"}


# -- tbd --


def issue(lay: Lay, letter: str, *more: str) -> Path:
    name = f"is-{letter * 26}"
    lines = ["type: is", f"id: {name}", "kind: task", "version: 1", *more]
    if not any(line.startswith("status") for line in more):
        lines.append("status: open")
    return lay(f".tbd/data-sync/issues/{name}.md", *lines)


def test_an_issue_waits_for_the_one_that_says_it_blocks_it(project: Path, lay: Lay) -> None:
    folder = ".tbd/data-sync/issues"
    blocks = ("dependencies:", "  - type: blocks", f"    target: is-{'b' * 26}")
    blocker = issue(lay, "a", *blocks)
    waiting = issue(lay, "b")
    assert list(kinds(sort(project, folder)).values()) == ["ready", "waits_in_batch"]
    alone = str(waiting.relative_to(project))
    assert list(kinds(sort(project, alone)).values()) == ["waits_for"]
    issue(lay, "a", "status: closed", *blocks)
    assert list(kinds(sort(project, alone)).values()) == ["ready"]
    issue(lay, "a", "status: closed", "resolution: canceled", *blocks)
    assert list(kinds(sort(project, alone)).values()) == ["cancelled_dependency"]
    assert blocker.exists()


def test_an_issue_on_hold_put_off_or_delegated_is_not_handed_out(project: Path, lay: Lay) -> None:
    for letter, line in zip(
        "abcde",
        ["hold: paused", "hold: blocked", "deferred_until: 2999-01-01", "delegate: bot", "x: 1"],
        strict=True,
    ):
        issue(lay, letter, line)
    found = list(kinds(sort(project, ".tbd/data-sync/issues")).values())
    assert found == ["ready", "waiting", "blocked", "waiting", "in_progress"]


def test_what_a_tool_owns_is_never_written(project: Path, lay: Lay) -> None:
    path = issue(lay, "a")
    before = path.read_bytes()
    end(project, ".tbd/data-sync/issues").close()
    assert path.read_bytes() == before
    closing = task_files.get("tbd").closing("is-a")
    assert closing is not None and closing[:3] == ["tbd", "close", "is-a"]


# -- compound-engineering --


def todo(lay: Lay, name: str, status: str, *more: str) -> Path:
    return lay(f"todos/{name}.md", f"status: {status}", f'issue_id: "{name[:3]}"', *more)


def test_a_todo_says_its_state_twice_and_must_say_the_same(project: Path, lay: Lay) -> None:
    todo(lay, "001-ready-p2-a", "ready")
    todo(lay, "002-pending-p1-b", "pending")
    todo(lay, "003-complete-p2-c", "ready")
    todo(lay, "004-ready-p2-d", "complete")
    todo(lay, "005-complete-p2-e", "complete")
    todo(lay, "006-ready-p1-f", "ready", 'dependencies: ["005"]')
    todo(lay, "007-ready-p1-g", "ready", 'dependencies: ["003"]')
    found = {name[:3]: kind for name, kind in kinds(sort(project, "todos")).items()}
    assert found == {
        "001": "ready", "002": "draft", "003": "disagreement", "004": "disagreement",
        "005": "complete", "006": "ready", "007": "waits_for",
    }  # fmt: skip


def test_a_todo_says_the_same_in_other_letters_or_another_word(project: Path, lay: Lay) -> None:
    todo(lay, "001-ready-p2-a", "Ready")
    todo(lay, "002-READY-P1-b", "ready")
    todo(lay, "003-complete-p2-c", "completed")
    assert list(kinds(sort(project, "todos")).values()) == ["ready", "ready", "complete"]


def test_a_done_todo_gets_its_word_and_its_name_and_undo_both_back(project: Path, lay: Lay) -> None:
    path = todo(lay, "001-ready-p2-a", "ready")
    before = path.read_bytes()
    ledger = end(project, "todos")
    done = path.with_name("001-complete-p2-a.md")
    assert (path.exists(), header(done)["status"]) == (False, "complete")
    [restored] = UndoLog(ledger.state, "q").restore()
    assert (restored.outcome, path.read_bytes(), done.exists()) == ("restored", before, False)
    ledger.close()


def test_a_todo_gets_its_name_where_a_file_has_but_one(
    project: Path, lay: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    path = todo(lay, "001-ready-p2-a", "ready")
    before = path.read_bytes()
    move = write.move

    def on_such_a_file_system(old: str, new: str) -> object:
        with monkeypatch.context() as there:
            there.setattr(os, "link", refused)
            return move(old, new)

    monkeypatch.setattr(write, "move", on_such_a_file_system)
    ledger = end(project, "todos")
    done = path.with_name("001-complete-p2-a.md")
    assert (path.exists(), header(done)["status"]) == (False, "complete")
    with pytest.raises(write.NotWritten, match="already exists"):
        move(str(todo(lay, "001-ready-p2-a", "ready")), str(done))
    path.unlink()
    UndoLog(ledger.state, "q").restore()
    assert (path.read_bytes(), done.exists()) == (before, False)
    ledger.close()


@pytest.mark.parametrize("half", ["status", "rename", "both names"])
def test_the_other_half_of_an_end_is_written_later(
    half: str, project: Path, lay: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = todo(lay, "001-ready-p2-a", "ready")
    done = path.with_name("001-complete-p2-a.md")
    checked = sort(project, "todos")
    opening.open_queue(str(project), load(str(project)), "q", checked)
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")

        def killed(*_: object) -> None:
            raise OSError("killed")

        with monkeypatch.context() as patch:
            patch.setattr(write, "move", killed)
            worker.finish(ledger, claim.token, "done", {"summary": "did it"})
        assert header(path)["status"] == "complete"
        if half == "rename":
            path.rename(done)
        elif half == "both names":
            done.hardlink_to(path)
        outbox.flush(ledger, None)
        assert ledger.outbox.pending() == []
    assert (path.exists(), header(done)["status"]) == (False, "complete")
    assert done.read_text().count("## Completion report") == 1


def test_a_name_that_is_taken_is_never_replaced(project: Path, lay: Lay) -> None:
    path = todo(lay, "001-ready-p2-a", "ready")
    checked = sort(project, "todos")
    opening.open_queue(str(project), load(str(project)), "q", checked)
    taken, before = path.with_name("001-complete-p2-a.md"), path.read_text()
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
        taken.write_text("mine\n")
        worker.finish(ledger, claim.token, "done", {"summary": "did it"})
        [(_, why)] = outbox.flush(ledger)
        assert "already exists" in why
        assert (taken.read_text(), path.read_text()) == ("mine\n", before), "nor half of it written"
        taken.unlink()
        outbox.flush(ledger, None)
        assert (ledger.outbox.pending(), header(taken)["status"]) == ([], "complete")


# -- TaskNotes --


SETTINGS = {
    "fieldMapping": {
        "status": "stage", "blockedBy": "after_note", "completedDate": "finished",
        "dateModified": "touched",
    },
    "customStatuses": [
        {"value": "none", "isCompleted": False},
        {"value": "open", "isCompleted": False},
        {"value": "parked", "isCompleted": False},
        {"value": "shipped", "isCompleted": True},
        {"value": "dropped", "isCompleted": True},
    ],
    "taskTag": "todo",
    "excludedFolders": "Old, Templates",
}  # fmt: skip


@pytest.fixture
def vault(lay: Lay) -> Lay:
    lay("v/.obsidian/plugins/tasknotes/data.json", text=json.dumps(SETTINGS))
    return lay


def test_the_plugin_says_what_is_a_task_and_what_its_words_mean(project: Path, vault: Lay) -> None:
    for name, status in (("a", "none"), ("b", "open"), ("c", "parked"), ("d", "dropped")):
        vault(f"v/{name}.md", f"stage: {status}", "tags: [todo]")
    vault("v/e.md", "status: open", "tags: [note]")
    vault("v/f.md", "stage: open", 'tags: "todo/work"', "recurrence: FREQ=DAILY")
    vault("v/Old/g.md", "stage: open", "tags: [todo]")
    vault("v/h.md", "stage: open", "tags: [todo, archived]")
    vault("v/i.md", "stage: open", "tags: [todo]", "timeEntries:", "  - startTime: 2026-01-01")
    link = ('  - uid: "[[d]]"', "    reltype: FINISHTOSTART")
    vault("v/j.md", "stage: open", "tags: [todo]", "after_note:", *link)
    assert kinds(sort(project, "v")) == {
        "a.md": "ready", "b.md": "ready", "c.md": "unknown_status", "d.md": "complete",
        "e.md": "not_a_task", "f.md": "recurring", "g.md": "not_a_task", "h.md": "cancelled",
        "i.md": "in_progress", "j.md": "ready",
    }  # fmt: skip


def test_a_link_names_the_note_that_obsidian_opens(project: Path, vault: Lay) -> None:
    vault("v/one/Review.md", "stage: shipped", "tags: [todo]")
    vault("v/two/Review.md", "stage: open", "tags: [todo]")
    for number, link in enumerate(["one/Review", "two/Review|see", "Review"]):
        vault(f"v/{number}.md", "stage: open", "tags: [todo]", f'after_note: "[[{link}]]"')
    found = kinds(sort(project, "v/0.md", "v/1.md", "v/2.md"))
    assert found == {"0.md": "ready", "1.md": "waits_for", "2.md": "ambiguous"}


def test_done_in_a_vault_is_the_first_completed_word_and_two_dates(
    project: Path, vault: Lay
) -> None:
    path = vault("v/a.md", "stage: open", "custom: keep", "tags:", "  - todo")
    end(project, "v").close()
    told = header(path)
    assert (told["stage"], told["custom"], told["tags"]) == ("shipped", "keep", ["todo"])
    assert re.search(r"(?m)^finished: [\d-]{10}$", path.read_text())
    assert re.search(r"(?m)^touched: [\d-]{10}T[\d:]{8}\.000Z$", path.read_text())


@pytest.mark.parametrize(("zone", "day"), [("AAA-14", "2026-01-02"), ("BBB+13", "2025-12-31")])
def test_the_day_of_completion_is_that_of_the_users_own_calendar(
    zone: str, day: str, project: Path, vault: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = read(str(vault("v/a.md", "stage: open", "tags: [todo]")))
    task = task_of(document, load(str(project)))
    assert task is not None and task.family.kind is not None
    with monkeypatch.context() as there:
        there.setenv("TZ", zone)
        time.tzset()
        edits = task.family.kind.ending(document, task, "done", 1_767_268_800)
    time.tzset()
    assert edits == [SetKey("finished", day), SetKey("touched", "2026-01-01T12:00:00.000Z")]


def test_a_property_makes_a_task_where_the_plugin_is_told_so(project: Path, lay: Lay) -> None:
    told = {
        "taskIdentificationMethod": "property", "taskPropertyName": "kind",
        "taskPropertyValue": "work", "customStatuses": [
            {"value": False, "isCompleted": False}, {"value": True, "isCompleted": True},
        ], "defaultTaskStatus": "false",
    }  # fmt: skip
    lay("v/.obsidian/plugins/tasknotes/data.json", text=json.dumps(told))
    path = lay("v/a.md", "kind: work", "status: false")
    lay("v/b.md", "kind: play", "status: false")
    assert kinds(sort(project, "v")) == {"a.md": "ready", "b.md": "not_a_task"}
    end(project, "v").close()
    assert header(path)["status"] is True


def test_a_vault_whose_plugin_nobody_has_set_up_has_the_words_that_it_is_shipped_with(
    project: Path, lay: Lay
) -> None:
    lay("v/.obsidian/plugins/tasknotes/manifest.json", text="{}")
    lay("v/a.md", "status: open", "tags: [task]")
    lay("v/b.md", "status: open")
    assert kinds(sort(project, "v")) == {"a.md": "ready", "b.md": "not_a_task"}


def test_the_tag_makes_a_task_also_without_a_status(project: Path, lay: Lay) -> None:
    lay("v/.obsidian/plugins/tasknotes/data.json", text="\ufeff{}")
    lay("v/a.md", "title: A", "tags: [task]")
    assert kinds(sort(project, "v")) == {"a.md": "ready"}


def test_settings_that_nobody_can_read_hold_the_tasks_of_a_vault(project: Path, lay: Lay) -> None:
    lay("v/.obsidian/plugins/tasknotes/data.json", text="{broken")
    lay("v/a.md", "stage: done", "tags: [task]")
    assert kinds(sort(project, "v")) == {"a.md": "disagreement"}


def test_a_link_of_markdown_names_a_note_too(project: Path, vault: Lay) -> None:
    vault("v/Re view.md", "stage: open", "tags: [todo]")
    vault("v/b.md", "stage: open", "tags: [todo]", 'after_note: [{uid: "[R](Re%20view.md)"}]')
    [held] = sort(project, "v").held
    assert held.after == ("v/Re view.md",)


# -- all of them --


def test_a_format_that_is_told_goes_before_the_folder(project: Path, lay: Lay) -> None:
    path = lay("x/1.md", "id: a", "status: pending")
    assert kinds(sort(project, "x")) == {"1.md": "unknown_status"}
    checked = sort(project, "x", told="taskmd")
    assert kinds(checked) == {"1.md": "ready"}
    opening.open_queue(str(project), load(str(project)), "q", checked)
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
        worker.finish(ledger, claim.token, "done", {"summary": "did it"})
        assert ledger.outbox.pending() == []
    assert header(path)["status"] == "completed"


@pytest.mark.parametrize("told", ["[open]", "\n  - open", "\n- 'open'"])
def test_a_status_that_is_a_list_of_one_stays_one(told: str, project: Path, lay: Lay) -> None:
    lay(".claude/epics/e/epic.md", "name: e")
    path = lay(".claude/epics/e/1.md", f"status: {told}", "updated: 2026-01-01")
    end(project, ".claude/epics/e").close()
    assert header(path)["status"] == ["closed"]


def test_what_nobody_knows_comes_as_settings_to_paste(project: Path, lay: Lay) -> None:
    lay("x/1.md", "id: a", "status: odd")
    lay("x/2.md", "id: b", "status: todo", "assignee: mike")
    lay("x/3.md", "id: c", "status: todo", "blocked_reason: {a: 1}")
    (project / "hypervisor.toml").write_text("\n".join(sort(project, "x").settings()))
    found = sort(project, "x")
    assert kinds(found) == {"1.md": "waiting", "2.md": "needs_human", "3.md": "ready"}
    assert found.settings() == []


def test_malformed_notes_are_counted_apart_from_broken_tasks(project: Path, lay: Lay) -> None:
    lay("x/1.md", "id: a", "status: [")
    lay("x/2.md", "title: [open")
    found = sort(project, "x")
    assert [entry.path for entry in found.broken] == ["x/1.md"]
    assert kinds(found) == {"2.md": "malformed"}


@pytest.mark.parametrize("order", list(itertools.permutations(["1", "2", "3"], 2)))
@pytest.mark.parametrize("kind", ["backlog", "ccpm", "taskmd", "tasknotes", "compound"])
def test_any_subset_ends_in_any_order_and_undo_brings_all_back(
    kind: str, order: tuple[str, ...], project: Path, lay: Lay
) -> None:
    lay("backlog/config.yml", text="statuses: [Todo, Done]\n")
    lay(".claude/epics/e/epic.md", "name: e")
    lay(".taskmd.yaml", text="dir: work\n")
    lay("v/.obsidian/plugins/tasknotes/data.json", text="{}")
    names = {
        "backlog": "backlog/tasks/task-{} - x.md", "ccpm": ".claude/epics/e/{}.md",
        "taskmd": "work/00{}-x.md", "tasknotes": "v/n{}.md", "compound": "todos/00{}-ready-p2-x.md",
    }  # fmt: skip
    words = {"backlog": "Todo", "taskmd": "pending", "compound": "ready"}
    files = {}
    for number in "123":
        lines = [f"status: {words.get(kind, 'open')} # ü", "keep:  [a,  'b']", "tags: [task]"]
        path = lay(names[kind].format(number), *lines, body="\r\nText  \n\n- [x] box\n")
        files[number] = (path, path.read_bytes())
    source = str(files["1"][0].parent.relative_to(project))
    checked = sort(project, source)
    assert len(checked.ready) == 3
    by_name = {number: str(path.relative_to(project)) for number, (path, _) in files.items()}
    ids = {entry.path: entry.id for entry in checked.ready}
    ledger = end(project, source, ids=[ids[by_name[number]] for number in order])
    for number, (path, before) in files.items():
        if number not in order:
            assert path.read_bytes() == before
            continue
        now = path if path.exists() else path.with_name(path.name.replace("ready", "complete"))
        text = now.read_bytes()
        assert b"keep:  [a,  'b']\n" in text and b"# \xc3\xbc\n" in text
        assert b"\r\nText  \n\n- [x] box\n" in text and text.count(b"## Completion report") == 1
    UndoLog(ledger.state, "q").restore()
    assert all(path.read_bytes() == before for path, before in files.values())
    ledger.close()
