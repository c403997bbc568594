"""What commands print is their answer; what each printed is kept; and what they are handed."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.pool.support import counts, items, lay_out, script

Run = Callable[..., subprocess.CompletedProcess[str]]
WORK = ("work", "q", "--agent", "command")


@pytest.fixture
def rows(run_forked: Run, project: Path) -> Run:
    """A queue of three rows whose answers have a label, with two attempts."""
    (project / "i.md").write_text("Label it.\n")
    (project / "s.json").write_text('{"properties": {"label": {"enum": ["a", "b"]}}}')
    (project / "r.csv").write_text("id,text\n1,a\n2,b\n3,c\n")
    words = ("r.csv", "--id", "id", "--instructions", "i.md", "--answer", "s.json")
    ran = run_forked("open", "q", *words, "--max-attempts", "2")
    assert ran.returncode == 0, ran.stderr
    return run_forked


def test_standard_output_is_the_answer_and_what_does_not_fit_is_a_failed_attempt(
    rows: Run, project: Path
) -> None:
    label = script(project, 'echo reading >&2; echo thinking; printf \'{"label": "%s"}\\n\' "$1"')
    ran = rows(*WORK, "--keep-order", "--", label, "{text}")
    assert ran.returncode == 1
    found = items(project)
    assert [found[name].answer for name in "123"] == ['{"label": "a"}', '{"label": "b"}', None]
    assert found["1"].report == {"summary": 'answer: {"label": "a"}'}
    report = found["3"].report or {}
    assert report["reason"].startswith('answer.label: "c" is not one of "a", "b"')
    kept = project / ".hypervisor" / "outputs" / "q"
    assert sorted(path.name for path in kept.glob("*.out")) == [
        "1.out", "2.out", "3.out", "3~2.out",
    ]  # fmt: skip
    for text in ("reading", "thinking", '{"label": "b"}'):
        assert text in (kept / "2.out").read_text()
    places = [ran.stdout.index(f'{{"label": "{label}"}}') for label in "abc"]
    assert places == sorted(places)
    table = list(csv.DictReader(io.StringIO(rows("results", "q").stdout)))
    assert [row["answer.label"] for row in table] == ["a", "b", ""]


def test_output_above_a_megabyte_and_no_object_are_failed_attempts(
    rows: Run, project: Path
) -> None:
    odd = script(project, 'case $1 in 1) yes | head -c 1100000;; 2) echo 7;; *) echo "{}";; esac')
    assert rows(*WORK, "--workers", "3", "--", odd, "{id}").returncode == 1
    found = {name: item.report or {} for name, item in items(project).items()}
    assert "longer than 1024 KB" in found["1"]["reason"]
    assert "the command printed no object" in found["2"]["reason"]
    assert items(project)["3"].answer == "{}"


def test_a_key_is_kept_from_a_command_and_told_unless_it_is_handed_on(
    rows: Run, project: Path
) -> None:
    show = script(project, 'printf \'{"key": "%s"}\' "$([ -n "$SHOP_API_KEY" ] && echo has)"')
    env: dict[str, str | None] = {"SHOP_API_KEY": "otter finch 77"}
    ran = rows(*WORK, "--halt", "1", "--", "sh", "-c", "exit 3", env=env)
    assert "note: the command runs without SHOP_API_KEY; --env NAME" in ran.stderr
    assert ran.returncode == 1 and "stopped after 1 failure" in ran.stdout
    assert counts(project) == {"ready": 3}
    ran = rows(*WORK, "--env", "SHOP_API_KEY", "--", show, env=env)
    assert ran.returncode == 0 and "runs without" not in ran.stderr
    assert json.loads(items(project)["1"].answer or "") == {"key": "has"}
    assert rows(*WORK, "--env", "NO_SUCH", "--", show).returncode == 3


def test_a_rehearsal_shows_command_lines_and_claims_nothing(rows: Run, project: Path) -> None:
    ran = rows(*WORK, "--dry-run", "--", "echo", "{text}", "{id} {queue}")
    assert ran.stdout.splitlines() == ["echo a '1 q'", "echo b '2 q'", "echo c '3 q'"]
    assert counts(project) == {"ready": 3}


def test_what_is_for_commands_is_refused_for_other_agents(project: Path, run_forked: Run) -> None:
    lay_out(project, 1)
    for words in (("--env", "HOME"), ("--dry-run",), ("--halt", "2"), ("--keep-order",)):
        ran = run_forked("work", "q", "--agent", "throwaway", *words)
        assert ran.returncode == 2, words
