"""A ledger that is restored from a copy: refused until adopted; no accepted work is repeated."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger, adopt
from hypervisor.system.errors import NotOwner
from worker.support import open_queue, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("where", ["in its place", "elsewhere"])
def test_a_restored_copy_is_refused_until_adopted_and_repeats_nothing_that_was_accepted(
    project: Path, run_hypervisor: Run, where: str
) -> None:
    for number in range(3):
        write_task(project, f"t{number}")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        out = worker.take(ledger, "q", "w", only="t1")[0].token
    copy = project.parent / "copy"
    shutil.copytree(project / ".hypervisor", copy, symlinks=True)
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w", only="t0")
        worker.finish(ledger, claim.token, "done", {"summary": "did it"})
    root = project
    if where == "elsewhere":
        root = project.parent / "other"
        shutil.copytree(project / "tasks", root / "tasks")
    else:
        shutil.rmtree(project / ".hypervisor")
    shutil.copytree(copy, root / ".hypervisor", symlinks=True)
    for words in (["next", "q"], ["done", out, "--summary", "x"], ["open", "q", "tasks"]):
        refused = run_hypervisor(*words, cwd=root)
        assert refused.returncode == 1 and "hypervisor adopt" in refused.stderr, words
    adopt(str(root))
    with Ledger.open(str(root)) as ledger:
        assert [claim.id for claim in worker.take(ledger, "q", "w", 9)] == ["t1", "t2"]
        assert ledger.queues.stats("q")["skipped"] == 1, "its file says that it is done"
        with pytest.raises(NotOwner):
            worker.finish(ledger, out, "done", {"summary": "of the time before"})
    if where == "elsewhere":
        with Ledger.open(str(project)) as ledger:
            assert worker.finish(ledger, out, "done", {"summary": "did it"}).state == "done"
