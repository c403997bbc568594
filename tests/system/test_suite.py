"""The suite stands on its own: what is around it on a machine has no part in what it finds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from repository import REPO

# What has failed, or would, where a root or a repository is around the temporary folder.
_TESTS = (
    "tests/config/test_roots.py::test_without_any_mark_the_folder_itself_is_the_root",
    "tests/cli/test_exit_codes.py::test_without_a_ledger_the_verbs_say_so_and_make_none",
    "tests/cli/test_named_files.py::test_outside_of_git_no_branch_is_proposed",
    "tests/cli/test_shapes.py::test_claims_have_their_shape",
    "tests/cli/test_handout.py::test_hostile_items_and_summaries_run_nothing_and_every_printed_command_works",
)


def test_it_passes_with_projects_around_its_temporary_folder_and_another_program_on_the_path(
    tmp_path: Path,
) -> None:
    above = tmp_path / "above"
    for folder in ("objects", "refs"):
        (above / ".git" / folder).mkdir(parents=True)
    (above / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (above / ".hypervisor/live").mkdir(parents=True)
    (above / ".hypervisor/live/q").touch()
    (above / "hypervisor.toml").write_text("[limits]\nmax_attempts = 1\n")
    for folder in ("tmp", "bin"):
        (above / folder).mkdir()
    used = tmp_path / "used"
    program = above / "bin/hypervisor"
    program.write_text(f"#!/bin/sh\ntouch '{used}'\n")
    program.chmod(0o755)
    environment = os.environ | {
        "TMPDIR": str(above / "tmp"), "PATH": f"{above}/bin:{os.environ['PATH']}",
        "HYPERVISOR_WORKER": "somebody", "HYPERVISOR_STORE": "postgresql://nowhere/none",
    }  # fmt: skip
    # That of the run which this test is a part of.
    del environment["HYPERVISOR_TEST_STATE"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *_TESTS],
        cwd=REPO, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert not used.exists()
