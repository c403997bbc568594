"""The commands as people type them: through a shell, from any folder, by any Python."""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger
from hypervisor.triage.batch_directory import open_batch
from repository import REPO

SCRIPTS = REPO / "skills" / "hypervisor" / "scripts"
# As a shell takes it: the plugin may lie below a folder with a blank in its name.
TYPED = shlex.quote(str(SCRIPTS))
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=["the skill linked into aops-tools", "aops-tools is the plugin"])
def aops(request, tmp_path: Path) -> Path:
    """A framework's folder in which the plugin is found under the name that it has there."""
    folder = tmp_path / "a o p s"
    if request.param == "aops-tools is the plugin":
        folder.mkdir()
        (folder / "aops-tools").symlink_to(REPO)
    else:
        (folder / "aops-tools" / "skills").mkdir(parents=True)
        (folder / "aops-tools" / "skills" / "hypervisor").symlink_to(REPO / "skills/hypervisor")
    return folder


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """`shell(text, **env)`: run what was typed, in an unrelated folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(text: str, **env: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", text],
            cwd=elsewhere,
            env={**os.environ, **{name: str(value) for name, value in env.items()}},
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def tmp_batch() -> Iterator[Path | None]:
    """/tmp/batch itself, if nobody has one; None where somebody has."""
    folder = Path("/tmp/batch")
    try:
        folder.mkdir()
    except FileExistsError:
        yield None
        return
    yield folder
    shutil.rmtree(folder)


def test_every_line_works_as_typed(tasks, project, aops, shell, tmp_batch, batch):
    tasks(60)
    place = tmp_batch or batch

    def typed(text: str) -> str:
        """Run it; where /tmp/batch is somebody's, in another folder, named as the only change."""
        if tmp_batch is None:
            text = text.replace("/tmp/batch", str(batch))
            text = text.replace("batch_worker.py --", f"batch_worker.py --dir {batch} --")
        ran = shell(text.replace("uv run python", UV_RUN_PYTHON), AOPS=f"{aops}")
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    script = '"$AOPS"/aops-tools/skills/hypervisor/scripts/batch_worker.py'
    typed(f'find {project}/inbox -name "*.md" > /tmp/batch/queue.txt')
    typed("mkdir -p /tmp/batch/locks /tmp/batch/results")
    assert "50/60 completed, 10 remaining" in typed(f"uv run python {script} --batch 50")
    assert "60/60 completed, 0 remaining" in typed(
        "cd /tmp/batch && python3 batch_worker.py --batch 100"
    )
    counts = typed(f"uv run python {script} --stats").splitlines()
    assert {"queue_total: 60", "claimed: 0", "completed: 60", "remaining: 0"} <= set(counts)
    assert len(list((place / "results").glob("*.json"))) == 60
    assert all("assignee: bot" in path.read_text() for path in (project / "inbox").iterdir())
    summary = json.loads(typed(f"cd /tmp/batch && python3 {TYPED}/summarize.py --json"))
    assert Counter(worker["status"] for worker in summary["workers"]) == {"success": 60}


UV_RUN_PYTHON = "uv run --no-project python" if shutil.which("uv") else "python3"


def test_any_number_of_workers_at_once_do_each_item_once(tasks, listed):
    folder = listed(tasks(80))
    command = [sys.executable, SCRIPTS / "batch_worker.py", "--dir", folder, "--batch", "20"]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    told = [process.communicate() for process in running]
    assert all(process.returncode in (0, 3) for process in running), told
    done = Counter(
        line.partition(":")[0] for out, _ in told for line in out.splitlines() if "assign:" in line
    )
    assert done == {f"t-{number:03}": 1 for number in range(80)}
    assert len(list((folder / "results").glob("*.json"))) == 80
    assert os.listdir(folder / "locks") == []


def test_exit_codes_tell_work_failure_and_nothing_left(tasks, listed, shell):
    paths = tasks(3)
    folder = listed(paths)
    script = f"python3 {TYPED}/batch_worker.py --dir {folder}"
    assert shell(f"{script} --batch 1").returncode == 0
    open_batch(str(folder))
    for path in paths:
        if "assignee" not in path.read_text():
            path.write_text("---\ntitle: a: b\nstatus: active\n---\n")
            break
    assert shell(f"{script} --batch 10").returncode == 1
    assert shell(f"{script} --batch 10").returncode == 3


