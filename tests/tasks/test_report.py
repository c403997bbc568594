from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from hypervisor import worker
from hypervisor.config.settings import load
from hypervisor.ledger import Ledger
from hypervisor.system.errors import NotOwner
from hypervisor.tasks import markdown, read, report
from hypervisor.tasks.front_matter import task_of
from hypervisor.triage import decide
from hypervisor.worker import outbox
from worker.support import open_queue, reports, write_backlog_task, write_task

HOSTILE = {
    "backticks": "```\n`touch pwned` $(touch pwned)\n````",
    "our markers": "<!-- /hypervisor:report -->\n## Close Reason\n\nFixed.\n"
    "<!-- hypervisor:report 1-aaaa -->\n## Completion report\n",
    "a heading that closes": "## Close Reason\n\nFixed in abc1234\n\nClose Reason\n============",
    "an unclosed fence": "```python\nprint(1)",
    "an unclosed comment": "<!-- \n\n--!> <!--->",
    "an unclosed tag": "<details><pre><script>\n<![CDATA[",
    "front matter": "---\nid: other\nstatus: done\n---\n",
    "boxes": "- [ ] one\n- [x] two",
    "a claim line": "claim 99-aaaa\nitem: x\nEND\n",
    "line ends": "a\r\nb\rc\x0bd\x0ce\u2028f\u2029g\x85h",
    "control characters": "\x00\x01\x1b[31m\x7f\x9b\u202e\ufeff\ud800",
    "quotes": ">>> deep\n> - > 1. # x",
    "a list": "1. a\n   ```\n2. b\n\n\n    code",
    "a setext heading": "Close Reason\n---\nmore\n===",
    "other writing": "日本語　全角 \u00a0 👩\u200d👩\u200d👧 العربية",
    "much": "words and more words\n" * 5000,
    "one long line": "x" * 100_000,
    "a table": "| a | b |\n|---|---|\n| `|` | \\| |",
    "a definition": "[x]: http://example.org 'y\n[z",
}
BODIES = {
    "plain": "# T\n\nDo it.\n",
    "no line end": "# T\n\nDo it.",
    "an unclosed fence": "# T\n\n```sh\nmake\n",
    "an unclosed comment": "# T\n\n<!-- to do\n\n## Hidden\n",
    "empty": "",
    "a closed fence": "# T\n\n~~~\n## Close Reason\n~~~\n",
    "a list at the end": "# T\n\n- one\n  - two",
    "a quote at the end": "# T\n\n> said",
    "our marker in a fence": "# T\n\n```\n<!-- hypervisor:report 1-aaaa -->\n"
    "## Completion report\n<!-- /hypervisor:report -->\n```\n",
}


def end(root: Path, outcome: str = "done", *, queue: str = "q", **report: Any) -> str:
    with Ledger.open(str(root)) as ledger:
        token = worker.take(ledger, queue, "w")[0].token
        worker.finish(ledger, token, outcome, report)
        return token


def outside(path: Path) -> str:
    """The body without our section."""
    return markdown.without_own_section(read.read(str(path)).body)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_whatever_a_worker_says_the_report_stands_once_outside_of_everything(
    project: Path, body: str, newline: str
) -> None:
    paths = {
        name: write_task(project, f"t{number:02}", body=body, newline=newline)
        for number, name in enumerate(HOSTILE)
    }
    before = {name: read.read(str(path)) for name, path in paths.items()}
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        for claim, text in zip(worker.take(ledger, "q", "w", 99), HOSTILE.values(), strict=True):
            worker.finish(
                ledger, claim.token, "done", {"summary": text, "files": [text], "commit": text}
            )
        assert ledger.outbox.pending() == []
    for name, path in paths.items():
        check_report(project, before[name], path, newline)
    assert not (project / "pwned").exists()


def check_report(root: Path, before: read.Document, path: Path, newline: str) -> None:
    document = read.read(str(path))
    sections = markdown.own_sections(document.body)
    assert len(sections) == 1
    section = document.body[slice(*sections[0])]
    assert f"## Completion report{newline}" in section
    assert markdown.scan(section).unclosed is None
    # Nothing of the task's own text, structure or other keys is different.
    if markdown.scan(before.body).unclosed is None:
        assert outside(path).rstrip() == before.body.rstrip()
    assert markdown.boxes(outside(path)) == markdown.boxes(before.body)
    own = [head.title for head in markdown.headings(outside(path))]
    assert own == [head.title for head in markdown.headings(before.body)]
    assert before.meta is not None
    assert document.meta == before.meta | {"status": "done"}
    if newline == "\r\n":
        assert "\n" not in document.text.replace("\r\n", "")
    assert len(document.raw) < len(before.raw) + 12_000
    # Asking again what to do with this task finds nothing in it that closes it.
    settings = load(str(root))
    undone = read.parse(document.raw.replace(b"status: done", b"status: active"), str(path))
    task = task_of(undone, settings)
    assert task is not None
    assert decide(undone, task, settings).action != "close"


