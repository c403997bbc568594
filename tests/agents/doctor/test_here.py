"""What the doctor says of hypervisor itself, as a command, and its bundle."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.doctor.conftest import Machine
from hypervisor import worker
from hypervisor.agents.doctor import State
from hypervisor.agents.doctor.here import sqlite_may_lose
from hypervisor.ledger import Ledger
from hypervisor.system import mounts as places
from worker.support import open_queue, write_task

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("version", "loses"),
    [
        ((3, 6, 23), False), ((3, 7, 0), True), ((3, 40, 1), True), ((3, 44, 5), True),
        ((3, 44, 6), False), ((3, 45, 0), True), ((3, 50, 6), True), ((3, 50, 7), False),
        ((3, 51, 2), True), ((3, 51, 3), False), ((3, 52, 0), False), ((4, 0, 0), False),
    ],
)  # fmt: skip
def test_versions_of_sqlite_that_can_lose_a_commit_are_known(
    version: tuple[int, int, int], loses: bool
) -> None:
    assert sqlite_may_lose(version) is loses


def test_a_project_in_order_has_nothing_to_mend(machine: Machine) -> None:
    write_task(machine.project, "t-1")
    open_queue(machine.project)
    found = machine.found()
    assert sqlite3.sqlite_version in found["hypervisor", "sqlite"].text
    assert found["hypervisor", "ledger"].text == "readable; 1 queue, 1 item not ended"
    assert found["hypervisor", "file system"].state is State.OK
    told = [one for (about, _), one in found.items() if about == "hypervisor"]
    assert [one for one in told if one.state is State.WRONG] == []


def test_a_project_without_a_ledger_is_in_order_and_none_is_made(
    machine: Machine, run_forked: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    done = run_forked("doctor", cwd=folder, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "has none yet" in done.stdout and done.stdout.endswith("nothing to fix\n")
    assert list(folder.iterdir()) == []


def test_a_ledger_that_can_not_be_read_is_told_and_the_exit_code_says_so(
    machine: Machine, run_forked: Run
) -> None:
    open_queue(machine.project, ())
    ledger = machine.project / ".hypervisor/ledger.db"
    ledger.write_bytes(b"this is no database, but long enough to be looked at" * 100)
    done = run_forked("doctor", "--json", env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 1
    told = json.loads(done.stdout)
    found = {(one["about"], one["what"]): one for one in told["findings"]}
    assert told["ok"] is False and found["hypervisor", "ledger"]["state"] == "wrong"
    assert found["hypervisor", "ledger"]["mend"]


def test_a_network_file_system_is_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = "36 35 98:0 / / rw - nfs4 server:/export rw\n"
    real = places.network_file_system
    monkeypatch.setattr(places, "network_file_system", lambda path: real(path, mounts))
    finding = machine.found()["hypervisor", "file system"]
    assert finding.state is State.WRONG and "nfs4" in finding.text
    assert "HYPERVISOR_STORE" in finding.mend
    # Where the queues are on a server it is none of the ledger's business.
    monkeypatch.setenv("HYPERVISOR_STORE", "postgresql://localhost/none")
    assert machine.found()["hypervisor", "file system"].state is State.OK


def test_a_ledger_that_does_not_answer_is_cut_off(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    never = threading.Event()
    monkeypatch.setattr(Ledger, "open", lambda *args, **options: never.wait())
    finding = machine.found(seconds=0.5)["hypervisor", "ledger"]
    never.set()
    assert finding.state is State.WRONG and "no answer within 500 ms" in finding.text


def test_settings_state_and_hooks_that_are_off_are_told(machine: Machine) -> None:
    (machine.project / "hypervisor.toml").write_text("[limits]\nno_such_key = 1\n")
    (machine.project / ".hypervisor/hook-error.txt").write_text("2026-11-26 14:50:29\nTraceback\n")
    hooks = machine.found()["hypervisor", "hooks"]
    (machine.project / ".hypervisor").chmod(0o755)
    found = machine.found()
    assert "no_such_key" in found["hypervisor", "settings"].words
    assert found["hypervisor", "settings"].state is State.WRONG
    assert found["hypervisor", "state"].mend.startswith("chmod 700")
    assert hooks.state is State.NOTE and "2026-11-26 14:50:29" in hooks.text


def test_each_line_that_is_not_right_ends_with_its_mend(machine: Machine, run_forked: Run) -> None:
    machine.claude(**{"auth status": '{"loggedIn": false}', "mcp list": "nothing"})
    done = run_forked("doctor", env={"PATH": os.environ["PATH"]})
    wrong = [line for line in done.stdout.splitlines() if line.startswith("  wrong")]
    assert done.returncode == 1 and len(wrong) == 2
    assert all(re.search("  → .*claude", line) for line in wrong)
    assert done.stdout.endswith(f"{len(wrong)} to fix\n")


@pytest.mark.parametrize("words", [("--timeout", "0"), ("--timeout", "x"), ("more",)], ids=str)
def test_wrong_words_are_usage_errors(run_forked: Run, words: tuple[str, ...]) -> None:
    assert run_forked("doctor", *words).returncode == 2


# --- the bundle

SECRETS = {
    "key of a variable": "planted-value-of-a-key-7391",
    "key by its shape": "AIzaSyA1234567890abcdefghijklmnopqrstuvw",
    "other key by its shape": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "password of the store": "pa55word-of-the-store",
    "host of the store": "db.internal.example",
    "body of a task": "the secret recipe of the house",
    "title of a task": "Replace the flux capacitor",
    "report of a worker": "worker wrote about the merger",
    "name of a queue": "project-falcon",
    "name of an item": "merger-0001",
    "user": "alice",
    "mail": "someone@corp.example",
    "setting": "internal-callers-name",
}


def plant(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put each secret wherever it may stand on a real machine."""
    monkeypatch.setenv("USER", SECRETS["user"])
    monkeypatch.setenv("LOGNAME", SECRETS["user"])
    monkeypatch.setenv("GEMINI_API_KEY", SECRETS["key of a variable"])
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRETS["key by its shape"])
    (machine.project / "tasks").mkdir(exist_ok=True)
    (machine.project / "tasks/merger-0001.md").write_text(
        f"---\nid: {SECRETS['name of an item']}\ntitle: {SECRETS['title of a task']}\n"
        f"type: task\nstatus: active\n---\n\n{SECRETS['body of a task']}\n"
    )
    open_queue(machine.project, queue=SECRETS["name of a queue"])
    with Ledger.open(str(machine.project)) as ledger:
        claim = worker.take(ledger, SECRETS["name of a queue"], SECRETS["user"])[0]
        summary = {"summary": f"{SECRETS['report of a worker']} {SECRETS['mail']}"}
        worker.finish(ledger, claim.token, "done", summary)
    (machine.project / ".hypervisor/hook-error.txt").write_text(
        "2026-11-26 14:50:29\nTraceback (most recent call last):\n"
        f'  File "{machine.home}/plugin/src/hypervisor/agents/hooks/workers.py", line 7, '
        "in tool_used\n"
        f"    raise ValueError(text)\nValueError: {SECRETS['body of a task']}\n"
        f"{SECRETS['title of a task']}: {SECRETS['other key by its shape']}\n"
    )
    (machine.project / "hypervisor.toml").write_text(
        f'[callers."{SECRETS["setting"]}"]\ncomplexity = ["mechanical"]\n'
    )
    machine.write(".gemini/settings.json", SECRETS["body of a task"])
    all_of_them = " ".join(reversed(SECRETS.values()))
    machine.client("gemini", {"--version": "0.61.0", "mcp list": f"✗ task_manager: {all_of_them}"})
    machine.client("claude", {}, before=f"echo '{all_of_them}' >&2; exit 1")


