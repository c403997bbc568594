"""Lists of files, standard input and task ids."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.intake.sources import Found, SourceError

Write = Callable[..., Path]
Names = Callable[..., list[str]]
Find = Callable[..., list[Found]]


def test_a_list_may_have_any_line_ends_blank_lines_and_comments(write: Write, names: Names) -> None:
    write("a.md")
    write("b c.md")
    write("queue.txt", b"\xef\xbb\xbfa.md\r\n\r\n# a comment\n  b c.md  \n")
    assert names("queue.txt") == ["a.md", "b c.md"]


def test_a_file_whose_name_starts_with_a_hash_is_no_comment(write: Write, names: Names) -> None:
    write("#1.md")
    write("l.list", "#1.md\n#2.md\n")
    assert names("l.list") == ["#1.md"]


def test_a_file_whose_name_ends_in_a_blank_is_found(write: Write, names: Names) -> None:
    write("a ")
    write("l.list", b"a \r\n")
    assert names("l.list") == ["a "]


def test_names_with_newlines_come_divided_by_nul(write: Write, names: Names) -> None:
    write("a\nb.md")
    write("c.md")
    assert names("-", stdin=io.BytesIO(b"a\nb.md\0c.md\0")) == ["a\nb.md", "c.md"]


def test_paths_start_at_the_current_folder_else_at_the_list(
    write: Write, names: Names, project: Path
) -> None:
    write("lists/here.md")
    write("work/there.md")
    write("lists/l.list", "here.md\nthere.md\n")
    assert names("../lists/l.list", cwd=project / "work") == ["lists/here.md", "work/there.md"]


@pytest.mark.parametrize(
    "name", ["@queue.txt", "queue.txt", "files.list", "@odd.name", "names.txt"]
)
def test_a_list_is_known_by_its_sign_its_name_or_what_it_names(
    name: str, write: Write, names: Names
) -> None:
    write("a.md")
    write(name.removeprefix("@"), "a.md\n")
    assert names(name) == ["a.md"]


def test_a_text_file_is_no_list(write: Write, names: Names) -> None:
    write("a.md")
    write("notes.txt", "These are notes.\na.md is a file\n")
    assert names("notes.txt") == ["notes.txt"]


def test_a_line_that_names_nothing_is_one_broken_entry_with_its_line(
    write: Write, find: Find
) -> None:
    write("a.md")
    write("queue.txt", "a.md\n/nowhere/b.md\nno-such-id\n")
    good, path, word = find("queue.txt")
    assert good.problem is None
    assert path.problem is not None and path.path == "/nowhere/b.md"
    assert path.problem.reason == "no such file (line 2 of queue.txt)"
    assert word.problem is not None and "no such file or task (line 3" in word.problem.reason


def test_a_line_with_a_nul_or_a_huge_line_is_broken_and_the_rest_goes_on(
    write: Write, find: Find
) -> None:
    write("a.md")
    write("queue.txt", "x" * 10_000 + "/y.md\na.md\n")
    broken, good = find("queue.txt")
    assert broken.problem is not None and good.problem is None


def test_a_list_may_name_folders_and_task_ids(write: Write, names: Names, task: Write) -> None:
    task("t/one.md", id="aops-1")
    write("u/b.md")
    write("queue.txt", "u\naops-1\n")
    assert names("queue.txt") == ["u/b.md", "t/one.md"]


def test_no_line_of_a_list_is_a_glob_or_a_list(write: Write, find: Find) -> None:
    write("a.md")
    write("queue.txt", "*.md\n@queue.txt\n-\n")
    assert all(found.problem is not None for found in find("queue.txt"))


def test_standard_input_is_a_list(write: Write, names: Names) -> None:
    write("a.md")
    assert names("-", stdin=io.BytesIO(b"a.md\n")) == ["a.md"]


def test_a_named_pipe_is_a_list(write: Write, names: Names, project: Path) -> None:
    write("a.md")
    os.mkfifo(project / "pipe")
    writer = threading.Thread(target=lambda: (project / "pipe").write_text("a.md\n"))
    writer.start()
    assert names("pipe") == ["a.md"]
    writer.join()


def test_an_id_is_looked_up_in_the_files_and_not_by_their_names(task: Write, names: Names) -> None:
    task("t/20260112-write-book.md", id="aops-1a2b")
    task("t/aops-1a2b.md", id="other")
    assert names("aops-1a2b") == ["t/20260112-write-book.md"]


def test_an_id_is_found_in_any_case_if_not_as_it_is_written(task: Write, names: Names) -> None:
    task("t/a.md", id="BACK-1")
    task("t/b.md", id="back-2")
    task("t/c.md", id="BACK-2")
    assert names("back-1") == ["t/a.md"]
    assert names("BACK-2") == ["t/c.md"]


def test_a_file_name_stands_for_a_task_as_a_last_try(task: Write, names: Names) -> None:
    task("t/write-book.md", title="Write a book")
    assert names("write-book") == ["t/write-book.md"]


def test_an_id_in_an_archive_is_found_too(task: Write, names: Names) -> None:
    task("archive/a.md", id="aops-1")
    assert names("aops-1") == ["archive/a.md"]


def test_an_id_that_two_files_have_names_both(task: Write, names: Names) -> None:
    task("a.md", id="aops-1")
    task("b.md", id="aops-1")
    assert names("aops-1") == ["a.md", "b.md"]


def test_an_unknown_id_names_the_closest(task: Write, find: Find) -> None:
    task("a.md", id="aops-1a2b3c4d")
    with pytest.raises(SourceError, match="the closest id is aops-1a2b3c4d"):
        find("aops-1a2b3c4e")


def test_a_path_comes_before_an_id_of_the_same_name(
    task: Write, write: Write, names: Names
) -> None:
    task("t/a.md", id="word")
    write("word", "x")
    assert names("word") == ["word"]


@pytest.mark.parametrize("spec", ["", "a\0b", "$(touch x)", "`id`", "../../..//", "-n", "x" * 5000])
def test_hostile_names_of_sources_run_nothing(spec: str, find: Find, project: Path) -> None:
    before = sorted(os.listdir(project))
    errors: list[SourceError] = []
    if spec != "../../..//":
        find(spec, on_error=errors.append)
        assert len(errors) == 1
        assert "\n" not in str(errors[0])
    assert sorted(os.listdir(project)) == before


def test_children_are_all_that_stand_below_whatever_their_depth(task: Write, names: Names) -> None:
    task("epic.md", id="epic-1", type="epic")
    task("b.md", id="b", parent="epic-1")
    task("a.md", id="a", parent='"[[epic-1|The epic]]"')
    task("a1.md", id="a1", parent="a")
    task("other.md", id="o", parent="else")
    assert names(children_of="epic-1") == ["a.md", "a1.md", "b.md"]


def test_children_of_the_other_family_are_found(task: Write, names: Names) -> None:
    task("x.md", id="TASK-1", dependencies="[]")
    task("y.md", id="TASK-1.1", parent_task_id="task-1", dependencies="[]")
    assert names(children_of="TASK-1") == ["y.md"]


def test_a_circle_of_parents_ends(task: Write, names: Names) -> None:
    task("a.md", id="a", parent="b")
    task("b.md", id="b", parent="a")
    assert names(children_of="a") == ["a.md", "b.md"]


def test_children_of_a_task_that_has_none_or_does_not_exist(task: Write, find: Find) -> None:
    task("a.md", id="lonely")
    task("b.md", id="b", parent="epic-that-is-gone")
    with pytest.raises(SourceError, match="no task names it as its parent"):
        find(children_of="lonely")
    with pytest.raises(SourceError, match="closest id is lonely"):
        find(children_of="lonley")
    assert len(find(children_of="epic-that-is-gone")) == 1


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    """A task of the user's own, outside of the project."""
    path = tmp_path.resolve() / "mine" / "diary.md"
    path.parent.mkdir()
    path.write_text("---\nid: d1\ntitle: Diary\nstatus: active\n---\n")
    return path


