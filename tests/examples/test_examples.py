"""The examples of docs/: what their systems say of them, and what they do when they run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from hypervisor.config.store import VARIABLE
from hypervisor.system.state import State
from hypervisor.worker import detached
from repository import REPO
from server import Server
from worker.branches.support import git, merge
from worker.support import open_queue, states, write_task

ROOT = REPO
EXAMPLES = ROOT / "examples"
# Options of sbatch(1) that the script uses, and what their values look like.
SBATCH = {
    "job-name": r"[\w-]+",
    "array": r"\d+-\d+(%\d+)?",
    "cpus-per-task": r"\d+",
    "mem": r"\d+[KMGT]",
    "time": r"(\d+-)?\d\d:\d\d:\d\d",
    "signal": r"(B:)?[A-Z]+(@\d+)?",
    "requeue": r"",
    "output": r"[\w%.-]+",
}


# -- systemd --


def verified(unit: str, folder: Path) -> str:
    """Return what systemd finds to say of a unit."""
    path = folder / "hypervisor-worker@docs.service"
    path.write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        env=os.environ | {"SYSTEMD_LOG_COLOR": "0"},
    )
    said = [line for line in done.stderr.splitlines() if path.name in line]
    return "\n".join(said) or str(done.returncode or "")


def test_systemd_finds_nothing_to_say_of_the_unit(tmp_path: Path) -> None:
    unit = (EXAMPLES / "hypervisor-worker@.service").read_text()
    assert verified(unit, tmp_path) == ""
    assert "Restrat" in verified(unit.replace("RestartSec", "RestratSec"), tmp_path)


def test_the_unit_stops_for_good_only_where_nothing_is_left() -> None:
    unit = (EXAMPLES / "hypervisor-worker@.service").read_text().splitlines()
    assert {"Restart=always", "RestartPreventExitStatus=3", "SuccessExitStatus=3"} <= set(unit)
    [words] = [line for line in unit if line.startswith("ExecStart=")]
    assert " hypervisor work %i --agent command --branch " in words


def test_systemd_finds_nothing_to_say_of_the_unit_of_a_user(tmp_path: Path) -> None:
    unit = (EXAMPLES / "hypervisor-queue@.service").read_text()
    assert verified(unit, tmp_path) == ""
    lines = unit.splitlines()
    # It is started again after a failure, and neither where it drained nor where nothing was left.
    assert {"Restart=on-failure", "SuccessExitStatus=3", "WantedBy=default.target"} <= set(lines)
    # The key is in a file that the user names.
    assert "EnvironmentFile=%h/.config/hypervisor/worker.env" in lines


# -- cron --


def test_the_line_for_cron_starts_a_pool_that_ends_with_the_queue(
    project: Path, run_forked: Any, tmp_path: Path
) -> None:
    *_, path, line = (EXAMPLES / "hypervisor.crontab").read_text().splitlines()
    assert re.fullmatch(r"PATH=[\w/:]+", path)
    when, command = line[: line.index(" cd ")], line[line.index(" cd ") + 1 :]
    assert when == "*/15 * * * *" and "%" not in command
    home = tmp_path.resolve() / "home"
    (home / ".config/hypervisor").mkdir(parents=True)
    (home / ".config/hypervisor/worker.env").write_text("HYPERVISOR_TEST_KEY=abc\n")
    (home / "notes").symlink_to(project)
    write_task(project, "t1")
    open_queue(project, queue="notes")
    # Its client is replaced by a command, which sees nothing of the key: the pool does.
    worker = "--agent command --detach -- sleep 0.5"
    environment = {
        **{name: os.environ[name] for name in ("HYPERVISOR_HOME", "HYPERVISOR_STATE")},
        "HOME": str(home),
        "PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}",
    }
    assert "--agent claude --detach " in command
    cron = ["/bin/sh", "-c", command.replace("--agent claude --detach", worker)]
    assert subprocess.run(cron, env=environment).returncode == 0
    told = detached.find(State.find(str(project)), "notes")  # type: ignore[arg-type]
    assert told is not None and told.folder == str(project)
    shown = run_forked("work", "notes", "--attach")
    assert shown.returncode == 0 and states(project, "notes") == {"t1": "done"}
    assert subprocess.run(cron, env=environment, capture_output=True).returncode == 3


# -- CI --


@pytest.mark.parametrize(
    ("outcome", "codes"),
    [
        pytest.param("done", [0, 0, 0, 0], marks=pytest.mark.thorough),
        ("block", [0, 0, 1, 0]),
        ("", [0]),
    ],
)
def test_the_job_of_ci_fails_where_a_task_is_blocked_and_ends_where_none_is_ready(
    project: Path, tmp_path: Path, outcome: str, codes: list[int]
) -> None:
    told = yaml.safe_load((EXAMPLES / "ci-tasks.yaml").read_text())
    steps = [step for step in told["jobs"]["work"]["steps"] if "run" in step]
    write_task(project, "t1", status="ready" if outcome else "done")
    done = project / "work.sh"
    end = '--reason "no key"' if outcome == "block" else "--summary did"
    done.write_text(f'#!/bin/sh\nhypervisor {outcome} "$HYPERVISOR_TOKEN" {end}\n')
    done.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_OUTPUT": str(tmp_path / "outputs"),
    }
    ended = []
    for step in steps:
        opened = ended and (tmp_path / "outputs").read_text() == "code=0\n"
        assert ("steps.open.outputs.code == '0'" in step.get("if", "")) == bool(ended)
        if ended and not opened:
            continue
        run = step["run"].replace("--agent claude --workers 2", "--agent command -- ./work.sh")
        shell = ["bash", "-e", "-o", "pipefail", "-c", run]
        ended.append(subprocess.run(shell, cwd=project, env=environment, capture_output=True))
    assert [one.returncode for one in ended] == codes
    assert (tmp_path / "tasks.html").exists() == (len(codes) > 1)


# -- Slurm --


def test_the_options_of_the_array_stand_where_sbatch_reads_them() -> None:
    script = (EXAMPLES / "slurm-array.sh").read_text()
    head = script[: script.index("\nset ")].splitlines()
    assert head[0] == "#!/bin/bash"
    options = [line.removeprefix("#SBATCH --") for line in head if line.startswith("#SBATCH")]
    assert script.count("\n#SBATCH") == len(options) > 4
    for option in options:
        name, _, value = option.partition("=")
        assert re.fullmatch(SBATCH[name], value), option
    subprocess.run(["bash", "-n", EXAMPLES / "slurm-array.sh"], check=True)


@pytest.fixture
def cluster(
    tmp_path: Path, postgres: Server, identity: None, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A remote with eight tasks, the clone that opened a queue over them, and what every node
    has in its environment."""
    database = postgres.database()
    monkeypatch.setenv(VARIABLE, postgres.tcp(database))
    root = tmp_path.resolve() / "main"
    root.mkdir()
    git(root, "init", "--quiet", "-b", "main")
    (root / "hypervisor.toml").write_text('project = "cluster"\n')
    (root / ".gitignore").write_text(".hypervisor/\n")
    for number in range(8):
        write_task(root, f"t{number}")
    fix = root / "fix.sh"
    fix.write_text('#!/bin/sh\nsleep 0.1\necho "$HYPERVISOR_TOKEN" >"$HYPERVISOR_ID"\n')
    fix.chmod(0o755)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "first")
    git(root, "init", "--quiet", "--bare", "-b", "main", "../hub.git")
    git(root, "remote", "add", "origin", "../hub.git")
    git(root, "push", "--quiet", "origin", "main")
    git(root, "config", "hypervisor.remote", "origin")
    open_queue(root, queue="q")
    (tmp_path / "nodes").mkdir()
    environment = os.environ | {
        "PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}",
        "TASKS_REMOTE": str(root.parent / "hub.git"),
        "SLURM_TMPDIR": str(tmp_path / "nodes"),
        "SLURM_CPUS_PER_TASK": "2",
    }
    yield root, environment
    postgres.drop(database)


