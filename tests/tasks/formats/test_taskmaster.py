"""Taskmaster's tasks.json: one value is changed, as the tool itself would read it back."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.system.errors import BrokenFile, FileChanged
from hypervisor.system.state import State
from hypervisor.tasks import formats
from hypervisor.tasks.formats import taskmaster
from hypervisor.tasks.formats.json_spans import spans
from hypervisor.tasks.formats.mark import put
from hypervisor.tasks.undo import UndoLog
from tasks.formats.support import ended, items

PATH = "/p/.taskmaster/tasks/tasks.json"


def written(*tasks: dict[str, object], **tags: list[dict[str, object]]) -> str:
    told = {"master": {"tasks": list(tasks), "metadata": {"x": "ä"}}}
    told |= {tag: {"tasks": more} for tag, more in tags.items()}
    return json.dumps(told, indent=2, ensure_ascii=False)


def task(number: int, status: str = "pending", **more: object) -> dict[str, object]:
    return {"id": number, "title": f"T{number}", "status": status, **more}


PARENT = task(2, subtasks=[task(1, "done"), task(2, dependencies=[1, "3"])], dependencies=[1])


def test_tasks_and_subtasks_are_items_and_a_task_with_subtasks_waits_for_these() -> None:
    found = items("taskmaster", written(task(1), PARENT, task(3, dependencies=["2"])), PATH)
    assert {item_id: item.state for item_id, item in found.items()} == {
        "1": "ready", "2": "", "2.1": "done", "2.2": "ready", "3": "ready",
    }  # fmt: skip
    assert found["2.2"].depends_on == ("2.1", "2.3", "1")
    assert found["3"].depends_on == ("2.2",)
    assert "part of T2" in found["2.2"].text


def test_a_task_whose_subtasks_are_over_is_an_item_and_those_of_an_ended_one_are_not() -> None:
    over = task(2, subtasks=[task(1, "done"), task(2, "cancelled")])
    ended_too_soon = task(3, "done", subtasks=[task(1)])
    found = items("taskmaster", written(over, ended_too_soon), PATH)
    assert {item_id: item.state for item_id, item in found.items()} == {
        "2": "ready", "2.1": "done", "2.2": "cancelled", "3": "done", "3.1": "done",
    }  # fmt: skip


def test_one_status_is_changed_and_no_other_byte() -> None:
    text = written(task(1, note="é"), task(2))
    after = ended("taskmaster", text, "2", PATH)
    assert after == text[: text.rindex("pending")] + "done" + text[text.rindex("pending") + 7 :]


def test_the_last_subtask_ends_its_task() -> None:
    after = json.loads(ended("taskmaster", written(task(1), PARENT), "2.2", PATH))
    assert after["master"]["tasks"][1]["status"] == "done"
    two = task(2, subtasks=[task(1), task(2)])
    after = json.loads(ended("taskmaster", written(two), "2.1", PATH))
    assert after["master"]["tasks"][0]["status"] == "pending"


def test_the_time_of_a_change_is_noted_where_there_is_one() -> None:
    after = json.loads(ended("taskmaster", written(task(1, updatedAt="old")), "1", PATH))
    assert after["master"]["tasks"][0]["updatedAt"].startswith(time.strftime("%Y-"))


def test_the_tag_is_the_one_that_the_tool_is_at_or_the_one_named(tmp_path: Path) -> None:
    folder = tmp_path / ".taskmaster/tasks"
    folder.mkdir(parents=True)
    path = str(folder / "tasks.json")
    kind = formats.get("taskmaster")
    found = kind.items(path, written(task(1), other=[task(7)]))

    def chosen(name: str | None = None) -> list[str]:
        return [item.id for item in kind.chosen(path, found, name)]

    assert chosen() == ["1"]
    (tmp_path / ".taskmaster/state.json").write_text('{"currentTag": "other"}')
    assert chosen() == chosen("other") == ["other/7"]
    assert chosen("master") == ["1"]


def test_an_old_file_has_one_list() -> None:
    assert list(items("taskmaster", json.dumps({"tasks": [task(1)]}), PATH)) == ["1"]


def test_what_is_no_json_is_broken_with_its_line() -> None:
    with pytest.raises(BrokenFile) as caught:
        items("taskmaster", '{"master":\n{"tasks": [}', PATH)
    assert caught.value.line == 2


def test_the_lock_of_the_tool_is_taken_waited_for_and_broken_when_it_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "tasks.json")
    kind = formats.get("taskmaster")
    with kind.lock(path):
        assert os.path.isdir(f"{path}.lock")
    assert not os.path.exists(f"{path}.lock")
    os.mkdir(f"{path}.lock")
    monkeypatch.setattr(taskmaster, "_PATIENCE", 0.2)
    with pytest.raises(FileChanged), kind.lock(path):
        pass
    os.utime(f"{path}.lock", (1, 1))
    with kind.lock(path):
        assert os.path.isdir(f"{path}.lock")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(_JSON, st.sampled_from([None, 1, 2]))
def test_every_value_of_a_text_is_where_it_says(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    for path, (start, end) in spans(text).items():
        inner = value
        for key in path:
            inner = inner[key]  # type: ignore[index]
        assert json.loads(text[start:end]) == inner


@given(st.text('{}[]",: 1\n', max_size=12))
def test_what_json_refuses_has_no_spans(text: str) -> None:
    try:
        json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            spans(text)
    else:
        assert () in spans(text)


def test_a_lone_dependency_counts_as_a_list_of_one() -> None:
    tasks = [{"id": 1, "title": "a"}, {"id": 2, "title": "b", "dependencies": "1"}]
    text = json.dumps({"tasks": tasks})
    found = formats.get("taskmaster").items("/p/tasks.json", text)
    assert found[1].depends_on == ("1",)


def test_a_task_without_an_id_is_held_and_named() -> None:
    text = written(task(1), {"title": "B", "status": "pending"}, task(3, id=None))
    text = text.replace('"title": "T1"', '"title": "T1", "subtasks": [{"title": "part"}]')
    found = items("taskmaster", text, PATH)
    assert {name: one.held for name, one in found.items()} == {
        "1": "", "1.": "it has no id: give it one", "task 2": "it has no id: give it one",
        "task 3": "it has no id: give it one",
    }  # fmt: skip
    strange = written(task(1)).replace('"tasks": [', '"tasks": ["do it",')
    assert [one.held != "" for one in items("taskmaster", strange, PATH).values()] == [True, False]


@pytest.mark.parametrize(
    ("word", "state"),
    [("Done", "done"), ("COMPLETED", "done"), ("closed", "done"), ("To Do", "ready"),
     ("In Progress", "in_progress"), ("open", "unknown")],
)  # fmt: skip
def test_a_word_in_other_letters_is_meant_as_it_stands(word: str, state: str) -> None:
    assert items("taskmaster", written(task(1, word)), PATH)["1"].state == state


def test_the_only_tag_of_a_file_is_meant(tmp_path: Path) -> None:
    kind, text = formats.get("taskmaster"), json.dumps({"dev": {"tasks": [task(1)]}})
    path = tmp_path / ".taskmaster/tasks/tasks.json"
    path.parent.mkdir(parents=True)
    (tmp_path / ".taskmaster/state.json").write_text('\ufeff{"currentTag": "gone"}')
    every = kind.items(str(path), text)
    assert [one.id for one in kind.chosen(str(path), every, None)] == ["dev/1"]


def test_the_id_of_a_subtask_may_have_that_of_its_task_in_it() -> None:
    parts = [task(1, id="2.1"), task(2, id="2.2", dependencies=["2.1"])]
    text = written(task(2, subtasks=parts))
    assert items("taskmaster", text, PATH)["2.2"].depends_on == ("2.1",)
    assert (
        json.loads(ended("taskmaster", text, "2.1", PATH))["master"]["tasks"][0]["subtasks"][0][
            "status"
        ]
        == "done"
    )


@pytest.mark.parametrize("indent", [2, None])
def test_marks_of_subtasks_are_undone_in_any_order_with_that_of_their_task(
    indent: int | None, tmp_path: Path
) -> None:
    def told(*done: str) -> str:
        tasks = [
            task(above, "done" if {f"{above}.1", f"{above}.2"} <= set(done) else "pending",
                 subtasks=[task(n, "done" if f"{above}.{n}" in done else "pending")
                           for n in (1, 2)])
            for above in (1, 2)
        ]  # fmt: skip
        return json.dumps({"master": {"tasks": tasks}}, indent=indent)

    path = tmp_path / "tasks.json"
    log = UndoLog(State.create(str(tmp_path)), "q")
    path.write_text(told())
    for own in ("1.1", "2.1", "2.2", "1.2"):
        put(str(path), "taskmaster", f"f#{own}", own, f"T{own[-1]}", "done", log, lambda: True)
    left = {"1.1", "1.2", "2.1", "2.2"}
    for own in ("2.1", "1.1", "1.2", "2.2"):
        [one] = log.restore(f"f#{own}")
        left.remove(own)
        assert (one.outcome, path.read_text()) == ("restored", told(*left))