def test_a_bundle_holds_no_key_no_text_no_folder_and_no_name(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, run_forked: Run, tmp_path: Path
) -> None:
    plant(machine, monkeypatch)
    target = tmp_path / "out.tar.gz"
    store = (
        f"postgresql://{SECRETS['user']}:{SECRETS['password of the store']}"
        f"@{SECRETS['host of the store']}/work"
    )
    done = run_forked("doctor", "--bundle", target, "--timeout", "5", env=dict(os.environ))
    assert done.returncode == 1 and str(target) in done.stdout, done.stderr
    texts = read(target)
    assert set(texts) == {
        "README.txt", "findings.json", "machine.json", "ledger.json", "hook-error.json",
    }  # fmt: skip
    assert target.stat().st_mode & 0o777 == 0o600
    whole = "\n".join(texts.values())
    for what, secret in SECRETS.items():
        assert secret not in whole, what
    for place in (str(machine.home), str(machine.project), store):
        assert place not in whole
    # What helps to find the fault is there.
    assert json.loads(texts["ledger.json"])["queues"][0]["counts"]["done"] == 1
    assert any("workers.py:7 in tool_used" in line for line in json.loads(texts["hook-error.json"]))
    assert "ValueError" in json.loads(texts["hook-error.json"])
    assert "GEMINI_API_KEY" in json.loads(texts["machine.json"])["variables"]
    found = {(one["about"], one["what"]) for one in json.loads(texts["findings.json"])}
    assert ("hypervisor", "sqlite") in found and ("gemini", "mcp") in found


def test_a_bundle_replaces_no_file_and_says_so(
    machine: Machine, run_forked: Run, tmp_path: Path
) -> None:
    target = tmp_path / "notes.tar.gz"
    target.write_text("mine")
    done = run_forked("doctor", "--bundle", target, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 1 and "exists\nhint: name another" in done.stderr
    assert target.read_text() == "mine"


def test_a_bundle_without_a_name_is_put_where_one_stands(machine: Machine, run_forked: Run) -> None:
    done = run_forked("doctor", "--bundle", "--json", env={"PATH": "/usr/bin:/bin"})
    made = json.loads(done.stdout)["bundle"]
    assert made.startswith("hypervisor-diagnostics-")
    assert "findings.json" in read(machine.project / made)


def read(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        return {
            Path(member.name).name: archive.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in archive.getmembers()
        }
