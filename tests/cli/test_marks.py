"""Items of files that hold many: only the mark is written, at its place, by many at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger
from hypervisor.worker import outbox
from repository import REPO

Run = Callable[..., subprocess.CompletedProcess[str]]

LIST = "".join(f"- [ ] Step {number}\n  why é {number}\n" for number in range(8))


@pytest.fixture
def todo(project: Path, run: Run) -> Path:
    path = project / "todo.md"
    path.write_text(LIST)
    opened = run("open", "q", "todo.md")
    assert opened.returncode == 0, opened.stderr
    return path


def take(project: Path, n: int = 1) -> list[str]:
    with Ledger.open(str(project)) as ledger:
        return [claim.token for claim in worker.take(ledger, "q", "w", n)]


def finish(project: Path, token: str, outcome: str = "done") -> str:
    with Ledger.open(str(project)) as ledger:
        report = {"summary": "[ ] did it\n- [ ] more"} if outcome == "done" else {"reason": "no"}
        return worker.finish(ledger, token, outcome, report).state


def test_done_ticks_the_box_and_changes_no_other_byte(project: Path, todo: Path) -> None:
    assert finish(project, take(project)[0]) == "done"
    assert todo.read_text() == LIST.replace("[ ] Step 0", "[x] Step 0")
    assert sorted(path.name for path in project.iterdir() if path.suffix) == ["todo.md"]


def test_a_story_of_a_sprint_goes_to_review_in_its_line(project: Path, run: Run) -> None:
    path = project / "sprint-status.yaml"
    sprint = "\ufeffdevelopment_status:\r\n  1-1-a: drafted  # c\r\n  1-2-b: done\r\n"
    path.write_bytes(sprint.encode())
    assert run("open", "q", "sprint-status.yaml").returncode == 0
    assert finish(project, take(project)[0]) == "done"
    assert path.read_bytes().decode() == sprint.replace("drafted", "review")
    assert run("undo", "q").returncode == 0
    assert path.read_bytes().decode() == sprint


def test_blocked_leaves_the_file_as_it_is(project: Path, todo: Path) -> None:
    assert finish(project, take(project)[0], "blocked") == "blocked"
    assert todo.read_text() == LIST


def test_eight_processes_tick_eight_boxes_of_one_file(project: Path, todo: Path) -> None:
    script = (
        "import sys\nfrom hypervisor import worker\nfrom hypervisor.ledger import Ledger\n"
        "with Ledger.open(sys.argv[1]) as ledger:\n"
        "    worker.finish(ledger, sys.argv[2], 'done', {'summary': 'did it'})\n"
    )
    environment = os.environ | {"PYTHONPATH": str(REPO / "src")}
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(project), token], env=environment)
        for token in take(project, 8)
    ]
    assert [one.wait() for one in running] == [0] * 8
    with Ledger.open(str(project)) as ledger:
        assert outbox.flush(ledger, None) == []
    assert todo.read_text() == LIST.replace("[ ]", "[x]")


def test_an_item_is_found_where_it_stands_now(project: Path, todo: Path) -> None:
    token = take(project)[0]
    text = "# New\n\n- [ ] Before\n" + LIST.replace("- [ ] Step 3\n  why é 3\n", "")
    todo.write_text(text)
    finish(project, token)
    assert todo.read_text() == text.replace("[ ] Step 0", "[x] Step 0")


def test_a_mark_for_what_is_gone_is_owed_and_told(project: Path, todo: Path, run: Run) -> None:
    token = take(project)[0]
    without = LIST.replace("- [ ] Step 0\n", "- [ ] Another\n")
    todo.write_text(without)
    assert finish(project, token) == "done"
    assert todo.read_text() == without
    assert "todo.md: the item Step 0 is no longer there" in run("status", "q").stdout
    todo.write_text(LIST)
    run("status", "q")
    assert todo.read_text() == LIST.replace("[ ] Step 0", "[x] Step 0")


def tasks(project: Path, *titles: str) -> Path:
    path = project / "tasks.md"
    path.write_text("".join(f"- [ ] T{n:03} [P] {told}\n" for n, told in enumerate(titles, 1)))
    return path


def test_an_id_that_another_item_has_got_by_now_gets_no_mark(project: Path, run: Run) -> None:
    path = tasks(project, "Make user.py", "Make task.py", "Make order.py")
    assert run("open", "q", "tasks.md").returncode == 0
    first, second, _ = take(project, 3)
    # The second was dropped, and the third has its number.
    tasks(project, "Make user.py, at last", "Make order.py")
    assert (finish(project, first), finish(project, second)) == ("done", "done")
    assert (
        path.read_text() == "- [X] T001 [P] Make user.py, at last\n- [ ] T002 [P] Make order.py\n"
    )
    told = run("status", "q").stdout
    assert "the item T002 says something else now; put its text back, or mark it by hand" in told
    path.write_text(path.read_text().replace("[ ]", "[X]"))
    assert "says something else" not in run("status", "q").stdout
    path.write_text(path.read_text().replace("[X]", "[ ]"))
    told = run("preflight", "tasks.md").stdout
    assert ("line 1 was done" in told, "line 2 was done" in told) == (False, False)


def test_an_item_that_was_reworded_before_it_is_handed_out_is_done_as_it_stands(
    project: Path, run: Run
) -> None:
    path = tasks(project, "Make user.py")
    assert run("open", "q", "tasks.md").returncode == 0
    tasks(project, "Write a model of users")
    [claim] = json.loads(run("next", "q", "--json").stdout)["claims"]
    assert "“Write a model of users”" in run("status", "q").stdout
    finish(project, claim["token"])
    assert path.read_text() == "- [X] T001 [P] Write a model of users\n"


def test_what_somebody_ticked_is_not_handed_out(project: Path, todo: Path, run: Run) -> None:
    todo.write_text(LIST.replace("[ ] Step 0", "[x] Step 0"))
    token = take(project)[0]
    assert "Step 1" in run("show", "todo.md#Step 1").stdout
    finish(project, token)
    assert todo.read_text() == LIST.replace("[ ] Step 0", "[x] Step 0").replace(
        "[ ] Step 1", "[x] Step 1"
    )


def test_a_file_that_is_gone_for_a_moment_ends_nothing(project: Path, todo: Path, run: Run) -> None:
    todo.rename(project / "away")
    assert take(project) == []
    (project / "away").write_text(f"<<<<<<< ours\n{LIST}=======\n>>>>>>> theirs\n")
    (project / "away").rename(todo)
    assert take(project) == []
    todo.write_text(LIST)
    assert len(take(project, 9)) == 8


def test_an_item_whose_line_is_gone_keeps_no_queue_at_work(
    project: Path, todo: Path, run: Run
) -> None:
    todo.write_text(LIST.replace("- [ ] Step 0\n", ""))
    for token in take(project, 9):
        finish(project, token)
    told = run("next", "q")
    assert told.returncode == 3
    assert "1 item or its file is missing: todo.md#Step 0; hypervisor cancel q" in told.stdout
    assert "hypervisor cancel q --missing" in run("status", "q").stdout
    assert run("cancel", "q", "--missing").stdout.startswith("1 item of q ended as missing")
    assert run("status", "q").stdout.startswith("q: drained, 8 items: 7 done, 1 ")


def test_undo_brings_back_all_or_one(project: Path, todo: Path, run: Run) -> None:
    for token in take(project, 3):
        finish(project, token)
    one = run("undo", "q", "todo.md#Step 1")
    assert one.returncode == 0, one.stdout + one.stderr
    assert todo.read_text() == LIST.replace("[ ] Step 0", "[x] Step 0").replace(
        "[ ] Step 2", "[x] Step 2"
    )
    assert run("undo", "q").returncode == 0
    assert todo.read_text() == LIST


def test_undo_of_a_mark_leaves_what_somebody_edited_elsewhere(
    project: Path, todo: Path, run: Run
) -> None:
    for number, token in enumerate(take(project, 3)):
        finish(project, token)
        todo.write_text(f"mine {number}\n\n{todo.read_text()}- [ ] mine {number}\n")
    text = todo.read_text()
    assert run("undo", "q", "todo.md#Step 1").returncode == 0
    text = text.replace("[x] Step 1", "[ ] Step 1")
    assert todo.read_text() == text
    assert run("undo", "q").returncode == 0
    assert todo.read_text() == text.replace("[x]", "[ ]")
    assert "0 files restored, 1 already as before" in run("undo", "q").stdout


def test_a_mark_in_a_line_that_somebody_edited_since_is_left_and_named(
    project: Path, todo: Path, run: Run
) -> None:
    for token in take(project, 2):
        finish(project, token)
    todo.write_text(todo.read_text().replace("Step 1", "Step one"))
    undone = run("undo", "q")
    assert undone.returncode == 1
    assert "todo.md#Step 1: edited since: somebody edited it after us" in undone.stdout
    assert todo.read_text() == LIST.replace("[ ] Step 1", "[x] Step one")


def test_every_item_whose_mark_was_undone_is_open_again(
    project: Path, todo: Path, run: Run
) -> None:
    for token in take(project, 3):
        finish(project, token)
    assert run("undo", "q").returncode == 0
    assert "0 items added, 3 open again" in run("open", "q", "todo.md").stdout
    assert len(take(project, 9)) == 8


def test_a_mark_that_git_has_taken_back_is_told_and_set_again_on_request(
    project: Path, todo: Path, run: Run
) -> None:
    for token in take(project, 3):
        finish(project, token)
    run("undo", "q", "todo.md#Step 2")
    # A checkout that brings what others have done meanwhile.
    todo.write_text("# Theirs\n\n" + LIST.replace("[ ] Step 7", "[x] Step 7"))
    told = run("open", "again", "todo.md")
    for line in (3, 5):
        assert f"line {line} was done in queue q, and its mark is not there any more" in told.stdout
    assert "line 7" not in told.stdout, "what was undone is open by our own word"
    told = run("summary", "q")
    assert "report lost: todo.md#Step 1 looks open again" in told.stdout
    assert "Step 2 looks open" not in told.stdout
    assert "hypervisor summary q --write" in told.stdout
    assert "looks open again" not in run("summary", "q", "--write").stdout
    assert [line for line in todo.read_text().split("\n") if "[x]" in line] == [
        "- [x] Step 0", "- [x] Step 1", "- [x] Step 7"
    ]  # fmt: skip


@pytest.mark.parametrize("first", ["1.1", "1.2"])
def test_undo_of_a_part_takes_the_mark_of_the_whole_with_it(
    first: str, project: Path, run: Run
) -> None:
    path = project / "agent-os/specs/2026-01-02-x/tasks.md"
    path.parent.mkdir(parents=True)
    path.write_text(text := "- [ ] 1. A\n  - [ ] 1.1 B\n  - [ ] 1.2 C\n")
    assert run("open", "q", "agent-os").returncode == 0
    for _ in range(2):
        finish(project, take(project)[0])
    assert path.read_text() == text.replace("[ ]", "[x]")
    item = "agent-os/specs/2026-01-02-x/tasks.md#"
    assert run("undo", "q", f"{item}{first}").returncode == 0
    other = "1.2" if first == "1.1" else "1.1"
    assert path.read_text() == text.replace(f"[ ] {other}", f"[x] {other}")
    assert run("undo", "q", f"{item}{other}").returncode == 0
    assert path.read_text() == text


def test_the_hand_out_says_where_the_item_stands_and_not_to_tick_it(
    project: Path, todo: Path, run: Run
) -> None:
    shown = run("next", "q").stdout
    assert "item: todo.md#Step 0\nfile: todo.md\ntitle: Step 0\nline 1 of it: only report" in shown
    assert "  - [ ] Step 0\n    why é 0\n" in shown
    assert "instructions: do what the item asks for" in shown


def test_a_format_is_told_and_named(project: Path, run: Run) -> None:
    (project / "readme.md").write_text("- [ ] a\n- [x] b\n")
    assert "0 ready" in run("preflight", "readme.md").stdout
    told = run("preflight", "readme.md", "--format", "checklist")
    assert "1 ready" in told.stdout
    assert "  readme.md: checklist" in told.stdout
    listed = run("preflight", "--format", "help")
    assert listed.returncode == 0 and "spec-kit" in listed.stdout
    wrong = run("preflight", "readme.md", "--format", "nope")
    assert wrong.returncode == 2 and "no format is called 'nope'" in wrong.stderr


def test_what_others_wrote_is_shown_escaped(project: Path, run: Run) -> None:
    (project / "todo.md").write_text("- [ ] \x1b[31mred\x1b]0;x\x07 \u202egnp.exe\n")
    for words in (
        ["preflight", "todo.md"],
        ["open", "q", "todo.md"],
        ["next", "q"],
        ["status", "q"],
    ):
        told = run(*words)
        assert told.returncode == 0
        assert not any(sign in told.stdout + told.stderr for sign in "\x1b\x07\u202e")


def test_an_item_whose_text_has_the_sign_between_file_and_id_is_ended(
    project: Path, run: Run
) -> None:
    folder = project / "a#b"
    folder.mkdir()
    path = folder / "todo.md"
    path.write_text("# L\n- [ ] todo.md#x # y\n- [ ] x\n- [ ] # z\n")
    assert run("open", "q", "a#b/todo.md").returncode == 0
    for token in take(project, 3):
        assert finish(project, token) == "done"
    assert path.read_text() == "# L\n- [x] todo.md#x # y\n- [x] x\n- [x] # z\n"
    assert run("undo", "q", "a#b/todo.md#todo.md#x # y").returncode == 0
    assert path.read_text() == "# L\n- [ ] todo.md#x # y\n- [x] x\n- [x] # z\n"


def test_ids_that_stand_twice_are_held_with_both_lines(project: Path, run: Run) -> None:
    (project / "tasks.md").write_text("- [ ] T001 a\n- [ ] T002 b\n- [ ] T001 c\n")
    told = run("preflight", "tasks.md").stdout
    assert "same id as tasks.md:3" in told and "same id as tasks.md:1" in told


def test_the_boxes_of_a_task_are_no_items(project: Path, run: Run) -> None:
    for name in ("todo.md", "notes.md"):
        (project / name).write_text(
            "---\nid: " + name + "\nstatus: active\ntype: task\n---\n"
            "## Acceptance Criteria\n- [ ] a\n\n## Tasks\n- [ ] b\n- [x] c\n"
        )
    told = run("preflight", ".").stdout
    assert "2 items: 2 ready" in told
    assert "\nformats" not in told


def test_a_block_in_agent_os_is_told_in_its_file_and_undone(project: Path, run: Run) -> None:
    path = project / "agent-os/specs/2026-01-02-x/tasks.md"
    path.parent.mkdir(parents=True)
    text = "- [ ] 1. A\n  - [ ] 1.1 B\n  - [ ] 1.2 C\n"
    path.write_text(text)
    assert run("open", "q", "agent-os").returncode == 0
    [token] = take(project)
    assert finish(project, token, "blocked") == "blocked"
    assert path.read_text() == text.replace("1.1 B\n", "1.1 B\n    ⚠️ Blocking issue: no\n")
    assert run("undo", "q").returncode == 0
    assert path.read_text() == text


def test_the_last_subtask_of_taskmaster_ends_its_task_too(project: Path, run: Run) -> None:
    path = project / ".taskmaster/tasks/tasks.json"
    path.parent.mkdir(parents=True)
    subtask = {"id": 1, "title": "B", "status": "pending", "dependencies": []}
    task = {"id": 1, "title": "A", "status": "pending", "dependencies": [], "subtasks": [subtask]}
    path.write_text(json.dumps({"master": {"tasks": [task]}}))
    assert run("open", "q", ".taskmaster").returncode == 0
    assert finish(project, take(project)[0]) == "done"
    [told] = json.loads(path.read_text())["master"]["tasks"]
    assert (told["status"], told["subtasks"][0]["status"]) == ("done", "done")


def test_a_part_of_a_file_is_a_source(project: Path, todo: Path, run: Run) -> None:
    ready = run("preflight", "todo.md#Step 3", "--json").stdout
    assert [entry["id"] for entry in json.loads(ready)["held"]] == ["todo.md#Step 3"]
    (project / "list.txt").write_text("todo.md\n")
    assert run("preflight", "@list.txt", "--json").stdout.count("open in queue q") == 8
    assert run("preflight", "to*.md", "--json").stdout.count("open in queue q") == 8
