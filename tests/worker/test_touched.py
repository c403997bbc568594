"""Which of the changed files are an item's own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Claim, Ledger, NewItem
from hypervisor.worker.commits import edits
from hypervisor.worker.touched import touched


@pytest.fixture
def tree(project: Path) -> Path:
    """A repository with a file, and a queue whose items name one and the other of two."""
    (project / "one.py").write_text("1\n")
    (project / "two.py").write_text("2\n")
    script = "git init -q; git config user.name w; git config user.email w@x; git add -A; "
    subprocess.run(["sh", "-ec", script + "git commit -qm all"], cwd=project, check=True)
    with Ledger.open(str(project), create=True) as ledger:
        items = [NewItem(name, payload={"do": f"mend {name}.py"}) for name in ("one", "two")]
        ledger.generations.open("q", items)
    return project


def take(ledger: Ledger) -> Claim:
    [claim] = worker.take(ledger, "q", "w")
    return claim


def of(ledger: Ledger, claim: Claim, told: list[str] | None = None) -> tuple[list[str], list[str]]:
    return touched(ledger, ledger.ends.holding(claim.token), told or [])


def test_what_is_deleted_or_committed_meanwhile_is_changed(tree: Path) -> None:
    with Ledger.open(str(tree)) as ledger:
        one, two = take(ledger), take(ledger)
        (tree / "one.py").unlink()
        (tree / "two.py").write_text("3\n")
        subprocess.run(["git", "commit", "-qam", "all"], cwd=tree, check=True)
        assert of(ledger, one) == (["one.py"], ["two.py"])
        assert of(ledger, two) == (["two.py"], ["one.py"])


def test_what_two_items_name_is_of_neither_unless_an_agent_was_seen_to_edit_it(tree: Path) -> None:
    with Ledger.open(str(tree)) as ledger:
        items = [NewItem(name, payload={"do": "mend one.py"}) for name in ("x", "y")]
        ledger.generations.open("q", items)
        _, _, x, y = take(ledger), take(ledger), take(ledger), take(ledger)
        (tree / "one.py").write_text("3\n")
        assert of(ledger, x) == of(ledger, y) == ([], ["one.py"])
        edits.note(ledger.state, edits.AFTER, [y.token], str(tree / "one.py"))
        assert of(ledger, x) == ([], ["one.py"])
        assert of(ledger, y) == (["one.py"], [])


def test_what_an_earlier_attempt_has_changed_is_the_items(tree: Path) -> None:
    with Ledger.open(str(tree)) as ledger:
        one = take(ledger)
        (tree / "one.py").write_text("3\n")
        ledger.ends.finish(one.token, "failed", {"reason": "x"})
        [again] = worker.take(ledger, "q", "w", only="one")
        assert of(ledger, again) == (["one.py"], [])


def test_a_file_that_git_ignores_counts_where_the_report_names_it(tree: Path) -> None:
    (tree / ".gitignore").write_text("*.py\n")
    with Ledger.open(str(tree)) as ledger:
        ledger.generations.open("q", [NewItem("x", payload={"do": "write new.py"})])
        x = [take(ledger), take(ledger), take(ledger)][2]
        (tree / "new.py").write_text("3\n")
        assert of(ledger, x)[0] == []
        assert of(ledger, x, ["new.py", "../outside.py", "gone.py"])[0] == ["new.py"]


def test_a_repository_that_git_cannot_read_keeps_no_report(tree: Path) -> None:
    with Ledger.open(str(tree)) as ledger:
        ledger.terms.set_check("q", "cat >seen")
        one = take(ledger)
        edits.note(ledger.state, edits.AFTER, [one.token], str(tree / "one.py"))
        (tree / ".git/index").write_text("no index")
        assert worker.finish(ledger, one.token, "done", {"summary": "x"}).state == "done"
    seen = json.loads((tree / "seen").read_text())
    assert (seen["files"], seen["files_unsure"]) == (["one.py"], [])
