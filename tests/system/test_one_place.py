"""What stands in one place of the program stands in no other."""

from __future__ import annotations

import ast
import re

import pytest

from repository import modules

_UNIT = re.compile(r" (?:ms|s|seconds?|min|minutes?|h|hours?|d|days?)\b(?! *[({])")
# Each writes a report that was accepted just now, or comes after every crash.
_WRITE = {"worker/ends.py", "worker/handout.py", "worker/integrate/integrate.py"}


def callers_of(name: str, *, of: str = "") -> set[str]:
    """Return the files of the program that call a method or function `name`; `of` is what it is
    asked of where several have that name."""
    found = set()
    for place, tree in modules(name):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            own = getattr(called, "attr", getattr(called, "id", ""))
            if own != name:
                continue
            asked = ast.unparse(called.value) if isinstance(called, ast.Attribute) else ""
            if asked.endswith(of) or (not asked and "." not in of):
                found.add(place)
    return found


def test_only_housekeeping_ends_late_claims_and_claims_of_gone_sessions() -> None:
    for name, of in (("expire", "ledger.ends"), ("at_work", "ledger.sessions")):
        found = {path for path in callers_of(name, of=of) if not path.startswith("ledger/")}
        assert found == {"worker/settle.py"}


def test_reports_are_written_by_housekeeping_and_by_what_accepted_them() -> None:
    assert callers_of("flush", of="outbox") == {"worker/settle.py", *_WRITE}
    assert callers_of("pending", of="ledger.outbox") == {"worker/outbox.py"}


def spans_in(tree: ast.Module) -> list[int]:
    """Return the lines of a program in whose texts a figure comes before a unit of time."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            for figure, unit in zip(node.values, node.values[1:], strict=False):
                if isinstance(figure, ast.FormattedValue) and isinstance(unit, ast.Constant):
                    found.update({node.lineno} if _UNIT.match(str(unit.value)) else ())
    return sorted(found)


@pytest.mark.parametrize(
    "text", ["f'{age:.0f} min old'", "f'over {limit:g} s'", "f'{ms / 60_000:g} minutes'"]
)
def test_a_span_that_is_written_by_hand_is_found(text: str) -> None:
    assert spans_in(ast.parse(text))
    assert not spans_in(ast.parse(text.replace("{", "").replace("}", "")))


def test_only_system_spans_writes_spans_of_time() -> None:
    found = {place: lines for place, tree in modules(_UNIT.pattern) if (lines := spans_in(tree))}
    assert list(found) == ["system/spans.py"], found
