"""No command is printed where it would do harm, or is not what helps; the others are typed by
tests/mends."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from hypervisor.agents.doctor import here


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
