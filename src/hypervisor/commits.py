"""Commits by many workers in one working tree: exactly the named files, one committer at a time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.state import State
from hypervisor.system.text import one_line


def commit(state: State, message: str, files: Sequence[str], cwd: str) -> str:
    """Commit `files` (paths from `cwd`) as they are now, and nothing else; return the commit's id.

    A file that was deleted is committed as deleted. What others have staged stays staged. Raises
    UsageError for a path that git doesn't know, HypervisorError where git refuses.
    """
    paths = [os.path.join(cwd, name) for name in files]
    with state.folder.locked("commit.lock"):
        _git(cwd, "add", "--all", "--", *paths)
        _git(cwd, "commit", "--quiet", "--only", "--message", message, "--", *paths)
        return _git(cwd, "rev-parse", "HEAD").strip()


def _git(cwd: str, *words: str) -> str:
    # Pathspec magic in a file's name is taken literally.
    asked = subprocess.run(
        ["git", "--literal-pathspecs", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if asked.returncode == 0:
        return asked.stdout
    said = (asked.stderr or asked.stdout).strip()
    if "did not match any file" in said:
        raise UsageError(f"git: {one_line(said, 300)}", "name files that exist or are tracked")
    raise HypervisorError(f"git {words[0]}: {one_line(said, 300)}", "mend that and commit again")