@pytest.mark.parametrize("name", ["queue.txt", "x.list", "@odd", "-"])
@pytest.mark.parametrize(
    "entry",
    ["../mine/diary.md", "{diary}", "out/diary.md", "link.md", "../mine", "sub/../out", "out"],
)
def test_what_a_list_names_outside_of_the_project_is_held(
    write: Write, find: Find, project: Path, diary: Path, name: str, entry: str
) -> None:
    write("a.md")
    write("sub/b.md")
    (project / "out").symlink_to(diary.parent)
    (project / "link.md").symlink_to(diary)
    text = f"a.md\n{entry.format(diary=diary)}\n"
    if name == "-":
        good, held = find(name, stdin=io.BytesIO(text.encode()))
    else:
        write(name.removeprefix("@"), text)
        good, held = find(name)
    assert good.problem is None
    assert held.problem is not None and held.problem[:2] == ("held", "outside")
    assert "line 2" in held.problem.reason


def test_a_file_outside_that_a_person_names_is_no_matter_of_lists(find: Find, diary: Path) -> None:
    (found,) = find(str(diary))
    assert found.problem is None


def test_the_list_of_a_batch_directory_of_the_users_own_may_lead_out(
    write: Write, find: Find, tmp_path: Path, diary: Path
) -> None:
    batch = tmp_path.resolve() / "batch"
    batch.mkdir()
    (batch / "queue.txt").write_text(f"{diary}\n")
    (found,) = find(str(batch / "queue.txt"))
    assert (found.path, found.problem) == (str(diary), None)
    (batch / "other.list").write_text(f"{diary}\n")
    (other,) = find(str(batch / "other.list"))
    assert other.problem is not None, "no list of a batch directory"
    (batch / ".git").mkdir()
    (came,) = find(str(batch / "queue.txt"))
    assert came.problem is not None, "it came with a repository"


def test_a_list_that_is_a_link_into_a_batch_directory_has_no_right_of_it(
    write: Write, find: Find, project: Path, tmp_path: Path, diary: Path
) -> None:
    (tmp_path / "queue.txt").write_text(f"{diary}\n")
    (project / "queue.txt").symlink_to(tmp_path / "queue.txt")
    (found,) = find("queue.txt")
    assert found.problem is not None
