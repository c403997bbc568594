from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from worker.support import open_queue, write_task

COMMAND = Path(__file__).resolve().parents[2] / "bin" / "hypervisor"


def test_eight_processes_commit_at_once_and_each_report_names_its_own_commit(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", project, *words], check=True, capture_output=True, text=True
        ).stdout

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "-m", "first")
    (project / "staged").write_text("by another\n")
    git("add", "staged")
    for number in range(8):
        write_task(project, f"t-{number}")
        (project / f"f{number}").write_text("x\n")
    open_queue(project)
    shown = subprocess.run(
        [COMMAND, "next", "q", "-n", "8"], cwd=project, capture_output=True, text=True
    ).stdout
    tokens = re.findall(r"^claim (\S+)$", shown, re.M)
    runs = [
        subprocess.Popen(
            [COMMAND, "commit", token, "-m", f"c{number}", "--", f"f{number}"],
            cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
        )
        for number, token in enumerate(tokens)
    ]  # fmt: skip
    told = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0] * 8, told
    for number, (token, (out, _)) in enumerate(zip(tokens, told, strict=True)):
        sha = out.split()[1].rstrip(";")
        named = git("show", "--format=%s", "--name-only", sha).split()
        assert named == [f"c{number}", f"f{number}"]
        subprocess.run(
            [COMMAND, "done", token, "--summary", "did it"], cwd=project, check=True,
            capture_output=True,
        )  # fmt: skip
        assert f"- Commit: `{sha}`" in (project / "tasks" / f"t-{number}.md").read_text()
    assert git("diff", "--cached", "--name-only").split() == ["staged"]
    late = subprocess.run(
        [COMMAND, "commit", tokens[0], "-m", "late", "--", "f0"], cwd=project, capture_output=True
    )
    assert late.returncode == 4
