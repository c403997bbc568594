"""What other task servers broke over: one odd file is one odd file, and an edit is that edit."""

from __future__ import annotations

import os
from pathlib import Path

from agents.mcp.conftest import Serve, Write


def test_odd_files_are_named_and_break_nothing(root: Path, write: Write, serve: Serve) -> None:
    tasks = root / "tasks"
    write("t-1", "depends_on: null", "tags: null", "priority: P1")
    write("t-2", "depends_on: t-1", "tags: one", "priority: 9")
    write("20260119", "title: 2026", "created: never", name="20260119-number")
    write("t-3", name="another name")
    write("same", name="one")
    write("same", name="two")
    write("a", "parent: b")
    write("b", "parent: a")
    write("t-4", "status: Done")
    write("t-5", "status: shipped")
    write("t-6", "depends_on: {a: b}")
    write("t-7", "title: 'a --- b'", body="Text --- text.\n")
    (tasks / "broken.md").write_text("---\nid: t-8\ntitle: Fix bug: parser\n---\n")
    (tasks / "latin.md").write_bytes("---\nid: t-9\ntitle: Grüße\n---\n".encode("latin-1"))
    (tasks / "twice.md").write_text("---\nid: t-10\nstatus: active\nstatus: done\n---\n")
    (tasks / "note.md").write_text("Just a note.\n")
    (tasks / "index.json").write_text("{")
    server = serve()
    listed = server.ok("list_tasks")
    ids = [task["id"] for task in listed["tasks"]]
    assert sorted(ids) == sorted(
        ["t-1", "t-2", "20260119", "t-3", "same", "same", "a", "b", "t-4", "t-5", "t-6", "t-7"]
    )
    odd = {entry["path"]: entry for entry in listed["odd_files"]}
    assert set(odd) == {f"tasks/{name}.md" for name in ("broken", "latin", "twice", "t-6")}
    assert odd["tasks/broken.md"]["line"] == 3 and "quote" in odd["tasks/broken.md"]["fix"]
    assert "lines 3 and 4" in odd["tasks/twice.md"]["reason"]
    assert listed["odd_count"] == 4

    by_id = {task["id"]: task for task in listed["tasks"]}
    assert by_id["t-1"]["depends_on"] == by_id["t-1"]["tags"] == []
    assert (by_id["t-2"]["depends_on"], by_id["t-2"]["tags"]) == (["t-1"], ["one"])
    assert by_id["20260119"]["title"] == "2026"
    assert server.ok("get_task", id=20260119)["task"]["id"] == "20260119"
    assert "2 files have the id same" in server.refused("get_task", id="same")
    assert "tasks/broken.md:3" in server.refused("get_task", id="t-8")
    assert server.ok("get_children", id="a")["tasks"][0]["id"] == "b"
    before = {path: path.read_bytes() for path in tasks.iterdir()}
    for one in ("same", "t-8", "t-10"):
        server.refused("complete_task", id=one)
        server.refused("update_task", id=one, priority=1)
    server.refused("block_task", id="t-6", reason="x")
    assert {path: path.read_bytes() for path in tasks.iterdir()} == before
    # Finished, unknown, odd and doubled ones are never handed out.
    claimed = []
    while (one := server.claim()) is not None:
        claimed.append(one)
    assert claimed == ["t-1", "20260119", "t-3", "t-7"]
    server.ok("complete_task", id="t-3")
    # In the word of the one that is done beside it.
    assert "status: Done" in (tasks / "another name.md").read_text()
    assert not (tasks / "t-3.md").exists()


def test_an_edit_by_hand_is_seen_at_the_next_call(root: Path, write: Write, serve: Serve) -> None:
    path = write("t-1")
    server = serve()
    assert server.ok("get_index_stats")["stats"]["ready"] == 1
    path.write_text(path.read_text().replace("active", "paused"))
    assert server.ok("get_index_stats")["stats"]["by_status"] == {"paused": 1}
    # In place, of the same length, within the same moment.
    with open(path, "r+b") as file:
        file.seek(path.read_bytes().index(b"paused"))
        file.write(b"active")
    assert server.ok("get_ready_tasks")["total"] == 1
    path.rename(root / "tasks" / "moved.md")
    (root / "new" / "deep").mkdir(parents=True)
    (root / "new" / "deep" / "t-2.md").write_text("---\nid: t-2\nstatus: active\n---\n")
    tasks = server.ok("list_tasks")["tasks"]
    assert [task["path"] for task in tasks] == ["new/deep/t-2.md", "tasks/moved.md"]
    (root / "hypervisor.toml").write_text('status.done = ["active"]\n')
    assert server.ok("get_index_stats")["stats"]["ready"] == 0
    (root / "hypervisor.toml").write_text("no toml")
    assert "hypervisor.toml" in server.refused("get_index_stats")
    (root / "hypervisor.toml").unlink()
    (root / "tasks" / "moved.md").unlink()
    assert server.ok("get_ready_tasks")["total"] == 1


def test_an_update_touches_its_keys_and_nothing_else(write: Write, serve: Serve) -> None:
    path = write(
        "t-1",
        'title: "Old"  # as written',
        "priority: 2",
        "custom_key: {kept: [1, 2]}",
        "tags:",
        "- one",
        "- two",
        "due: 2026-02-01",
        body="Text.\r\n\r\n- [ ] box\r\n",
    )
    server = serve()
    before = path.read_bytes()
    told = server.ok("update_task", id="t-1", title="New", priority=1, assignee="bot", due="")
    assert told["modified_fields"] == ["title", "priority", "due", "assignee"]
    assert told["task"]["custom_key"] == {"kept": [1, 2]}
    wanted = before.replace(b'"Old"', b'"New"').replace(b"priority: 2", b"priority: 1")
    wanted = wanted.replace(b"due: 2026-02-01\n", b"").replace(b"id: t-1", b"id: t-1")
    at = wanted.index(b"---\n", 4)
    assert path.read_bytes() == wanted[:at] + b"assignee: bot\n" + wanted[at:]
    assert server.ok("update_task", id="t-1", title="New")["modified_fields"] == []

    server.ok("update_task", id="t-1", tags="", depends_on="a, [[b|B]]", order=3)
    text = path.read_text()
    assert "tags" not in text and "depends_on: [a, b]\n" in text and "order: 3\n" in text
    for wrong in ({"status": "wished"}, {"type": "wish"}, {"order": "x"}, {"title": ""}):
        server.refused("update_task", id="t-1", **wrong)
    assert "complete_task" in server.refused("update_task", id="t-1", status="done")
    assert path.read_text() == text
    assert server.ok("update_task", id="t-1", status="done", force=True)


def test_a_body_is_added_to_and_replaced_only_by_who_says_so(write: Write, serve: Serve) -> None:
    path = write("t-1", body="The text.\n\n```\nan open fence\n")
    server = serve()
    before = path.read_text()
    server.ok("update_task", id="t-1", body="## Findings\n\n<!-- hypervisor:report x --> no mark")
    text = path.read_text()
    assert "The text.\n" in text and "an open fence\n" in text
    assert "\n## Findings\n\n&lt;!-- hypervisor:report x --> no mark\n" in text
    server.ok("update_task", id="t-1", body="Second.")
    assert "The text." in path.read_text() and "## Findings" in path.read_text()
    server.ok("block_task", id="t-1", reason="stuck")
    assert "The text." in path.read_text()
    server.ok("update_task", id="t-1", body="All new.", replace_body=True)
    text = path.read_text()
    assert "The text." not in text and "All new." in text and "> stuck" in text
    assert text.startswith(before[: before.index("status:")])


def test_a_new_task_gets_a_file_of_its_own_in_the_layout_of_its_like(
    root: Path, write: Write, serve: Serve
) -> None:
    server = serve()
    first = server.ok("create_task", task_title="Ünder: way!", project="aops", priority=1,
                      depends_on=["x"], tags="a,b", body="Do this.")  # fmt: skip
    assert "there is no task x" in first["message"]
    task = first["task"]
    assert task["path"] == f"aops/tasks/{task['id']}-ünder-way.md"
    assert task["id"].startswith("aops-") and task["body"] == "# Ünder: way!\n\nDo this."
    text = (root / task["path"]).read_text()
    assert f"alias: [{task['id']}-ünder-way, {task['id']}]\n" in text
    assert "type: task\nstatus: inbox\npriority: 1\norder: 0\n" in text
    assert "title: 'Ünder: way!'" in text
    plain = server.ok("create_task", task_title="🎉", parent=task["id"])["task"]
    assert plain["path"] == f"tasks/inbox/{plain['id']}.md"
    assert server.ok("get_task", id=task["id"])["task"]["children"] == [plain["id"]]
    for wrong in (
        {"task_title": " "},
        {"task_title": "x", "project": "../out"},
        {"task_title": "x", "type": "wish"},
        {"task_title": "x", "status": "wished"},
    ):
        server.refused("create_task", **wrong)
    assert len(list(root.rglob("*.md"))) == 2
    same = [server.ok("create_task", task_title="Same")["task"]["path"] for _ in range(2)]
    assert len(set(same)) == 2

    for path in root.rglob("*.md"):
        path.unlink()
    for number in (3, 12):
        write(f"task-{number}", "status: To Do", "labels: []", "dependencies: []",
              "created_date: 2026-01-01", name=f"task-{number} - Some-Thing")  # fmt: skip
    made = server.ok("create_task", task_title="Next: thing", assignee="@me")["task"]
    assert made["path"] == "tasks/task-13 - Next-thing.md"
    text = (root / made["path"]).read_text()
    assert "status: To Do\n" in text and "assignee: ['@me']" in text and "labels: []" in text


def test_a_name_that_is_no_utf_8_and_half_a_character_end_no_server(
    root: Path, write: Write, serve: Serve
) -> None:
    good = write("good")
    (good.parent / os.fsdecode(b"x\xff.md")).write_text(
        "---\nid: odd\ntitle: Odd\nstatus: active\ntype: task\n---\n"
    )
    server = serve()
    paths = {task["path"] for task in server.ok("list_tasks")["tasks"]}
    assert paths == {"tasks/good.md", "tasks/x�.md"}
    assert server.ok("get_task", id="odd")["task"]["title"] == "Odd"
    assert server.claim() == "good" and server.claim() is None
