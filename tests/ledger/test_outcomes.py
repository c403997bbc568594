"""The one table of outcomes: everybody reads it, and nobody has a list of their own."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor.ledger import outcomes
from hypervisor.ledger.outcomes import OUTCOME, OUTCOMES, STANDING, STANDINGS, STATES
from hypervisor.views import status
from repository import REPO, modules

SOURCE = REPO / "src/hypervisor"
# The classes of the words by which task files tell their own state are another idea, and so is what
# words mean to people.
OF_FILES = {"config/defaults.py", "tasks/family.py", "cli/words.py"} | {
    str(path.relative_to(SOURCE)) for path in (SOURCE / "tasks/formats").glob("*.py")
}


def literals(tree: ast.AST) -> Iterator[tuple[int, set[object]]]:
    """Yield the line and the constants of each literal set, dict, list and tuple, and the words in
    quotes of each string: of what SQL compares with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, set(re.findall(r"'(\w+)'", node.value))
            continue
        if isinstance(node, ast.Dict):
            parts = node.keys
        elif isinstance(node, ast.Set | ast.List | ast.Tuple):
            parts = node.elts
        else:
            continue
        yield node.lineno, {part.value for part in parts if isinstance(part, ast.Constant)}


def lists(words: set[str], most: int, but: set[str]) -> list[str]:
    """Return where a file of ours, `but` for some, lists more than `most` of these words."""
    return [
        f"{place}:{line}: {', '.join(sorted(map(str, told & words)))}"
        for place, tree in modules("|".join(words))
        if place not in {"ledger/outcomes.py", *but}
        for line, told in literals(tree)
        if len(told & words) > most
    ]


def test_no_other_file_lists_outcomes_or_what_items_are_told_as() -> None:
    assert lists({*OUTCOME, *STANDING}, 2, OF_FILES) == []
    assert lists({*OUTCOME, *STANDING}, 2, set()), "it finds those of the task files"


def test_no_other_file_lists_the_states_of_open_items() -> None:
    # Each of them is counted by its own part of the index.
    assert lists(set(outcomes.OPEN_STATES), 2, {*OF_FILES, "ledger/queues.py"}) == []


def schema(name: str, *path: str) -> Any:
    told = json.loads((REPO / f"schemas/{name}.schema.json").read_text())["properties"]
    for step in path:
        told = told[step]
    return told


ITEM = ("workers", "items", "properties")
IN_QUEUE = ("queues", "items", "properties")


