"""Claims: nobody gets what another has, whoever dies, and whatever the names."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.mcp.client import KILL, TERM, Client, Connection, wait_for
from agents.mcp.conftest import Serve, Write
from hypervisor.agents.mcp.claims import Dispatch
from hypervisor.agents.mcp.tools import Tools
from hypervisor.intake.index import TaskIndex
from hypervisor.ledger import Ledger
from hypervisor.tasks.read import Document
from hypervisor.tasks.read import read as read_file
from worker.support import open_queue

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_callers_of_one_name_on_two_servers_never_get_the_same_task(
    root: Path, write: Write, serve_to_sdk: Callable[[], Connection], run: Run
) -> None:
    for number in range(12):
        write(f"t-{number:02}")
    servers = [serve_to_sdk(), serve_to_sdk()]
    got: list[str] = []

    def drain(server: Connection) -> None:
        while True:
            claimed = server.claim()
            if claimed is None:
                return
            got.append(claimed)
            server.ok("complete_task", id=claimed)

    # Two callers at once on each of the two servers.
    threads = [threading.Thread(target=drain, args=(servers[n % 2],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [f"t-{number:02}" for number in range(12)]
    assert run("status").stdout.startswith("task_manager: drained, 12 items: 12 done: ")
    found = subprocess.run(
        ["grep", "-rl", "assignee: gemini", "tasks"], cwd=root, capture_output=True, text=True
    )
    assert len(found.stdout.splitlines()) == 12
    assert all(path.read_text().count("hypervisor:report") == 2 for path in root.rglob("t-*.md"))


def test_what_another_holds_is_refused_with_the_name_of_its_holder(
    write: Write, serve: Serve
) -> None:
    path = write("t-1")
    before = path.read_bytes()
    one, other = serve(), serve()
    assert one.claim(caller="gemini-a") == "t-1"
    for name, more in (("complete_task", {}), ("block_task", {"reason": "x"})):
        assert "held by gemini-a since" in other.refused(name, id="t-1", **more)
    assert "held by gemini-a" in other.refused("release_task", id="t-1")
    assert "held by gemini-a" in other.refused("update_task", id="t-1", status="blocked")
    assert "held by gemini-a" in other.ok("get_task", id="t-1")["held"]
    assert "held" not in one.ok("get_task", id="t-1")
    assert path.read_bytes() == before
    one.ok("complete_task", id="t-1")


def test_a_server_serves_only_the_queue_that_it_was_given(
    root: Path, write: Write, serve: Serve, run: Run
) -> None:
    for number in range(4):
        write(f"t-{number}")
    assert run("open", "mine", "tasks/t-2.md", "tasks/t-3.md").returncode == 0
    server, free = serve("--queue", "mine"), serve()
    assert server.claim() == "t-2"
    assert "only that queue is served" in server.refused("complete_task", id="t-0")
    server.ok("complete_task", id="t-3")  # of the queue, and nobody's
    server.ok("complete_task", id="t-2", summary="did it")
    again = server.ok("complete_task", id="t-2", summary="did something else")
    assert again["message"] == "complete before, so this report was not kept: t-2"
    assert server.claim() is None
    assert run("status", "mine").stdout.startswith("mine: drained, 2 items: 2 done\n")
    # What is open in a person's queue is not handed out by the standing one.
    assert run("open", "later", "tasks/t-1.md").returncode == 0
    assert free.claim() == "t-0"
    assert free.claim() is None
    assert "later" in run("status").stdout


def test_a_caller_is_told_why_an_earlier_attempt_ended(write: Write, serve: Serve) -> None:
    write("t-1")
    server = serve()
    first = server.ok("claim_next_task", caller="gemini")
    assert "before" not in first["task"]
    server.ok("release_task", id="t-1", reason="needs a key")
    assert server.ok("claim_next_task", caller="gemini")["task"]["before"] == "needs a key"


def test_rows_and_files_of_a_queue_come_with_its_instructions(
    root: Path, serve: Serve, run: Run
) -> None:
    (root / "rows.csv").write_text("name,size\nfirst,1\n")
    (root / "do.txt").write_text("Measure it.")
    assert run("open", "q", "rows.csv", "--id", "name", "--instructions", "do.txt").returncode == 0
    server = serve("--queue", "q")
    task = server.ok("claim_next_task", caller="gemini")["task"]
    assert (task["id"], task["row"]) == ("first", {"name": "first", "size": "1"})
    assert task["instructions"] == "Measure it."
    server.ok("complete_task", id="first")
    assert run("status", "q").stdout.startswith("q: drained, 1 item: 1 done\n")


def test_an_answer_is_held_against_the_schema_that_came_with_its_task(
    root: Path, serve: Serve, run: Run
) -> None:
    (root / "rows.csv").write_text("name\nfirst\n")
    (root / "do.txt").write_text("Measure it.")
    schema = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}
    (root / "s.json").write_text(json.dumps(schema))
    words = ("rows.csv", "--id", "name", "--instructions", "do.txt", "--answer", "s.json")
    assert run("open", "q", *words).returncode == 0
    server = serve("--queue", "q")
    assert server.ok("claim_next_task", caller="gemini")["task"]["answer_schema"] == schema
    told = server.refused("complete_task", id="first", summary="did it")
    assert "answer: it is missing" in told
    told = server.refused("complete_task", id="first", answer={"size": "large"})
    assert 'answer.size: "large" is a string, not integer' in told
    server.ok("complete_task", id="first", answer={"size": 3})
    [line] = run("results", "q", "--jsonl").stdout.splitlines()
    assert json.loads(line)["answer"] == {"size": 3}


def test_a_caller_gets_its_own_and_anyones_tasks_and_is_told_whose_are_held(
    root: Path, write: Write, serve: Serve
) -> None:
    (root / "hypervisor.toml").write_text('preflight.humans = ["ada"]\n')
    names = ("zed", "'@bot'", "unassigned", "anna", "ada", "[zed, anna]", "claude")
    for number, name in enumerate(names):
        write(f"t-{number}", f"priority: {number}", f"assignee: {name}")
    server = serve()
    listed = server.ok("get_ready_tasks", limit=0)["tasks"]
    assert [task["id"] for task in listed] == ["t-1", "t-2", "t-6"]
    assert server.ok("get_index_stats")["stats"]["ready"] == 3
    assert [server.claim(caller="zed") for _ in range(4)] == ["t-0", "t-1", "t-2", None]
    told = server.ok("claim_next_task", caller="zed")["message"]
    assert told.endswith("held until the settings say who that is: the tasks of anna")
    assert server.claim(caller="claude") == "t-6"


def test_a_caller_is_held_to_a_complexity_and_what_has_none_is_judged_by_the_rules(
    root: Path, write: Write, serve: Serve, run: Run
) -> None:
    (root / "hypervisor.toml").write_text('callers.gemini.complexity = ["mechanical"]\n')
    write("t-1", "priority: 0", "complexity: requires-judgment")
    write("t-2", "priority: 1", body="Think about the future.\n")
    plain = write("t-3", "priority: 2", "title: Rename the key", body="In `lib/a.py`.\n")
    write("t-4", "priority: 3", "complexity: mechanical")
    write("t-5", "priority: 4", "complexity: Mechanical", "project: aops")
    server = serve()
    before = plain.read_bytes()
    assert [server.claim() for _ in range(4)] == ["t-3", "t-4", "t-5", None]
    assert plain.read_bytes() == before
    assert serve().claim(caller="claude") == "t-1"
    server.close()

    queued = write("t-6", "complexity: mechanical")
    assert run("open", "q", "tasks/t-2.md", str(queued)).returncode == 0
    bound = serve("--queue", "q")
    assert [bound.claim(project="aops"), bound.claim(), bound.claim()] == [None, "t-6", None]


def test_the_leases_of_a_living_server_are_renewed(write: Write, serve: Serve, run: Run) -> None:
    write("t-1")
    assert run("open", "q", "tasks", "--lease", "2s").returncode == 0
    server = serve("--queue", "q")
    assert server.claim() == "t-1"
    time.sleep(3.5)
    assert run("expire").stdout.startswith("0 claims ended")
    server.ok("complete_task", id="t-1")


def test_a_server_that_ends_in_order_frees_its_claims_at_no_cost(
    write: Write, serve: Serve, run: Run
) -> None:
    write("t-1")
    for end in (lambda one: one.close(), lambda one: one.signal(TERM)):
        for _ in range(2):
            server = serve()
            assert server.claim() == "t-1"
            end(server)
    # Four workers that gave it back would have failed it.
    assert run("status").stdout.startswith("task_manager: open, 1 item: 1 ready\n")


def test_a_killed_server_loses_its_claims_and_the_next_worker_gets_them(
    root: Path, write: Write, serve: Serve, run: Run
) -> None:
    path = write("t-1")
    before = path.read_bytes()
    assert run("open", "q", "tasks", "--lease", "6s").returncode == 0
    server = serve("--queue", "q")
    assert server.claim() == "t-1"
    server.signal(KILL)
    assert run("status", "q").stdout.startswith("q: open, 1 item: 1 at work\n")
    other = serve("--queue", "q")
    wait_for(lambda: other.claim() == "t-1")
    other.ok("complete_task", id="t-1")
    assert path.read_bytes() != before
    assert path.read_text().count("Completion report") == 1


def test_a_claim_that_was_lost_is_told_and_nothing_is_written(
    root: Path, write: Write, serve: Serve, run: Run
) -> None:
    path = write("t-1")
    before = path.read_bytes()
    assert run("open", "q", "tasks").returncode == 0
    server = serve("--queue", "q")
    assert server.claim() == "t-1"
    run("cancel", "q")
    assert "you no longer own this" in server.refused("complete_task", id="t-1")
    assert path.read_bytes() == before


def test_a_task_that_failed_comes_again_only_when_somebody_has_edited_it(
    root: Path, write: Write, serve: Serve, run: Run
) -> None:
    path = write("t-1")
    server = serve()
    for _ in range(3):
        assert server.claim() == "t-1"
        server.ok("release_task", id="t-1", reason="no idea")
    assert server.claim() is None
    assert "Result: failed" in path.read_text()
    assert serve().claim() is None
    with Ledger.open(str(root)) as ledger, ledger.store.write():
        # What 0.1.0 kept had no mode.
        [(kept,)] = ledger.store.rows("select fingerprint from item").fetchall()
        ledger.store.change("update item set fingerprint = ?", (kept.rpartition("-")[0],))
    assert serve().claim() is None
    path.write_text(path.read_text() + "\nDo it this way.\n")
    assert server.claim() == "t-1"
    server.ok("complete_task", id="t-1")
    path.write_text(path.read_text().replace("status: done", "status: active"))
    assert server.claim() == "t-1"


def test_a_task_that_was_edited_while_it_was_held_is_handed_out_again_once_it_is_free(
    write: Write, serve: Serve
) -> None:
    path = write("t-1")
    server = serve()
    assert server.claim() == "t-1"
    path.write_text(path.read_text() + "\nMind the tests.\n")
    assert "Mind the tests" in server.ok("get_task", id="t-1")["task"]["body"]
    server.ok("release_task", id="t-1", reason="no time")
    assert server.claim() == "t-1"


def test_tasks_that_others_lock_or_that_wait_are_not_handed_out(
    root: Path, write: Write, serve: Serve
) -> None:
    write("t-1", "priority: 0")
    write("t-2", "priority: 1", "depends_on: [t-3]")
    write("t-3", "priority: 2", "tags: [human]")
    write("t-4", "priority: 3")
    (root / "locks").mkdir()
    (root / "locks" / "t-1").mkdir()
    server = serve()
    assert [server.claim(), server.claim()] == ["t-4", None]
    assert "locked by another tool" in server.refused("complete_task", id="t-1")
    server.ok("complete_task", id="t-3", force=True)
    assert server.claim() == "t-2"


def test_the_check_of_a_queue_decides_and_a_server_that_is_ended_meanwhile_ends_it(
    root: Path, write: Write, serve: Serve, run: Run
) -> None:
    path = write("t-1")
    command = "echo why; [ -e ok ] || { [ ! -e slow ] || sleep 60; exit 3; }"
    assert run("open", "q", "tasks", "--verify", command).returncode == 0
    server = serve("--queue", "q")
    assert server.claim() == "t-1"
    assert "exit code 3" in server.refused("complete_task", id="t-1")
    (root / "slow").touch()
    asking = threading.Thread(target=lambda: _try(server), daemon=True)
    asking.start()
    wait_for(lambda: _sleeps(root))
    server.signal(TERM)
    wait_for(lambda: not _sleeps(root))
    assert run("status", "q").stdout.startswith("q: open, 1 item: 1 ready\n")
    (root / "ok").touch()
    other = serve("--queue", "q")
    assert other.claim() == "t-1"
    other.ok("complete_task", id="t-1")
    assert "Checked by" in path.read_text()


def test_claims_keep_the_ledger_open_and_read_their_task_once(
    root: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(write(f"t-{number}", f"priority: {number}")) for number in range(2)]
    # What was written just now is read again in any case.
    time.sleep(0.06)
    index = TaskIndex(str(root))
    tools = Tools(index, Dispatch(index, None))
    index.refresh()
    opened: list[str] = []
    read: list[str] = []
    open_one = Ledger.open

    def counted(root: str, **options: Any) -> Ledger:
        opened.append(root)
        return open_one(root, **options)

    def noted(path: str) -> Document:
        read.append(path)
        return read_file(path)

    monkeypatch.setattr(Ledger, "open", counted)
    monkeypatch.setattr("hypervisor.intake.index.index.read", noted)
    monkeypatch.setattr("hypervisor.intake.preflight.look.read", noted)
    # Between the first two it was made.
    for path, opens in zip([*paths, None], (1, 1, 0), strict=True):
        opened.clear()
        read.clear()
        task = tools.answer(lambda: tools.claim_next_task("gemini", ""))["task"]
        assert (task and str(root / task["path"])) == path
        assert (len(opened), read) == (opens, [path] if path else [])


def test_a_ledger_that_is_made_anew_is_the_one_that_claims_are_in(root: Path, write: Write) -> None:
    for number in range(3):
        write(f"t-{number}", f"priority: {number}")
    tools = Tools(index := TaskIndex(str(root)), Dispatch(index, None))
    for _ in range(2):
        assert tools.answer(lambda: tools.claim_next_task("gemini", ""))["success"]
    (root / ".hypervisor").rename(root / "gone")
    told = tools.answer(lambda: tools.claim_next_task("gemini", ""))
    with Ledger.open(str(root)) as ledger:
        assert list(ledger.claims.live_tokens().values()) == [told["task"]["id"]] == ["t-0"]


def test_an_agent_in_a_tree_of_its_own_has_its_work_committed_by_the_server(
    root: Path, write: Write
) -> None:
    write("t-1")
    tree = root.parent / "tree"
    for words in (
        ["init", "-q"], ["config", "user.name", "t"], ["config", "user.email", "t@example.org"],
        ["add", "tasks"], ["commit", "-qm", "start"],
        ["worktree", "add", "-q", "--detach", str(tree)],
    ):  # fmt: skip
        subprocess.run(["git", *words], cwd=root, check=True)
    open_queue(root)
    index = TaskIndex(str(root))
    tools = Tools(index, Dispatch(index, "q", str(tree)))
    task = tools.answer(lambda: tools.claim_next_task("codex", ""))["task"]
    assert (task["id"], task["work_in"]) == ("t-1", str(tree))
    (tree / "made.txt").write_text("x")
    ended = tools.answer(lambda: tools.complete_task("t-1", summary="made it"))
    assert ended["success"], ended
    shown = ["git", "show", "--stat", "--format=%s", task["branch"]]
    told = subprocess.run(shown, cwd=root, capture_output=True, text=True, check=True).stdout
    assert "made.txt" in told


def _try(server: Client) -> None:
    try:
        server.ask("complete_task", id="t-1")
    except BaseException:
        return


def _sleeps(root: Path) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            here = path.with_name("cwd").readlink() == root
            if here and path.read_bytes() == b"sleep\x0060\0":
                return True
        except OSError:
            continue
    return False
