"""What was accepted is not worked on again, and what came of it stays within reach."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.config.settings import load
from hypervisor.intake.preflight import check
from hypervisor.intake.preflight.look import Look
from hypervisor.intake.sources import Found, expand
from hypervisor.ledger import Ledger
from worker.branches.support import commit_all, git
from worker.support import open_queue, write_task

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def rows(project: Path, run: Run) -> Path:
    """Two rows that were done in the queue `r`."""
    (project / "i.md").write_text("do what the row says\n")
    path = project / "rows.csv"
    path.write_text("key,say\na,one\nb,two\n")
    opened(run, "r", "rows.csv", "--id", "key")
    assert done(run, "r") == ["a", "b"]
    return path


@pytest.fixture
def repo(project: Path, identity: None) -> Path:
    """A project that is a repository."""
    git(project, "init", "--quiet", "-b", "main")
    return project


def opened(run: Run, queue: str, *more: str, exit: int = 0) -> dict[str, object]:
    told = run("open", queue, *more, "--instructions", "i.md", "--json")
    assert told.returncode == exit, told
    shown = json.loads(told.stdout)
    return {name: shown[name] for name in ("generation", "added", "accepted")}


def done(run: Run, queue: str) -> list[str]:
    """Do all that the queue hands out; return the ids."""
    ids = []
    while claims := json.loads(run("next", queue, "--json").stdout or "{}").get("claims"):
        run("done", claims[0]["token"], "--summary", f"did {claims[0]['id']}")
        ids.append(claims[0]["id"])
    return ids


def test_opening_rows_again_adds_what_is_new_or_changed(rows: Path, run: Run) -> None:
    rows.write_text("say,key\none,a\ntwo again,b\nthree,c\n")
    assert opened(run, "r", "rows.csv", "--id", "key") == {
        "generation": 2, "added": 2, "accepted": 1,
    }  # fmt: skip
    assert done(run, "r") == ["b", "c"]
    said = run("open", "r", "rows.csv", "--id", "key", "--instructions", "i.md").stdout
    assert "nothing to do: all 3 items are done already\nnext: hypervisor results r " in said
    assert "(to do it again: the same command with --again)" in said


def test_an_open_that_adds_nothing_opens_no_generation(rows: Path, run: Run) -> None:
    assert opened(run, "r", "rows.csv", "--id", "key", exit=3) == {
        "generation": 1, "added": 0, "accepted": 2,
    }  # fmt: skip
    assert json.loads(run("summary", "r", "--json").stdout)["counts"]["success"] == 2


def test_open_again_does_all_once_more(rows: Path, run: Run) -> None:
    more = ("r", "rows.csv", "--id", "key", "--again")
    assert opened(run, *more) == {"generation": 2, "added": 2, "accepted": 0}
    [claim] = json.loads(run("next", "r", "--json").stdout)["claims"]
    assert opened(run, *more) == {"generation": 3, "added": 0, "accepted": 0}, "all are open"
    assert run("done", claim["token"], "--summary", "again").returncode == 0


def test_another_queue_over_the_same_rows_is_another_job(rows: Path, run: Run) -> None:
    assert opened(run, "s", "rows.csv", "--id", "key")["added"] == 2


def test_rows_of_another_file_are_others(rows: Path, run: Run) -> None:
    rows.rename(rows.with_name("other.csv"))
    assert opened(run, "r", "other.csv", "--id", "key")["added"] == 2


def test_rows_that_failed_are_opened_again(rows: Path, run: Run) -> None:
    rows.write_text("key,say\na,one\nc,three\n")
    opened(run, "r", "rows.csv", "--id", "key")
    [claim] = json.loads(run("next", "r", "--json").stdout)["claims"]
    run("block", claim["token"], "--reason", "no key for the door")
    assert opened(run, "r", "rows.csv", "--id", "key") == {
        "generation": 3, "added": 1, "accepted": 1,
    }  # fmt: skip


def test_what_was_done_in_a_queue_that_is_pruned_is_remembered(rows: Path, run: Run) -> None:
    opened(run, "later", "rows.csv", "--id", "key")
    done(run, "later")
    assert "queues removed: 1 with 2 items" in run("prune", "--days", "0").stdout
    assert opened(run, "r", "rows.csv", "--id", "key", exit=3)["accepted"] == 2


@pytest.mark.parametrize("edits", [False, True], ids=["only read", "edited by its worker"])
def test_a_plain_file_that_was_done_is_opened_again_only_once_it_is_changed(
    project: Path, run: Run, edits: bool
) -> None:
    (project / "i.md").write_text("translate it\n")
    (project / "texts").mkdir()
    for name in ("a.txt", "b.txt"):
        (project / "texts" / name).write_text("hello\n")
    opened(run, "t", "texts")
    for _ in range(2):
        [claim] = json.loads(run("next", "t", "--json").stdout)["claims"]
        if edits:
            (project / claim["path"]).write_text("hallo\n")
        run("done", claim["token"], "--summary", "translated")
    assert opened(run, "t", "texts", exit=3)["accepted"] == 2
    (project / "texts/b.txt").write_text("hello, hello\n")
    assert opened(run, "t", "texts") == {"generation": 2, "added": 1, "accepted": 1}
    assert done(run, "t") == ["texts/b.txt"]


def test_a_plain_file_that_was_done_on_a_branch_is_not_opened_again(repo: Path, run: Run) -> None:
    (repo / "i.md").write_text("translate it\n")
    (repo / "texts").mkdir()
    (repo / "texts/a.txt").write_text("hello\n")
    commit_all(repo)
    run("open", "t", "texts", "--instructions", "i.md")
    told = run("next", "t", "--json", "--branch")
    [claim] = json.loads(told.stdout)["claims"]
    (repo / claim["worktree"] / "texts/a.txt").write_text("hallo\n")
    run("done", claim["token"], "--summary", "translated")
    assert run("integrate", "t").returncode == 0
    assert (repo / "texts/a.txt").read_text() == "hallo\n"
    assert run("open", "t", "texts", "--instructions", "i.md").returncode == 3


def test_older_generations_stay_within_reach(rows: Path, run: Run, project: Path) -> None:
    first = Path(run("report", "r").stdout.strip())
    rows.write_text("key,say\nc,three\n")
    opened(run, "r", "rows.csv", "--id", "key")
    done(run, "r")
    newest = run("summary", "r").stdout
    assert newest.startswith("queue r (generation 2 of 2): drained, 1 item: 1 done")
    older = run("summary", "r", "--generation", "1").stdout
    assert older.startswith("queue r (generation 1 of 2): replaced, 2 items: 2 done")
    assert "did a" in older and "did c" not in older
    told = json.loads(run("summary", "r", "--generation", "1", "--json").stdout)
    assert (told["generation"], told["newest_generation"]) == (1, 2)
    page = Path(run("report", "r").stdout.strip())
    assert page != first
    assert "did a" in first.read_text() and "did c" in page.read_text()
    again = Path(run("report", "r", "--generation", "1").stdout.strip())
    assert again == first and "1 of 2" in again.read_text()
    missing = run("summary", "r", "--generation", "7")
    assert missing.returncode == 2 and "the newest is 2" in missing.stderr


@pytest.fixture
def discarded(repo: Path, run: Run) -> Path:
    """Two tasks that were done; git has put one of their files back."""
    for name in ("t-1", "t-2"):
        write_task(repo, name)
    commit_all(repo)
    run("open", "q", "tasks")
    for _ in range(2):
        [claim] = json.loads(run("next", "q", "--json").stdout)["claims"]
        run("done", claim["token"], "--summary", f"did {claim['id']}")
    git(repo, "checkout", "--", "tasks/t-1.md")
    return repo


def preflight(run: Run) -> dict[str, list[str]]:
    told = json.loads(run("preflight", "tasks", "--json").stdout)
    return {name: [one["id"] for one in told[name]] for name in ("ready", "held")}


def test_a_report_that_git_threw_away_holds_its_task_and_is_named_with_its_mend(
    discarded: Path, run: Run
) -> None:
    assert preflight(run) == {"ready": [], "held": ["t-1"]}
    assert run("open", "q", "tasks").returncode == 3
    said = run("summary", "q").stdout
    assert "report lost: t-1 looks open again" in said
    assert "to write the report again: hypervisor summary q --write" in said
    run("summary", "q", "--write")
    text = (discarded / "tasks/t-1.md").read_text()
    assert "status: done" in text and text.count("did t-1") == 1
    assert "thrown away" not in run("summary", "q").stdout
    assert preflight(run) == {"ready": [], "held": []}


def test_a_task_that_somebody_reopened_is_ready(discarded: Path, run: Run) -> None:
    path = discarded / "tasks/t-1.md"
    path.write_text(path.read_text() + "\nOnce more, please.\n")
    other = discarded / "tasks/t-2.md"
    other.write_text(other.read_text().replace("status: done", "status: active"))
    assert preflight(run) == {"ready": ["t-1", "t-2"], "held": []}
    assert "thrown away" not in run("summary", "q").stdout


def test_a_task_whose_report_was_thrown_away_is_done_again_on_request(
    discarded: Path, run: Run
) -> None:
    assert run("open", "q", "tasks", "--again").returncode == 0
    [claim] = json.loads(run("next", "q", "--json").stdout)["claims"]
    assert claim["id"] == "t-1"


def test_a_task_whose_report_was_undone_is_open_work(discarded: Path, run: Run) -> None:
    run("undo", "q")
    assert preflight(run) == {"ready": ["t-1", "t-2"], "held": []}


def test_a_report_said_on_another_branch_holds_the_task_here(repo: Path, run: Run) -> None:
    write_task(repo, "t-1", body="- [ ] do it\n")
    commit_all(repo)
    git(repo, "checkout", "-qb", "side")
    run("open", "q", "tasks")
    [claim] = json.loads(run("next", "q", "--json").stdout)["claims"]
    path = repo / "tasks/t-1.md"
    path.write_text(path.read_text().replace("[ ]", "[x]"))
    assert run("done", claim["token"], "--summary", "ticked").returncode == 0
    commit_all(repo)
    git(repo, "checkout", "-q", "main")
    assert "[ ]" in path.read_text()
    assert preflight(run) == {"ready": [], "held": ["t-1"]}


@pytest.mark.parametrize("source", ["tasks", "todo.md"])
def test_what_is_ended_while_it_is_read_is_complete_and_not_called_lost(
    source: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(project, "t-1")
    (project / "todo.md").write_text("- [ ] t-1\n")
    open_queue(project, [source])
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
        # The package has a function of that name.
        module = import_module("hypervisor.intake.preflight.check")
        read = module.look_at

        def ended_meanwhile(look: Look, found: Iterable[Found]) -> None:
            read(look, found)
            worker.finish(ledger, claim.token, "done", {"summary": "did it"})

        monkeypatch.setattr(module, "look_at", ended_meanwhile)
        settings = load(str(project))
        members = expand([source], root=str(project), cwd=str(project), settings=settings)
        told = check(members, root=str(project), settings=settings, ledger=ledger)
    assert [(one.id.rpartition("#")[2], one.kind) for one in told.skipped] == [("t-1", "complete")]
    assert (told.ready, told.held, told.warnings) == ([], [], [])


@pytest.mark.parametrize("end", ["release", "fail"])
def test_a_task_that_was_pulled_and_given_back_is_free_for_every_queue(
    project: Path, run: Run, end: str
) -> None:
    for name in ("t-1", "t-2"):
        write_task(project, name)
    [claim] = json.loads(run("pull", "t-1", "--json").stdout)["claims"]
    assert json.loads(run("preflight", "tasks", "--json").stdout)["held"]
    run(end, claim["token"], "--reason", "no time")
    assert run("open", "q", "tasks").returncode == 0
    claims = json.loads(run("next", "q", "-n", "9", "--json").stdout)["claims"]
    assert sorted(one["id"] for one in claims) == ["t-1", "t-2"]
    [given_back] = [one for one in claims if one["id"] == "t-1"]
    assert given_back["before"] == "no time"
    assert run("next", "pull", "--json").returncode == 3
    assert run("pull", "t-1").returncode == 1, "another queue's worker has it"


def test_a_task_that_was_pulled_and_given_back_can_be_pulled_again(project: Path, run: Run) -> None:
    write_task(project, "t-1")
    for _ in range(2):
        [claim] = json.loads(run("pull", "t-1", "--json").stdout)["claims"]
        assert run("release", claim["token"]).returncode == 0


def test_a_file_is_in_one_open_queue_though_an_id_was_written_into_it(
    project: Path, run: Run
) -> None:
    (project / "tasks").mkdir()
    path = project / "tasks/a.md"
    path.write_text("---\ntitle: A\nstatus: active\n---\nDo it.\n")
    run("open", "q", "tasks")
    path.write_text("---\nid: t-1\ntitle: A\nstatus: active\n---\nDo it.\n")
    said = run("open", "second", "tasks").stdout
    assert "held: t-1 is open in queue q" in said