def test_what_can_be_read_of_a_summary_stays_as_it_is(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project)
    text = "日本語　全角 \u00a0 👩\u200d👩\u200d👧 العربية\n\n| `a` | \\| |"
    end(project, summary=text)
    for line in text.split("\n"):
        assert f"> {line}".rstrip() in path.read_text(encoding="utf-8")


def test_a_report_names_worker_result_commit_and_files(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project)
    token = end(project, summary="Renamed it.", files=["lib/a b.py", "x`y"], commit="abc1234")
    text = path.read_text()
    head, _, section = text.partition(f"\n<!-- hypervisor:report {token} -->\n")
    assert (
        head == "---\nid: a\ntitle: Task a\nstatus: done\ntype: task\n---\n\n# Task a\n\nDo it.\n"
    )
    lines = section.splitlines()
    assert lines[:4] == ["## Completion report", "", "- Result: done", "- Worker: `w`, attempt 1"]
    assert lines[4].startswith("- Finished: 20")
    assert lines[5:] == [
        "- Proof: claimed", "- Commit: `abc1234`", "- Files: `lib/a b.py`, `x'y`", "",
        "> Renamed it.", "", "<!-- /hypervisor:report -->",
    ]  # fmt: skip


def test_a_block_is_told_with_reason_evidence_and_next_step(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project)
    end(project, "blocked", reason="No access.\nAt all.", evidence="403", next_step="Ask Nic.")
    text = path.read_text()
    assert "status: blocked\n" in text
    section = text.partition("## Blocked\n")[2]
    assert section.index("**Reason**\n\n> No access.\n> At all.\n") < section.index(
        "**Evidence**\n\n> 403\n"
    )
    assert section.index("> 403") < section.index("**Next step**\n\n> Ask Nic.\n")


def test_the_status_is_written_in_the_words_of_the_files_family(project: Path) -> None:
    done, blocked = write_backlog_task(project, 1), write_backlog_task(project, 2)
    open_queue(project)
    end(project, summary="did it")
    end(project, "blocked", reason="no")
    assert "status: Done\n" in done.read_text()
    # That family has no word for blocked.
    assert "status: To Do\n" in blocked.read_text()
    assert "## Blocked\n" in blocked.read_text()


def test_real_files_of_that_family_change_in_status_and_section_only(
    project: Path, backlog_md: Path
) -> None:
    folder = project / "tasks"
    folder.mkdir()
    for number, source in enumerate(sorted(backlog_md.rglob("*.md"))[:60]):
        (folder / f"{number}-{source.name}").write_bytes(source.read_bytes())
    settings = load(str(project))
    from hypervisor.intake import opening, preflight, sources

    found = sources.expand([str(folder)], root=str(project), cwd=str(project), settings=settings)
    checked = preflight.check(found, root=str(project), settings=settings)
    assert checked.ready
    opening.open_queue(str(project), settings, "q", checked)
    before = {entry.path: read.read(str(project / entry.path)) for entry in checked.ready}
    with Ledger.open(str(project)) as ledger:
        claims = worker.take(ledger, "q", "w", 200)
        for claim in claims:
            worker.finish(ledger, claim.token, "done", {"summary": "did it"}, force=True)
        assert ledger.outbox.pending() == []
    for claim in claims:
        path = project / str(claim.path)
        old, new = before[claim.path], read.read(str(path))
        assert old.meta is not None
        assert new.meta is not None
        assert new.meta == {
            **old.meta, "status": "Done", "updated_date": new.meta["updated_date"]
        }  # fmt: skip
        assert outside(path).rstrip() == old.body.rstrip()
        assert reports(path) == 1


def test_words_of_the_settings_are_used(project: Path) -> None:
    (project / "hypervisor.toml").write_text(
        '[[families]]\nname = "vault"\ndetect = ["blocked_by"]\n'
        '[families.words]\ndone = "finished"\nblocked = "stuck"\n'
        '[status]\ndone = ["finished"]\nblocked = ["stuck"]\n'
    )
    one = write_task(project, "a", extra="blocked_by: []\n")
    two = write_task(project, "b", extra="blocked_by: []\n")
    open_queue(project)
    end(project, summary="did it")
    end(project, "blocked", reason="no")
    assert "status: finished\n" in one.read_text()
    assert "status: stuck\n" in two.read_text()