def node(number: int, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", EXAMPLES / "slurm-array.sh", "q"],
        env=environment | {"SLURM_JOB_ID": str(number)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.thorough
def test_two_tasks_of_the_array_work_a_queue_off_and_leave_nothing_behind(cluster: Any) -> None:
    root, environment = cluster
    nodes = [node(number, environment) for number in (1, 2)]
    for one in nodes:
        said = one.communicate()[0]
        assert one.returncode == 0, said
    assert set(states(root, "q").values()) == {"done"}
    assert len(merge(root).merged) == 8
    assert all((root / f"t{number}").exists() for number in range(8))
    assert os.listdir(environment["SLURM_TMPDIR"]) == []


def test_before_its_time_limit_an_array_task_gives_back_what_it_holds(cluster: Any) -> None:
    root, environment = cluster
    # The command's environment is scrubbed, so what it does is written into it.
    (root / "fix.sh").write_text("#!/bin/sh\nsleep 600\n")
    git(root, "commit", "--quiet", "--all", "-m", "slow")
    git(root, "push", "--quiet", "origin", "main")
    one = node(1, environment)
    until = time.monotonic() + 60
    while "claimed" not in states(root, "q").values():
        assert one.poll() is None and time.monotonic() < until
        time.sleep(0.2)
    one.send_signal(signal.SIGTERM)
    said = one.communicate()[0]
    assert one.returncode == 0, said
    assert set(states(root, "q").values()) == {"ready"}
    assert os.listdir(environment["SLURM_TMPDIR"]) == []


# -- Kubernetes --


def job() -> Any:
    return yaml.safe_load((EXAMPLES / "kubernetes-job.yaml").read_text())


def test_the_job_is_what_the_strict_schema_of_kubernetes_allows() -> None:
    import kubernetes_validate

    kubernetes_validate.validate(job(), "1.37", strict=True)
    wrong = job()
    wrong["spec"]["template"]["spec"]["containers"][0]["enviroment"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


def test_the_job_s_parts_fit_together() -> None:
    pod = job()["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert {one["name"] for one in container["volumeMounts"]} == {
        one["name"] for one in pod["volumes"]
    }
    assert job()["spec"]["completions"] == job()["spec"]["parallelism"]
    # A failure policy is for pods that are never started again in place.
    assert pod["restartPolicy"] == "Never"
    [script] = container["args"]
    for shell in ("sh", "bash"):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
    assert "hypervisor work docs --agent command --branch" in script
