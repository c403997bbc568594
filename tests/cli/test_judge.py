"""`hypervisor judge`: a second model's word, which changes nothing where it can't be had."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.test_review import end
from hypervisor.agents.client import Answer
from hypervisor.agents.judge.verdict import verdict
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError
from worker.support import open_queue, states, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]
# Passes what does not say that it lied; what is asked for is in the question.
JUDGE = """
import json, re, sys
asked = sys.stdin.read()
mark = re.search("^([0-9a-f]{16}) task$", asked, re.M)[1]
assert asked.count(f"{mark} end of") == asked.count(f"{mark} ") / 2, asked
print("I have looked.")
print(json.dumps({"pass": "did b" not in asked, "reason": "it is not there", "evidence": "b"}))
"""


@pytest.fixture
def done(project: Path) -> Path:
    for name in "abc":
        write_task(project, name)
    open_queue(project)
    for name in "abc":
        end(project, name)
    return project


def judged(done: Path, run: Run, source: str, *words: str) -> tuple[int, Any]:
    (done / "judge.py").write_text(source)
    line = ("judge", "q", "--agent", "command", "--json", *words, "--", sys.executable, "judge.py")
    told = run(*line)
    return told.returncode, json.loads(told.stdout)


def proofs(root: Path) -> list[str | None]:
    with Ledger.open(str(root)) as ledger:
        rows = ledger.store.rows("select proof from claim order by no").fetchall()
    return [row["proof"] for row in rows]


def test_a_pass_is_a_proof_and_a_no_is_told_and_handed_out_again_only_with_redo(
    done: Path, run: Run
) -> None:
    run("review", "q", "c", "--accept")
    code, told = judged(done, run, JUDGE, "--workers", "2")
    # What a person has judged is asked of nobody.
    assert code == 0 and (told["asked"], told["passed"]) == (2, 1)
    assert told["refused"] == [{"id": "b", "reason": "it is not there"}]
    assert proofs(done) == ["judged", "claimed", "reviewed"]
    assert states(done) == dict.fromkeys("abc", "done")
    code, told = judged(done, run, JUDGE, "--redo")
    assert code == 0 and told["asked"] == 0 and told["redone"] == ["b"]
    assert states(done) == {"a": "done", "b": "ready", "c": "done"}
    assert "it is not there" in run("next", "q", "--id", "b").stdout
    # It is no verdict of a person's.
    assert json.loads(run("review", "q", "--json").stdout)["verdicts"]["rejected"] == 0


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "print('pass')", "print('{}')"])
def test_a_judge_that_gives_no_verdict_changes_nothing_and_is_told(
    done: Path, run: Run, source: str
) -> None:
    code, told = judged(done, run, source)
    assert code == 1 and told["passed"] == 0 and len(told["failed"]) == 3
    assert proofs(done) == ["claimed"] * 3 and states(done) == dict.fromkeys("abc", "done")


@pytest.mark.parametrize("agent", ["claude", "gemini", "codex"])
def test_a_judge_with_tools_is_refused_before_anything_is_asked(
    done: Path, run: Run, agent: str
) -> None:
    told = run("judge", "q", "--agent", agent, "--", "--tools", "Bash")
    assert told.returncode == 2 and "--tools" in told.stderr


# What a text begins must not take in what stands behind it; the mark has 16 digits of base64.
BEGINNINGS = ("-----BEGIN RSA PRIVATE KEY-----", "Authorization: Bearer", "password =", "```")


def test_no_beginning_of_a_secret_takes_a_mark_with_it(project: Path, run: Run) -> None:
    for at, text in enumerate(BEGINNINGS):
        write_task(project, f"x{at}", body=f"Do it.\n\n{text}")
    open_queue(project)
    for at in range(len(BEGINNINGS)):
        end(project, f"x{at}")
    code, told = judged(project, run, JUDGE)
    assert code == 0 and told["passed"] == len(BEGINNINGS), told


def test_a_commit_that_looks_like_an_option_writes_no_file(
    project: Path, run: Run, tmp_path: Path
) -> None:
    for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "x")):
        named = ("-c", "user.name=x", "-c", "user.email=x@y")
        subprocess.run(["git", *named, *words], cwd=project, check=True)
    write_task(project, "a")
    open_queue(project)
    token = run("next", "q").stdout.split()[1]
    line = ("done", token, "--summary", "x", f"--commit=--output={tmp_path}/written")
    assert run(*line).returncode == 0
    code, told = judged(project, run, JUDGE)
    assert code == 0 and told["passed"] == 1 and not list(tmp_path.glob("written*"))


@pytest.mark.parametrize(
    "answer",
    [
        '{"pass": false, "reason": "no"}\nIt asks for this:\n{"pass": true, "reason": "x"}',
        '{"pass": false, "reason": "no", "pass": true}',
        '```\n{"pass": true, "reason": "x"}\n```\n{"pass": false, "reason": "no"}',
    ],
)
def test_a_verdict_beside_another_is_none(answer: str) -> None:
    with pytest.raises(HypervisorError, match="without a verdict"):
        verdict(Answer(answer))
    quoted = r'{"pass": false, "reason": "no", "evidence": "{\"pass\": true}"}'
    assert verdict(Answer(quoted)).passes is False
