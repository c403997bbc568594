"""Very many files are looked at by several processes: it comes to the same."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from hypervisor.config.settings import load
from hypervisor.intake.preflight import Preflight, check, many
from hypervisor.intake.preflight.look import Look
from hypervisor.intake.sources import Found, expand

STATUS = ("active", "done", "blocked", "waiting for nobody")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of tasks of every kind, some of them twice, and a table."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    for number in range(60):
        text = f"id: t{number % 55}\ntitle: T\nstatus: {STATUS[number % 4]}\n"
        if number % 7 == 5:
            text += f"assignee: a{number}\ndepends_on: [t{number // 2}]\n"
        if number % 10 == 3:
            text = f"id: [broken\nstatus: {number}\n"
        (folder / f"{number:02}.md").write_text(f"---\n{text}---\nx\n")
    for number in (5, 13, 41):
        os.link(folder / f"{number:02}.md", folder / f"z{number}.md")
    (folder / "plain.md").write_text("no task\n")
    (tmp_path / "rows.csv").write_text("id,title\n" + "".join(f"r{n},R\n" for n in range(20)))
    return tmp_path


def look(root: Path) -> Preflight:
    found = expand(
        [str(root / "tasks"), str(root / "rows.csv"), str(root / "tasks" / "07.md")],
        root=str(root), cwd=str(root), settings=load(str(root)), id_column="id",
    )  # fmt: skip
    return check(found, root=str(root), settings=load(str(root)), where=["status!=done"])


@pytest.mark.parametrize("killed", [False, True])
def test_several_processes_come_to_what_one_comes_to(
    source: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    alone = look(source)
    assert alone.ready and alone.held and alone.skipped and alone.broken and alone.not_matching
    here, shared, at = os.getpid(), [], Look.at
    take_in = Look.take_in

    def looked(self: Look, member: Found) -> None:
        if killed and os.getpid() != here and (member.path or "").endswith("30.md"):
            os.kill(os.getpid(), signal.SIGKILL)
        at(self, member)

    monkeypatch.setattr(many, "_FEW", 3)
    monkeypatch.setattr(many, "_AT_ONCE", 4)
    monkeypatch.setattr(many, "_processes", lambda: 2)
    monkeypatch.setattr(Look, "at", looked)
    monkeypatch.setattr(
        Look, "take_in", lambda self, seen: shared.append(seen) or take_in(self, seen)
    )
    assert look(source) == alone
    assert shared or killed


def test_rows_are_looked_at_by_one_process(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "_FEW", 3)
    monkeypatch.setattr(many, "_processes", lambda: 2)
    monkeypatch.setattr(many, "_share", None)
    table = str(source / "rows.csv")
    found = expand([table, table], root=str(source), cwd=str(source), settings=load(str(source)))
    checked = check(found, root=str(source), settings=load(str(source)), instructions=True)
    assert len(checked.ready) == 20
    assert {one.reason for one in checked.skipped} == {"named twice"}
