"""docs/formats.md has a row for each format, and the page that adds one shows code that works."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from docs.pages import blocks
from hypervisor import worker
from hypervisor.cli import main
from hypervisor.ledger import Ledger
from hypervisor.tasks import formats
from hypervisor.tasks.formats.rows import Rows
from repository import REPO

PAGE = REPO / "docs/formats.md"
ADDING = REPO / "docs/how-to/add-a-format.md"
ORG = "* TODO [#A] Wire parser\n** TODO Read a byte\n   one\n** DONE Plan\n* WAIT Celebrate\n"


def written() -> dict[str, str]:
    """Return what the table says is written of each format, by name."""
    rows = re.findall(r"(?m)^\| `(.+?)` \|(?:.*? \|){2} (.*?) \|", PAGE.read_text())
    assert len(dict(rows)) == len(rows), "a format has two rows"
    return dict(rows)


def test_each_format_has_a_row_and_each_row_a_format() -> None:
    assert list(written()) == [*formats.FORMATS, *formats.TASK_FILES]


@pytest.mark.parametrize("name", formats.FORMATS)
def test_the_table_says_nothing_is_written_where_a_tool_owns_the_data(name: str) -> None:
    owned = isinstance(formats.get(name), Rows) or name == "gsd"
    assert (written()[name] == "nothing") == owned


def test_the_format_that_the_page_adds_is_short_and_works(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [block] = [one for one in blocks(ADDING) if one.language == "python"]
    assert len(block.lines) < 60
    name = f"{formats.__name__}.org"
    module = ModuleType(name)
    exec("\n".join(block.lines), module.__dict__)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(formats.FORMATS, "org", "org")
    monkeypatch.chdir(project)
    file = project / "plan.org"
    file.write_text(ORG)
    assert main(["open", "q", "plan.org"]) == 0
    assert "plan.org: org" in capsys.readouterr().out
    with Ledger.open(str(project)) as ledger:
        [read] = worker.take(ledger, "q", "w", 5)
        worker.finish(ledger, read.token, "done", {"summary": "read one"})
        assert file.read_text() == ORG.replace("TODO Read", "DONE Read")
        [wire] = worker.take(ledger, "q", "w", 5)
        worker.finish(ledger, wire.token, "blocked", {"reason": "no wire"})
        assert worker.take(ledger, "q", "w", 5) == []
    assert file.read_text() == ORG.replace("TODO Read", "DONE Read")
    assert main(["undo", "q"]) == 0
    assert file.read_text() == ORG


def test_code_of_the_page_is_written_as_ours_is(tmp_path: Path) -> None:
    import subprocess

    [block] = [one for one in blocks(ADDING) if one.language == "python"]
    (tmp_path / "org.py").write_text("\n".join(block.lines) + "\n")
    settings = ("--config", str(REPO / "pyproject.toml"), "--no-cache", str(tmp_path))
    for words in (["check", "--ignore", "INP"], ["format", "--check"]):
        ran = subprocess.run(["ruff", *words, *settings], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout
