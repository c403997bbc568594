"""What is printed as a mend does what it says, in the situation that prints it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.agents.doctor import here
from hypervisor.ledger import Ledger
from worker.branches.support import lay_out, take
from worker.support import open_queue, states, write_task

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.usefixtures("identity")


def command(said: str, start: str) -> list[str]:
    """Return the words of the command in `said` that begins so, as a shell reads them."""
    found = re.search(rf"{re.escape(start)}[^;\n`]*", said)
    assert found is not None, said
    line = (
        found[0]
        .split(" works on it again")[0]
        .split(" takes that back")[0]
        .split(" writes it")[0]
        .split(" says why")[0]
    )
    return shlex.split(line.split(" goes on")[0].split(" ends them")[0].rstrip("."))[1:]


def end(project: Path, outcome: str, item: str = "a", **report: str) -> None:
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w", only=item)
        worker.finish(ledger, claim.token, outcome, {"summary": "x", "reason": "no"} | report)


def blocked(project: Path, run: Run) -> str:
    end(project, "blocked")
    return run("preflight", "tasks").stdout


def blocked_in_a_cancelled_queue(project: Path, run: Run) -> str:
    end(project, "blocked")
    run("cancel", "q")
    return run("status", "q").stdout


def blocked_in_an_older_generation(project: Path, run: Run) -> str:
    end(project, "blocked")
    write_task(project, "b")
    run("open", "q", "tasks/b.md", "--again")
    return run("preflight", "tasks/a.md").stdout


def failed_in_a_page(project: Path, run: Run) -> str:
    end(project, "failed")
    page = Path(run("report", "q").stdout.strip()).read_text()
    return re.sub(r"<[^>]+>", "\n", page)


def cancelled_in_a_page(project: Path, run: Run) -> str:
    run("cancel", "q")
    page = Path(run("report", "q").stdout.strip()).read_text()
    return re.sub(r"<[^>]+>", "\n", page)


def paused(project: Path, run: Run) -> str:
    run("pause", "q")
    return run("next", "q").stderr or run("next", "q").stdout


def missing(project: Path, run: Run) -> str:
    (project / "tasks/a.md").unlink()
    return run("next", "q").stdout


def done(project: Path, run: Run) -> str:
    end(project, "done")
    return run("retry", "q", "a").stdout


def lost(project: Path, run: Run) -> str:
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
        ledger.ends.release(claim.token)
    return run("done", claim.token, "--summary", "x").stderr


@pytest.mark.parametrize(
    ("situation", "start", "after"),
    [
        (blocked, "hypervisor retry", "ready"),
        (blocked_in_a_cancelled_queue, "hypervisor retry", "ready"),
        (failed_in_a_page, "hypervisor retry", "ready"),
        (cancelled_in_a_page, "hypervisor open", "ready"),
        (paused, "hypervisor resume", "ready"),
        (missing, "hypervisor cancel", "cancelled"),
        (lost, "hypervisor next", "claimed"),
    ],
)
def test_a_printed_command_brings_the_item_where_it_says(
    project: Path, run: Run, situation: Callable[[Path, Run], str], start: str, after: str
) -> None:
    write_task(project, "a")
    run("open", "q", "tasks", "--max-attempts", "1")
    told = run(*command(situation(project, run), start))
    assert told.returncode == 0, told
    assert states(project) == {"a": after}


def test_what_was_blocked_in_an_older_generation_is_open_work_after_the_printed_undo(
    project: Path, run: Run
) -> None:
    write_task(project, "a")
    run("open", "q", "tasks")
    told = blocked_in_an_older_generation(project, run)
    assert run(*command(told, "hypervisor undo")).returncode == 0
    assert "1 ready" in run("preflight", "tasks/a.md").stdout


def test_a_done_item_is_tried_again_after_the_printed_undo(project: Path, run: Run) -> None:
    write_task(project, "a")
    run("open", "q", "tasks")
    assert run(*command(done(project, run), "hypervisor undo")).returncode == 0
    assert run("retry", "q", "a").returncode == 0
    assert states(project) == {"a": "ready"}


def test_the_retry_of_what_is_not_merged_names_the_integration(project: Path, run: Run) -> None:
    lay_out(project, 1)
    claim = take(project)
    (Path(claim.worktree) / "new.py").write_text("x")
    with Ledger.open(str(project)) as ledger:
        worker.finish(ledger, claim.token, "done", {"summary": "x"})
    assert run(*command(run("retry", "q", "t0").stdout, "hypervisor integrate")).returncode == 0
    assert (project / "new.py").exists()


def test_the_retry_of_what_is_not_written_names_the_summary(project: Path, run: Run) -> None:
    path = write_task(project, "a")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
        path.write_text("---\nid: [\n---\n")
        worker.finish(ledger, claim.token, "blocked", {"reason": "x"})
    told = run(*command(run("retry", "q", "a").stdout, "hypervisor summary"))
    assert told.returncode == 0 and "report pending: a: tasks/a.md:2" in told.stdout


def test_a_read_only_file_is_written_after_the_printed_chmod(project: Path, run: Run) -> None:
    path = write_task(project, "a")
    path = path.rename(project / "tasks/it's a.md")
    open_queue(project)
    path.chmod(0o444)
    end(project, "done")
    [line] = [line for line in run("summary", "q").stdout.splitlines() if "chmod" in line]
    subprocess.run(shlex.split(line[line.index("chmod") :].partition(";")[0]), check=True)
    run("summary", "q")
    assert "status: done" in path.read_text()


@pytest.mark.parametrize("where", ["home", "temporary"])
def test_no_repository_is_advised_where_no_project_is(tmp_path: Path, where: str) -> None:
    folder = Path(os.environ["HOME"]) if where == "home" else tmp_path
    folder.chmod(0o1777 if where == "temporary" else 0o755)
    finding = here._git(str(folder), 10.0)
    assert finding.mend == "" and "nor a project's folder" in finding.text
    project = tmp_path / "a project"
    project.mkdir()
    mend = here._git(str(project), 10.0).mend
    subprocess.run(shlex.split(mend), check=True, capture_output=True)
    assert (project / ".git").is_dir()


def test_a_path_that_is_too_long_is_told_as_that(project: Path) -> None:
    from hypervisor.tasks import create

    with pytest.raises(Exception, match="the path is too long: shorten a name") as told:
        create.create(str(project / "tasks" / ("x" * 300 + ".md")), b"x")
    assert "writable" not in str(told.value)


def test_a_lock_of_git_s_is_removed_by_the_printed_command(project: Path, run: Run) -> None:
    lay_out(project, 1)
    (project / ".git/index.lock").touch()
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
    (project / "new.py").write_text("x")
    told = run("commit", claim.token, "-m", "x", "--", "new.py")
    if told.returncode:
        mend = told.stderr.partition("once none runs there any more: ")[2]
        subprocess.run(shlex.split(mend), check=True)
        told = run("commit", claim.token, "-m", "x", "--", "new.py")
    assert told.returncode == 0, told
