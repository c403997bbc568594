"""A task that a caller makes or changes stands in the project, and is no larger than a task."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hypervisor.agents.mcp.writing import create, update
from hypervisor.intake.index import TaskIndex
from hypervisor.system.errors import HypervisorError, UsageError

TASK = "---\nid: a\ntitle: A\ntype: task\nstatus: active\nproject: x\n---\n\n# A\n"


def index_of(project: Path) -> TaskIndex:
    index = TaskIndex(str(project))
    index.refresh()
    return index


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of the user's own, outside of the project."""
    folder = tmp_path.resolve() / "mine"
    (folder / "tasks").mkdir(parents=True)
    return folder


@pytest.mark.parametrize("link", ["x", "x/tasks", "tasks", "tasks/inbox"])
def test_no_task_is_made_behind_a_link_that_leads_out(project: Path, mine: Path, link: str) -> None:
    (project / link).parent.mkdir(exist_ok=True)
    (project / link).symlink_to(mine)
    fields = {"title": "New"} | ({"project": "x"} if link[0] == "x" else {})
    with pytest.raises(UsageError, match="leads out of the project"):
        create(index_of(project), fields)
    assert [path.name for path in mine.rglob("*")] == ["tasks"]


@pytest.mark.parametrize("name", ["..", "../mine", "/tmp/x", "x/../..", ".", "~", "a\0b", "x" * 41])
def test_a_project_is_no_path(project: Path, mine: Path, name: str) -> None:
    before = sorted(project.parent.rglob("*"))
    with pytest.raises(HypervisorError):
        create(index_of(project), {"title": "New", "project": name})
    after = sorted(project.parent.rglob("*"))
    assert [path for path in after if path not in before] == [project / ".hypervisor/create.lock"]


def test_a_body_and_a_field_have_a_limit(project: Path) -> None:
    (project / "a.md").write_text(TASK)
    index = index_of(project)
    before = (project / "a.md").read_bytes()
    for fields, body, what in (
        ({"title": "New"}, "x" * (1 << 20) + "x", "larger than 1 MiB"),
        ({"title": "x" * 10_001}, "", "title is longer than 10,000"),
        ({"title": "T", "tags": ["x" * 100] * 200}, "", "tags is longer than 10,000"),
    ):
        with pytest.raises(UsageError, match=what):
            create(index, fields, body)
        with pytest.raises(UsageError, match=what):
            update(str(project), "a.md", "a", fields, index.settings, body=body)
    with pytest.raises(HypervisorError, match="more than 100,000 lines"):
        create(index, {"title": "New"}, "-\n" * 100_001)
    assert sorted(path.name for path in project.rglob("*.md")) == ["a.md"]
    assert (project / "a.md").read_bytes() == before


def test_a_file_that_became_a_link_out_of_the_project_is_not_changed(
    project: Path, mine: Path
) -> None:
    (project / "a.md").write_text(TASK)
    index = index_of(project)
    os.replace(project / "a.md", mine / "a.md")
    (project / "a.md").symlink_to(mine / "a.md")
    with pytest.raises(UsageError, match="leads out"):
        update(str(project), "a.md", "a", {"title": "B"}, index.settings)
    assert (mine / "a.md").read_text() == TASK


@pytest.mark.parametrize("body", ["\ud800", "---\nid: b\ntitle: B\n---\n"])
def test_a_body_that_would_be_none_is_refused_in_words(project: Path, body: str) -> None:
    try:
        made = create(index_of(project), {"title": "New"}, body)
    except HypervisorError as error:
        assert "\n" not in str(error)
    else:
        assert made.task is not None and made.task.title == "New"