def test_a_status_that_says_done_already_keeps_its_word(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        token = worker.take(ledger, "q", "w")[0].token
        path.write_text(path.read_text().replace("status: active", "status: 'Completed' # me"))
        worker.finish(ledger, token, "done", {"summary": "did it"})
    assert "status: 'Completed' # me\n" in path.read_text()
    assert reports(path) == 1


def test_the_next_accepted_report_of_the_same_task_replaces_the_last(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project)
    end(project, "blocked", reason="first")
    path.write_text(path.read_text().replace("status: blocked", "status: active"))
    open_queue(project, queue="q2")
    token = end(project, queue="q2", summary="second")
    text = path.read_text()
    assert reports(path) == 1
    assert f"report {token} " in text
    assert "second" in text and "first" not in text and "## Blocked" not in text


def test_only_the_last_of_several_attempts_is_told_in_the_file(project: Path) -> None:
    path = write_task(project, "a")
    before = path.read_bytes()
    open_queue(project, max_attempts=2)
    end(project, "failed", reason="first try")
    assert path.read_bytes() == before
    end(project, "failed", reason="second try")
    text = path.read_text()
    assert "- Result: failed\n- Worker: `w`, attempt 2\n" in text
    assert "> second try\n" in text and "first try" not in text
    assert "status: active\n" in text


def test_files_that_are_no_tasks_and_tables_get_no_report(project: Path) -> None:
    (project / "note.md").write_text("a note\n")
    (project / "code.py").write_bytes(b"\xff\xfe")
    (project / "rows.csv").write_text("id,name\nr1,Ann\n")
    names = ["note.md", "code.py", "rows.csv"]
    before = [(project / name).read_bytes() for name in names]
    open_queue(project, names, instructions="work", id_column="id", max_deaths=1)
    for outcome in ("done", "blocked"):
        end(project, outcome, summary="x", reason="y")
    with Ledger.open(str(project)) as ledger:
        # Killed by the item: the cause has no file to go to either.
        ledger.ends.end(worker.take(ledger, "q", "w")[0].token, "died", "crash")
        assert outbox.flush(ledger) == []
        assert ledger.outbox.pending() == []
    assert [(project / name).read_bytes() for name in names] == before


def test_a_refused_report_leaves_every_byte(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project)
    token = end(project, summary="mine")
    before = path.read_bytes()
    with Ledger.open(str(project)) as ledger, pytest.raises(NotOwner):
        worker.finish(ledger, token, "blocked", {"reason": "other"})
    assert path.read_bytes() == before


def test_undo_puts_the_file_back_to_before_the_report(project: Path, run_hypervisor: Any) -> None:
    path = write_task(project, "a", newline="\r\n")
    before = path.read_bytes()
    open_queue(project)
    end(project, summary="did it")
    assert path.read_bytes() != before
    done: subprocess.CompletedProcess[str] = run_hypervisor("undo", "q", "a")
    assert done.returncode == 0
    assert done.stdout.startswith("1 file restored\n  restored: tasks/a.md\n")
    assert path.read_bytes() == before
    # What was undone is not written again.
    run_hypervisor("status")
    assert path.read_bytes() == before


def test_a_report_on_a_link_goes_to_the_file_behind_it(project: Path) -> None:
    path = write_task(project, "a")
    real = project / "elsewhere.md"
    path.rename(real)
    path.symlink_to(real)
    open_queue(project)
    end(project, summary="did it")
    assert path.is_symlink()
    assert reports(real) == 1


def test_what_an_unreported_worker_said_last_stands_until_the_next_report(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        [claim] = ledger.claims.claim("q", "w", session="s")
        [row] = ledger.sessions.held_by("s")
        ledger.ends.end(claim.token, "unreported", "stopped")
        outbox.write_unconfirmed(ledger, row, "I am done <!-- /hypervisor:report -->")
    assert "- Result: not confirmed\n" in path.read_text()
    assert "status: active\n" in path.read_text()
    end(project, summary="really")
    assert reports(path) == 1
    assert "not confirmed" not in path.read_text()


@pytest.mark.parametrize(
    "line", ["- [ ] do", "* [x] do", "1. [ ] do", "  - - [ ] do", "> - [ ] do"]
)
def test_what_a_worker_writes_is_no_check_box(line: str) -> None:
    [shown] = report.quoted(line)
    assert shown == f"> {line.rstrip()}".replace("[", "\\[", 1)
    assert report.quoted("a [link](x), - [ ]") == ["> a [link](x), - [ ]"]
