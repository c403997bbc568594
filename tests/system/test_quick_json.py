"""JSON without the library's package: the same values, the same texts, the same refusals."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hypervisor.system import quick_json
from repository import REPO

SOURCE = REPO / "src"
TEXTS = [
    '{"a": [1, -2.5e3, true, null, "é\\u00e9\\n\\ud800"], "": {}}', " [] \n", '"x"', "3", "NaN",
    '{"a": 1, "a": 2}', "", "  ", "{", "[1,]", '{"a"}', "1 2", "'x'", '"\n"', "[" * 100_000,
    "\x0c[]", "nul", "\ufeff{}",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:20]))
@pytest.mark.parametrize("quick", [True, False])
def test_it_reads_what_the_librarys_package_reads(
    text: str, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert quick_json._quick is not None
    if not quick:
        monkeypatch.setattr(quick_json, "_quick", None)
    try:
        wanted = json.loads(text)
    except (ValueError, RecursionError):
        with pytest.raises((ValueError, RecursionError)):
            quick_json.loads(text)
    else:
        assert repr(quick_json.loads(text)) == repr(wanted)


def test_it_writes_what_the_librarys_package_writes() -> None:
    for value in ({"a": ["é", 1, 2.5, None, True], "b": {}}, "x", [], {"c": float("inf")}):
        assert quick_json.dumps(value) == json.dumps(value)
        assert quick_json.dumps(value, False) == json.dumps(value, ensure_ascii=False)
    with pytest.raises(TypeError):
        quick_json.dumps({"a": object()})


def test_events_of_most_kinds_load_neither_expressions_nor_the_json_package() -> None:
    told = (
        "import sys; sys.path.insert(0, sys.argv[1]); import hypervisor.cli.hook;"
        "from hypervisor.agents import hooks;"
        "from hypervisor.agents.hooks import limit, tool_use;"
        "from hypervisor.ledger import Ledger, agents, claims, sessions;"
        # Every client is asked whether the event is its own.
        "hooks.Event('PostToolUse', {}).client.unseen('default', {});"
        "print(*sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", told, SOURCE], capture_output=True, text=True, check=True
    )
    heavy = {"re", "json", "typing", "datetime", "sqlite3", "argparse", "enum", "contextlib"}
    assert not heavy & set(ran.stdout.split())
    assert "hypervisor.ledger.queries" not in ran.stdout


def test_sqlite_works_as_ever_without_what_its_package_loads() -> None:
    told = (
        "import sys; sys.path.insert(0, sys.argv[1]); from hypervisor.ledger import driver;"
        "loaded = 'functools' in sys.modules or 'sqlite3' in sys.modules;"
        "c = driver.connect(':memory:', cached_statements=2); c.row_factory = driver.Row;"
        "rows = [c.execute(f'select {n} as n').fetchone()['n'] for n in (1, 2, 3, 1)];"
        "import functools, sqlite3; functools.wraps;"
        "print(loaded, rows, driver.Error is sqlite3.Error, driver.connect is sqlite3.connect)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", told, SOURCE], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False [1, 2, 3, 1] True True\n"
