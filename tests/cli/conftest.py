"""The command line within this process, for tests that start it often."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.cli import main


@pytest.fixture
def run(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run(*args, cwd=project, input="")`: what bin/hypervisor calls, without its start."""

    def run(
        *args: str | Path, cwd: Path = project, input: str = ""
    ) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(input.encode())))
        capfd.readouterr()
        try:
            code = main([str(word) for word in args])
        except SystemExit as ended:
            code = int(ended.code or 0)
        sys.stdout.flush()
        said = capfd.readouterr()
        return subprocess.CompletedProcess(args, code, said.out, said.err)

    return run
