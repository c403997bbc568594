"""Task files as people and tools really leave them: every shape is sorted, none stops the rest."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import frontmatter
import pytest
import yaml

from hypervisor.intake.preflight import Preflight

Write = Callable[..., Path]
Sort = Callable[..., Preflight]


def groups(checked: Preflight) -> dict[str | None, str]:
    """Return each path with the group and kind it was sorted into."""
    return {
        entry.path: f"{name} {entry.kind}".strip()
        for name, entries in checked.groups().items()
        for entry in entries
    }


def test_a_generated_task_is_ready(task: Write, sort: Sort) -> None:
    task(
        "aops-1a2b3c4d-rename.md",
        "# Rename\n\n## Acceptance Criteria\n\n- [ ] tests pass\n\n## Relationships\n\n"
        "- [parent] [[aops-9f8e7d6c]]\n",
        id="aops-1a2b3c4d",
        permalink="aops-1a2b3c4d",
        alias="\n- aops-1a2b3c4d-rename\n- aops-1a2b3c4d",
        type="task",
        priority="2",
        order="0",
        created="'2026-01-20T06:51:36.823842+00:00'",
        depends_on="[]",
        soft_depends_on="[]",
        leaf="true",
        project="aops",
        complexity="mechanical",
    )
    checked = sort()
    assert [entry.id for entry in checked.ready] == ["aops-1a2b3c4d"]
    assert not checked.warnings


def test_the_oldest_shape_without_id_and_type_is_a_task(write: Write, sort: Sort) -> None:
    write(
        "t/old.md",
        "---\ntitle: Test thing\ncreated: 2025-11-17T15:02:00Z\nstatus: blocked\n"
        "blockers: [a, b]\n---\ntext\n",
    )
    checked = sort()
    assert [(entry.id, entry.kind) for entry in checked.held] == [("t/old.md", "blocked")]


@pytest.mark.parametrize(
    "title", ["[Learn] Hook router: silent failure", "Fix bug: parser", "@codex: do", "`a` b"]
)
def test_a_title_that_yaml_cannot_read_is_broken_with_its_line(
    title: str, write: Write, sort: Sort
) -> None:
    write("a.md", f"---\nid: aops-1\ntitle: {title}\nstatus: active\n---\n")
    (broken,) = sort().broken
    assert (broken.id, broken.path, broken.line) == ("aops-1", "a.md", 3)
    assert "quote the value" in broken.fix


def test_an_import_that_ends_in_a_close_reason_is_complete(task: Write, sort: Sort) -> None:
    task("a.md", "# A\n\n## Close Reason\n\nFixed in abc1234\n", id="aops-nn1l")
    assert groups(sort()) == {"a.md": "skipped complete"}


def test_a_task_from_an_email_is_judged_by_its_own_words(task: Write, sort: Sort) -> None:
    task(
        "a.md",
        "# Answer\n\n> Please review and approve it in Outlook before the meeting.\n",
        source="email",
        entry_id="0" * 200,
        email_from='"A B <a@example.org>"',
    )
    assert groups(sort()) == {"a.md": "ready"}


def test_scalars_and_nulls_for_lists_are_read(task: Write, sort: Sort) -> None:
    task("a.md", depends_on="null")
    task("b.md", tags="review")
    task("c.md", depends_on="b")
    assert groups(sort()) == {"a.md": "ready", "b.md": "ready", "c.md": "held waits_in_batch"}


def test_numbers_and_dates_for_texts_are_read_with_a_warning(task: Write, sort: Sort) -> None:
    task("a.md", id="20260119", title="2026", due="2026-02-01", priority="P1", status="in-progress")
    task("b.md", depends_on="[20260119]")
    checked = sort()
    assert checked.held[0].id == "20260119"
    assert checked.held[1].reason == "waits for 20260119 (in-progress)"
    assert len(checked.warnings) == 4


def test_links_lead_to_what_they_name(task: Write, sort: Sort) -> None:
    task("e.md", id="aops-epic-x", type="epic")
    task("a.md", "[[academicOps|AO]] [[note#^abc]]\n", parent='"[[aops-epic-x|Epic X]]"')
    checked = sort()
    assert groups(checked) == {"e.md": "held container", "a.md": "ready"}
    assert not checked.warnings


def test_a_file_is_known_by_the_id_inside_it(task: Write, sort: Sort) -> None:
    task("20260112-write-book.md", id="aops-1a2b3c4d")
    assert [entry.id for entry in sort().ready] == ["aops-1a2b3c4d"]


def test_a_key_that_a_merge_doubled_is_broken_and_names_both_lines(
    write: Write, sort: Sort
) -> None:
    write("a.md", "---\nid: a\nstatus: active\ntitle: A\nstatus: done\n---\n")
    (broken,) = sort().broken
    assert broken.line == 5 and "lines 3 and 5" in broken.reason


def test_examples_in_code_are_text(task: Write, sort: Sort) -> None:
    task("a.md", "```\n## Close Reason\n- [ ] x\n```\n\n```bash\n# install zotero\n```\n")
    task("b.md", '"## Close Reason\\n\\nfixed\\n"')
    assert set(groups(sort()).values()) == {"ready"}


def test_debris_of_a_sync_is_sorted_and_stops_nothing(
    task: Write, write: Write, sort: Sort
) -> None:
    task("a.md")
    write("crlf.md", b"---\r\nid: crlf\r\nstatus: active\r\n---\r\n\r\n## Closed\r\n")
    write("bom.md", b"\xef\xbb\xbf---\nid: bom\nstatus: active\n---\n")
    task("a (1).md", id="a")
    for name in ("index.json", ".lock", "b.md.tmp"):
        write(name, "{}")
    assert groups(sort()) == {
        "a.md": "held same_id",
        "a (1).md": "held same_id",
        "crlf.md": "skipped complete",
        "bom.md": "ready",
    }


def test_odd_titles_and_names_are_kept(task: Write, sort: Sort) -> None:
    task("aops-12345678-.md", id="aops-1", title="🚀")
    task("größe-日本.md", id="aops-2", title="Größe 日本")
    assert {entry.title for entry in sort().ready} == {"🚀", "Größe 日本"}


def test_a_leaf_that_has_children_waits_for_them(task: Write, sort: Sort) -> None:
    task("a.md", leaf="true")
    task("b.md", parent="a")
    assert groups(sort()) == {"a.md": "held container", "b.md": "ready"}


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"---\nid: a\ntitle: caf\xe9\nstatus: active\n---\n", 3),
        (b"---\nid: a\nstatus: active\n---\nx\n\xff\n", 6),
        (b"---\nid: a\nstatus: active\n---\nx\0\n", 5),
        (b"---\n- id: a\n- list\n---\n", 2),
        (b"---\nid: a\nstatus: active\n", 1),
        (b"---\nid: a\nstatus: active\n---\n---\nid: b\nstatus: done\n---\n", 5),
        (b"---\nid: a\n\tstatus: active\n---\n", 3),
        (b"---\nid: a\nstatus: !python/object:os.system x\n---\n", 3),
        (b"---\nid: &a [*a]\nstatus: active\n---\n", 2),
    ],
)
def test_a_file_that_cannot_be_read_is_one_broken_item_and_the_rest_goes_on(
    raw: bytes, line: int, task: Write, write: Write, sort: Sort
) -> None:
    write("a.md", raw)
    task("b.md")
    checked = sort()
    assert groups(checked) == {"a.md": "broken unreadable", "b.md": "ready"}
    assert checked.broken[0].line == line


HOSTILE = [
    "`touch pwned`",
    "$(touch pwned)",
    "a\nb",
    "../../../etc/passwd",
    "..",
    "/etc/passwd",
    "x" * 300,
    "a\0b",
    "\x1b[2J",
    "'; touch pwned; '",
    "\u202egnp.md",
    "-rf",
    " ",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_ids_and_titles_run_nothing_and_stay_on_one_line(
    text: str, write: Write, sort: Sort, project: Path
) -> None:
    for number, status in enumerate(("active", "blocked", text)):
        meta = {"id": f"{text}{number}", "title": text, "status": status, "parent": text,
                "depends_on": [text], "tags": [text], "assignee": text}  # fmt: skip
        write(f"{number}.md", f"---\n{yaml.safe_dump(meta)}---\n{text}\n".replace("\0", "\\0"))
    before = sorted(os.listdir(project))
    checked = sort()
    assert checked.counts["total"] == 3
    assert sorted(os.listdir(project)) == before
    shown = checked.lines()
    assert all(re.search("[\x00-\x1f\x7f\u202e]", line) is None for line in shown)
    assert all(len(line) < 900 for line in shown)


@pytest.mark.parametrize("name", ["`id`.md", "$(id).md", "a\nb.md", "-rf.md", "x" * 250 + ".md"])
def test_hostile_file_names_are_items_like_any(
    name: str, write: Write, task: Write, sort: Sort
) -> None:
    task(name, id=None, status="todo")
    checked = sort()
    assert [entry.path for entry in checked.ready] == [name]
    assert all("\n" not in line for line in checked.lines())


def test_a_file_name_that_is_not_utf_8_is_broken_and_can_be_printed(
    project: Path, task: Write, sort: Sort
) -> None:
    task("ok.md")
    shutil.copy(project / "ok.md", os.fsencode(project) + b"/bad\xff.md")
    checked = sort()
    assert [entry.id for entry in checked.ready] == ["ok"]
    (broken,) = checked.broken
    assert (broken.path, broken.fix) == (r"bad\xff.md", "rename it")
    "\n".join(checked.lines()).encode("utf-8")


def test_every_broken_file_of_a_real_folder_is_named_with_its_line(
    backlog_md: Path, sort: Sort, project: Path
) -> None:
    folder = project / "backlog"
    shutil.copytree(backlog_md / "backlog", folder)
    (project / "hypervisor.toml").write_text("[walk]\nskip = []\n")
    expected = {}
    for path in sorted(folder.rglob("*.md")):
        # What is closed is nobody's to mend.
        path.write_bytes(re.sub(rb"(?m)^status:.*$", b"status: To Do", path.read_bytes()))
        try:
            frontmatter.load(str(path))
        except yaml.YAMLError as error:
            # What it parses starts with the end of the opening delimiter's line, as line 0.
            expected[str(path.relative_to(project))] = error.problem_mark.line + 1
    checked = sort("backlog")
    assert expected
    assert {broken.path: broken.line for broken in checked.broken} == expected
    assert all(broken.fix and broken.id for broken in checked.broken)
    shown = "\n".join(checked.lines())
    assert all(f"{path}:{line}: " in shown for path, line in expected.items())
    assert checked.counts["total"] == len(list(folder.rglob("*.md")))
    assert checked.lines()[0].endswith("skipped (already complete)")


def test_the_states_of_the_other_family_are_known(
    backlog_md: Path, sort: Sort, project: Path
) -> None:
    shutil.copytree(backlog_md / "backlog", project / "backlog")
    (project / "hypervisor.toml").write_text("[walk]\nskip = []\n")
    kinds = {entry.kind for entry in sort("backlog").held}
    assert "unknown_status" not in kinds