@pytest.mark.parametrize(
    ("name", "path", "words"),
    [
        ("summary", (*ITEM, "status", "enum"), tuple(STANDING)),
        ("summary", (*ITEM, "state", "enum"), STATES),
        ("summary", ("counts", "required"), tuple(STANDING)),
        ("summary", ("counts", "properties"), tuple(STANDING)),
        ("show", (*IN_QUEUE, "state", "enum"), STATES),
        ("show", (*IN_QUEUE, "standing", "enum"), tuple(STANDING)),
        (
            "show",
            (*IN_QUEUE, "claims", "items", "properties", "outcome", "enum"),
            (*OUTCOME, None),
        ),
        ("show", ("waited_for_by", "items", "properties", "state", "enum"), STATES),
        ("status", ("counts", "required"), STATES),
        ("status", ("counts", "properties"), STATES),
        ("status", ("problems", "items", "properties", "kind", "enum"), status.KINDS),
        ("plan", ("counts", "properties"), STATES),
        ("plan", ("not_done", "items", "properties", "state", "enum"), outcomes.ODD),
    ],
    ids=str,
)
def test_the_schemas_know_the_words_of_the_table(
    name: str, path: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert set(schema(name, *path)) == set(words)


def test_each_outcome_counts_as_something_that_is_shown_and_has_a_colour() -> None:
    style = (SOURCE / "views/page/page.css").read_text()
    for row in OUTCOMES:
        assert row.counts_as in STANDING
        assert (row.costs is None) == (row.spent is None) or row.reported
    for mark in {row.mark for row in (*OUTCOMES, *STANDINGS)}:
        for part in (f"--{mark}: ", f"i.{mark}, ", f"path.{mark} ", f"#list .{mark} "):
            # What has no colour of its own in the list is shown in that of what was not attempted.
            assert part in style or (mark, part) == ("n", "#list .n ")
    assert len({row.mark for row in STANDINGS}) == len({row.rank for row in STANDINGS}) == 8


def test_a_row_never_changes() -> None:
    with pytest.raises(AttributeError):
        OUTCOME["done"].satisfies = False  # type: ignore[misc]
    assert OUTCOME["done"].satisfies


@pytest.mark.parametrize("state", STATES)
def test_what_nobody_ever_had_is_not_attempted_unless_a_report_ended_it(state: str) -> None:
    untried = outcomes.standing(state, None, 0, "waits for a")
    tried = outcomes.standing(state, 1.0, 1, None)
    if state == "claimed":
        assert untried is tried is outcomes.AT_WORK
    elif state in outcomes.OPEN_STATES:
        assert (untried, tried) == (outcomes.UNTRIED, outcomes.AGAIN)
    elif state == "cancelled":
        assert (untried, tried) == (outcomes.UNTRIED, STANDING["cancelled"])
    else:
        assert untried is tried is STANDING[OUTCOME[state].counts_as]


def test_a_reason_is_told_on_one_line_bounded_and_escaped() -> None:
    told = outcomes.told(outcomes.AGAIN, "no\x1b[31m network\n" + "x" * 500)
    assert told.startswith("to be tried again (after: no\\u001b[31m network / x")
    assert len(told) < 200 and told.endswith("…)")
    assert outcomes.told(outcomes.AGAIN, None) == "to be tried again (after: no reason given)"
    assert outcomes.told(outcomes.AT_WORK, None) == "at work"
    assert outcomes.told(outcomes.AT_WORK, "x") == "at work (after: x)"


DECLINED = """
import sys, types
name = "hypervisor.ledger.outcomes"
import hypervisor.ledger
source = open(sys.argv[1]).read()
for table, row in (
    ("STANDINGS = (", '_standing("declined", "b", 8, odd=True),'),
    ("OUTCOMES = (", '_final("declined", "b", odd=True),'),
):
    source = source.replace(table, table + row)
module = sys.modules[name] = hypervisor.ledger.outcomes = types.ModuleType(name)
exec(compile(source, sys.argv[1], "exec"), module.__dict__)

from hypervisor.ledger import Ledger, NewItem
from hypervisor.views import history, news, status, summary, summary_text
from hypervisor.views.page import render as page
from hypervisor.views.watch import screen
with Ledger.open(sys.argv[2], create=True) as ledger:
    ledger.generations.open("q", [NewItem("a"), NewItem("b")])
    ledger.followers.follow("s", "q")
    [held] = ledger.claims.claim("q", "w")
    assert ledger.ends.finish(held.token, "declined", {"reason": "not mine"}) == "declined"
    told = status.standing(ledger, ledger.queues.get("q"))
    assert "2 items: 1 ready, 1 declined" in status.line(told), status.line(told)
    assert told["problems"][0]["text"] == "declined a: not mine"
    text = "\\n".join(summary_text.lines(summary.summarize(ledger, "q")))
    assert "1 declined, 1 not attempted" in text and "declined (1):" in text, text
    assert "1</b> declined" in page(ledger, "q")
    assert history.item(ledger, "a")["why"].startswith("declined: ")
    assert [one["event"] for one in history.Log(ledger, "q").news()][-1] == "declined"
    assert "declined: a: " in news.take(ledger, "s", by="test")
    view = screen.View("/x")
    view.queues = [told]
    assert "declined 1" in "".join(map(str, screen.draw(view, 100, 20).renderables))
    assert ledger.queries.last_ends(ledger.queues.get("q").no, 5) == []
"""


def test_a_new_outcome_takes_a_row_in_the_table_and_is_told_everywhere(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", DECLINED, outcomes.__file__, tmp_path / "project"],
        env={
            "PYTHONPATH": str(REPO / "src"),
            "HOME": str(tmp_path / "home"),
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
