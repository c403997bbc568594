"""Folders and globs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.intake.sources import Found, SourceError
from hypervisor.intake.sources.instead import hidden_instead

Write = Callable[..., Path]
Names = Callable[..., list[str]]
Find = Callable[..., list[Found]]


def test_a_folder_is_walked_to_its_markdown_files_in_the_order_of_their_names(
    write: Write, names: Names
) -> None:
    for name in ("t/b.md", "t/a/z.md", "t/a.markdown", "t/c.MD", "t/notes.txt", "t/x.py"):
        write(name)
    assert names("t") == ["t/a/z.md", "t/a.markdown", "t/b.md", "t/c.MD"]


def test_hidden_and_skipped_folders_are_left_out(write: Write, names: Names) -> None:
    for folder in (".git", ".obsidian", "archive", "sessions", "node_modules", "tasks"):
        write(f"{folder}/a.md")
    write(".hidden.md")
    # How many files of drafts and archives are left out is told.
    assert names(".") == ["tasks/a.md", "archive"]
    write("Draft/a.md")
    write("TEMPLATE/a.md")
    assert names(".") == ["tasks/a.md", "Draft", "TEMPLATE", "archive"]


@pytest.mark.parametrize("folder", ["99 - Templates", "_Archive", "Task Templates", "0-drafts"])
def test_a_folder_is_skipped_with_a_number_or_a_sign_before_its_name(
    folder: str, write: Write, names: Names
) -> None:
    write(f"t/{folder}/a.md")
    write("t/drafts of law/b.md")
    assert [name for name in names("t") if name.endswith(".md")] == ["t/drafts of law/b.md"]


def test_a_skipped_folder_that_is_named_itself_is_walked(write: Write, names: Names) -> None:
    write("archive/a.md")
    assert names("archive") == ["archive/a.md"]


def test_the_settings_say_which_folders_are_skipped(write: Write, names: Names) -> None:
    write("hypervisor.toml", '[walk]\nskip = ["old"]\n')
    write("old/a.md")
    write("archive/b.md")
    assert names(".") == ["archive/b.md"]


def test_what_tools_leave_beside_tasks_is_no_item(write: Write, names: Names) -> None:
    for name in ("a.md", "a.md.tmp", "index.json", ".lock", "a.lock", "a.md~", "b.py"):
        write(f"t/{name}")
    assert names("t") == ["t/a.md"]
    assert names("t", files_are_items=True) == ["t/a.md", "t/b.py"]


def test_copies_that_a_sync_made_are_not_hidden(write: Write, names: Names) -> None:
    write("t/a.md")
    write("t/a (1).md")
    write("t/a.sync-conflict-20260101-120000-ABC.md")
    assert len(names("t")) == 3


def test_a_circle_of_links_ends_and_each_file_is_found_by_its_own_path(
    write: Write, names: Names, project: Path
) -> None:
    write("t/deep/a.md")
    (project / "t/deep/up").symlink_to("..")
    (project / "t/aaa").symlink_to("deep")
    (project / "t/self").symlink_to("self")
    assert names("t") == ["t/deep/a.md"]


def test_a_link_to_a_folder_elsewhere_in_the_root_is_followed(
    write: Write, names: Names, project: Path
) -> None:
    write("store/a.md")
    (project / "t").mkdir()
    (project / "t/link").symlink_to("../store")
    assert names("t") == ["t/link/a.md"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_out_of_the_project_is_told_and_not_followed(
    kind: str, find: Find, project: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("x")
    (project / "t").mkdir()
    target = outside / "secret.md" if kind == "file" else outside
    (project / "t/link.md").symlink_to(target)
    (found,) = find("t")
    assert found.problem is not None
    assert (found.problem.group, found.problem.kind) == ("held", "outside")
    assert str(target) in found.problem.reason


def test_a_link_that_is_named_itself_is_followed_out_of_the_project(
    names: Names, find: Find, project: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.md").write_text("x")
    (project / "data").symlink_to(outside)
    assert names("data") == ["data/a.md"]


@pytest.mark.parametrize(
    "spec", ["data", "data/a.md", "data/*.md", "@data/list", "data/q.txt", "data/tasks.md#x"]
)
def test_a_link_that_came_with_the_repository_leads_out_for_nobody_who_names_it(
    spec: str, find: Find, project: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.md").write_text("x")
    (project / "data").symlink_to(outside)
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    subprocess.run(["git", "add", "data"], cwd=project, check=True)
    for name, text in (("list", "a key\n"), ("q.txt", "a key\n"), ("tasks.md", "- [ ] x\n")):
        (outside / name).write_text(text)
    (found,) = find(spec)
    assert found.problem is not None and found.problem.kind == "outside"
    assert str(outside) in found.problem.reason
    assert str(outside / "a.md") in [one.path for one in find(str(outside))]


def test_a_link_that_leads_nowhere_is_one_broken_entry(find: Find, project: Path) -> None:
    (project / "a.md").symlink_to("gone.md")
    (found,) = find(".")
    assert found.problem is not None and found.problem.group == "broken"


def test_pipes_and_sockets_in_a_folder_are_passed_over(project: Path, names: Names) -> None:
    os.mkfifo(project / "a.md")
    assert names(".") == []


def test_a_glob_matches_within_one_folder(write: Write, names: Names) -> None:
    for name in ("t/a.md", "t/ab.md", "t/b.md", "t/sub/a.md", "t/a.txt"):
        write(name)
    assert names("t/a*.md") == ["t/a.md", "t/ab.md"]
    assert names("t/?.md") == ["t/a.md", "t/b.md"]
    assert names("t/[!a]*.md") == ["t/b.md"]
    assert names("*/sub/*") == ["t/sub/a.md"]


def test_two_stars_match_any_number_of_folders_and_each_file_once(
    write: Write, names: Names
) -> None:
    for name in ("a.md", "t/b.md", "t/u/c.md", ".h/d.md", "archive/e.md", "t/u/f.txt"):
        write(name)
    assert names("**/*.md") == ["a.md", "t/b.md", "t/u/c.md"]
    assert names("t/**/*.md") == ["t/b.md", "t/u/c.md"]
    assert names("**/u/**/*.md") == ["t/u/c.md"]
    assert names("t/**") == ["t/b.md", "t/u/c.md", "t/u/f.txt"]
    assert names("**/archive/*.md") == ["archive/e.md"]


def test_two_stars_end_in_a_circle_of_links(write: Write, names: Names, project: Path) -> None:
    write("t/a.md")
    (project / "t/loop").symlink_to(".")
    assert names("**/*.md") == ["t/a.md"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(write: Write, names: Names) -> None:
    write("[Learn] a.md")
    write("L a.md")
    assert names("[Learn] a.md") == ["[Learn] a.md"]


def test_a_glob_that_matches_nothing_is_a_source_error(find: Find) -> None:
    with pytest.raises(SourceError, match="matches no file"):
        find("*.md")


def test_a_missing_path_is_a_source_error_that_names_the_closest(write: Write, find: Find) -> None:
    write("tasks/a.md")
    with pytest.raises(SourceError, match=r"task/a\.md: no such file or folder") as error:
        find("task/a.md")
    assert error.value.exit_code == 1
    with pytest.raises(SourceError, match=r"closest name there is tasks"):
        find("./task")


def test_the_other_sources_are_read_where_one_fails(write: Write, find: Find) -> None:
    write("t/a.md")
    errors: list[SourceError] = []
    found = find("gone/", "t", "also-gone.md", on_error=errors.append)
    assert [os.path.basename(str(one.path)) for one in found] == ["a.md"]
    assert len(errors) == 2


def test_a_folder_deeper_than_python_recurses_is_walked(project: Path, names: Names) -> None:
    deep = str(project)
    descriptor = os.open(deep, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    (project / "z.md").write_text("x")
    try:
        assert names(".") == ["z.md"]
    finally:
        # What clears temporary folders recurses.
        subprocess.run(["rm", "-rf", project / "d"], check=True)


def test_a_name_that_is_not_utf_8_is_found(project: Path, find: Find) -> None:
    with open(os.fsencode(project) + b"/bad\xff.md", "wb"):
        pass
    (found,) = find(".")
    assert os.fsencode(str(found.path)).endswith(b"/bad\xff.md")


def test_hidden_folders_that_a_format_has_are_told(tmp_path: Path) -> None:
    assert hidden_instead(".", str(tmp_path)) is None
    (tmp_path / ".claude/epics").mkdir(parents=True)
    (tmp_path / ".taskmaster/tasks").mkdir(parents=True)
    (tmp_path / ".taskmaster/tasks/tasks.json").write_text("{}")
    told = hidden_instead(".", str(tmp_path))
    assert told is not None
    assert told.startswith(". holds .claude/epics (ccpm), .taskmaster (taskmaster), which")
    assert hidden_instead("no/folder", str(tmp_path)) is None
