"""Tools that read the files that we write, at a pinned version: from npm, and topydo from PyPI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from e2e import npm
from e2e.network import Network

_PACKAGES = {
    "backlog": ("backlog.md", "1.52.0"),
    "openspec": ("@fission-ai/openspec", "1.13.2"),
    "task-master": ("task-master-ai", "0.43.1"),
}
_TOPYDO = "0.16"


class Tool:
    """A tool by its command; `run` starts it in a folder, without a network where that can be."""

    def __init__(self, name: str, network: Network) -> None:
        self._network = network
        self._environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
        if name == "topydo":
            self._command = [sys.executable, "-m", "topydo", "-t", "todo.txt", "-d", "done.txt"]
            self._environment["PYTHONPATH"] = str(npm.from_pypi("topydo", _TOPYDO))
        else:
            package, version = _PACKAGES[name]
            program = npm.program(package, version, name, f"node_modules/.bin/{name}")
            self._command = [str(program)]
            self._environment |= {"OPENSPEC_TELEMETRY": "0", "TASKMASTER_ANONYMOUS_TELEMETRY": "0"}

    def run(self, folder: Path, *words: str) -> str:
        """Return what the tool prints; it has to succeed."""
        home = folder.parent / "home"
        home.mkdir(exist_ok=True)
        ran = subprocess.run(
            [*self._network.prefix, *self._command, *words],
            cwd=folder,
            env=self._environment | {"HOME": str(home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout
