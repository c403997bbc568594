"""What holds for each format of boxes: bytes stay, undo brings back, odd boxes are held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.system.errors import BrokenFile
from hypervisor.system.state import State
from hypervisor.tasks import formats
from hypervisor.tasks.formats import mark
from hypervisor.tasks.item import Item
from hypervisor.tasks.undo import UndoLog
from repository import REPO

# Where a file of each format stands, and how one of its items is written.
KINDS = {
    "spec-kit": ("specs/001-x/tasks.md", "T{n:03} {told}"),
    "openspec": ("openspec/changes/add/tasks.md", "{n}.1 {told}"),
    "kiro": (".kiro/specs/x/tasks.md", "{n}. {told}"),
    "agent-os": ("agent-os/specs/2026-01-02-x/tasks.md", "{n}. {told}"),
    "obsidian-tasks": ("note.md", "{told} 🆔 n{n}"),
    "checklist": ("todo.md", "{n} {told}"),
}
WORDS = ["do it", "é `a.py`", "x" * 50, "# not a heading", "[a](b)", "a#b", "<b>", "⛔", "ends ^x"]
OTHER = [
    "", "text", "## Heading", "  more of it", "\tindented", "> quoted", "> - [ ] in a quote",
    "```\n- [ ] in code\n```", "<!-- - [ ] hidden -->", "---", "a line of dashes\n----------",
    "- plain", "- [ ]", "1) one",
]  # fmt: skip
MARKERS = ["-", "*", "+", "1.", "2)"]


@contextmanager
def project() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(os.path.realpath(folder))
        plugin = root / ".obsidian/plugins/obsidian-tasks-plugin"
        plugin.mkdir(parents=True)
        (plugin / "data.json").write_text("{}")
        yield root


@st.composite
def texts(draw: st.DrawFn, line: str) -> str:
    parts = []
    for number in range(1, draw(st.integers(1, 8)) + 1):
        parts += draw(st.lists(st.sampled_from(OTHER), max_size=2))
        indent = draw(st.sampled_from(["", "", "  ", "\t"]))
        told = line.format(n=number, told=draw(st.sampled_from(WORDS)))
        box = draw(st.sampled_from([" ", " ", " ", "x", "X", "~"]))
        parts.append(f"{indent}{draw(st.sampled_from(MARKERS))} [{box}] {told}")
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return (
        draw(st.sampled_from(["", "\ufeff"])) + end.join(parts) + draw(st.sampled_from(["", end]))
    )


def put(path: Path, name: str, item: Item, log: UndoLog, state: str = "done") -> None:
    mark.put(str(path), name, f"q#{item.id}", item.id, item.title, state, log, lambda: True)


def laid_out(root: Path, name: str, text: str) -> Path:
    path = root / KINDS[name][0]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=settings.default.max_examples // 4)
@given(data=st.data())
def test_any_items_in_any_order_are_ended_each_by_its_mark_and_undone(
    name: str, data: st.DataObject
) -> None:
    text = data.draw(texts(KINDS[name][1]))
    with project() as root:
        path = laid_out(root, name, text)
        kind = formats.get(name)
        before = kind.items(str(path), text)
        log = UndoLog(State.create(str(root)), "q")
        ready = [one for one in before if one.state == "ready"]
        chosen = data.draw(st.lists(st.sampled_from(ready), unique=True)) if ready else []
        for item in chosen:
            put(path, name, item, log)
        after = path.read_bytes().decode()
        now = kind.items(str(path), after)
        ended = {one.id for one in chosen}
        assert [(one.id, one.title) for one in now] == [(one.id, one.title) for one in before]
        for old, new in zip(before, now, strict=True):
            assert new.state == ("done" if old.id in ended else old.state)
        lines = {one.line for one in chosen}
        pairs = zip(text.split("\n"), after.split("\n"), strict=True)
        changed = [at for at, (old, new) in enumerate(pairs, 1) if old != new]
        assert set(changed) <= lines or name == "agent-os"
        if chosen:
            log.restore()
        assert path.read_bytes() == text.encode()


@pytest.mark.parametrize("name", KINDS)
def test_several_processes_end_items_of_one_file(name: str, tmp_path: Path) -> None:
    line = KINDS[name][1]
    text = "".join(f"- [ ] {line.format(n=n, told=f'step {n}')}\n" for n in range(1, 13))
    with project() as root:
        path = laid_out(root, name, text)
        State.create(str(root))
        script = (
            "import sys, json\nfrom hypervisor.tasks.formats import mark\n"
            "from hypervisor.tasks.undo import UndoLog\nfrom hypervisor.system.state import State\n"
            "log = UndoLog(State.find(sys.argv[1]), 'q')\n"
            "for own, title in json.loads(sys.argv[4]):\n"
            "    mark.put(sys.argv[2], sys.argv[3], own, own, title, 'done', log, lambda: True)\n"
        )
        items = [(one.id, one.title) for one in formats.get(name).items(str(path), text)]
        assert len(items) == 12
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(root), str(path), name,
                 json.dumps(items[place::3])],
                env=os.environ | {"PYTHONPATH": str(REPO / "src")},
            )
            for place in range(3)
        ]  # fmt: skip
        assert [worker.wait() for worker in workers] == [0, 0, 0]
        now = formats.get(name).items(str(path), path.read_text())
        assert [one.state for one in now] == ["done"] * 12
        UndoLog(State.create(str(root)), "q").restore()
        assert path.read_text() == text


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"checklist", "openspec"}))
def test_an_id_that_stands_twice_is_not_ended(name: str) -> None:
    line = KINDS[name][1].format(n=1, told="the same")
    with project() as root:
        text = f"- [ ] {line}\n- [x] {line}\n"
        path = laid_out(root, name, text)
        first, second = formats.get(name).items(str(path), text)
        assert first.id == second.id
        with pytest.raises(BrokenFile, match="more than once"):
            put(path, name, first, UndoLog(State.create(str(root)), "q"))
        assert path.read_text() == text


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("pattern", ["its own", "{told}"])
def test_a_title_of_ten_thousand_characters_is_found_and_ended(name: str, pattern: str) -> None:
    own = pattern == "its own" or name in ("spec-kit", "agent-os")
    line = (KINDS[name][1] if own else pattern).format(n=1, told="é#" * 5000)
    with project() as root:
        text = f"- [ ] {line}\n"
        path = laid_out(root, name, text)
        [item] = formats.get(name).items(str(path), text)
        assert len(item.id) < 200
        put(path, name, item, UndoLog(State.create(str(root)), "q"))
        assert path.read_text().lower().startswith("- [x] ")


@pytest.mark.parametrize("name", KINDS)
def test_a_mark_that_nobody_knows_is_never_ready(name: str) -> None:
    with project() as root:
        for sign in "!?>h*e":
            text = f"- [{sign}] {KINDS[name][1].format(n=1, told='odd')}\n"
            [item] = formats.get(name).items(str(root / KINDS[name][0]), text)
            assert (item.state, item.word) == ("unknown", f"[{sign}]")