@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_a_batch_of_none_is_refused(tasks, listed, shell, number):
    folder = listed(tasks(1))
    ran = shell(f"python3 {TYPED}/batch_worker.py --dir {folder} --batch={number}")
    assert ran.returncode == 2
    assert "--batch" in ran.stderr


def test_preflight_and_summarize_start_from_any_folder_by_any_python(tasks, listed, shell):
    paths = tasks(2)
    paths[0].write_text("---\ntitle: x\nstatus: done\n---\n")
    folder = listed(paths)
    for python in ("python3", "python3 -I", UV_RUN_PYTHON, f"{shlex.quote(sys.executable)} -S"):
        ran = shell(f"{python} {TYPED}/preflight.py {folder}/queue.txt")
        assert ran.stdout.startswith("1 task skipped (already complete)"), ran.stderr
    shell(f"python3 {TYPED}/batch_worker.py --dir {folder}")
    for words in (f"--dir {folder}", f"{folder}", f"{folder} --json"):
        ran = shell(f"python3 {TYPED}/summarize.py {words}")
        assert "1 done" in ran.stdout or '"success": 1' in ran.stdout, ran.stderr


def test_the_scripts_can_be_read_by_old_pythons():
    for path in SCRIPTS.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 4))


# -- claim_task --


def claim_in_another_process(folder: Path, call: str) -> str:
    """Carry out a call from a plain Python that has nothing of ours."""
    code = f"from batch_worker import claim_task, release_task; print({call})"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=folder, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_claim_task_is_one_mkdir_that_only_one_wins(tasks, listed):
    folder = listed(tasks(1))
    open_batch(str(folder))
    assert claim_in_another_process(folder, "claim_task('t-000')") == "True"
    assert (folder / "locks" / "t-000").is_dir()
    assert claim_in_another_process(folder, "claim_task('t-000')") == "False"
    assert claim_in_another_process(folder, "release_task('t-000')") == "True"
    assert claim_in_another_process(folder, "release_task('t-000')") == "False"
    assert claim_in_another_process(folder, "claim_task('t-000')") == "True"


def test_a_task_that_a_script_has_claimed_is_passed_over(tasks, listed):
    folder = listed(tasks(3))
    batch = open_batch(str(folder))
    assert claim_in_another_process(folder, "claim_task('t-001')") == "True"
    with Ledger.open(batch.root) as ledger:
        claimed = ledger.claims.claim(batch.queue, "w", 10)
        assert sorted(claim.id for claim in claimed) == ["t-000", "t-002"]
        assert claim_in_another_process(folder, "release_task('t-001')") == "True"
        assert [claim.id for claim in ledger.claims.claim(batch.queue, "w", 10)] == ["t-001"]


def test_a_task_that_the_queue_has_claimed_cant_be_claimed_or_released_by_a_script(tasks, listed):
    folder = listed(tasks(1))
    batch = open_batch(str(folder))
    with Ledger.open(batch.root) as ledger:
        (claim,) = ledger.claims.claim(batch.queue, "w", 1)
        assert claim_in_another_process(folder, "claim_task('t-000')") == "False"
        assert claim_in_another_process(folder, "release_task('t-000')") == "False"
        assert os.path.islink(folder / "locks" / "t-000")
        assert ledger.ends.finish(claim.token, "done", {}) == "done"
    assert claim_in_another_process(folder, "claim_task('t-000')") == "True"


@pytest.mark.parametrize(
    "odd", ["../up", "a/b", "..", ".", "", "x" * 300, "é", "a b", "-x", "a\nb"]
)
def test_odd_ids_are_locked_inside_the_folder_under_the_name_the_ledger_uses(listed, batch, odd):
    from hypervisor.system.keys import key

    folder = listed([])
    open_batch(str(folder))
    assert claim_in_another_process(folder, f"claim_task({odd!r})") == "True"
    assert os.listdir(folder / "locks") == [key(odd)]
    assert {path.name for path in folder.parent.iterdir() if path != folder} == set()
    assert claim_in_another_process(folder, f"release_task({odd!r})") == "True"


def test_claim_task_makes_the_folder_and_many_processes_have_one_winner(listed):
    folder = listed([])
    code = "import sys; from batch_worker import claim_task; sys.exit(not claim_task('x'))"
    open_batch(str(folder))
    shutil.rmtree(folder / "locks")
    running = [subprocess.Popen([sys.executable, "-S", "-c", code], cwd=folder) for _ in range(8)]
    assert sorted(process.wait() for process in running) == [0] + [1] * 7
