"""The one list of what steers agents, git, editors and shells."""

from __future__ import annotations

import pytest

from hypervisor.system.protected import FILES, FOLDERS, allowed, steers, wants_naming


@pytest.mark.parametrize("name", [*(f"{folder}/x" for folder in FOLDERS), *FOLDERS, *FILES])
def test_every_name_of_the_list_steers_at_any_depth_and_in_any_case(name: str) -> None:
    for path in (name, f"a/b/{name}", name.upper(), f"a/{name.title()}"):
        assert steers(path), path


@pytest.mark.parametrize(
    "path",
    ["src/a.py", "claude.md.txt", "my.claude/x", ".vscode/extensions.json", "vscode/tasks.json",
     "docs/AGENTS.md.bak", ".github/workflows/ci.yml", ".idea/workspace.xml", "Makefile",
     ".claude/worktrees/agent-1/CLAUDE.md"],
)  # fmt: skip
def test_other_names_do_not(path: str) -> None:
    assert not steers(path)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (".github/workflows/ci.yml", True), (".gitlab-ci.yml", True), ("Makefile", True),
        ("a/conftest.py", True), (".env", True), ("a/.b/c", True), ("src/a.py", False),
        ("a/.notes.md.swp", False), (".obsidian/workspace.json", False), (".DS_Store", False),
    ],
)  # fmt: skip
def test_ci_build_and_dot_paths_want_to_be_named(path: str, wanted: bool) -> None:
    assert wants_naming(path) is wanted


def test_what_a_person_named_is_allowed_with_what_lies_below(path: str = ".vscode") -> None:
    assert allowed(".vscode/tasks.json", [path]) and allowed(".VSCode", [path])
    assert not allowed(".vscode2/tasks.json", [path]) and not allowed("a/.vscode/x", [path])
