"""What a pool's agents print: kept up to a size while it is written, and a note at most."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from agents.pool.support import counts, items, lay_out, script
from hypervisor.agents.pool.log import Log
from hypervisor.system.folder import Folder

Run = Callable[..., subprocess.CompletedProcess[str]]
WORK = ("work", "q", "--agent", "command")


def test_a_log_keeps_the_beginning_and_the_end_and_is_never_larger_than_it_may(
    tmp_path: Path,
) -> None:
    path, most = tmp_path / "a.log", 10_000
    log = Log(lambda: Folder.at(str(tmp_path)), "a.log", most)
    for number in range(10_000):
        log.write(b"line %d\n" % number)
        assert path.stat().st_size <= most
    log.close()
    text = path.read_text()
    told = text.splitlines()
    assert told[:3] == ["line 0", "line 1", "line 2"] and told[-1] == "line 9999"
    assert text.count("left out here") == 1
    numbers = [int(line.split()[1]) for line in told if line.startswith("line")]
    assert numbers == sorted(numbers) and len(text) > most / 2


def test_endless_output_is_cut_while_it_is_written_and_its_end_is_the_report(
    project: Path, run_hypervisor: Run
) -> None:
    (project / "hypervisor.toml").write_text("[limits]\nlog_mb = 1\n")
    lay_out(project, 1)
    loud = script(
        project,
        "yes 0123456789012345678901234567890123456789 | head -c 8000000\n"
        "du -sk .hypervisor/outputs >../du; echo the last line",
    )
    assert run_hypervisor(*WORK, "--", loud).returncode == 0
    assert int((project.parent / "du").read_text().split()[0]) < 1500
    assert str((items(project)["t-001"].report or {})["summary"]).endswith("the last line")


def test_a_log_that_cannot_be_written_is_a_note_and_the_pool_goes_on(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 3)
    # Something stands in the place of the second item's output.
    made = script(project, "mkdir -p .hypervisor/outputs/q/t-002.out; echo did it")
    ran = run_hypervisor(*WORK, "--", made)
    assert ran.returncode == 0, ran.stderr
    assert counts(project) == {"done": 3}
    assert "could not be written: Is a directory" in ran.stderr


def test_a_folder_of_logs_that_cannot_be_made_ends_no_pool(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 2)
    (project / ".hypervisor" / "outputs").write_text("")
    ran = run_hypervisor(*WORK, "--workers", "2", "--", "true")
    assert ran.returncode == 0, ran.stderr
    assert counts(project) == {"done": 2}
    assert "could not be written: Not a directory" in ran.stderr


def test_an_agent_that_prints_without_end_keeps_no_other_waiting_and_runs_no_longer_than_it_may(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 3, max_deaths=1)
    loud = script(project, '[ "$1" != t-001 ] || exec yes; echo did it')
    ran = run_hypervisor(*WORK, "--workers", "2", "--max-minutes", "0.02", "--", loud, "{id}")
    assert ran.returncode == 1, ran.stderr
    assert [one.state for one in items(project).values()] == ["failed", "done", "done"]
    assert "it ran longer than" in str(items(project)["t-001"].cause)
