"""Who only looks may do so in a project that can't be written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger
from repository import REPO
from worker.support import open_queue, write_task

Run = Callable[[str], "subprocess.CompletedProcess[str]"]
_HYPERVISOR = REPO / "bin/hypervisor"


@pytest.fixture
def read_only(project: Path) -> Iterator[Run]:
    """`run(line)` in a project with one item done and one at work, as it is mounted read-only, or
    for who may not mount: with folders that can't be written."""
    for name in "ab":
        write_task(project, name)
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
        worker.finish(ledger, claim.token, "done", {"summary": "did it"})
        worker.take(ledger, "q", "w")
    before = "true"
    folders = [project, *(path for path in project.rglob("*") if path.is_dir())]
    if os.geteuid() == 0:
        here = f"'{project}'"
        before = f"mount --bind {here} {here} && mount -o remount,ro,bind {here} && cd {here}"
    else:
        for folder in folders:
            folder.chmod(0o500)

    def run(line: str) -> subprocess.CompletedProcess[str]:
        words = ["sh", "-c", f"{before} && '{_HYPERVISOR}' {line}"]
        if os.geteuid() == 0:
            words = ["unshare", "--mount", *words]
        return subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)

    yield run
    for folder in folders:
        folder.chmod(0o700)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("status q", "1 at work, 1 done"),
        ("summary q", "did it"),
        ("show a", "did it"),
        ("log q", "did it"),
        ("preflight tasks", "open in queue q"),
        ("report q --output ../page.html", "../page.html"),
        ("doctor", "nothing to fix"),
    ],
)
def test_looking_verbs_work_in_a_project_that_can_not_be_written(
    read_only: Run, line: str, said: str
) -> None:
    told = read_only(line)
    assert told.returncode in (0, 3), told
    assert said in told.stdout


@pytest.mark.parametrize(
    ("line", "mend"),
    [
        ("next q", "writ"),
        ("done 2-abcd --summary x", "writ"),
        ("summary q --write", "writ"),
        ("open q tasks", "writ"),
        ("report q", "--output FILE"),
    ],
)
def test_what_has_to_write_there_is_refused_in_a_line_with_the_mend(
    read_only: Run, line: str, mend: str
) -> None:
    told = read_only(line)
    assert told.returncode == 1, told
    said = told.stderr
    assert said.startswith("error: ") and said.count("\n") == said.count("\nhint: ") + 1
    assert mend in said and ("ead-only" in said or "ermission denied" in said)
