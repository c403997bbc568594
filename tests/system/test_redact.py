"""Keys are taken out of text, and nothing else is."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.system.redact import Redactor
from worker.support import open_queue, write_task


@pytest.mark.parametrize(
    "key",
    ["AIza" + "b" * 35, "sk-ant-api03-" + "x" * 40, "ghp_" + "a" * 36, "AKIA" + "Z" * 16,
     "glpat-" + "c" * 20, "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----"],
)  # fmt: skip
def test_what_has_the_shape_of_a_key_is_taken_out(key: str) -> None:
    assert Redactor({}).text(f"it is {key}, they say") == "it is [redacted], they say"


def test_values_of_keys_in_the_environment_are_taken_out() -> None:
    clean = Redactor({"MY_API_KEY": "quite-secret", "A_TOKEN": "quite-secret-2", "KEY": "short",
                      "EDITOR": "vimacs1", "SSH_AUTH_SOCK": "/tmp/agent.sock"})  # fmt: skip
    text = "quite-secret-2 quite-secret vimacs1 /tmp/agent.sock short"
    assert clean.text(text) == "[redacted] [redacted] vimacs1 /tmp/agent.sock short"
    assert clean.line(b"\xff quite-secret\n") == b"\xff [redacted]\n"


def test_passwords_in_addresses_are_taken_out_and_plain_text_stays() -> None:
    clean = Redactor({})
    assert clean.text("postgresql://me:pw@host/db") == "postgresql://[redacted]@host/db"
    plain = "see https://example.org/a@b, mail me@example.org: task-skill sk-1"
    assert clean.text(plain) == plain


def test_a_key_in_a_worker_s_report_reaches_neither_ledger_nor_file(
    project: Path, run_hypervisor: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    task = write_task(project, "t-1")
    open_queue(project)
    token = run_hypervisor("next", "q").stdout.split()[1]
    env = {"MY_TOKEN": "very-secret-words"}
    key = "AIza" + "b" * 35
    told = ("--summary", f"used {key} and very-secret-words", "--file", f"out/{key}")
    assert run_hypervisor("done", token, *told, env=env).returncode == 0
    assert "> used [redacted] and [redacted]" in task.read_text()
    summary = run_hypervisor("summary", "q", "--json").stdout
    assert "out/[redacted]" in summary
    kept = [path.read_bytes() for path in project.rglob("*") if path.is_file()]
    assert not [raw for raw in kept if key.encode() in raw or b"very-secret" in raw]
