"""Each page of docs/ that says what to type is typed, and shows what it says."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from docs.typist import REPO, Shell, follow

DOCS = REPO / "docs"
HOW_TO = sorted(DOCS.glob("how-to/*.md"))


# Pages that need a server, and the address that they have for it.
SHARED = {"many-machines": "postgresql://ada@db.example.org/work"}


def reader(folder: Path, words: dict[str, str] | None = None) -> Shell:
    """A shell of somebody who has hypervisor on the PATH, and no file of their own."""
    home = folder / "you"
    home.mkdir()
    path = f"{REPO / 'bin'}:{os.environ['PATH']}"
    return Shell(home, {**os.environ, "PATH": path}, words)


def test_a_reader_who_types_the_tutorial_on_a_fresh_machine_sees_what_it_shows(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    fresh = {name: value for name, value in os.environ.items() if name != "HYPERVISOR_HOME"}
    (tmp_path / "you").mkdir()
    shell = Shell(tmp_path / "you", fresh, fresh=True)
    try:
        follow(DOCS / "tutorial.md", shell, rewrite=pytestconfig.getoption("--rewrite"))
    finally:
        shell.close()


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_a_reader_who_types_the_how_to_sees_what_it_shows(
    tmp_path: Path, page: Path, request: pytest.FixtureRequest, pytestconfig: pytest.Config
) -> None:
    words = {}
    if page.stem in SHARED:
        server = request.getfixturevalue("postgres")
        words[SHARED[page.stem]] = server.tcp(server.database())
    shell = reader(tmp_path, words)
    try:
        follow(page, shell, rewrite=pytestconfig.getoption("--rewrite"))
    finally:
        shell.close()


def test_no_two_pages_work_in_one_folder_so_that_they_can_be_typed_in_any_order() -> None:
    used: dict[str, set[str]] = {}
    for page in [DOCS / "tutorial.md", *HOW_TO]:
        typed = "\n".join(page.read_text(encoding="utf-8").split("```sh\n")[1:])
        for folder in set(re.findall(r"\bcd (~/[\w-]+)", typed)):
            used.setdefault(folder, set()).add(page.name)
    assert len(used) > 5
    assert {folder: pages for folder, pages in used.items() if len(pages) > 1} == {}
