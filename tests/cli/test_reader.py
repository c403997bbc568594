"""A reader that keeps the ledger is named, and the log is short again after it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger, NewItem, schema

Run = Callable[..., subprocess.CompletedProcess[str]]
_READER = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1])
held.execute("begin")
held.execute("select count(*) from item").fetchone()
print("reading", flush=True)
sys.stdin.read()
"""


def test_a_reader_that_keeps_the_log_from_being_folded_back_is_named(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "CHECKPOINT_PAGES", 20)
    monkeypatch.setattr(schema, "LARGEST_LOG", 100_000)
    log = project / ".hypervisor/ledger.db-wal"
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a")])
        words = [sys.executable, "-c", _READER, str(project / ".hypervisor/ledger.db")]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
            assert reader.stdin is not None and reader.stdout is not None
            reader.stdout.readline()
            _write(ledger, "a")
            assert log.stat().st_size > 200_000
            said = run("status")
            assert "another program keeps reading the ledger" in said.stdout + said.stderr
            assert f"({reader.pid})" in said.stdout + said.stderr
            reader.stdin.close()
        _write(ledger, "b")
        assert log.stat().st_size <= 200_000
        said = run("status")
        assert "keeps reading" not in said.stdout + said.stderr


def _write(ledger: Ledger, name: str) -> None:
    for number in range(100):
        wanted = [NewItem(f"{name}-{number}-{at}", title="x" * 200) for at in range(9)]
        ledger.generations.open("q", wanted)
